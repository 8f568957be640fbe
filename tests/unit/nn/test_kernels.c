#include <errno.h>

#include "tests/unit/nn/support.h"
#include "worker/nn/gemm.h"
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

struct dense_data {
    real *x, *w, *b, *dy, *scratch;
};

static struct dense_call dense_make(struct dense_data *d, size_t n, size_t in, size_t out)
{
    *d = (struct dense_data){uniform(1, n * in, -1, 1), uniform(2, in * out, -1, 1),
                             uniform(3, out, -1, 1), uniform(4, n * out, -1, 1),
                             alloc_bytes(dense_scratch(n, in, out), sizeof(real))};
    return (struct dense_call){.n = n,
                               .in = in,
                               .out = out,
                               .x = d->x,
                               .w = d->w,
                               .b = d->b,
                               .dy = d->dy,
                               .scratch = d->scratch};
}

static void dense_free(struct dense_data *d)
{
    free(d->x), free(d->w), free(d->b), free(d->dy), free(d->scratch);
}

static void near_all(const char *set, const char *what, const struct dense_call *c,
                     const real *want, const real *got, size_t n, size_t depth)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)want[i] - (double)got[i]) <= 1e-6 * (double)(depth + 1)))
            FAIL("%s: %s of %zu x %zu x %zu: entry %zu is %.9g, wanted %.9g", set, what, c->n,
                 c->in, c->out, i, (double)got[i], (double)want[i]);
}

static void dense_forward_is_right(const struct kernels *set, struct dense_call c)
{
    const size_t count = c.n * c.out;
    real *want = reals(count), *got = uniform(5, count, -9, 9);

    for (size_t i = 0; i < count; i++)
        want[i] = c.b ? c.b[i % c.out] : 0;
    gemm_ref(false, false, (int)c.n, (int)c.out, (int)c.in, c.x, (int)c.in, c.w, (int)c.out, 1,
             want, (int)c.out);
    for (size_t i = 0; c.relu && i < count; i++)
        want[i] = want[i] < 0 ? 0 : want[i];
    c.y = got;
    set->dense->forward(&c);
    near_all(set->name, "forward", &c, want, got, count, c.in);
    free(want), free(got);
}

static void dense_backward_is_right(const struct kernels *set, struct dense_call c)
{
    const size_t weights = c.in * c.out, pixels = c.n * c.in;
    real *want = uniform(6, weights, -1, 1), *got = uniform(7, weights, -1, 1);
    real *want_dx = uniform(8, pixels, -1, 1), *got_dx = uniform(8, pixels, -1, 1);

    gemm_ref(true, false, (int)c.in, (int)c.out, (int)c.n, c.x, (int)c.in, c.dy, (int)c.out, 0,
             want, (int)c.out);
    gemm_ref(false, true, (int)c.n, (int)c.in, (int)c.out, c.dy, (int)c.out, c.w, (int)c.out, c.add,
             want_dx, (int)c.in);
    c.dw = got;
    c.dx = got_dx;
    set->dense->weight_gradient(&c);
    set->dense->data_gradient(&c);
    near_all(set->name, "weight gradient", &c, want, got, weights, c.n);
    near_all(set->name, "data gradient", &c, want_dx, got_dx, pixels, c.out);
    free(want), free(got), free(want_dx), free(got_dx);
}

TEST(dense_layers_equal_the_matrix_products)
{
    static const size_t dense_sizes[][3] = {
        {1, 1, 1},    {3, 7, 5},    {8, 16, 32},  {7, 257, 33}, {64, 10, 96},
        {33, 64, 10}, {40, 520, 8}, {65, 31, 70}, {6, 48, 16},  {9, 300, 64},
    };

    for (size_t k = 0; kernels_at(k); k++) {
        if (!kernels_at(k)->supported() || !kernels_at(k)->dense)
            continue;
        for (size_t i = 0; i < COUNT(dense_sizes); i++)
            for (int flags = 0; flags < 4; flags++) {
                struct dense_data d;
                struct dense_call c =
                    dense_make(&d, dense_sizes[i][0], dense_sizes[i][1], dense_sizes[i][2]);
                c.relu = c.add = flags & 1;
                c.b = flags & 2 ? NULL : c.b;
                dense_forward_is_right(kernels_at(k), c);
                dense_backward_is_right(kernels_at(k), c);
                dense_free(&d);
            }
    }
}

TEST(a_row_of_a_dense_layer_has_the_same_bits_wherever_it_lies)
{
    enum { N = 21, IN = 530, OUT = 45 };

    for (size_t k = 0; kernels_at(k); k++) {
        struct dense_data d;
        struct dense_call c = dense_make(&d, N, IN, OUT);
        real *y = reals(N * OUT), *dx = reals(N * IN), *one = reals(IN);
        if (kernels_at(k)->supported() && kernels_at(k)->dense) {
            c.y = y;
            c.dx = dx;
            kernels_at(k)->dense->forward(&c);
            kernels_at(k)->dense->data_gradient(&c);
            for (size_t i = 0; i < N; i++) {
                struct dense_call row = c;
                row.n = 1;
                row.x = c.x + i * IN;
                row.dy = c.dy + i * OUT;
                row.y = row.dx = one;
                kernels_at(k)->dense->forward(&row);
                ASSERT_MEM(y + i * OUT, one, OUT * sizeof(real));
                kernels_at(k)->dense->data_gradient(&row);
                ASSERT_MEM(dx + i * IN, one, IN * sizeof(real));
            }
        }
        free(y), free(dx), free(one);
        dense_free(&d);
    }
}
