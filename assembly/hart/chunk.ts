/**
 * chunk: the shape of a decode chunk; drawn in hart/decode.ts, which owns what is in it.
 *
 * Owns    the numbers only. Used by whoever lays chunks out, fills, reads or drops them.
 */

export const CHUNK_BYTES: usize = 32768;
export const CHUNK_SLOTS: u32 = 2800;
/**
 * Header: the frame's number (0 for the scratch chunk), the next free slot, the scratch chunk's raw
 * instruction.
 */
export const CHUNK_FRAME: usize = 0;
export const CHUNK_FILL: usize = 4;
export const CHUNK_RAW: usize = 8;
export const CHUNK_MAP: usize = 64;
export const CHUNK_ORIGIN: usize = 4160;
export const CHUNK_ENTRIES: usize = 9760;
