/**
 * store: a directory of snapshots.
 *
 * Owns    the directory, for one process at a time.
 * Used by manager.ts and programs.
 * Holds   what is listed is durable and whole; what cannot be used is told apart (`damaged`) and
 *         keeps what it may need. Operations that change something take turns.
 *
 *   store              key of the page hash, format
 *   snapshots/ID.snap  one manifest per snapshot            ─► journal.ts, manifest.ts
 *   segments/ID.seg    pages, each once                     ─► segment.ts
 *   working/ID.set     what a lazy restore wanted first     ─► working-set.ts
 *   lock/              who has it
 */
import { VmError } from "../../errors.ts";
import type { Platform, StoreDirectory } from "../../platform/contract.ts";
import type { LongOptions } from "../contract.ts";
import type {
  ByteSink,
  ByteSource,
  Damage,
  SnapshotMeta,
  SnapshotStorePort,
  StoreDifference,
  StoredSnapshot,
} from "../store-port.ts";
import { Pace } from "../throttle.ts";
import { readWhole, reasonOf } from "./bytes.ts";
import {
  flatten,
  idsToPrune,
  mergeDown,
  mergeUp,
  type Removal,
  removeSnapshots,
} from "./change.ts";
import { type Compaction, compactSegments, storedBytes } from "./compact.ts";
import { decodeContainer, encodeContainer } from "./container.ts";
import { describe } from "./describe.ts";
import { differenceOf } from "./difference.ts";
import { type Findings, inspectParcel, inspectSnapshot } from "./inspect.ts";
import { putFile, recover, SNAPSHOTS } from "./journal.ts";
import { checkManifest, type Manifest } from "./manifest.ts";
import { PageHash } from "./page-hash.ts";
import { SnapshotReader } from "./reader.ts";
import type { Compression } from "./segment-writer.ts";
import { CHAIN_MAX, SEGMENT_ENDING, SEGMENTS, SNAPSHOTS_MAX, StoreState } from "./state.ts";
import { exportSnapshot, importParcel, openParcel, type StoreImportOptions } from "./transfer.ts";
import { type Verification, verifySnapshots } from "./verify.ts";
import { saveWorkingSet, sweepWorkingSets, WORKING } from "./working-set.ts";
import { SnapshotWriter } from "./writer.ts";

const STORE_FILE = "store";
const STORE_BYTES_MAX = 65_536;
const KEY_SECTION = "store.key";
const KEY_BYTES = 16;
const DEAD_SHARE = 0.25;

/** What a store is opened with. */
export interface StoreOptions {
  readonly platform: Platform;
  /** Whether pages are compressed: half the room for text and code, but slower. Default "none". */
  readonly compress?: Compression;
}

/** How much a store holds. */
export interface StoreUsage {
  readonly snapshots: number;
  readonly segments: number;
  /** Of all segments. */
  readonly bytes: number;
}

/** The store's key; made when there is none yet. */
async function keyOf(directory: StoreDirectory, platform: Platform): Promise<Uint8Array> {
  if (!directory.list("").includes(STORE_FILE)) {
    for (const folder of [SNAPSHOTS, SEGMENTS]) {
      if (directory.list(folder).length === 0) continue;
      const text = `${directory.name} has ${folder} and no file "${STORE_FILE}"`;
      throw new VmError("bad-file", `${text}: accepted is a store, or an empty directory`);
    }
    const bytes = platform.entropy(KEY_BYTES);
    const file = encodeContainer("STOR", [{ name: KEY_SECTION, version: 1, bytes }]);
    await putFile(directory, "", STORE_FILE, file); // makes the folders durable, too
    return bytes;
  }
  return readKey(directory);
}

function readKey(directory: StoreDirectory): Uint8Array {
  const what = `${directory.name}/${STORE_FILE}`;
  const sections = decodeContainer("STOR", readWhole(directory, STORE_FILE, STORE_BYTES_MAX), what);
  for (const { name, version, bytes } of sections) {
    if (name !== KEY_SECTION || version !== 1) {
      const given = `section "${name}" of version ${version}`;
      throw new VmError("unsupported", `${what} has ${given}; this version does not know it`);
    }
    if (bytes.length === KEY_BYTES) return bytes.slice();
  }
  throw new VmError("bad-file", `${what} has no key`);
}

/** Removes segments that nothing durable points to. */
async function sweepSegments(state: StoreState): Promise<void> {
  if (state.unreadable.length > 0) return; // it may need any of them
  const known = new Set(state.segments.map(({ id }) => id + SEGMENT_ENDING));
  for (const name of state.directory.list(SEGMENTS)) {
    if (!known.has(name)) await state.directory.remove(`${SEGMENTS}/${name}`);
  }
}

/** An open store of snapshots. */
export class SnapshotStore implements SnapshotStorePort {
  readonly #state: StoreState;

  private constructor(state: StoreState) {
    this.#state = state;
  }

  /**
   * Opens a directory as a store, or makes one in an empty one; what was under way when the last
   * process ended is finished or cleared away. Throws "busy" when another process has it,
   * "bad-file", "unsupported" for a later format, "io".
   */
  static async open(directory: StoreDirectory, options: StoreOptions): Promise<SnapshotStore> {
    const { platform, compress = "none" } = options;
    const lock = await directory.lock();
    try {
      for (const folder of [SNAPSHOTS, SEGMENTS, WORKING]) await directory.prepare(folder);
      const key = await keyOf(directory, platform);
      const hash = await PageHash.create(platform, key);
      await recover(directory);
      const state = new StoreState({ directory, platform, lock, key, hash, compress });
      state.load();
      await sweepSegments(state);
      await sweepWorkingSets(directory, new Set(state.manifests.keys()));
      return new SnapshotStore(state);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** What the store is called in messages. */
  get name(): string {
    return this.#state.directory.name;
  }

  // ---- what there is ----

  /** Snapshots that can be used, oldest first. */
  list(): StoredSnapshot[] {
    const sound = [...this.#state.manifests.keys()].filter((id) => !this.#state.problemOf(id));
    const all = sound.map((id) => describe(this.#state, id));
    return all.sort((a, b) => a.createdMs - b.createdMs || a.level - b.level);
  }

  /** Snapshots that cannot. */
  damaged(): Damage[] {
    const found = [...this.#state.unreadable];
    for (const { id, name } of this.#state.manifests.values()) {
      const why = this.#state.problemOf(id);
      if (why !== null) found.push({ id, name, file: `${SNAPSHOTS}/${id}.snap`, why });
    }
    return found;
  }

  /** One that can be used. Throws "not-found", "bad-file". */
  get(id: string): StoredSnapshot {
    this.#checkSound(id);
    return describe(this.#state, id);
  }

  usage(): StoreUsage {
    const { manifests, segments } = this.#state;
    return {
      snapshots: manifests.size,
      segments: segments.filter(({ isGone }) => !isGone).length,
      bytes: storedBytes(this.#state),
    };
  }

  #checkSound(id: string): Manifest {
    const manifest = this.#state.manifests.get(id);
    const unreadable = this.#state.unreadable.find((one) => one.id === id);
    if (manifest === undefined && unreadable === undefined) {
      throw new VmError("not-found", `snapshot ${id} is not in ${this.name}`);
    }
    const why = unreadable?.why ?? this.#state.problemOf(id);
    if (manifest === undefined || why !== null) {
      throw new VmError("bad-file", `snapshot ${manifest?.name ?? id} cannot be used: ${why}`);
    }
    return manifest;
  }

  // ---- writing and reading one ----

  /**
   * Begins a snapshot. Throws "bad-argument", "not-found" for its parent, "limit" for a chain or a
   * store that is full.
   */
  async begin(meta: SnapshotMeta): Promise<SnapshotWriter> {
    const state = this.#state;
    state.checkOpen();
    const { parent } = meta;
    const above = parent === null ? null : this.#checkSound(parent);
    const parentContent = above?.content ?? null;
    const empty = { content: state.newId(), writtenBytes: 0, sections: [], regions: new Map() };
    checkManifest({ ...meta, ...empty, parentContent });
    this.#checkName(meta.name, meta.machine, meta.id);
    if (state.manifests.has(meta.id)) {
      throw new VmError("bad-argument", `snapshot ${meta.id} is there already`);
    }
    if (state.manifests.size >= SNAPSHOTS_MAX) {
      const text = `${this.name} has ${SNAPSHOTS_MAX} snapshots, and no room for more`;
      throw new VmError("limit", `${text}; prune it, or take another`);
    }
    if (above !== null && state.levelOf(above.id) >= CHAIN_MAX) {
      const text = `snapshot ${above.name} is number ${CHAIN_MAX} of its chain, of ${CHAIN_MAX}`;
      throw new VmError("limit", `${text}; merge it into its parent, or make a full snapshot`);
    }
    return new SnapshotWriter(state, { meta, parentContent });
  }

  #checkName(name: string, machine: string, id: string): void {
    for (const other of this.#state.manifests.values()) {
      if (other.id === id || other.name !== name || other.machine !== machine) continue;
      const accepted = "accepted is a name that none of its snapshots has";
      throw new VmError("bad-argument", `"${name}" is a snapshot of ${machine}: ${accepted}`);
    }
  }

  /** To read a snapshot; it, and what it needs, stays until that is closed. */
  async reader(id: string): Promise<SnapshotReader> {
    this.#state.checkOpen();
    this.#checkSound(id);
    return new SnapshotReader(this.#state, id);
  }

  /** Keeps what a lazy restore wanted first. Losing it does no harm. */
  async saveWorkingSet(id: string, pages: Uint32Array): Promise<void> {
    const manifest = this.#checkSound(id);
    const { directory } = this.#state;
    await this.#state.alone(() => saveWorkingSet(directory, manifest, pages));
  }

  // ---- changing what there is ----

  /** Throws "bad-argument" for a name that is none or taken. */
  async rename(id: string, name: string): Promise<StoredSnapshot> {
    return this.#amend(id, { name });
  }

  /** Replaces labels, notes or both. */
  async label(
    id: string,
    change: { readonly labels?: Readonly<Record<string, string>>; readonly notes?: string },
  ): Promise<StoredSnapshot> {
    return this.#amend(id, change);
  }

  async #amend(id: string, change: Partial<Manifest>): Promise<StoredSnapshot> {
    return this.#state.alone(async () => {
      const made = { ...this.#checkSound(id), ...change };
      checkManifest(made);
      this.#checkName(made.name, made.machine, id);
      await this.#state.change([made], []);
      return describe(this.#state, id);
    });
  }

  /**
   * Removes a snapshot, also one that cannot be used; those that build on it take over what they
   * need. Throws "busy" while one is written that builds on it.
   */
  async remove(id: string): Promise<Removal> {
    return this.#state.alone(async () => {
      const { unreadable } = this.#state;
      const at = unreadable.findIndex((one) => one.id === id);
      if (at < 0 && !this.#state.manifests.has(id)) this.#checkSound(id);
      const removal = await removeSnapshots(this.#state, [id]);
      if (at >= 0) {
        unreadable.splice(at, 1);
        await this.#state.collect();
        await sweepSegments(this.#state); // its own were not even known
      }
      return removal;
    });
  }

  /**
   * Makes one of a snapshot and its parent: with the identity of the parent ("down") or its own
   * ("up"). Either holds what the snapshot held; others that build on the parent go on standing.
   */
  async merge(id: string, into: "down" | "up"): Promise<Removal> {
    return this.#state.alone(() => {
      this.#checkSound(id);
      return into === "down" ? mergeDown(this.#state, id) : mergeUp(this.#state, id);
    });
  }

  /** `merge` of a snapshot with its parent, "up". */
  mergeParent(id: string): Promise<Removal> {
    return this.merge(id, "up");
  }

  /** Makes a snapshot stand on its own, with the pages shared. */
  async flatten(id: string): Promise<StoredSnapshot> {
    return this.#state.alone(async () => {
      this.#checkSound(id);
      await flatten(this.#state, id);
      return describe(this.#state, id);
    });
  }

  /** What `prune` would remove. */
  toPrune(options: { readonly keep: number; readonly machine?: string }): string[] {
    return idsToPrune(this.#state, options.keep, options.machine ?? null);
  }

  /** Removes all but the last `keep` snapshots of each machine, or of one. */
  async prune(options: { readonly keep: number; readonly machine?: string }): Promise<Removal> {
    return this.#state.alone(async () => {
      const ids = this.toPrune(options);
      return ids.length === 0 ? { removed: [], renamed: {} } : removeSnapshots(this.#state, ids);
    });
  }

  /** Gives back the room of pages that nothing points to, where more than `deadShare` is such. */
  async compact(options: LongOptions & { readonly deadShare?: number } = {}): Promise<Compaction> {
    const pace = new Pace(this.#state.platform, options, `compact of ${this.name}`);
    const { deadShare = DEAD_SHARE } = options;
    return this.#state.alone(() => compactSegments(this.#state, deadShare, pace));
  }

  // ---- looking closely ----

  /** Reads a snapshot and all that it builds on, or the whole store, and says what is wrong. */
  async verify(id: string | null = null, options: LongOptions = {}): Promise<Verification> {
    const pace = new Pace(this.#state.platform, options, `verify of ${id ?? this.name}`);
    return this.#state.alone(async () => {
      if (id !== null && !this.#state.manifests.has(id)) this.#checkSound(id);
      const found = await verifySnapshots(this.#state, id === null ? null : [id], pace);
      if (id !== null) return found;
      try {
        readKey(this.#state.directory);
        return found;
      } catch (error) {
        return { ...found, problems: [...found.problems, reasonOf(error)] };
      }
    });
  }

  /** What a snapshot is made of, and why it cannot be restored; of its pages nothing is read. */
  inspect(id: string): Findings {
    return inspectSnapshot(this.#state, id);
  }

  /** The same of a file that was exported. Throws "bad-file", "unsupported". */
  async inspectFile(source: ByteSource): Promise<Findings> {
    return inspectParcel(await openParcel(source, "the file"));
  }

  async diff(from: string, to: string): Promise<StoreDifference> {
    this.#checkSound(from);
    this.#checkSound(to);
    return differenceOf(this.#state, from, to);
  }

  // ---- to other stores ----

  /** Writes a snapshot, its chain as one, as one file. Returns its bytes. */
  async exportTo(id: string, sink: ByteSink, options: LongOptions = {}): Promise<number> {
    const pace = new Pace(this.#state.platform, options, `export of ${this.get(id).name}`);
    const reader = await this.reader(id); // what it needs stays meanwhile
    try {
      return await exportSnapshot(this.#state, id, sink, pace);
    } finally {
      await reader.close();
    }
  }

  /**
   * Makes a snapshot of a file that was exported; with another id where its own is taken. Returns
   * its id. Throws "bad-file" for one that is damaged, "bad-argument" for a name that is taken.
   */
  async importFrom(
    source: ByteSource,
    options: StoreImportOptions & LongOptions = {},
  ): Promise<string> {
    const pace = new Pace(this.#state.platform, options, "import");
    const parcel = await openParcel(source, "the file");
    const begin = (meta: SnapshotMeta) => this.begin(meta);
    return importParcel(this.#state, parcel, begin, options, pace);
  }

  /** Waits for what is under way; readers and writers are of no use afterwards. */
  close(): Promise<void> {
    return this.#state.close();
  }
}
