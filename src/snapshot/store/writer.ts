/**
 * writer: writes one snapshot: pages that the store does not have yet to segments of its own, then
 * the manifest.
 *
 * Owns    its segments until `commit`; what it points to elsewhere is pinned meanwhile.
 * Used by store.ts, transfer.ts.
 * Holds   nothing counts before the manifest has its name, and it gets that only when all that it
 *         names is durable: segments, their folder, its own bytes. These are synced side by side. A
 *         page is taken for one that is there only when all its bytes are the same.
 */
import type { MaybePromise } from "../../device/block/contract.ts";
import type { DeviceSection } from "../../device/contract.ts";
import { VmError } from "../../errors.ts";
import type { PageAgain, SnapshotMeta, StoreWriter } from "../store-port.ts";
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
const TWO_32 = 2 ** 32;

interface Own {
  readonly segment: Segment;
  readonly writer: SegmentWriter;
  /** Which page each slot was written for: region times 2^32, and page. */
  readonly origins: number[];
  isFinished: boolean;
  /** Its bytes are durable then. */
  synced: Promise<void>;
}

/** What a writer is made for. */
export interface WriterParts {
  readonly meta: SnapshotMeta;
  readonly parentContent: string | null;
  readonly again: PageAgain | null;
}

/** A snapshot that is being written. */
export class SnapshotWriter implements StoreWriter {
  readonly #state: StoreState;
  readonly #meta: SnapshotMeta;
  readonly #parentContent: string | null;
  readonly #again: PageAgain | null;
  readonly #regions = new Map<number, ColumnsBuilder>();
  readonly #sections: DeviceSection[] = [];
  readonly #own: Own[] = [];
  /** Places in #own, by hash. */
  readonly #index = new HashIndex();
  readonly #pinned = new Set<number>();
  readonly #hash = new Uint32Array(4);
  readonly #scratch = new Uint8Array(PAGE_BYTES);
  #isEnded = false;

  /** For SnapshotStore.begin, which checked what is said. */
  constructor(state: StoreState, { meta, parentContent, again }: WriterParts) {
    this.#state = state;
    this.#meta = meta;
    this.#parentContent = parentContent;
    this.#again = again;
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
    const found = this.#find(bytes);
    if (found !== null) {
      columns.add(page, found.segment, found.slot);
      return;
    }
    const current = this.#own.at(-1);
    if (current !== undefined && !current.isFinished) {
      this.#append(current, columns, [region, page], bytes);
      if (current.writer.slots === SEGMENT_SLOTS_MAX) return this.#finish(current);
      return current.writer.pressure;
    }
    return this.#openSegment().then((own) => this.#append(own, columns, [region, page], bytes));
  }

  #append(own: Own, columns: ColumnsBuilder, origin: readonly number[], bytes: Uint8Array) {
    const { segment, writer, origins } = own;
    const [region, page] = origin;
    const slot = writer.append(bytes, this.#hash);
    origins.push(region * TWO_32 + page);
    this.#index.add(this.#hash[0], this.#hash[1], segment.number, slot);
    columns.add(page, segment.number, slot);
  }

  /** Where the store, or this writer, has the page already. */
  #find(bytes: Uint8Array): Place | null {
    const there = this.#state.findPage(this.#hash, (segment, slot) => {
      try {
        this.#state.readPage(segment, slot, this.#scratch);
      } catch {
        return false; // it is damaged there: this one is written
      }
      return this.#state.hash.areSame(this.#scratch, bytes);
    });
    if (there !== null) {
      if (!this.#pinned.has(there.segment)) {
        this.#pinned.add(there.segment);
        this.#state.pin([there.segment]);
      }
      return there;
    }
    return this.#index.find(this.#hash[0], this.#hash[1], (segment, slot) => {
      const own = this.#own.find((one) => one.segment.number === segment) as Own;
      const origin = own.origins[slot];
      const first = this.#again?.(Math.floor(origin / TWO_32), origin % TWO_32) ?? null;
      if (first !== null) return this.#state.hash.areSame(first, bytes);
      if (own.isFinished) this.#state.readPage(segment, slot, this.#scratch);
      else own.writer.read(slot, this.#scratch);
      return this.#state.hash.areSame(this.#scratch, bytes);
    });
  }

  async #openSegment(): Promise<Own> {
    const { key, hash, compress, digest, directory } = this.#state;
    const segment = this.#state.reserveSegment();
    this.#pinned.add(segment.number);
    const file = await directory.create(segment.path);
    const writer = new SegmentWriter({ file, id: segment.id, key, hash, compress, digest });
    const own = { segment, writer, origins: [], isFinished: false, synced: Promise.resolve() };
    this.#own.push(own);
    return own;
  }

  async #finish(own: Own): Promise<void> {
    const finished = await own.writer.finish();
    own.isFinished = true;
    own.synced = finished.synced;
    this.#state.keepSegment(own.segment, finished);
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
