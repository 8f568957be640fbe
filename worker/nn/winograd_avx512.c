#include "worker/nn/winograd_set.h"

const struct winograd_ops winograd_avx512 = {VEC_LANES, convolve, gradient};
