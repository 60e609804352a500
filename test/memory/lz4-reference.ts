/**
 * lz4-reference: a reader of the LZ4 block format, byte by byte from its description, that also
 * says whether a block keeps the rules for its end; and the frames of the `lz4` program.
 *
 * Used by test/memory/lz4.test.ts.
 */

/** What a block holds. */
export interface Decoded {
  readonly bytes: Uint8Array;
  /** The last five bytes are literals, and no match begins in the last twelve. */
  readonly isEndKept: boolean;
}

/** Reads a block of at most `limit` bytes; null when it is none, or holds more. */
export function readBlock(block: Uint8Array, limit: number): Decoded | null {
  const out: number[] = [];
  let at = 0;
  let matchBegin = Number.NEGATIVE_INFINITY;
  let matchEnd = 0;
  const length = (four: number): number | null => {
    let sum = four;
    if (four !== 15) return sum;
    for (;;) {
      if (at >= block.length) return null;
      sum += block[at];
      if (block[at++] !== 255) return sum;
    }
  };
  while (at < block.length) {
    const token = block[at++];
    const literals = length(token >> 4);
    if (literals === null || at + literals > block.length || out.length + literals > limit) {
      return null;
    }
    for (let n = 0; n < literals; n++) out.push(block[at++]);
    if (at === block.length) {
      const isEndKept =
        matchEnd === 0 || (out.length - matchEnd >= 5 && out.length - matchBegin >= 12);
      return { bytes: Uint8Array.from(out), isEndKept };
    }
    if (at + 2 > block.length) return null;
    const offset = block[at] + block[at + 1] * 256;
    at += 2;
    const more = length(token & 15);
    if (more === null || offset === 0 || offset > out.length) return null;
    if (out.length + more + 4 > limit) return null;
    matchBegin = out.length;
    for (let n = 0; n < more + 4; n++) out.push(out[out.length - offset]);
    matchEnd = out.length;
  }
  return null;
}

const LEGACY_MAGIC = 0x184c2102;

/** A file of the `lz4` program's legacy format: its blocks, one after the other. */
export function legacyFile(blocks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(4 + blocks.reduce((sum, block) => sum + 4 + block.length, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, LEGACY_MAGIC, true);
  let at = 4;
  for (const block of blocks) {
    view.setUint32(at, block.length, true);
    bytes.set(block, at + 4);
    at += 4 + block.length;
  }
  return bytes;
}

/** The blocks of such a file. */
export function legacyBlocks(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  if (view.getUint32(0, true) !== LEGACY_MAGIC) throw new Error("no legacy file of lz4");
  const blocks: Uint8Array[] = [];
  for (let at = 4; at < file.length; ) {
    const bytes = view.getUint32(at, true);
    blocks.push(file.slice(at + 4, at + 4 + bytes));
    at += 4 + bytes;
  }
  return blocks;
}
