/**
 * debug-view: the debugger's window on one machine of the core: tables of break- and watchpoints,
 * stops, CSRs, what the TLBs hold. See assembly/hart/break.ts.
 *
 * Used by machine/debugger.ts and machine/runner.ts.
 * Holds   arguments were checked: no more entries than the tables hold, no watchpoint that wraps.
 */
import {
  HART_PASS_PC,
  HART_PASS_SLOTS,
  HART_SLOTS,
  MACHINE_BREAK_TABLE,
  MACHINE_BREAKS,
  MACHINE_CATCH,
  MACHINE_CSR_VALUE,
  MACHINE_STEP,
  MACHINE_STEP_SLOTS,
  MACHINE_STOP,
  MACHINE_STOP_ACCESS,
  MACHINE_STOP_ADDRESS,
  MACHINE_STOP_HART,
  MACHINE_STOP_INDEX,
  MACHINE_TLB_PAGE,
  MACHINE_WATCH_TABLE,
  MACHINE_WATCHES,
  STOP_BREAK,
  STOP_EBREAK,
  STOP_NONE,
  STOP_STEP,
  STOP_WATCH,
  WATCH_BYTES,
  WATCH_READ,
  WATCH_WRITE,
} from "../../assembly/layout.ts";
import type { MachineView } from "./machine-view.ts";

/** Which accesses stop at a watchpoint. */
export type WatchKind = "read" | "write" | "access";

/** A watchpoint as the core has it. */
export interface WatchEntry {
  readonly address: bigint;
  readonly bytes: number;
  readonly kind: WatchKind;
}

/** Why a hart stopped. */
export type StopCause = "breakpoint" | "watchpoint" | "step" | "ebreak";

/** A stop as the core tells it. */
export interface StopEntry {
  readonly cause: StopCause;
  readonly hart: number;
  /** The breakpoint's, the first watched byte that was accessed, or the pc. */
  readonly address: bigint;
  /** Of a watchpoint: how it was accessed, and its place in the table. */
  readonly access?: "read" | "write";
  readonly watch?: number;
}

/** One translation that is cached. */
export interface TlbEntry {
  readonly kind: "read" | "write" | "execute";
  /** Mode whose accesses it serves; "SUM": S-mode with mstatus.SUM. */
  readonly regime: "U" | "S" | "SUM" | "M";
  readonly page: bigint;
}

const KINDS: Record<WatchKind, number> = {
  read: WATCH_READ,
  write: WATCH_WRITE,
  access: WATCH_READ | WATCH_WRITE,
};
const CAUSES: Record<number, StopCause> = {
  [STOP_BREAK]: "breakpoint",
  [STOP_WATCH]: "watchpoint",
  [STOP_STEP]: "step",
  [STOP_EBREAK]: "ebreak",
};
const REGIMES = ["U", "S", "SUM", "M"] as const;
const INSTRUCTION_REGIMES = ["U", "S", null, "M"] as const;
const TLB_SLOTS = 1024;
const ITLB_SLOTS = 256;
const ARRAY_WRITE = 4;
const ARRAY_INSTRUCTION = 8;

/** The debugger's side of one machine. */
export class DebugView {
  readonly #view: MachineView;

  constructor(view: MachineView) {
    this.#view = view;
  }

  /** Puts both tables in place of those before. */
  setTables(breaks: readonly bigint[], watches: readonly WatchEntry[]): void {
    const view = this.#view;
    breaks.forEach((address, place) => {
      view.set64(MACHINE_BREAK_TABLE + place * 8, address);
    });
    watches.forEach(({ address, bytes, kind }, place) => {
      const at = MACHINE_WATCH_TABLE + place * WATCH_BYTES;
      view.set64(at, address);
      view.set32(at + 8, bytes);
      view.set32(at + 12, KINDS[kind]);
    });
    view.set32(MACHINE_BREAKS, breaks.length);
    view.set32(MACHINE_WATCHES, watches.length);
    view.core.exports.machineDebugApply(view.address);
  }

  /** True: an EBREAK stops before it traps. */
  get catchesEbreak(): boolean {
    return this.#view.get32(MACHINE_CATCH) !== 0;
  }

  set catchesEbreak(value: boolean) {
    this.#view.set32(MACHINE_CATCH, value ? 1 : 0);
  }

  /** The stop that the core has left with, or null. */
  get stop(): StopEntry | null {
    const view = this.#view;
    const code = view.get32(MACHINE_STOP);
    if (code === STOP_NONE) return null;
    const hart = view.get32(MACHINE_STOP_HART);
    const address = view.get64(MACHINE_STOP_ADDRESS);
    if (code !== STOP_WATCH) return { cause: CAUSES[code], hart, address };
    const access = view.get32(MACHINE_STOP_ACCESS) === WATCH_WRITE ? "write" : "read";
    const watch = view.get32(MACHINE_STOP_INDEX);
    return { cause: "watchpoint", hart, address, access, watch };
  }

  /** The hart does not stop before its next instruction: that stop has been told, or is no news. */
  passOver(hart: number): void {
    const block = this.#view.harts[hart];
    block.set64(HART_PASS_PC, block.pc);
    block.setNumber(HART_PASS_SLOTS, block.getNumber(HART_SLOTS) + 1);
  }

  /** The next run stops once the hart has executed an instruction or trapped. */
  armStep(hart: number): void {
    const view = this.#view;
    view.setNumber(MACHINE_STEP_SLOTS, view.harts[hart].getNumber(HART_SLOTS));
    view.set32(MACHINE_STEP, hart + 1);
  }

  /** No step is under way any more. */
  disarmStep(): void {
    this.#view.set32(MACHINE_STEP, 0);
  }

  /** A CSR as M-mode reads it; null when there is none of that number. */
  csrRead(hart: number, csr: number): bigint | null {
    const view = this.#view;
    if (view.core.exports.hartCsrRead(view.address, hart, csr) === 0) return null;
    return view.get64(MACHINE_CSR_VALUE);
  }

  /** Writes a CSR by its own rules; false when there is none or it is read-only. */
  csrWrite(hart: number, csr: number, value: bigint): boolean {
    const view = this.#view;
    const [low, high] = [Number(value & 0xffff_ffffn), Number(BigInt.asUintN(64, value) >> 32n)];
    return view.core.exports.hartCsrWrite(view.address, hart, csr, low, high) !== 0;
  }

  /** What a hart's TLBs hold. */
  tlb(hart: number): TlbEntry[] {
    const entries: TlbEntry[] = [];
    const take = (array: number, slots: number, what: Omit<TlbEntry, "page">) => {
      for (let slot = 0; slot < slots; slot++) {
        const page = this.#tlbEntry(hart, array, slot);
        if (page !== null) entries.push({ ...what, page });
      }
    };
    REGIMES.forEach((regime, array) => {
      take(array, TLB_SLOTS, { kind: "read", regime });
      take(ARRAY_WRITE + array, TLB_SLOTS, { kind: "write", regime });
    });
    INSTRUCTION_REGIMES.forEach((regime, array) => {
      if (regime !== null) take(ARRAY_INSTRUCTION + array, ITLB_SLOTS, { kind: "execute", regime });
    });
    return entries;
  }

  #tlbEntry(hart: number, array: number, slot: number): bigint | null {
    const view = this.#view;
    if (view.core.exports.tlbEntryRead(view.address, hart, array, slot) === 0) return null;
    return view.get64(MACHINE_TLB_PAGE);
  }
}
