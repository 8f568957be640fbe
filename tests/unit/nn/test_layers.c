/* Values of the layers against plain loops in double, and the rules a gradient check cannot see. */
#include "tests/unit/nn/support.h"
#include "worker/nn/layer.h"
#include "worker/nn/net.h"
#include "worker/nn/vec.h"

/* y [n, oh, ow, out] of a convolution of x [n, h, w, c] with w [k, k, c, out] (cross-correlation).
 */
static real *conv_ref(const struct layer *l, const real *x, const real *w, const real *b, size_t n)
{
    const size_t k = l->kernel, c = l->in.c, out = l->out.c;
    real *y = reals(n * entries(l->out)), *to = y;

    for (size_t i = 0; i < n * l->out.h * l->out.w * out; i++) {
        const size_t o = i % out, ox = i / out % l->out.w, oy = i / out / l->out.w % l->out.h;
        const size_t image = i / entries(l->out);
        double sum = b ? (double)b[o] : 0;
        for (size_t t = 0; t < k * k * c; t++) {
            const size_t iy = oy * l->stride + t / c / k, ix = ox * l->stride + t / c % k;
            if (iy < l->padding || ix < l->padding || iy - l->padding >= l->in.h ||
                ix - l->padding >= l->in.w)
                continue;
            const size_t at = ((image * l->in.h + iy - l->padding) * l->in.w + ix - l->padding) * c;
            sum += (double)x[at + t % c] * (double)w[t * out + o];
        }
        *to++ = (real)sum;
    }
    return y;
}

/* Runs [conv, flatten, dense] where the dense layer copies entry `pick` of the flat vector into
 * logit 0, and compares that logit for several entries. */
static void check_conv(const char *conv, struct dims in, uint32_t n)
{
    char desc[256];
    snprintf(desc, sizeof(desc), "[%s,{\"type\":\"flatten\"},{\"type\":\"dense\"}]", conv);
    struct model m = model_of(desc, in, 2);
    const struct layer *l = &m.layers[0];
    const size_t flat = entries(l->out);
    real *theta = uniform(1, m.floats, -1, 1), *x = uniform(2, n * entries(in), 0, 1);
    real *normalised = reals(n * entries(in));
    struct net *net = net_create(&m, kernels_best(), n);
    real *last = theta + m.params[m.layers[2].weight].offset;

    ASSERT(net);
    vec_normalise(normalised, x, m.mean, m.std, (size_t)n * in.h * in.w, in.c);
    real *y = conv_ref(l, normalised, theta + m.params[l->weight].offset,
                       l->bias ? theta + m.params[l->bias_param].offset : NULL, n);
    memset(theta + m.params[m.layers[2].bias_param].offset, 0, 2 * sizeof(real));
    for (size_t pick = 0; pick < flat; pick += 1 + flat / 97) {
        memset(last, 0, flat * 2 * sizeof(real));
        last[pick * 2] = 1;
        const real *z = net_forward(net, &evaluation, theta, x, n);
        for (size_t i = 0; i < n; i++)
            ASSERT_NEAR(y[i * flat + pick], z[i * 2], 2e-4);
    }
    net_free(net);
    model_done(&m);
    free(theta), free(x), free(normalised), free(y);
}

TEST(conv2d_is_a_cross_correlation_over_nhwc)
{
    check_conv("{\"type\":\"conv2d\",\"channels\":3}", (struct dims){6, 5, 2}, 2);
    check_conv("{\"type\":\"conv2d\",\"channels\":16}", (struct dims){9, 8, 1}, 3);
    check_conv("{\"type\":\"conv2d\",\"channels\":8,\"kernel\":5,\"stride\":2}",
               (struct dims){11, 9, 3}, 2);
    check_conv("{\"type\":\"conv2d\",\"channels\":5,\"kernel\":4,\"padding\":3,\"bias\":false}",
               (struct dims){3, 7, 4}, 2);
    check_conv("{\"type\":\"conv2d\",\"channels\":4,\"kernel\":1,\"stride\":3,\"padding\":0}",
               (struct dims){7, 7, 16}, 2);
    check_conv("{\"type\":\"conv2d\",\"channels\":2,\"kernel\":5,\"padding\":4}",
               (struct dims){3, 2, 1}, 2);
    check_conv("{\"type\":\"conv2d\",\"channels\":32}", (struct dims){14, 14, 16}, 3);
}

/* y of a GroupNorm of x [n, pixels, c], all in double. */
static void norm_ref(const real *x, const real *w, const real *b, size_t n, size_t pixels, size_t c,
                     size_t groups, double *y)
{
    const size_t width = c / groups;

    for (size_t i = 0; i < n * groups; i++) {
        const size_t first = i / groups * pixels * c + i % groups * width;
        const double count = (double)(pixels * width);
        double mean = 0, square = 0;
        for (size_t e = 0; e < pixels * width; e++)
            mean += (double)x[first + e / width * c + e % width] / count;
        for (size_t e = 0; e < pixels * width; e++) {
            const double off = (double)x[first + e / width * c + e % width] - mean;
            square += off * off / count;
        }
        for (size_t e = 0; e < pixels * width; e++) {
            const size_t at = first + e / width * c + e % width, channel = at % c;
            y[at] = ((double)x[at] - mean) / sqrt(square + 1e-5) * (double)w[channel] +
                    (double)b[channel];
        }
    }
}

/* Runs the layer itself on values around `offset`, with a skip and a ReLU when asked. */
static void check_norm(struct dims in, uint32_t groups, uint32_t n, double offset, bool fused)
{
    const struct layer l = {.kind = LAYER_GROUPNORM, .in = in, .out = in, .groups = groups};
    const struct layer_ops *ops = layer_ops_of(LAYER_GROUPNORM);
    const size_t count = n * entries(in);
    real *x = uniform(1, count, offset - 1, offset + 1), *skip = uniform(2, count, -1, 1);
    real *w = uniform(3, in.c, -2, 2), *b = uniform(4, in.c, -1, 1), *y = reals(count);
    double *want = xcalloc(count, sizeof(*want));
    const struct layer_space space = layer_space_of(&l, n, sizeof(real));

    struct layer_pass p = {.layer = &l, .n = n, .x = x, .y = y, .w = w, .b = b, .relu = fused};
    p.skip = fused ? skip : NULL;
    p.kept = xcalloc(1, space.kept_bytes);
    p.scratch = reals(space.scratch);
    ops->forward(&p);
    norm_ref(x, w, b, n, (size_t)in.h * in.w, in.c, groups, want);
    for (size_t i = 0; i < count; i++) {
        if (fused)
            want[i] = fmax(want[i] + (double)skip[i], 0);
        ASSERT_NEAR(want[i], y[i], 5e-6 * fmax(1, fabs(offset)));
    }
    free(p.kept), free(p.scratch), free(x), free(skip), free(w), free(b), free(y), free(want);
}

TEST(groupnorm_equals_plain_loops_in_double)
{
    static const struct {
        struct dims in;
        uint32_t groups;
    } shapes[] = {
        {{4, 4, 16}, 8}, {{3, 5, 6}, 3},   {{1, 1, 12}, 4},  {{7, 7, 64}, 8},  {{5, 3, 70}, 10},
        {{9, 2, 1}, 1},  {{33, 31, 4}, 2}, {{72, 72, 2}, 2}, {{2, 2, 128}, 1}, {{32, 32, 16}, 8},
    };

    for (size_t i = 0; i < COUNT(shapes); i++) {
        check_norm(shapes[i].in, shapes[i].groups, 3, 0, false);
        check_norm(shapes[i].in, shapes[i].groups, 2, 0, true);
        /* A mean far from 0: the variance must not be what is left of two large numbers. */
        check_norm(shapes[i].in, shapes[i].groups, 2, 100, false);
    }
}

TEST(groupnorm_of_a_constant_is_its_bias)
{
    const struct dims in = {4, 4, 4};
    const struct layer l = {.kind = LAYER_GROUPNORM, .in = in, .out = in, .groups = 2};
    real x[64], y[64], w[4] = {1, 2, 3, 4}, b[4] = {5, 6, 7, 8}, kept[4], scratch[512];
    const struct layer_pass p = {
        .layer = &l, .n = 1, .x = x, .y = y, .w = w, .b = b, .kept = kept, .scratch = scratch};

    for (int i = 0; i < 64; i++)
        x[i] = 3;
    layer_ops_of(LAYER_GROUPNORM)->forward(&p);
    for (int i = 0; i < 64; i++)
        ASSERT(y[i] == b[i % 4]);
}

/* Runs a BatchNorm on values around `offset`. */
static void check_batchnorm(struct dims in, uint32_t n, double offset, bool train, bool fused)
{
    const struct layer l = {.kind = LAYER_BATCHNORM, .in = in, .out = in};
    const struct layer_ops *ops = layer_ops_of(LAYER_BATCHNORM);
    const struct net_mode mode = {.train = train};
    const size_t rows = (size_t)n * in.h * in.w, count = rows * in.c;
    real *x = uniform(1, count, offset - 1, offset + 1), *skip = uniform(2, count, -1, 1);
    real *w = uniform(3, in.c, -2, 2), *b = uniform(4, in.c, -1, 1), *y = reals(count);
    real *mean = uniform(5, in.c, offset - 1, offset + 1), *var = uniform(6, in.c, 0.5, 2);
    real *got_mean = reals(in.c), *got_var = reals(in.c);
    const struct layer_space space = layer_space_of(&l, n, sizeof(real));

    struct layer_pass p = {.layer = &l, .mode = &mode, .n = n, .x = x, .y = y, .w = w, .b = b};
    p.relu = fused;
    p.skip = fused ? skip : NULL;
    p.running_mean = mean;
    p.running_var = var;
    p.kept = xcalloc(1, space.kept_bytes);
    p.scratch = reals(space.scratch);
    ops->forward(&p);
    for (size_t c = 0; c < in.c; c++) {
        double m = train ? 0 : (double)mean[c], v = train ? 0 : (double)var[c];
        for (size_t r = 0; train && r < rows; r++)
            m += (double)x[r * in.c + c] / (double)rows;
        for (size_t r = 0; train && r < rows; r++)
            v += ((double)x[r * in.c + c] - m) * ((double)x[r * in.c + c] - m) / (double)rows;
        for (size_t at = c; at < count; at += in.c) {
            double want = ((double)x[at] - m) / sqrt(v + 1e-5) * (double)w[c] + (double)b[c];
            want = fused ? fmax(want + (double)skip[at], 0) : want;
            ASSERT_NEAR(want, y[at], 5e-6 * fmax(1, fabs(offset)));
        }
        mean[c] = (real)m;
        var[c] = (real)(v * (double)rows / ((double)rows - 1));
    }
    if (train) {
        ops->statistics(&p, got_mean, got_var);
        for (size_t c = 0; c < in.c; c++) {
            ASSERT_NEAR(mean[c], got_mean[c], 1e-6 * fmax(1, fabs(offset)));
            ASSERT_NEAR(var[c], got_var[c], 1e-5);
        }
    }
    free(p.kept), free(p.scratch), free(x), free(skip), free(w), free(b), free(y);
    free(mean), free(var), free(got_mean), free(got_var);
}

TEST(batchnorm_equals_plain_loops_in_double)
{
    static const struct dims shapes[] = {{4, 4, 16}, {3, 5, 6}, {1, 1, 12},  {7, 7, 64},
                                         {5, 3, 70}, {9, 2, 1}, {33, 31, 4}, {2, 2, 128}};

    for (size_t i = 0; i < COUNT(shapes); i++) {
        for (int mode = 0; mode < 4; mode++)
            check_batchnorm(shapes[i], 5, 0, mode & 1, mode & 2);
        /* A mean far from 0: the variance must not be what is left of two large numbers. */
        check_batchnorm(shapes[i], 7, 100, true, false);
    }
    check_batchnorm((struct dims){32, 32, 16}, 64, 30, true, true);
}

/* The first sample, around which the first block is taken, lies far from all others. */
TEST(moments_do_not_suffer_from_an_odd_first_sample)
{
    const struct dims in = {4, 4, 1};
    const struct layer l = {.kind = LAYER_BATCHNORM, .in = in, .out = in};
    const struct layer_ops *ops = layer_ops_of(LAYER_BATCHNORM);
    const uint32_t n = 4096;
    const size_t count = n * entries(in);
    real *x = uniform(1, count, -1, 1), *y = reals(count), w = 1, b = 0, mean, var;
    double m = 0, v = 0;
    const struct layer_space space = layer_space_of(&l, n, sizeof(real));

    for (size_t i = 0; i < entries(in); i++)
        x[i] += 1000;
    for (size_t i = 0; i < count; i++)
        m += (double)x[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        v += ((double)x[i] - m) * ((double)x[i] - m) / ((double)count - 1);
    struct layer_pass p = {
        .layer = &l, .mode = &training, .n = n, .x = x, .y = y, .w = &w, .b = &b};
    p.kept = xcalloc(1, space.kept_bytes);
    p.scratch = reals(space.scratch);
    ops->forward(&p);
    ops->statistics(&p, &mean, &var);
    ASSERT_NEAR(m, mean, 1e-5);
    ASSERT_NEAR(v, var, 1e-4 * v);
    free(p.kept), free(p.scratch), free(x), free(y);
}

/* Runs a dropout of `rate` on n samples of ones; *kept (freed by the caller) is where it left
 * something. */
static real *drop(struct dims in, uint32_t n, uint32_t number, struct net_mode mode, double rate)
{
    const struct layer l = {.kind = LAYER_DROPOUT, .in = in, .out = in, .rate = rate};
    const struct layer_ops *ops = layer_ops_of(LAYER_DROPOUT);
    real *y = uniform(1, n * entries(in), 1, 1);
    const struct layer_space space = layer_space_of(&l, n, sizeof(real));

    struct layer_pass p = {.layer = &l, .number = number, .mode = &mode, .n = n, .x = y, .y = y};
    p.kept = xcalloc(1, space.kept_bytes);
    ops->forward(&p);
    free(p.kept);
    return y;
}

static double share_of(const real *y, real value, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += y[i] == value;
    return (double)count / (double)n;
}

TEST(dropout_drops_its_share_and_scales_the_rest)
{
    const struct dims in = {64, 64, 8};
    const size_t n = entries(in);
    real *y =
        drop(in, 1, 0, (struct net_mode){.train = true, .seed = 9, .step = 3, .slot = 7}, 0.2);

    ASSERT_NEAR(0.2, share_of(y, 0, n), 0.01);
    ASSERT_NEAR(0.8, share_of(y, (real)1.25, n), 0.01);
    free(y);
    y = drop(in, 1, 0, evaluation, 0.2);
    ASSERT(share_of(y, 1, n) == 1);
    free(y);
}

TEST(dropout_knows_a_sample_by_its_place_in_the_batch)
{
    const struct dims in = {16, 16, 5};
    const size_t n = entries(in);
    real *two =
        drop(in, 2, 1, (struct net_mode){.train = true, .seed = 9, .step = 3, .slot = 6}, 0.5);
    real *one =
        drop(in, 1, 1, (struct net_mode){.train = true, .seed = 9, .step = 3, .slot = 7}, 0.5);
    real *other =
        drop(in, 1, 2, (struct net_mode){.train = true, .seed = 9, .step = 3, .slot = 7}, 0.5);
    double alike[2] = {0, 0};

    ASSERT_MEM(one, two + n, n * sizeof(*one));
    for (size_t i = 0; i < n; i++) {
        alike[0] += (one[i] == two[i]) / (double)n;
        alike[1] += (one[i] == other[i]) / (double)n;
    }
    ASSERT_NEAR(0.5, alike[0], 0.06);
    ASSERT_NEAR(0.5, alike[1], 0.06);
    free(one), free(two), free(other);
}

/* [maxpool, flatten, dense] on x; dx of mix over logits comes back. */
static void pool_gradient(const char *desc, struct dims in, const real *x, real *dx)
{
    struct model m = model_of(desc, in, 2);
    real *theta = uniform(1, m.floats, 0.5, 1);
    const real dz[2] = {1, 1};
    struct net *net = net_create(&m, kernels_best(), 1);

    net_forward(net, &evaluation, theta, x, 1);
    net_backward(net, theta, dz, NULL, dx);
    net_free(net);
    model_done(&m);
    free(theta);
}

TEST(maxpool_sends_the_gradient_of_a_tie_to_the_first_maximum)
{
    real x[16], dx[16];

    for (int i = 0; i < 16; i++)
        x[i] = 0.5;
    pool_gradient("[{\"type\":\"maxpool\"},{\"type\":\"flatten\"},{\"type\":\"dense\"}]",
                  (struct dims){4, 4, 1}, x, dx);
    for (int i = 0; i < 16; i++)
        ASSERT((dx[i] != 0) == (i / 4 % 2 == 0 && i % 2 == 0));
    pool_gradient("[{\"type\":\"maxpool\",\"size\":3},{\"type\":\"flatten\"},{\"type\":\"dense\"}]",
                  (struct dims){4, 4, 1}, x, dx);
    for (int i = 0; i < 16; i++)
        ASSERT((dx[i] != 0) == (i == 0));
}

TEST(relu_keeps_not_a_number_and_passes_no_gradient_at_zero)
{
    real y[4] = {-1, 0, 2, (real)NAN}, dy[4] = {5, 5, 5, 5};

    vec_relu(y, 4);
    ASSERT(y[0] == 0 && y[1] == 0 && y[2] == 2 && isnan((double)y[3]));
    vec_relu_mask(dy, y, 3);
    ASSERT(dy[0] == 0 && dy[1] == 0 && dy[2] == 5);
}

TEST(square_sum_takes_any_length)
{
    real *a = uniform(1, 100, -3, 3);

    for (size_t n = 0; n <= 100; n++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += (double)a[i] * (double)a[i];
        ASSERT_NEAR(sum, vec_square_sum(a, n), 1e-12);
    }
    free(a);
}

TEST(row_sums_and_fills_take_any_shape)
{
    for (size_t rows = 1; rows <= 9; rows++) {
        for (size_t k = 1; k <= 33; k += 8) {
            real *a = uniform(1, rows * k, -1, 1), *sum = reals(k), *b = uniform(2, k, -1, 1);
            real *filled = reals(rows * k);
            vec_add_rows(sum, a, rows, k);
            vec_fill_rows(filled, b, rows, k);
            for (size_t j = 0; j < k; j++) {
                double want = 0;
                for (size_t r = 0; r < rows; r++) {
                    want += (double)a[r * k + j];
                    ASSERT_NEAR(b[j], filled[r * k + j], 0);
                }
                ASSERT_NEAR(want, sum[j], 1e-5);
            }
            free(a), free(sum), free(b), free(filled);
        }
    }
}

TEST(images_are_normalised_per_channel_whatever_their_size)
{
    for (size_t c = 1; c <= CHANNELS_MAX; c++)
        for (size_t rows = 1; rows < 70; rows += 1 + rows / 7) {
            real *x = uniform(1, rows * c, 0, 1), *y = reals(rows * c + 1),
                 *dx = reals(rows * c + 1);
            float mean[CHANNELS_MAX], std[CHANNELS_MAX];
            for (size_t j = 0; j < c; j++) {
                mean[j] = 0.4f + 0.05f * (float)j;
                std[j] = 0.3f - 0.01f * (float)j;
            }
            y[rows * c] = dx[rows * c] = 7;
            vec_normalise(y, x, mean, std, rows, c);
            vec_denormalise(dx, x, std, rows, c);
            for (size_t i = 0; i < rows * c; i++) {
                ASSERT(y[i] == (x[i] - mean[i % c]) / std[i % c]);
                ASSERT(dx[i] == x[i] / std[i % c]);
            }
            ASSERT(y[rows * c] == 7 && dx[rows * c] == 7);
            free(x), free(y), free(dx);
        }
}

TEST(bytes_become_the_nearest_number_to_their_255th)
{
    uint8_t bytes[256];
    real x[256];

    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    vec_from_bytes(x, bytes, 256);
    for (int i = 0; i < 256; i++)
        ASSERT(x[i] == (real)i / (real)255);
}
