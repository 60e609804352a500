/*
 * start: entry of every bench program, M-mode on QEMU virt's map.
 *
 * Turns the floating point unit on, clears .bss, calls guestMain. A trap is a failure: the finisher
 * is told its cause and the machine stops with it, so a broken run never looks like a fast one.
 */
    .option norelax
    .section .text.start, "ax"
    .globl _start
_start:
    csrr t0, mhartid
    bnez t0, park
    la t0, trapped
    csrw mtvec, t0
    li t0, 1 << 13 /* mstatus.FS = Initial */
    csrs mstatus, t0
    csrw fcsr, zero
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la sp, stackTop
    la t0, bssStart
    la t1, bssEnd
1:  bgeu t0, t1, 2f
    sd zero, 0(t0)
    addi t0, t0, 8
    j 1b
2:  call guestMain
park:
    wfi
    j park

    .balign 4
trapped:
    csrr t0, mcause
    andi t0, t0, 31
    addi t0, t0, 64
    slli t0, t0, 16
    li t1, 0x3333 /* finisher: failure with a code */
    or t0, t0, t1
    li t1, 0x100000
    sw t0, 0(t1)
    j park
