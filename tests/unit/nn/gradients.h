/* Gradient checks, compiled for float and for double: the analytic gradient against central
 * differences, of all entries when there are at most ALL_MAX in a model of at most SMALL_MAX, else
 * along random directions.
 *
 * Kinks (a ReLU's corner, two pixels changing places in a pool) make the two one-sided differences
 * disagree; the central one is then wrong by at most half of that, and the check allows for it. How
 * many entries may lean on that allowance is bounded, so that no check passes by kinks alone. */
#ifndef STEPPE_TESTS_UNIT_NN_GRADIENTS_H
#define STEPPE_TESTS_UNIT_NN_GRADIENTS_H

#include "tests/unit/nn/support.h"
#include "worker/nn/gemm.h"
#include "worker/nn/head.h"
#include "worker/nn/net.h"

#ifdef STEPPE_REAL_DOUBLE
#define STEP 1e-6
#define TOLERANCE 1e-7
#define DIRECTION_STEP 2e-6
#define LEANING_MAX 0.02 /* share of the checks */
#else
/* A compromise: rounding of the outputs (1e-7) over the step, and kinks within the step. */
#define STEP 5e-4
#define TOLERANCE 6e-3
#define DIRECTION_STEP 2e-3
#define LEANING_MAX 0.25 /* one weight of a convolution moves hundreds of corners */
#endif
#define ALL_MAX 1000
#define SMALL_MAX 100000
#define DIRECTIONS 24
#define DIRECTIONS_OF_LARGE 8 /* for each of its many parameters */

/* A scalar function of (theta, x): of all logits of n samples. */
struct probe {
    const struct model *model;
    struct net *net;
    struct net_mode mode;
    uint32_t n;
    const real *mix;        /* [n, classes]: sum mix*logits; NULL: sum of cross-entropy losses */
    const uint32_t *labels; /* for the losses */
};

static double probe_value(const struct probe *p, const real *theta, const real *x)
{
    const uint32_t classes = p->model->classes;
    const real *z = net_forward(p->net, &p->mode, theta, x, p->n);
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
    const real *z = net_forward(p->net, &p->mode, theta, x, p->n);
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
    const bool small = p->model->floats <= SMALL_MAX, all = count <= ALL_MAX && small;
    const size_t checks = all ? count : small ? DIRECTIONS : DIRECTIONS_OF_LARGE;
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

/* Checks every trained parameter and x of the model, for n samples. */
static void check_mode(const char *desc, struct dims in, uint32_t classes, uint32_t n, bool loss,
                       const struct net_mode *mode)
{
    gemm_init();
    struct model m = model_of(desc, in, classes);
    real *theta = start_of(&m, 5), *x = uniform(1, n * entries(in), 0, 1);
    real *mix = uniform(2, n * classes, -1, 1), *dtheta = reals(m.floats);
    real *dx = reals(n * entries(in));
    uint32_t *labels = xcalloc(n, sizeof(*labels));
    struct net *net = net_create(&m, kernels_best(), n);
    char what[320];

    ASSERT(net);
    for (uint32_t i = 0; i < n; i++)
        labels[i] = i * 7 % classes;
    const struct probe p = {&m, net, *mode, n, loss ? NULL : mix, labels};
    probe_gradient(&p, theta, x, dtheta, dx);
    for (int i = 0; i < m.trained_count; i++) {
        const size_t at = m.params[i].offset;
        snprintf(what, sizeof(what), "%.10s: %.180s: %s", mode->train ? "training" : "evaluation",
                 desc, m.params[i].name);
        check_part(what, &p, theta, x, theta + at, dtheta + at, m.params[i].count);
    }
    snprintf(what, sizeof(what), "%.180s: x", desc);
    check_part(what, &p, theta, x, x, dx, n * entries(in));
    net_free(net);
    model_done(&m);
    free(theta), free(x), free(mix), free(dtheta), free(dx), free(labels);
}

/* In evaluation mode; in training mode nothing else happens when no layer makes a difference. */
static void check_model(const char *desc, struct dims in, uint32_t classes, uint32_t n, bool loss)
{
    check_mode(desc, in, classes, n, loss, &evaluation);
}

/* In both modes. */
static void check_modes(const char *desc, struct dims in, uint32_t classes, uint32_t n, bool loss)
{
    check_mode(desc, in, classes, n, loss, &evaluation);
    check_mode(desc, in, classes, n, loss, &training);
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

#define NORM(groups) "{\"type\":\"groupnorm\",\"groups\":" #groups "},"
#define WIDE(channels) "{\"type\":\"conv2d\",\"channels\":" #channels ",\"bias\":false},"
#define NAMED(type, name) "{\"type\":\"" type "\",\"name\":\"" name "\"},"

TEST(groupnorm_of_every_grouping)
{
    check_model("[" WIDE(6) NORM(1) FLAT_LAST, (struct dims){4, 3, 2}, 3, 3, false);
    check_model("[" WIDE(6) NORM(3) FLAT_LAST, (struct dims){4, 5, 2}, 3, 2, false);
    check_model("[" WIDE(6) NORM(6) FLAT_LAST, (struct dims){3, 3, 1}, 3, 2, false);
    check_model("[" WIDE(70) NORM(7) "{\"type\":\"globalpool\"}," LAST, (struct dims){3, 3, 1}, 3,
                2, true);
    check_model("[" NORM(2) FLAT_LAST, (struct dims){6, 6, 4}, 3, 3, false);
    check_model("[{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":12}," NORM(4) LAST,
                (struct dims){3, 3, 2}, 3, 4, false);
}

TEST(groupnorm_with_relu_and_pool)
{
    check_model("[" WIDE(8) NORM(4) RELU FLAT_LAST, (struct dims){4, 4, 2}, 3, 3, false);
    check_model("[" WIDE(8) NORM(2) RELU "{\"type\":\"maxpool\"}," FLAT_LAST,
                (struct dims){4, 4, 2}, 3, 3, false);
    check_model("[" WIDE(16) NORM(8) RELU WIDE(16) NORM(8) "{\"type\":\"globalpool\"}," LAST,
                (struct dims){4, 4, 1}, 3, 2, true);
}

#ifdef STEPPE_REAL_DOUBLE /* so many pixels leave each a slope below float's noise */
TEST(groupnorm_of_several_blocks_of_rows)
{
    check_model("[" WIDE(4) NORM(2) RELU "{\"type\":\"avgpool\",\"size\":24}," FLAT_LAST,
                (struct dims){72, 72, 1}, 2, 1, false);
}
#endif

#define BATCHNORM "{\"type\":\"batchnorm\"},"

TEST(batchnorm_in_both_modes)
{
    check_modes("[" BATCHNORM FLAT_LAST, (struct dims){4, 3, 2}, 3, 4, false);
    check_modes("[" WIDE(6) BATCHNORM FLAT_LAST, (struct dims){3, 5, 2}, 3, 3, false);
    check_modes("[" WIDE(16) BATCHNORM "{\"type\":\"globalpool\"}," LAST, (struct dims){4, 4, 1}, 3,
                3, true);
    check_modes("[" WIDE(70) BATCHNORM "{\"type\":\"globalpool\"}," LAST, (struct dims){3, 3, 1}, 3,
                2, true);
    check_modes(
        "[{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":5,\"bias\":false}," BATCHNORM LAST,
        (struct dims){3, 3, 2}, 3, 6, false);
}

TEST(batchnorm_with_relu_and_pool)
{
    check_modes("[" WIDE(4) BATCHNORM RELU FLAT_LAST, (struct dims){4, 4, 2}, 3, 3, false);
    check_modes("[" WIDE(4) BATCHNORM RELU "{\"type\":\"maxpool\"}," FLAT_LAST,
                (struct dims){4, 4, 2}, 3, 3, false);
}

#define DROPOUT(rate) "{\"type\":\"dropout\",\"rate\":" #rate "},"

TEST(dropout_in_both_modes)
{
    check_modes("[" DROPOUT(0.3) FLAT_LAST, (struct dims){4, 3, 2}, 3, 3, false);
    check_modes("[{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":9}," RELU DROPOUT(0.5) LAST,
                (struct dims){2, 5, 1}, 3, 6, false);
    check_modes("[" WIDE(4) BATCHNORM RELU DROPOUT(0.4) WIDE(4)
                    DROPOUT(0.2) "{\"type\":\"maxpool\"}," DROPOUT(0) FLAT_LAST,
                (struct dims){4, 4, 2}, 3, 3, false);
}

TEST(avgpool_tiling_dropping_overlapping_and_skipping)
{
    check_model("[{\"type\":\"avgpool\"}," FLAT_LAST, (struct dims){6, 4, 3}, 3, 3, false);
    check_model("[{\"type\":\"avgpool\",\"size\":3}," FLAT_LAST, (struct dims){7, 8, 2}, 3, 3,
                false);
    check_model("[{\"type\":\"avgpool\",\"size\":3,\"stride\":1}," FLAT_LAST,
                (struct dims){5, 6, 2}, 3, 2, false);
    check_model("[{\"type\":\"avgpool\",\"size\":2,\"stride\":3}," FLAT_LAST,
                (struct dims){8, 7, 2}, 3, 2, false);
    check_model("[{\"type\":\"globalpool\"}," LAST, (struct dims){5, 3, 4}, 3, 2, false);
}

/* relu(conv(a) + a), with every kind of layer reading a branch that another one reads too, so that
 * each adds to a gradient that is there already. */
TEST(every_layer_may_share_its_input_with_a_skip)
{
    static const char *const shared[] = {
        "{\"type\":\"conv2d\",\"channels\":4},",
        "{\"type\":\"conv2d\",\"channels\":4,\"kernel\":1},",
        "{\"type\":\"groupnorm\",\"groups\":2},",
        "{\"type\":\"relu\"},",
        "{\"type\":\"relu\"},{\"type\":\"relu\"},",
        "{\"type\":\"conv2d\",\"channels\":4},{\"type\":\"relu\"},",
        "{\"type\":\"maxpool\",\"size\":1},",
        "{\"type\":\"avgpool\",\"size\":1},",
        "{\"type\":\"groupnorm\",\"groups\":1},{\"type\":\"relu\"},",
        "{\"type\":\"conv2d\",\"channels\":4},{\"type\":\"groupnorm\",\"groups\":2},",
        "{\"type\":\"batchnorm\"},",
        "{\"type\":\"batchnorm\"},{\"type\":\"relu\"},",
        "{\"type\":\"dropout\"},",
    };
    char desc[512];

    for (size_t i = 0; i < COUNT(shared); i++) {
        for (int relu = 0; relu < 2; relu++) {
            snprintf(desc, sizeof(desc),
                     "[{\"type\":\"conv2d\",\"channels\":4,\"name\":\"a\"},%s"
                     "{\"type\":\"add\",\"from\":\"a\"},%s" FLAT_LAST,
                     shared[i], relu ? RELU : "");
            check_modes(desc, (struct dims){4, 5, 2}, 3, 2, false);
        }
    }
}

/* The other way round: the skip's gradient is there before the layer that shares it. */
TEST(an_add_may_come_before_the_other_reader_of_its_summands)
{
    check_model(
        "[" NAMED("relu", "a") WIDE(2) NAMED(
            "relu",
            "b") "{\"type\":\"add\",\"from\":\"a\",\"name\":\"s\"},"
                 "{\"type\":\"conv2d\",\"input\":\"a\",\"channels\":2,\"name\":\"c\"},"
                 "{\"type\":\"add\",\"from\":\"b\"},{\"type\":\"add\",\"from\":\"s\"}," FLAT_LAST,
        (struct dims){4, 3, 2}, 3, 2, false);
    check_model(
        "[{\"type\":\"maxpool\",\"name\":\"a\"},{\"type\":\"flatten\",\"name\":\"f\"},"
        "{\"type\":\"relu\",\"name\":\"r\"},{\"type\":\"maxpool\",\"input\":\"a\"},"
        "{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":3,\"name\":\"p\"},"
        "{\"type\":\"dense\",\"input\":\"f\",\"units\":3},{\"type\":\"add\",\"from\":\"p\"},"
        "{\"type\":\"dense\",\"input\":\"r\",\"units\":3,\"name\":\"q\"},"
        "{\"type\":\"add\",\"from\":\"add1\"}," LAST,
        (struct dims){4, 4, 2}, 3, 2, false);
}

/* Float steps meet a corner in nearly every check of a net with many; its ReLUs inside the blocks
 * are left to double. */
#ifdef STEPPE_REAL_DOUBLE
#define INNER_RELU RELU
#else
#define INNER_RELU ""
#endif

TEST(small_residual_network_with_identity_and_projection)
{
    check_model(
        "[" WIDE(8) NORM(4) NAMED("relu", "a") WIDE(8) NORM(2) INNER_RELU WIDE(8)
            NORM(4) "{\"type\":\"add\",\"from\":\"a\"}," NAMED(
                "relu",
                "b") "{\"type\":\"conv2d\",\"channels\":16,\"stride\":2,\"bias\":false}," NORM(8)
                INNER_RELU WIDE(16) "{\"type\":\"groupnorm\",\"groups\":4,\"name\":\"n\"},"
                                    "{\"type\":\"conv2d\",\"input\":\"b\",\"channels\":16,"
                                    "\"kernel\":1,\"stride\":2,"
                                    "\"bias\":false}," NORM(
                                        8) "{\"type\":\"add\",\"from\":\"n\"}," INNER_RELU
                                           "{\"type\":\"globalpool\"}," LAST,
        (struct dims){6, 6, 3}, 4, 2, true);
}

#ifdef STEPPE_REAL_DOUBLE
TEST(small_residual_network_with_batchnorms_first)
{
    check_modes(
        "[" WIDE(4) BATCHNORM NAMED("relu", "a") WIDE(6) BATCHNORM INNER_RELU WIDE(
            6) "{\"type\":\"conv2d\",\"input\":\"a\",\"channels\":6,\"kernel\":1,\"name\":\"p\","
               "\"bias\":false},"
               "{\"type\":\"add\",\"from\":\"conv3\",\"name\":\"s\"}," BATCHNORM INNER_RELU WIDE(6)
                   BATCHNORM DROPOUT(0.25)
                       WIDE(6) "{\"type\":\"add\",\"from\":\"s\"}," BATCHNORM FLAT_LAST,
        (struct dims){5, 5, 2}, 3, 3, false);
}
#endif

/* The form of wide residual networks: norm and ReLU first, and the sum itself is passed on. */
TEST(small_residual_network_with_norms_first)
{
    check_model(
        "[" WIDE(4) NORM(2) NAMED("relu", "a") WIDE(8) NORM(4) RELU WIDE(
            8) "{\"type\":\"conv2d\",\"input\":\"a\",\"channels\":8,\"kernel\":1,\"name\":\"p\"},"
               "{\"type\":\"add\",\"from\":\"conv3\",\"name\":\"s\"}," NORM(2) RELU WIDE(8) NORM(2)
                   RELU WIDE(8) "{\"type\":\"add\",\"from\":\"s\"}," NORM(2) RELU FLAT_LAST,
        (struct dims){5, 5, 2}, 3, 2, false);
}

#ifdef STEPPE_REAL_DOUBLE /* 19 ReLUs behind each other have a kink within every float step */
TEST(resnet20_gn_along_directions)
{
    check_model("resnet20_gn", (struct dims){8, 8, 3}, 5, 1, true);
}

TEST(resnet20_along_directions)
{
    check_mode("resnet20", (struct dims){8, 8, 3}, 5, 2, true, &training);
}
#endif

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
