/* Gradient checks, compiled for float and for double: the analytic gradient against central
 * differences, of all entries when there are at most ALL_MAX, else along random directions.
 *
 * Kinks (a ReLU's corner, two pixels changing places in a pool) make the two one-sided differences
 * disagree; the central one is then wrong by at most half of that, and the check allows for it. How
 * many entries may lean on that allowance is bounded, so that no check passes by kinks alone. */
#ifndef STEPPE_TESTS_UNIT_NN_GRADIENTS_H
#define STEPPE_TESTS_UNIT_NN_GRADIENTS_H

#include "tests/unit/nn/support.h"
#include "worker/nn/head.h"
#include "worker/nn/net.h"

#ifdef STEPPE_REAL_DOUBLE
#define STEP 1e-6
#define TOLERANCE 1e-7
#define DIRECTION_STEP 1e-5
#define LEANING_MAX 0.02 /* share of the checks */
#else
/* A compromise: rounding of the outputs (1e-7) over the step, and kinks within the step. */
#define STEP 5e-4
#define TOLERANCE 4e-3
#define DIRECTION_STEP 2e-3
#define LEANING_MAX 0.25 /* one weight of a convolution moves hundreds of corners */
#endif
#define ALL_MAX 1000
#define DIRECTIONS 24

/* A scalar function of (theta, x): of all logits of n samples. */
struct probe {
    const struct model *model;
    struct net *net;
    uint32_t n;
    const real *mix;        /* [n, classes]: sum mix*logits; NULL: sum of cross-entropy losses */
    const uint32_t *labels; /* for the losses */
};

static double probe_value(const struct probe *p, const real *theta, const real *x)
{
    const uint32_t classes = p->model->classes;
    const real *z = net_forward(p->net, theta, x, p->n);
    double sum = 0;

    for (size_t i = 0; i < p->n; i++) {
        struct head h;
        if (!p->mix) {
            head_sample(z + i * classes, classes, p->labels[i], &h, NULL);
            sum += h.loss;
            continue;
        }
        for (size_t j = 0; j < classes; j++)
            sum += (double)p->mix[i * classes + j] * (double)z[i * classes + j];
    }
    return sum;
}

static void probe_gradient(const struct probe *p, const real *theta, const real *x, real *dtheta,
                           real *dx)
{
    const uint32_t classes = p->model->classes;
    const real *z = net_forward(p->net, theta, x, p->n);
    real *dz = reals(p->n * classes);
    double delta[CLASSES_MAX];

    for (size_t i = 0; i < p->n; i++) {
        struct head h;
        if (!p->mix)
            head_sample(z + i * classes, classes, p->labels[i], &h, delta);
        for (size_t j = 0; j < classes; j++)
            dz[i * classes + j] = p->mix ? p->mix[i * classes + j] : (real)delta[j];
    }
    net_backward(p->net, theta, dz, dtheta, dx);
    free(dz);
}

/* Differences of the probe along `direction` at the entries `at` (theta or x itself). */
struct slope {
    double central, bend; /* bend: half of how far the one-sided ones are apart */
};

static struct slope slope_along(const struct probe *p, const real *theta, const real *x, real *at,
                                const real *direction, size_t count, double step)
{
    real *saved = reals(count);
    double value[3], width[2] = {0, 0};

    memcpy(saved, at, count * sizeof(*at));
    value[1] = probe_value(p, theta, x);
    for (int side = 0; side < 2; side++) {
        double moved = 0, length = 0;
        for (size_t i = 0; i < count; i++) {
            at[i] = (real)(saved[i] + (side ? step : -step) * direction[i]);
            moved += fabs((double)at[i] - (double)saved[i]);
            length += fabs((double)direction[i]);
        }
        width[side] = moved / length; /* what rounding made of the step */
        value[side ? 2 : 0] = probe_value(p, theta, x);
        memcpy(at, saved, count * sizeof(*at));
    }
    free(saved);
    const double left = (value[1] - value[0]) / width[0], right = (value[2] - value[1]) / width[1];
    return (struct slope){(value[2] - value[0]) / (width[0] + width[1]), fabs(right - left) / 2};
}

/* analytic[count] is the gradient with respect to at[count], a part of theta or all of x. */
static void check_part(const char *what, const struct probe *p, const real *theta, const real *x,
                       real *at, const real *analytic, size_t count)
{
    const bool all = count <= ALL_MAX;
    const size_t checks = all ? count : DIRECTIONS;
    const double step = all ? STEP : DIRECTION_STEP;
    struct rng r = rng_at(3, RNG_TEST, (uint32_t)count, 0);
    real *direction = reals(count);
    double scale = 0;
    size_t bent = 0;

    for (size_t i = 0; i < count; i++)
        scale = fmax(scale, fabs((double)analytic[i]));
    ASSERT(scale > 0);
    for (size_t c = 0; c < checks; c++) {
        double want = 0;
        for (size_t i = 0; i < count && !all; i++)
            direction[i] = (real)(rng_range(&r, -1, 1) / sqrt((double)count));
        if (all)
            direction[c] = 1;
        for (size_t i = 0; i < count; i++)
            want += (double)analytic[i] * (double)direction[i];
        const struct slope got = slope_along(p, theta, x, at, direction, count, step);
        const double off = fabs(got.central - want), allowed = TOLERANCE * scale;
        if (!(off <= allowed + got.bend))
            FAIL("%s: check %zu: gradient is %.9g, differences say %.9g (bend %.3g, scale %.3g)",
                 what, c, want, got.central, got.bend, scale);
        bent += off > allowed;
        if (all)
            direction[c] = 0;
    }
    if ((double)bent > LEANING_MAX * (double)checks)
        FAIL("%s: %zu of %zu checks lean on kinks", what, bent, checks);
    free(direction);
}

/* Checks every parameter and x of the model, for n samples. */
static void check_model(const char *desc, struct dims in, uint32_t classes, uint32_t n, bool loss)
{
    struct model m = model_of(desc, in, classes);
    real *theta = start_of(&m, 5), *x = uniform(1, n * entries(in), 0, 1);
    real *mix = uniform(2, n * classes, -1, 1), *dtheta = reals(m.floats);
    real *dx = reals(n * entries(in));
    uint32_t *labels = xcalloc(n, sizeof(*labels));
    struct net *net = net_create(&m, n);
    char what[256];

    ASSERT(net);
    for (uint32_t i = 0; i < n; i++)
        labels[i] = i * 7 % classes;
    const struct probe p = {&m, net, n, loss ? NULL : mix, labels};
    probe_gradient(&p, theta, x, dtheta, dx);
    for (int i = 0; i < m.param_count; i++) {
        const size_t at = m.params[i].offset;
        snprintf(what, sizeof(what), "%.180s: %s", desc, m.params[i].name);
        check_part(what, &p, theta, x, theta + at, dtheta + at, m.params[i].count);
    }
    snprintf(what, sizeof(what), "%.180s: x", desc);
    check_part(what, &p, theta, x, x, dx, n * entries(in));
    net_free(net);
    model_done(&m);
    free(theta), free(x), free(mix), free(dtheta), free(dx), free(labels);
}

#define LAST "{\"type\":\"dense\"}]"
#define FLAT_LAST "{\"type\":\"flatten\"},{\"type\":\"dense\"}]"
#define RELU "{\"type\":\"relu\"},"

TEST(dense)
{
    check_model("[" FLAT_LAST, (struct dims){3, 2, 2}, 5, 4, false);
    check_model("[{\"type\":\"flatten\"},{\"type\":\"dense\",\"bias\":false}]",
                (struct dims){3, 3, 1}, 2, 1, false);
    check_model("[{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":7}," LAST,
                (struct dims){2, 5, 1}, 3, 6, false);
}

TEST(relu_behind_dense_at_the_input_and_twice)
{
    check_model("[{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":9}," RELU LAST,
                (struct dims){2, 5, 1}, 3, 6, false);
    check_model("[" RELU FLAT_LAST, (struct dims){3, 3, 2}, 3, 4, false);
    check_model("[{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":9}," RELU RELU LAST,
                (struct dims){2, 5, 1}, 3, 6, false);
}

TEST(conv2d_of_every_kernel_stride_and_padding)
{
    char desc[256];

    for (uint32_t kernel = 1; kernel <= 5; kernel++) {
        for (uint32_t stride = 1; stride <= 3; stride++) {
            for (uint32_t padding = 0; padding<kernel; padding += kernel> 3 ? 2 : 1) {
                snprintf(desc, sizeof(desc),
                         "[{\"type\":\"conv2d\",\"channels\":3,\"kernel\":%u,\"stride\":%u,"
                         "\"padding\":%u}," FLAT_LAST,
                         kernel, stride, padding);
                check_model(desc, (struct dims){6, 5, 2}, 3, 2, false);
            }
        }
    }
}

TEST(conv2d_of_one_channel_and_of_many)
{
    check_model("[{\"type\":\"conv2d\",\"channels\":5}," FLAT_LAST, (struct dims){6, 7, 1}, 2, 3,
                false);
    check_model("[{\"type\":\"conv2d\",\"channels\":16}," FLAT_LAST, (struct dims){6, 6, 1}, 2, 3,
                false);
    check_model("[{\"type\":\"conv2d\",\"channels\":17,\"bias\":false}," FLAT_LAST,
                (struct dims){4, 5, 3}, 2, 2, false);
    check_model(
        "[{\"type\":\"conv2d\",\"channels\":16},{\"type\":\"conv2d\",\"channels\":6}," FLAT_LAST,
        (struct dims){5, 5, 1}, 2, 2, false);
}

TEST(conv2d_over_several_tiles)
{
    check_model(
        "[{\"type\":\"conv2d\",\"channels\":2},{\"type\":\"maxpool\",\"size\":4}," FLAT_LAST,
        (struct dims){16, 16, 1}, 2, 9, false);
}

TEST(conv2d_with_relu_and_pool)
{
    check_model("[{\"type\":\"conv2d\",\"channels\":4}," RELU FLAT_LAST, (struct dims){5, 5, 2}, 3,
                3, false);
    check_model("[{\"type\":\"conv2d\",\"channels\":4}," RELU "{\"type\":\"maxpool\"}," FLAT_LAST,
                (struct dims){6, 6, 1}, 3, 3, false);
    check_model("[{\"type\":\"conv2d\",\"channels\":4},{\"type\":\"maxpool\"}," RELU FLAT_LAST,
                (struct dims){6, 6, 1}, 3, 3, false);
    check_model("[{\"type\":\"conv2d\",\"channels\":4}," RELU
                "{\"type\":\"maxpool\",\"size\":3,\"stride\":2},"
                "{\"type\":\"conv2d\",\"channels\":3}," RELU FLAT_LAST,
                (struct dims){7, 7, 1}, 3, 2, false);
}

TEST(maxpool_tiling_dropping_overlapping_and_skipping)
{
    check_model("[{\"type\":\"maxpool\"}," FLAT_LAST, (struct dims){6, 4, 3}, 3, 3, false);
    check_model("[{\"type\":\"maxpool\"}," FLAT_LAST, (struct dims){7, 5, 2}, 3, 3, false);
    check_model("[{\"type\":\"maxpool\",\"size\":3,\"stride\":1}," FLAT_LAST,
                (struct dims){5, 6, 2}, 3, 2, false);
    check_model("[{\"type\":\"maxpool\",\"size\":2,\"stride\":3}," FLAT_LAST,
                (struct dims){8, 7, 2}, 3, 2, false);
    check_model("[{\"type\":\"maxpool\",\"size\":3}," FLAT_LAST, (struct dims){7, 7, 1}, 2, 3,
                false);
}

TEST(loss)
{
    check_model("[" FLAT_LAST, (struct dims){3, 2, 1}, 4, 5, true);
    check_model("[" FLAT_LAST, (struct dims){3, 2, 1}, 2, 5, true);
}

TEST(whole_small_model_with_loss)
{
    check_model("[{\"type\":\"conv2d\",\"channels\":4}," RELU "{\"type\":\"maxpool\"},"
                "{\"type\":\"conv2d\",\"channels\":6}," RELU "{\"type\":\"maxpool\"},"
                "{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":8}," RELU LAST,
                (struct dims){8, 8, 1}, 5, 6, true);
}

TEST(lenet_along_directions)
{
    check_model("lenet", (struct dims){12, 12, 3}, 10, 4, true);
}

#endif
