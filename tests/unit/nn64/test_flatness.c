/* A whole measurement (server/core/flatness.h) against the dense Hessian of a small network, made
 * column by column from central differences of the gradient, in double. */
#include <math.h>

#include "common/floats.h"
#include "server/core/flatness.h"
#include "server/core/lanczos.h"
#include "tests/unit/nn/support.h"
#include "worker/nn/curve.h"
#include "worker/nn/gemm.h"
#include "worker/nn/head.h"

#define SAMPLES 24
#define SHARD 8
#define STEP 1e-7 /* short: a corner within it would count as a steep curve */

/* What the workers would do. */
struct world {
    struct model m;
    struct net *net;
    struct curve *curve;
    real *x;
    uint16_t labels[SAMPLES];
};

static struct world world_of(const char *desc, struct dims in, uint32_t classes)
{
    gemm_init();
    struct world w = {.m = model_of(desc, in, classes)};

    w.net = net_create(&w.m, kernels_best(), SAMPLES);
    w.curve = curve_create(&w.m, kernels_best(), SAMPLES);
    w.x = uniform(1, SAMPLES * entries(in), 0, 1);
    for (size_t i = 0; i < SAMPLES; i++)
        w.labels[i] = (uint16_t)((i * i + i / 3) % classes);
    return w;
}

static void world_done(struct world *w)
{
    net_free(w->net);
    curve_free(w->curve);
    free(w->x);
    model_done(&w->m);
}

/* The summed loss; dtheta, if wanted, its gradient. */
static double slope_at(struct world *w, const real *theta, real *dtheta)
{
    const uint32_t classes = w->m.classes;
    const real *z = net_forward(w->net, &evaluation, theta, w->x, SAMPLES);
    real dz[SAMPLES * 16];
    double loss = 0;

    for (size_t i = 0; i < SAMPLES; i++) {
        struct head h;
        head_sample(z + i * classes, classes, w->labels[i], &h, dz + i * classes);
        loss += h.loss;
    }
    if (dtheta)
        net_backward(w->net, theta, dz, dtheta, NULL);
    return loss;
}

/* Places of the trained parameters in the vector, without padding. Returns how many. */
static int places_of(const struct model *m, size_t *ret)
{
    int count = 0;

    for (int i = 0; i < m->trained_count; i++)
        for (size_t j = 0; j < m->params[i].count; j++)
            ret[count++] = m->params[i].offset + j;
    return count;
}

/* hessian[n, n] of the mean loss. */
static void dense_hessian(struct world *w, const real *theta, const size_t *places, int n,
                          double *hessian)
{
    real *moved = reals(w->m.floats), *up = reals(w->m.floats), *down = reals(w->m.floats);

    memcpy(moved, theta, w->m.floats * sizeof(*moved));
    for (int k = 0; k < n; k++) {
        moved[places[k]] = theta[places[k]] + STEP;
        slope_at(w, moved, up);
        moved[places[k]] = theta[places[k]] - STEP;
        slope_at(w, moved, down);
        moved[places[k]] = theta[places[k]];
        for (int i = 0; i < n; i++)
            hessian[k * n + i] = (up[places[i]] - down[places[i]]) / (2 * STEP * SAMPLES);
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            hessian[i * n + j] = hessian[j * n + i] = (hessian[i * n + j] + hessian[j * n + i]) / 2;
    free(moved), free(up), free(down);
}

static void to_reals(const float *from, real *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
}

static void to_floats(const real *from, float *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (float)from[i];
}

static double length_of(const float *a, const float *b, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += pow((double)a[i] - (b ? (double)b[i] : 0), 2);
    return sqrt(sum);
}

enum { BALL = 3, PROBES_MAX = 60 };

/* What the rounds of a measurement were about, written down beside it. */
struct seen {
    double slope;               /* length of the mean gradient */
    double probes[PROBES_MAX];  /* z . H z */
    float *ball[BALL], *end;    /* theta + e; the last point of the last line */
    double losses[BALL], spent; /* spent: by flatness_round_cost */
    int products, moves;
};

static void see(struct seen *s, const struct flatness_spec *spec, enum phase phase,
                const float *vector, const float *moved, double loss, size_t floats)
{
    s->spent += flatness_round_cost(phase);
    if (phase == PHASE_SLOPE)
        s->slope = length_of(vector, NULL, floats) / SAMPLES;
    if (phase == PHASE_PRODUCT && s->products++ < spec->probes)
        s->probes[s->products - 1] = floats_dot(moved, vector, floats) / SAMPLES;
    if (phase != PHASE_LOSS)
        return;
    float *copy = s->moves < BALL ? s->ball[s->moves] : s->end;
    memcpy(copy, moved, floats * sizeof(*copy));
    if (s->moves < BALL)
        s->losses[s->moves] = loss;
    s->moves++;
}

/* The record against what was seen on the way. */
static void check_seen(const struct seen *s, const struct flatness_spec *spec,
                       const struct flatness_record *r, const float *theta, size_t floats)
{
    double mean = 0, squares = 0, worst = -INFINITY;
    const double n = (double)spec->probes;

    ASSERT_NEAR(s->slope, r->gradient_norm, 1e-6 * s->slope);
    for (int i = 0; i < spec->probes; i++)
        mean += s->probes[i] / n;
    for (int i = 0; i < spec->probes; i++)
        squares += pow(s->probes[i] - mean, 2);
    ASSERT_NEAR(mean, r->trace, 1e-9 * fabs(mean));
    if (spec->probes > 1)
        ASSERT_NEAR(sqrt(squares / (n - 1) / n), r->trace_error, 1e-9 * fabs(mean));
    for (int i = 0; i < BALL; i++) {
        worst = fmax(worst, s->losses[i] - r->loss);
        ASSERT_NEAR(spec->rho, length_of(s->ball[i], theta, floats), 1e-4 * spec->rho);
    }
    ASSERT_NEAR(worst, r->sharpness, 0);
    for (size_t i = 0; i < floats; i++) /* along the eigenvector, and against it */
        ASSERT_NEAR(2 * (double)theta[i], (double)s->ball[1][i] + (double)s->ball[2][i], 1e-6);
    ASSERT(length_of(s->ball[0], s->ball[1], floats) > 1e-3 * spec->rho);
    ASSERT_NEAR(flatness_cost(spec) - 9 * (double)(spec->iterations - r->products), s->spent, 0);
}

/* Answers round after round. end[floats], if wanted: the last point of the last line. */
static struct flatness_record measure(struct world *w, const struct flatness_spec *spec,
                                      const float *theta, float *end)
{
    const size_t floats = w->m.floats;
    real *at = reals(floats), *v = reals(floats), *out = reals(floats);
    float *moved = xcalloc(floats, sizeof(*moved)), *back = xcalloc(floats, sizeof(*back));
    struct flatness *f = flatness_create(spec, &w->m, 3, SAMPLES);
    struct seen seen = {.end = xcalloc(floats, sizeof(float))};
    enum phase phase;
    uint32_t turns = 0;

    for (int i = 0; i < BALL; i++)
        seen.ball[i] = xcalloc(floats, sizeof(float));

    ASSERT(f);
    while (flatness_next(f, theta, moved, &phase)) {
        double sums[SUM_COUNT] = {SAMPLES, 0, 0, SAMPLES, 0};
        ASSERT_EQ(++turns, flatness_turn(f));
        ASSERT(turns <= flatness_turns(f));
        ASSERT(flatness_left(f) >= flatness_round_cost(phase));
        ASSERT(flatness_left(f) <= flatness_cost(spec) - seen.spent);
        to_reals(phase == PHASE_LOSS ? moved : theta, at, floats);
        if (phase == PHASE_PRODUCT) {
            to_reals(flatness_vector(f), v, floats);
            curve_product(w->curve, at, v, w->x, w->labels, SAMPLES, out);
        } else {
            sums[SUM_LOSS] = slope_at(w, at, phase == PHASE_SLOPE ? out : NULL);
        }
        to_floats(out, back, floats);
        see(&seen, spec, phase, back, phase == PHASE_PRODUCT ? flatness_vector(f) : moved,
            sums[SUM_LOSS] / SAMPLES, floats);
        ASSERT_EQ(0, flatness_take(f, theta, phase == PHASE_LOSS ? NULL : back, sums));
    }
    const struct flatness_record r = flatness_result(f);
    ASSERT_EQ(turns, flatness_turns(f));
    ASSERT_NEAR(0, flatness_left(f), 0);
    flatness_free(f);
    check_seen(&seen, spec, &r, theta, floats);
    if (end)
        memcpy(end, seen.end, floats * sizeof(*end));
    for (int i = 0; i < BALL; i++)
        free(seen.ball[i]);
    free(seen.end);
    free(at), free(v), free(out), free(moved), free(back);
    return r;
}

/* A few steps downhill: the largest eigenvalue of a start is not much above the others. */
static void descend(struct world *w, real *theta, int steps, double lr)
{
    real *g = reals(w->m.floats);

    for (int i = 0; i < steps; i++) {
        slope_at(w, theta, g);
        for (size_t j = 0; j < w->m.trained; j++)
            theta[j] -= lr * g[j] / SAMPLES;
    }
    free(g);
}

static void check_lines(const struct flatness_record *r, const double *values)
{
    const struct flatness_point *top = r->line[0];
    const int middle = FLATNESS_POINTS / 2;
    const double near = top[middle + 1].distance;

    for (int k = 0; k < FLATNESS_LINES; k++) {
        ASSERT(r->line[k][middle].loss == r->loss && r->line[k][middle].distance == 0);
        ASSERT(r->line[k][0].t == -1 && r->line[k][FLATNESS_POINTS - 1].t == 1);
    }
    ASSERT(fabs(near - 0.1) < 1e-12);
    /* The loss along the eigenvector bends as the eigenvalue says, but for corners. */
    const double bend = (top[middle + 1].loss + top[middle - 1].loss - 2 * r->loss) / (near * near);
    if (!(bend > values[0] / 2 && bend < values[0] * 2))
        FAIL("along the eigenvector the loss bends by %g, the eigenvalue is %g", bend, values[0]);
}

static void check(const char *desc, struct dims in, uint32_t classes, int least)
{
    const struct flatness_spec spec = {
        .every = 1, .probes = 60, .iterations = 60, .rho = 0.05, .samples = 0};
    struct world w = world_of(desc, in, classes);
    size_t *places = xcalloc(w.m.floats, sizeof(*places));
    const int n = places_of(&w.m, places);
    double *hessian = xcalloc((size_t)n * (size_t)n, sizeof(double)),
           *values = xcalloc((size_t)n, 8);
    double *vectors = xcalloc((size_t)n * (size_t)n, sizeof(double)), trace = 0;
    float *theta = xcalloc(w.m.floats, sizeof(*theta));
    real *start = start_of(&w.m, 5);

    ASSERT(n >= least && n <= 2000);
    descend(&w, start, 60, 0.1);
    to_floats(start, theta, w.m.floats);
    to_reals(theta, start, w.m.floats);
    dense_hessian(&w, start, places, n, hessian);
    for (int i = 0; i < n; i++)
        trace += hessian[i * n + i];
    lanczos_jacobi(hessian, n, values, vectors);
    const struct flatness_record r = measure(&w, &spec, theta, NULL);
    ASSERT_EQ(SAMPLES, r.samples);
    ASSERT_EQ(FLATNESS_TOP, r.count);
    for (int i = 0; i < FLATNESS_TOP; i++)
        if (!(fabs(r.value[i] - values[i]) <= 1e-3 * values[0] + r.residual[i]))
            FAIL("%.80s: eigenvalue %d is %.8g, dense %.8g, residual %.3g", desc, i + 1, r.value[i],
                 values[i], r.residual[i]);
    ASSERT(fabs(r.value[0] - values[0]) <= 0.01 * values[0]);
    if (!(fabs(r.trace - trace) <= 2 * r.trace_error) || !(r.trace_error < 0.2 * trace))
        FAIL("%.80s: trace is %.6g +- %.2g, dense %.6g", desc, r.trace, r.trace_error, trace);
    ASSERT(r.sharpness > 0);
    /* No less than the first order promises. */
    ASSERT(r.sharpness >= 0.9 * spec.rho * r.gradient_norm);
    check_lines(&r, values);
    world_done(&w);
    free(places), free(hessian), free(values), free(vectors), free(theta), free(start);
}

TEST(a_dense_network)
{
    check("[{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":12},{\"type\":\"relu\"},"
          "{\"type\":\"dense\"}]",
          (struct dims){4, 4, 1}, 4, 200);
}

TEST(a_convolutional_network_with_norms_and_a_pool)
{
    check("[{\"type\":\"conv2d\",\"channels\":6},{\"type\":\"groupnorm\",\"groups\":2},"
          "{\"type\":\"relu\"},{\"type\":\"maxpool\"},{\"type\":\"conv2d\",\"channels\":6},"
          "{\"type\":\"batchnorm\"},{\"type\":\"relu\"},{\"type\":\"globalpool\"},"
          "{\"type\":\"dense\"}]",
          (struct dims){8, 8, 1}, 4, 400);
}

/* What makes one output channel has moved by its own length, biases not at all. */
static void check_filters(const struct param *p, const float *theta, const float *end)
{
    const size_t filters = p->shape[p->dims - 1];

    for (size_t k = 0; k < filters; k++) {
        double own = 0, moved = 0;
        for (size_t j = p->offset + k; j < p->offset + p->count; j += filters) {
            own += p->decay ? pow((double)theta[j], 2) : 0;
            moved += pow((double)end[j] - (double)theta[j], 2);
        }
        ASSERT_NEAR(sqrt(own), sqrt(moved), 1e-5 * sqrt(own));
    }
}

TEST(the_random_lines_have_the_lengths_of_thetas_filters)
{
    const struct flatness_spec spec = {.every = 1, .probes = 1, .iterations = 5, .rho = 0.1};
    struct world w = world_of("[{\"type\":\"conv2d\",\"channels\":3},{\"type\":\"flatten\"},"
                              "{\"type\":\"dense\",\"units\":5},{\"type\":\"dense\"}]",
                              (struct dims){4, 4, 2}, 3);
    real *start = start_of(&w.m, 2);
    float *theta = xcalloc(w.m.floats, sizeof(*theta)), *end = xcalloc(w.m.floats, sizeof(*end));
    double weights = 0;

    to_floats(start, theta, w.m.floats);
    for (int i = 0; i < w.m.trained_count; i++)
        for (size_t j = 0; w.m.params[i].decay && j < w.m.params[i].count; j++)
            weights += pow((double)theta[w.m.params[i].offset + j], 2);
    const struct flatness_record r = measure(&w, &spec, theta, end);
    for (int i = 0; i < w.m.trained_count; i++)
        check_filters(&w.m.params[i], theta, end);
    for (int k = 1; k < FLATNESS_LINES; k++)
        ASSERT(fabs(r.line[k][0].distance - sqrt(weights)) < 1e-5 * sqrt(weights));
    ASSERT(r.line[1][0].loss != r.line[2][0].loss);
    ASSERT(isnan(r.trace_error));
    ASSERT_EQ(5, r.products);
    world_done(&w);
    free(start), free(theta), free(end);
}

TEST(samples_are_drawn_once_each_and_all_when_there_are_few)
{
    struct flatness_spec spec = {.samples = 40};
    uint32_t ids[100], other[100];

    for (uint32_t i = 0; i < 100; i++)
        ids[i] = other[i] = 3 * i;
    ASSERT_EQ(40, flatness_count(&spec, 100));
    flatness_choose(&spec, 1, ids, 100);
    for (int i = 0; i < 40; i++)
        ASSERT(ids[i] % 3 == 0 && ids[i] < 300 && (i == 0 || ids[i] > ids[i - 1]));
    flatness_choose(&spec, 2, other, 100);
    ASSERT(memcmp(ids, other, sizeof(uint32_t) * 40) != 0);
    for (uint32_t i = 0; i < 100; i++)
        ids[i] = 3 * i;
    spec.samples = 0;
    ASSERT_EQ(100, flatness_count(&spec, 100));
    flatness_choose(&spec, 1, ids, 100);
    for (uint32_t i = 0; i < 100; i++)
        ASSERT_EQ(3 * i, ids[i]);
    spec.samples = 101;
    ASSERT_EQ(100, flatness_count(&spec, 100));
}

TEST(it_is_due_at_every_kth_epoch_and_at_the_last)
{
    const struct flatness_spec never = {.every = 0}, third = {.every = 3};
    const bool want[] = {true, false, false, true, true};

    for (int64_t e = 0; e < 5; e++) {
        ASSERT(!flatness_due(&never, e, 5));
        ASSERT_EQ(want[e], flatness_due(&third, e, 5));
    }
}
