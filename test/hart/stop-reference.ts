/**
 * stop-reference: where stops are due, found by running a machine slot by slot and looking at what
 * each slot was going to execute: registers, page tables and interrupts as the control plane sees
 * them, nothing of the core's own stops.
 *
 * Used by break.test.ts.
 */
import {
  EXIT_IDLE,
  EXIT_MMIO,
  EXIT_TRAP_LOOP,
  HART_MCAUSE,
  HART_MIDELEG,
  HART_MIE,
  HART_MSTATUS,
  HART_MTVEC,
  HART_QUANTUM_POSITION,
  HART_SCAUSE,
  HART_SLOTS,
  HART_STVEC,
  MACHINE_QUANTUM,
  MACHINE_TURN,
} from "../../assembly/layout.ts";
import { decode } from "../../src/asm/decode.ts";
import { CSR } from "../../src/asm/index.ts";
import { DebugView, type WatchEntry } from "../../src/core/debug-view.ts";
import type { HartView } from "../../src/core/hart-view.ts";
import type { MachineView } from "../../src/core/machine-view.ts";
import { translate } from "../../src/machine/translate.ts";

/** What is being looked for. */
export interface Points {
  readonly breaks: ReadonlySet<bigint>;
  readonly watches: readonly WatchEntry[];
}

/** A run's stops as text, in order. */
export interface Stops {
  readonly stops: readonly string[];
  readonly isOver: boolean;
}

/** Answers an exit as law0/split.ts does; true when the program is over. */
export function serveExit(machine: MachineView, exit: number): boolean {
  if (exit === EXIT_MMIO) {
    const isOk = machine.exitAddress % 64 !== 0;
    machine.mmioDone(machine.exitAddress & 0xff, machine.slots & 0xffff, isOk);
    return false;
  }
  if (exit === EXIT_IDLE) {
    if (!Number.isFinite(machine.idleUntil)) return true;
    machine.idleJump(machine.idleUntil);
    return false;
  }
  return exit === EXIT_TRAP_LOOP;
}

/** A stop as text. `slots` are those used before the instruction that it is about. */
export function stopText(
  cause: string,
  hart: number,
  address: bigint,
  access: string,
  slots: number,
): string {
  return `${cause} ${access} hart ${hart} at ${address.toString(16)}, slot ${slots}`;
}

/** Where a hart begins that takes the interrupt which is due at the start of a turn, or null. */
function interruptEntry(machine: MachineView, hart: HartView): bigint | null {
  const mip = new DebugView(machine).csrRead(hart.id, CSR.mip) ?? 0n;
  const pending = mip & hart.get64(HART_MIE);
  const delegated = hart.get64(HART_MIDELEG);
  const mstatus = hart.get64(HART_MSTATUS);
  const { privilege } = hart;
  const toMachine = privilege < 3 || (mstatus & 8n) !== 0n;
  const toSupervisor = privilege < 1 || (privilege === 1 && (mstatus & 2n) !== 0n);
  if (toMachine && (pending & ~delegated) !== 0n) return hart.get64(HART_MTVEC) & ~3n;
  if (toSupervisor && (pending & delegated) !== 0n) return hart.get64(HART_STVEC) & ~3n;
  return null;
}

/** One hart before a slot. */
interface Before {
  readonly pc: bigint;
  readonly used: number;
  readonly retired: number;
  readonly registers: readonly bigint[];
  readonly word: number | null;
}

/** The instruction word at a virtual address, as the hart would fetch it. */
function fetchWord(machine: MachineView, hart: HartView, pc: bigint): number | null {
  const { physical } = translate(hart, machine.memory, pc, "execute");
  const bytes = new Uint8Array(4);
  if (physical === null || !machine.memory.read(Number(physical), bytes)) return null;
  return new DataView(bytes.buffer).getUint32(0, true);
}

function lookBefore(machine: MachineView, hart: HartView): Before {
  const position = hart.get32(HART_QUANTUM_POSITION);
  const isStarting =
    machine.get32(MACHINE_TURN) !== hart.id ||
    position === 0 ||
    position >= machine.get32(MACHINE_QUANTUM) ||
    hart.isWaiting;
  const entry = isStarting ? interruptEntry(machine, hart) : null;
  return {
    pc: entry ?? hart.pc,
    used: hart.getNumber(HART_SLOTS),
    retired: hart.retired,
    registers: Array.from({ length: 32 }, (_, index) => hart.x(index)),
    word: entry === null ? fetchWord(machine, hart, hart.pc) : null,
  };
}

/** What an instruction accesses: first address, bytes, and how, a kind at a time. */
interface Access {
  readonly address: bigint;
  readonly bytes: number;
  readonly kinds: readonly ("read" | "write")[];
}

const SIZES: Record<string, number> = { b: 1, h: 2, w: 4, d: 8 };

function accessOf(word: number, registers: readonly bigint[], rdAfter: bigint): Access | null {
  const instruction = decode(word);
  if (instruction === null) return null;
  const base = registers[(word >>> 15) & 31];
  const { name } = instruction;
  const at = (offset: number) => BigInt.asUintN(64, base + BigInt(offset));
  const load = /^f?l([bhwd])u?$/.exec(name);
  if (load !== null) return { address: at(word >> 20), bytes: SIZES[load[1]], kinds: ["read"] };
  const store = /^f?s([bhwd])$/.exec(name);
  if (store !== null) {
    const offset = ((word >> 25) << 5) | ((word >>> 7) & 31);
    return { address: at(offset), bytes: SIZES[store[1]], kinds: ["write"] };
  }
  if (name === "cboZero") return { address: base & ~63n, bytes: 64, kinds: ["write"] };
  if (name === "lrD") return { address: base, bytes: 8, kinds: ["read"] };
  if (name === "scD") return rdAfter === 0n ? { address: base, bytes: 8, kinds: ["write"] } : null;
  const amo = /^amo.*([WD])$/.exec(name);
  if (amo === null) return null;
  return { address: base, bytes: SIZES[amo[1].toLowerCase()], kinds: ["write", "read"] };
}

/** The text of the stop that an access leads to, or null. */
function watchStop(access: Access, points: Points, hart: number, slots: number): string | null {
  const { address, bytes, kinds } = access;
  const last = address + BigInt(bytes) - 1n;
  for (const kind of kinds) {
    const found = points.watches.find((watch) => {
      const isKind = watch.kind === "access" || watch.kind === kind;
      return isKind && watch.address <= last && address < watch.address + BigInt(watch.bytes);
    });
    if (found === undefined) continue;
    const first = found.address > address ? found.address : address;
    return stopText("watchpoint", hart, first, kind, slots);
  }
  return null;
}

/** True when the hart has just trapped because it could not fetch. */
function hasFetchFault(hart: HartView): boolean {
  const cause = hart.get64(hart.privilege === 3 ? HART_MCAUSE : HART_SCAUSE);
  return cause === 1n || cause === 12n;
}

/** Runs slot by slot to `target` slots; every stop that is due on the way. */
export function referenceStops(machine: MachineView, target: number, points: Points): Stops {
  const stops: string[] = [];
  for (let calls = 0; machine.slots < target; calls++) {
    if (calls > 20 * target) throw new Error("no end");
    const before = machine.harts.map((hart) => lookBefore(machine, hart));
    const { slots } = machine;
    const { traps } = machine.counters;
    const isOver = serveExit(machine, machine.run(1));
    machine.harts.forEach((hart, index) => {
      const { pc, used, retired, registers, word } = before[index];
      if (hart.getNumber(HART_SLOTS) === used) return;
      const hasRetired = hart.retired !== retired;
      if (!hasRetired && machine.counters.traps === traps) return; // waited
      if (!hasRetired && hasFetchFault(hart)) return;
      if (points.breaks.has(pc)) stops.push(stopText("breakpoint", index, pc, "", slots));
      if (!hasRetired || word === null) return;
      const access = accessOf(word, registers, hart.x((word >>> 7) & 31));
      const stop = access === null ? null : watchStop(access, points, index, slots);
      if (stop !== null) stops.push(stop);
    });
    if (isOver) return { stops, isOver };
  }
  return { stops, isOver: false };
}
