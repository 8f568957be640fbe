#include <errno.h>

#include "tests/unit/nn/support.h"
#include "worker/nn/kernels.h"

TEST(a_set_is_chosen_by_name_and_the_best_one_without)
{
    const struct kernels *set = NULL;
    struct errbuf why;

    for (size_t i = 0; kernels_at(i); i++) {
        if (!kernels_at(i)->supported())
            continue;
        ASSERT_OK(kernels_choose(kernels_at(i)->name, &set, &why), why);
        ASSERT(set == kernels_at(i));
    }
    ASSERT_OK(kernels_choose(NULL, &set, &why), why);
    ASSERT(set == kernels_best());
    ASSERT_OK(kernels_choose("", &set, &why), why);
    ASSERT(set == kernels_best() && set->supported());
}

TEST(an_unknown_or_foreign_set_is_refused_by_the_names_that_are_allowed)
{
    const struct kernels *set = NULL;
    struct errbuf why;

    ASSERT_EQ(-EINVAL, kernels_choose("AVX2", &set, &why));
    ASSERT(strstr(why.text, "\"AVX2\"") && strstr(why.text, kernels_best()->name));
    ASSERT(strstr(why.text, "reference"));
    for (size_t i = 0; kernels_at(i); i++) {
        if (kernels_at(i)->supported())
            continue;
        ASSERT_EQ(-EINVAL, kernels_choose(kernels_at(i)->name, &set, &why));
        ASSERT(strstr(why.text, kernels_at(i)->name) && strstr(why.text, "reference"));
    }
    ASSERT(!set);
}

/* Odd sizes, maps smaller than a window, channels that fill vectors and that do not, more of them
 * than a chunk or tile holds. */
static const struct {
    size_t h, w, c, out, n;
} sizes[] = {
    {1, 1, 16, 16, 3},  {1, 1, 3, 8, 1},     {2, 2, 32, 48, 3},   {3, 5, 16, 24, 2},
    {4, 4, 48, 32, 5},  {4, 4, 24, 64, 2},   {5, 4, 1, 16, 3},    {7, 7, 40, 16, 2},
    {8, 8, 64, 64, 3},  {9, 11, 3, 16, 2},   {14, 14, 16, 32, 2}, {28, 28, 1, 32, 2},
    {6, 28, 32, 64, 1}, {13, 17, 16, 16, 2}, {32, 32, 16, 16, 2}, {3, 33, 8, 40, 1},
    {4, 4, 160, 96, 3}, {5, 3, 96, 160, 3},  {8, 8, 17, 31, 2},   {2, 9, 3, 32, 4},
};

static struct conv_shape shape_at(size_t i, size_t stride)
{
    return (struct conv_shape){sizes[i].h,
                               sizes[i].w,
                               sizes[i].c,
                               (sizes[i].h - 1) / stride + 1,
                               (sizes[i].w - 1) / stride + 1,
                               sizes[i].out,
                               3,
                               stride,
                               1};
}

/* The result of an operation, `count` entries between two that must not be touched; `again`: that
 * of the call after it, over the same scratch. */
static real *result_of(const struct kernel *k, const struct conv_call *call, size_t count,
                       const real *before, bool again)
{
    const size_t scratch = k->scratch ? k->scratch(&call->shape) : 0;
    real *all = reals(count + 2), *out = all + 1;
    struct conv_call c = *call;

    all[0] = all[count + 1] = 77;
    memcpy(out, before, count * sizeof(*out));
    c.y = c.dx = c.dw = out;
    c.scratch = reals(scratch + 1);
    c.scratch[scratch] = 77;
    k->run(&c);
    c.again = true;
    memcpy(out, before, again ? count * sizeof(*out) : 0);
    if (again)
        k->run(&c);
    ASSERT(c.scratch[scratch] == 77 && all[0] == 77 && all[count + 1] == 77);
    free(c.scratch);
    return all;
}

static void check_kernel(const struct kernels *set, enum conv_op op, const struct conv_shape *s,
                         size_t n, bool flags)
{
    const struct kernel *k = kernels_find(set, op, s);
    const size_t x = n * s->h * s->w * s->c, y = n * s->oh * s->ow * s->out;
    const size_t w = 9 * s->c * s->out, counts[CONV_OPS] = {y, x, w};
    real *a = uniform(1, x, -1, 1), *b = uniform(2, s->out, -1, 1), *g = uniform(3, y, -1, 1);
    real *weights = uniform(4, w, -1, 1), *before = uniform(5, counts[op], -1, 1);
    const struct conv_call call = {.shape = *s,
                                   .n = n,
                                   .x = a,
                                   .w = weights,
                                   .b = flags ? b : NULL,
                                   .dy = g,
                                   .relu = flags,
                                   .add = flags};

    if (k) {
        real *want =
            result_of(kernels_find(kernels_at(0), op, s), &call, counts[op], before, false);
        real *got = result_of(k, &call, counts[op], before, false);
        real *again = result_of(k, &call, counts[op], before, true);
        if (!(distance(got, want, counts[op] + 2) <= 3e-6))
            FAIL("%s %s: operation %d on %zu x %zux%zux%zu to %zu, stride %zu: off by %g",
                 set->name, k->name, (int)op, n, s->h, s->w, s->c, s->out, s->stride,
                 distance(got, want, counts[op] + 2));
        ASSERT_MEM(got, again, counts[op] * sizeof(*got));
        free(want), free(got), free(again);
    }
    free(a), free(b), free(g), free(weights), free(before);
}

static void check_set(const char *name)
{
    const struct kernels *set;
    struct errbuf why;

    if (kernels_choose(name, &set, &why) < 0)
        SKIP(why.text);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        for (size_t stride = 1; stride <= 2; stride++) {
            const struct conv_shape s = shape_at(i, stride);
            for (int op = 0; op < CONV_OPS; op++) {
                check_kernel(set, (enum conv_op)op, &s, sizes[i].n, false);
                check_kernel(set, (enum conv_op)op, &s, sizes[i].n, true);
            }
        }
    }
}

TEST(avx2_kernels_equal_plain_loops)
{
    check_set("avx2");
}

TEST(avx512_kernels_equal_plain_loops)
{
    check_set("avx512");
}
