#include "common/tensor.h"

#include "tests/harness.h"

TEST(every_dtype_has_a_name_and_a_size)
{
    static const size_t bytes[DTYPE_COUNT] = {1, 2, 4, 4, 8, 8, 4, 8, 2, 2, 1, 2, 1};
    enum dtype back;

    for (int d = 0; d < DTYPE_COUNT; d++) {
        ASSERT_EQ(bytes[d], dtype_bytes((enum dtype)d));
        ASSERT(dtype_from_name(dtype_name((enum dtype)d), &back));
        ASSERT_EQ(d, back);
    }
    ASSERT(!dtype_from_name("f32", &back));
    ASSERT(!dtype_from_name("F8_E4M3", &back));
    ASSERT(!dtype_from_name("", &back));
}

TEST(tensor_count_multiplies_the_shape)
{
    size_t n = 99;

    ASSERT(tensor_count(NULL, 0, &n));
    ASSERT_EQ(1, n);
    ASSERT(tensor_count((uint64_t[]){2, 3, 4}, 3, &n));
    ASSERT_EQ(24, n);
    ASSERT(tensor_count((uint64_t[]){5, 0, 4}, 3, &n));
    ASSERT_EQ(0, n);
}

TEST(tensor_count_refuses_what_overflows_in_bytes)
{
    const uint64_t side = UINT64_C(1) << 31;
    size_t n = 99;

    ASSERT(!tensor_count((uint64_t[]){UINT64_MAX}, 1, &n));
    ASSERT(!tensor_count((uint64_t[]){UINT64_C(1) << 61}, 1, &n));
    ASSERT(!tensor_count((uint64_t[]){side, side}, 2, &n));
    ASSERT(!tensor_count((uint64_t[]){0, side, side, side}, 4, &n));
    ASSERT(!tensor_count((uint64_t[]){1, 1, 1, 1, 1, 1, 1}, TENSOR_DIMS_MAX + 1, &n));
    ASSERT(!tensor_count(NULL, -1, &n));
    ASSERT_EQ(99, n);
    ASSERT(tensor_count((uint64_t[]){UINT64_C(1) << 60}, 1, &n));
}

TEST(tensor_make_views_the_memory)
{
    const float data[6] = {0};
    struct tensor t = tensor_make("weight", DTYPE_F32, 2, (uint64_t[]){2, 3}, data);

    ASSERT_STR("weight", t.name);
    ASSERT_EQ(2, t.dims);
    ASSERT_EQ(3, t.shape[1]);
    ASSERT_EQ(24, t.bytes);
    ASSERT(t.data == data);
}

TEST(tensor_find_goes_by_the_whole_name)
{
    const uint8_t byte = 0;
    const struct tensor t[] = {tensor_1d("a", DTYPE_U8, 1, &byte),
                               tensor_1d("ab", DTYPE_U8, 1, &byte)};

    ASSERT(tensor_find(t, 2, "ab") == &t[1]);
    ASSERT(tensor_find(t, 2, "abc") == NULL);
    ASSERT(tensor_find(NULL, 0, "a") == NULL);
}
