/**
 * wire: messages between the two ends of a migration, as bytes. docs/migration-protocol.md has the
 * format.
 *
 * Owns    the header and what a message may be at most.
 * Used by channel.ts.
 * Holds   whatever arrives is hostile: a length is checked before anything is allocated for it, a
 *         checksum before anything is read, a sequence number before anything is done. Numbers are
 *         little-endian.
 *
 *   0   magic "RVMG" ─ type u8 ─ flags u8 ─ reserved u16 ─ length u32
 *   12  checksum u32 ─ sequence u64 ─ fence u64
 *   32  payload of `length` bytes; with FLAG_DATA a u32 in front says how much of it is control:
 *       the checksum covers header and control, the data behind are checked by page hashes
 */
import { VmError } from "../errors.ts";

/** Versions of the protocol that are spoken. */
export const VERSIONS = [1] as const;

export const HEADER_BYTES = 32;
const MAGIC = 0x474d_5652; // "RVMG"
const TWO_32 = 0x1_0000_0000;
/** Data follow the control part. */
export const FLAG_DATA = 1;

/** Types of messages; S: from the source, T: from the target, B: from both. */
export const MESSAGE = {
  /** B: who calls, and about which session. */
  hello: 1,
  /** B: the answer: which version is spoken. */
  welcome: 2,
  /** S: what the machine is like. */
  init: 3,
  /** T: it can be had. */
  accept: 4,
  /** B: no, and why; the link ends. */
  refuse: 5,
  /** S: hashes of pages that the target may have. */
  offer: 6,
  /** T: which of them it has. */
  have: 7,
  /** S: pages. */
  pages: 8,
  /** S: blocks of carried disks. */
  blocks: 9,
  /** S: the round is over. */
  roundEnd: 10,
  /** T: all of it is there. */
  roundAck: 11,
  /** S: the last section. */
  sections: 12,
  /** T: prepared, durably. */
  ready: 13,
  /** S: handed over, durably. */
  go: 14,
  /** T: owned, durably, and running. */
  done: 15,
  /** S: not this time. */
  abort: 16,
  /** T: what was prepared is discarded, durably. */
  discarded: 17,
  /** B: what of this session? */
  ask: 18,
  /** B: that is what the journal says. */
  answer: 19,
  /** S: nothing more will be asked. */
  closed: 20,
  ping: 21,
  pong: 22,
  /** T: under post-copy: pages that the guest waits for. */
  fetch: 23,
  /** T: the pages that it lacks; they are sent from then on. */
  missing: 24,
  /** T: it has every page. */
  complete: 25,
} as const;

/** A name in MESSAGE. */
export type MessageName = keyof typeof MESSAGE;

const NAMES = new Map<number, MessageName>(
  Object.entries(MESSAGE).map(([name, type]) => [type, name as MessageName]),
);

const JSON_BYTES_MAX = 65_536;
/** Pages and blocks of one message, and what describes each of them. */
export const BATCH_PAGES = 256;
export const PAGE_ENTRY_BYTES = 24;
const DATA_BYTES_MAX = BATCH_PAGES * 4096;
const CONTROL_BYTES_MAX = 8 + BATCH_PAGES * PAGE_ENTRY_BYTES;
/** Hashes of one offer. */
export const OFFER_PAGES = 2048;
/** Pages of one FETCH. */
export const FETCH_PAGES = 256;
/** A bit for each page: of a machine of 128 GiB. */
const BITS_BYTES_MAX = 4 << 20;
/** Sections of a machine: eight harts, a hundred devices and what is typed to it are far below. */
const SECTIONS_BYTES_MAX = 16 << 20;

/** The longest payload of each message. */
const BYTES_MAX: Partial<Record<MessageName, number>> = {
  pages: 4 + CONTROL_BYTES_MAX + DATA_BYTES_MAX,
  blocks: 4 + CONTROL_BYTES_MAX + DATA_BYTES_MAX,
  offer: 4 + OFFER_PAGES * 20,
  have: 4 + OFFER_PAGES / 8,
  sections: SECTIONS_BYTES_MAX,
  fetch: 4 + FETCH_PAGES * 4,
  missing: BITS_BYTES_MAX,
};

/** What a header says. */
export interface Header {
  readonly name: MessageName;
  readonly hasData: boolean;
  readonly length: number;
  readonly checksum: number;
  readonly sequence: number;
  readonly fence: number;
}

const TABLE = new Uint32Array(256).map((_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0x82f6_3b78 : 0);
  return value;
});

/** CRC-32C (Castagnoli) of pieces one behind the other; RFC 3720 appendix B.4 has examples. */
export function crc32c(...pieces: readonly Uint8Array[]): number {
  let sum = 0xffff_ffff;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at++) sum = (sum >>> 8) ^ TABLE[(sum ^ piece[at]) & 0xff];
  }
  return ~sum >>> 0;
}

function refuse(why: string): never {
  throw new VmError("bad-file", `the other end of the migration ${why}`);
}

/** A message's header; `control` is what the checksum covers behind it. */
export function encodeHeader(
  name: MessageName,
  control: Uint8Array,
  dataBytes: number | null,
  { sequence, fence }: { readonly sequence: number; readonly fence: number },
): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, MESSAGE[name]);
  view.setUint8(5, dataBytes === null ? 0 : FLAG_DATA);
  view.setUint32(8, control.length + (dataBytes ?? 0), true);
  view.setUint32(16, sequence % TWO_32, true);
  view.setUint32(20, Math.floor(sequence / TWO_32), true);
  view.setUint32(24, fence % TWO_32, true);
  view.setUint32(28, Math.floor(fence / TWO_32), true);
  view.setUint32(12, crc32c(header, control), true);
  return header;
}

function number(view: DataView, at: number): number {
  const value = view.getUint32(at + 4, true) * TWO_32 + view.getUint32(at, true);
  if (!Number.isSafeInteger(value)) refuse("sent a number that is too large");
  return value;
}

/** Throws "bad-file" for what is no header, or of a message longer than such a one can be. */
export function decodeHeader(bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (view.getUint32(0, true) !== MAGIC) refuse("sent what is no message");
  const name = NAMES.get(view.getUint8(4));
  if (name === undefined) refuse(`sent a message of type ${view.getUint8(4)}: it is not known`);
  const flags = view.getUint8(5);
  const hasData = name === "pages" || name === "blocks";
  if (flags !== (hasData ? FLAG_DATA : 0) || view.getUint16(6, true) !== 0) {
    refuse(`sent ${name} with flags ${flags}`);
  }
  const length = view.getUint32(8, true);
  const most = BYTES_MAX[name] ?? JSON_BYTES_MAX;
  if (length > most) refuse(`sent ${name} of ${length} bytes: accepted are ${most}`);
  if (hasData && length < 4) refuse(`sent ${name} of ${length} bytes`);
  return {
    name,
    hasData,
    length,
    checksum: view.getUint32(12, true),
    sequence: number(view, 16),
    fence: number(view, 24),
  };
}

/** How much of a payload with data is control, its own four bytes included. */
export function controlBytes(header: Header, first: Uint8Array): number {
  const bytes = new DataView(first.buffer, first.byteOffset, 4).getUint32(0, true);
  if (bytes < 4 || bytes > Math.min(header.length, 4 + CONTROL_BYTES_MAX)) {
    refuse(`sent ${header.name} with ${bytes} bytes of control in ${header.length}`);
  }
  return bytes;
}

/** Throws "bad-file" when the checksum does not fit. Changes the header's own. */
export function checkSum(header: Header, bytes: Uint8Array, control: Uint8Array): void {
  new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES).setUint32(12, 0, true);
  if (crc32c(bytes, control) === header.checksum) return;
  refuse(`sent ${header.name} with a wrong checksum`);
}
