/* vectored: software and timer interrupts of the CLINT and of mip, direct and vectored, by
   privilege, delegation and priority. */
#include "environment.h"
#include "modes.h"

#define SSIP 0x002
#define MSIE 0x008
#define STIP 0x020
#define MTIE 0x080
#define SEIP 0x200

/* The interrupt just taken must have this number; a0 is where the vector table was entered. */
#define TAKEN(number, cause) \
  nop; \
  j 9f; /* QEMU looks for interrupts between its blocks */ \
9: \
  nop; \
  EXPECT(number, s1, cause) \
  EXPECT(number, s2, cause)

#define NOTHING(number) \
  nop; \
  nop; \
  EXPECT(number, s1, -1)

#define QUIET li s1, -1; li s2, -1;

  BEGIN_MACHINE
  USE_MODES
  la t0, machine_vectors + 1
  csrw mtvec, t0
  EXPECT(2, a0, 1, csrr a0, mtvec; andi a0, a0, 3)
  la t0, supervisor_vectors + 1
  csrw stvec, t0
  li s3, MSIP
  li s4, MTIMECMP
  li t0, -1
  sd t0, 0(s4)
  QUIET

  /* Machine software interrupt: pending, enabled, taken; not with MIE off. */
  li t0, MSIE
  csrw mie, t0
  li t0, 1
  sw t0, 0(s3)
  NOTHING(3)
  EXPECT(4, a0, MSIE, csrr a0, mip)
  csrsi mstatus, STATUS_MIE
  TAKEN(5, 3)
  EXPECT(6, a0, 0, csrr a0, mip)
  csrci mstatus, STATUS_MIE

  /* Machine timer interrupt. */
  QUIET
  li t0, MTIE
  csrw mie, t0
  sd zero, 0(s4)
  NOTHING(7)
  csrsi mstatus, STATUS_MIE
  TAKEN(8, 7)
  csrci mstatus, STATUS_MIE

  /* Priority: software before timer; the timer stays pending and comes next. */
  QUIET
  li t0, MTIE | MSIE
  csrw mie, t0
  sd zero, 0(s4)
  li t0, 1
  sw t0, 0(s3)
  li s5, 1 /* one interrupt, then MIE stays off */
  csrsi mstatus, STATUS_MIE
  TAKEN(9, 3)
  QUIET
  li s5, 0
  csrsi mstatus, STATUS_MIE
  TAKEN(10, 7)
  csrci mstatus, STATUS_MIE

  /* Supervisor interrupts that are not delegated are M-mode's, in the order SEI, SSI, STI
     (Privileged 3.1.9). QEMU 7.2 takes the lowest number first. */
  li s5, 1
  li t0, SSIP | STIP | SEIP
  csrw mie, t0
#ifndef QEMU
  csrw mip, t0
  EXPECT(11, a0, SSIP | STIP | SEIP, csrr a0, mip)
  QUIET
  csrsi mstatus, STATUS_MIE
  TAKEN(12, 9)
  QUIET
  csrsi mstatus, STATUS_MIE
  TAKEN(13, 1)
  QUIET
  csrsi mstatus, STATUS_MIE
  TAKEN(14, 5)
#endif
  li s5, 0

  /* Delegated: never in M-mode, in S-mode only with SIE, in U-mode always. */
  li t0, SSIP | STIP | SEIP
  csrw mideleg, t0
  EXPECT(15, a0, SSIP | STIP | SEIP, csrr a0, mideleg)
  li t0, SSIP
  csrw mip, t0
  QUIET
  csrsi mstatus, STATUS_MIE
  NOTHING(16)
  csrci mstatus, STATUS_MIE
  ENTER_SUPERVISOR
  NOTHING(17)
  EXPECT(18, a0, SSIP, csrr a0, sip)
  csrsi sstatus, STATUS_SIE
  TAKEN(19, 1)
  EXPECT(20, a0, 0, csrr a0, sip)
  csrci sstatus, STATUS_SIE
  csrsi sip, SSIP
  EXPECT(21, a0, SSIP, csrr a0, sip)
  /* STIP and SEIP are M-mode's to write. */
  li t0, STIP | SEIP
  csrs sip, t0
  EXPECT(22, a0, SSIP, csrr a0, sip)
  LEAVE
  csrci mstatus, STATUS_SIE
  QUIET
  ENTER_USER
  TAKEN(23, 1)
  LEAVE
  csrci mstatus, STATUS_SIE

  /* A machine interrupt comes through S-mode and U-mode whatever MIE says. */
  QUIET
  li t0, MSIE
  csrs mie, t0
  ENTER_SUPERVISOR
  li t0, 1
  sw t0, 0(s3)
  TAKEN(24, 3)
  LEAVE
  QUIET
  csrci mstatus, STATUS_MIE
  li t0, 1
  sw t0, 0(s3)
  NOTHING(25)
  ENTER_USER
  TAKEN(26, 3)
  LEAVE

  /* Machine level before supervisor level, even in S-mode. */
  QUIET
  li s5, 1
  li t0, SEIP
  csrs mip, t0
  csrci mstatus, STATUS_MIE
  li t0, 1
  sw t0, 0(s3)
  csrsi mstatus, STATUS_SIE
  ENTER_SUPERVISOR
  TAKEN(27, 9)
  EXPECT(28, s6, 3)
  LEAVE

  /* An exception goes to the base, vectored or not. */
  la t0, machine_vectors + 1
  csrw mtvec, t0
  EXPECT(29, s8, CAUSE_ECALL_M, ecall)
  /* Enabling by MRET: the interrupt is taken before the target's first instruction. */
  csrw mie, zero
  li t0, SSIP | STIP | SEIP
  csrc mip, t0
  QUIET
  li t0, MSIE
  csrw mie, t0
  li t0, 1
  sw t0, 0(s3)
  li t0, STATUS_MPP | STATUS_MPIE
  csrs mstatus, t0
  la t0, 1f
  csrw mepc, t0
  li a0, 0
  mret
1:
  addi a0, a0, 1
  EXPECT(30, s1, 3)
  la t0, 1b
  EXPECT(31, a1, 0, sub a1, s9, t0)

  /* What M-mode handles goes before what is delegated, though its number ranks lower: the handler
     interrupts the target of the MRET, not S-mode's handler. */
  csrw mie, zero
  li t0, SEIP
  csrw mideleg, t0
  li t0, SSIP | SEIP
  csrw mip, t0
  csrw mie, t0
  QUIET
  li s5, 0
  li t0, STATUS_MPP
  csrc mstatus, t0
  li t0, STATUS_MPP_S
  csrs mstatus, t0
  csrsi mstatus, STATUS_SIE
  la t0, 1f
  csrw mepc, t0
  mret
1:
  TAKEN(32, 9)
  EXPECT(33, s6, 1)
  la t0, 1b
  EXPECT(34, a1, 0, sub a1, s9, t0)
  LEAVE
  j pass

  .balign 64
machine_vectors:
  j machine_handler
  j vector_1
  j fail
  j vector_3
  j fail
  j vector_5
  j fail
  j vector_7
  j fail
  j vector_9
  j fail
  j vector_11

#define VECTOR(cause, bit, code...) \
vector_##cause: \
  li s2, cause; \
  li t5, bit; \
  csrc mip, t5; \
  code; \
  j taken;

VECTOR(1, SSIP)
VECTOR(3, 0, sw zero, 0(s3))
VECTOR(5, STIP)
VECTOR(7, 0, li t5, -1; sd t5, 0(s4))
VECTOR(9, SEIP)
VECTOR(11, 0)

/* s1 the cause without its top bit, s6 the first one since QUIET was last asked for by s1. */
taken:
  csrr t5, mcause
  bgez t5, fail
  slli t5, t5, 1
  srli s1, t5, 1
  mv s6, s1
  csrr s9, mepc
  beqz s5, 1f
  li t5, STATUS_MPIE
  csrc mstatus, t5
1:
  mret

  .balign 64
supervisor_vectors:
  j fail
  j supervisor_1
  j fail
  j fail
  j fail
  j supervisor_5
  j fail
  j fail
  j fail
  j supervisor_9

supervisor_1:
  li s2, 1
  csrci sip, SSIP
  j supervisor_taken
supervisor_5:
  li s2, 5
  j supervisor_taken
supervisor_9:
  li s2, 9
  li t5, SEIP
  csrc sie, t5
supervisor_taken:
  csrr t5, scause
  bgez t5, fail
  slli t5, t5, 1
  srli s1, t5, 1
  sret

  END
  MODES_HANDLER
