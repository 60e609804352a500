/**
 * outcome: what became of one instruction that went the slow way.
 *
 * Owns    the numbers. Used by hart/slow.ts and isa/amo.ts (give them), hart/slice.ts (acts on
 *         them).
 */

import { TRANSLATE_MEMORY, TRANSLATE_TRAP } from "../mmu/translate";

/** Outcomes; 0 to 4 are those of isa/system.ts. */
export const SLOW_NEXT: u32 = 0;
export const SLOW_TRAP: u32 = 1;
export const SLOW_JUMP: u32 = 2;
export const SLOW_WFI: u32 = 3;
export const SLOW_SBI: u32 = 4;
/** Leaves for a device; the instruction completes in slice.ts when the answer comes. */
export const SLOW_MMIO: u32 = 5;
/** No frame is free: the instruction will be executed again. */
export const SLOW_MEMORY: u32 = 6;
/** Done, and interrupts are to be looked at (a CSR or MMIO instruction). */
export const SLOW_SAMPLE: u32 = 7;
/** Done, and the host is to look at HTIF. */
export const SLOW_HTIF: u32 = 8;
/** A page is not here: the instruction will be executed again. */
export const SLOW_PAGE: u32 = 9;

/** What a translation that is not done makes of its instruction. */
export function undone(outcome: u32): u32 {
  if (outcome == TRANSLATE_TRAP) return SLOW_TRAP;
  return outcome == TRANSLATE_MEMORY ? SLOW_MEMORY : SLOW_PAGE;
}
