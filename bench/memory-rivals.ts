/**
 * memory-rivals: who runs the cases of the suite `memory`: pages.wasm, native/memory.c in a process
 * of its own, and plain TypeScript (memory-typescript.ts).
 *
 * Used by suites/memory.
 * Holds   a turn is the same work for each, and answers with the same check; what has to be put
 *         back between turns (a bitmap that was harvested) is not timed.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { DELTA_MAP_BYTES, HASH_BYTES, LZ4_TABLE_BYTES } from "../assembly/layout.ts";
import { PagesModule } from "../src/core/pages-module.ts";
import { nodePlatform } from "../src/node.ts";
import { COPIES, type Inputs, PAGE, PAGES, WORDS } from "./memory-inputs.ts";

export const CASES = [
  "harvest0",
  "harvest1",
  "harvest2",
  "harvest3",
  "zero",
  "hash",
  "encode",
  "apply",
  "compress",
  "decompress",
] as const;
/** A case's name, as native/memory.c knows it. */
export type CaseName = (typeof CASES)[number];

/** What must be done before a turn, and the turn. */
export interface Work {
  readonly prepare?: () => void;
  readonly turn: () => number;
}

/** One turn of a case. */
export interface Timed {
  readonly ns: number;
  readonly check: number;
}

/** Somebody who runs cases. */
export interface Rival {
  readonly name: string;
  /** Runs turns for about `ms`; the mean turn. */
  run(name: CaseName, ms: number): Promise<Timed>;
  end(): void;
}

/** Turns in this process. */
export function inProcess(name: string, works: Readonly<Record<CaseName, Work>>): Rival {
  return {
    name,
    run: async (which, ms) => {
      const { prepare, turn } = works[which];
      let [spent, turns, check] = [0, 0, 0];
      while (spent < ms) {
        prepare?.();
        const begin = performance.now();
        check = turn();
        spent += performance.now() - begin;
        turns++;
      }
      return { ns: (spent / turns) * 1e6, check };
    },
    end: () => undefined,
  };
}

class NativeRival implements Rival {
  readonly name: string;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;

  constructor(name: string, program: string, inputs: string) {
    this.name = name;
    this.#child = spawn(program, [inputs]);
    this.#lines = createInterface({ input: this.#child.stdout });
  }

  run(name: CaseName, ms: number): Promise<Timed> {
    return new Promise((resolve, reject) => {
      const gone = () => reject(new Error(`${this.name} ended in ${name}`));
      this.#child.once("close", gone);
      this.#lines.once("line", (line) => {
        this.#child.removeListener("close", gone);
        const [ns, check] = line.split(" ").map(Number);
        resolve({ ns, check });
      });
      this.#child.stdin.write(`${name} ${ms}\n`);
    });
  }

  end(): void {
    this.#child.stdin.end();
  }
}

/** native/memory.c, built at `program`, over the file `inputs`. */
export function nativeRival(name: string, program: string, inputs: string): Rival {
  return new NativeRival(name, program, inputs);
}

/** Bytes between what a page becomes and what the next one does. */
const OUTPUT_STRIDE = 2 * PAGE;

/** Hands out the module's memory. */
function placer(u8: Uint8Array): (bytes: number | Uint8Array) => number {
  let end = 4096;
  return (bytes) => {
    const at = end;
    const length = typeof bytes === "number" ? bytes : bytes.length;
    end = Math.ceil((at + length) / 4096) * 4096;
    if (typeof bytes !== "number") u8.set(bytes, at);
    return at;
  };
}

const everyPage = (run: (page: number) => number) => {
  let check = 0;
  for (let page = 0; page < PAGES; page++) check += run(page);
  return check;
};

type BitmapCase = "harvest0" | "harvest1" | "harvest2" | "harvest3";
type Place = ReturnType<typeof placer>;

function bitmapWorks(
  { exports, u8, u32 }: PagesModule,
  place: Place,
  inputs: Inputs,
): Record<BitmapCase, Work> {
  const kept = inputs.bitmaps.map(place);
  const [bitmaps, summaries] = [place(COPIES * WORDS * 8), place(COPIES * 32)];
  const numbers = place(WORDS * 64 * 4);
  const harvest = (which: number): Work => ({
    prepare: () => {
      for (let copy = 0; copy < COPIES; copy++) {
        u8.copyWithin(bitmaps + copy * WORDS * 8, kept[which], kept[which] + WORDS * 8);
      }
      u8.fill(0xff, summaries, summaries + COPIES * 32);
    },
    turn: () => {
      let check = 0;
      for (let copy = 0; copy < COPIES; copy++) {
        const [base, summary] = [bitmaps + copy * WORDS * 8, summaries + copy * 32];
        const count = exports.dirtyHarvest(base, summary, WORDS, 0, numbers, WORDS * 64);
        check += count + u32[numbers / 4 + (count >>> 1)] + u32[numbers / 4 + count - 1];
      }
      return check;
    },
  });
  const [harvest0, harvest1, harvest2, harvest3] = [0, 1, 2, 3].map(harvest);
  return { harvest0, harvest1, harvest2, harvest3 };
}

function pageWorks(
  { exports, u8, u32 }: PagesModule,
  place: Place,
  inputs: Inputs,
): Record<Exclude<CaseName, BitmapCase>, Work> {
  const [noise, fresh, real, key] = [inputs.noise, inputs.fresh, inputs.real, inputs.key].map(
    place,
  );
  const [zeros, output] = [place(PAGES * PAGE), place(PAGES * OUTPUT_STRIDE)];
  const [marks, summary, hashes] = [place(PAGES / 8), place(8), place(PAGES * HASH_BYTES)];
  const [map, table, scratch] = [place(DELTA_MAP_BYTES), place(LZ4_TABLE_BYTES), place(PAGE)];
  const lengths = new Uint32Array(PAGES);
  const encode = () =>
    everyPage((page) => {
      const [at, target] = [page * PAGE, output + page * OUTPUT_STRIDE];
      lengths[page] = exports.deltaEncode(noise + at, fresh + at, target, PAGE, map);
      return lengths[page];
    });
  const apply = (page: number) => {
    const at = noise + page * PAGE;
    const isDone = exports.deltaApply(at, output + page * OUTPUT_STRIDE, lengths[page]);
    return isDone + u8[at + PAGE - 1];
  };
  const compress = () =>
    everyPage((page) => {
      const [from, target] = [real + page * PAGE, output + page * OUTPUT_STRIDE];
      lengths[page] = exports.lz4Compress(from, PAGE, target, OUTPUT_STRIDE, table);
      return lengths[page];
    });
  const decompress = (page: number) => {
    const from = output + page * OUTPUT_STRIDE;
    return exports.lz4Decompress(from, lengths[page], scratch, PAGE) + u8[scratch + PAGE - 1];
  };
  return {
    zero: {
      turn: () => {
        exports.pagesMarkNonZero(zeros, PAGES, marks, summary, 0);
        return exports.dirtyCount(marks, PAGES / 64);
      },
    },
    hash: {
      turn: () => {
        exports.pagesHash(noise, PAGES, key, hashes);
        return everyPage((page) => {
          const at = (hashes + page * HASH_BYTES) / 4;
          return (u32[at] ^ u32[at + 2]) & 0xffff;
        });
      },
    },
    encode: { turn: encode },
    apply: { prepare: encode, turn: () => everyPage((page) => apply(page) + apply(page)) },
    compress: { turn: compress },
    decompress: { prepare: compress, turn: () => everyPage(decompress) },
  };
}

/** The module, its functions called by address. */
export async function moduleRival(inputs: Inputs): Promise<Rival> {
  const module = await PagesModule.create(nodePlatform(), 24 << 20);
  const place = placer(module.u8);
  const works = { ...bitmapWorks(module, place, inputs), ...pageWorks(module, place, inputs) };
  return inProcess("pages.wasm", works);
}
