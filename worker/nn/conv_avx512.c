/* The convolutions of the avx512 set. */
#include "worker/nn/kernels.h"

const struct kernel conv_avx512[] = {{0}};
