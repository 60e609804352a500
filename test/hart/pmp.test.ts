/**
 * PMP against a slow model: registers by the rules of Privileged 3.7, accesses byte by byte.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  CHANGED_FLUSH,
  HART_CHANGED,
  HART_PMP_ACTIVE,
  MACHINE_SBI,
} from "../../assembly/layout.ts";
import { PRIV_M, PRIV_S, PRIV_U, Probe, Seeded } from "./probe.ts";

const test = suite("hart/pmp");
const probe = new Probe();
const PMPCFG = 0x3a0;
const PMPADDR = 0x3b0;
const ADDRESS_MASK = (1n << 54n) - 1n;

/** The sixteen entries, as plain data. */
class Model {
  readonly configs: number[] = new Array(16).fill(0);
  readonly addresses: bigint[] = new Array(16).fill(0n);

  writeConfig(first: number, value: bigint): void {
    for (let i = 0; i < 8; i++) {
      if (this.configs[first + i]! & 0x80) continue;
      let config = Number((value >> BigInt(8 * i)) & 0xffn) & 0x9f;
      if ((config & 3) === 2) config &= ~2;
      this.configs[first + i] = config;
    }
  }

  writeAddress(entry: number, value: bigint): void {
    const isLocked = (this.configs[entry]! & 0x80) !== 0;
    const isBound = entry < 15 && (this.configs[entry + 1]! & 0x98) === 0x88;
    if (!isLocked && !isBound) this.addresses[entry] = value & ADDRESS_MASK;
  }

  #matches(entry: number, byte: bigint): boolean {
    const word = byte >> 2n;
    const address = this.addresses[entry]!;
    switch ((this.configs[entry]! >> 3) & 3) {
      case 1:
        return word < address && (entry === 0 || word >= this.addresses[entry - 1]!);
      case 2:
        return word === address;
      case 3: {
        let size = 0n;
        while ((address >> size) & 1n) size++;
        return word >> (size + 1n) === address >> (size + 1n);
      }
    }
    return false;
  }

  allows(address: bigint, bytes: number, access: number, priv: number): boolean {
    for (let entry = 0; entry < 16; entry++) {
      let met = 0;
      for (let i = 0; i < bytes; i++) if (this.#matches(entry, address + BigInt(i))) met++;
      if (met === 0) continue;
      if (met < bytes) return false;
      const config = this.configs[entry]!;
      return (priv === PRIV_M && !(config & 0x80)) || (config & access) === access;
    }
    return priv === PRIV_M;
  }
}

function program(model: Model, random: Seeded, lockOdds: number): void {
  const base = 0x20000000n; // word address of RAM
  for (let step = 0; step < 40; step++) {
    if (random.below(3) === 0) {
      const first = random.pick([0, 8]);
      let value = 0n;
      for (let i = 0; i < 8; i++) {
        // most entries OFF, or the first few shadow all others
        let byte = random.below(4) === 0 ? random.below(0x80) : random.below(8);
        if (lockOdds > 0 && random.below(lockOdds) === 0) byte |= 0x80;
        value |= BigInt(byte) << BigInt(8 * i);
      }
      model.writeConfig(first, value);
      assert.ok(probe.write(PMPCFG + first / 4, value));
    } else {
      const entry = random.below(16);
      const ones = (1n << BigInt(random.below(14))) - 1n;
      let value = base + BigInt(random.below(4096));
      if (random.below(2) === 0) value = (value & ~ones) | (ones >> 1n);
      if (random.below(40) === 0) value = random.pick([0n, -1n, ADDRESS_MASK >> 1n, random.next()]);
      model.writeAddress(entry, BigInt.asUintN(64, value));
      assert.ok(probe.write(PMPADDR + entry, BigInt.asUintN(64, value)));
    }
  }
}

test("registers and accesses agree with the model on random entries", () => {
  const random = new Seeded(1n);
  const tally = { allowed: 0, refused: 0, uniform: 0, split: 0, inactive: 0 };
  for (let round = 0; round < 400; round++) {
    probe.reset();
    const model = new Model();
    program(model, random, round & 1 ? 6 : 0);
    if (round % 10 === 0) {
      model.writeAddress(0, ADDRESS_MASK);
      model.writeConfig(0, 0x1fn);
      probe.write(PMPADDR, ADDRESS_MASK);
      probe.write(PMPCFG, 0x1fn);
    }
    const at = `SEED=${random.seed} round ${round}`;
    for (let entry = 0; entry < 16; entry++) {
      assert.is(probe.read(PMPADDR + entry), model.addresses[entry], `${at} pmpaddr${entry}`);
      const config = Number(
        (probe.read(PMPCFG + (entry >> 3) * 2)! >> BigInt(8 * (entry & 7))) & 0xffn,
      );
      assert.is(config, model.configs[entry], `${at} pmp${entry}cfg`);
    }
    if (probe.get32(HART_PMP_ACTIVE) === 0) tally.inactive++;
    for (let i = 0; i < 200; i++) {
      const address = 0x80000000n - 64n + BigInt(random.below(16384 + 128));
      const bytes = random.pick([1, 2, 4, 8]);
      const access = random.pick([1, 2, 4, 3]);
      const priv = random.pick([PRIV_U, PRIV_S, PRIV_M]);
      const expected = model.allows(address, bytes, access, priv);
      const actual = probe.core.pmpAllows(address, bytes, access, priv) !== 0;
      assert.is(actual, expected, `${at} ${address.toString(16)} ${bytes} ${access} ${priv}`);
      if (actual) tally.allowed++;
      else tally.refused++;
    }
    for (let page = 0n; page < 5n; page++) {
      const address = 0x80000000n + (page << 12n);
      if (probe.core.pmpPageUniform(address + BigInt(random.below(4096))) === 0) {
        tally.split++;
        continue;
      }
      tally.uniform++;
      for (const [access, priv] of [
        [1, PRIV_U],
        [2, PRIV_S],
        [4, PRIV_S],
        [2, PRIV_M],
      ] as const) {
        const whole = probe.core.pmpAllows(address, 4096, access, priv) !== 0;
        for (let i = 0; i < 16; i++) {
          const inside = address + BigInt(random.below(4096 - 8));
          assert.is(model.allows(inside, 8, access, priv), whole, `${at} page ${page} ${access}`);
        }
      }
    }
  }
  for (const [what, count] of Object.entries(tally)) assert.ok(count > 0, `${what} never happened`);
});

test("S and U have no memory until an entry is set; the built-in SBI stands for one", () => {
  probe.reset();
  assert.not(probe.core.pmpAllows(0x80000000n, 4, 4, PRIV_S));
  assert.not(probe.core.pmpAllows(0x80000000n, 4, 1, PRIV_U));
  assert.ok(probe.core.pmpAllows(0x80000000n, 4, 4, PRIV_M));
  probe.machineSet32(MACHINE_SBI, 1);
  probe.core.pmpActiveUpdate();
  assert.is(probe.get32(HART_PMP_ACTIVE), 0);
  assert.ok(probe.core.pmpAllows(0x80000000n, 4, 4, PRIV_S));
});

test("one unlocked entry over everything switches the checks off, anything less does not", () => {
  const cases: [bigint, bigint, number][] = [
    [ADDRESS_MASK, 0x1fn, 0],
    [ADDRESS_MASK >> 1n, 0x1fn, 0], // exactly the 56 bits of a physical address
    [ADDRESS_MASK >> 2n, 0x1fn, 1],
    [ADDRESS_MASK, 0x0fn, 1], // TOR leaves out the last word
    [ADDRESS_MASK, 0x1dn, 1],
    [ADDRESS_MASK, 0x9fn, 0], // locked, but it refuses nothing
  ];
  for (const [address, config, active] of cases) {
    probe.reset();
    probe.write(PMPADDR, address);
    probe.write(PMPCFG, config);
    assert.is(probe.get32(HART_PMP_ACTIVE), active, `${address.toString(16)} ${config}`);
    assert.ok(probe.get32(HART_CHANGED) & CHANGED_FLUSH);
  }
});

test("NA4 at the end of a doubleword makes even M-mode fail when the access straddles it", () => {
  probe.reset();
  probe.write(PMPADDR, 0x80001004n >> 2n);
  probe.write(PMPCFG, 0x17n);
  assert.not(probe.core.pmpAllows(0x80001000n, 8, 1, PRIV_M));
  assert.ok(probe.core.pmpAllows(0x80001000n, 4, 1, PRIV_M));
  assert.ok(probe.core.pmpAllows(0x80001004n, 4, 1, PRIV_U));
  assert.not(probe.core.pmpAllows(0x80001000n, 4, 1, PRIV_U));
});

test("an access that runs past the top of the address space meets no entry", () => {
  probe.reset();
  probe.write(PMPADDR, ADDRESS_MASK);
  probe.write(PMPCFG, 0x1dn); // active, and covers bit 56 too
  assert.ok(probe.core.pmpAllows((1n << 64n) - 4n, 8, 1, PRIV_M));
  assert.not(probe.core.pmpAllows((1n << 64n) - 4n, 8, 1, PRIV_S));
  assert.not(probe.core.pmpAllows(1n << 57n, 8, 1, PRIV_S));
});

test("entries beyond sixteen read as zero and the odd configuration registers are illegal", () => {
  probe.reset();
  for (let csr = PMPCFG; csr < PMPADDR; csr++) {
    const expected = csr & 1 ? undefined : 0n;
    assert.is(probe.read(csr), expected);
    assert.is(probe.write(csr, csr > PMPCFG + 2 ? -1n : 0n), !(csr & 1));
  }
  for (let csr = PMPADDR + 16; csr < PMPADDR + 64; csr++) {
    assert.ok(probe.write(csr, -1n));
    assert.is(probe.read(csr), 0n);
  }
});

test.run();
