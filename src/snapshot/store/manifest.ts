/**
 * manifest: the file of one snapshot: what is said of it, the machine's sections, where its pages
 * are.
 *
 * Used by state.ts, which keeps them; change.ts, writer.ts and transfer.ts, which make them.
 * Holds   a manifest is read whole or refused; nothing of it is believed unchecked. `content` is
 *         given to a snapshot once and stays while it holds what it holds, whatever becomes of its
 *         name, its parent or the form of its index; a child names its parent by both.
 *
 *   store.meta      JSON: id, machine, type, parent, when, digest, content
 *   store.label     JSON: name, labels, notes
 *   store.segments  48 bytes each: id 16, digest 32
 *   store.pages     regions u32, zero u32; region u32, pages u32 each; then for each its columns:
 *                   pages, segments (places in store.segments, or NOWHERE), slots
 *   machine/...     the machine's own sections
 */
import { z } from "zod";
import type { DeviceSection } from "../../device/contract.ts";
import { VmError } from "../../errors.ts";
import type { SnapshotMeta } from "../store-port.ts";
import { type Digest, fromHex, toHex } from "./bytes.ts";
import { decodeContainer, encodeContainer } from "./container.ts";
import { NOWHERE, type PageColumns, type Regions } from "./page-columns.ts";

/** Regions of one snapshot: RAM and its disks. */
export const REGIONS_MAX = 1025;
const SEGMENT_BYTES = 48;
const SEGMENTS_MAX = 1 << 20;
const JSON_BYTES_MAX = 1 << 20;
const MACHINE_PREFIX = "machine/";

/** Versions of the store's own sections, and what makes each older one the next. */
const OWN: Readonly<
  Record<
    string,
    {
      readonly version: number;
      readonly upgrades: Readonly<Record<number, (bytes: Uint8Array) => Uint8Array>>;
    }
  >
> = {
  "store.meta": { version: 1, upgrades: {} },
  "store.label": { version: 1, upgrades: {} },
  "store.segments": { version: 1, upgrades: {} },
  "store.pages": { version: 1, upgrades: {} },
};

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`));
const count = z.number().int().nonnegative();

const Meta = z.strictObject({
  id: hex(32),
  machine: z.string().max(256),
  type: z.enum(["full", "incremental", "differential", "cow"]),
  parent: hex(32).nullable(),
  parentContent: hex(32).nullable(),
  content: hex(32),
  createdMs: z.number().finite(),
  ticks: count,
  instructions: count,
  digest: z.string().max(256).nullable(),
  writtenBytes: count,
});

const Label = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(128)
    .refine((name) => ![...name].some((one) => one < " ")),
  labels: z.record(z.string().max(128), z.string().max(4096)).refine((labels) => {
    return Object.keys(labels).length <= 256;
  }),
  notes: z.string().max(65_536),
});

/** A snapshot as it is on disk. */
export interface Manifest extends SnapshotMeta {
  /** 32 digits, of what it holds. */
  readonly content: string;
  /** `content` of the parent. */
  readonly parentContent: string | null;
  /** Of segments that were written for it. */
  readonly writtenBytes: number;
  /** The machine's. */
  readonly sections: readonly DeviceSection[];
  /** Pages that it holds itself, by region. */
  readonly regions: Regions;
}

/** A segment as manifests name it. */
export interface SegmentName {
  readonly id: string;
  readonly digest: Uint8Array;
}

/** Throws "bad-argument" for what cannot be kept of a snapshot. */
export function checkManifest(manifest: Manifest): void {
  const { id, machine, type, parent, parentContent, content, createdMs } = manifest;
  const { ticks, instructions, digest, writtenBytes, name, labels, notes } = manifest;
  const checked = z.object({ meta: Meta, label: Label }).safeParse({
    meta: {
      ...{ id, machine, type, parent, parentContent, content, createdMs },
      ...{ ticks, instructions, digest, writtenBytes },
    },
    label: { name, labels, notes },
  });
  if (checked.success) return;
  throw new VmError("bad-argument", `snapshot "${name}": ${z.prettifyError(checked.error)}`);
}

// ---- to bytes ----

function encodePages(regions: Regions, localOf: ReadonlyMap<number, number>): Uint8Array {
  const all = [...regions].sort(([a], [b]) => a - b);
  const total = all.reduce((sum, [, { pages }]) => sum + pages.length, 0);
  const words = new Uint32Array(2 + 2 * all.length + 3 * total);
  words[0] = all.length;
  let at = 2;
  for (const [region, { pages }] of all) {
    words[at++] = region;
    words[at++] = pages.length;
  }
  for (const [, { pages, segments, slots }] of all) {
    words.set(pages, at);
    at += pages.length;
    for (const segment of segments) {
      words[at++] = segment === NOWHERE ? NOWHERE : (localOf.get(segment) as number);
    }
    words.set(slots, at);
    at += slots.length;
  }
  return new Uint8Array(words.buffer);
}

const segmentsKnown = new WeakMap<Regions, readonly number[]>();

/** Segments that pages are in, ascending. Of regions that do not change any more. */
export function segmentsOf(regions: Regions): readonly number[] {
  const known = segmentsKnown.get(regions);
  if (known !== undefined) return known;
  const all = new Set<number>();
  for (const { segments } of regions.values()) {
    let last = NOWHERE;
    for (const segment of segments) {
      if (segment !== last) all.add(segment);
      last = segment;
    }
  }
  all.delete(NOWHERE);
  const sorted = [...all].sort((a, b) => a - b);
  segmentsKnown.set(regions, sorted);
  return sorted;
}

/** The file. `nameOf` tells what the store's segments are called. */
export function encodeManifest(
  manifest: Manifest,
  nameOf: (segment: number) => SegmentName,
  digestBy: Digest,
): Uint8Array<ArrayBuffer> {
  const { sections, regions, name, labels, notes, ...rest } = manifest;
  const { id, machine, type, parent, parentContent, content, createdMs } = rest;
  const { ticks, instructions, digest, writtenBytes } = rest;
  const numbers = segmentsOf(regions);
  const segments = new Uint8Array(numbers.length * SEGMENT_BYTES);
  for (const [local, number] of numbers.entries()) {
    const { id: segment, digest: sum } = nameOf(number);
    segments.set(fromHex(segment), local * SEGMENT_BYTES);
    segments.set(sum, local * SEGMENT_BYTES + 16);
  }
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const meta = {
    ...{ id, machine, type, parent, parentContent, content, createdMs },
    ...{ ticks, instructions, digest, writtenBytes },
  };
  const localOf = new Map(numbers.map((number, local) => [number, local]));
  const own = {
    "store.meta": json(meta),
    "store.label": json({ name, labels, notes }),
    "store.segments": segments,
    "store.pages": encodePages(regions, localOf),
  };
  const all = [
    ...Object.entries(own).map(([section, bytes]) => {
      return { name: section, version: OWN[section].version, bytes };
    }),
    ...sections.map((one) => ({ ...one, name: MACHINE_PREFIX + one.name })),
  ];
  return encodeContainer("SNAP", all, digestBy);
}

// ---- from bytes ----

/** A section's bytes as this version knows them. Throws "unsupported" when it is newer. */
function upgraded({ name, version, bytes }: DeviceSection, what: string): Uint8Array {
  const own = OWN[name];
  const newest = own?.version ?? 0;
  if (version > newest) {
    const accepted = newest === 0 ? "this version knows none" : `this version reads ${newest}`;
    throw new VmError(
      "unsupported",
      `${what}: section "${name}" has version ${version}: ${accepted}`,
    );
  }
  let now = bytes;
  for (let from = version; from < newest; from++) {
    const upgrade = own.upgrades[from];
    if (upgrade === undefined) {
      throw new VmError("unsupported", `${what}: section "${name}" has version ${from}, not known`);
    }
    now = upgrade(now);
  }
  return now;
}

function decodeJson<T>(schema: z.ZodType<T>, bytes: Uint8Array, what: string): T {
  if (bytes.length > JSON_BYTES_MAX) throw new VmError("bad-file", `${what} is too long`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new VmError("bad-file", `${what} is not JSON`);
  }
  const checked = schema.safeParse(json);
  if (checked.success) return checked.data;
  throw new VmError("bad-file", `${what} is wrong: ${z.prettifyError(checked.error)}`);
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  const copy = bytes.slice(0, bytes.length & ~3);
  return new Uint32Array(copy.buffer, 0, copy.length / 4);
}

function decodeColumns(
  words: Uint32Array,
  at: number,
  length: number,
  segments: readonly number[],
  what: string,
): PageColumns {
  const pages = words.slice(at, at + length);
  const locals = words.subarray(at + length, at + 2 * length);
  const slots = words.slice(at + 2 * length, at + 3 * length);
  const numbers = new Uint32Array(length);
  for (let index = 0; index < length; index++) {
    const local = locals[index];
    const isAscending = index === 0 || pages[index - 1] < pages[index];
    const isZero = local === NOWHERE && slots[index] === 0;
    if (!isAscending || pages[index] === NOWHERE || (local >= segments.length && !isZero)) {
      throw new VmError("bad-file", `${what}: its index of pages is wrong at ${index}`);
    }
    numbers[index] = isZero ? NOWHERE : segments[local];
  }
  return { pages, segments: numbers, slots };
}

function decodePages(bytes: Uint8Array, segments: readonly number[], what: string): Regions {
  const refuse = (): never => {
    throw new VmError("bad-file", `${what}: its index of pages is not as long as it says`);
  };
  const words = wordsOf(bytes);
  if (bytes.length % 4 !== 0 || words.length < 2 || words[1] !== 0) refuse();
  const total = words[0];
  let at = 2 + 2 * total;
  if (total > REGIONS_MAX || at > words.length) refuse();
  const regions = new Map<number, PageColumns>();
  let last = -1;
  for (let index = 0; index < total; index++) {
    const region = words[2 + 2 * index];
    const length = words[3 + 2 * index];
    if (region <= last || region >= REGIONS_MAX || at + 3 * length > words.length) refuse();
    regions.set(region, decodeColumns(words, at, length, segments, what));
    at += 3 * length;
    last = region;
  }
  if (at !== words.length) refuse();
  return regions;
}

/**
 * Reads a manifest; `intern` gives the number of a segment that it names. Throws "bad-file", or
 * "unsupported" for a section that is newer, by name.
 */
export function decodeManifest(
  file: Uint8Array,
  what: string,
  intern: (name: SegmentName) => number,
): Manifest {
  const own = new Map<string, Uint8Array>();
  const sections: DeviceSection[] = [];
  for (const section of decodeContainer("SNAP", file, what)) {
    const { name, version, bytes } = section;
    if (name.startsWith(MACHINE_PREFIX)) {
      sections.push({ name: name.slice(MACHINE_PREFIX.length), version, bytes: bytes.slice() });
    } else {
      own.set(name, upgraded(section, what));
    }
  }
  const take = (name: string): Uint8Array => {
    const bytes = own.get(name);
    if (bytes === undefined) throw new VmError("bad-file", `${what} has no section "${name}"`);
    return bytes;
  };
  const meta = decodeJson(Meta, take("store.meta"), `${what}: section "store.meta"`);
  const label = decodeJson(Label, take("store.label"), `${what}: section "store.label"`);
  if ((meta.parent === null) !== (meta.parentContent === null) || meta.parent === meta.id) {
    throw new VmError("bad-file", `${what} names its parent wrongly`);
  }
  const names = take("store.segments");
  const total = names.length / SEGMENT_BYTES;
  if (!Number.isInteger(total) || total > SEGMENTS_MAX) {
    throw new VmError("bad-file", `${what}: its list of segments is cut short`);
  }
  const segments = Array.from({ length: total }, (_, local) => {
    const at = local * SEGMENT_BYTES;
    return intern({
      id: toHex(names.subarray(at, at + 16)),
      digest: names.slice(at + 16, at + SEGMENT_BYTES),
    });
  });
  const regions = decodePages(take("store.pages"), segments, what);
  return { ...meta, ...label, sections, regions };
}
