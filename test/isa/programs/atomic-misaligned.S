/* atomic-misaligned: LR, SC and AMOs must be aligned; they fault with the address and do nothing.
   Here only: QEMU 7.2 calls an AMO's fault a load's, and SC looks at its reservation first. */
#include "environment.h"
#include "modes.h"

#define CAUSE_LOAD_MISALIGNED 4
#define CAUSE_STORE_MISALIGNED 6

  BEGIN_MACHINE
  USE_MODES
  la s2, cell
  li a0, 0x55
#define MISALIGNED(number, offset) \
  addi s1, s2, offset; \
  TRAPS(number, CAUSE_LOAD_MISALIGNED, s1, lr.d a0, (s1)) \
  TRAPS(number, CAUSE_STORE_MISALIGNED, s1, sc.d a0, a0, (s1)) \
  TRAPS(number, CAUSE_STORE_MISALIGNED, s1, amoadd.d a0, a0, (s1)) \
  TRAPS(number, CAUSE_STORE_MISALIGNED, s1, amoswap.d a0, zero, (s1))
#define MISALIGNED_WORD(number, offset) \
  addi s1, s2, offset; \
  TRAPS(number, CAUSE_LOAD_MISALIGNED, s1, lr.w a0, (s1)) \
  TRAPS(number, CAUSE_STORE_MISALIGNED, s1, sc.w a0, a0, (s1)) \
  TRAPS(number, CAUSE_STORE_MISALIGNED, s1, amomaxu.w a0, a0, (s1))

  MISALIGNED(2, 1)
  MISALIGNED(3, 4)
  MISALIGNED(4, 7)
  MISALIGNED_WORD(5, 1)
  MISALIGNED_WORD(6, 2)
  MISALIGNED_WORD(7, 3)
  EXPECT(8, a0, 0x55)
  EXPECT(9, a0, 0x1122334455667788, ld a0, 0(s2))
  /* Aligned for their own size is enough. */
  addi s1, s2, 4
  LEGAL(10, amoadd.w a0, zero, (s1))
  EXPECT(11, a0, 0x11223344)

  END
  MODES_HANDLER
  .data
  .balign 64
cell:
  .dword 0x1122334455667788
  .dword 0
