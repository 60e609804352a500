/**
 * Probe: the privileged architecture alone, built from assembly/hart/privileged-probe.ts, with one
 * hart and one machine block, for tests that compare it with a model call by call.
 *
 * Used by the suites of this folder.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as layout from "../../assembly/layout.ts";

interface Exports {
  csrRead(csr: number): number;
  csrWrite(csr: number, value: bigint): number;
  interruptPending(): number;
  interruptWakes(): number;
  mipNow(): bigint;
  timerNext(): bigint;
  timeNow(): bigint;
  hartReset(hart: number, id: number): void;
  trapTake(cause: bigint, value: bigint, isInterrupt: number): void;
  trapReturnMachine(): void;
  trapReturnSupervisor(): void;
  systemExecute(raw: number, bits: number): number;
  pmpActiveUpdate(): void;
  pmpAllows(address: bigint, bytes: number, access: number, priv: number): number;
  pmpPageUniform(address: bigint): number;
}

interface Wasm {
  Memory: new (limits: { initial: number }) => { buffer: ArrayBuffer };
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: Exports };
}

const MACHINE = 16384;
export const PRIV_U = 0;
export const PRIV_S = 1;
export const PRIV_M = 3;

function compile(): Uint8Array {
  const root = fileURLToPath(new URL("../../../", import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "rivulet-probe-"));
  try {
    const out = join(folder, "probe.wasm");
    const options = ["-O3", "--noAssert", "--runtime", "stub", "--importMemory"];
    const memory = ["--initialMemory", "4", "--memoryBase", "65536"];
    const features = ["--enable", "simd", "--enable", "bulk-memory", "--use", "abort="];
    execFileSync(
      process.execPath,
      [
        join(root, "node_modules/assemblyscript/bin/asc.js"),
        "hart/privileged-probe.ts",
        ...options,
        ...memory,
        ...features,
        "--outFile",
        out,
      ],
      // Not the root: its asconfig.json would add the core's own entry.
      { cwd: join(root, "assembly"), stdio: ["ignore", "ignore", "inherit"] },
    );
    return readFileSync(out);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One hart outside any run loop; every field of its block may be set at will. */
export class Probe {
  readonly core: Exports;
  readonly #view: DataView;

  constructor() {
    const wasm = Reflect.get(globalThis, "WebAssembly") as Wasm;
    const memory = new wasm.Memory({ initial: 4 });
    this.core = new wasm.Instance(new wasm.Module(compile()), { env: { memory } }).exports;
    this.#view = new DataView(memory.buffer);
    this.reset();
  }

  /** Hart 0 as after reset, in a machine of one hart whose clock stands at 0. */
  reset(): void {
    new Uint8Array(this.#view.buffer, MACHINE, layout.MACHINE_BYTES).fill(0);
    this.machineSet32(layout.MACHINE_HARTS, 1);
    this.machineSet32(layout.MACHINE_SATP_MAX, 10);
    this.core.hartReset(layout.RUN, 0);
    this.set32(layout.HART_MACHINE, MACHINE);
  }

  get(field: number): bigint {
    return this.#view.getBigUint64(layout.RUN + field, true);
  }

  set(field: number, value: bigint): void {
    this.#view.setBigUint64(layout.RUN + field, value, true);
  }

  get32(field: number): number {
    return this.#view.getUint32(layout.RUN + field, true);
  }

  set32(field: number, value: number): void {
    this.#view.setUint32(layout.RUN + field, value, true);
  }

  machineSet(field: number, value: bigint): void {
    this.#view.setBigUint64(MACHINE + field, value, true);
  }

  machineSet32(field: number, value: number): void {
    this.#view.setUint32(MACHINE + field, value, true);
  }

  /** Value of a CSR, or undefined when the access is illegal. */
  read(csr: number): bigint | undefined {
    if (this.core.csrRead(csr) === 0) return undefined;
    return this.get(layout.HART_CSR_VALUE);
  }

  /** True when the write was legal. */
  write(csr: number, value: bigint): boolean {
    return this.core.csrWrite(csr, value) !== 0;
  }

  /** The whole hart block, to see that a refused access changed nothing. */
  snapshot(): string {
    const bytes = new Uint8Array(this.#view.buffer, layout.RUN, layout.HART_DIGEST_BYTES);
    return Array.from(bytes, (byte) => byte.toString(16)).join(",");
  }
}

/** Numbers from a seed (SEED=... in the environment), 64 bits each. */
export class Seeded {
  readonly seed: bigint;
  #state: bigint;

  constructor(fallback: bigint) {
    this.seed = BigInt(process.env["SEED"] ?? fallback);
    this.#state = this.seed;
  }

  /** splitmix64. */
  next(): bigint {
    this.#state = BigInt.asUintN(64, this.#state + 0x9e3779b97f4a7c15n);
    let mixed = this.#state;
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n);
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn);
    return mixed ^ (mixed >> 31n);
  }

  /** 0 to limit - 1. */
  below(limit: number): number {
    return Number(this.next() % BigInt(limit));
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}
