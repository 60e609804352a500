/**
 * container: the form of every small file of a store: named sections, each with a version of its
 * own, under one digest.
 *
 * Used by manifest.ts, plan.ts, store.ts, working-set.ts, transfer.ts.
 * Holds   the digest is checked before anything else is looked at; every byte is under it, and what
 *         is padding is zero. Numbers are little-endian. docs/snapshot-format.md has the bytes.
 *
 *   0   magic, 8 bytes ─ kind, 4 ─ format u32 ─ sections u32 ─ zero u32
 *   24  each section: name bytes u32 ─ version u32 ─ data bytes u64 ─ name ─ to 8 ─ data ─ to 8
 *   end SHA-256 of all before
 */
import type { DeviceSection } from "../../device/contract.ts";
import { VmError } from "../../errors.ts";
import { DIGEST_BYTES, type Digest, digestOf, sameBytes } from "./bytes.ts";

/** What a container is of. */
export type ContainerKind = "STOR" | "SNAP" | "WSET" | "PLAN" | "MIGR";

const MAGIC = Uint8Array.from([0x52, 0x49, 0x56, 0x55, 0x4c, 0x45, 0x54, 0x1a]); // RIVULET, ^Z
const FORMAT = 1;
const HEAD_BYTES = 24;
const SECTION_HEAD_BYTES = 16;
const SECTIONS_MAX = 65_536;
const NAME_BYTES_MAX = 255;

function aligned(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/** The container's bytes. Large ones are worth a quick `digest`. */
export function encodeContainer(
  kind: ContainerKind,
  sections: readonly DeviceSection[],
  digest: Digest = digestOf,
): Uint8Array<ArrayBuffer> {
  const named = sections.map((one) => ({ ...one, text: new TextEncoder().encode(one.name) }));
  let total = HEAD_BYTES + DIGEST_BYTES;
  for (const { name, text, bytes } of named) {
    if (text.length < 1 || text.length > NAME_BYTES_MAX) {
      const accepted = `accepted are 1 to ${NAME_BYTES_MAX} bytes`;
      throw new VmError("bad-argument", `a section is called "${name}": ${accepted}`);
    }
    total += SECTION_HEAD_BYTES + aligned(text.length) + aligned(bytes.length);
  }
  const file = new Uint8Array(total);
  const view = new DataView(file.buffer);
  file.set(MAGIC);
  file.set(new TextEncoder().encode(kind), 8);
  view.setUint32(12, FORMAT, true);
  view.setUint32(16, sections.length, true);
  let at = HEAD_BYTES;
  for (const { version, text, bytes } of named) {
    view.setUint32(at, text.length, true);
    view.setUint32(at + 4, version, true);
    view.setBigUint64(at + 8, BigInt(bytes.length), true);
    at += SECTION_HEAD_BYTES;
    file.set(text, at);
    at += aligned(text.length);
    file.set(bytes, at);
    at += aligned(bytes.length);
  }
  file.set(digest(file.subarray(0, at)), at);
  return file;
}

/** Reads a container's sections one after the other. */
class Walk {
  readonly #file: Uint8Array;
  readonly #view: DataView;
  readonly #end: number;
  readonly #what: string;
  #at = HEAD_BYTES;

  constructor(file: Uint8Array, what: string) {
    this.#file = file;
    this.#view = new DataView(file.buffer, file.byteOffset, file.length);
    this.#end = file.length - DIGEST_BYTES;
    this.#what = what;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#end;
  }

  refuse(why: string): never {
    throw new VmError("bad-file", `${this.#what} ${why}`);
  }

  /** The next `bytes`, and the zeros behind them. */
  #take(bytes: number): Uint8Array {
    const next = this.#at + aligned(bytes);
    if (!Number.isSafeInteger(next) || next > this.#end) this.refuse("holds a section cut short");
    const found = this.#file.subarray(this.#at, this.#at + bytes);
    for (let at = this.#at + bytes; at < next; at++) {
      if (this.#file[at] !== 0) this.refuse("has padding that is not zero");
    }
    this.#at = next;
    return found;
  }

  section(): DeviceSection {
    if (this.#at + SECTION_HEAD_BYTES > this.#end) this.refuse("holds fewer sections than it says");
    const nameBytes = this.#view.getUint32(this.#at, true);
    const version = this.#view.getUint32(this.#at + 4, true);
    const bytes = Number(this.#view.getBigUint64(this.#at + 8, true));
    if (nameBytes < 1 || nameBytes > NAME_BYTES_MAX) this.refuse("names a section wrongly");
    this.#at += SECTION_HEAD_BYTES;
    const text = this.#take(nameBytes);
    let name: string;
    try {
      name = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(text);
    } catch {
      this.refuse("names a section in no UTF-8");
    }
    return { name, version, bytes: this.#take(bytes) };
  }
}

/**
 * The sections of a container, as views of `file`. Throws "bad-file" for what is none, or is
 * damaged, and "unsupported" for one of a later format. `what` names the file.
 */
export function decodeContainer(
  kind: ContainerKind,
  file: Uint8Array,
  what: string,
): DeviceSection[] {
  const walk = new Walk(file, what);
  if (file.length < HEAD_BYTES + DIGEST_BYTES) walk.refuse("is cut short");
  if (!sameBytes(file.subarray(0, 8), MAGIC)) walk.refuse("is no container of this program");
  const end = file.length - DIGEST_BYTES;
  if (!sameBytes(digestOf(file.subarray(0, end)), file.subarray(end))) {
    walk.refuse("is damaged: its digest is not that of its bytes");
  }
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const format = view.getUint32(12, true);
  if (format !== FORMAT) {
    const accepted = `this version reads ${FORMAT}`;
    throw new VmError("unsupported", `${what} has format ${format}: ${accepted}`);
  }
  const found = new TextDecoder().decode(file.subarray(8, 12));
  if (found !== kind) walk.refuse(`is of kind ${JSON.stringify(found)}; accepted is ${kind}`);
  const count = view.getUint32(16, true);
  if (count > SECTIONS_MAX) walk.refuse(`says that it has ${count} sections`);
  if (view.getUint32(20, true) !== 0) walk.refuse("has padding that is not zero");
  const sections: DeviceSection[] = [];
  const names = new Set<string>();
  for (let index = 0; index < count; index++) {
    const section = walk.section();
    if (names.has(section.name)) walk.refuse(`has two sections "${section.name}"`);
    names.add(section.name);
    sections.push(section);
  }
  if (!walk.isAtEnd) walk.refuse("has bytes behind its sections");
  return sections;
}
