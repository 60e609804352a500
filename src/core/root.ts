/**
 * root: a retained stage-2 root: all of a machine's pages as they were at one moment, for as long
 * as somebody wants them.
 *
 * Owns    one root in the core, from MachineView.retainRoot to `release`.
 * Used by machine/capture.ts and the rooms above it: snapshots, forks, migration rounds.
 * Holds   pages are copied only when the machine writes them; frames are held until `release`. Page
 *         numbers count from the start of RAM (guest physical 0x80000000).
 */
import {
  BATCH,
  BATCH_MAX,
  FRAME_BYTES,
  HASH_BYTES,
  HASH_KEY_BYTES,
  NO_FRAME,
  NOT_HERE,
  SURVEY_MAX,
} from "../../assembly/layout.ts";
import { VmError } from "../errors.ts";
import type { Core } from "./instance.ts";

export { DirtyLog } from "./dirty-log.ts";

const DIGEST_BYTES = 32;
/** Where rootDigest puts it. */
const DIGEST = BATCH + 64;

/**
 * What `RetainedRoot.survey` finds: views of core memory, good until anything else of it is called.
 */
export interface PageSurvey {
  /** Where each page is in `memory`; 0 when it is ZERO. As many as stand before an absent one. */
  readonly addresses: Uint32Array;
  /** Four words for each address; of a page that is ZERO they say nothing. */
  readonly hashes: Uint32Array;
}

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

  /** What addresses are of: bytes of pages stay as they are until `release`. */
  get memory(): Uint8Array {
    return this.core.u8;
  }

  /**
   * Where pages are, and their hashes under a key as PageCodec.hashKey gives it. Takes the first
   * SURVEY_MAX (64) of `pages`, and of them those in front of the first that is absent.
   */
  survey(pages: Uint32Array, key: Uint8Array): PageSurvey {
    const { exports, u8, u32 } = this.core;
    const desk = exports.surveyDesk() >>> 0;
    const asked = Math.min(pages.length, SURVEY_MAX);
    if (key.length !== HASH_KEY_BYTES || pages.some((page) => page >= this.ramPages)) {
      const text = `a survey under ${key.length} bytes of key, of ${this.ramPages} pages`;
      throw new VmError(
        "bad-argument",
        `${text}: accepted are ${HASH_KEY_BYTES}, and no page behind`,
      );
    }
    u8.set(key, desk);
    u32.set(pages.subarray(0, asked), BATCH / 4);
    const count = exports.rootSurvey(this.handle, asked) >>> 0;
    const hashes = (desk + HASH_KEY_BYTES) / 4;
    return {
      addresses: u32.subarray(BATCH / 4, BATCH / 4 + count),
      hashes: u32.subarray(hashes, hashes + count * (HASH_BYTES / 4)),
    };
  }

  /** True when the pages at two addresses of a survey hold the same bytes. */
  areSame(a: number, b: number): boolean {
    return this.core.exports.pagesSame(a, b) !== 0;
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
