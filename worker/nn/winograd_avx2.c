#include "worker/nn/winograd.h"

#if defined(__x86_64__) && !defined(STEPPE_REAL_DOUBLE)

#pragma GCC target("avx2,fma")
#define WINOGRAD_TABLE winograd_avx2
#include "worker/nn/winograd_set.inc"

#else

const struct kernel winograd_avx2[] = {{0}};

#endif
