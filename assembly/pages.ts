/**
 * pages: the entry of pages.wasm: bitmaps of pages and what is done to single ones, in a memory of
 * their own.
 *
 * Used by src/core/dirty-bitmap.ts and src/core/page-codec.ts. machine.wasm holds what it needs of
 *         the same files itself.
 * Holds   no static data and no globals: every address is the caller's.
 */
export {
  dirtyCount,
  dirtyHarvest,
  dirtyMark,
  dirtyMarkRange,
  dirtyMerge,
  dirtySubtract,
  dirtyTest,
} from "./memory/dirty";
export { pageHash, pageIsZero, pagesHash, pagesMarkNonZero } from "./memory/codec";
export { deltaApply, deltaEncode } from "./memory/delta";
export { lz4Compress, lz4Decompress } from "./memory/lz4";
