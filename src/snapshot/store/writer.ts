/**
 * writer: writes one snapshot: pages that the store does not have yet to segments of its own, then
 * the manifest.
 *
 * Owns    its segments until `commit`; what it points to elsewhere is pinned meanwhile.
 * Used by store.ts, transfer.ts.
 * Holds   nothing counts before the manifest has its name, and it gets that only when all that it
 *         names is durable: segments, their folder, its own bytes. These are synced side by side. A
 *         page is taken for one that is there only when all its bytes are the same. Frozen pages
 *         are written from where they are: released before they are on the disk, nothing counts.
 */
import type { MaybePromise } from "../../device/block/contract.ts";
import type { DeviceSection } from "../../device/contract.ts";
import { VmError } from "../../errors.ts";
import type { FrozenPages, SnapshotMeta, StoreWriter } from "../store-port.ts";
import { PAGE_BYTES } from "./bytes.ts";
import { HashIndex, type Place } from "./hash-index.ts";
import { checkManifest, type Manifest, REGIONS_MAX, segmentsOf } from "./manifest.ts";
import {
  ColumnsBuilder,
  columnsOf,
  lookUp,
  NOWHERE,
  type PageColumns,
  without,
} from "./page-columns.ts";
import { SegmentWriter } from "./segment-writer.ts";
import { SEGMENTS, type Segment, type StoreState } from "./state.ts";

/** Slots of one segment: 256 MiB of pages. */
const SEGMENT_SLOTS_MAX = 65_536;

interface Own {
  readonly segment: Segment;
  readonly writer: SegmentWriter;
  /** Where each slot's page is frozen; 0 for one that was copied. */
  readonly frozenAt: number[];
  isFinished: boolean;
  /** Its bytes are durable then. */
  synced: Promise<void>;
}

/** What a writer is made for. */
export interface WriterParts {
  readonly meta: SnapshotMeta;
  readonly parentContent: string | null;
}

/** A snapshot that is being written. */
export class SnapshotWriter implements StoreWriter {
  readonly #state: StoreState;
  readonly #meta: SnapshotMeta;
  readonly #parentContent: string | null;
  readonly #regions = new Map<number, ColumnsBuilder>();
  readonly #sections: DeviceSection[] = [];
  readonly #own: Own[] = [];
  /** Places in #own, by hash. */
  readonly #index = new HashIndex();
  readonly #pinned = new Set<number>();
  readonly #hash = new Uint32Array(4);
  /** What is looked for, and what is frozen so far; all of one source. */
  #bytes: Uint8Array | null = null;
  #address = 0;
  #source: FrozenPages | null = null;
  readonly #scratch = new Uint8Array(PAGE_BYTES);
  #isEnded = false;

  /** For SnapshotStore.begin, which checked what is said. */
  constructor(state: StoreState, { meta, parentContent }: WriterParts) {
    this.#state = state;
    this.#meta = meta;
    this.#parentContent = parentContent;
    const { parent } = meta;
    if (parent === null) return;
    state.parentsInUse.set(parent, (state.parentsInUse.get(parent) ?? 0) + 1);
  }

  #check(): void {
    this.#state.checkOpen();
    if (this.#isEnded) throw new VmError("bad-state", `snapshot ${this.#meta.name} is written`);
  }

  #columns(region: number, page: number): ColumnsBuilder {
    this.#check();
    const areWhole = region >>> 0 === region && page >>> 0 === page;
    if (!areWhole || region >= REGIONS_MAX || page >= NOWHERE) {
      const accepted = `accepted are regions below ${REGIONS_MAX} and pages below ${NOWHERE}`;
      throw new VmError("bad-argument", `page ${page} of region ${region}: ${accepted}`);
    }
    let columns = this.#regions.get(region);
    if (columns === undefined) {
      columns = new ColumnsBuilder();
      this.#regions.set(region, columns);
    }
    return columns;
  }

  page(region: number, page: number, bytes: Uint8Array): MaybePromise<void> {
    const columns = this.#columns(region, page);
    if (bytes.length !== PAGE_BYTES) {
      throw new VmError("bad-argument", `a page of ${bytes.length} bytes: accepted are 4096`);
    }
    this.#hash.set(this.#state.hash.hash(bytes));
    this.#address = 0;
    this.#bytes = bytes;
    const found = this.#find();
    if (found !== null) {
      columns.add(page, found.segment, found.slot);
      return;
    }
    const current = this.#current;
    if (current === null) return this.#openSegment().then(() => this.page(region, page, bytes));
    this.#keep(current, columns, page, current.writer.append(bytes, this.#hash), 0);
    return this.#pressure(current);
  }

  frozen(region: number, pages: Uint32Array, source: FrozenPages): MaybePromise<number> {
    const columns = this.#columns(region, pages[0]);
    if (this.#source !== null && this.#source !== source) {
      throw new VmError("bad-argument", "frozen pages of a second source: accepted is one");
    }
    this.#source = source;
    const { addresses, hashes } = source.survey(pages, this.#state.hash.key);
    const current = this.#current;
    let taken = 0;
    for (; taken < addresses.length; taken++) {
      const at = addresses[taken];
      if (at === 0) {
        columns.add(pages[taken], NOWHERE, 0);
        continue;
      }
      for (let word = 0; word < 4; word++) this.#hash[word] = hashes[taken * 4 + word];
      this.#address = at;
      const found = this.#find();
      if (found !== null) {
        columns.add(pages[taken], found.segment, found.slot);
        continue;
      }
      if (current === null || current.writer.slots === SEGMENT_SLOTS_MAX) break;
      const slot = current.writer.appendFrozen(source.memory, at, this.#hash);
      this.#keep(current, columns, pages[taken], slot, at);
    }
    const isOut = taken < addresses.length && current === null;
    const wait = isOut ? this.#openSegment() : current && this.#pressure(current);
    if (wait === null || wait === undefined) return taken;
    // none was taken for want of a segment: there is one now
    return wait.then(() => (taken > 0 ? taken : this.frozen(region, pages, source)));
  }

  /** The segment that is written; null when there is none yet. */
  get #current(): Own | null {
    const last = this.#own.at(-1);
    return last === undefined || last.isFinished ? null : last;
  }

  /** To be awaited before the next page. */
  #pressure(own: Own): Promise<void> | undefined {
    return own.writer.slots === SEGMENT_SLOTS_MAX ? this.#finish(own) : own.writer.pressure;
  }

  #keep(own: Own, columns: ColumnsBuilder, page: number, slot: number, frozenAt: number): void {
    own.frozenAt.push(frozenAt);
    this.#index.add(this.#hash[0], this.#hash[1], own.segment.number, slot);
    columns.add(page, own.segment.number, slot);
  }

  /** Where the store, or this writer, has the page already. */
  #find(): Place | null {
    const there = this.#state.findPage(this.#hash, this.#isThere);
    if (there === null) return this.#index.find(this.#hash[0], this.#hash[1], this.#isOwn);
    if (!this.#pinned.has(there.segment)) {
      this.#pinned.add(there.segment);
      this.#state.pin([there.segment]);
    }
    return there;
  }

  /** The bytes that are looked for. */
  get #wanted(): Uint8Array {
    return this.#address === 0 ? (this.#bytes as Uint8Array) : this.#frozenPage(this.#address);
  }

  #frozenPage(at: number): Uint8Array {
    return (this.#source as FrozenPages).memory.subarray(at, at + PAGE_BYTES);
  }

  /** True when a page of the store is the one that is looked for. */
  readonly #isThere = (segment: number, slot: number): boolean => {
    try {
      this.#state.readPage(segment, slot, this.#scratch);
    } catch {
      return false; // it is damaged there: this one is written
    }
    return this.#state.hash.areSame(this.#scratch, this.#wanted);
  };

  /** True when a page of this writer's is. */
  readonly #isOwn = (segment: number, slot: number): boolean => {
    const own = this.#own.find((one) => one.segment.number === segment) as Own;
    const frozenAt = own.frozenAt[slot];
    if (frozenAt !== 0 && this.#address !== 0) {
      return (this.#source as FrozenPages).areSame(frozenAt, this.#address);
    }
    if (frozenAt !== 0) this.#scratch.set(this.#frozenPage(frozenAt));
    else if (own.isFinished) this.#state.readPage(segment, slot, this.#scratch);
    else own.writer.read(slot, this.#scratch);
    return this.#state.hash.areSame(this.#scratch, this.#wanted);
  };

  async #openSegment(): Promise<void> {
    const { key, hash, compress, digest, directory } = this.#state;
    const segment = this.#state.reserveSegment();
    this.#pinned.add(segment.number);
    const file = await directory.create(segment.path);
    const writer = new SegmentWriter({ file, id: segment.id, key, hash, compress, digest });
    const own = { segment, writer, frozenAt: [], isFinished: false, synced: Promise.resolve() };
    this.#own.push(own);
  }

  async #finish(own: Own): Promise<void> {
    const finished = await own.writer.finish();
    own.isFinished = true;
    own.synced = finished.synced;
    this.#state.keepSegment(own.segment, finished);
    if (this.#source?.isReleased !== true) return;
    throw new VmError("disposed", "frozen pages were released before they were written");
  }

  zero(region: number, page: number): void {
    this.#columns(region, page).add(page, NOWHERE, 0);
  }

  section(section: DeviceSection): void {
    this.#check();
    if (this.#sections.some(({ name }) => name === section.name)) {
      throw new VmError("bad-argument", `section "${section.name}" is there already`);
    }
    this.#sections.push({ ...section, bytes: section.bytes.slice() });
  }

  /** Durable when it resolves; when it rejects nothing of it is left, unless "io" says so. */
  async commit(): Promise<void> {
    this.#check();
    try {
      for (const own of this.#own) if (!own.isFinished) await this.#finish(own);
      const durable = this.#durable();
      durable.catch(() => {}); // `change` is told
      await this.#state.alone(() => this.#state.change([this.#manifest()], [], durable));
    } catch (error) {
      await this.abort().catch(() => {}); // what failed first is told; the next opening clears away
      throw error;
    }
    for (const { segment } of this.#own) this.#state.publish(segment.number);
    await this.#end();
  }

  /** Name and bytes of every segment. */
  async #durable(): Promise<void> {
    if (this.#own.length === 0) return;
    const named = this.#state.directory.sync(SEGMENTS);
    await Promise.all([named, ...this.#own.map(({ synced }) => synced)]);
  }

  #manifest(): Manifest {
    const { parent, type } = this.#meta;
    const chain = parent === null ? [] : this.#state.chainOf(parent);
    const regions = new Map<number, PageColumns>();
    for (const [region, columns] of this.#regions) {
      // what is as in the parent, and zeros over nothing, says nothing
      const own = columns.finish();
      const layers = chain.map((manifest) => columnsOf(manifest.regions, region));
      const made = without(lookUp(layers, own.pages), own);
      if (made.pages.length > 0) regions.set(region, made);
    }
    const used = new Set(segmentsOf(regions));
    const written = this.#own.filter(({ segment }) => used.has(segment.number));
    const manifest: Manifest = {
      ...this.#meta,
      type: parent === null ? "full" : type,
      parentContent: this.#parentContent,
      content: this.#state.newId(),
      writtenBytes: written.reduce((sum, { segment }) => sum + segment.bytes, 0),
      sections: this.#sections,
      regions,
    };
    checkManifest(manifest);
    return manifest;
  }

  /** Gives up: nothing of it is left. Once is enough; after `commit` it does nothing. */
  async abort(): Promise<void> {
    if (this.#isEnded) return;
    for (const { isFinished, writer, synced } of this.#own) {
      if (isFinished) await Promise.allSettled([synced]);
      else await writer.drop();
    }
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#isEnded = true;
    const { parent } = this.#meta;
    const { parentsInUse } = this.#state;
    if (parent !== null) {
      const users = (parentsInUse.get(parent) as number) - 1;
      if (users === 0) parentsInUse.delete(parent);
      else parentsInUse.set(parent, users);
    }
    this.#state.unpin(this.#pinned);
    this.#pinned.clear();
    await this.#state.collectSoon();
  }
}
