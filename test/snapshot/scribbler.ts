/**
 * scribbler: a guest that writes all over its memory for ever, in an order that a small generator
 * gives, and a host with it: for tests that stop it anywhere.
 *
 * Used by the suites of test/snapshot/.
 */
import type { Host, HostOptions, Machine, MachineConfig } from "../../src/node.ts";
import { elfProgram, smallHost, UART } from "../helpers/guest-program.ts";

const MEBIBYTE = 1 << 20;
/** Where it writes: 1024 pages from here. */
export const SCRATCH = 0x8010_0000;
/** Pages that it writes to. */
export const SCRATCH_PAGES = 1024;

/** The program. Every 4096th round says a letter. */
export function scribbler(): Uint8Array {
  return elfProgram((a) => {
    a.li("s0", 2463534242);
    a.li("s1", 1103515245);
    a.li("s2", SCRATCH);
    a.li("s3", SCRATCH_PAGES - 1);
    a.li("s4", UART);
    a.li("s5", 0);
    a.label("round");
    a.mul("s0", "s0", "s1");
    a.addi("s0", "s0", 1013);
    a.srli("t0", "s0", 18);
    a.and("t0", "t0", "s3");
    a.slli("t0", "t0", 12);
    a.add("t0", "t0", "s2");
    a.srli("t1", "s0", 31);
    a.andi("t1", "t1", 0x7f8);
    a.add("t0", "t0", "t1");
    a.ld("t2", "t0", 0);
    a.xor("t2", "t2", "s0");
    a.sd("t2", "t0", 0);
    a.addi("s5", "s5", 1);
    a.slli("t3", "s5", 52);
    a.bnez("t3", "round");
    a.andi("t3", "s5", 15);
    a.addi("t3", "t3", 65);
    a.sb("t3", "s4", 0);
    a.j("round");
  });
}

/** Machines that scribble, on a host of 64 MiB. */
export async function scribblingHost(options: Partial<HostOptions> = {}): Promise<{
  host: Host;
  start: (config?: MachineConfig) => Promise<Machine>;
}> {
  const host = await smallHost({ machinesMax: 6, ...options });
  const kernel = scribbler();
  const start = async (config: MachineConfig = {}) => {
    const machine = host.createMachine({ memoryBytes: 8 * MEBIBYTE, kernel, ...config });
    await machine.boot();
    return machine;
  };
  return { host, start };
}
