/* csr: fields that keep only what they may, registers that show parts of others, read-only ones. */
#include "environment.h"
#include "modes.h"

#define KEEPS(number, csr, write, read) \
  li t0, write; \
  csrw csr, t0; \
  EXPECT(number, a0, read, csrr a0, csr)

  BEGIN_MACHINE
  USE_MODES

  /* The shape: RV64 with I M A F D C S U. */
  EXPECT(2, a0, 2, csrr a0, misa; srli a0, a0, 62)
  EXPECT(3, a0, 0x14112d, csrr a0, misa; li a1, 0x14112d; and a0, a0, a1)
  EXPECT(4, a0, 0, csrr a0, mhartid)
  LEGAL(5, csrr a0, mvendorid)
  LEGAL(6, csrr a0, marchid)
  LEGAL(7, csrr a0, mimpid)
  LEGAL(8, csrr a0, mconfigptr)
  EXPECT(9, a0, 0xa, csrr a0, mstatus; srli a0, a0, 32; andi a0, a0, 0xf)

  /* misa: writes are ignored or kept, but never break the code that runs. */
  csrr s1, misa
  csrw misa, zero
  EXPECT(10, a0, 0, csrr a0, misa; sub a0, a0, s1)

  /* mstatus.MPP has no mode 2; what was there stays a mode that exists. */
  li t0, STATUS_MPP
  csrc mstatus, t0
  li t0, 0x1000
  csrs mstatus, t0
  csrr a0, mstatus
  srli a0, a0, 11
  andi a0, a0, 3
  addi a0, a0, -2
#ifndef QEMU /* 7.2 stores it */
  li NUMBER, 11
  beqz a0, fail
#endif
  li t0, STATUS_MPP
  csrs mstatus, t0
  EXPECT(12, a0, STATUS_MPP, csrr a0, mstatus; and a0, a0, t0)

  /* SD is the summary of FS; FS on a write of 3 is dirty. */
  li s1, STATUS_FS
  csrc mstatus, s1
  EXPECT(13, a0, 0, csrr a0, mstatus; srli a0, a0, 63)
  csrs mstatus, s1
  EXPECT(14, a0, 1, csrr a0, mstatus; srli a0, a0, 63)
  li t0, 0x4000
  csrc mstatus, t0
  EXPECT(15, a0, 0, csrr a0, mstatus; srli a0, a0, 63)
  fmv.w.x fa0, zero
  EXPECT(16, a0, STATUS_FS, csrr a0, mstatus; and a0, a0, s1)
  li t0, 0x4000
  csrc mstatus, t0
  csrw fflags, zero
  EXPECT(17, a0, STATUS_FS, csrr a0, mstatus; and a0, a0, s1)

  /* sstatus is a view: M-mode's fields are invisible and untouched. */
  li t0, STATUS_SUM | STATUS_MXR | STATUS_SPP | STATUS_SPIE
  csrs mstatus, t0
  csrr a0, sstatus
  EXPECT(18, a0, STATUS_SUM | STATUS_MXR | STATUS_SPP | STATUS_SPIE, and a0, a0, t0)
  li s2, STATUS_MPP | STATUS_MPIE | STATUS_MPRV | STATUS_TVM | STATUS_TW | STATUS_TSR
  EXPECT(19, a0, 0, csrr a0, sstatus; and a0, a0, s2)
  csrr s3, mstatus
  and s3, s3, s2
  csrw sstatus, zero
  EXPECT(20, a0, 0, csrr a0, mstatus; and a0, a0, s2; sub a0, a0, s3)
  EXPECT(21, a0, 0, csrr a0, mstatus; and a0, a0, t0)
  li t0, -1
  csrw sstatus, t0
  EXPECT(22, a0, 0, csrr a0, mstatus; and a0, a0, s2; sub a0, a0, s3)
  csrw sstatus, s1
#ifndef QEMU /* 7.2 lets UXL be written */
  EXPECT(23, a0, 2, csrr a0, sstatus; srli a0, a0, 32; andi a0, a0, 0xf)
#endif

  /* Trap vectors: two modes; an address in the base field comes back. */
  KEEPS(24, mtvec, 0x80001000, 0x80001000)
  KEEPS(25, mtvec, 0x80001001, 0x80001001)
  KEEPS(26, stvec, 0x80002000, 0x80002000)
  KEEPS(27, stvec, 0xffffffc000002001, 0xffffffc000002001)
  USE_MODES

  /* Exception registers. */
#ifndef QEMU /* 7.2 keeps the lowest bit */
  KEEPS(28, mepc, 0x80000001, 0x80000000)
  KEEPS(29, sepc, 3, 2)
#endif
  KEEPS(30, sepc, 0xfffffffffffffffe, 0xfffffffffffffffe)
  KEEPS(31, mscratch, 0x123456789abcdef0, 0x123456789abcdef0)
  KEEPS(32, sscratch, 0xfedcba9876543210, 0xfedcba9876543210)
  KEEPS(33, mtval, -1, -1)
  KEEPS(34, stval, 0x8000000000000000, 0x8000000000000000)
  KEEPS(35, mcause, 11, 11)
  KEEPS(36, scause, 0x8000000000000009, 0x8000000000000009)

  /* Delegation: what M-mode must keep cannot be given away. */
  li t0, -1
  csrw medeleg, t0
  EXPECT(37, a0, 0xb000, csrr a0, medeleg; li a1, 0xb000; and a0, a0, a1)
#ifndef QEMU /* 7.2 lets it be given away */
  EXPECT(38, a0, 0, csrr a0, medeleg; li a1, 1 << CAUSE_ECALL_M; and a0, a0, a1)
#endif
  csrw medeleg, zero
  EXPECT(39, a0, 0, csrr a0, medeleg)
  csrw mideleg, t0
#ifndef QEMU /* has the interrupts of the hypervisor and of performance counters too */
  EXPECT(40, a0, 0x222, csrr a0, mideleg)
  csrw mie, t0
  EXPECT(41, a0, 0xaaa, csrr a0, mie)
#endif
  li t0, 0xaaa
  csrw mie, t0
  EXPECT(42, a0, 0x222, csrr a0, sie)
  csrw sie, zero
  EXPECT(43, a0, 0x888, csrr a0, mie)
  li t0, 0x20
  csrw mideleg, t0
  li t0, 0xaaa
  csrw mie, t0
  EXPECT(44, a0, 0x20, csrr a0, sie)
  csrw sie, zero
  EXPECT(45, a0, 0xa8a, csrr a0, mie)
  csrw mie, zero
  csrw mideleg, zero

  /* mip: M-mode writes the supervisor's bits, the CLINT owns the others. */
  li t0, -1
  csrw mip, t0
  EXPECT(46, a0, 0x222, csrr a0, mip; andi a0, a0, 0x22a)
  csrw mip, zero
  EXPECT(47, a0, 0, csrr a0, mip; andi a0, a0, 0x22a)

  /* satp: a mode that does not exist leaves the whole register as it was. */
  KEEPS(48, satp, 0x8000000000080123, 0x8000000000080123)
  KEEPS(49, satp, 0xf000000000080000, 0x8000000000080123)
  KEEPS(50, satp, 0x1000000000000000, 0x8000000000080123)
  KEEPS(51, satp, 0x9000000000000001, 0x9000000000000001)
  KEEPS(52, satp, 0xa000000000000002, 0xa000000000000002)
  KEEPS(53, satp, 0, 0)

  /* Floating-point CSRs overlap. */
  KEEPS(54, fcsr, 0xffffffffffffffff, 0xff)
  EXPECT(55, a0, 31, csrr a0, fflags)
  EXPECT(56, a0, 7, csrr a0, frm)
  csrwi frm, 0
  EXPECT(57, a0, 31, csrr a0, fcsr)
  csrwi fflags, 0

  /* Reads that are not writes: rd = x0, rs1 = x0, immediate 0. */
  csrwi mscratch, 21
  EXPECT(58, a0, 21, csrrs a0, mscratch, zero)
  EXPECT(59, a0, 21, csrrc a0, mscratch, zero)
  EXPECT(60, a0, 21, csrrsi a0, mscratch, 0)
  EXPECT(61, a0, 21, csrrwi a0, mscratch, 0)
  EXPECT(62, a0, 0, csrrw a0, mscratch, zero)
  li a0, 9
  EXPECT(63, a0, 0, csrrw a0, mscratch, a0)
  EXPECT(64, a0, 9, csrrw a0, mscratch, a0)

  /* Events that count nothing read 0 and swallow writes. */
  KEEPS(65, mhpmcounter3, 0, 0)
  LEGAL(66, csrw mhpmevent3, zero)
  LEGAL(67, csrr a0, mhpmcounter4)

  /* S-mode sees its own; sie and sip do not show what is not delegated. */
  li t0, 0x222
  csrw mip, t0
  ENTER_SUPERVISOR
  EXPECT(68, a0, 0, csrr a0, sip)
  li t0, -1
  csrw sie, t0
  EXPECT(69, a0, 0, csrr a0, sie)
  KEEPS(70, sscratch, 1, 1)
  KEEPS(71, scounteren, 5, 5)
  LEAVE
  csrw mip, zero

  END
  MODES_HANDLER
