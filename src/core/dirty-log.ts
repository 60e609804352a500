/**
 * dirty-log: which pages a machine has written since its consumer last took them.
 *
 * Owns    one log in the core, from MachineView.openLog to `close`.
 * Used by the rooms above machine: snapshots, checkpoints, migration. Up to 8 per machine, which do
 *         not disturb each other.
 * Holds   root diff equals dirty log: of two roots retained when the log was empty and when it was
 *         taken, exactly the pages taken differ.
 */
import { BATCH, BATCH_MAX } from "../../assembly/layout.ts";
import { VmError } from "../errors.ts";
import type { Core } from "./instance.ts";

/** A dirty log; page numbers count from the start of RAM. */
export class DirtyLog {
  readonly #core: Core;
  readonly #machine: number;
  readonly #isGone: () => boolean;
  #log: number;

  /** For MachineView.openLog. */
  constructor(core: Core, machine: number, log: number, isGone: () => boolean) {
    this.#core = core;
    this.#machine = machine;
    this.#log = log;
    this.#isGone = isGone;
  }

  get isClosed(): boolean {
    return this.#log < 0 || this.#isGone();
  }

  #open(): number {
    if (this.isClosed) throw new VmError("disposed", "the dirty log is closed");
    return this.#log;
  }

  /** Pages that are marked. */
  get count(): number {
    return this.#core.exports.dirtyLogCount(this.#machine, this.#open()) >>> 0;
  }

  /** True when the page is marked. */
  test(page: number): boolean {
    return this.#core.exports.dirtyLogTest(this.#machine, this.#open(), page) !== 0;
  }

  /**
   * Takes the marked pages, ascending, in batches, and marks them clean as they are taken. A batch
   * is a view of core memory: use it before anything else of the core is called, and do not await
   * with it in hand. A caller that stops early leaves the rest marked.
   */
  *take(): Generator<Uint32Array> {
    for (;;) {
      const count = this.#core.exports.dirtyLogHarvest(this.#machine, this.#open()) >>> 0;
      if (count === 0) return;
      yield this.#core.u32.subarray(BATCH / 4, BATCH / 4 + count);
      if (count < BATCH_MAX) return;
    }
  }

  /** Ends it. Once is enough; more does no harm. */
  close(): void {
    if (!this.isClosed) this.#core.exports.dirtyLogClose(this.#machine, this.#log);
    this.#log = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
