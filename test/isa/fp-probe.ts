/**
 * Fp probe: builds assembly/isa/fp-probe.ts and runs batches of floating point instructions in it.
 *
 * Used by test/isa/fp-*.
 * Holds   an instruction names f1, f2, f3 or x1 as its sources and register 4 as its destination.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as layout from "../../assembly/layout.ts";

const CASE_BYTES = 64;
const CASES_AT = 65536;
const CASES_MAX = 16384;

interface Exports {
  probeBatch(at: number, count: number): void;
  probeFast(at: number, count: number): void;
  fpFastUpdate(): void;
  fpWritesInteger(raw: number): number;
}

interface Wasm {
  Memory: new (limits: { initial: number }) => { buffer: ArrayBuffer };
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: Exports };
}

/** One instruction with its inputs. */
export interface ProbeCase {
  raw: number;
  /** Flags accrued before. */
  flags: number;
  frm: number;
  /** Register images of f1, f2, f3. */
  f: [bigint, bigint, bigint];
  /** Register image of x1. */
  x: bigint;
}

/** What it left in register 4 of both files (which held OLD_F and OLD_X) and in fflags. */
export interface ProbeResult {
  isLegal: boolean;
  flags: number;
  f: bigint;
  x: bigint;
}

export const OLD_F = 0x1234567890abcdefn;
export const OLD_X = 0xfedcba0987654321n;

/** Whether `out` is newer than every file it is made from. */
function isFresh(assembly: string, out: string): boolean {
  if (!existsSync(out)) return false;
  const isSource = (name: string): boolean => /^(fp|softfloat)[a-z-]*\.ts$/.test(name);
  const names = readdirSync(`${assembly}/isa`).filter(isSource);
  const sources = [`${assembly}/layout.ts`, ...names.map((name) => `${assembly}/isa/${name}`)];
  const built = statSync(out).mtimeMs;
  return sources.every((source) => statSync(source).mtimeMs < built);
}

function build(root: string): Uint8Array {
  const assembly = `${root}/assembly`;
  const out = `${root}/dist/fp-probe.wasm`;
  if (isFresh(assembly, out)) return readFileSync(out);
  mkdirSync(`${root}/dist`, { recursive: true });
  // Test files may run side by side: each builds under a name of its own and moves it in place.
  const partial = `${root}/dist/fp-probe-${process.pid}.wasm`;
  const compiler = `${root}/node_modules/assemblyscript/bin/asc.js`;
  const options = ["isa/fp-probe.ts", "-o", partial, "--runtime", "stub", "-O3", "--noAssert"];
  const memory = ["--importMemory", "--initialMemory", "32", "--memoryBase", "1024"];
  const features = ["--enable", "simd", "--enable", "bulk-memory", "--use", "abort="];
  // Started in assembly/ so that asc does not find the project's configuration and add its entry.
  const done = spawnSync(process.execPath, [compiler, ...options, ...memory, ...features], {
    cwd: assembly,
    encoding: "utf8",
  });
  if (done.status !== 0) throw new Error(`asc: ${done.stdout}${done.stderr}`);
  renameSync(partial, out);
  return readFileSync(out);
}

export class FpProbe {
  readonly #exports: Exports;
  readonly #view: DataView;

  constructor() {
    const root = fileURLToPath(new URL("../../..", import.meta.url));
    const wasm = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly;
    const memory = new wasm.Memory({ initial: 32 });
    const module = new wasm.Module(build(root));
    this.#exports = new wasm.Instance(module, { env: { memory } }).exports;
    this.#view = new DataView(memory.buffer);
  }

  /** Executes every case by fpExecute. */
  run(cases: ProbeCase[]): ProbeResult[] {
    return this.#batches(cases, (count) => this.#exports.probeBatch(CASES_AT, count));
  }

  /** Computes every case by fp-fast's functions; isLegal says whether their result stands. */
  runFast(cases: ProbeCase[]): ProbeResult[] {
    return this.#batches(cases, (count) => this.#exports.probeFast(CASES_AT, count));
  }

  writesInteger(raw: number): boolean {
    return this.#exports.fpWritesInteger(raw) !== 0;
  }

  /** HART_FP_FAST as fpFastUpdate derives it. */
  fastUpdate(mstatus: bigint, frm: number, flags: number): number {
    this.#view.setBigUint64(layout.RUN + layout.HART_MSTATUS, mstatus, true);
    this.#view.setUint32(layout.RUN + layout.HART_FRM, frm, true);
    this.#view.setUint32(layout.RUN + layout.HART_FFLAGS, flags, true);
    this.#exports.fpFastUpdate();
    return this.fast;
  }

  /** HART_FP_FAST as it stands. */
  get fast(): number {
    return this.#view.getUint32(layout.RUN + layout.HART_FP_FAST, true);
  }

  /** x0, which must stay 0. */
  get x0(): bigint {
    return this.#view.getBigUint64(layout.RUN + layout.HART_X, true);
  }

  #batches(cases: ProbeCase[], execute: (count: number) => void): ProbeResult[] {
    const results: ProbeResult[] = [];
    for (let start = 0; start < cases.length; start += CASES_MAX) {
      const part = cases.slice(start, start + CASES_MAX);
      for (let i = 0; i < part.length; i++) this.#write(CASES_AT + i * CASE_BYTES, part[i]);
      execute(part.length);
      for (let i = 0; i < part.length; i++) results.push(this.#read(CASES_AT + i * CASE_BYTES));
    }
    return results;
  }

  #write(at: number, one: ProbeCase): void {
    this.#view.setUint32(at, one.raw, true);
    this.#view.setUint32(at + 4, one.flags, true);
    this.#view.setUint32(at + 8, one.frm, true);
    for (let i = 0; i < 3; i++) this.#view.setBigUint64(at + 16 + 8 * i, one.f[i], true);
    this.#view.setBigUint64(at + 40, one.x, true);
    this.#view.setBigUint64(at + 48, OLD_F, true);
    this.#view.setBigUint64(at + 56, OLD_X, true);
  }

  #read(at: number): ProbeResult {
    return {
      isLegal: this.#view.getUint32(at + 12, true) !== 0,
      flags: this.#view.getUint32(at + 4, true),
      f: this.#view.getBigUint64(at + 48, true),
      x: this.#view.getBigUint64(at + 56, true),
    };
  }
}
