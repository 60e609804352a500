/**
 * life: machines on simulated time for the suites of the lifecycle: a guest that computes in memory
 * without end, and a host of them.
 */
import type { Assembler } from "../../src/asm/assembler.ts";
import {
  type Host,
  type HostOptions,
  type Machine,
  type MachineConfig,
  nodePlatform,
  VmError,
  type VmErrorCode,
} from "../../src/node.ts";
import { SimPlatform } from "../../src/platform/sim/platform.ts";
import { elfProgram, smallHost } from "../helpers/guest-program.ts";

const platform = nodePlatform();
/** The core. */
export const wasm = await platform.loadCore();

/** Simulated time, with the real core. */
export const simulated = () => new SimPlatform(wasm);

/** Computes and writes to 16 pages in turn, for ever. */
export function emitWorker(a: Assembler): void {
  a.la("s0", "memory");
  a.li("s1", 6364136223);
  a.li("s2", 1);
  a.label("round");
  a.mul("s2", "s2", "s1");
  a.addi("s2", "s2", 11);
  a.srli("t0", "s2", 40);
  a.li("t2", 0xfff8);
  a.and("t0", "t0", "t2");
  a.add("t0", "t0", "s0");
  a.ld("t1", "t0", 0);
  a.xor("t1", "t1", "s2");
  a.sd("t1", "t0", 0);
  a.j("round");
  a.align(4096);
  a.label("memory");
  a.space(4096);
}

const kernel = elfProgram(emitWorker);

/** A host on simulated time with room for 16 machines. */
export async function simHost(options: Partial<HostOptions> = {}): Promise<Host> {
  const host = await smallHost({ platform: simulated(), machinesMax: 16, ...options });
  hosts.push(host);
  return host;
}

const hosts: Host[] = [];

/** For `test.after.each`: a guest on simulated time runs on until somebody ends it. */
export function endHosts(): void {
  for (const host of hosts.splice(0)) host.dispose();
}

/** A machine of the worker, in state "created". */
export function worker(host: Host, config: MachineConfig = {}): Machine {
  return host.createMachine({ kernel, memoryBytes: "1M", ...config });
}

/** What `work` throws. Fails when it throws nothing, or something without that code. */
export async function refusal(work: () => unknown, code: VmErrorCode): Promise<VmError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof VmError && error.code === code) return error;
    throw error;
  }
  throw new Error(`nothing was thrown: "${code}" was expected`);
}

/** Lets promises settle, and slices run: each turn is one of the scheduler's at most. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}
