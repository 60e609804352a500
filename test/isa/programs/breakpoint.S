/* breakpoint: debug triggers are absent, and say so: none can be chosen, none has a type. */
#include "environment.h"
#include "modes.h"

  BEGIN_MACHINE
  USE_MODES
#ifndef QEMU /* 7.2 has triggers of type 2 */
  LEGAL(2, csrr a0, tselect)
  li t0, 3
  csrw tselect, t0
  csrr a0, tselect
  beq a0, t0, 1f
  EXPECT(3, a0, 0, csrwi tselect, 0; csrr a0, tselect)
1:
  csrr a0, tdata1
  srli a0, a0, 60
  /* Type 0: no trigger here. Whatever is written, no type 2 comes back and nothing fires. */
  EXPECT(4, a0, 0)
  li t0, (2 << 60) | (1 << 59) | 0x47f
  csrw tdata1, t0
  la t0, 2f
  csrw tdata2, t0
  EXPECT(5, a0, 0, csrr a0, tdata1; srli a0, a0, 60)
  li s8, -1
2:
  lw a0, 2b
  EXPECT(6, s8, -1)
#endif
  li s8, -1
  ebreak
  EXPECT(7, s8, CAUSE_BREAKPOINT)

  END
  MODES_HANDLER
