/**
 * machine-view: the control plane's window on one machine of the core: its block, its harts, its
 * exits.
 *
 * Owns    the machine in the core from `create` or `fork` to `dispose`.
 * Used by machine/: the runner, the boot, the bus, the digest.
 * Holds   64-bit counts and ticks are numbers: at 10^9 slots a second 2^53 lasts a hundred days of
 *         compute.
 */
import {
  FRAME_BYTES,
  HARTS_MAX,
  LOGS_MAX,
  MACHINE_CLOCK,
  MACHINE_COUNT_DECODES,
  MACHINE_COUNT_FILLS,
  MACHINE_COUNT_FLUSHES,
  MACHINE_COUNT_SLOW,
  MACHINE_COUNT_TRAPS,
  MACHINE_DIGEST,
  MACHINE_EXIT_ADDRESS,
  MACHINE_EXIT_HART,
  MACHINE_EXIT_PAGE,
  MACHINE_EXIT_SIZE,
  MACHINE_EXIT_VALUE,
  MACHINE_EXIT_WRITE,
  MACHINE_HOST_RATE,
  MACHINE_HOST_SLOTS,
  MACHINE_HOST_SPAN,
  MACHINE_HOST_TICKS,
  MACHINE_IDLE_TICKS,
  MACHINE_IDLE_UNTIL,
  MACHINE_LOGS,
  MACHINE_RETIRED,
  MACHINE_ROOT,
  MACHINE_SATP_MAX,
  MACHINE_SBI,
  MACHINE_SLOTS,
  MACHINE_TOHOST,
  NO_FRAME,
  NOT_HERE,
} from "../../assembly/layout.ts";
import { VmError } from "../errors.ts";
import { BlockView } from "./block-view.ts";
import { DirtyLog } from "./dirty-log.ts";
import { HartView } from "./hart-view.ts";
import type { Core } from "./instance.ts";
import { MemoryView } from "./memory-view.ts";
import { RetainedRoot } from "./root.ts";

/** Modes of satp, by name. */
const SATP_MODES = { sv39: 8, sv48: 9, sv57: 10 } as const;
const TWO_32 = 0x1_0000_0000;
const DIGEST_BYTES = 32;

/** What `MachineView.create` needs to know. */
export interface MachineShape {
  readonly ramPages: number;
  readonly harts: number;
  /** Instruction slots that a hart keeps its turn. */
  readonly quantum: number;
  /** Deepest page tables; all of them by default. */
  readonly mmu?: "sv39" | "sv48" | "sv57";
}

/** Counters of the core, for --stats and benches. */
export interface CoreCounters {
  readonly slowExits: number;
  readonly tlbFills: number;
  readonly tlbFlushes: number;
  readonly pagesDecoded: number;
  readonly traps: number;
}

/** One machine in the core. */
export class MachineView extends BlockView {
  readonly harts: readonly HartView[];
  readonly memory: MemoryView;
  readonly ramPages: number;
  #isGone = false;
  #pagesReverted = 0;

  private constructor(core: Core, address: number, ramPages: number, hartCount: number) {
    super(core, address);
    this.ramPages = ramPages;
    const harts: HartView[] = [];
    for (let index = 0; index < hartCount && index < HARTS_MAX; index++) {
      harts.push(new HartView(core, core.exports.machineHart(this.address, index)));
    }
    this.harts = harts;
    this.memory = new MemoryView(core, this.address, ramPages);
  }

  /**
   * Makes a machine with empty RAM, every hart in M-mode. Throws "no-memory" when blocks or frames
   * ran out.
   */
  static create(core: Core, shape: MachineShape): MachineView {
    const address = core.exports.machineNew(shape.ramPages, shape.harts, shape.quantum) >>> 0;
    if (address === 0) {
      const text = `no room for another machine: ${core.framesFree} frames are free`;
      throw new VmError("no-memory", `${text}; dispose a machine or raise machinesMax`);
    }
    const view = new MachineView(core, address, shape.ramPages, shape.harts);
    view.set32(MACHINE_SATP_MAX, SATP_MODES[shape.mmu ?? "sv57"]);
    return view;
  }

  /**
   * A machine that is what `parent` is now: harts copied, every page shared. Its logs, counters and
   * debugger are its own. Throws "no-memory" when blocks or frames ran out.
   */
  static fork(parent: MachineView): MachineView {
    const { core } = parent;
    const address = core.exports.machineFork(parent.address) >>> 0;
    if (address === 0) {
      const text = `no room for another machine: ${core.framesFree} frames are free`;
      throw new VmError("no-memory", `${text}; dispose a machine or raise machinesMax`);
    }
    return new MachineView(core, address, parent.ramPages, parent.harts.length);
  }

  /** Gives every frame back. The view must not be used afterwards. */
  dispose(): void {
    this.#isGone = true;
    this.core.exports.machineDelete(this.address);
  }

  // ---- pages: see root.ts and dirty-log.ts ----

  /**
   * All pages as they are now. The machine goes on copy-on-write. Throws "no-memory" when no frame
   * is free.
   */
  retainRoot(): RetainedRoot {
    const root = this.core.exports.machineRetain(this.address) >>> 0;
    if (root === 0) throw new VmError("no-memory", "no frame is free for another root");
    return new RetainedRoot(this.core, root, this.ramPages);
  }

  /**
   * The machine's own pages, to be looked at while nothing runs or writes: takes no frame, where
   * `retainRoot` takes one.
   */
  lendRoot(): RetainedRoot {
    return new RetainedRoot(this.core, this.get32(MACHINE_ROOT), this.ramPages, true);
  }

  /**
   * RAM becomes what `root` holds: a root of this host and of as much RAM. Every open log gets what
   * changed; harts stay as they are. Returns how many pages changed.
   */
  revertTo(root: RetainedRoot): number {
    if (root.core !== this.core || root.ramPages !== this.ramPages) {
      throw new VmError("bad-argument", "a root of the same host and of equal RAM can be taken");
    }
    this.#pagesReverted = this.core.exports.machineRevert(this.address, root.handle) >>> 0;
    return this.#pagesReverted;
  }

  /** What the last `revertTo` returned. */
  get pagesReverted(): number {
    return this.#pagesReverted;
  }

  /**
   * Opens a dirty log, with nothing marked. Throws "limit" when 8 are open, "no-memory" when no
   * frame is free.
   */
  openLog(): DirtyLog {
    const log = this.core.exports.dirtyLogOpen(this.address) >>> 0;
    if (log === 0) {
      const isFull = this.get32(MACHINE_LOGS) === 2 ** LOGS_MAX - 1;
      if (isFull) throw new VmError("limit", `${LOGS_MAX} dirty logs are open: close one`);
      throw new VmError("no-memory", "no frame is free for a dirty log");
    }
    return new DirtyLog(this.core, this.address, log - 1, () => this.#isGone);
  }

  /** Frames that this machine alone holds, tables and logs included. */
  get framesOwn(): number {
    return this.core.exports.machineFrames(this.address, 1) >>> 0;
  }

  /** What a page is: one of KIND_*. */
  pageKind(page: number): number {
    return this.core.exports.pageKind(this.address, page) >>> 0;
  }

  /** Of a page that is not here: where it is, as pagesLeave was told. */
  pageSlot(page: number): number {
    return this.core.exports.pageSlot(this.address, page) >>> 0;
  }

  /** The page that EXIT_PAGE, or a call of `memory` that found it absent, asks for. */
  get exitPage(): number {
    return this.get32(MACHINE_EXIT_PAGE);
  }

  /**
   * The bytes of a page that is not here; null for zeros. Its location changes, not its content: no
   * log is marked. False when no frame is free. Throws "bad-state" when the page is here.
   */
  pageArrive(page: number, bytes: Uint8Array | null): boolean {
    const at = this.core.exports.pageArrive(this.address, page, bytes === null ? 1 : 0) >>> 0;
    if (at === NOT_HERE) throw new VmError("bad-state", `page ${page} is here already`);
    if (at === NO_FRAME) return false;
    if (bytes !== null) this.core.u8.set(bytes.subarray(0, FRAME_BYTES), at);
    return true;
  }

  /**
   * `count` pages from `page` on leave for `kind` (KIND_SWAP_MEM ... KIND_BASE): page + i is in
   * `slot` + i from now on. Returns how many left before one could not.
   */
  pagesLeave(page: number, count: number, kind: number, slot: number): number {
    return this.core.exports.pagesLeave(this.address, page, count, kind, slot) >>> 0;
  }

  /**
   * RAM back to zeros and harts back to reset; counts and time go on. False when frames ran out.
   */
  reset(): boolean {
    return this.core.exports.machineReset(this.address) !== 0;
  }

  /** Runs at most `slots` instruction slots; the answer is one of EXIT_*. */
  run(slots: number): number {
    return this.core.exports.machineRun(this.address, slots) >>> 0;
  }

  mmioDone(low: number, high: number, isOk: boolean): void {
    this.core.exports.machineMmioDone(this.address, low, high, isOk ? 1 : 0);
  }

  ecallDone(): void {
    this.core.exports.machineEcallDone(this.address);
  }

  /** PLIC lines of a hart: bit 11 MEIP, bit 9 SEIP. */
  setExternal(hart: number, lines: number): void {
    this.core.exports.machineExternal(this.address, hart, lines);
  }

  /** To be called after hart blocks were written. */
  sync(): void {
    this.core.exports.machineSync(this.address);
  }

  /** For tests of law 0: bit 0 drops every translation, bit 1 all decoded code. */
  flush(what: number): void {
    this.core.exports.machineFlush(this.address, what);
  }

  /** Machine time in ticks of 100 ns. */
  get ticks(): number {
    const low = this.core.exports.machineTicksLow(this.address) >>> 0;
    return (this.core.exports.machineTicksHigh(this.address) >>> 0) * TWO_32 + low;
  }

  /** Moves virtual time to `ticks`; never back. */
  idleJump(ticks: number): void {
    this.core.exports.machineIdleJump(this.address, ticks % TWO_32, Math.floor(ticks / TWO_32));
  }

  get slots(): number {
    return this.getNumber(MACHINE_SLOTS);
  }

  get retired(): number {
    return this.getNumber(MACHINE_RETIRED);
  }

  get idleTicks(): number {
    return this.getNumber(MACHINE_IDLE_TICKS);
  }

  /** Frames that this machine names, shared or not, tables and logs included. */
  get frames(): number {
    return this.core.exports.machineFrames(this.address, 0) >>> 0;
  }

  set hasSbi(value: boolean) {
    this.set32(MACHINE_SBI, value ? 1 : 0);
  }

  /** Physical address of HTIF tohost, 0 for none. */
  set tohost(value: number) {
    this.setNumber(MACHINE_TOHOST, value);
  }

  get exitHart(): HartView {
    return this.harts[this.get32(MACHINE_EXIT_HART)];
  }

  get exitAddress(): number {
    return this.getNumber(MACHINE_EXIT_ADDRESS);
  }

  get exitSize(): number {
    return this.get32(MACHINE_EXIT_SIZE);
  }

  get isExitWrite(): boolean {
    return this.get32(MACHINE_EXIT_WRITE) !== 0;
  }

  get exitValueLow(): number {
    return this.get32(MACHINE_EXIT_VALUE);
  }

  get exitValueHigh(): number {
    return this.get32(MACHINE_EXIT_VALUE + 4);
  }

  /** Ticks of the earliest armed timer when every hart waits; Infinity when none is. */
  get idleUntil(): number {
    const ticks = this.getNumber(MACHINE_IDLE_UNTIL);
    return ticks <= Number.MAX_SAFE_INTEGER ? ticks : Number.POSITIVE_INFINITY;
  }

  /**
   * Host clock: machine time is `ticks` now, then `rate` / 65536 ticks per slot, by `span` ticks at
   * most, until the next call.
   */
  setHostTime(ticks: number, rate: number, span: number): void {
    this.set32(MACHINE_CLOCK, 1);
    this.setNumber(MACHINE_HOST_TICKS, ticks);
    this.setNumber(MACHINE_HOST_SLOTS, this.slots);
    this.set32(MACHINE_HOST_RATE, rate);
    this.set32(MACHINE_HOST_SPAN, span);
  }

  /**
   * Hash of every non-zero page with its number: 32 bytes, copied out. Throws "not-found" when a
   * page is not here.
   */
  digestPages(): Uint8Array {
    if (this.core.exports.machineDigestPages(this.address) === 0) {
      const text = `page ${this.exitPage} is not in memory: no digest without it`;
      throw new VmError("not-found", text);
    }
    return this.bytesAt(MACHINE_DIGEST, DIGEST_BYTES).slice();
  }

  get counters(): CoreCounters {
    return {
      slowExits: this.getNumber(MACHINE_COUNT_SLOW),
      tlbFills: this.getNumber(MACHINE_COUNT_FILLS),
      tlbFlushes: this.getNumber(MACHINE_COUNT_FLUSHES),
      pagesDecoded: this.getNumber(MACHINE_COUNT_DECODES),
      traps: this.getNumber(MACHINE_COUNT_TRAPS),
    };
  }
}
