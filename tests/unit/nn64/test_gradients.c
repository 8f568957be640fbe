/* double: the same checks, four orders tighter */
#include "tests/unit/nn/gradients.inc"
