#include "tests/unit/nn/curve.inc"
