/*
 * modes: a machine handler for tests that change privilege or expect traps in M-mode.
 *
 * Used by the physical tests here; put MODES_HANDLER behind END and USE_MODES first.
 * Holds   cause, value and pc of the last trap are in s8, s9 and s10, mstatus as it was in s7.
 *         A fetch that faulted goes on at s11; any other trap behind the 4 bytes of its
 *         instruction. An ECALL with a7 = 77 comes back to M-mode behind it.
 */
#define RETURN_TO_MACHINE 77
#define MSIP 0x2000000
#define MTIMECMP 0x2004000
#define MTIME 0x200bff8

#define USE_MODES \
  la t0, machine_handler; \
  csrw mtvec, t0; \
  li a7, 0;

/* Goes on behind it in the mode of `status`, a value of mstatus.MPP. t0 is lost. */
#define ENTER(status) \
  li t0, STATUS_MPP; \
  csrc mstatus, t0; \
  li t0, status; \
  csrs mstatus, t0; \
  la t0, 6f; \
  csrw mepc, t0; \
  mret; \
6:

#define ENTER_USER ENTER(0)
#define ENTER_SUPERVISOR ENTER(STATUS_MPP_S)

/* Back to M-mode from any mode. */
#define LEAVE \
  li a7, RETURN_TO_MACHINE; \
  ecall; \
  li a7, 0;

/* Runs one load or store of M-mode as if in the mode of `status`. t0 and t1 are lost. */
#define AS(status, insn...) \
  li t1, STATUS_MPP; \
  csrc mstatus, t1; \
  li t1, STATUS_MPRV | (status); \
  csrs mstatus, t1; \
  insn; \
  li t1, STATUS_MPRV; \
  csrc mstatus, t1;

/* AS, and the access must trap: cause, and mtval equal to the register `tval`. */
#define AS_TRAPS(number, status, cause, tval, insn...) \
  li NUMBER, number; \
  li s8, -1; \
  AS(status, insn) \
  li t2, cause; \
  bne s8, t2, fail; \
  bne s9, tval, fail;

/* AS, and the access must not trap. */
#define AS_WORKS(number, status, insn...) \
  li NUMBER, number; \
  li s8, -1; \
  AS(status, insn) \
  li t2, -1; \
  bne s8, t2, fail;

/* A jump to the register `target` in the mode of `status`, which must trap at the fetch: mepc is
   the target, mtval the register `tval`. */
#define FETCH_TRAPS(number, status, cause, target, tval) \
  li NUMBER, number; \
  li s8, -1; \
  la s11, 8f; \
  li t0, STATUS_MPP; \
  csrc mstatus, t0; \
  li t0, status; \
  csrs mstatus, t0; \
  csrw mepc, target; \
  mret; \
  .balign 4; \
8: \
  li t2, cause; \
  bne s8, t2, fail; \
  bne s9, tval, fail; \
  bne s10, target, fail;

#define MODES_HANDLER \
  .balign 4; \
machine_handler: \
  csrr s8, mcause; \
  csrr s9, mtval; \
  csrr s10, mepc; \
  csrr s7, mstatus; \
  li t5, CAUSE_ECALL_U; \
  bltu s8, t5, 1f; \
  li t5, CAUSE_ECALL_M; \
  bgtu s8, t5, 1f; \
  li t5, RETURN_TO_MACHINE; \
  beq a7, t5, 2f; \
  li t5, 93; \
  beq a7, t5, report; \
1: \
  li t5, CAUSE_FETCH_ACCESS; \
  beq s8, t5, 3f; \
  li t5, CAUSE_FETCH_PAGE; \
  beq s8, t5, 3f; \
  addi t5, s10, 4; \
  csrw mepc, t5; \
  mret; \
2: \
  li t5, STATUS_MPP; \
  csrs mstatus, t5; \
  addi t5, s10, 4; \
  csrw mepc, t5; \
  mret; \
3: \
  li t5, STATUS_MPP; \
  csrs mstatus, t5; \
  csrw mepc, s11; \
  mret;
