/**
 * CSRs: which exist in which mode, what each keeps of what is written, the views, and the gates.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as layout from "../../assembly/layout.ts";
import { PRIV_M, PRIV_S, PRIV_U, Probe, Seeded } from "./probe.ts";

const test = suite("hart/csr");
const probe = new Probe();
const ONES = (1n << 64n) - 1n;
const MSTATUS = 0x300;
const SSTATUS = 0x100;
const MIDELEG = 0x303;
const MIE = 0x304;
const MIP = 0x344;
const SIE = 0x104;
const SIP = 0x144;
const SATP = 0x180;
const MENVCFG = 0x30a;
const MCOUNTEREN = 0x306;
const SCOUNTEREN = 0x106;
const MCOUNTINHIBIT = 0x320;
const MCYCLE = 0xb00;
const MINSTRET = 0xb02;
const STIMECMP = 0x14d;
const FS = 3n << 13n;
const TVM = 1n << 20n;
const STCE = 1n << 63n;

/** CSR number -> what of all ones stays when it is written after all zeros; null: read-only. */
const KEPT = new Map<number, bigint | null>();
function row(first: number, last: number, kept: bigint | null): void {
  for (let csr = first; csr <= last; csr++) KEPT.set(csr, kept);
}
row(0x001, 0x001, 0x1fn);
row(0x002, 0x002, 0x7n);
row(0x003, 0x003, 0xffn);
row(0xc00, 0xc1f, null);
row(SSTATUS, SSTATUS, 0x80000000000c6122n);
row(SIE, SIE, 0n); // nothing is delegated in this table
row(0x105, 0x105, 0n); // mode 3 does not exist: the write is dropped
row(SCOUNTEREN, SCOUNTEREN, 0xffffffffn);
row(0x10a, 0x10a, 0x81n);
row(0x140, 0x140, ONES);
row(0x141, 0x141, ONES - 1n);
row(0x142, 0x143, ONES);
row(SIP, SIP, 0n);
row(STIMECMP, STIMECMP, ONES);
row(SATP, SATP, 0n); // mode 15 does not exist
row(MSTATUS, MSTATUS, 0x80000000007e79aan);
row(0x301, 0x301, 0n);
row(0x302, 0x302, 0xb3ffn);
row(MIDELEG, MIDELEG, 0x222n);
row(MIE, MIE, 0xaaan);
row(0x305, 0x305, 0n);
row(MCOUNTEREN, MCOUNTEREN, 0xffffffffn);
row(MENVCFG, MENVCFG, 0xa000000000000081n);
row(MCOUNTINHIBIT, MCOUNTINHIBIT, 5n);
row(0x323, 0x33f, 0n);
row(0x340, 0x340, ONES);
row(0x341, 0x341, ONES - 1n);
row(0x342, 0x343, ONES);
row(MIP, MIP, 0x222n);
for (let csr = 0x3a0; csr < 0x3b0; csr += 2) row(csr, csr, 0n);
row(0x3a0, 0x3a0, 0x9f9f9f9f9f9f9f9fn);
row(0x3a2, 0x3a2, 0x9f9f9f9f9f9f9f9fn);
row(0x3b0, 0x3bf, (1n << 54n) - 1n);
row(0x3c0, 0x3ef, 0n);
row(0x7a0, 0x7a3, 0n);
row(MCYCLE, MCYCLE, ONES);
row(MINSTRET, MINSTRET, ONES);
row(0xb03, 0xb1f, 0n);
row(0xf11, 0xf15, null);

/** A hart in `priv` with everything that gates a CSR open. */
function open(priv: number): void {
  probe.reset();
  probe.set(layout.HART_MSTATUS, probe.get(layout.HART_MSTATUS) | FS);
  probe.set(layout.HART_MCOUNTEREN, 0xffffffffn);
  probe.set(layout.HART_SCOUNTEREN, 0xffffffffn);
  probe.set(layout.HART_MENVCFG, STCE);
  probe.set32(layout.HART_PRIV, priv);
}

test("exactly the listed numbers exist, each from its privilege on", () => {
  for (const priv of [PRIV_U, PRIV_S, PRIV_M]) {
    for (let csr = 0; csr < 4096; csr++) {
      open(priv);
      const isThere = KEPT.has(csr) && priv >= ((csr >> 8) & 3);
      const name = `${csr.toString(16)} in mode ${priv}`;
      const before = probe.snapshot();
      assert.is(probe.read(csr) !== undefined, isThere, `read ${name}`);
      assert.is(probe.snapshot(), before, `reading ${name} changed something`);
      assert.is(probe.write(csr, 0n), isThere && KEPT.get(csr) !== null, `write ${name}`);
      if (!isThere || KEPT.get(csr) === null) {
        assert.is(probe.snapshot(), before, `refused write ${name} changed something`);
      }
    }
  }
});

test("each register keeps its legal bits of all ones and of all zeros", () => {
  for (const [csr, kept] of KEPT) {
    if (kept === null) continue;
    const name = csr.toString(16);
    probe.reset();
    if (csr < 4) probe.set(layout.HART_MSTATUS, probe.get(layout.HART_MSTATUS) | FS);
    assert.ok(probe.write(csr, 0n));
    if (csr === MCYCLE || csr === MINSTRET) retire(1);
    const zeros = probe.read(csr)!;
    assert.ok(probe.write(csr, ONES));
    if (csr === MCYCLE || csr === MINSTRET) retire(1);
    assert.is((probe.read(csr)! ^ zeros).toString(16), kept.toString(16), name);
    assert.ok(probe.write(csr, 0n));
    if (csr === MCYCLE || csr === MINSTRET) retire(1);
    // the lock bits of PMP stay by design
    if (csr !== 0x3a0 && csr !== 0x3a2) assert.is(probe.read(csr), zeros, name);
  }
});

test("constants: misa, UXL, SXL, ids", () => {
  probe.reset();
  assert.is(probe.read(0x301), 0x800000000014112dn);
  assert.is(probe.read(MSTATUS), 0xa00000000n);
  assert.is(probe.read(SSTATUS), 0x200000000n);
  probe.set32(layout.HART_ID, 3);
  assert.is(probe.read(0xf14), 3n);
  for (const csr of [0xf11, 0xf12, 0xf13, 0xf15, 0x7a0, 0x7a1]) assert.is(probe.read(csr), 0n);
});

test("SD follows FS alone, in both views", () => {
  for (let fs = 0n; fs < 4n; fs++) {
    probe.reset();
    probe.write(SSTATUS, fs << 13n);
    assert.is(probe.read(MSTATUS)! >> 63n, fs === 3n ? 1n : 0n);
    assert.is(probe.read(SSTATUS), (fs << 13n) | 0x200000000n | (fs === 3n ? 1n << 63n : 0n));
  }
});

test("MPP never becomes 2", () => {
  for (const old of [0n, 1n, 3n]) {
    probe.reset();
    probe.write(MSTATUS, old << 11n);
    probe.write(MSTATUS, 2n << 11n);
    assert.is((probe.read(MSTATUS)! >> 11n) & 3n, old);
  }
});

test("satp takes Bare, Sv39, Sv48, Sv57 and 44 bits of PPN, and nothing of any other mode", () => {
  for (let mode = 0n; mode < 16n; mode++) {
    probe.reset();
    probe.write(SATP, (8n << 60n) | 0x123n);
    const value = (mode << 60n) | ((1n << 60n) - 1n);
    assert.ok(probe.write(SATP, value));
    const isLegal = mode === 0n || (mode >= 8n && mode <= 10n);
    const expected = isLegal ? (mode << 60n) | 0xfffffffffffn : (8n << 60n) | 0x123n;
    assert.is(probe.read(SATP), expected, `mode ${mode}`);
  }
});

test("satp takes no deeper mode than the machine has", () => {
  for (const [most, accepted] of [
    [8, [8n]],
    [9, [8n, 9n]],
  ] as const) {
    for (const mode of [8n, 9n, 10n]) {
      probe.reset();
      probe.machineSet32(layout.MACHINE_SATP_MAX, most);
      probe.write(SATP, mode << 60n);
      const isTaken = (accepted as readonly bigint[]).includes(mode);
      assert.is(probe.read(SATP), isTaken ? mode << 60n : 0n, `${most}: mode ${mode}`);
    }
  }
});

test("trap vectors take modes 0 and 1 only", () => {
  for (const csr of [0x105, 0x305]) {
    probe.reset();
    for (const [written, read] of [
      [0x1001n, 0x1001n],
      [0x2002n, 0x1001n],
      [0x3000n, 0x3000n],
      [7n, 0x3000n],
    ] as const) {
      probe.write(csr, written);
      assert.is(probe.read(csr), read);
    }
  }
});

test("sie and sip show and change only what is delegated; of sip only SSIP is writable", () => {
  const random = new Seeded(2n);
  for (let round = 0; round < 2000; round++) {
    probe.reset();
    const mideleg = random.next() & 0x222n;
    const mie = random.next() & 0xaaan;
    const soft = random.next() & 0x222n;
    const lines = Number(random.next() & 0xa00n);
    probe.write(MIDELEG, mideleg);
    probe.write(MIE, mie);
    probe.write(MIP, soft);
    probe.set32(layout.HART_EXTERNAL, lines);
    const mip = soft | BigInt(lines);
    const at = `SEED=${random.seed} round ${round}`;
    assert.is(probe.read(MIP), mip, at);
    assert.is(probe.read(SIP), mip & mideleg, at);
    assert.is(probe.read(SIE), mie & mideleg, at);
    const value = random.next();
    probe.set32(layout.HART_PRIV, PRIV_S);
    probe.write(SIE, value);
    probe.write(SIP, value);
    probe.set32(layout.HART_PRIV, PRIV_M);
    assert.is(probe.read(MIE), (mie & ~mideleg) | (value & mideleg), at);
    const writable = mideleg & 2n;
    assert.is(probe.read(MIP), (mip & ~writable) | (value & writable), at);
  }
});

test("with STCE, STIP is the comparator's and the software bit is out of reach", () => {
  probe.reset();
  probe.machineSet(layout.MACHINE_IDLE_TICKS, 100n);
  probe.write(MIP, 0x20n);
  probe.write(STIMECMP, 101n);
  assert.is(probe.read(MIP), 0x20n, "software's without STCE");
  probe.write(MENVCFG, STCE);
  assert.is(probe.read(MIP), 0n);
  probe.write(MIP, 0x20n);
  assert.is(probe.read(MIP), 0n);
  probe.machineSet(layout.MACHINE_IDLE_TICKS, 101n);
  assert.is(probe.read(MIP), 0x20n);
  probe.write(MIP, 0n);
  assert.is(probe.read(MIP), 0x20n);
  probe.write(STIMECMP, 102n);
  probe.write(MENVCFG, 0n);
  assert.is(probe.read(MIP), 0x20n, "software's is as it was before STCE");
});

test("stimecmp below M needs STCE and mcounteren.TM", () => {
  for (const priv of [PRIV_S, PRIV_M]) {
    for (const stce of [0n, STCE]) {
      for (const enable of [0n, 2n, ONES - 2n]) {
        probe.reset();
        probe.write(MENVCFG, stce);
        probe.write(MCOUNTEREN, enable);
        probe.set32(layout.HART_PRIV, priv);
        const isOpen = priv === PRIV_M || (stce !== 0n && (enable & 2n) !== 0n);
        assert.is(probe.read(STIMECMP) !== undefined, isOpen);
        assert.is(probe.write(STIMECMP, 5n), isOpen);
        assert.is(probe.get(layout.HART_STIMECMP), isOpen ? 5n : ONES);
      }
    }
  }
});

test("counters need their bit from every privilege above", () => {
  for (let index = 0; index < 32; index++) {
    for (const priv of [PRIV_U, PRIV_S, PRIV_M]) {
      for (let gates = 0; gates < 4; gates++) {
        probe.reset();
        const bit = 1n << BigInt(index);
        probe.write(MCOUNTEREN, gates & 1 ? bit : ~bit & ONES);
        probe.write(SCOUNTEREN, gates & 2 ? bit : ~bit & ONES);
        probe.set32(layout.HART_PRIV, priv);
        const isOpen = priv === PRIV_M || (priv === PRIV_S ? (gates & 1) !== 0 : gates === 3);
        assert.is(probe.read(0xc00 + index) !== undefined, isOpen, `${index} ${priv} ${gates}`);
      }
    }
  }
});

test("TVM takes satp from S-mode and only from it", () => {
  probe.reset();
  probe.write(MSTATUS, TVM);
  assert.ok(probe.write(SATP, 0n));
  probe.set32(layout.HART_PRIV, PRIV_S);
  assert.is(probe.read(SATP), undefined);
  assert.not(probe.write(SATP, 8n << 60n));
  assert.is(probe.get(layout.HART_SATP), 0n);
});

test("float registers are illegal with FS off, and a write makes FS dirty", () => {
  for (const csr of [1, 2, 3]) {
    for (let fs = 0n; fs < 4n; fs++) {
      probe.reset();
      probe.write(MSTATUS, fs << 13n);
      assert.is(probe.read(csr) !== undefined, fs !== 0n);
      assert.is((probe.read(MSTATUS)! >> 13n) & 3n, fs, "a read dirties nothing");
      assert.is(probe.write(csr, 0n), fs !== 0n);
      assert.is((probe.read(MSTATUS)! >> 13n) & 3n, fs === 0n ? 0n : 3n);
    }
  }
});

test("fcsr is fflags and frm; the fast path is open when FS is dirty, frm RNE and NX set", () => {
  probe.reset();
  probe.write(MSTATUS, FS);
  probe.write(3, 0xb5n);
  assert.is(probe.read(1), 0x15n);
  assert.is(probe.read(2), 5n);
  assert.is(probe.get32(layout.HART_FP_FAST), 0);
  probe.write(2, 0n);
  assert.is(probe.read(3), 0x15n);
  assert.is(probe.get32(layout.HART_FP_FAST), 1);
  probe.write(MSTATUS, 2n << 13n);
  assert.is(probe.get32(layout.HART_FP_FAST), 0, "clean");
  probe.write(MSTATUS, FS);
  probe.write(1, 0x1en);
  assert.is(probe.get32(layout.HART_FP_FAST), 0, "NX clear");
});

/** Lets `count` instructions retire, as the run loop counts them. */
function retire(count: number): void {
  for (const field of [layout.HART_RETIRED, layout.HART_SLOTS]) {
    probe.set(field, probe.get(field) + BigInt(count));
  }
}

test("the next instruction reads what was written to a counter", () => {
  for (const csr of [MCYCLE, MINSTRET]) {
    probe.reset();
    retire(1000);
    assert.is(probe.read(csr), 1000n);
    for (const value of [0n, 5n, ONES]) {
      probe.write(csr, value);
      retire(1); // the writing instruction
      assert.is(probe.read(csr), value);
      retire(3);
      assert.is(probe.read(csr), BigInt.asUintN(64, value + 3n));
      assert.is(probe.read(csr + 0x100), probe.read(csr));
    }
  }
});

test("mcountinhibit freezes each counter alone, and a frozen counter can be written", () => {
  for (const [csr, bit, other] of [
    [MCYCLE, 1n, MINSTRET],
    [MINSTRET, 4n, MCYCLE],
  ] as const) {
    probe.reset();
    retire(10);
    probe.write(MCOUNTINHIBIT, bit);
    retire(1);
    assert.is(probe.read(csr), 10n, "the freezing instruction does not count");
    retire(5);
    assert.is(probe.read(csr), 10n);
    assert.is(probe.read(other), 16n);
    probe.write(csr, 50n);
    retire(1);
    assert.is(probe.read(csr), 50n);
    probe.write(MCOUNTINHIBIT, 0n);
    retire(1);
    assert.is(probe.read(csr), 51n, "the releasing instruction counts");
    probe.write(MCOUNTINHIBIT, 0n);
    retire(1);
    assert.is(probe.read(csr), 52n);
  }
});

test("time is 100 ns ticks of slots shared by the harts, or the host's with a bound", () => {
  probe.reset();
  probe.machineSet32(layout.MACHINE_HARTS, 4);
  probe.machineSet(layout.MACHINE_SLOTS, 4079n);
  probe.machineSet(layout.MACHINE_IDLE_TICKS, 7n);
  assert.is(probe.read(0xc01), 108n);
  probe.machineSet32(layout.MACHINE_CLOCK, 1);
  probe.machineSet(layout.MACHINE_HOST_TICKS, 5000n);
  probe.machineSet(layout.MACHINE_HOST_SLOTS, 79n);
  probe.machineSet32(layout.MACHINE_HOST_RATE, 6554); // a tenth of a tick
  probe.machineSet32(layout.MACHINE_HOST_SPAN, 1000);
  assert.is(probe.read(0xc01), 5400n);
  probe.machineSet32(layout.MACHINE_HOST_SPAN, 30);
  assert.is(probe.read(0xc01), 5030n);
});

test("writes that touch translation say so to the run loop, others do not", () => {
  const context = layout.CHANGED_CONTEXT;
  const flush = layout.CHANGED_CONTEXT | layout.CHANGED_FLUSH;
  const cases: [number, bigint, number][] = [
    [MSTATUS, 1n << 17n, context],
    [MSTATUS, 1n << 18n, context],
    [MSTATUS, 1n << 19n, context],
    [MSTATUS, 3n << 11n, context],
    [SSTATUS, 1n << 18n, context],
    [MSTATUS, 0xaan, 0],
    [SATP, 8n << 60n, flush],
    [0x3a0, 0x1fn, flush],
    [0x3b0, 1n, flush],
    [MENVCFG, 1n << 61n, flush],
    [MENVCFG, STCE, 0],
    [0x305, 0x1000n, 0],
  ];
  for (const [csr, value, expected] of cases) {
    probe.reset();
    probe.write(csr, value);
    assert.is(probe.get32(layout.HART_CHANGED), expected, `${csr.toString(16)} ${value}`);
  }
});

test.run();
