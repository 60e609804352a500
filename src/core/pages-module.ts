/**
 * pages-module: one instance of pages.wasm over a memory of its own, just as large as its owner
 * needs.
 *
 * Owns    the WebAssembly memory and the typed arrays over it.
 * Used by dirty-bitmap.ts and page-codec.ts, which lay it out.
 * Holds   the memory is never grown, so no view goes stale. The first 1024 bytes stay unused.
 */
import { instantiateSync } from "@assemblyscript/loader";
import { VmError } from "../errors.ts";

/** What pages.wasm exports: arguments and results are u32, addresses are bytes of its memory. */
export interface PagesExports extends Record<string, unknown> {
  dirtyMark(base: number, summary: number, index: number): void;
  dirtyMarkRange(base: number, summary: number, first: number, count: number): void;
  dirtyTest(base: number, index: number): number;
  dirtyCount(base: number, words: number): number;
  dirtyHarvest(
    base: number,
    summary: number,
    words: number,
    from: number,
    target: number,
    limit: number,
  ): number;
  dirtyMerge(to: number, toSummary: number, from: number, words: number): void;
  dirtySubtract(to: number, toSummary: number, from: number, words: number): void;
  pageIsZero(at: number): number;
  pageHash(at: number, key: number, target: number): void;
  pagesHash(at: number, count: number, key: number, target: number): void;
  pagesMarkNonZero(at: number, count: number, base: number, summary: number, first: number): void;
  deltaEncode(base: number, page: number, target: number, limit: number, map: number): number;
  deltaApply(page: number, delta: number, bytes: number): number;
  lz4Compress(source: number, bytes: number, target: number, limit: number, table: number): number;
  lz4Decompress(source: number, bytes: number, target: number, limit: number): number;
}

/** Where pages.wasm comes from: any Platform. */
export interface PagesSource {
  /** The bytes of pages.wasm. */
  loadPages(): Promise<Uint8Array>;
}

const WASM_PAGE_BYTES = 65536;
/** Compiled once for each source, and for the same bytes: it takes milliseconds. */
const ofSource = new WeakMap<PagesSource, Promise<WebAssembly.Module>>();
const ofBytes = new WeakMap<Uint8Array, Promise<WebAssembly.Module>>();

async function compile(wasm: Uint8Array): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(wasm);
  } catch (cause) {
    const text = `pages.wasm (${wasm.length} bytes) does not compile: ${String(cause)}`;
    throw new VmError("bad-file", text, { cause });
  }
}

async function load(source: PagesSource): Promise<WebAssembly.Module> {
  const wasm = await source.loadPages();
  let module = ofBytes.get(wasm);
  if (module === undefined) ofBytes.set(wasm, (module = compile(wasm)));
  return module;
}

function moduleOf(source: PagesSource): Promise<WebAssembly.Module> {
  let module = ofSource.get(source);
  if (module !== undefined) return module;
  module = load(source);
  ofSource.set(source, module);
  module.catch(() => ofSource.delete(source)); // another try may find a better file
  return module;
}

/** One instance. */
export class PagesModule {
  readonly exports: PagesExports;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;

  private constructor(exports: PagesExports, memory: WebAssembly.Memory) {
    this.exports = exports;
    this.u8 = new Uint8Array(memory.buffer);
    this.u32 = new Uint32Array(memory.buffer);
  }

  /** An instance over `bytes` bytes, all zero. Throws "no-memory" or "bad-file". */
  static async create(source: PagesSource, bytes: number): Promise<PagesModule> {
    const module = await moduleOf(source);
    const pages = Math.ceil(bytes / WASM_PAGE_BYTES);
    let memory: WebAssembly.Memory;
    try {
      memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    } catch (cause) {
      throw new VmError("no-memory", `the host refuses ${bytes} bytes of memory`, { cause });
    }
    try {
      // The loader's types name classes of the DOM library, so the memory is handed over untyped.
      const env = { memory } as unknown as { memory: never };
      const { exports } = instantiateSync<PagesExports>(module as never, { env });
      return new PagesModule(exports, memory);
    } catch (cause) {
      throw new VmError("bad-file", `pages.wasm does not instantiate: ${String(cause)}`, { cause });
    }
  }
}
