/* harts: several harts on one memory: LR and SC that contend, AMOs, a reservation that another hart
   breaks, messages in order, and interprocessor interrupts that end a WFI. */
#define NUMBER gp
#ifndef HARTS
#define HARTS 4
#endif
#define ROUNDS 500
#define MSIP 0x2000000
#define MTIMECMP_1 0x2004008
#define MTIME 0x200bff8

#define CHECK(number, reg, value) \
  li NUMBER, number; \
  li t2, value; \
  bne reg, t2, fail;

/* All harts wait here for each other; `name` is used once. */
#define BARRIER(name) \
  fence; \
  la t0, name; \
  li t1, 1; \
  amoadd.w zero, t1, (t0); \
  li t2, HARTS; \
1: \
  lw t1, 0(t0); \
  bne t1, t2, 1b; \
  fence; \
  .data; \
  .balign 64; \
name: \
  .dword 0; \
  .text;

/* A doubleword alone in its reservation set. */
#define CELL(name) \
  .balign 64; \
name: \
  .dword 0;

  .section .text.start, "ax"
  .globl _start
_start:
  j body
  .text
  .balign 64
body:
  csrr s0, mhartid
  li t0, HARTS
1:
  bgeu s0, t0, 1b
  la t0, unexpected
  csrw mtvec, t0
  csrw mie, zero
  csrw mstatus, zero
  BARRIER(started)

  /* Increments by LR and SC, of words and doublewords, and by AMO. */
  la s1, counter
  la s2, wide
  la s3, added
  li s4, ROUNDS
rounds:
1:
  lr.w t0, (s1)
  addiw t0, t0, 1
  sc.w t1, t0, (s1)
  bnez t1, 1b
1:
  lr.d.aq t0, (s2)
  add t0, t0, s4
  sc.d.rl t1, t0, (s2)
  bnez t1, 1b
  li t0, 3
  amoadd.d zero, t0, (s3)
  addi s4, s4, -1
  bnez s4, rounds
  BARRIER(counted)
  lw a0, 0(s1)
  CHECK(2, a0, HARTS * ROUNDS)
  ld a0, 0(s2)
  CHECK(3, a0, HARTS * ROUNDS * (ROUNDS + 1) / 2)
  ld a0, 0(s3)
  CHECK(4, a0, HARTS * ROUNDS * 3)

  /* A lock made of an AMO; what it guards is never seen torn. */
  la s1, lock
  la s2, guarded
  li s4, 200
locked_rounds:
1:
  li t0, 1
  amoswap.w.aq t0, t0, (s1)
  bnez t0, 1b
  ld t0, 0(s2)
  ld t1, 8(s2)
  li NUMBER, 5
  bne t0, t1, fail
  addi t0, t0, 1
  sd t0, 0(s2)
  sd t0, 8(s2)
  amoswap.w.rl zero, zero, (s1)
  addi s4, s4, -1
  bnez s4, locked_rounds
  BARRIER(unlocked)
  ld a0, 8(s2)
  CHECK(6, a0, HARTS * 200)

  /* Hart 0 reserves; hart 1 stores in between; the SC must fail and the store must stay. */
  la s1, reserved
  la s2, flag
  bnez s0, 2f
  lr.d a0, (s1)
  li t0, 1
  sw t0, 0(s2)
1:
  lw t0, 0(s2)
  li t1, 2
  bne t0, t1, 1b
  li a1, 77
  sc.d a2, a1, (s1)
  CHECK(7, a2, 1)
  ld a0, 0(s1)
  CHECK(8, a0, 5)
  j 3f
2:
  li t0, 1
  bne s0, t0, 3f
1:
  lw t1, 0(s2)
  bne t1, t0, 1b
  li t1, 5
  sd t1, 0(s1)
  fence
  li t1, 2
  sw t1, 0(s2)
3:
  BARRIER(broken)

#ifndef QEMU /* compares values, so that the same value stored again goes unseen */
  bnez s0, 2f
  lr.d a0, (s1)
  li t0, 3
  sw t0, 0(s2)
1:
  lw t0, 0(s2)
  li t1, 4
  bne t0, t1, 1b
  li a1, 77
  sc.d a2, a1, (s1)
  CHECK(9, a2, 1)
  j 3f
2:
  li t0, 1
  bne s0, t0, 3f
  li t0, 3
1:
  lw t1, 0(s2)
  bne t1, t0, 1b
  ld t1, 0(s1)
  sd t1, 0(s1)
  fence
  li t1, 4
  sw t1, 0(s2)
3:
  BARRIER(broken_again)
#endif

  /* Data, fence, flag: who sees the flag sees the data. Hart n sends to hart n + 1. */
  la s1, mail
  slli t0, s0, 7
  add s2, s1, t0 /* own box */
  addi t0, s0, 1
  andi t0, t0, HARTS - 1
  slli t0, t0, 7
  add s3, s1, t0 /* the next one's */
  li s4, 100
mail_rounds:
  sd s4, 0(s3)
  fence w, w
  sd s4, 64(s3)
1:
  ld t0, 64(s2)
  bne t0, s4, 1b
  fence r, r
  ld t1, 0(s2)
  li NUMBER, 10
  bgtu t1, t0, fail
  /* Taken: the sender waits for 0 before the next. */
  sd zero, 64(s2)
1:
  ld t0, 64(s3)
  bnez t0, 1b
  addi s4, s4, -1
  bnez s4, mail_rounds
  BARRIER(mailed)

  /* A token goes round by software interrupts, each hart asleep until it is its turn. */
  li t0, 8
  csrw mie, t0
  li s1, MSIP
  slli t0, s0, 2
  add s2, s1, t0
  addi t0, s0, 1
  andi t0, t0, HARTS - 1
  slli t0, t0, 2
  add s3, s1, t0
  li s4, 20
  bnez s0, sleep
  li t0, 1
  sw t0, 0(s3)
sleep:
  wfi
  csrr t0, mip
  andi t0, t0, 8
  beqz t0, sleep
  sw zero, 0(s2)
  la t1, token
  ld t0, 0(t1)
  addi t0, t0, 1
  sd t0, 0(t1)
  fence
  addi s4, s4, -1
  /* Hart 0 is last in its round, and does not start another one after the last. */
  or t0, s0, s4
  beqz t0, 1f
  li t0, 1
  sw t0, 0(s3)
1:
  bnez s4, sleep
  BARRIER(slept)
  la t1, token
  ld a0, 0(t1)
  CHECK(11, a0, HARTS * 20)

  /* A hart that sleeps between LR and SC has lost what another hart stored to. */
  li t0, 8
  csrw mie, t0
  li s1, MSIP
  la s2, reserved
  la s3, flag
  bnez s0, 2f
  lr.d a0, (s2)
  li t0, 5
  sw t0, 0(s3)
1:
  wfi
  csrr t0, mip
  andi t0, t0, 8
  beqz t0, 1b
  sc.d a2, zero, (s2)
  sw zero, 0(s1)
  CHECK(12, a2, 1)
  ld a0, 0(s2)
  CHECK(13, a0, 6)
  j 3f
2:
  li t0, 1
  bne s0, t0, 3f
  li t0, 5
1:
  lw t1, 0(s3)
  bne t1, t0, 1b
  li t1, 6
  sd t1, 0(s2)
  fence
  li t1, 1
  sw t1, 0(s1)
3:
  BARRIER(woken)

  /* The same when every hart sleeps (with two harts) and a timer wakes the other one first. */
  bnez s0, 2f
1:
  lw t1, 0(s3)
  li t0, 7
  bne t1, t0, 1b
  li t1, 30000 /* long enough for hart 1 to be asleep */
1:
  addi t1, t1, -1
  bnez t1, 1b
  lr.d a0, (s2)
1:
  wfi
  csrr t0, mip
  andi t0, t0, 8
  beqz t0, 1b
  sc.d a2, zero, (s2)
  sw zero, 0(s1)
#ifndef QEMU /* 7.2 compares values, and when a run is late what it read already is the 8 */
  CHECK(14, a2, 1)
  ld a0, 0(s2)
  CHECK(15, a0, 8)
#endif
  j 3f
2:
  li t0, 1
  bne s0, t0, 3f
  li t0, 0x80
  csrw mie, t0
  li t1, MTIME
  ld t0, 0(t1)
  li t2, 20000
  add t0, t0, t2
  li s4, MTIMECMP_1
  sd t0, 0(s4)
  li t0, 7
  sw t0, 0(s3)
1:
  wfi
  csrr t0, mip
  andi t0, t0, 0x80
  beqz t0, 1b
  li t1, -1
  sd t1, 0(s4)
  li t1, 8
  sd t1, 0(s2)
  fence
  li t1, 1
  sw t1, 0(s1)
3:
  BARRIER(timed)

  bnez s0, park
  li NUMBER, 1
  j report
park:
  csrw mie, zero
1:
  wfi
  j 1b

unexpected:
  li NUMBER, 1337
fail:
  slli NUMBER, NUMBER, 1
  ori NUMBER, NUMBER, 1
report:
  la t5, tohost
  sd NUMBER, 0(t5)
1:
  j 1b

  .section .htif, "aw"
  .globl tohost
  .globl fromhost
  .size tohost, 8
  .size fromhost, 8
  .balign 64
tohost:
  .dword 0
  .balign 64
fromhost:
  .dword 0
  .data
  CELL(counter)
  CELL(wide)
  CELL(added)
  CELL(lock)
  CELL(reserved)
  CELL(flag)
  CELL(token)
  .balign 64
guarded:
  .dword 0, 0
  .balign 64
mail:
  .zero 128 * HARTS
