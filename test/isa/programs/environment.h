/*
 * environment: what every program of this folder starts and ends with.
 *
 * Used by the .S files here. With VIRTUAL defined the program is linked to the kernel in virtual.c
 * and runs in U-mode at address 0 on; without it, it starts in M-mode by itself.
 * Holds   gp is the number of the check under way; 0 stands for the start-up code. The program ends
 *         with an ECALL and the verdict in gp and a0: 1 for success, number * 2 + 1 for a failure.
 *
 *   _start ─ registers, PMP, delegation, mtvec ─ mret ─► test code in U, S or M ─ ecall ─► tohost
 */
#define FAIL_UNEXPECTED 1337

#define CAUSE_FETCH_MISALIGNED 0
#define CAUSE_FETCH_ACCESS 1
#define CAUSE_ILLEGAL 2
#define CAUSE_BREAKPOINT 3
#define CAUSE_LOAD_ACCESS 5
#define CAUSE_STORE_ACCESS 7
#define CAUSE_ECALL_U 8
#define CAUSE_ECALL_S 9
#define CAUSE_ECALL_M 11
#define CAUSE_FETCH_PAGE 12
#define CAUSE_LOAD_PAGE 13
#define CAUSE_STORE_PAGE 15

#define STATUS_SIE 0x2
#define STATUS_MIE 0x8
#define STATUS_SPIE 0x20
#define STATUS_MPIE 0x80
#define STATUS_SPP 0x100
#define STATUS_MPP 0x1800
#define STATUS_MPP_S 0x800
#define STATUS_FS 0x6000
#define STATUS_MPRV 0x20000
#define STATUS_SUM 0x40000
#define STATUS_MXR 0x80000
#define STATUS_TVM 0x100000
#define STATUS_TW 0x200000
#define STATUS_TSR 0x400000

#define SATP_SV39 (8 << 60)
#define SATP_SV48 (9 << 60)
#define SATP_SV57 (10 << 60)

#define PTE_V 0x01
#define PTE_R 0x02
#define PTE_W 0x04
#define PTE_X 0x08
#define PTE_U 0x10
#define PTE_G 0x20
#define PTE_A 0x40
#define PTE_D 0x80
#define PTE_ALL (PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D)

#define NUMBER gp

/* Check `number`: `code` must leave `value` in `reg`. t2 is lost. */
#define EXPECT(number, reg, value, code...) \
  li NUMBER, number; \
  code; \
  li t2, value; \
  bne reg, t2, fail;

/* Check `number`: `insn`, 4 bytes long, must trap with this cause, mtval = the register `tval` and
   mepc = its own address. The handler of modes.h leaves cause, value and pc in s8, s9, s10. */
#define TRAPS(number, cause, tval, insn...) \
  li NUMBER, number; \
  li s8, -1; \
7: \
  insn; \
  li t2, cause; \
  bne s8, t2, fail; \
  bne s9, tval, fail; \
  la t2, 7b; \
  bne s10, t2, fail;

/* Check `number`: `insn` is illegal, and mtval holds its bits. */
#define ILLEGAL(number, insn...) \
  li NUMBER, number; \
  li s8, -1; \
7: \
  insn; \
  li t2, CAUSE_ILLEGAL; \
  bne s8, t2, fail; \
  la t2, 7b; \
  bne s10, t2, fail; \
  lwu t2, 7b; \
  bne s9, t2, fail;

/* Check `number`: `insn` is legal. */
#define LEGAL(number, insn...) \
  li NUMBER, number; \
  li s8, -1; \
  insn; \
  li t2, -1; \
  bne s8, t2, fail;

#ifdef VIRTUAL

#define BEGIN_USER \
  .option norvc; \
  .text; \
  .balign 4096; \
  .globl user_start; \
user_start:

#else

#define BEGIN_USER BEGIN_WITH(0)
#define BEGIN_SUPERVISOR BEGIN_WITH(STATUS_MPP_S)
#define BEGIN_MACHINE BEGIN_WITH(STATUS_MPP)

/* Writes that may trap where the feature is absent: mtvec is set to behind them. */
#define OPTIONAL(code...) \
  la t0, 97f; \
  csrw mtvec, t0; \
  code; \
  .balign 4; \
97:

#define BEGIN_WITH(status) \
  .option norvc; \
  .weak machine_handler; \
  .weak supervisor_handler; \
  .section .text.start, "ax"; \
  .globl _start; \
_start: \
  j reset; \
  .balign 64; \
machine_trap: \
  csrr t5, mcause; \
  li t6, CAUSE_ECALL_U; \
  beq t5, t6, report; \
  li t6, CAUSE_ECALL_S; \
  beq t5, t6, report; \
  li t6, CAUSE_ECALL_M; \
  beq t5, t6, report; \
  la t5, machine_handler; \
  beqz t5, 1f; \
  jr t5; \
1: \
  li NUMBER, FAIL_UNEXPECTED; \
report: \
  la t5, tohost; \
  sw NUMBER, 0(t5); \
  sw zero, 4(t5); \
  j report; \
reset: \
  .irp number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23; \
  li x\number, 0; \
  .endr; \
  .irp number, 24, 25, 26, 27, 28, 29, 30, 31; \
  li x\number, 0; \
  .endr; \
1: \
  csrr a0, mhartid; \
  bnez a0, 1b; \
  OPTIONAL(csrwi 0x744, 8) \
  OPTIONAL(csrwi satp, 0) \
  OPTIONAL(li t0, (1 << 53) - 1; csrw pmpaddr0, t0; li t0, 0x1f; csrw pmpcfg0, t0) \
  csrwi mie, 0; \
  OPTIONAL(csrwi medeleg, 0; csrwi mideleg, 0) \
  la t0, machine_trap; \
  csrw mtvec, t0; \
  la t0, supervisor_handler; \
  beqz t0, 1f; \
  csrw stvec, t0; \
  li t0, (1 << CAUSE_LOAD_PAGE) | (1 << CAUSE_STORE_PAGE) | (1 << CAUSE_FETCH_PAGE) | \
         (1 << CAUSE_FETCH_MISALIGNED) | (1 << CAUSE_ECALL_U) | (1 << CAUSE_BREAKPOINT) | \
         (1 << CAUSE_ILLEGAL); \
  csrw medeleg, t0; \
1: \
  csrwi mstatus, 0; \
  li t0, (status) | (STATUS_FS & (STATUS_FS >> 1)); \
  csrs mstatus, t0; \
  csrwi fcsr, 0; \
  li t0, (status); \
  li t1, STATUS_MPP_S; \
  bne t0, t1, 1f; \
  li t0, 0x22; \
  csrw mideleg, t0; \
1: \
  la t0, 1f; \
  csrw mepc, t0; \
  mret; \
1: \
  j body; \
  .section .htif, "aw"; \
  .globl tohost; \
  .globl fromhost; \
  .size tohost, 8; \
  .size fromhost, 8; \
  .balign 64; \
tohost: \
  .dword 0; \
  .balign 64; \
fromhost: \
  .dword 0; \
  .text; \
  .balign 4; \
body:

#endif

/* The end of the test code: a program that runs into it has passed. */
#define END \
pass: \
  fence; \
  li NUMBER, 1; \
  li a7, 93; \
  li a0, 1; \
  ecall; \
fail: \
  fence; \
1: \
  beqz NUMBER, 1b; \
  slli NUMBER, NUMBER, 1; \
  ori NUMBER, NUMBER, 1; \
  li a7, 93; \
  mv a0, NUMBER; \
  ecall;
