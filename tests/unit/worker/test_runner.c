#include <errno.h>

#include "tests/unit/nn/support.h"
#include "worker/nn/gemm.h"
#include "worker/nn/net.h"
#include "worker/runner.h"

/* A node of 7 shards, a vertex of no power of two; scoring all samples ends with a short shard. */
enum { SHARD = 6, SHARDS = 7, COUNT_TRAIN = SHARD * SHARDS, SAMPLES = 45, CLASSES = 5 };

static const struct dims image = {8, 8, 1};
static const char layers[] = "[{\"type\": \"conv2d\", \"channels\": 4}, {\"type\": \"relu\"}, "
                             "{\"type\": \"maxpool\"}, {\"type\": \"flatten\"}, "
                             "{\"type\": \"dense\", \"units\": 9}, {\"type\": \"relu\"}, "
                             "{\"type\": \"dense\"}]";

struct fixture {
    struct model m;
    struct samples set;
    float *theta;
    uint32_t ids[COUNT_TRAIN], all[SAMPLES];
    float weights[COUNT_TRAIN];
};

struct result {
    float *grad;
    double sums[SUM_COUNT];
    struct score scores[SAMPLES];
};

static struct fixture *fixture_create(void)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct rng r = rng_at(1, RNG_TEST, 0, 0);
    uint8_t *pixels = xcalloc(SAMPLES, entries(image));
    uint16_t *labels = xcalloc(SAMPLES, sizeof(*labels));

    gemm_init();
    f->m = model_of(layers, image, CLASSES);
    for (size_t i = 0; i < SAMPLES * entries(image); i++)
        pixels[i] = (uint8_t)rng_u32(&r);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        labels[i] = (uint16_t)rng_below(&r, CLASSES);
        f->all[i] = i;
    }
    for (uint32_t i = 0; i < COUNT_TRAIN; i++) {
        f->ids[i] = (uint32_t)rng_below(&r, SAMPLES);
        f->weights[i] = (float)rng_range(&r, 0.1, 2);
    }
    f->set = (struct samples){pixels, labels, SAMPLES};
    f->theta = alloc_bytes(f->m.floats, sizeof(*f->theta));
    model_init(&f->m, 3, f->theta);
    return f;
}

static void fixture_free(struct fixture *f)
{
    model_done(&f->m);
    free((void *)f->set.images);
    free((void *)f->set.labels);
    free(f->theta);
    free(f);
}

static struct runner *crew(const struct fixture *f, unsigned threads)
{
    struct runner *r;
    struct errbuf why;

    ASSERT_OK(runner_create(&f->m, kernels_best(), SHARD, threads, false, &r, &why), why);
    return r;
}

static struct result *result_create(const struct fixture *f)
{
    struct result *res = xcalloc(1, sizeof(*res));

    res->grad = xcalloc(f->m.floats, sizeof(*res->grad));
    return res;
}

static void result_free(struct result *res)
{
    free(res->grad);
    free(res);
}

static struct work train_work(const struct fixture *f, bool fused)
{
    return (struct work){.train = true,
                         .spec = {.rho = 0.05,
                                  .epsilon = 8.0 / 255,
                                  .fused = fused,
                                  .attack = ATTACK_PGD,
                                  .alpha = 2.0 / 255,
                                  .moves = 2,
                                  .random_start = true,
                                  .augment = {2, true},
                                  .seed = 6,
                                  .step = 9,
                                  .slot = 2 * SHARD},
                         .theta = f->theta,
                         .set = &f->set,
                         .ids = f->ids,
                         .weights = f->weights,
                         .count = COUNT_TRAIN};
}

static struct work score_work(const struct fixture *f)
{
    return (struct work){.spec = {.epsilon = 8.0 / 255,
                                  .attack = ATTACK_PGD,
                                  .alpha = 2.0 / 255,
                                  .moves = 2,
                                  .random_start = true,
                                  .seed = 6,
                                  .step = 9},
                         .theta = f->theta,
                         .set = &f->set,
                         .ids = f->all,
                         .count = SAMPLES};
}

static struct result *run(struct runner *r, const struct fixture *f, const struct work *work)
{
    struct result *res = result_create(f);
    bool scores = !work->train || work->spec.fused;
    struct yield y = {.scores = scores ? res->scores : NULL};
    struct errbuf why;

    ASSERT_OK(runner_run(r, work, &y, &why), why);
    if (work->train) {
        memcpy(res->grad, y.grad, f->m.floats * sizeof(*res->grad));
        memcpy(res->sums, y.sums, sizeof(res->sums));
    }
    return res;
}

static void same_score(const struct score *a, const struct score *b)
{
    ASSERT_MEM(&a->loss, &b->loss, sizeof(a->loss));
    ASSERT_MEM(&a->adv_loss, &b->adv_loss, sizeof(a->adv_loss));
    ASSERT_MEM(&a->grad_norm, &b->grad_norm, sizeof(a->grad_norm));
    ASSERT_MEM(&a->el2n, &b->el2n, sizeof(a->el2n));
    ASSERT_EQ(a->predicted, b->predicted);
    ASSERT_EQ(a->adv_predicted, b->adv_predicted);
    ASSERT_EQ(a->flags, b->flags);
}

static void same(const struct fixture *f, const struct result *a, const struct result *b)
{
    ASSERT_MEM(a->grad, b->grad, f->m.floats * sizeof(*a->grad));
    ASSERT_MEM(a->sums, b->sums, sizeof(a->sums));
    for (uint32_t i = 0; i < SAMPLES; i++)
        same_score(&a->scores[i], &b->scores[i]);
}

TEST(any_number_of_threads_gives_the_same_bits)
{
    struct fixture *f = fixture_create();
    const struct work works[] = {train_work(f, false), train_work(f, true), score_work(f)};

    for (size_t w = 0; w < COUNT(works); w++) {
        struct runner *one = crew(f, 1);
        struct result *want = run(one, f, &works[w]);

        for (unsigned threads = 2; threads <= 9; threads++) {
            struct runner *r = crew(f, threads);
            for (int again = 0; again < 5; again++) {
                struct result *got = run(r, f, &works[w]);
                same(f, want, got);
                result_free(got);
            }
            runner_free(r);
        }
        result_free(want);
        runner_free(one);
    }
    fixture_free(f);
}

TEST(a_run_leaves_nothing_behind_for_the_next)
{
    struct fixture *f = fixture_create();
    const struct work fused = train_work(f, true), score = score_work(f);
    struct work small = train_work(f, false);
    struct runner *r = crew(f, 2), *fresh = crew(f, 2);
    struct result *want = run(fresh, f, &fused);

    small.count = 2 * SHARD;
    small.spec.rho = 0;
    for (int i = 0; i < 3; i++) {
        result_free(run(r, f, &score));
        result_free(run(r, f, &small));
        struct result *got = run(r, f, &fused);
        same(f, want, got);
        result_free(got);
    }
    result_free(want);
    runner_free(fresh);
    runner_free(r);
    fixture_free(f);
}

/* Sum of shards [lo, hi) by the definition, from the engine's own results. */
static void sum_of(struct step *s, const struct work *w, struct node n, size_t floats, float *grad,
                   double *sums)
{
    if (node_size(n) == 1) {
        struct step_spec spec = w->spec;
        spec.slot += n.lo * SHARD;
        step_train(s, &spec, w->theta, w->set, w->ids + n.lo * SHARD, w->weights + n.lo * SHARD,
                   SHARD, grad, sums, NULL);
        return;
    }
    float *right = alloc_bytes(floats, sizeof(*right));
    double right_sums[SUM_COUNT];
    uint32_t mid = node_split(n);

    sum_of(s, w, (struct node){n.lo, mid}, floats, grad, sums);
    sum_of(s, w, (struct node){mid, n.hi}, floats, right, right_sums);
    for (size_t i = 0; i < floats; i++)
        grad[i] += right[i];
    for (int i = 0; i < SUM_COUNT; i++)
        sums[i] += right_sums[i];
    free(right);
}

TEST(a_node_is_the_sum_of_its_shards_along_the_tree)
{
    struct fixture *f = fixture_create();
    const struct work w = train_work(f, false);
    struct runner *r = crew(f, 3);
    struct result *got = run(r, f, &w);
    float *grad = alloc_bytes(f->m.floats, sizeof(*grad));
    double sums[SUM_COUNT];

    net_thread_init();
    struct step *s = step_create(&f->m, kernels_best(), SHARD, false);
    sum_of(s, &w, (struct node){0, SHARDS}, f->m.floats, grad, sums);
    ASSERT_MEM(grad, got->grad, f->m.floats * sizeof(*grad));
    ASSERT_MEM(sums, got->sums, sizeof(sums));
    ASSERT_NEAR(COUNT_TRAIN, sums[SUM_SAMPLES], 0);
    step_free(s);
    free(grad);
    result_free(got);
    runner_free(r);
    fixture_free(f);
}

/* Two workers with a part of a batch each: what is drawn at random follows the place in the batch.
 */
TEST(parts_of_a_batch_add_up_to_it)
{
    enum { LEFT = 4 };
    struct fixture *f = fixture_create();
    const struct work whole = train_work(f, true);
    struct work left = whole, right = whole;
    struct runner *r = crew(f, 2);

    left.count = LEFT * SHARD;
    right.count = whole.count - left.count;
    right.ids += left.count;
    right.weights += left.count;
    right.spec.slot += left.count;
    struct result *want = run(r, f, &whole), *a = run(r, f, &left), *b = run(r, f, &right);
    for (size_t i = 0; i < f->m.floats; i++)
        a->grad[i] += b->grad[i];
    for (int i = 0; i < SUM_COUNT; i++)
        a->sums[i] += b->sums[i];
    memcpy(a->scores + left.count, b->scores, right.count * sizeof(*b->scores));
    same(f, want, a);
    result_free(want);
    result_free(a);
    result_free(b);
    runner_free(r);
    fixture_free(f);
}

/* A sweep in tasks of any length: a random start follows the place in the sweep. */
TEST(parts_of_a_sweep_are_what_it_is)
{
    struct fixture *f = fixture_create();
    const struct work whole = score_work(f);
    struct runner *r = crew(f, 2);
    struct result *want = run(r, f, &whole);

    for (uint32_t shards = 1; shards <= SHARDS; shards += 2)
        for (uint32_t at = 0; at < SAMPLES; at += shards * SHARD) {
            struct work part = whole;
            part.ids += at;
            part.spec.slot = at;
            part.count = SAMPLES - at < shards * SHARD ? SAMPLES - at : shards * SHARD;
            struct result *got = run(r, f, &part);
            for (uint32_t i = 0; i < part.count; i++)
                same_score(&want->scores[at + i], &got->scores[i]);
            result_free(got);
        }
    result_free(want);
    runner_free(r);
    fixture_free(f);
}

TEST(scores_lie_at_the_place_of_their_sample_and_the_last_shard_may_be_short)
{
    struct fixture *f = fixture_create();
    const struct work w = score_work(f);
    struct runner *r = crew(f, 2);
    struct result *got = run(r, f, &w);
    struct score want[SHARD];

    net_thread_init();
    struct step *s = step_create(&f->m, kernels_best(), SHARD, false);
    for (uint32_t at = 0; at < SAMPLES; at += SHARD) {
        uint32_t n = SAMPLES - at < SHARD ? SAMPLES - at : SHARD;
        struct step_spec spec = w.spec;
        spec.slot = at;
        step_score(s, &spec, f->theta, &f->set, f->all + at, n, want, NULL);
        for (uint32_t i = 0; i < n; i++) {
            same_score(&want[i], &got->scores[at + i]);
            ASSERT(got->scores[at + i].flags & SCORE_MEASURED);
        }
    }
    step_free(s);
    result_free(got);
    runner_free(r);
    fixture_free(f);
}

TEST(theta_is_not_written)
{
    struct fixture *f = fixture_create();
    const struct work works[] = {train_work(f, true), score_work(f)};
    struct runner *r = crew(f, 2);
    float *before = alloc_bytes(f->m.floats, sizeof(*before));

    memcpy(before, f->theta, f->m.floats * sizeof(*before));
    for (size_t w = 0; w < COUNT(works); w++) {
        result_free(run(r, f, &works[w]));
        ASSERT_MEM(before, f->theta, f->m.floats * sizeof(*before));
    }
    free(before);
    runner_free(r);
    fixture_free(f);
}

static void diverges(struct runner *r, const struct work *w, const char *part)
{
    struct score scores[SAMPLES];
    struct yield y = {.scores = (!w->train && !w->flat) || w->spec.fused ? scores : NULL};
    struct errbuf why = {""};

    ASSERT_EQ(-ERANGE, runner_run(r, w, &y, &why));
    ASSERT_HAS(w->flat ? "flatness cannot be measured: " : "training diverged: ", why.text);
    ASSERT_HAS(part, why.text);
}

TEST(what_is_not_finite_is_named_and_the_next_run_is_whole)
{
    struct fixture *f = fixture_create();
    const struct work train = train_work(f, false), fused = train_work(f, true),
                      score = score_work(f);
    struct work slope = score;
    struct runner *r = crew(f, 2);
    struct result *want = run(r, f, &train);
    const float nasty[] = {NAN, INFINITY};
    float *bias = f->theta + f->m.params[f->m.param_count - 1].offset, good = *bias;

    slope.flat = PHASE_SLOPE;
    for (size_t i = 0; i < COUNT(nasty); i++) {
        *bias = nasty[i];
        diverges(r, &train, "is not finite; a smaller learning rate or rho may help");
        diverges(r, &fused, "is not finite; a smaller learning rate or rho may help");
        if (isnan(nasty[i])) /* a loss without end counts, and its gradient is finite */
            diverges(r, &slope, "at these weights, or near them, is not finite");
        diverges(r, &score, "a score of sample 0 is not finite");
        *bias = good;
    }
    struct result *got = run(r, f, &train);
    same(f, want, got);
    result_free(got);
    result_free(want);
    runner_free(r);
    fixture_free(f);
}

TEST(a_profile_names_layers_passes_and_parts_and_changes_no_bit)
{
    struct fixture *f = fixture_create();
    const struct work train = train_work(f, true), score = score_work(f);
    struct runner *plain = crew(f, 2), *booked = crew(f, 2);
    struct result *want = run(plain, f, &train);
    const char *const parts[] = {"over 2 threads", "conv1 ", "fc2 ",   "ascent b",       "twin",
                                 "descent b",      "sweep",  "load",   "head",           "attack",
                                 "ascend",         "reduce", "100.0%", "thread 1 waited"};
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    runner_print(plain, out);
    ASSERT_EQ(0, ftell(out));
    ASSERT_EQ(0, runner_profile(booked));
    struct result *got = run(booked, f, &train);
    same(f, want, got);
    result_free(run(booked, f, &score));
    runner_print(booked, out);
    fclose(out);
    for (size_t i = 0; i < COUNT(parts); i++)
        ASSERT_HAS(parts[i], text);
    ASSERT(!strstr(text, "relu1")); /* the convolution does it */
    free(text);
    result_free(got);
    result_free(want);
    runner_free(plain);
    runner_free(booked);
    fixture_free(f);
}
