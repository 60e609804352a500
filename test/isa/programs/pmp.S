/* pmp: what the registers keep, and what each way of matching allows U, S and, locked, M. */
#include "environment.h"
#include "modes.h"
#include "pages.h"

#define R 1
#define W 2
#define X 4
#define TOR 0x08
#define NA4 0x10
#define NAPOT 0x18
#define L 0x80

/* Sets pmpaddr`n` to `symbol` + offset, shifted, or'ed with `low` bits. */
#define ADDRESS(n, symbol, offset, low) \
  la t0, symbol; \
  li t1, offset; \
  add t0, t0, t1; \
  srli t0, t0, 2; \
  ori t0, t0, low; \
  csrw pmpaddr##n, t0;
#define CONFIG(value) \
  li t0, value; \
  csrw pmpcfg0, t0; \
  sfence.vma;

#define LOADS(number, status, offset) \
  addi s1, s3, offset; \
  AS_WORKS(number, status, lw a0, 0(s1))
#define NO_LOAD(number, status, offset) \
  addi s1, s3, offset; \
  AS_TRAPS(number, status, CAUSE_LOAD_ACCESS, s1, lw a0, 0(s1))
#define STORES(number, status, offset) \
  addi s1, s3, offset; \
  AS_WORKS(number, status, sw a0, 0(s1))
#define NO_STORE(number, status, offset) \
  addi s1, s3, offset; \
  AS_TRAPS(number, status, CAUSE_STORE_ACCESS, s1, sw a0, 0(s1))
#define S STATUS_MPP_S
/* The last entry allows everything: what the entries before it say is seen alone. */
#define ALL(bits) ((bits) | (NAPOT | R | W | X) << 56)

  BEGIN_MACHINE
  USE_MODES
  la s3, area

  /* Registers: 54 bits of address; W without R is not kept as such. */
  li t0, -1
  csrw pmpaddr0, t0
#ifndef QEMU /* 7.2 keeps all 64 bits */
  EXPECT(2, a0, (1 << 54) - 1, csrr a0, pmpaddr0)
#endif
  csrw pmpaddr7, t0
  csrw pmpcfg0, zero
  EXPECT(3, a0, 0, csrr a0, pmpcfg0)
  CONFIG(NAPOT | R)
  EXPECT(4, a0, NAPOT | R, csrr a0, pmpcfg0)
#ifndef QEMU /* 7.2 keeps bits 5 and 6 */
  CONFIG(0x60 | TOR | R | W)
  EXPECT(5, a0, TOR | R | W, csrr a0, pmpcfg0)
#endif

  /* NAPOT, 16 bytes: inside and at both edges. */
  ADDRESS(0, area, 64, 1)
  CONFIG(ALL(NAPOT | R))
  LOADS(10, S, 64)
  LOADS(11, 0, 76)
  NO_STORE(12, S, 64)
  NO_STORE(13, 0, 76)
  STORES(14, S, 60)
  STORES(15, S, 80)
  /* Read-only for a store that is partly in it: an access must match wholly. */
  addi s1, s3, 60
  AS_TRAPS(16, S, CAUSE_LOAD_ACCESS, s1, ld a0, 0(s1))
  /* M-mode is not bound by an unlocked entry. */
  LEGAL(17, sw zero, 64(s3))

  /* NA4. */
  ADDRESS(0, area, 128, 0)
  CONFIG(ALL(NA4 | W | R))
  STORES(20, S, 128)
  CONFIG(ALL(NA4))
  NO_LOAD(21, S, 128)
  NO_LOAD(22, 0, 128)
  LOADS(23, S, 124)
  LOADS(24, S, 132)
  addi s1, s3, 128
  AS_TRAPS(25, S, CAUSE_LOAD_ACCESS, s1, lbu a0, 0(s1))

  /* TOR: from the address before, or from 0; bottom not below top matches nothing. */
  ADDRESS(0, area, 192, 0)
  ADDRESS(1, area, 256, 0)
  CONFIG(ALL((TOR | R) << 8))
  LOADS(30, S, 192)
  NO_STORE(31, S, 192)
  NO_STORE(32, S, 252)
  STORES(33, S, 188)
  STORES(34, S, 256)
  ADDRESS(0, area, 256, 0)
  CONFIG(ALL(TOR << 8))
  LOADS(35, S, 252)
  ADDRESS(0, area, 320, 0)
  CONFIG(ALL((TOR | R | W | X)))
  STORES(36, S, 316)

  /* The lowest entry that matches any byte decides. */
  ADDRESS(0, area, 64, 1)
  ADDRESS(1, area, 64, 7)
  CONFIG(ALL(NAPOT | R | (NAPOT | R | W) << 8))
  NO_STORE(40, S, 64)
  STORES(41, S, 80)
  CONFIG(ALL(NAPOT | R | W | (NAPOT) << 8))
  STORES(42, S, 64)
  NO_LOAD(43, S, 80)

  /* Execution. */
  ADDRESS(0, code, 0, 1)
  CONFIG(ALL(NAPOT | R | W))
  la s2, code
  FETCH_TRAPS(50, S, CAUSE_FETCH_ACCESS, s2, s2)
  FETCH_TRAPS(51, 0, CAUSE_FETCH_ACCESS, s2, s2)
  CONFIG(ALL(NAPOT | X))
  li NUMBER, 52
  ENTER_USER
  la t0, code
  jalr ra, t0
  LEAVE
  EXPECT(53, a0, 99)
  /* Run from the cache before, forbidden now. */
  CONFIG(ALL(NAPOT | R))
  FETCH_TRAPS(54, 0, CAUSE_FETCH_ACCESS, s2, s2)

  /* Through translation: the physical address is what counts, and so is the walk's. */
  PAGING_ON
  PAGE(0, area, PTE_ALL)
  sfence.vma
  ADDRESS(0, area, 64, 1)
  CONFIG(ALL(NAPOT | R))
  li s1, WINDOW + 64
  AS_TRAPS(60, S, CAUSE_STORE_ACCESS, s1, sw a0, 0(s1))
  AS_WORKS(61, S, lw a0, 0(s1))
  li s1, WINDOW + 80
  AS_WORKS(62, S, sw a0, 0(s1))
  ADDRESS(0, leaf, 0, 0x1ff)
  CONFIG(ALL(NAPOT))
  AS_TRAPS(63, S, CAUSE_LOAD_ACCESS, s1, lw a0, 0(s1))
  AS_TRAPS(64, S, CAUSE_STORE_ACCESS, s1, sw a0, 0(s1))
  FETCH_TRAPS(65, S, CAUSE_FETCH_ACCESS, s1, s1)
  csrw satp, zero
  sfence.vma

  /* Nothing matches: S and U get nothing, M everything. Entry 7 covers code and tables only by
     name of this program's first pages. */
  csrw pmpcfg0, zero
  la t0, area
  srli t0, t0, 2
  csrw pmpaddr0, t0
  CONFIG(TOR | R | W | X)
  NO_LOAD(70, S, 0)
  NO_STORE(71, 0, 512)
  LEGAL(72, lw a0, 0(s3))
  LEGAL(73, sw a0, 0(s3))

  /* Locked: binds M-mode too, and stays until reset. */
  csrw pmpcfg0, zero
  ADDRESS(3, area, 1024, 0)
  ADDRESS(2, area, 1020, 0)
  CONFIG(ALL((L | TOR | R) << 24))
  LEGAL(80, lw a0, 1020(s3))
  addi s1, s3, 1020
  TRAPS(81, CAUSE_STORE_ACCESS, s1, sw a0, 0(s1))
  LEGAL(82, sw a0, 1016(s3))
  LEGAL(83, sw a0, 1024(s3))
  csrw pmpcfg0, zero
  EXPECT(84, a0, (L | TOR | R) << 24, csrr a0, pmpcfg0)
  csrr s4, pmpaddr3
  csrr s5, pmpaddr2
  csrw pmpaddr3, zero
  csrw pmpaddr2, zero /* the bottom of a locked TOR is locked as well */
  EXPECT(85, a0, 0, csrr a0, pmpaddr3; sub a0, a0, s4)
  EXPECT(86, a0, 0, csrr a0, pmpaddr2; sub a0, a0, s5)
  TRAPS(87, CAUSE_STORE_ACCESS, s1, sw a0, 0(s1))
  csrw pmpaddr1, zero
  EXPECT(88, a0, 0, csrr a0, pmpaddr1)

  END
  MODES_HANDLER

  .balign 16
code:
  li a0, 99
  ret
  PAGE_TABLES
  .balign 4096
area:
  .zero 4096
