/* illegal: encodings that do not exist, and instructions that a mode or a switch forbids. */
#include "environment.h"
#include "modes.h"

  BEGIN_MACHINE
  USE_MODES
  ILLEGAL(2, .word 0xffffffff)
  ILLEGAL(3, .word 0x0000007f)
  ILLEGAL(4, .word 0x00007003)  /* load, funct3 7 */
  ILLEGAL(5, .word 0x00004023)  /* store, funct3 4 */
  ILLEGAL(6, .word 0x00002063)  /* branch, funct3 2 */
  ILLEGAL(7, .word 0x00001067)  /* jalr, funct3 1 */
  ILLEGAL(8, .word 0x80000033)  /* op, funct7 0x40 */
  ILLEGAL(9, .word 0x4000101b)  /* slliw, funct7 0x20 */
  ILLEGAL(10, .word 0x0200101b) /* slliw by 32 */
  ILLEGAL(11, .word 0x0000203b) /* op-32, funct3 2 */
  ILLEGAL(12, .word 0x1010252f) /* lr.w with rs2 = 1 */
  ILLEGAL(13, .word 0x0000052f) /* amo of bytes */
  ILLEGAL(14, .word 0x30000073) /* system, funct3 0, none */
  ILLEGAL(15, .word 0x00004073) /* system, funct3 4 */
  ILLEGAL(16, .word 0x00200073) /* uret */
  ILLEGAL(17, .word 0x0000000b) /* custom-0 */
  ILLEGAL(18, .word 0x00005027) /* store-fp of no size that exists */
  ILLEGAL(19, .word 0x06000053) /* op-fp, quad */
  ILLEGAL(20, .word 0x00005053) /* fadd.s with rounding mode 5 */
  ILLEGAL(21, .word 0x00006053) /* fadd.s with rounding mode 6 */
  ILLEGAL(22, .word 0x58100053) /* fsqrt.s with rs2 = 1 */
  ILLEGAL(23, .word 0x20003053) /* fsgnj.s, funct3 3 */
  ILLEGAL(24, .word 0x0000001f) /* 48-bit prefix */

  /* A dynamic rounding mode that is reserved makes every use of it illegal; loads are fine. */
  fsrmi 5
  ILLEGAL(25, fadd.s fa0, fa0, fa0)
  ILLEGAL(26, fcvt.w.d a0, fa0)
  LEGAL(27, fadd.s fa0, fa0, fa0, rne)
  LEGAL(28, fmv.w.x fa0, zero)
  LEGAL(29, fsgnj.d fa0, fa0, fa0)
  LEGAL(30, feq.s a0, fa0, fa0)
  fsrmi 0

  /* Compressed: mtval is the halfword alone. */
#define ILLEGAL_SHORT(number, bits) \
  li NUMBER, number; \
  li s8, -1; \
  .balign 4; \
7: \
  .half bits, 0x0001; \
  EXPECT(number, s8, CAUSE_ILLEGAL) \
  la t2, 7b; \
  bne s10, t2, fail; \
  EXPECT(number, s9, bits)

  ILLEGAL_SHORT(31, 0x0000)
  ILLEGAL_SHORT(32, 0x0004) /* c.addi4spn by 0 */
  ILLEGAL_SHORT(33, 0x2001) /* c.addiw x0 */
  ILLEGAL_SHORT(34, 0x6101) /* c.addi16sp by 0 */
  ILLEGAL_SHORT(35, 0x6081) /* c.lui by 0 */
  ILLEGAL_SHORT(36, 0x8002) /* c.jr x0 */
  ILLEGAL_SHORT(37, 0x4002) /* c.lwsp x0 */
  ILLEGAL_SHORT(38, 0x6002) /* c.ldsp x0 */
  ILLEGAL_SHORT(39, 0x8000) /* quadrant 0, funct3 4 */
  ILLEGAL_SHORT(40, 0x9c41) /* quadrant 1, reserved */
  ILLEGAL_SHORT(41, 0x9c61)

  /* CSRs: absent, read-only, above the mode. */
  ILLEGAL(42, csrr a0, 0x5c0)
  ILLEGAL(43, csrw 0x8c0, zero)
  ILLEGAL(44, csrw mhartid, zero)
  ILLEGAL(45, csrs mvendorid, a0)
  ILLEGAL(46, csrsi 0xf12, 1)
  LEGAL(47, csrrs a0, mhartid, zero)
  LEGAL(48, csrrci a0, mhartid, 0)
  ILLEGAL(49, csrrwi a0, cycle, 0)
  ILLEGAL(50, csrr a0, 0x3a1)

  ENTER_SUPERVISOR
  ILLEGAL(51, csrr a0, mstatus)
  ILLEGAL(52, csrw mscratch, zero)
  ILLEGAL(53, csrr a0, pmpaddr0)
  ILLEGAL(54, mret)
  LEGAL(55, csrr a0, satp)
  LEGAL(56, sfence.vma)
  LEGAL(57, sfence.vma a0, a1)
  ILLEGAL(58, csrr a0, cycle)
  ILLEGAL(59, csrr a0, time)
  ILLEGAL(60, csrr a0, instret)
  LEAVE

  li t0, 7
  csrw mcounteren, t0
  ENTER_SUPERVISOR
  LEGAL(61, csrr a0, cycle)
#ifndef QEMU /* its spike machine, which has the HTIF, has no time CSR */
  LEGAL(62, csrr a0, time)
#endif
  LEGAL(63, csrr a0, instret)
  LEAVE
  csrw scounteren, zero
  ENTER_USER
  ILLEGAL(64, csrr a0, cycle)
  ILLEGAL(65, csrr a0, time)
  ILLEGAL(66, csrr a0, sstatus)
  ILLEGAL(67, csrr a0, mscratch)
  ILLEGAL(68, sret)
  ILLEGAL(69, mret)
  ILLEGAL(70, sfence.vma)
  LEAVE
  li t0, 7
  csrw scounteren, t0
  ENTER_USER
  LEGAL(71, csrr a0, cycle)
  LEGAL(72, csrr a0, instret)
  LEAVE
  csrw mcounteren, zero
  ENTER_USER
  ILLEGAL(73, csrr a0, cycle)
  LEAVE

  /* TVM, TW and TSR bind S-mode, not M-mode. */
  li s5, STATUS_TVM | STATUS_TW | STATUS_TSR
  csrs mstatus, s5
  LEGAL(74, csrr a0, satp)
  LEGAL(75, sfence.vma)
  ENTER_SUPERVISOR
  ILLEGAL(76, csrr a0, satp)
  ILLEGAL(77, csrw satp, zero)
  ILLEGAL(78, sfence.vma)
  ILLEGAL(79, sret)
  ILLEGAL(80, wfi)
  LEAVE
  csrc mstatus, s5
  ENTER_SUPERVISOR
  li NUMBER, 81
  li t0, STATUS_SPP
  csrs sstatus, t0
  la t0, 1f
  csrw sepc, t0
  li s8, -1
  sret
  j fail
1:
  EXPECT(82, s8, -1)
  LEAVE

  /* FS off: every floating-point instruction and CSR is illegal, and a store stores nothing. */
  li s5, STATUS_FS
  csrc mstatus, s5
  la s1, word
  ILLEGAL(83, fsw fa0, 0(s1))
  EXPECT(84, a0, 0x5a5a5a5a, lw a0, 0(s1))
  ILLEGAL(85, flw fa0, 0(s1))
  ILLEGAL(86, fadd.d fa0, fa0, fa0)
  ILLEGAL(87, fmv.x.w a0, fa0)
  ILLEGAL(88, csrr a0, fcsr)
  ILLEGAL(89, csrwi frm, 0)
  ILLEGAL(90, fmadd.s fa0, fa0, fa0, fa0)
  ILLEGAL_SHORT(91, 0x2008) /* c.fld */
  csrs mstatus, s5

  END
  MODES_HANDLER
  .data
  .balign 8
word:
  .dword 0x5a5a5a5a
