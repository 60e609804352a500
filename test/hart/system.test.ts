/**
 * The SYSTEM opcode: what each instruction does in each mode, with each of its gates, and that a
 * trapping instruction changes nothing.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as layout from "../../assembly/layout.ts";
import { PRIV_M, PRIV_S, PRIV_U, Probe, Seeded } from "./probe.ts";

const test = suite("hart/system");
const probe = new Probe();
const NEXT = 0;
const TRAP = 1;
const JUMP = 2;
const WFI = 3;
const SBI = 4;
const TVM = 1n << 20n;
const TW = 1n << 21n;
const TSR = 1n << 22n;
const ECALL = 0x73;
const EBREAK = 0x100073;
const SRET_RAW = 0x10200073;
const MRET_RAW = 0x30200073;
const WFI_RAW = 0x10500073;
const SFENCE = 0x12000073;

function hart(priv: number, mstatus = 0n): void {
  probe.reset();
  probe.set(layout.HART_MSTATUS, 0xa00000000n | mstatus);
  probe.set32(layout.HART_PRIV, priv);
  probe.set(layout.HART_PC, 0x80001234n);
}

/** The answer; of a trap, also its cause and value. */
function execute(raw: number, bits = raw): [number, bigint?, bigint?] {
  const before = probe.snapshot();
  const answer = probe.core.systemExecute(raw, bits);
  if (answer !== TRAP) return [answer];
  assert.is(probe.snapshot(), before, `trapping ${raw.toString(16)} changed something`);
  return [answer, probe.get(layout.HART_TRAP_CAUSE), probe.get(layout.HART_TRAP_VALUE)];
}

function isIllegal(raw: number): void {
  assert.equal(execute(raw), [TRAP, 2n, BigInt(raw >>> 0)], raw.toString(16));
}

test("ECALL names the mode it came from; from S it leaves for the built-in SBI when that is on", () => {
  for (const [priv, cause] of [
    [PRIV_U, 8n],
    [PRIV_S, 9n],
    [PRIV_M, 11n],
  ] as const) {
    hart(priv);
    assert.equal(execute(ECALL), [TRAP, cause, 0n]);
    hart(priv);
    probe.machineSet32(layout.MACHINE_SBI, 1);
    assert.equal(execute(ECALL), priv === PRIV_S ? [SBI] : [TRAP, cause, 0n]);
  }
});

test("EBREAK reports its own address, compressed or not", () => {
  for (const bits of [EBREAK, 0x9002]) {
    hart(PRIV_U);
    assert.equal(execute(EBREAK, bits), [TRAP, 3n, 0x80001234n]);
  }
});

test("an illegal instruction reports the bits that were fetched", () => {
  hart(PRIV_U);
  assert.equal(execute(MRET_RAW, 0x1234), [TRAP, 2n, 0x1234n]);
});

test("MRET, SRET, WFI and SFENCE.VMA are legal exactly where their gates say", () => {
  for (const priv of [PRIV_U, PRIV_S, PRIV_M]) {
    for (let gates = 0n; gates < 8n; gates++) {
      const mstatus = gates << 20n;
      const isSupervisor = priv === PRIV_S;
      const blocks = (gate: bigint): boolean =>
        priv === PRIV_U || (isSupervisor && (mstatus & gate) !== 0n);
      for (const [raw, isBlocked, answer] of [
        [MRET_RAW, priv !== PRIV_M, JUMP],
        [SRET_RAW, blocks(TSR), JUMP],
        [WFI_RAW, blocks(TW), WFI],
        [SFENCE, blocks(TVM), NEXT],
        [SFENCE | (31 << 15) | (31 << 20), blocks(TVM), NEXT],
      ] as const) {
        hart(priv, mstatus);
        if (isBlocked) isIllegal(raw);
        else assert.equal(execute(raw), [answer], `${raw.toString(16)} ${priv} ${gates}`);
      }
    }
  }
});

test("no other encoding of funct3 0 or 4 is legal", () => {
  const legal = new Set([ECALL, EBREAK, SRET_RAW, MRET_RAW, WFI_RAW]);
  const random = new Seeded(6n);
  for (let round = 0; round < 20000; round++) {
    const isRaw = random.below(2) === 0;
    let raw = Number(random.next() & 0xffffff80n) | 0x73;
    if (isRaw) raw = (Number(random.next() & 0xfffn) << 20) | 0x73;
    raw = raw & ~0x7000 & ~(random.below(2) === 0 ? 0xf8f80 : 0);
    if (random.below(4) === 0) raw |= 0x4000;
    const isFence = (raw & 0xfe007fff) === SFENCE;
    if (legal.has(raw) || isFence) continue;
    hart(PRIV_M);
    isIllegal(raw);
  }
});

const MSCRATCH = 0x340;
function csr(funct3: number, rd: number, rs1: number, number: number): number {
  return (number << 20) | (rs1 << 15) | (funct3 << 12) | (rd << 7) | 0x73;
}

test("the six Zicsr forms read, write, set and clear", () => {
  const random = new Seeded(7n);
  for (let round = 0; round < 4000; round++) {
    hart(PRIV_M);
    const [old, operand] = [random.next(), random.next()];
    const [rd, rs1] = [random.pick([0, 1, 5, 31]), random.pick([0, 1, 5, 30])];
    const funct3 = random.pick([1, 2, 3, 5, 6, 7]);
    probe.set(layout.HART_MSCRATCH, old);
    for (const register of [1, 5, 30, 31]) probe.set(layout.HART_X + 8 * register, operand);
    const value = funct3 > 4 ? BigInt(rs1) : rs1 === 0 ? 0n : operand;
    let next = value;
    if ((funct3 & 3) === 2) next = old | value;
    if ((funct3 & 3) === 3) next = old & ~value;
    assert.equal(execute(csr(funct3, rd, rs1, MSCRATCH)), [NEXT]);
    assert.is(probe.get(layout.HART_MSCRATCH), next, `SEED=${random.seed} round ${round}`);
    assert.is(probe.get(layout.HART_X + 8 * rd), rd === 0 ? 0n : old);
    assert.is(probe.get(layout.HART_X), 0n);
  }
});

test("set and clear of x0 do not write, and a zero in another register does", () => {
  const MHARTID = 0xf14;
  for (const funct3 of [2, 3, 6, 7]) {
    hart(PRIV_M);
    assert.equal(execute(csr(funct3, 5, 0, MHARTID)), [NEXT]);
    isIllegal(csr(funct3, 5, 6, MHARTID)); // x6 holds 0
  }
  for (const funct3 of [1, 5]) isIllegal(csr(funct3, 0, 0, MHARTID));
  // fcsr: a suppressed write must not make FS dirty
  hart(PRIV_M, 1n << 13n);
  execute(csr(2, 5, 0, 3));
  assert.is((probe.get(layout.HART_MSTATUS) >> 13n) & 3n, 1n);
  execute(csr(2, 5, 6, 3));
  assert.is((probe.get(layout.HART_MSTATUS) >> 13n) & 3n, 3n);
});

test("set and clear of mip leave the software SEIP as it was, whatever the PLIC's line is", () => {
  for (const soft of [0n, 0x200n]) {
    hart(PRIV_M);
    probe.set(layout.HART_MIP_SOFT, soft);
    probe.set32(layout.HART_EXTERNAL, 0x200);
    probe.set(layout.HART_X + 8, 2n); // x1: SSIP
    execute(csr(2, 5, 1, 0x344));
    assert.is(probe.get(layout.HART_X + 40), 0x200n, "rd sees the OR");
    assert.is(probe.get(layout.HART_MIP_SOFT), soft | 2n);
    execute(csr(3, 5, 1, 0x344));
    assert.is(probe.get(layout.HART_MIP_SOFT), soft);
    probe.set(layout.HART_X + 8, 0x200n);
    execute(csr(3, 0, 1, 0x344));
    assert.is(probe.get(layout.HART_MIP_SOFT), 0n);
  }
});

test("rs1 and rd may be the same register", () => {
  hart(PRIV_M);
  probe.set(layout.HART_MSCRATCH, 7n);
  probe.set(layout.HART_X + 8, 9n);
  execute(csr(1, 1, 1, MSCRATCH));
  assert.is(probe.get(layout.HART_X + 8), 7n);
  assert.is(probe.get(layout.HART_MSCRATCH), 9n);
});

test.run();
