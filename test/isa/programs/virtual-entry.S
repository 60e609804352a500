/*
 * virtual-entry: first instructions, and the way in and out of U-mode, for the kernel in virtual.c.
 *
 * Holds   sscratch is the kernel stack's top (kernel address) while U-mode runs.
 *         A frame is x1 to x31 at 8 to 248, then pc, sstatus, stval, scause.
 */
#define FRAME_BYTES 288

  .section .text.start, "ax"
  .globl _start
_start:
  csrr a0, mhartid
1:
  bnez a0, 1b
  la t0, machine_trap
  csrw mtvec, t0
  la sp, kernel_stack_end
  la a0, user_start
  call virtual_boot

  .balign 4
machine_trap:
  csrr a0, mcause
  csrr a1, mepc
  csrr a2, mtval
  la sp, kernel_stack_end
  call machine_panic

  /* return_to_user(frame): loads everything and leaves by SRET, from M-mode the first time. */
  .globl return_to_user
return_to_user:
  ld t0, 256(a0)
  csrw sepc, t0
  .irp number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24
  ld x\number, \number * 8(a0)
  .endr
  .irp number, 25, 26, 27, 28, 29, 30, 31
  ld x\number, \number * 8(a0)
  .endr
  ld a0, 80(a0)
  sret

  .balign 4
  .globl supervisor_entry
supervisor_entry:
  csrrw sp, sscratch, sp
  addi sp, sp, -FRAME_BYTES
  .irp number, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24
  sd x\number, \number * 8(sp)
  .endr
  .irp number, 25, 26, 27, 28, 29, 30, 31
  sd x\number, \number * 8(sp)
  .endr
  addi t0, sp, FRAME_BYTES
  csrrw t1, sscratch, t0
  sd t1, 16(sp)
  csrr t0, sepc
  sd t0, 256(sp)
  csrr t0, sstatus
  sd t0, 264(sp)
  csrr t0, stval
  sd t0, 272(sp)
  csrr t0, scause
  sd t0, 280(sp)
  mv a0, sp
  call handle_trap
  mv a0, sp
  j return_to_user

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

  .bss
  .balign 16
  .space 8192
  .globl kernel_stack_end
kernel_stack_end:
