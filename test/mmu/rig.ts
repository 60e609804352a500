/**
 * rig: the core and the reference side by side, one or two instructions at a time, each outcome
 * compared.
 *
 * Owns    a machine whose first pages hold the stubs of instructions.ts, and a reference with the
 *         same memory.
 * Used by the suites of this folder.
 * Holds   between steps the TLBs and decode caches stay as they are: blocks are written without
 *         machineSync.
 */
import * as assert from "uvu/assert";
import {
  EXIT_BUDGET,
  EXIT_MMIO,
  HART_MCAUSE,
  HART_MENVCFG,
  HART_MEPC,
  HART_MSTATUS,
  HART_MTVAL,
  HART_MTVEC,
  HART_PMPADDR,
  HART_PMPCFG,
  HART_RESERVATION,
  HART_SATP,
  MACHINE_TURN,
} from "../../assembly/layout.ts";
import type { Core } from "../../src/core/instance.ts";
import { MachineView } from "../../src/core/machine-view.ts";
import { brokenInvariants } from "../memory/invariants.ts";
import {
  bitsOf,
  FIRST,
  HANDLER_OFFSET,
  KINDS,
  type KindName,
  SECOND,
  stubBytes,
  stubOffset,
} from "./instructions.ts";
import { MASK, MSTATUS, NO_RESERVATION, type Outcome, PRIV, RAM, Reference } from "./reference.ts";

/** One instruction with its operands. */
export interface Step {
  readonly kind: KindName;
  readonly address?: bigint;
  readonly operand?: bigint;
}

/**
 * In which mode a step runs: in M, S or U, or in M with loads and stores as if in S or U (MPRV).
 */
export type Mode = "M" | "S" | "U" | "M as S" | "M as U";

/** Where the stubs lie for a mode; by default at the physical address. */
export type StubAddress = (mode: Mode) => bigint;

const XL64 = 0xa_0000_0000n;
/** Two settings of mstatus beside SUM and MXR, which belong to the reference. */
const SETTINGS: Readonly<Record<Mode, { priv: number; mstatus: bigint }>> = {
  M: { priv: PRIV.M, mstatus: 3n << 11n },
  S: { priv: PRIV.S, mstatus: 0n },
  U: { priv: PRIV.U, mstatus: 0n },
  "M as S": { priv: PRIV.M, mstatus: MSTATUS.MPRV | (1n << 11n) },
  "M as U": { priv: PRIV.M, mstatus: MSTATUS.MPRV },
};
const TRAIL_MAX = 40;
/** No trap has this cause. */
const UNTOUCHED = MASK;

const hex = (value: bigint) => `0x${(value & MASK).toString(16)}`;

function describe(outcome: Outcome): string {
  if (outcome.kind === "trap") return `trap ${outcome.cause} value ${hex(outcome.value)}`;
  return outcome.value === null ? "done" : `done, ${hex(outcome.value)}`;
}

/** What a rig is made of. */
export interface RigOptions {
  readonly ramPages?: number;
  readonly harts?: number;
}

/** Core and reference side by side. */
export class Rig {
  readonly machine: MachineView;
  readonly reference: Reference;
  /** Where the current address spaces map the stubs. */
  stubs: StubAddress = () => RAM;
  steps = 0;
  traps = 0;
  /** The last steps, for a failure's message. */
  readonly #trail: (() => string)[] = [];
  #trailAt = 0;
  #hart = 0;

  constructor(core: Core, { ramPages = 2048, harts = 1 }: RigOptions = {}) {
    this.machine = MachineView.create(core, { ramPages, harts, quantum: 100_000_000 });
    this.reference = new Reference(ramPages * 4096, harts);
    this.load(RAM, stubBytes());
    for (const hart of this.machine.harts) {
      hart.set64(HART_MTVEC, RAM + BigInt(HANDLER_OFFSET));
      const state = this.reference.harts[hart.id];
      hart.set64(HART_MENVCFG, state.menvcfg);
      state.pmpConfig.forEach((config, entry) => {
        hart.set8(HART_PMPCFG + entry, config);
        hart.set64(HART_PMPADDR + entry * 8, state.pmpAddress[entry]);
      });
    }
    this.machine.sync();
  }

  /** Gives the machine's frames back. */
  dispose(): void {
    this.machine.dispose();
  }

  /** Puts bytes into both memories, through the door that devices use. */
  load(physical: bigint, bytes: Uint8Array): void {
    this.reference.dma(physical, bytes);
    assert.ok(this.machine.memory.write(Number(physical), bytes), `write ${hex(physical)}`);
  }

  load64(physical: bigint, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    this.note(() => `dma ${hex(physical)} = ${hex(value)}`);
    this.load(physical, bytes);
  }

  /** Copies everything that the reference's memory holds into the machine. */
  loadAll(): void {
    for (let page = 0; page < this.reference.ram.length; page += 4096) {
      const bytes = this.reference.ram.subarray(page, page + 4096);
      if (bytes.some((byte) => byte !== 0)) {
        this.machine.memory.write(Number(RAM) + page, bytes.slice());
      }
    }
  }

  /** A line of the trail that a failure prints. */
  note(text: () => string): void {
    this.#trail[this.#trailAt++ % TRAIL_MAX] = text;
  }

  /** Drops translations (bit 0) and decoded code (bit 1). */
  flush(what: number): void {
    this.note(() => `machineFlush ${what}`);
    this.machine.flush(what);
  }

  /**
   * Chooses the hart that steps from now on. The other one's reservation ends, as with any turn.
   */
  turn(hart: number): void {
    if (hart === this.#hart) return;
    this.machine.harts[this.#hart].set64(HART_RESERVATION, NO_RESERVATION);
    this.reference.harts[this.#hart].reservation = NO_RESERVATION;
    this.#hart = hart;
    this.machine.set32(MACHINE_TURN, hart);
  }

  get state() {
    return this.reference.harts[this.#hart];
  }

  #enter(mode: Mode, pc: bigint): void {
    const hart = this.machine.harts[this.#hart];
    const setting = SETTINGS[mode];
    const sticky = this.state.mstatus & (MSTATUS.SUM | MSTATUS.MXR);
    this.state.priv = setting.priv;
    this.state.mstatus = sticky | setting.mstatus;
    hart.privilege = setting.priv;
    hart.set64(HART_MSTATUS, XL64 | this.state.mstatus);
    hart.set64(HART_MCAUSE, UNTOUCHED);
    hart.pc = pc;
  }

  /** Runs for `slots` slots; device accesses end in access faults. */
  #run(slots: number): void {
    const end = this.machine.slots + slots;
    for (let turn = 0; turn <= slots && this.machine.slots < end; turn++) {
      const exit = this.machine.run(end - this.machine.slots);
      if (exit === EXIT_MMIO) this.machine.mmioDone(0, 0, false);
      else if (exit !== EXIT_BUDGET) assert.unreachable(this.#context(`exit ${exit}`));
    }
    if (this.machine.slots !== end) assert.unreachable(this.#context("slots not used"));
  }

  #context(what: string): string {
    const lines = Array.from({ length: TRAIL_MAX }, (_, index) =>
      this.#trail[(this.#trailAt + index) % TRAIL_MAX]?.(),
    );
    return `${what}; the steps before:\n  ${lines.filter(Boolean).join("\n  ")}`;
  }

  #compare(what: string, expected: Outcome, actual: Outcome): void {
    const isSame =
      expected.value === actual.value &&
      expected.kind === actual.kind &&
      (expected.kind === "done" || expected.cause === (actual as typeof expected).cause);
    if (isSame) return;
    const [want, got] = [describe(expected), describe(actual)];
    assert.unreachable(this.#context(`${what}: ${got}, expected ${want}`));
  }

  /**
   * What the reference says about one step at `pc`; null, and nothing done, when something else is
   * mapped there now.
   */
  #expect(step: Step, pc: bigint, position: number): Outcome | null {
    const { reference, state } = this;
    const bits = bitsOf(step.kind, position);
    const fetch = () => BigInt(reference.fetch(state, pc));
    const seen = reference.attempt(() => reference.peek(fetch));
    if (seen.kind === "done" && seen.value !== BigInt(bits)) return null;
    const fetched = reference.attempt(fetch);
    if (fetched.kind === "trap") return fetched;
    const { address = 0n, operand = 0n } = step;
    return reference.attempt(() =>
      KINDS[step.kind].effect(reference, state, address & MASK, operand & MASK, bits),
    );
  }

  /**
   * Runs one instruction, or two in one turn, here and there. Returns the outcomes: fewer than
   * steps when the first one traps, or when the address space has come to lead elsewhere than to
   * the stubs.
   */
  step(mode: Mode, ...steps: [Step] | [Step, Step]): Outcome[] {
    const [first, second] = steps;
    const hart = this.machine.harts[this.#hart];
    const pc = (this.stubs(mode) + BigInt(stubOffset(first.kind, second?.kind ?? "nop"))) & MASK;
    this.#enter(mode, pc);
    steps.forEach((step, index) => {
      const registers = index === 0 ? FIRST : SECOND;
      hart.setX(registers.address, step.address ?? 0n);
      hart.setX(registers.operand, step.operand ?? 0n);
      const which = this.#hart;
      this.note(() => {
        const at = `${step.kind} ${hex(step.address ?? 0n)} ${hex(step.operand ?? 0n)}`;
        return `hart ${which} in ${mode}${index === 0 ? "" : ", same turn"}: ${at}`;
      });
    });
    const one = this.#expect(first, pc, 0);
    if (one === null) return [];
    const outcomes = [one];
    if (second !== undefined && one.kind === "done") {
      const other = this.#expect(second, (pc + 4n) & MASK, 1);
      if (other !== null) outcomes.push(other);
    }
    this.#run(outcomes.length);
    const cause = hart.get64(HART_MCAUSE);
    const trapAt = cause === UNTOUCHED ? -1 : hart.get64(HART_MEPC) === pc ? 0 : 1;
    outcomes.forEach((expected, index) => {
      const actual = this.#actual(expected, index, trapAt);
      this.#compare(`step ${this.steps}: ${steps[index].kind}`, expected, actual);
      this.steps++;
      if (expected.kind === "trap") this.traps++;
    });
    return outcomes;
  }

  #actual(expected: Outcome, index: number, trapAt: number): Outcome {
    const hart = this.machine.harts[this.#hart];
    if (trapAt === index) {
      const cause = Number(hart.get64(HART_MCAUSE));
      return { kind: "trap", cause, value: hart.get64(HART_MTVAL) };
    }
    const hasValue = expected.kind === "done" && expected.value !== null;
    const result = index === 0 ? FIRST.result : SECOND.result;
    return { kind: "done", value: hasValue ? hart.x(result) : null };
  }

  /**
   * Jumps to `pc` and executes what is there: an instruction of 16 or 32 bits that sets a0 (addi or
   * c.li), a nop, or 16 zero bits. Anything else that the reference finds there is left alone:
   * null.
   */
  jump(mode: Mode, pc: bigint): Outcome | null {
    const hart = this.machine.harts[this.#hart];
    const address = pc & MASK & ~1n;
    this.#enter(mode, address);
    const { reference, state } = this;
    const fetch = () => BigInt(reference.fetch(state, address));
    const seen = reference.attempt(() => reference.peek(fetch));
    const effect = seen.kind === "trap" ? seen : executed(Number(seen.value));
    if (effect === null) return null;
    reference.attempt(fetch);
    const which = this.#hart;
    this.note(() => `hart ${which} in ${mode}: jump to ${hex(address)}`);
    hart.setX(FIRST.result, 0n);
    this.#run(1);
    const trapAt = hart.get64(HART_MCAUSE) === UNTOUCHED ? -1 : 0;
    this.#compare(`step ${this.steps}: jump`, effect, this.#actual(effect, 0, trapAt));
    this.steps++;
    if (effect.kind === "trap") this.traps++;
    return effect;
  }

  /**
   * Both memories are the same, byte by byte, as are the harts' satp; and everything derived in the
   * core holds.
   */
  compareAll(): void {
    const broken = brokenInvariants(this.machine.core, [this.machine]);
    if (broken.length > 0) assert.unreachable(this.#context(broken.join("; ")));
    const page = new Uint8Array(4096);
    for (let offset = 0; offset < this.reference.ram.length; offset += 4096) {
      this.machine.memory.read(Number(RAM) + offset, page);
      const expected = this.reference.ram.subarray(offset, offset + 4096);
      if (Buffer.compare(page, expected) === 0) continue;
      const at = page.findIndex((byte, index) => byte !== expected[index]);
      const where = hex(RAM + BigInt(offset + at));
      assert.unreachable(this.#context(`memory differs at ${where}`));
    }
    for (const hart of this.machine.harts) {
      assert.is(hart.get64(HART_SATP), this.reference.harts[hart.id].satp, `satp of ${hart.id}`);
    }
  }
}

/** What the few instructions that `jump` knows do; null for all others. */
function executed(bits: number): Outcome | null {
  if ((bits & 0xffff) === 0) return { kind: "trap", cause: 2, value: 0n };
  if (bits === 1 || bits === 0x13) return { kind: "done", value: 0n };
  const isShort = (bits & 3) !== 3;
  if (!isShort && (bits & 0xfffff) === 0x513) {
    return { kind: "done", value: BigInt.asUintN(64, BigInt.asIntN(12, BigInt(bits >>> 20))) };
  }
  if (isShort && (bits & 0xef83) === 0x4501) {
    const value = ((bits >> 2) & 31) | ((bits & 0x1000) !== 0 ? ~31 : 0);
    return { kind: "done", value: BigInt.asUintN(64, BigInt(value)) };
  }
  return null;
}
