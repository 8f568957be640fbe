/* float32 */
#include "tests/unit/nn/gradients.inc"
