/**
 * Traps, returns and interrupts against a plain model of Privileged 3.1.6, 3.1.8, 3.1.9.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as layout from "../../assembly/layout.ts";
import { PRIV_M, PRIV_S, PRIV_U, Probe, Seeded } from "./probe.ts";

const test = suite("hart/trap");
const probe = new Probe();
const ONES = (1n << 64n) - 1n;
const PRIVS = [PRIV_U, PRIV_S, PRIV_M] as const;
const SYNCHRONOUS = [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 11n, 12n, 13n, 15n];
const INTERRUPTS = [1n, 3n, 5n, 7n, 9n, 11n];
const bit = (value: bigint, at: number): bigint => (value >> BigInt(at)) & 1n;

/** mstatus with single bits replaced: [position, value] pairs; MPP goes as two. */
function replaced(mstatus: bigint, ...fields: [number, bigint][]): bigint {
  let result = mstatus;
  for (const [at, value] of fields) {
    result = (result & ~(1n << BigInt(at))) | (value << BigInt(at));
  }
  return result;
}

function randomHart(random: Seeded): bigint {
  probe.reset();
  let mstatus = random.next() & 0x7e79aan;
  if (((mstatus >> 11n) & 3n) === 2n) mstatus |= 0x1800n;
  mstatus |= 0xa00000000n;
  probe.set(layout.HART_MSTATUS, mstatus);
  probe.set(layout.HART_MEDELEG, random.next() & 0xb3ffn);
  probe.set(layout.HART_MIDELEG, random.next() & 0x222n);
  probe.set(layout.HART_MTVEC, (random.next() & ~3n) | BigInt(random.below(2)));
  probe.set(layout.HART_STVEC, (random.next() & ~3n) | BigInt(random.below(2)));
  probe.set(layout.HART_MEPC, random.next() & ~1n);
  probe.set(layout.HART_SEPC, random.next() & ~1n);
  probe.set(layout.HART_PC, random.next() & ~1n);
  probe.set32(layout.HART_PRIV, random.pick(PRIVS));
  return mstatus;
}

test("a trap goes where delegation, mode and vector say, and stacks what it must", () => {
  const random = new Seeded(3n);
  for (let round = 0; round < 4000; round++) {
    const mstatus = randomHart(random);
    const isInterrupt = random.below(2) === 1;
    const cause = random.pick(isInterrupt ? INTERRUPTS : SYNCHRONOUS);
    const value = random.next();
    const priv = probe.get32(layout.HART_PRIV);
    const pc = probe.get(layout.HART_PC);
    const delegated = probe.get(isInterrupt ? layout.HART_MIDELEG : layout.HART_MEDELEG);
    const toS = priv !== PRIV_M && bit(delegated, Number(cause)) === 1n;
    const vector = probe.get(toS ? layout.HART_STVEC : layout.HART_MTVEC);
    const spread = isInterrupt && (vector & 3n) === 1n ? 4n * cause : 0n;
    const p = BigInt(priv);
    const expected = toS
      ? replaced(mstatus, [5, bit(mstatus, 1)], [1, 0n], [8, p])
      : replaced(mstatus, [7, bit(mstatus, 3)], [3, 0n], [11, p & 1n], [12, p >> 1n]);
    probe.core.trapTake(cause, value, isInterrupt ? 1 : 0);
    const at = `SEED=${random.seed} round ${round}`;
    assert.is(probe.get32(layout.HART_PRIV), toS ? PRIV_S : PRIV_M, at);
    assert.is(probe.get(layout.HART_MSTATUS), expected, at);
    assert.is(probe.get(layout.HART_PC), BigInt.asUintN(64, (vector & ~3n) + spread), at);
    const code = isInterrupt ? cause | (1n << 63n) : cause;
    assert.is(probe.get(toS ? layout.HART_SCAUSE : layout.HART_MCAUSE), code, at);
    assert.is(probe.get(toS ? layout.HART_SEPC : layout.HART_MEPC), pc, at);
    assert.is(probe.get(toS ? layout.HART_STVAL : layout.HART_MTVAL), value, at);
    assert.is(probe.get(toS ? layout.HART_MCAUSE : layout.HART_SCAUSE), 0n, at);
    assert.ok(probe.get32(layout.HART_CHANGED) & layout.CHANGED_CONTEXT, at);
  }
});

test("a return unstacks, and clears MPRV unless it stays in M-mode", () => {
  const random = new Seeded(4n);
  for (let round = 0; round < 2000; round++) {
    const mstatus = randomHart(random);
    probe.set(layout.HART_RESERVATION, 0x80000000n);
    const isMachine = random.below(2) === 0;
    const mpp = (mstatus >> 11n) & 3n;
    const target = isMachine ? mpp : bit(mstatus, 8);
    let expected = isMachine
      ? replaced(mstatus, [3, bit(mstatus, 7)], [7, 1n], [11, 0n], [12, 0n])
      : replaced(mstatus, [1, bit(mstatus, 5)], [5, 1n], [8, 0n]);
    if (target !== 3n) expected = replaced(expected, [17, 0n]);
    const pc = probe.get(isMachine ? layout.HART_MEPC : layout.HART_SEPC);
    if (isMachine) probe.core.trapReturnMachine();
    else probe.core.trapReturnSupervisor();
    const at = `SEED=${random.seed} round ${round}`;
    assert.is(probe.get(layout.HART_MSTATUS), expected, at);
    assert.is(probe.get32(layout.HART_PRIV), Number(target), at);
    assert.is(probe.get(layout.HART_PC), pc, at);
    assert.is(probe.get(layout.HART_RESERVATION), 0x80000000n, at);
    assert.ok(probe.get32(layout.HART_CHANGED) & layout.CHANGED_CONTEXT, at);
  }
});

/** What Privileged 3.1.9 makes of it, or -1. */
function takenByModel(mip: bigint): number {
  const mstatus = probe.get(layout.HART_MSTATUS);
  const mideleg = probe.get(layout.HART_MIDELEG);
  const priv = probe.get32(layout.HART_PRIV);
  const pending = mip & probe.get(layout.HART_MIE);
  for (const toMachine of [true, false]) {
    const target = toMachine ? PRIV_M : PRIV_S;
    const isOn = bit(mstatus, toMachine ? 3 : 1) === 1n;
    if (priv > target || (priv === target && !isOn)) continue;
    for (const cause of [11, 3, 7, 9, 1, 5]) {
      if (bit(pending, cause) === 1n && (bit(mideleg, cause) === 0n) === toMachine) return cause;
    }
  }
  return -1;
}

test("mip is composed of its sources, and the right interrupt is taken", () => {
  const random = new Seeded(5n);
  const tally = new Map<number, number>();
  for (let round = 0; round < 6000; round++) {
    randomHart(random);
    const sparse = (): bigint => random.next() & random.next();
    const soft = sparse() & 0x222n;
    const lines = Number(sparse() & 0xa00n);
    const isMsip = random.below(4) === 0;
    const stce = random.below(2) === 0;
    const [mtimecmp, stimecmp] = [BigInt(random.below(4)), BigInt(random.below(4))];
    const now = BigInt(random.below(4));
    probe.set(layout.HART_MIE, random.next() & 0xaaan);
    probe.set(layout.HART_MIP_SOFT, soft);
    probe.set32(layout.HART_EXTERNAL, lines);
    probe.set32(layout.HART_MSIP, isMsip ? 1 : 0);
    probe.set(layout.HART_MENVCFG, stce ? 1n << 63n : 0n);
    probe.set(layout.HART_MTIMECMP, mtimecmp);
    probe.set(layout.HART_STIMECMP, stimecmp);
    probe.machineSet(layout.MACHINE_IDLE_TICKS, now);
    let mip = soft | BigInt(lines);
    if (isMsip) mip |= 8n;
    if (now >= mtimecmp) mip |= 0x80n;
    if (stce) mip = now >= stimecmp ? mip | 0x20n : mip & ~0x20n;
    const at = `SEED=${random.seed} round ${round}`;
    assert.is(probe.core.mipNow(), mip, at);
    const taken = takenByModel(mip);
    assert.is(probe.core.interruptPending(), taken, at);
    tally.set(taken, (tally.get(taken) ?? 0) + 1);
    const mie = probe.get(layout.HART_MIE);
    assert.is(probe.core.interruptWakes() !== 0, (mip & mie) !== 0n, at);
    let next = ONES;
    if (mie & 0x80n) next = mtimecmp;
    if (mie & 0x20n && stce && stimecmp < next) next = stimecmp;
    assert.is(BigInt.asUintN(64, probe.core.timerNext()), next, at);
  }
  for (const cause of [-1, 1, 3, 5, 7, 9, 11]) assert.ok((tally.get(cause) ?? 0) > 20, `${cause}`);
});

test("a hart comes out of reset in M-mode at the mask ROM with nothing armed", () => {
  probe.reset();
  for (let field = 0; field < layout.HART_DIGEST_BYTES; field += 8) probe.set(field, ONES);
  probe.core.hartReset(layout.RUN, 2);
  const expected = new Map<number, bigint>([
    [layout.HART_PC, 0x1000n],
    [layout.HART_PRIV, 3n],
    [layout.HART_RESERVATION, ONES],
    [layout.HART_MSTATUS, 0xa00000000n],
    [layout.HART_MTIMECMP, ONES],
    [layout.HART_STIMECMP, ONES],
    [layout.HART_ID, 2n],
    [layout.HART_PMP_ACTIVE, 1n],
  ]);
  for (let field = 0; field < layout.HART_DIGEST_BYTES; field += 8) {
    assert.is(probe.get(field), expected.get(field) ?? 0n, `field ${field}`);
  }
  assert.is(probe.core.interruptPending(), -1);
  assert.is(BigInt.asUintN(64, probe.core.timerNext()), ONES);
});

test.run();
