/* counters: instret counts what retires, a written value is what the next instruction reads.
   Here only: QEMU counts exactly with -icount alone. */
#include "environment.h"
#include "modes.h"

  BEGIN_MACHINE
  USE_MODES

  /* Written, then read by the next instruction: the write is not counted on top. */
  li t0, 1000
  csrw minstret, t0
  csrr a0, minstret
  EXPECT(2, a0, 1000)
  csrw minstret, t0
  nop
  nop
  nop
  csrr a0, minstret
  EXPECT(3, a0, 1003)

  /* Over the top to zero, with nothing trapping. */
  li t0, -1
  csrw minstret, t0
  csrr a0, minstret
  csrr a1, minstret
  csrr a2, minstret
  EXPECT(4, a0, -1)
  EXPECT(5, a1, 0)
  EXPECT(6, a2, 1)
  csrw mcycle, t0
  csrr a0, mcycle
  bgez a0, 1f /* a cycle or more later it has wrapped already */
1:
  csrr a0, mcycle
  li NUMBER, 7
  bltz a0, fail

  /* Jumps, branches both ways, loads, stores and floating point count one each. */
  la s1, cell
  csrr s2, minstret
  beqz zero, 1f
  nop
1:
  bnez zero, 1f
  ld a1, 0(s1)
1:
  sd a1, 0(s1)
  fadd.d fa0, fa0, fa0
  jal a1, 1f
1:
  amoadd.d a1, a1, (s1)
  csrr a0, minstret
  sub a0, a0, s2
  EXPECT(8, a0, 8)

  /* A loop, and a read through the shadow. */
  li t1, 1000
  csrr s2, instret
1:
  addi t1, t1, -1
  bnez t1, 1b
  csrr a0, instret
  sub a0, a0, s2
  EXPECT(9, a0, 2001)

  /* An instruction that traps does not retire: ECALL and its handler. The handler's own do. */
  la t0, counting_handler
  csrw mtvec, t0
  csrr s2, minstret
  ebreak
  csrr a0, minstret
  sub a0, a0, s2
  /* The handler is 4 instructions; the first csrr counts itself. */
  EXPECT(10, a0, 5)
  USE_MODES

  /* mcountinhibit stops a counter; writes still work. */
  csrwi mcountinhibit, 4
  csrr s3, mcountinhibit
  andi s3, s3, 4
  beqz s3, 1f /* may be absent */
  csrr s2, minstret
  nop
  nop
  csrr a0, minstret
  sub a0, a0, s2
  EXPECT(11, a0, 0)
  li t0, 77
  csrw minstret, t0
  nop
  csrr a0, minstret
  EXPECT(12, a0, 77)
1:
  csrwi mcountinhibit, 0

  /* Time goes on; the CLINT's register is the same clock. */
  li s1, MTIME
  csrr a0, time
  ld a1, 0(s1)
  csrr a2, time
  li NUMBER, 13
  bltu a1, a0, fail
  bltu a2, a1, fail
  li t1, 4000
1:
  addi t1, t1, -1
  bnez t1, 1b
  csrr a3, time
  li NUMBER, 14
  bleu a3, a2, fail
  li t1, 100
  csrr a0, mcycle
1:
  addi t1, t1, -1
  bnez t1, 1b
  csrr a1, mcycle
  li NUMBER, 15
  bleu a1, a0, fail

  END
  MODES_HANDLER

  .balign 4
counting_handler:
  csrr t5, mepc
  addi t5, t5, 4
  csrw mepc, t5
  mret
  .data
  .balign 8
cell:
  .dword 0
