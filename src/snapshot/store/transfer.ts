/**
 * transfer: one snapshot as one file, and back.
 *
 * Used by store.ts.
 * Holds   such a file is a segment with all of its pages, a manifest that stands on its own, and a
 *         tail; every byte is under a digest or a hash. What comes in is checked page by page and
 *         written as any snapshot is: it may come from anywhere.
 *
 *   segment ─ manifest ─ tail 64: magic 8, format u32, zero u32, segment bytes u64, manifest bytes
 *   u64, SHA-256 of these 32 bytes
 */
import { VmError } from "../../errors.ts";
import type { StoreFile } from "../../platform/contract.ts";
import type { ByteSink, ByteSource, SnapshotMeta } from "../store-port.ts";
import type { Pace } from "../throttle.ts";
import { DIGEST_BYTES, digestOf, PAGE_BYTES, sameBytes } from "./bytes.ts";
import { decodeManifest, encodeManifest, type Manifest, type SegmentName } from "./manifest.ts";
import { type PageColumns, pageCount } from "./page-columns.ts";
import { PageHash } from "./page-hash.ts";
import {
  decodeSlot,
  decodeTable,
  decodeTail,
  HEAD_BYTES,
  TAIL_BYTES as SEGMENT_TAIL_BYTES,
  SLOT_BYTES,
  type SlotTable,
} from "./segment.ts";
import { SegmentWriter } from "./segment-writer.ts";
import type { StoreState } from "./state.ts";
import type { SnapshotWriter } from "./writer.ts";

const MAGIC = new TextEncoder().encode("RIVEXPRT");
const FORMAT = 1;
const TAIL_BYTES = 64;
const MANIFEST_BYTES_MAX = 1 << 30;
const PAGES_PER_LOOK = 64;

function encodeTail(segmentBytes: number, manifestBytes: number): Uint8Array {
  const tail = new Uint8Array(TAIL_BYTES);
  const view = new DataView(tail.buffer);
  tail.set(MAGIC);
  view.setUint32(8, FORMAT, true);
  view.setBigUint64(16, BigInt(segmentBytes), true);
  view.setBigUint64(24, BigInt(manifestBytes), true);
  tail.set(digestOf(tail.subarray(0, TAIL_BYTES - DIGEST_BYTES)), TAIL_BYTES - DIGEST_BYTES);
  return tail;
}

/** A sink as a file that is written from its begin to its end, whoever else is quick. */
class SinkFile implements StoreFile {
  bytes = 0;
  readonly #sink: ByteSink;
  #last: Promise<void> = Promise.resolve();

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  read(): never {
    throw new VmError("bad-state", "what was exported is not read back");
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    if (offset !== this.bytes) throw new VmError("bad-state", "an export is written in order");
    this.bytes += bytes.length;
    this.#last = this.#last.then(() => this.#sink.write(bytes));
    return this.#last;
  }

  async writev(offset: number, pieces: readonly Uint8Array[]): Promise<void> {
    let at = offset;
    const written: Promise<void>[] = [];
    for (const piece of pieces) {
      written.push(this.write(at, piece));
      at += piece.length;
    }
    await Promise.all(written);
  }

  async sync(): Promise<void> {}

  close(): void {}
}

/** Writes a snapshot, its chain as one. Returns how many bytes. */
export async function exportSnapshot(
  state: StoreState,
  id: string,
  sink: ByteSink,
  pace: Pace,
): Promise<number> {
  const [manifest] = state.chainOf(id);
  const regions = state.resolve(id);
  const total = pageCount(regions);
  const segmentId = state.newId();
  const { key, hash } = state;
  const own = { compress: state.compress, digest: state.digest };
  const file = new SinkFile(sink);
  const writer = new SegmentWriter({ ...own, file, id: segmentId, key, hash });
  const slotOf = new Map<string, number>();
  const columns = new Map<number, PageColumns>();
  const page = new Uint8Array(PAGE_BYTES);
  let done = 0;
  for (const [region, { pages, segments, slots }] of regions) {
    const made = new Uint32Array(pages.length);
    for (let at = 0; at < pages.length; at++) {
      const place = `${segments[at]}:${slots[at]}`;
      let slot = slotOf.get(place);
      if (slot === undefined) {
        state.readPage(segments[at], slots[at], page);
        slot = writer.append(page, hash.hash(page).slice());
        slotOf.set(place, slot);
        const { pressure } = writer;
        if (pressure !== undefined) await pressure;
      }
      made[at] = slot;
      if (++done % PAGES_PER_LOOK === 0 && pace.isDue(PAGES_PER_LOOK * PAGE_BYTES)) {
        await pace.breathe("writing pages", done, total);
      }
    }
    columns.set(region, { pages, segments: new Uint32Array(pages.length), slots: made });
  }
  const { digest, bytes, synced } = await writer.finish();
  await synced;
  const whole: Manifest = {
    ...manifest,
    ...{ parent: null, parentContent: null, type: "full", regions: columns, writtenBytes: bytes },
  };
  const encoded = encodeManifest(whole, () => ({ id: segmentId, digest }), state.digest);
  await file.write(bytes, encoded);
  await file.write(bytes + encoded.length, encodeTail(bytes, encoded.length));
  return file.bytes;
}

/** Exactly `bytes` bytes of a source. Throws "bad-file" when it does not have them, "io". */
async function fetch(
  source: ByteSource,
  offset: number,
  bytes: number,
  what: string,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!(offset >= 0 && bytes >= 0 && offset + bytes <= source.bytes)) {
    const given = `${bytes} bytes are said to be at ${offset}`;
    throw new VmError("bad-file", `${what} is cut short: ${given} of ${source.bytes}`);
  }
  const target = new Uint8Array(bytes);
  await source.read(offset, target);
  return target;
}

/** A file that holds a snapshot, opened; its pages are still to be read. */
export interface Parcel {
  readonly manifest: Manifest;
  readonly source: ByteSource;
  readonly table: SlotTable;
}

/** How long the parts of an exported file are. Throws "bad-file", "unsupported". */
async function measure(source: ByteSource, what: string) {
  const refuse = (why: string): never => {
    throw new VmError("bad-file", `${what} ${why}`);
  };
  const tail = await fetch(source, source.bytes - TAIL_BYTES, TAIL_BYTES, what);
  if (!sameBytes(tail.subarray(0, 8), MAGIC)) refuse("is no exported snapshot");
  const signed = tail.subarray(0, TAIL_BYTES - DIGEST_BYTES);
  if (!sameBytes(digestOf(signed), tail.subarray(TAIL_BYTES - DIGEST_BYTES))) {
    refuse("is damaged: its tail's digest is wrong");
  }
  const view = new DataView(tail.buffer);
  const format = view.getUint32(8, true);
  if (format !== FORMAT || view.getUint32(12, true) !== 0) {
    throw new VmError("unsupported", `${what} has format ${format}: this version reads ${FORMAT}`);
  }
  const segmentBytes = Number(view.getBigUint64(16, true));
  const manifestBytes = Number(view.getBigUint64(24, true));
  if (segmentBytes + manifestBytes + TAIL_BYTES !== source.bytes) refuse("is cut short");
  if (manifestBytes > MANIFEST_BYTES_MAX) refuse(`has a manifest of ${manifestBytes} bytes`);
  return { segmentBytes, manifestBytes };
}

/** Reads all of an exported file but its pages. Throws "bad-file", "unsupported", "io". */
export async function openParcel(source: ByteSource, what: string): Promise<Parcel> {
  const { segmentBytes, manifestBytes } = await measure(source, what);
  const named: SegmentName[] = [];
  const encoded = await fetch(source, segmentBytes, manifestBytes, what);
  const manifest = decodeManifest(encoded, what, (name) => named.push(name) - 1);
  if (manifest.parent !== null) {
    throw new VmError("bad-file", `${what} builds on another snapshot`);
  }
  const tailAt = segmentBytes - SEGMENT_TAIL_BYTES;
  const tail = await fetch(source, tailAt, SEGMENT_TAIL_BYTES, what);
  const facts = decodeTail(tail, segmentBytes, what);
  const isNamed = named.every(({ digest }) => sameBytes(digest, facts.digest));
  if (named.length > 1 || !isNamed) {
    throw new VmError("bad-file", `${what} names another segment than it has`);
  }
  const head = await fetch(source, 0, HEAD_BYTES, what);
  const table = await fetch(source, HEAD_BYTES + facts.dataBytes, facts.slots * SLOT_BYTES, what);
  const id = named[0]?.id ?? null; // without pages it names none
  return { manifest, source, table: decodeTable({ head, table, tail }, facts, id, what) };
}

/** What `importParcel` may be told. */
export interface StoreImportOptions {
  /** In place of the one in the file. */
  readonly name?: string;
  /** In place of the one in the file: name of the machine that it counts as one of. */
  readonly machine?: string;
}

/** Writes what a parcel holds as a new snapshot; each page is checked. Commits. */
export async function importParcel(
  state: StoreState,
  parcel: Parcel,
  begin: (meta: SnapshotMeta) => Promise<SnapshotWriter>,
  options: StoreImportOptions,
  pace: Pace,
): Promise<string> {
  const { manifest, source, table } = parcel;
  const what = "the file";
  const id = state.manifests.has(manifest.id) ? state.newId() : manifest.id;
  const hash = await PageHash.create(state.platform, table.key);
  const { name, machine, createdMs, ticks, instructions, digest, labels, notes } = manifest;
  const writer = await begin({
    ...{ id, createdMs, ticks, instructions, digest, labels, notes, type: "full", parent: null },
    name: options.name ?? name,
    machine: options.machine ?? machine,
  });
  try {
    for (const section of manifest.sections) writer.section(section);
    const total = pageCount(manifest.regions);
    const page = new Uint8Array(PAGE_BYTES);
    let done = 0;
    for (const [region, { pages, slots, segments }] of manifest.regions) {
      for (let at = 0; at < pages.length; at++) {
        if (segments[at] !== 0 || slots[at] >= table.count) {
          throw new VmError("bad-file", `page ${pages[at]} of region ${region} is nowhere in it`);
        }
        const [offset, bytes] = [table.offset(slots[at]), table.bytes(slots[at])];
        decodeSlot(await fetch(source, offset, bytes, what), table, slots[at], page, hash, what);
        const written = writer.page(region, pages[at], page);
        if (written !== undefined) await written;
        if (++done % PAGES_PER_LOOK === 0 && pace.isDue(PAGES_PER_LOOK * PAGE_BYTES)) {
          await pace.breathe("reading pages", done, total);
        }
      }
    }
    await writer.commit();
    return id;
  } catch (error) {
    await writer.abort();
    throw error;
  }
}
