#include <math.h>

#include "tests/unit/nn/support.h"
#include "worker/nn/gemm.h"
#include "worker/nn/head.h"
#include "worker/nn/net.h"

#define BATCH 8u
static const struct dims image = {12, 12, 2};

struct fixture {
    struct model m;
    struct net *net;
    real *theta, *x, *dz, *dtheta, *dx;
};

static struct fixture *fixture_create(const char *desc)
{
    struct fixture *f = xcalloc(1, sizeof(*f));

    gemm_init();
    f->m = model_of(desc, image, 10);
    f->net = net_create(&f->m, kernels_best(), BATCH);
    ASSERT(f->net);
    f->theta = start_of(&f->m, 1);
    f->x = uniform(1, BATCH * entries(image), 0, 1);
    f->dz = uniform(2, BATCH * 10, -1, 1);
    f->dtheta = reals(f->m.floats);
    f->dx = reals(BATCH * entries(image));
    return f;
}

static void fixture_free(struct fixture *f)
{
    net_free(f->net);
    model_done(&f->m);
    free(f->theta), free(f->x), free(f->dz), free(f->dtheta), free(f->dx);
    free(f);
}

static double largest(const real *a, size_t n)
{
    double most = 0;

    for (size_t i = 0; i < n; i++)
        most = fabs((double)a[i]) > most ? fabs((double)a[i]) : most;
    return most;
}

/* Of two vectors, relative to the largest entry. */
static double apart(const real *a, const real *b, size_t n)
{
    double most = 0;

    for (size_t i = 0; i < n; i++)
        most = fabs((double)(a[i] - b[i])) > most ? fabs((double)(a[i] - b[i])) : most;
    return most / largest(a, n);
}

/* Running statistics that are somebody's. */
static void set_running(struct fixture *f)
{
    for (int i = 0; i < f->m.layer_count; i++) {
        const struct layer *l = &f->m.layers[i];
        if (l->running_mean < 0)
            continue;
        for (size_t c = 0; c < l->out.c; c++) {
            f->theta[f->m.params[l->running_mean].offset + c] = (real)(0.1 * sin(1.0 + (double)c));
            f->theta[f->m.params[l->running_var].offset + c] = (real)(0.5 + 0.3 * cos((double)c));
        }
    }
}

TEST(batchnorms_that_are_folded_into_convolutions_give_the_same_up_to_rounding)
{
    static const struct net_mode folding = {.fold = true};
    static const char *const descs[] = {
        "resnet20",
        "[{\"type\":\"conv2d\",\"channels\":6,\"bias\":true},{\"type\":\"batchnorm\",\"name\":"
        "\"a\"},"
        "{\"type\":\"conv2d\",\"channels\":6},{\"type\":\"batchnorm\"},{\"type\":\"relu\"},"
        "{\"type\":\"maxpool\",\"name\":\"p\"},{\"type\":\"conv2d\",\"input\":\"a\",\"channels\":6,"
        "\"stride\":2},{\"type\":\"batchnorm\"},{\"type\":\"add\",\"from\":\"p\"},{\"type\":"
        "\"relu\"},"
        "{\"type\":\"batchnorm\"},{\"type\":\"flatten\"},{\"type\":\"dense\"}]",
    };

    for (size_t i = 0; i < COUNT(descs); i++) {
        struct fixture *f = fixture_create(descs[i]);
        real z[BATCH * 10], *dx = reals(BATCH * entries(image));
        set_running(f);
        memcpy(z, net_forward(f->net, &evaluation, f->theta, f->x, BATCH), sizeof(z));
        net_backward(f->net, f->theta, f->dz, NULL, dx);
        const real *folded = net_forward(f->net, &folding, f->theta, f->x, BATCH);
        ASSERT(apart(z, folded, BATCH * 10) < 1e-5);
        net_backward(f->net, f->theta, f->dz, NULL, f->dx);
        /* An entry beside a ReLU's edge may fall on the other side: few, and not far. */
        ASSERT(largest(dx, BATCH * entries(image)) > 0);
        ASSERT(apart(dx, f->dx, BATCH * entries(image)) < 1e-3);
        free(dx);
        fixture_free(f);
    }
}

TEST(same_call_twice_gives_the_same_bits)
{
    for (const char *const *preset = quick_presets; *preset; preset++) {
        struct fixture *f = fixture_create(*preset);
        real z[BATCH * 10], *dtheta = reals(f->m.floats), *dx = reals(BATCH * entries(image));
        memcpy(z, net_forward(f->net, &evaluation, f->theta, f->x, BATCH), sizeof(z));
        net_backward(f->net, f->theta, f->dz, f->dtheta, f->dx);
        /* Another size in between leaves traces in the arena, which must not matter. */
        net_forward(f->net, &evaluation, f->theta, f->x, 3);
        ASSERT_MEM(z, net_forward(f->net, &evaluation, f->theta, f->x, BATCH), sizeof(z));
        net_backward(f->net, f->theta, f->dz, dtheta, dx);
        ASSERT_MEM(f->dtheta, dtheta, f->m.floats * sizeof(real));
        ASSERT_MEM(f->dx, dx, BATCH * entries(image) * sizeof(real));
        free(dtheta), free(dx);
        fixture_free(f);
    }
}

TEST(two_nets_of_different_batch_max_give_the_same_bits)
{
    for (const char *const *preset = quick_presets; *preset; preset++) {
        struct fixture *f = fixture_create(*preset);
        struct net *wide = net_create(&f->m, kernels_best(), 3 * BATCH);
        real z[BATCH * 10], *dtheta = reals(f->m.floats);
        memcpy(z, net_forward(f->net, &evaluation, f->theta, f->x, 5), 5 * 10 * sizeof(real));
        net_backward(f->net, f->theta, f->dz, f->dtheta, NULL);
        ASSERT_MEM(z, net_forward(wide, &evaluation, f->theta, f->x, 5), 5 * 10 * sizeof(real));
        net_backward(wide, f->theta, f->dz, dtheta, NULL);
        ASSERT_MEM(f->dtheta, dtheta, f->m.floats * sizeof(real));
        net_free(wide);
        free(dtheta);
        fixture_free(f);
    }
}

/* Samples do not mix: with n and its slot given, a sample's bits depend on nothing else. */
TEST(a_sample_gets_the_same_bits_whoever_shares_its_shard)
{
    for (const char *const *preset = quick_presets; *preset; preset++) {
        struct fixture *f = fixture_create(*preset);
        const size_t pixels = entries(image);
        real *others = uniform(9, BATCH * pixels, 0, 1), *dx = reals(BATCH * pixels);
        real z[BATCH * 10];
        memcpy(z, net_forward(f->net, &evaluation, f->theta, f->x, BATCH), sizeof(z));
        net_backward(f->net, f->theta, f->dz, NULL, f->dx);
        for (size_t i = 0; i < BATCH; i += 3)
            memcpy(others + i * pixels, f->x + i * pixels, pixels * sizeof(real));
        const real *again = net_forward(f->net, &evaluation, f->theta, others, BATCH);
        net_backward(f->net, f->theta, f->dz, NULL, dx);
        for (size_t i = 0; i < BATCH; i += 3) {
            ASSERT_MEM(z + i * 10, again + i * 10, 10 * sizeof(real));
            ASSERT_MEM(f->dx + i * pixels, dx + i * pixels, pixels * sizeof(real));
        }
        ASSERT(memcmp(z + 10, again + 10, 10 * sizeof(real)) != 0);
        free(others), free(dx);
        fixture_free(f);
    }
}

TEST(fewer_samples_than_batch_max_equal_the_samples_one_by_one)
{
    for (const char *const *preset = quick_presets; *preset; preset++) {
        struct fixture *f = fixture_create(*preset);
        const size_t pixels = entries(image);
        real *sum = reals(f->m.floats), *dtheta = reals(f->m.floats), *dx = reals(pixels);
        real z[5 * 10];
        memcpy(z, net_forward(f->net, &evaluation, f->theta, f->x, 5), sizeof(z));
        net_backward(f->net, f->theta, f->dz, f->dtheta, f->dx);
        for (size_t i = 0; i < 5; i++) {
            const real *one = net_forward(f->net, &evaluation, f->theta, f->x + i * pixels, 1);
            ASSERT(distance(one, z + i * 10, 10) < 1e-5);
            net_backward(f->net, f->theta, f->dz + i * 10, dtheta, dx);
            ASSERT(distance(dx, f->dx + i * pixels, pixels) < 1e-4);
            for (size_t j = 0; j < f->m.floats; j++)
                sum[j] += dtheta[j];
        }
        ASSERT(distance(f->dtheta, sum, f->m.floats) < 1e-5);
        free(sum), free(dtheta), free(dx);
        fixture_free(f);
    }
}

TEST(gradients_are_overwritten_and_padding_is_zero)
{
    struct fixture *f = fixture_create("resnet20_gn");
    real *again = reals(f->m.floats);

    net_forward(f->net, &evaluation, f->theta, f->x, BATCH);
    net_backward(f->net, f->theta, f->dz, f->dtheta, f->dx);
    for (size_t i = 0; i < f->m.floats; i++)
        again[i] = (real)NAN;
    net_forward(f->net, &evaluation, f->theta, f->x, BATCH);
    net_backward(f->net, f->theta, f->dz, again, NULL);
    ASSERT_MEM(f->dtheta, again, f->m.floats * sizeof(real));
    size_t at = 0;
    for (int i = 0; i <= f->m.param_count; i++) {
        const size_t next = i < f->m.param_count ? f->m.params[i].offset : f->m.floats;
        for (; at < next; at++)
            ASSERT(again[at] == 0);
        if (i < f->m.param_count)
            at += f->m.params[i].count;
    }
    free(again);
    fixture_free(f);
}

TEST(data_gradient_is_the_same_with_and_without_parameter_gradients)
{
    for (const char *const *preset = quick_presets; *preset; preset++) {
        struct fixture *f = fixture_create(*preset);
        real *alone = reals(BATCH * entries(image));
        net_forward(f->net, &evaluation, f->theta, f->x, BATCH);
        net_backward(f->net, f->theta, f->dz, f->dtheta, f->dx);
        net_forward(f->net, &evaluation, f->theta, f->x, BATCH);
        net_backward(f->net, f->theta, f->dz, NULL, alone);
        ASSERT_MEM(f->dx, alone, BATCH * entries(image) * sizeof(real));
        net_backward(f->net, f->theta, f->dz, NULL, NULL);
        free(alone);
        fixture_free(f);
    }
}

TEST(parameter_gradients_are_the_same_with_and_without_the_data_gradient)
{
    static const char *const descs[] = {
        "lenet",
        "resnet20_gn",
        /* branches before, across and behind the first parameters */
        "[{\"type\":\"maxpool\",\"name\":\"a\"},{\"type\":\"relu\"},"
        "{\"type\":\"add\",\"from\":\"a\",\"name\":\"b\"},{\"type\":\"conv2d\",\"channels\":2},"
        "{\"type\":\"add\",\"from\":\"b\"},{\"type\":\"add\",\"from\":\"a\"},"
        "{\"type\":\"groupnorm\",\"groups\":2},{\"type\":\"add\",\"from\":\"b\"},"
        "{\"type\":\"flatten\"},{\"type\":\"dense\"}]",
    };

    for (size_t i = 0; i < COUNT(descs); i++) {
        struct fixture *f = fixture_create(descs[i]);
        real *alone = reals(f->m.floats);
        net_forward(f->net, &evaluation, f->theta, f->x, BATCH);
        net_backward(f->net, f->theta, f->dz, f->dtheta, f->dx);
        net_forward(f->net, &evaluation, f->theta, f->x, BATCH);
        net_backward(f->net, f->theta, f->dz, alone, NULL);
        ASSERT_MEM(f->dtheta, alone, f->m.floats * sizeof(real));
        free(alone);
        fixture_free(f);
    }
}

TEST(layers_without_parameters_in_front_are_passed_both_ways)
{
    struct fixture *f =
        fixture_create("[{\"type\":\"relu\"},{\"type\":\"maxpool\"},{\"type\":\"relu\"},"
                       "{\"type\":\"flatten\"},{\"type\":\"dense\"}]");
    real *alone = reals(f->m.floats);

    net_forward(f->net, &evaluation, f->theta, f->x, BATCH);
    net_backward(f->net, f->theta, f->dz, f->dtheta, f->dx);
    net_forward(f->net, &evaluation, f->theta, f->x, BATCH);
    net_backward(f->net, f->theta, f->dz, alone, NULL);
    ASSERT_MEM(f->dtheta, alone, f->m.floats * sizeof(real));
    size_t moved = 0;
    for (size_t i = 0; i < BATCH * entries(image); i++)
        moved += f->dx[i] != 0;
    ASSERT(moved > 0 && moved <= BATCH * entries(image) / 4);
    free(alone);
    fixture_free(f);
}

TEST(a_diverged_model_shows_in_the_logits)
{
    struct fixture *f = fixture_create("lenet");

    f->theta[f->m.params[0].offset] = (real)NAN;
    const real *z = net_forward(f->net, &evaluation, f->theta, f->x, 1);
    ASSERT(isnan((double)z[0]));
    fixture_free(f);
}

/* softmax(W2 relu(W1 u + b1) + b2) of u = (x - mean)/std, all in double, by plain loops. */
#define REF_IN 12
#define REF_HIDDEN 9
#define REF_OUT 4

struct reference {
    const real *w1, *b1, *w2, *b2;
    double mean[2], std[2];
};

static void reference_logits(const struct reference *r, const real *x, double *hidden, double *z)
{
    for (int h = 0; h < REF_HIDDEN; h++) {
        hidden[h] = r->b1[h];
        for (int i = 0; i < REF_IN; i++)
            hidden[h] +=
                ((double)x[i] - r->mean[i % 2]) / r->std[i % 2] * r->w1[i * REF_HIDDEN + h];
        hidden[h] = hidden[h] > 0 ? hidden[h] : 0;
    }
    for (int k = 0; k < REF_OUT; k++) {
        z[k] = r->b2[k];
        for (int h = 0; h < REF_HIDDEN; h++)
            z[k] += hidden[h] * r->w2[h * REF_OUT + k];
    }
}

/* Gradient of the loss at label 0 with respect to x. */
static void reference_gradient(const struct reference *r, const real *x, double *dx)
{
    double hidden[REF_HIDDEN], z[REF_OUT], e[REF_OUT], wrong = 0;

    reference_logits(r, x, hidden, z);
    for (int k = 1; k < REF_OUT; k++)
        wrong += e[k] = exp(z[k] - z[0]);
    for (int i = 0; i < REF_IN; i++) {
        dx[i] = 0;
        for (int h = 0; h < REF_HIDDEN; h++) {
            double dh = -wrong * r->w2[h * REF_OUT];
            for (int k = 1; k < REF_OUT; k++)
                dh += e[k] * r->w2[h * REF_OUT + k];
            if (hidden[h] > 0)
                dx[i] += dh / (1 + wrong) * r->w1[i * REF_HIDDEN + h] / r->std[i % 2];
        }
    }
}

static void check_signs(double margin, uint32_t key)
{
    struct model m = model_of("[{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":9},"
                              "{\"type\":\"relu\"},{\"type\":\"dense\"}]",
                              (struct dims){3, 2, 2}, REF_OUT);
    real *theta = uniform(key, m.floats, -1, 1), *x = uniform(key + 1, REF_IN, 0, 1);
    real *at[4], dx[REF_IN], scaled[REF_OUT];
    double hidden[REF_HIDDEN], z[REF_OUT], want[REF_IN], delta[REF_OUT], top = 0;
    struct net *net = net_create(&m, kernels_best(), 1);
    struct head h;

    net_thread_init();
    for (int i = 0; i < 4; i++)
        at[i] = theta + m.params[i].offset;
    const struct reference r = {at[0],
                                at[1],
                                at[2],
                                at[3],
                                {(double)m.mean[0], (double)m.mean[1]},
                                {(double)m.std[0], (double)m.std[1]}};
    reference_logits(&r, x, hidden, z);
    at[3][0] = (real)((double)at[3][0] + fmax(z[1], fmax(z[2], z[3])) - z[0] + margin);
    reference_gradient(&r, x, want);
    head_sample(net_forward(net, &evaluation, theta, x, 1), REF_OUT, 0, &h, delta);
    ASSERT(h.loss > exp(-margin) / 2 && h.loss < 4 * exp(-margin));
    for (int k = 0; k < REF_OUT; k++)
        scaled[k] = (real)ldexp(delta[k], -head_exponent(&h));
    net_backward(net, theta, scaled, NULL, dx);
    for (int i = 0; i < REF_IN; i++)
        top = fmax(top, fabs(want[i]));
    ASSERT(top > 0);
    for (int i = 0; i < REF_IN; i++) {
        /* Below this, float32 itself cannot tell the sign of the sum. */
        if (fabs(want[i]) > 1e-5 * top)
            ASSERT_EQ((want[i] > 0) - (want[i] < 0), (dx[i] > 0) - (dx[i] < 0));
        ASSERT_NEAR(want[i], ldexp((double)dx[i], head_exponent(&h)), 1e-4 * top);
    }
    net_free(net);
    model_done(&m);
    free(theta), free(x);
}

TEST(signs_of_the_data_gradient_equal_a_double_reference_at_margins_20_and_80)
{
    for (uint32_t key = 0; key < 40; key += 2) {
        check_signs(0.5, key);
        check_signs(20, key);
        check_signs(80, key);
        check_signs(300, key);
    }
}
