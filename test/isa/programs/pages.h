/*
 * pages: Sv39 tables for tests that run in M-mode and reach through them with MPRV or by MRET.
 *
 * Used by page-faults.S, dirty.S, hardware-ad.S, alias.S, split.S.
 * Holds   root entry 2 maps RAM one to one (a gigapage, not for U), root entry 0 leads to `middle`,
 *         whose entry 1 leads to `leaf`: page n of it is at WINDOW + n * 4096.
 *         Every test writes its own entries of `leaf`.
 */
#define WINDOW 0x200000

#define PAGE_TABLES \
  .data; \
  .balign 4096; \
root: \
  .zero 4096; \
middle: \
  .zero 4096; \
leaf: \
  .zero 4096; \
data_pages: \
  .zero 4096 * 4;

/* Entry of the table at `table` + offset = what `target` is at, with flag bits. t0, t1 are lost. */
#define ENTRY(table, offset, target, flags) \
  la t0, target; \
  srli t0, t0, 2; \
  li t1, flags; \
  or t0, t0, t1; \
  la t1, table; \
  li t2, offset; \
  add t1, t1, t2; \
  sd t0, 0(t1);

/* Sets page n of the window. */
#define PAGE(n, target, flags) ENTRY(leaf, (n) * 8, target, flags)

#define PAGING_ON \
  li t0, (0x80000000 >> 2) | PTE_ALL; \
  la t1, root; \
  sd t0, 16(t1); \
  ENTRY(root, 0, middle, PTE_V) \
  ENTRY(middle, 8, leaf, PTE_V) \
  la t0, root; \
  srli t0, t0, 12; \
  li t1, SATP_SV39; \
  or t0, t0, t1; \
  csrw satp, t0; \
  sfence.vma;
