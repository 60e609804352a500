/* access: what lies outside memory faults, with the address in mtval, and changes nothing. */
#include "environment.h"
#include "modes.h"

/* QEMU 7.2 reports an AMO's access fault as a load's, and an SC without a reservation touches
   nothing there. */
#ifdef QEMU
#define AMO_NOWHERE(number)
#else
#define AMO_NOWHERE(number) \
  TRAPS(number, CAUSE_STORE_ACCESS, s1, amoadd.w a0, a0, (s1)) \
  TRAPS(number, CAUSE_STORE_ACCESS, s1, sc.w a0, a0, (s1)) \
  TRAPS(number, CAUSE_STORE_ACCESS, s1, sc.d a0, a0, (s1))
#endif

#define NOWHERE(number, address) \
  li s1, address; \
  li a0, 0x55; \
  TRAPS(number, CAUSE_LOAD_ACCESS, s1, lb a0, 0(s1)) \
  TRAPS(number, CAUSE_LOAD_ACCESS, s1, lwu a0, 0(s1)) \
  TRAPS(number, CAUSE_LOAD_ACCESS, s1, ld a0, 0(s1)) \
  EXPECT(number, a0, 0x55) \
  TRAPS(number, CAUSE_LOAD_ACCESS, s1, fld fa0, 0(s1)) \
  TRAPS(number, CAUSE_STORE_ACCESS, s1, sb a0, 0(s1)) \
  TRAPS(number, CAUSE_STORE_ACCESS, s1, sd a0, 0(s1)) \
  TRAPS(number, CAUSE_STORE_ACCESS, s1, fsw fa0, 0(s1)) \
  TRAPS(number, CAUSE_LOAD_ACCESS, s1, lr.d a0, (s1)) \
  AMO_NOWHERE(number) \
  EXPECT(number, a0, 0x55) \
  FETCH_TRAPS(number, STATUS_MPP, CAUSE_FETCH_ACCESS, s1, s1)

  BEGIN_MACHINE
  USE_MODES
  NOWHERE(2, 0x40000000)
  NOWHERE(3, 0x7ffff000)
  NOWHERE(4, 0x200000000000)
  NOWHERE(5, 1 << 56)
  NOWHERE(6, 1 << 63)
  NOWHERE(7, 0x8000000080000000)
  NOWHERE(8, -8)
  NOWHERE(9, 0xffffffff80000000)
  NOWHERE(10, 0x00ffffff80000000)

  /* An indexed access whose sum is outside, though its base is inside. */
  la s2, _start
  addi s1, s2, -8
  TRAPS(11, CAUSE_LOAD_ACCESS, s1, ld a0, -8(s2))
  /* The same memory through an address that wraps. */
  li s2, 0x7fffffff00000000
  li s1, 0x7fffffff00000000 + 2040
  TRAPS(12, CAUSE_STORE_ACCESS, s1, sd a0, 2040(s2))
  /* In S and U with translation off as well. */
  ENTER_SUPERVISOR
  li s1, 1 << 60
  TRAPS(13, CAUSE_LOAD_ACCESS, s1, ld a0, 0(s1))
  LEAVE
  FETCH_TRAPS(14, 0, CAUSE_FETCH_ACCESS, s1, s1)

  END
  MODES_HANDLER
