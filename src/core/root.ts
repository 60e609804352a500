/**
 * root: a retained stage-2 root: all of a machine's pages as they were at one moment, for as long
 * as somebody wants them.
 *
 * Owns    one root in the core, from MachineView.retainRoot to `release`.
 * Used by machine/capture.ts and the rooms above it: snapshots, forks, migration rounds.
 * Holds   pages are copied only when the machine writes them; frames are held until `release`. Page
 *         numbers count from the start of RAM (guest physical 0x80000000).
 */
import { BATCH, BATCH_MAX, FRAME_BYTES, NO_FRAME, NOT_HERE } from "../../assembly/layout.ts";
import { VmError } from "../errors.ts";
import type { Core } from "./instance.ts";

export { DirtyLog } from "./dirty-log.ts";

const DIGEST_BYTES = 32;
/** Where rootDigest puts it. */
const DIGEST = BATCH + 64;

/** All pages of a machine at one moment. */
export class RetainedRoot {
  readonly core: Core;
  readonly ramPages: number;
  /** The machine's own, lent: `release` gives nothing back. */
  readonly isLent: boolean;
  #root: number;

  /** For MachineView.retainRoot and lendRoot. */
  constructor(core: Core, root: number, ramPages: number, isLent = false) {
    this.core = core;
    this.#root = root;
    this.ramPages = ramPages;
    this.isLent = isLent;
  }

  /** The root's number in the core; throws "disposed" once it is released. */
  get handle(): number {
    if (this.#root === 0) throw new VmError("disposed", "the retained root is released");
    return this.#root;
  }

  get isReleased(): boolean {
    return this.#root === 0;
  }

  /** Frames that are held because of this root alone, its own included. */
  get framesOwn(): number {
    return this.core.exports.rootCount(this.handle, 1) >>> 0;
  }

  /** Frames that it names, its own included. */
  get frames(): number {
    return this.core.exports.rootCount(this.handle, 0) >>> 0;
  }

  /**
   * The pages that are not ZERO, ascending, absent ones too. A batch is a view of core memory: use
   * it before anything else of the core is called, and do not await with it in hand.
   */
  *pages(): Generator<Uint32Array> {
    yield* this.#batches((from) => {
      return this.core.exports.rootPages(this.handle, from, this.ramPages) >>> 0;
    });
  }

  /**
   * The pages that are not the same frame as in `other` (of the same host and as large): a superset
   * of those that hold other bytes. Batches as `pages` gives them.
   */
  *diff(other: RetainedRoot): Generator<Uint32Array> {
    if (other.core !== this.core || other.ramPages !== this.ramPages) {
      throw new VmError("bad-argument", "roots of one host and of equal RAM can be compared");
    }
    yield* this.#batches((from) => {
      const { exports } = this.core;
      return exports.rootCompare(this.handle, other.handle, from, this.ramPages) >>> 0;
    });
  }

  *#batches(next: (from: number) => number): Generator<Uint32Array> {
    for (let from = 0; from < this.ramPages; ) {
      const count = next(from);
      if (count === 0) return;
      const batch = this.core.u32.subarray(BATCH / 4, BATCH / 4 + count);
      from = batch[count - 1] + 1;
      yield batch;
      if (count < BATCH_MAX) return;
    }
  }

  /** False when the page is absent. */
  isHere(page: number): boolean {
    return this.core.exports.rootAddress(this.handle, page) >>> 0 !== NOT_HERE;
  }

  /**
   * The page's 4096 bytes, in place in the arena: they stay as they are until `release`. Null when
   * the page is ZERO. Throws "not-found" when it is absent.
   */
  page(page: number): Uint8Array | null {
    const at = this.core.exports.rootAddress(this.handle, page) >>> 0;
    if (at === NO_FRAME) return null;
    if (at === NOT_HERE) throw new VmError("not-found", `page ${page} is not in memory`);
    return this.core.u8.subarray(at, at + FRAME_BYTES);
  }

  /**
   * Hash of every page that is not zero, as MachineView.digestPages gives it. Throws "not-found"
   * when one is absent.
   */
  digest(): Uint8Array {
    if (this.core.exports.rootDigest(this.handle, this.ramPages) === 0) {
      const page = this.core.u32[BATCH / 4];
      throw new VmError("not-found", `page ${page} is not in memory: no digest without it`);
    }
    return this.core.u8.slice(DIGEST, DIGEST + DIGEST_BYTES);
  }

  /** Gives back what nobody else holds. Once is enough; more does no harm. */
  release(): void {
    if (this.#root === 0) return;
    if (!this.isLent) this.core.exports.rootRelease(this.#root);
    this.#root = 0;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
