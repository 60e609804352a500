/**
 * boot: what lies where for each way in, and what does not fit.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { elf64 } from "../../src/asm/elf.ts";
import { parseDeviceTree } from "../../src/device/device-tree.ts";
import { VmError } from "../../src/errors.ts";
import { type BootPlan, planBoot } from "../../src/machine/boot.ts";
import { type MachineConfig, resolveConfig } from "../../src/machine/config.ts";
import { buildTree } from "../../src/machine/machine-tree.ts";
import { elfProgram, emitHang, imageProgram, KERNEL, RAM } from "../helpers/guest-program.ts";

const test = suite("machine/boot");
const LIMITS = { poolBytes: 2 ** 31, deviceKinds: new Map() };
const kernel = imageProgram(emitHang, { imageBytes: 0x10_0000 });

function plan(given: MachineConfig): BootPlan {
  const config = resolveConfig({ memoryBytes: "16M", ...given }, LIMITS);
  return planBoot(config, (facts) => buildTree(config, [], facts));
}

function refuses(given: MachineConfig, code: string, text: RegExp): void {
  try {
    plan(given);
  } catch (error) {
    assert.ok(error instanceof VmError, String(error));
    assert.is(error.code, code);
    assert.match(error.message, text);
    return;
  }
  assert.unreachable(`accepted, expected ${text}`);
}

/** Nothing overlaps, everything is in RAM. */
function checkPlacement({ loads }: BootPlan, ramBytes: number): void {
  const sorted = [...loads].sort((a, b) => a.address - b.address);
  let end = RAM;
  for (const load of sorted) {
    assert.ok(load.address >= end, `${load.what} at ${load.address.toString(16)}`);
    end = load.address + load.memoryBytes;
  }
  assert.ok(end <= RAM + ramBytes);
}

test("an Image with initrd enters the supervisor", () => {
  const initrd = new Uint8Array(100_001).fill(7);
  const result = plan({ kernel, initrd, append: "console=ttyS0" });
  checkPlacement(result, 16 << 20);
  assert.is(result.entry, KERNEL);
  assert.ok(result.hasSbi);
  assert.is(result.infoAddress, 0);
  const placed = result.loads.find((load) => load.what === "initrd");
  assert.ok(placed !== undefined && placed.address % 4096 === 0);
  const tree = result.loads.find((load) => load.what === "device tree");
  assert.is(tree?.address, result.treeAddress);
  const { root } = parseDeviceTree(tree?.bytes ?? new Uint8Array(0));
  const chosen = root.children.find((node) => node.name === "chosen");
  const u64 = (name: string) => {
    const bytes = chosen?.properties.get(name) ?? new Uint8Array(8);
    return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
  };
  assert.is(u64("linux,initrd-start"), BigInt(placed.address));
  assert.is(u64("linux,initrd-end"), BigInt(placed.address + initrd.length));
});

test("an ELF enters M-mode at its entry", () => {
  const result = plan({ kernel: elfProgram(emitHang), memoryBytes: "1M" });
  checkPlacement(result, 1 << 20);
  assert.is(result.entry, RAM);
  assert.not(result.hasSbi);
  assert.is(result.htif, null);
});

test("firmware goes in front of the kernel and is told where that is", () => {
  const firmware = new Uint8Array(300_000).fill(1);
  const result = plan({ firmware, kernel });
  checkPlacement(result, 16 << 20);
  assert.is(result.entry, RAM);
  assert.not(result.hasSbi);
  const info = result.loads.find((load) => load.what === "info");
  assert.is(info?.address, result.infoAddress);
  const words = new BigUint64Array((info?.bytes ?? new Uint8Array(48)).slice().buffer);
  assert.equal([...words], [0x4942534fn, 2n, BigInt(KERNEL), 1n, 0n, 0n]);
});

test("what does not fit is refused with addresses", () => {
  refuses({}, "bad-config", /nothing to boot/);
  const huge = imageProgram(emitHang, { imageBytes: 64 << 20 });
  refuses({ kernel: huge }, "bad-config", /kernel does not fit: it takes 0x80200000 to 0x84200000/);
  refuses({ kernel, initrd: new Uint8Array(15 << 20) }, "bad-config", /does not fit/);
  refuses({ kernel, initrd: new Uint8Array(13 << 20) }, "bad-config", /kernel does not fit/);
  refuses({ kernel, initrd: new Uint8Array(64 << 20) }, "bad-config", /initrd does not fit/);
  refuses({ kernel, memoryBytes: "2M" }, "bad-config", /kernel does not fit/);
  refuses({ kernel, firmware: new Uint8Array(0x20_0001) }, "bad-config", /firmware does not fit/);
  const odd = imageProgram(emitHang, { textOffset: 0x20_1000 });
  refuses({ kernel: odd }, "bad-file", /text_offset 0x201000/);
  const far = imageProgram(emitHang, { textOffset: 0x4000_0000 });
  refuses({ kernel: far }, "bad-config", /kernel does not fit/);
});

test("an ELF that covers the end of RAM leaves no room for the device tree", () => {
  const whole = elf64({
    entry: RAM,
    segments: [{ address: RAM, bytes: new Uint8Array(4), memoryBytes: 16 << 20 }],
  });
  refuses({ kernel: whole }, "bad-config", /kernel does not fit.*device tree begins/);
});

test("htif needs the symbol tohost", () => {
  refuses({ kernel, htif: true }, "bad-config", /symbol tohost/);
  refuses({ kernel: elfProgram(emitHang), htif: true }, "bad-config", /symbol tohost/);
  const outside = elf64({
    entry: RAM,
    segments: [{ address: RAM, bytes: new Uint8Array(4) }],
    symbols: [["tohost", 0x1000]],
  });
  refuses({ kernel: outside, htif: true }, "bad-config", /tohost 0x1000/);
});

test("the tree names what the harts can do", () => {
  const isa = (given: MachineConfig) => {
    const result = plan(given);
    const tree = result.loads.find((load) => load.what === "device tree");
    const { root } = parseDeviceTree(tree?.bytes ?? new Uint8Array(0));
    const cpus = root.children.find((node) => node.name === "cpus");
    const harts = cpus?.children.filter((node) => node.name.startsWith("cpu@")) ?? [];
    const text = new TextDecoder().decode(harts[0].properties.get("riscv,isa"));
    return { count: harts.length, text };
  };
  const plain = isa({ kernel, harts: 4 });
  assert.is(plain.count, 4);
  assert.match(plain.text, /^rv64imafdc_.*zicboz.*svadu/);
  const behind = isa({ kernel, firmware: Uint8Array.of(1) });
  assert.not.match(behind.text, /svadu|zicboz/);
});

test("the same configuration gives the same bytes", () => {
  const first = plan({ kernel, seed: 5 });
  const again = plan({ kernel, seed: 5 });
  const other = plan({ kernel, seed: 6 });
  const tree = (result: BootPlan) => [...result.loads[1].bytes].join();
  assert.is(tree(first), tree(again));
  assert.is.not(tree(first), tree(other));
});

test.run();
