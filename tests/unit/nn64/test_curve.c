/* double: against differences */
#include "tests/unit/nn/curve.inc"
