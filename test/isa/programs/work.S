/* work: a C program of some length in U-mode, over many pages that come in on demand. */
#include "environment.h"

  BEGIN_USER
  la sp, stack_end
  call work_sort
  EXPECT(2, a0, 0)
  call work_checksum
  EXPECT(3, a0, 0xcbf43926)
  call work_matrix
  EXPECT(4, a0, 0)
  call work_text
  EXPECT(5, a0, 0)
  call work_tree
  EXPECT(6, a0, 0)
  END

  .bss
  .balign 16
  .space 8192
stack_end:
