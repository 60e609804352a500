/**
 * instance: one instance of machine.wasm over one memory, the arena, reserved whole and never
 * grown.
 *
 * Owns    the WebAssembly memory and the typed arrays over it.
 * Used by the views beside it and by machine/host.ts. The exports are described in
 *         docs/core-abi.md.
 * Holds   the memory is never grown, so no view goes stale.
 */
import { instantiate } from "@assemblyscript/loader";
import { FRAME_BYTES } from "../../assembly/layout.ts";
import { VmError } from "../errors.ts";

/** What machine.wasm exports; every argument and result is a u32. */
export interface CoreExports extends Record<string, unknown> {
  hostInit(arenaPages: number, machinesMax: number): number;
  hostFramesTotal(): number;
  hostFramesFree(): number;
  machineNew(ramPages: number, harts: number, quantum: number): number;
  machineDelete(machine: number): void;
  machineReset(machine: number): number;
  machineHart(machine: number, index: number): number;
  machineRun(machine: number, slots: number): number;
  machineMmioDone(machine: number, low: number, high: number, isOk: number): void;
  machineEcallDone(machine: number): void;
  machineExternal(machine: number, hart: number, lines: number): void;
  machineTicksLow(machine: number): number;
  machineTicksHigh(machine: number): number;
  machineIdleJump(machine: number, low: number, high: number): void;
  machineSync(machine: number): void;
  machineFlush(machine: number, what: number): void;
  pageRead(machine: number, gfn: number): number;
  pageWrite(machine: number, gfn: number): number;
  machineDebugApply(machine: number): void;
  hartCsrRead(machine: number, hart: number, csr: number): number;
  hartCsrWrite(machine: number, hart: number, csr: number, low: number, high: number): number;
  tlbEntryRead(machine: number, hart: number, array: number, slot: number): number;
  machineDigestPages(machine: number): number;
  machineFork(parent: number): number;
  machineFrames(machine: number, isOwn: number): number;
  machineRetain(machine: number): number;
  machineRevert(machine: number, root: number): number;
  rootRelease(root: number): void;
  rootCount(root: number, isOwn: number): number;
  rootPages(root: number, page: number, pages: number): number;
  rootCompare(first: number, second: number, page: number, pages: number): number;
  rootAddress(root: number, page: number): number;
  surveyDesk(): number;
  rootSurvey(root: number, count: number): number;
  pagesSame(a: number, b: number): number;
  rootDigest(root: number, pages: number): number;
  dirtyLogOpen(machine: number): number;
  dirtyLogClose(machine: number, log: number): void;
  dirtyLogCount(machine: number, log: number): number;
  dirtyLogTest(machine: number, log: number, page: number): number;
  dirtyLogHarvest(machine: number, log: number): number;
  pageKind(machine: number, page: number): number;
  pageSlot(machine: number, page: number): number;
  pageArrive(machine: number, page: number, isZero: number): number;
  pagesLeave(machine: number, page: number, count: number, kind: number, slot: number): number;
}

/** Pages of WebAssembly memory are 64 KiB, whatever the guest's are. */
const WASM_PAGE_BYTES = 65536;
const WASM_PAGES_MAX = 65536;
/** The initial size that asconfig.json gives the imported memory; a smaller one does not link. */
const ARENA_BYTES_MIN = 16 * 1024 * 1024;
const ARENA_BYTES_DEFAULT = WASM_PAGES_MAX * WASM_PAGE_BYTES;

/** What `Core.create` may be told. */
export interface CoreOptions {
  /** Bytes of address space to reserve; by default 4 GiB, or the most that the host grants. */
  readonly arenaBytes?: number;
  /** Machines that may exist at a time. */
  readonly machinesMax: number;
}

function checkArena(arenaBytes: number | undefined): void {
  if (arenaBytes === undefined) return;
  const isUsable =
    Number.isSafeInteger(arenaBytes) &&
    arenaBytes >= ARENA_BYTES_MIN &&
    arenaBytes <= ARENA_BYTES_DEFAULT &&
    arenaBytes % WASM_PAGE_BYTES === 0;
  if (isUsable) return;
  const accepted = "accepted are multiples of 65536 from 16 MiB to 4 GiB";
  throw new VmError("bad-config", `arenaBytes ${arenaBytes}: ${accepted}`);
}

/**
 * Reserves the arena; halves the request until the host grants it, unless the size was given. A
 * host that grants more than it gives views of has not granted it.
 */
function reserveMemory(arenaBytes: number | undefined): WebAssembly.Memory {
  let pages = (arenaBytes ?? ARENA_BYTES_DEFAULT) / WASM_PAGE_BYTES;
  for (;;) {
    try {
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
      new Uint8Array(memory.buffer, 0, (pages - 1) * WASM_PAGE_BYTES);
      return memory;
    } catch (cause) {
      const isLast = arenaBytes !== undefined || (pages / 2) * WASM_PAGE_BYTES < ARENA_BYTES_MIN;
      if (isLast) {
        const text = `the host refuses to reserve ${pages * WASM_PAGE_BYTES} bytes of memory`;
        throw new VmError("no-memory", `${text}; give a smaller arenaBytes`, { cause });
      }
      pages /= 2;
    }
  }
}

/** The core: its exports, and the arena as bytes and as words. */
export class Core {
  readonly exports: CoreExports;
  /** Bytes reserved. */
  readonly arenaBytes: number;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;

  private constructor(exports: CoreExports, memory: WebAssembly.Memory) {
    this.exports = exports;
    this.arenaBytes = memory.buffer.byteLength;
    // The core leaves the last 64 KiB alone; without them every view is below the engines' length
    // limit.
    const bytes = this.arenaBytes - WASM_PAGE_BYTES;
    this.u8 = new Uint8Array(memory.buffer, 0, bytes);
    this.u32 = new Uint32Array(memory.buffer, 0, bytes / 4);
    this.u64 = new BigUint64Array(memory.buffer, 0, bytes / 8);
  }

  /** Instantiates the bytes of machine.wasm over a fresh arena. */
  static async create(wasm: Uint8Array, options: CoreOptions): Promise<Core> {
    checkArena(options.arenaBytes);
    const memory = reserveMemory(options.arenaBytes);
    let exports: CoreExports;
    try {
      // The loader's types name classes of the DOM library, so the memory is handed over untyped.
      const env = { memory } as unknown as { memory: never };
      const instance = await instantiate<CoreExports>(wasm as never, { env });
      exports = instance.exports;
    } catch (cause) {
      const text = `machine.wasm (${wasm.length} bytes) does not instantiate`;
      throw new VmError("bad-file", `${text}: ${String(cause)}`, { cause });
    }
    const core = new Core(exports, memory);
    const needed = exports.hostInit(core.arenaBytes / WASM_PAGE_BYTES, options.machinesMax) >>> 0;
    if (needed !== 0) {
      const least = needed * WASM_PAGE_BYTES;
      const text = `arenaBytes ${core.arenaBytes} hold fewer machines than machinesMax`;
      throw new VmError("bad-config", `${text}: at least ${least} are needed`);
    }
    return core;
  }

  /** Frames of 4 KiB in the pool. */
  get framesTotal(): number {
    return this.exports.hostFramesTotal() >>> 0;
  }

  get framesFree(): number {
    return this.exports.hostFramesFree() >>> 0;
  }

  /** Bytes of guest memory that the pool can hold at once. */
  get poolBytes(): number {
    return this.framesTotal * FRAME_BYTES;
  }
}
