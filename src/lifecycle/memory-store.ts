/**
 * memory-store: keeps states in the host's memory beside the arena, a chunk of pages at a time.
 * A machine comes back at once: each page is copied in when it is touched.
 *
 * Used by manager.ts: where machines are suspended into unless there is a snapshot store.
 * Holds   the pages kept are those that are not zero. They go with the last machine that may still
 *         touch one.
 */
import { KIND_BASE, KIND_FRAME, KIND_ZERO } from "../../assembly/layout.ts";
import type { MachineView } from "../core/machine-view.ts";
import { RAM_BASE } from "../core/memory-view.ts";
import type { BlockBackend } from "../device/block/contract.ts";
import { VmError } from "../errors.ts";
import type { MachineCapture, SavedMachine } from "../machine/capture.ts";
import type { MachineConfig } from "../machine/config.ts";
import type { Machine } from "../machine/machine.ts";
import type { Pager } from "../machine/pager.ts";
import type { Platform } from "../platform/contract.ts";
import { bootFiles } from "./boot-files.ts";
import type { BackOptions, KeepOptions, KeptState, MakeOptions, StateStore } from "./contract.ts";

const PAGE_BYTES = 4096;
/** Pages of a chunk: 256 KiB. */
const CHUNK_PAGES = 64;
/** Pages copied before others get their turn: 2 MiB. */
const TURN_PAGES = 512;

/** Pages by number, in chunks. */
class PageHeap {
  readonly #numbers: number[] = [];
  readonly #chunks: Uint8Array[] = [];

  get count(): number {
    return this.#numbers.length;
  }

  get bytes(): number {
    return this.#chunks.length * CHUNK_PAGES * PAGE_BYTES;
  }

  /** Room for the bytes of `page`; pages come in ascending order. */
  add(page: number): Uint8Array {
    const slot = this.#numbers.length;
    if (slot % CHUNK_PAGES === 0) this.#chunks.push(new Uint8Array(CHUNK_PAGES * PAGE_BYTES));
    this.#numbers.push(page);
    return this.at(slot);
  }

  at(slot: number): Uint8Array {
    const offset = (slot % CHUNK_PAGES) * PAGE_BYTES;
    return this.#chunks[Math.floor(slot / CHUNK_PAGES)].subarray(offset, offset + PAGE_BYTES);
  }

  /** Every page of a view whose RAM is zero is absent then, and in the slot that it has here. */
  spread(view: MachineView): void {
    for (let slot = 0; slot < this.count; ) {
      const page = this.#numbers[slot];
      let count = 1;
      while (this.#numbers[slot + count] === page + count) count++;
      if (view.pagesLeave(page, count, KIND_BASE, slot) !== count) {
        throw new VmError("no-memory", "no frame is free for the tables of a machine that wakes");
      }
      slot += count;
    }
  }

  /** RAM becomes these pages, and zero where there is none. */
  fill(view: MachineView): void {
    const own = view.retainRoot();
    try {
      const here = new Set(this.#numbers);
      for (const batch of own.pages()) {
        for (const page of batch.slice()) if (!here.has(page)) this.#write(view, page, ZEROS);
      }
      for (const [slot, page] of this.#numbers.entries()) this.#write(view, page, this.at(slot));
    } finally {
      own.release();
    }
  }

  #write(view: MachineView, page: number, bytes: Uint8Array): void {
    if (view.memory.write(RAM_BASE + page * PAGE_BYTES, bytes)) return;
    throw new VmError("no-memory", `RAM page ${page}: no frame is free for it`);
  }
}

/** A machine beside the arena. */
class KeptPages implements KeptState {
  readonly #capture: MachineCapture;
  readonly #name: string;
  readonly #files: MachineConfig;
  #pages: PageHeap | null;

  /** The capture's root is released already: sections and disks are what is wanted of it. */
  constructor({ name, config }: Machine, capture: MachineCapture, pages: PageHeap) {
    this.#name = name;
    this.#files = bootFiles(config);
    this.#capture = capture;
    this.#pages = pages;
  }

  get bytes(): number {
    return this.#pages?.bytes ?? 0;
  }

  get #heap(): PageHeap {
    if (this.#pages !== null) return this.#pages;
    throw new VmError("disposed", `the kept state of ${this.#name} was released`);
  }

  #saved(fill: (view: MachineView) => void, disks: SavedMachine["disks"]): SavedMachine {
    const { shape, sections, wallMs } = this.#capture;
    return { shape, sections, wallMs, fill, ...(disks === undefined ? {} : { disks }) };
  }

  async awake(machine: Machine, to: "running" | "paused", options: BackOptions): Promise<void> {
    const heap = this.#heap;
    const { clock, identity } = options;
    machine.setPager(pagerOf(heap));
    // its disks are as it left them
    const saved = this.#saved((view) => heap.spread(view), undefined);
    await machine.awake(saved, to, { clock, identity });
  }

  async revert(machine: Machine, { clock, identity }: BackOptions): Promise<void> {
    const heap = this.#heap;
    const saved = this.#saved((view) => heap.fill(view), this.#capture.disks);
    await machine.adopt(saved, { clock, identity });
  }

  async make(options: MakeOptions): Promise<Machine> {
    const heap = this.#heap;
    const { clock, identity, host, disks: given = [], name = this.#name } = options;
    const made: BlockBackend[] = [];
    const disks = this.#capture.disks.map((disk, slot) => {
      const own = given[slot] ?? null;
      if (own !== null) return own;
      const opened = disk.open();
      made.push(opened);
      return opened;
    });
    const close = () => {
      for (const disk of made) void disk.close();
    };
    try {
      const saved = this.#saved((view) => heap.spread(view), undefined);
      const config = { ...this.#files, consoleInput: "open", name, disks } as const;
      const machine = await host.createFrom(saved, config, { clock, identity });
      machine.setPager(pagerOf(heap));
      machine.on("disposed", close);
      return machine;
    } catch (error) {
      close();
      throw error;
    }
  }

  async drop(): Promise<void> {
    this.#pages = null;
    this.#capture.release();
  }
}

/** Keeps the heap for as long as a machine may ask for a page of it. */
function pagerOf(heap: PageHeap): Pager {
  return {
    read: (slot, target) => void target.set(heap.at(slot)),
    close: () => {},
  };
}

/** Keeps states in memory beside the arena. */
export class MemoryStore implements StateStore {
  readonly where = "memory";
  readonly isApart = true;
  readonly #platform: Platform;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  async keep(machine: Machine, options: KeepOptions): Promise<KeptState> {
    // where frames ran out there may be none for a root
    const capture = machine.capture({ isStill: options.isStill });
    const heap = new PageHeap();
    try {
      await this.#copy(machine, capture, heap, options);
    } catch (error) {
      capture.release();
      throw error;
    }
    // the pages are here now; the disks stay frozen
    capture.root.release();
    return new KeptPages(machine, capture, heap);
  }

  async #copy(
    machine: Machine,
    { root, pager }: MachineCapture,
    heap: PageHeap,
    { signal, onProgress }: KeepOptions,
  ): Promise<void> {
    const batches = [...chunksOf(root.pages())];
    const absent = absentSlots(machine.view, batches);
    for (const batch of batches) {
      if (signal?.aborted === true) {
        throw new VmError("aborted", `${machine.name}: keeping its state was cancelled`);
      }
      for (const page of batch) {
        const target = heap.add(page);
        const slot = absent.get(page);
        const late = slot === undefined ? undefined : pager?.pager.read(slot, target);
        if (late !== undefined) await late;
        if (slot === undefined) target.set(root.page(page) ?? ZEROS);
      }
      onProgress?.(Math.min(1, (batch[batch.length - 1] + 1) / root.ramPages));
      await this.#platform.yieldToEventLoop();
    }
  }
}

const ZEROS = new Uint8Array(PAGE_BYTES);

/** Where the pages are that a lazy restore left and nobody has touched: they are read there. */
function absentSlots(view: MachineView, batches: readonly Uint32Array[]): Map<number, number> {
  const slots = new Map<number, number>();
  for (const batch of batches) {
    for (const page of batch) {
      const kind = view.pageKind(page);
      if (kind !== KIND_FRAME && kind !== KIND_ZERO) slots.set(page, view.pageSlot(page));
    }
  }
  return slots;
}

/** Copies of the batches, no longer than a turn: they outlive the next call of the core. */
function* chunksOf(batches: Generator<Uint32Array>): Generator<Uint32Array> {
  for (const batch of batches) {
    for (let at = 0; at < batch.length; at += TURN_PAGES) {
      yield batch.slice(at, at + TURN_PAGES);
    }
  }
}
