/**
 * state: what is in an open store: its snapshots, its segments, who still needs which.
 *
 * Owns    the directory, under its lock, until `close`.
 * Used by everything in store/ that does something to a store.
 * Holds   changes take turns (`alone`). A segment's file goes only when no durable manifest and
 *         nobody here needs it, and never while some manifest cannot be read. Numbers of segments
 *         are not given twice.
 */
import { VmError } from "../../errors.ts";
import type { Platform, StoreDirectory, StoreFile, StoreLock } from "../../platform/contract.ts";
import type { Damage } from "../store-port.ts";
import { type Digest, digestOf, reasonOf, sameBytes, toHex } from "./bytes.ts";
import { HashIndex, type Place } from "./hash-index.ts";
import { changeManifests, MANIFEST_ENDING, SNAPSHOTS } from "./journal.ts";
import {
  decodeManifest,
  encodeManifest,
  type Manifest,
  type SegmentName,
  segmentsOf,
} from "./manifest.ts";
import { NOWHERE, overlayRegions, type Regions } from "./page-columns.ts";
import type { PageHash } from "./page-hash.ts";
import { readSlot, readTable, readTail, SLOT_WORDS, type SlotTable } from "./segment.ts";
import type { Compression, FinishedSegment } from "./segment-writer.ts";

/** Folder of the segments. */
export const SEGMENTS = "segments";
/** Ending of a segment's name. */
export const SEGMENT_ENDING = ".seg";
/** Snapshots of one chain. */
export const CHAIN_MAX = 32;
/** Snapshots of one store. */
export const SNAPSHOTS_MAX = 4096;
const OPEN_FILES_MAX = 64;
/** More than one is needed only where entropy is a poor one. */
const ID_TRIES = 256;

/** A segment that the store knows. */
export interface Segment extends SegmentName {
  readonly number: number;
  readonly path: string;
  digest: Uint8Array;
  /** Of the file; 0 while it is written. */
  bytes: number;
  table: SlotTable | null;
  /** Readers and writers that need it. */
  pins: number;
  /** Why it cannot be used; null when it can. */
  problem: string | null;
  isGone: boolean;
}

/** Files that are open to be read; the one that waited longest is closed for a new one. */
class OpenFiles {
  readonly #directory: StoreDirectory;
  readonly #files = new Map<string, StoreFile>();

  constructor(directory: StoreDirectory) {
    this.#directory = directory;
  }

  get(path: string): StoreFile {
    const found = this.#files.get(path);
    if (found !== undefined) return found;
    if (this.#files.size >= OPEN_FILES_MAX) {
      for (const oldest of this.#files.keys()) {
        this.drop(oldest);
        break;
      }
    }
    const file = this.#directory.open(path);
    this.#files.set(path, file);
    return file;
  }

  drop(path: string): void {
    this.#files.get(path)?.close();
    this.#files.delete(path);
  }

  clear(): void {
    for (const path of [...this.#files.keys()]) this.drop(path);
  }
}

/** What a state is made of. */
export interface StateParts {
  readonly directory: StoreDirectory;
  readonly platform: Platform;
  readonly lock: StoreLock;
  readonly key: Uint8Array;
  readonly hash: PageHash;
  readonly compress: Compression;
}

/** An open store. */
export class StoreState {
  readonly directory: StoreDirectory;
  readonly platform: Platform;
  readonly key: Uint8Array;
  readonly hash: PageHash;
  readonly compress: Compression;
  readonly digest: Digest;
  readonly segments: Segment[] = [];
  /** Those that can be read, by id. */
  readonly manifests = new Map<string, Manifest>();
  /** Bytes of their files. */
  readonly fileBytes = new Map<string, number>();
  /** Manifests that cannot be read. */
  readonly unreadable: Damage[] = [];
  /** Snapshots that somebody is writing a child of, and how many. */
  readonly parentsInUse = new Map<string, number>();
  /** Goes up with every change. */
  version = 0;
  readonly #lock: StoreLock;
  readonly #byId = new Map<string, Segment>();
  readonly #files: OpenFiles;
  #index: HashIndex | null = null;
  /** Segments that are to go into the index before it is asked. */
  #unindexed: number[] = [];
  #queue: Promise<unknown> = Promise.resolve();
  #isClosed = false;
  /** What failed when it was not known any more what is durable. */
  #doubt: { readonly error: unknown } | null = null;

  constructor(parts: StateParts) {
    this.directory = parts.directory;
    this.platform = parts.platform;
    this.key = parts.key;
    this.hash = parts.hash;
    this.compress = parts.compress;
    this.digest = parts.platform.sha256 ?? digestOf;
    this.#lock = parts.lock;
    this.#files = new OpenFiles(parts.directory);
  }

  /** Throws "disposed" once the store is closed. */
  checkOpen(): void {
    if (this.#isClosed) throw new VmError("disposed", `${this.directory.name} is closed`);
  }

  /** What is durable is not known: nothing may be removed, nothing built on it. */
  get isInDoubt(): boolean {
    return this.#doubt !== null;
  }

  #checkSure(): void {
    if (this.#doubt === null) return;
    const { error: cause } = this.#doubt;
    const text = `${this.directory.name}: a change failed half way (${reasonOf(cause)})`;
    throw new VmError("io", `${text}; open the store again`, { cause });
  }

  /** Does `work` when all that was asked for before is done. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    this.checkOpen();
    const done = this.#queue.then(() => {
      this.#checkSure();
      return work();
    });
    this.#queue = done.catch(() => {});
    return done;
  }

  /** An id that nothing in the store has. */
  newId(): string {
    for (let tries = 0; tries < ID_TRIES; tries++) {
      const id = toHex(this.platform.entropy(16));
      if (!this.#byId.has(id) && !this.manifests.has(id)) return id;
    }
    throw new VmError("io", `the platform's entropy gave ${ID_TRIES} ids that are taken`);
  }

  // ---- segments ----

  /** The segment of that name, which some manifest needs. Throws "bad-file" when it is another. */
  intern({ id, digest }: SegmentName): number {
    const known = this.#byId.get(id);
    if (known !== undefined) {
      if (sameBytes(known.digest, digest)) return known.number;
      throw new VmError("bad-file", `segment ${id} is meant with two digests`);
    }
    const segment = this.#newSegment(id, digest);
    try {
      const file = this.#files.get(segment.path);
      const facts = readTail(file, segment.path);
      segment.bytes = file.bytes;
      if (!sameBytes(facts.digest, digest)) segment.problem = `${segment.path} is another one`;
    } catch (error) {
      segment.problem = reasonOf(error);
    }
    return segment.number;
  }

  #newSegment(id: string, digest: Uint8Array): Segment {
    const segment: Segment = {
      number: this.segments.length,
      id,
      digest,
      path: `${SEGMENTS}/${id}${SEGMENT_ENDING}`,
      bytes: 0,
      table: null,
      pins: 0,
      problem: null,
      isGone: false,
    };
    this.segments.push(segment);
    this.#byId.set(id, segment);
    return segment;
  }

  /** One to be written: pinned by whoever writes it. */
  reserveSegment(): Segment {
    const segment = this.#newSegment(this.newId(), new Uint8Array(0));
    segment.pins = 1;
    return segment;
  }

  /** A reserved one is whole. */
  keepSegment(segment: Segment, { table, digest, bytes }: FinishedSegment): void {
    segment.table = table;
    segment.digest = digest;
    segment.bytes = bytes;
  }

  pin(numbers: Iterable<number>): void {
    for (const number of numbers) this.segments[number].pins++;
  }

  /** Segments that nobody needs any more go with the next `collect`. */
  unpin(numbers: Iterable<number>): void {
    for (const number of numbers) this.segments[number].pins--;
  }

  /** The slots of a segment. Throws "bad-file". */
  tableOf(number: number): SlotTable {
    const segment = this.segments[number];
    if (segment.table !== null) return segment.table;
    if (segment.problem !== null) throw new VmError("bad-file", segment.problem);
    const file = this.#files.get(segment.path);
    const facts = readTail(file, segment.path);
    if (!sameBytes(facts.digest, segment.digest)) {
      throw new VmError("bad-file", `${segment.path} has changed since the store was opened`);
    }
    const table = readTable(file, facts, segment.id, segment.path);
    if (!sameBytes(table.key, this.key)) {
      throw new VmError("bad-file", `${segment.path} was written for another store`);
    }
    segment.table = table;
    return table;
  }

  /** Reads and checks a page. Throws "bad-file", "io". */
  readPage(number: number, slot: number, target: Uint8Array): void {
    const table = this.tableOf(number);
    const { path } = this.segments[number];
    if (slot >= table.count) throw new VmError("bad-file", `${path} has no slot ${slot}`);
    readSlot(this.#files.get(path), table, slot, target, this.hash, path);
  }

  /** A page of that hash that is durable, or about to be; `accepts` compares. */
  findPage(hash: Uint32Array, accepts: (segment: number, slot: number) => boolean): Place | null {
    this.#index ??= this.#makeIndex();
    for (const number of this.#unindexed.splice(0)) this.#addTo(this.#index, number);
    return this.#index.find(hash[0], hash[1], (segment, slot) => {
      const { isGone, table } = this.segments[segment];
      return !isGone && table !== null && table.hasHash(slot, hash) && accepts(segment, slot);
    });
  }

  #makeIndex(): HashIndex {
    const index = new HashIndex();
    for (const { number, isGone, problem } of this.segments) {
      if (isGone || problem !== null) continue;
      try {
        this.tableOf(number);
      } catch {
        continue; // what cannot be read is written anew; verify tells of it
      }
      this.#addTo(index, number);
    }
    return index;
  }

  #addTo(index: HashIndex, number: number): void {
    const { table } = this.segments[number];
    if (table === null) return;
    const { words, count } = table;
    for (let slot = 0; slot < count; slot++) {
      index.add(words[slot * SLOT_WORDS], words[slot * SLOT_WORDS + 1], number, slot);
    }
  }

  // ---- snapshots ----

  /** Takes in the manifests that are there. */
  load(): void {
    for (const name of this.directory.list(SNAPSHOTS)) {
      if (!name.endsWith(MANIFEST_ENDING)) continue;
      const file = `${SNAPSHOTS}/${name}`;
      try {
        const { manifest, bytes } = this.readManifest(name.slice(0, -MANIFEST_ENDING.length));
        this.manifests.set(manifest.id, manifest);
        this.fileBytes.set(manifest.id, bytes);
      } catch (error) {
        const stem = name.slice(0, -MANIFEST_ENDING.length);
        const id = /^[0-9a-f]{32}$/.test(stem) ? stem : null;
        this.unreadable.push({ id, name: null, file, why: reasonOf(error) });
      }
    }
  }

  /** The manifest as its file has it now. Throws "bad-file", "unsupported", "io". */
  readManifest(id: string): { manifest: Manifest; bytes: number } {
    const path = `${SNAPSHOTS}/${id}${MANIFEST_ENDING}`;
    const file = this.directory.open(path);
    try {
      const bytes = new Uint8Array(file.bytes);
      if (file.read(0, bytes) !== bytes.length) {
        throw new VmError("bad-file", `${path} is cut short while it is read`);
      }
      const manifest = decodeManifest(bytes, path, (name) => this.intern(name));
      if (manifest.id !== id) throw new VmError("bad-file", `${path} is of ${manifest.id}`);
      return { manifest, bytes: bytes.length };
    } finally {
      file.close();
    }
  }

  /** From a snapshot to the first of its chain. Throws "not-found", "bad-file". */
  chainOf(id: string): Manifest[] {
    const chain: Manifest[] = [];
    let content: string | null = null;
    for (let next: string | null = id; next !== null; ) {
      const manifest = this.manifests.get(next);
      if (manifest === undefined) {
        if (chain.length === 0) throw new VmError("not-found", `snapshot ${id} is not there`);
        throw new VmError("bad-file", `snapshot ${next}, that it builds on, is not there`);
      }
      if (content !== null && manifest.content !== content) {
        throw new VmError("bad-file", `snapshot ${next} is not the one that it builds on`);
      }
      if (chain.length === CHAIN_MAX) {
        throw new VmError("bad-file", `its chain has more than ${CHAIN_MAX} snapshots, or no end`);
      }
      chain.push(manifest);
      content = manifest.parentContent;
      next = manifest.parent;
    }
    return chain;
  }

  /** Snapshots of its chain; 0 for one that cannot be used. */
  levelOf(id: string): number {
    return this.problemOf(id) === null ? this.chainOf(id).length : 0;
  }

  /** Why a snapshot cannot be used; null when it can, as far as is known. */
  problemOf(id: string): string | null {
    try {
      for (const { regions } of this.chainOf(id)) {
        for (const number of segmentsOf(regions)) {
          const { problem } = this.segments[number];
          if (problem !== null) return problem;
        }
      }
      return null;
    } catch (error) {
      return reasonOf(error);
    }
  }

  /** Where every page of a snapshot is that is not zeros, its whole chain as one. */
  resolve(id: string): Regions {
    // from the newest down: what changed little stays small until the last
    let regions: Regions = new Map();
    for (const manifest of this.chainOf(id)) {
      regions = overlayRegions(manifest.regions, regions, manifest.parent === null);
    }
    return regions;
  }

  /** Throws "busy" when somebody writes a child of one of these. */
  checkUnused(ids: Iterable<string>): void {
    for (const id of ids) {
      if (!this.parentsInUse.has(id)) continue;
      const name = this.manifests.get(id)?.name ?? id;
      const text = `snapshot ${name}: one that builds on it is being written`;
      throw new VmError("busy", `${text}; wait for it, or cancel it`);
    }
  }

  /**
   * Makes a change durable, then known here; then what nobody needs goes. It does not count before
   * `ready`: what it names is durable then. Within `alone`.
   */
  async change(
    write: readonly Manifest[],
    remove: readonly string[],
    ready: Promise<unknown> = Promise.resolve(),
  ): Promise<void> {
    const files = write.map((manifest) => {
      const bytes = encodeManifest(manifest, (number) => this.segments[number], this.digest);
      return [manifest.id, bytes] as const;
    });
    let isInDoubt = false;
    const onDoubt = () => {
      isInDoubt = true;
    };
    try {
      const change = { write: new Map(files), remove, ready };
      await changeManifests(this.directory, change, onDoubt);
    } catch (error) {
      if (isInDoubt) this.#doubt = { error };
      throw error;
    }
    for (const [id, bytes] of files) this.fileBytes.set(id, bytes.length);
    for (const manifest of write) this.manifests.set(manifest.id, manifest);
    for (const id of remove) {
      this.manifests.delete(id);
      this.fileBytes.delete(id);
    }
    this.version++;
    await this.collect();
  }

  /** Takes the pages of a segment in: others may point to them from now on. */
  publish(number: number): void {
    if (this.#index !== null) this.#unindexed.push(number);
  }

  /** Removes the files of segments that nobody needs. */
  async collect(): Promise<void> {
    if (this.unreadable.length > 0 || this.isInDoubt) return; // any of them may be needed
    const needed = new Set<number>();
    for (const { regions } of this.manifests.values()) {
      for (const number of segmentsOf(regions)) needed.add(number);
    }
    for (const segment of this.segments) {
      if (segment.isGone || segment.pins > 0 || needed.has(segment.number)) continue;
      await this.discard(segment);
    }
  }

  /** `collect`, when nothing else is under way; of no importance once the store is closed. */
  async collectSoon(): Promise<void> {
    if (this.#isClosed || this.isInDoubt) return;
    await this.alone(() => this.collect());
  }

  /** Removes the file of a segment. */
  async discard(segment: Segment): Promise<void> {
    segment.isGone = true;
    segment.table = null;
    this.#byId.delete(segment.id);
    this.#files.drop(segment.path);
    await this.directory.remove(segment.path);
  }

  /** Which slots some snapshot points to, by segment: 1; null where none does. */
  liveSlots(): (Uint8Array | null)[] {
    const all: (Uint8Array | null)[] = this.segments.map(() => null);
    for (const { regions } of this.manifests.values()) {
      for (const { segments, slots } of regions.values()) {
        for (let at = 0; at < segments.length; at++) {
          const number = segments[at];
          if (number === NOWHERE) continue;
          const live = (all[number] ??= new Uint8Array(this.slotCount(number)));
          if (slots[at] < live.length) live[slots[at]] = 1;
        }
      }
    }
    return all;
  }

  /** Slots of a segment; 0 when that cannot be read. */
  slotCount(number: number): number {
    try {
      return this.tableOf(number).count;
    } catch {
      return 0;
    }
  }

  /** Waits for what is under way and lets the directory go. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#queue;
    this.#files.clear();
    await this.#lock.release();
  }
}
