#include "worker/nn/winograd_set.h"

const struct winograd_ops winograd_avx2 = {VEC_LANES, convolve, gradient};
