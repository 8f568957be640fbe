/* A curriculum inside the step: ranks, weights and gradient against a computation written out. */
#include "tests/unit/nn/step_fixture.h"

static const char dropping[] =
    "[{\"type\": \"flatten\"}, {\"type\": \"dense\", \"units\": 24}, {\"type\": \"relu\"}, "
    "{\"type\": \"dropout\", \"rate\": 0.5}, {\"type\": \"dense\"}]";
static const char norm[] =
    "[{\"type\": \"conv2d\", \"channels\": 6, \"bias\": false}, {\"type\": \"batchnorm\"}, "
    "{\"type\": \"relu\"}, {\"type\": \"globalpool\"}, {\"type\": \"dense\"}]";

static const double eps = 8.0 / 255;

/* Weights of places: the first 11 alike and the rest 0, or falling, or falling to 0. */
enum { SELECT, WEIGHT, BOTH, KINDS };

static void set_places(struct fixture *f, int kind)
{
    for (uint32_t k = 0; k < SHARD; k++) {
        const float falling = 1.75f - 0.1f * (float)k;
        f->weights[k] = kind == SELECT ? k < 11 : kind == BOTH && k >= 13 ? 0 : falling;
    }
}

/* The logits of x at theta and the gradient of sum v_i loss_i, in a training pass over all. */
struct pass {
    real z[SHARD * CLASSES];
    double loss[SHARD], el2n[SHARD],
        rest[SHARD]; /* rest: ln of sum over wrong classes of p^2, / 2 */
    real *grad, *dx;
};

static void pass_done(struct pass *p)
{
    free(p->grad);
    free(p->dx);
}

static struct pass pass_at(const struct fixture *f, const struct net_mode *mode, const real *theta,
                           const real *x, const double *v)
{
    struct net *net = net_create(&f->m, kernels_best(), SHARD);
    struct pass p = {.grad = reals(f->m.floats), .dx = reals(SHARD * entries(image))};
    real dz[SHARD * CLASSES];

    memcpy(p.z, net_forward(net, mode, theta, x, SHARD), sizeof(p.z));
    for (uint32_t i = 0; i < SHARD; i++) {
        const uint16_t y = f->set.labels[ids[i]];
        const real *z = p.z + i * CLASSES;
        double sum = 0, squares = 0, wrong = 0;
        for (int j = 0; j < CLASSES; j++)
            sum += exp((double)z[j]);
        for (int j = 0; j < CLASSES; j++) {
            const double delta = exp((double)z[j]) / sum - (j == y);
            squares += delta * delta;
            wrong += j == y ? 0 : delta * delta;
            dz[i * CLASSES + (uint32_t)j] = (real)((v ? v[i] : 1) * delta);
        }
        p.loss[i] = log(sum) - (double)z[y];
        p.el2n[i] = sqrt(squares);
        p.rest[i] = log(wrong) / 2;
    }
    net_backward(net, theta, dz, mode->train ? p.grad : NULL, p.dx);
    net_free(net);
    return p;
}

static const size_t pixels = 100;

/* The keys of the samples, by formulas of the paper and of deploy/docs/MATH.md. */
static void keys_at(const struct fixture *f, const struct step_spec *spec,
                    const struct net_mode *mode, const real *theta, const real *x, double *keys)
{
    struct pass clean = pass_at(f, mode, theta, x, NULL);
    real *twin = reals(SHARD * pixels);

    for (size_t i = 0; i < SHARD * pixels; i++) {
        const double sign = (clean.dx[i] > 0) - (clean.dx[i] < 0);
        twin[i] = (real)fmin(fmax((double)x[i] + eps * sign, 0), 1);
    }
    struct pass adv = pass_at(f, mode, theta, twin, NULL);
    for (uint32_t i = 0; i < SHARD; i++) {
        double square = 0;
        for (size_t j = 0; j < pixels; j++)
            square += pow((double)clean.dx[i * pixels + j], 2);
        const double gap = adv.loss[i] - clean.loss[i];
        struct rng r = rng_at(spec->seed, RNG_RANDOM_SCORE, ids[i], 0);
        const double by[] = {
            [MEASURE_ADM] =
                spec->order.normaliser == NORM_SAMPLE ? log(adv.loss[i] / clean.loss[i]) : gap,
            [MEASURE_LOSS] = clean.loss[i],
            [MEASURE_GRAD_NORM] = sqrt(square),
            [MEASURE_EL2N] = clean.el2n[i],
            [MEASURE_MARGIN] = clean.loss[i] + clean.rest[i],
            [MEASURE_FORGETTING] = 0,
            [MEASURE_RANDOM] = rng_unit(&r),
        };
        keys[i] = by[spec->order.measure];
    }
    free(twin);
    pass_done(&clean);
    pass_done(&adv);
}

/* v_i: the weight of the place that sample i has among the keys. */
static void weights_of(const struct fixture *f, const struct step_spec *spec, const double *keys,
                       double *v)
{
    for (uint32_t i = 0; i < SHARD; i++) {
        uint32_t place = 0;
        for (uint32_t j = 0; j < SHARD; j++)
            place += spec->order.hard_first ? keys[j] > keys[i] : keys[j] < keys[i];
        v[i] = (double)f->weights[place];
    }
}

/* theta + rho g/||g|| with the gradient of all samples alike. */
static real *theta_hat(const struct fixture *f, const struct step_spec *spec, const real *x)
{
    struct pass up = pass_at(f, &training, f->theta, x, NULL);
    real *hat = reals(f->m.floats);
    double square = 0;

    for (size_t i = 0; i < f->m.trained; i++)
        square += pow((double)up.grad[i], 2);
    for (size_t i = 0; i < f->m.floats; i++)
        hat[i] = (real)((double)f->theta[i] +
                        (i < f->m.trained ? spec->rho * (double)up.grad[i] / sqrt(square) : 0));
    pass_done(&up);
    return hat;
}

static void run(struct fixture *f, const struct step_spec *spec)
{
    memset(f->grad, 0xff, f->m.floats * sizeof(real));
    step_train(f->step, spec, f->theta, &f->set, ids, f->weights, SHARD, f->grad, f->sums,
               spec->fused ? f->scores : NULL);
}

static void check(struct fixture *f, const struct step_spec *spec, const struct net_mode *measured)
{
    real *x = pixels_of(f, ids, SHARD), *hat = theta_hat(f, spec, x);
    double keys[SHARD], v[SHARD], weight = 0, loss = 0, loss_hat = 0;

    keys_at(f, spec, measured, f->theta, x, keys);
    weights_of(f, spec, keys, v);
    struct pass at = pass_at(f, &training, f->theta, x, v);
    struct pass down = pass_at(f, &training, hat, x, v);
    for (uint32_t i = 0; i < SHARD; i++) {
        weight += v[i];
        loss += v[i] * at.loss[i];
        loss_hat += v[i] * down.loss[i];
    }
    run(f, spec);
    ASSERT_NEAR(weight, f->sums[SUM_WEIGHT], 1e-12);
    ASSERT_NEAR(loss, f->sums[SUM_LOSS], 1e-4);
    ASSERT_NEAR(spec->rho > 0 ? loss_hat : loss, f->sums[SUM_LOSS_HAT], 1e-3);
    ASSERT(f->sums[SUM_SAMPLES] == SHARD);
    ASSERT(distance(f->grad, spec->rho > 0 ? down.grad : at.grad, f->m.trained) < 1e-4);
    pass_done(&at);
    pass_done(&down);
    free(x), free(hat);
}

static const struct shard_order orders[] = {
    {MEASURE_ADM, NORM_POPULATION, false},       {MEASURE_ADM, NORM_SAMPLE, false},
    {MEASURE_ADM, NORM_POPULATION, true},        {MEASURE_LOSS, NORM_POPULATION, false},
    {MEASURE_GRAD_NORM, NORM_POPULATION, false}, {MEASURE_GRAD_NORM, NORM_POPULATION, true},
    {MEASURE_EL2N, NORM_POPULATION, false},      {MEASURE_MARGIN, NORM_POPULATION, true},
    {MEASURE_RANDOM, NORM_POPULATION, false},
};

TEST(weights_and_gradient_are_those_written_out)
{
    static const char *const models[] = {"mlp", "lenet"};
    static const double rhos[] = {0, 0.05};

    for (size_t m = 0; m < COUNT(models); m++) {
        struct fixture *f = fixture_create(models[m]);
        for (size_t o = 0; o < COUNT(orders); o++)
            for (size_t r = 0; r < COUNT(rhos); r++)
                for (int kind = 0; kind < KINDS; kind++) {
                    struct step_spec spec = {.rho = rhos[r],
                                             .epsilon = eps,
                                             .seed = 9,
                                             .online = true,
                                             .order = orders[o]};
                    set_places(f, kind);
                    check(f, &spec, &training);
                    spec.fused = true; /* scores are kept too: the step is the same */
                    check(f, &spec, &training);
                }
        fixture_free(f);
    }
}

/* The order does matter: the opposite one, and another measure, train on other samples. */
TEST(another_order_has_another_gradient)
{
    struct fixture *f = fixture_create("lenet");
    struct step_spec spec = {.rho = 0.05, .epsilon = eps, .online = true};
    real *first = reals(f->m.floats);

    set_places(f, SELECT);
    run(f, &spec);
    memcpy(first, f->grad, f->m.floats * sizeof(real));
    for (size_t o = 2; o < COUNT(orders); o++) {
        spec.order = orders[o];
        run(f, &spec);
        ASSERT(distance(f->grad, first, f->m.floats) > 1e-3);
    }
    free(first);
    fixture_free(f);
}

/* gsam splits the mean gradients, that of all at theta and that of the weights at theta hat. */
TEST(gsam_splits_means)
{
    struct fixture *f = fixture_create("mlp");
    const struct step_spec spec = {.rho = 0.05,
                                   .sam = SAM_SURROGATE,
                                   .sam_alpha = 0.4,
                                   .online = true,
                                   .order = {.measure = MEASURE_LOSS}};
    real *x = pixels_of(f, ids, SHARD), *hat = theta_hat(f, &spec, x), *want = reals(f->m.floats);
    double keys[SHARD], v[SHARD], product = 0, square = 0;

    set_places(f, SELECT); /* V is 11 */
    keys_at(f, &spec, &training, f->theta, x, keys);
    weights_of(f, &spec, keys, v);
    struct pass up = pass_at(f, &training, f->theta, x, NULL);
    struct pass down = pass_at(f, &training, hat, x, v);
    for (size_t i = 0; i < f->m.trained; i++) {
        product += (double)up.grad[i] / SHARD * ((double)down.grad[i] / 11);
        square += pow((double)down.grad[i] / 11, 2);
    }
    for (size_t i = 0; i < f->m.trained; i++) {
        const double g = (double)up.grad[i] / SHARD, p = (double)down.grad[i] / 11;
        want[i] = (real)(11 * (p - 0.4 * (g - product / square * p)));
    }
    run(f, &spec);
    ASSERT(distance(f->grad, want, f->m.trained) < 1e-4);
    ASSERT(distance(f->grad, down.grad, f->m.trained) > 1e-3);
    pass_done(&up);
    pass_done(&down);
    free(x), free(hat), free(want);
    fixture_free(f);
}

TEST(equal_keys_are_ordered_by_philox)
{
    struct fixture *f = fixture_create("mlp");
    struct step_spec spec = {.seed = 4, .online = true, .order = {.measure = MEASURE_NONE}};
    double want = 0;

    set_places(f, WEIGHT);
    run(f, &spec);
    real *x = pixels_of(f, ids, SHARD);
    struct pass p = pass_at(f, &training, f->theta, x, NULL);
    for (uint32_t i = 0; i < SHARD; i++) {
        struct rng mine = rng_at(4, RNG_TIE, ids[i], 0);
        const uint64_t tie = rng_u64(&mine);
        uint32_t place = 0;
        for (uint32_t j = 0; j < SHARD; j++) {
            struct rng r = rng_at(4, RNG_TIE, ids[j], 0);
            place += rng_u64(&r) < tie;
        }
        want += (double)f->weights[place] * p.loss[i];
    }
    ASSERT_NEAR(want, f->sums[SUM_LOSS], 1e-5);
    pass_done(&p);
    free(x);
    fixture_free(f);
}

/* As in warm-up: bit for bit the ordinary step, and its scores. */
TEST(weights_that_are_alike_need_no_order)
{
    for (int fused = 0; fused < 2; fused++) {
        struct fixture *f = fixture_create("lenet");
        struct step_spec spec = {.rho = 0.05, .epsilon = eps, .fused = fused};
        struct score scores[SHARD] = {0};
        real *plain = reals(f->m.floats);

        for (uint32_t i = 0; i < SHARD; i++)
            f->weights[i] = 1;
        run(f, &spec);
        memcpy(plain, f->grad, f->m.floats * sizeof(real));
        memcpy(scores, f->scores, sizeof(scores));
        spec.online = true;
        run(f, &spec);
        ASSERT_MEM(plain, f->grad, f->m.floats * sizeof(real));
        ASSERT_MEM(scores, f->scores, sizeof(scores));
        free(plain);
        fixture_free(f);
    }
}

TEST(a_shard_is_a_pure_function)
{
    struct fixture *f = fixture_create("lenet");
    const struct step_spec spec = {.rho = 0.05, .epsilon = eps, .fused = true, .online = true};
    const struct step_spec other = {.epsilon = eps, .online = true};
    struct score scores[SHARD];
    real *grad = reals(f->m.floats);

    set_places(f, BOTH);
    run(f, &spec);
    memcpy(grad, f->grad, f->m.floats * sizeof(real));
    memcpy(scores, f->scores, sizeof(scores));
    set_places(f, SELECT);
    run(f, &other);
    set_places(f, BOTH);
    run(f, &spec);
    ASSERT_MEM(grad, f->grad, f->m.floats * sizeof(real));
    ASSERT_MEM(scores, f->scores, sizeof(scores));
    free(grad);
    fixture_free(f);
}

static void assert_scored_apart(struct fixture *f, struct step_spec spec)
{
    struct score want[SHARD];

    step_score(f->step, &spec, f->theta, &f->set, ids, SHARD, want, NULL);
    for (int fused = 0; fused < 2; fused++)
        for (size_t o = 0; o < COUNT(orders); o++) {
            spec.fused = fused;
            spec.order = orders[o];
            run(f, &spec);
            ASSERT(!fused || memcmp(want, f->scores, sizeof(want)) == 0);
        }
}

/* Under BatchNorm the samples of a shard mix: what is measured is as a sweep measures it, and all
 * samples take part in both passes, those of weight 0 by their statistics. */
TEST(under_batchnorm_a_step_measures_in_evaluation_mode)
{
    static const double rhos[] = {0, 0.05};
    struct fixture *f = fixture_create(norm);
    struct rng r = rng_at(5, RNG_TEST, 0, 0);

    for (size_t i = f->m.trained; i < f->m.floats; i++)
        f->theta[i] = (real)rng_range(&r, 0.2, 0.6);
    for (size_t i = 0; i < COUNT(rhos); i++)
        for (int kind = 0; kind < KINDS; kind++) {
            struct step_spec spec = {.rho = rhos[i], .epsilon = eps, .online = true};
            set_places(f, kind);
            assert_scored_apart(f, spec);
            for (size_t o = 0; o < COUNT(orders); o++) {
                spec.order = orders[o];
                check(f, &spec, &(struct net_mode){.train = false});
            }
        }
    fixture_free(f);
}

TEST(what_orders_is_not_smoothed)
{
    struct fixture *f = fixture_create("mlp");
    struct step_spec spec = {.rho = 0.05, .epsilon = eps, .smoothing = 0.3, .online = true};

    set_places(f, SELECT);
    assert_scored_apart(f, spec);
    spec.rho = 0;
    assert_scored_apart(f, spec);
    /* The weighted loss is that of the smoothed targets: the same samples as without smoothing. */
    spec.order.measure = MEASURE_LOSS;
    run(f, &spec);
    real *x = pixels_of(f, ids, SHARD);
    struct pass p = pass_at(f, &training, f->theta, x, NULL);
    double v[SHARD], want = 0;
    weights_of(f, &spec, p.loss, v);
    for (uint32_t i = 0; i < SHARD; i++) {
        const real *z = p.z + i * CLASSES;
        const double zy = (double)z[f->set.labels[ids[i]]];
        double ahead = 0;
        for (int j = 0; j < CLASSES; j++)
            ahead += zy - (double)z[j];
        want += v[i] * (p.loss[i] + 0.3 / CLASSES * ahead);
    }
    ASSERT_NEAR(want, f->sums[SUM_LOSS], 1e-4);
    pass_done(&p);
    free(x);
    fixture_free(f);
}

/* A descent without the samples of weight 0 drops what the pass over all of them dropped. */
TEST(dropout_is_the_same_in_a_descent_of_fewer_samples)
{
    struct fixture *f = fixture_create(dropping);
    struct step_spec spec = {.epsilon = eps,
                             .seed = 8,
                             .step = 3,
                             .slot = 32,
                             .online = true,
                             .order = {.measure = MEASURE_LOSS}};
    real *all = reals(f->m.floats);

    set_places(f, SELECT);
    run(f, &spec); /* one pass, with zeros */
    memcpy(all, f->grad, f->m.floats * sizeof(real));
    spec.fused = true; /* a pass for the order, and another one of the samples that are left */
    run(f, &spec);
    ASSERT(distance(f->grad, all, f->m.floats) < 1e-5);
    spec.slot = 33;
    run(f, &spec);
    ASSERT(distance(f->grad, all, f->m.floats) > 1e-2);
    free(all);
    fixture_free(f);
}
