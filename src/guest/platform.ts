/**
 * platform: addresses of QEMU's virt machine and of the guest's own memory, named once.
 *
 * Used by every file of src/guest. The hardware numbers are DESIGN's section 6.
 *
 *   0x80000000  code, strings │ variables, stacks │ free pages …            end of RAM (probed)
 *   0x1000000000 (virtual)    demand-zero region of 1 GiB
 */
export const FINISHER = 0x100000;
export const FINISHER_PASS = 0x5555;
export const FINISHER_FAIL = 0x3333;
export const FINISHER_RESET = 0x7777;
export const CLINT_MTIMECMP = 0x2004000;
export const PLIC = 0xc000000;
/** Registers of PLIC context 1: S-mode of hart 0. */
export const PLIC_ENABLE_S0 = 0xc002080;
export const PLIC_THRESHOLD_S0 = 0xc201000;
export const PLIC_CLAIM_S0 = 0xc201004;
export const UART = 0x10000000;
export const UART_IRQ = 10;
export const RAM = 0x80000000;
export const MIB = 0x100000;
/** RAM is probed up to here. */
export const RAM_END_MAX = 0x80000000 + 0x400000000;
export const TICKS_PER_SECOND = 10_000_000;

export const DEMAND = 0x1000000000;
export const DEMAND_BYTES = 0x40000000;

/** Page table entry bits: valid, read, write, execute, accessed, dirty (Privileged 4.3.1). */
export const PTE_V = 1;
export const PTE_RWX_AD = 0xcf;
export const PTE_RW_AD = 0xc7;

export const STACK_BYTES = 8192;
export const LINE_BYTES = 128;
export const RING_BYTES = 256;
/** Longest sieve: a byte per number in the demand region. */
export const PRIMES_MAX = 10_000_000;
export const MEMORY_TEST_MIB_MAX = 512;
