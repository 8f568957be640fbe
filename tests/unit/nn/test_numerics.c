#include "tests/unit/nn/support.h"
#include "worker/nn/gemm.h"
#include "worker/nn/kernel.h"
#include "worker/nn/net.h"
#include "worker/numerics.h"

TEST(class_is_stable_across_calls_and_modes)
{
    char first[NUMERICS_CLASS_BYTES], again[NUMERICS_CLASS_BYTES];

    gemm_init();
    numerics_class(kernels_best(), first);
    net_thread_init();
    numerics_class(kernels_best(), again);
    ASSERT_STR(first, again);
}

TEST(class_names_kernels_and_core_and_ends_in_16_digits)
{
    char class[NUMERICS_CLASS_BYTES], start[NUMERICS_CLASS_BYTES];

    numerics_class(kernels_best(), class);
    snprintf(start, sizeof(start), "%s.%d/%s/", kernels_best()->name, KERNEL_REVISION, gemm_core());
    ASSERT_EQ(0, strncmp(start, class, strlen(start)));
    ASSERT_EQ(16, strspn(class + strlen(start), "0123456789abcdef"));
    ASSERT_EQ(strlen(start) + 16, strlen(class));
}

static bool denormals_survive(void)
{
    volatile float small = 1e-38f, denormal = small * 0.25f;

    return denormal != 0;
}

TEST(the_callers_mode_is_restored)
{
    char class[NUMERICS_CLASS_BYTES];

    ASSERT(denormals_survive());
    numerics_class(kernels_best(), class);
    ASSERT(denormals_survive());
}

TEST(denormals_are_zero_after_thread_init)
{
    net_thread_init();
    ASSERT(!denormals_survive());
}
