/**
 * fp-probe: an entry of its own for test/isa/fp-*, with floating point execution and nothing else of the core.
 *
 * Used by test/helpers/fp-probe.ts, which fills batches of cases in memory.
 * Holds   one case in memory, 64 bytes:
 *
 *     0 raw (u32)   4 fflags before, then after (u32)   8 frm (u32)   12 1 when legal (u32)
 *     16 rs1 (u64)  24 rs2 (u64)   32 rs3 (u64)   40 integer rs1 (u64)   48 result in f (u64)   56 result in x (u64)
 *
 *   The instruction names f1, f2, f3 or x1 as its sources and 4 as its destination.
 */
import { HART_F, HART_FFLAGS, HART_FRM, HART_X, RUN } from "../layout";
import { fpExecute, fpFastUpdate } from "./fp";

export { fpExecute, fpFastUpdate };

/** Runs `count` cases from address `at` on. */
export function probeBatch(at: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++, at += 64) {
    store<u32>(RUN, load<u32>(at, 4), HART_FFLAGS);
    store<u32>(RUN, load<u32>(at, 8), HART_FRM);
    store<u64>(RUN, load<u64>(at, 16), HART_F + 8);
    store<u64>(RUN, load<u64>(at, 24), HART_F + 16);
    store<u64>(RUN, load<u64>(at, 32), HART_F + 24);
    store<u64>(RUN, load<u64>(at, 40), HART_X + 8);
    store<u64>(RUN, load<u64>(at, 48), HART_F + 32);
    store<u64>(RUN, load<u64>(at, 56), HART_X + 32);
    store<u32>(at, fpExecute(load<u32>(at)) ? 1 : 0, 12);
    store<u32>(at, load<u32>(RUN, HART_FFLAGS), 4);
    store<u64>(at, load<u64>(RUN, HART_F + 32), 48);
    store<u64>(at, load<u64>(RUN, HART_X + 32), 56);
  }
}
