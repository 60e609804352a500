/* failing: a program whose fifth check is wrong, to see that a failure is a failure. */
#include "environment.h"

  BEGIN_USER
  EXPECT(4, a0, 1, li a0, 1)
  EXPECT(5, a0, 2)
  END
