#include "tests/unit/nn/support.h"
#include "worker/nn/winograd.h"

/* As large a part of the largest entry as float32 may be off: sums of up to some thousand terms. */
#define TOLERANCE 1e-5

/* A convolution and its gradients by the definition, in double. */
struct direct {
    double *y, *dx, *dw;
};

/* One convolution with room for all it reads and writes. */
struct made {
    struct conv_call call;
    size_t xs, ys, ws;
    float *x, *w, *b, *dy, *y, *dx, *dw;
};

static struct direct direct_of(const struct made *m)
{
    const struct conv_shape *s = &m->call.shape;
    const size_t pixels = m->call.n * s->h * s->w;
    struct direct r = {xcalloc(m->ys, sizeof(double)), xcalloc(m->xs, sizeof(double)),
                       xcalloc(m->ws, sizeof(double))};

    for (size_t p = 0; p < pixels; p++) {
        const size_t row = p / s->w % s->h, column = p % s->w;
        for (size_t tap = 0; tap < 9; tap++) {
            const size_t in_row = row + tap / 3 - 1, in_column = column + tap % 3 - 1;
            if (in_row >= s->h || in_column >= s->w)
                continue;
            const size_t in = p + in_row * s->w + in_column - row * s->w - column;
            for (size_t c = 0; c < s->c; c++) {
                for (size_t k = 0; k < s->out; k++) {
                    const size_t at = (tap * s->c + c) * s->out + k;
                    r.y[p * s->out + k] += (double)m->x[in * s->c + c] * m->w[at];
                    r.dx[in * s->c + c] += (double)m->dy[p * s->out + k] * m->w[at];
                    r.dw[at] += (double)m->x[in * s->c + c] * m->dy[p * s->out + k];
                }
            }
        }
    }
    return r;
}

static void direct_done(struct direct *d)
{
    free(d->y), free(d->dx), free(d->dw);
}

/* Scratch is NaN: what is read before it is written shows. */
static struct made made_of(const struct kernel *rows, size_t n, size_t h, size_t w, size_t c,
                           size_t k)
{
    struct made m = {.xs = n * h * w * c, .ys = n * h * w * k, .ws = 9 * c * k};
    const struct conv_shape shape = {h, w, c, h, w, k, 3, 1, 1};
    size_t scratch = 0;

    m.x = uniform(1, m.xs, -0.5, 1);
    m.w = uniform(2, m.ws, -1, 1);
    m.dy = uniform(3, m.ys, -1, 1);
    m.b = uniform(4, k, -1, 1);
    m.y = reals(m.ys);
    m.dx = uniform(5, m.xs, -1, 1);
    m.dw = uniform(6, m.ws, -1, 1);
    for (const struct kernel *row = rows; row->name; row++) {
        ASSERT(row->takes(&shape));
        scratch = row->scratch(&shape) > scratch ? row->scratch(&shape) : scratch;
    }
    float *room = reals(scratch);
    for (size_t i = 0; i < scratch; i++)
        room[i] = NAN;
    m.call = (struct conv_call){.shape = shape,
                                .n = n,
                                .x = m.x,
                                .w = m.w,
                                .dy = m.dy,
                                .y = m.y,
                                .dx = m.dx,
                                .dw = m.dw,
                                .scratch = room};
    return m;
}

static void made_done(struct made *m)
{
    free(m->x), free(m->w), free(m->dy), free(m->b), free(m->y), free(m->dx), free(m->dw);
    free(m->call.scratch);
}

static void run(const struct kernel *rows, enum conv_op op, const struct conv_call *call)
{
    while (rows->op != op)
        rows++;
    rows->run(call);
}

static void near_all(const char *what, const struct made *m, const double *want, const float *got,
                     size_t n)
{
    const struct conv_shape *s = &m->call.shape;
    double top = 0;

    for (size_t i = 0; i < n; i++)
        top = fabs(want[i]) > top ? fabs(want[i]) : top;
    for (size_t i = 0; i < n; i++)
        if (!(fabs(want[i] - (double)got[i]) <= TOLERANCE * top))
            FAIL("%s, %zu images %zux%zux%zu to %zu: entry %zu is %.9g, wanted %.9g", what,
                 m->call.n, s->h, s->w, s->c, s->out, i, (double)got[i], want[i]);
}

static void compare(const struct kernel *rows, size_t n, size_t h, size_t w, size_t c, size_t k)
{
    struct made m = made_of(rows, n, h, w, c, k);
    float *dx = uniform(5, m.xs, -1, 1), *dw = uniform(6, m.ws, -1, 1);
    struct direct want = direct_of(&m);

    run(rows, CONV_FORWARD, &m.call);
    near_all("y", &m, want.y, m.y, m.ys);
    m.call.b = m.b;
    m.call.relu = true;
    run(rows, CONV_FORWARD, &m.call);
    for (size_t i = 0; i < m.ys; i++)
        want.y[i] = fmax(want.y[i] + (double)m.b[i % k], 0);
    near_all("y with bias and relu", &m, want.y, m.y, m.ys);

    m.call.add = true;
    run(rows, CONV_DATA_GRADIENT, &m.call);
    run(rows, CONV_WEIGHT_GRADIENT, &m.call);
    for (size_t i = 0; i < m.xs; i++)
        m.dx[i] -= dx[i];
    for (size_t i = 0; i < m.ws; i++)
        m.dw[i] -= dw[i];
    near_all("dx, added", &m, want.dx, m.dx, m.xs);
    near_all("dw, added", &m, want.dw, m.dw, m.ws);
    m.call.add = false;
    run(rows, CONV_DATA_GRADIENT, &m.call);
    run(rows, CONV_WEIGHT_GRADIENT, &m.call);
    near_all("dx", &m, want.dx, m.dx, m.xs);
    near_all("dw", &m, want.dw, m.dw, m.ws);
    free(dx), free(dw);
    direct_done(&want);
    made_done(&m);
}

static void compare_shapes(const struct kernel *rows, size_t lanes)
{
    static const size_t shapes[][3] = {
        {1, 1, 1}, {3, 1, 1}, {1, 4, 4}, {2, 5, 7}, {3, 8, 8}, {1, 9, 4}, {2, 2, 13}, {70, 4, 4},
    };
    static const size_t channels[][2] = {{1, 1}, {1, 2}, {2, 1}, {3, 2}, {2, 3}, {4, 4}};

    for (size_t i = 0; i < COUNT(shapes); i++)
        for (size_t j = 0; j < COUNT(channels); j++)
            compare(rows, shapes[i][0], shapes[i][1], shapes[i][2], channels[j][0] * lanes,
                    channels[j][1] * lanes);
    compare(rows, 65, 3, 4, 192, 128); /* filters in groups, two batches of tiles */
}

/* The set that takes the rows, or the test is skipped. */
static void need(const char *set)
{
    for (size_t i = 0; kernels_at(i); i++)
        if (strcmp(kernels_at(i)->name, set) == 0 && !kernels_at(i)->supported())
            SKIP("this processor lacks the instruction set");
}

TEST(avx512_equals_the_definition_over_odd_shapes)
{
    need("avx512");
    compare_shapes(winograd_avx512, 16);
}

TEST(avx2_equals_the_definition_over_odd_shapes)
{
    need("avx2");
    compare_shapes(winograd_avx2, 8);
}

TEST(other_shapes_are_left_to_others)
{
    static const struct conv_shape others[] = {
        {8, 8, 16, 8, 8, 17, 3, 1, 1}, {8, 8, 3, 8, 8, 16, 3, 1, 1},  {8, 8, 16, 4, 4, 16, 3, 2, 1},
        {8, 8, 16, 6, 6, 16, 3, 1, 0}, {8, 8, 16, 8, 8, 16, 1, 1, 0}, {8, 8, 16, 8, 8, 16, 5, 1, 2},
    };

    for (size_t i = 0; i < COUNT(others); i++) {
        for (const struct kernel *k = winograd_avx512; k->name; k++)
            ASSERT(!k->takes(&others[i]));
        for (const struct kernel *k = winograd_avx2; k->name; k++)
            ASSERT(!k->takes(&others[i]));
    }
}

/* All three operations of one convolution; what they write one behind the other. */
static float *all_of(const struct kernel *rows, struct made *m, size_t *ret_n)
{
    float *all = reals(m->ys + m->xs + m->ws);

    run(rows, CONV_FORWARD, &m->call);
    run(rows, CONV_DATA_GRADIENT, &m->call);
    run(rows, CONV_WEIGHT_GRADIENT, &m->call);
    memcpy(all, m->y, m->ys * sizeof(*all));
    memcpy(all + m->ys, m->dx, m->xs * sizeof(*all));
    memcpy(all + m->ys + m->xs, m->dw, m->ws * sizeof(*all));
    *ret_n = m->ys + m->xs + m->ws;
    return all;
}

TEST(both_sets_give_the_same_bits_again_and_again)
{
    need("avx512");
    struct made m = made_of(winograd_avx512, 9, 10, 10, 16, 32);
    struct made other = made_of(winograd_avx2, 9, 10, 10, 16, 32);
    size_t n;
    float *a = all_of(winograd_avx512, &m, &n), *b = all_of(winograd_avx512, &m, &n);
    float *c = all_of(winograd_avx2, &other, &n);

    ASSERT_MEM(a, b, n * sizeof(*a));
    ASSERT_MEM(a, c, n * sizeof(*a));
    free(a), free(b), free(c);
    made_done(&m);
    made_done(&other);
}

TEST(an_image_does_not_know_its_neighbours)
{
    need("avx2");
    struct made m = made_of(winograd_avx2, 9, 10, 10, 16, 32);
    const size_t x = m.xs / 9, y = m.ys / 9;
    float *before = reals(m.ys);

    run(winograd_avx2, CONV_FORWARD, &m.call);
    memcpy(before, m.y, m.ys * sizeof(*before));
    m.call.n = 1;
    m.call.x = m.x + 8 * x;
    m.call.y = m.y + 8 * y;
    run(winograd_avx2, CONV_FORWARD, &m.call);
    ASSERT_MEM(before, m.y, m.ys * sizeof(*before));
    free(before);
    made_done(&m);
}
