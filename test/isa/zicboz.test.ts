/**
 * Zicboz: cbo.zero clears the aligned 64-byte block that holds the address, and nothing else.
 */
import { type IsaProgram, WINDOW } from "./program.ts";
import { isaSuite } from "./suite.ts";

const BLOCK_BYTES = 64;

function build(program: IsaProgram): void {
  const places = [0, 1, 63, 64, 65, 127, 4095, 4096 - 64, 4096];
  for (let at = -BLOCK_BYTES; at < 2 * BLOCK_BYTES; at += 8) {
    program.block({
      title: `cboZero seen at ${at}`,
      rows: places.map((place) => {
        const base = WINDOW + 0x1000 + place;
        return [BigInt(base), BigInt(base - (base % BLOCK_BYTES) + at)];
      }),
      loads: ["a0", "a1"],
      stores: ["a2"],
      body: (a) => {
        a.li("a3", -1);
        a.sd("a3", "a1");
        a.cboZero("a0");
        a.ld("a2", "a1");
      },
      model: () => [at >= 0 && at < BLOCK_BYTES ? 0n : 0xffffffffffffffffn],
    });
  }
}

// QEMU 7.2 has no Zicboz.
const test = isaSuite("isa/zicboz", build, { isHereOnly: true });

test.run();
