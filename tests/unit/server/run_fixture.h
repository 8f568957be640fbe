/* A small job for tests of a run, and workers that compute it at once: what they give back is a
 * pure function of (theta, phase, sample, slot), summed along the tree as a worker does it. */
#ifndef STEPPE_TESTS_RUN_FIXTURE_H
#define STEPPE_TESTS_RUN_FIXTURE_H

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/hash.h"
#include "common/rng.h"
#include "server/core/run.h"
#include "tests/harness.h"
#include "tests/unit/taker.h"

/* 3 steps of 4 shards an epoch; 13 shards in a full sweep, of which the last has one sample; 2 in a
 * test round. */
enum { SAMPLES = 37, TESTS = 5, CLASSES = 3, BATCH = 12, SHARD = 3, EPOCHS = 4, STEPS = 3 };
enum { TASKS_MAX = 64 };

struct fixture {
    struct jobspec spec;
    struct model model;
    struct dataset data;
    uint16_t labels[SAMPLES], test_labels[TESTS];
    struct run_inputs in;
};

/* middle: the layer between two dense ones; rest: more keys of the job file, from ", " on. */
static inline struct fixture *fixture_with(const char *middle, const char *rest)
{
    static const float mean[1] = {0}, std[1] = {1};
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct errbuf why;
    char text[800];

    snprintf(
        text, sizeof(text),
        "{\"name\": \"j\", \"dataset\": \"d\", \"model\": {\"layers\": [{\"type\": \"flatten\"}, "
        "{\"type\": \"dense\", \"units\": 5}, {\"type\": \"%s\"}, {\"type\": \"dense\"}]}, "
        "\"epochs\": %d, \"batch\": %d, \"shard\": %d%s}",
        middle, EPOCHS, BATCH, SHARD, rest);
    cJSON *json = cJSON_Parse(text);
    ASSERT(json);
    ASSERT_OK(jobspec_parse(json, &f->spec, &why), why);
    cJSON_Delete(json);
    for (uint32_t i = 0; i < SAMPLES; i++)
        f->labels[i] = (uint16_t)(i * 7 % CLASSES);
    for (uint32_t i = 0; i < TESTS; i++)
        f->test_labels[i] = (uint16_t)(i % CLASSES);
    f->data = (struct dataset){.samples = SAMPLES,
                               .test_samples = TESTS,
                               .classes = CLASSES,
                               .dims = {2, 2, 1},
                               .labels = f->labels,
                               .test_labels = f->test_labels};
    ASSERT_OK(model_parse(f->spec.model, f->data.dims, CLASSES, mean, std, &f->model, &why), why);
    return f;
}

static inline struct fixture *fixture_create(const char *rest)
{
    return fixture_with("relu", rest);
}

static inline void fixture_free(struct fixture *f)
{
    jobspec_done(&f->spec);
    model_done(&f->model);
    free(f);
}

static inline struct run *fixture_run(const struct fixture *f, int64_t incarnation)
{
    struct run *r;

    ASSERT_EQ(0, run_create(&f->spec, &f->model, &f->data, 1, incarnation, &f->in, &r));
    return r;
}

/* --- a worker --- */

struct fake {
    struct run_result res;
    float *grad;
    double sums[SUM_COUNT];
    struct score *scores;
    float *probabilities;
};

static inline uint64_t vector_key(const float *vector, const struct fixture *f)
{
    uint8_t digest[SHA256_BYTES];
    uint64_t key;

    sha256_of(vector, f->model.floats * sizeof(float), digest);
    memcpy(&key, digest, sizeof(key));
    return key;
}

static inline uint64_t theta_key(const struct run *r, const struct fixture *f)
{
    return vector_key(run_round_theta(r), f);
}

/* The score that is computed for a sample at a slot (its position in the round). */
static inline struct score fake_score(uint64_t theta, enum phase phase, uint32_t id, uint32_t slot)
{
    struct rng rng = rng_at(theta, RNG_TEST, id, slot + 1000 * (uint32_t)phase);
    struct score s = {.flags = SCORE_MEASURED};

    s.loss = rng_range(&rng, 0, 3);
    s.adv_loss = rng_range(&rng, 0, 4);
    s.grad_norm = rng_unit(&rng);
    s.el2n = rng_unit(&rng);
    s.predicted = (int32_t)rng_below(&rng, CLASSES);
    s.adv_predicted = (int32_t)rng_below(&rng, CLASSES);
    if (rng_below(&rng, 8) == 0)
        s.flags |= SCORE_NO_DIRECTION;
    return s;
}

/* Of a sample in a sweep; they add up to 1. */
static inline void fake_probabilities(uint64_t theta, uint32_t id, float p[CLASSES])
{
    struct rng rng = rng_at(theta, RNG_TEST, id, 77);

    p[0] = (float)rng_unit(&rng) / 2;
    p[1] = (float)rng_unit(&rng) / 2;
    p[2] = 1 - p[0] - p[1];
}

/* The result of one shard: the samples ids[n] at slot .. slot+n-1. */
static inline void fake_shard(const struct fixture *f, uint64_t theta, const struct run_task *t,
                              uint32_t at, uint32_t n, float *grad, double *sums)
{
    memset(grad, 0, f->model.floats * sizeof(*grad));
    memset(sums, 0, SUM_COUNT * sizeof(*sums));
    for (uint32_t i = at; i < at + n; i++) {
        const struct score s = fake_score(theta, PHASE_TRAIN, t->ids[i], t->first + i);
        const double v = t->weights[i];
        struct rng rng = rng_at(theta, RNG_TEST, t->ids[i], UINT32_MAX);

        for (size_t k = 0; k < f->model.floats; k++)
            grad[k] += (float)(v * rng_range(&rng, -1, 1));
        sums[SUM_WEIGHT] += v;
        sums[SUM_LOSS] += v * s.loss;
        sums[SUM_LOSS_HAT] += v * (s.loss + 0.1);
        sums[SUM_SAMPLES] += 1;
        sums[SUM_CORRECT] += s.predicted == f->labels[t->ids[i]];
    }
}

/* The same of a round that measures flatness; one sample has its vector, whatever is asked. */
static inline void fake_flat(const struct fixture *f, uint64_t theta, const struct run_task *t,
                             uint32_t at, uint32_t n, float *grad, double *sums)
{
    memset(grad, 0, f->model.floats * sizeof(*grad));
    memset(sums, 0, SUM_COUNT * sizeof(*sums));
    for (uint32_t i = at; i < at + n; i++) {
        struct rng rng = rng_at(theta, RNG_TEST, t->ids[i], (uint32_t)t->phase);

        for (size_t k = 0; k < f->model.floats; k++)
            grad[k] += (float)rng_range(&rng, -1, 1);
        sums[SUM_WEIGHT] += 1;
        sums[SUM_LOSS] += rng_unit(&rng);
    }
}

/* Sum of a node along the tree. */
static inline void fake_node(const struct fixture *f, uint64_t theta, const struct run_task *t,
                             struct node n, float *grad, double *sums)
{
    if (node_size(n) == 1) {
        const uint32_t at = (n.lo - t->node.lo) * SHARD, left = t->count - at;
        if (phase_measures(t->phase))
            fake_flat(f, theta, t, at, left < SHARD ? left : SHARD, grad, sums);
        else
            fake_shard(f, theta, t, at, SHARD, grad, sums);
        return;
    }
    float *right = xcalloc(f->model.floats, sizeof(*right));
    double right_sums[SUM_COUNT];
    uint32_t mid = node_split(n);

    fake_node(f, theta, t, (struct node){n.lo, mid}, grad, sums);
    fake_node(f, theta, t, (struct node){mid, n.hi}, right, right_sums);
    for (size_t k = 0; k < f->model.floats; k++)
        grad[k] += right[k];
    for (enum sum k = 0; k < SUM_COUNT; k++)
        sums[k] += right_sums[k];
    free(right);
}

static inline struct fake *fake_compute(const struct run *r, const struct fixture *f,
                                        const struct run_task *t)
{
    struct fake *k = xcalloc(1, sizeof(*k));
    uint64_t theta = theta_key(r, f);

    k->grad = xcalloc(f->model.floats, sizeof(*k->grad));
    k->scores = xcalloc(t->count, sizeof(*k->scores));
    if (run_vector(r))
        theta ^= vector_key(run_vector(r), f);
    if (phase_sums(t->phase))
        fake_node(f, theta, t, t->node, k->grad, k->sums);
    for (uint32_t i = 0; i < t->count; i++)
        k->scores[i] = fake_score(theta, t->phase, t->ids ? t->ids[i] : t->first + i, t->first + i);
    if (f->spec.score_probabilities && t->phase == PHASE_SWEEP) {
        k->probabilities = xcalloc((size_t)t->count * CLASSES, sizeof(*k->probabilities));
        for (uint32_t i = 0; i < t->count; i++)
            fake_probabilities(theta, t->ids[i], k->probabilities + (size_t)i * CLASSES);
    }
    k->res = (struct run_result){.phase = t->phase,
                                 .step = t->step,
                                 .node = t->node,
                                 .grad = k->grad,
                                 .sums = k->sums,
                                 .scores = k->scores,
                                 .probabilities = k->probabilities};
    return k;
}

static inline void fake_free(struct fake *k)
{
    free(k->grad);
    free(k->scores);
    free(k->probabilities);
    free(k);
}

/* --- a run from round to round --- */

/* How the rounds are computed: which splits, in which order, with what going wrong. */
struct drive {
    uint64_t seed;
    uint32_t want_max; /* shards asked for: 1 to this */
    bool shuffle;      /* results come in any order */
    bool lose; /* one of three workers is given up at once; half of its results come all the same */
    bool repeat; /* every result comes twice */
};

/* Leases the whole round; returns how many results there are for it, more than one of a node that
 * was given back while its worker went on. */
static inline uint32_t take_all(struct run *r, const struct fixture *f, const struct drive *p,
                                struct rng *rng, struct fake *fakes[TASKS_MAX])
{
    uint32_t count = 0;
    struct run_task t;

    for (;;) {
        uint32_t worker = (uint32_t)rng_below(rng, 3) + 1;
        uint32_t want = (uint32_t)rng_below(rng, p->want_max) + 1;
        bool lost = p->lose && worker == 3;

        if (run_take(r, BY(worker), want, 0, 1000, &t) < 0)
            return count;
        if (!lost || rng_below(rng, 2)) {
            ASSERT(count < TASKS_MAX);
            fakes[count++] = fake_compute(r, f, &t);
        }
        if (lost)
            ASSERT_EQ(1, run_release(r, worker, 0));
    }
}

/* Computes the open round; *ret is filled when the event is RUN_EPOCH. */
static inline enum run_event drive_round(struct run *r, const struct fixture *f,
                                         const struct drive *p, struct run_epoch *ret)
{
    struct rng rng = rng_at(p->seed, RNG_TEST, (uint32_t)run_step(r), (uint32_t)run_phase(r));
    struct fake *fakes[TASKS_MAX];
    uint32_t order[TASKS_MAX], count = take_all(r, f, p, &rng, fakes);
    bool given[SAMPLES] = {false}; /* by first shard of the node */
    enum run_event event = RUN_WAIT;
    struct errbuf why;

    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    if (p->shuffle)
        rng_shuffle(&rng, order, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct run_result *res = &fakes[order[i]]->res;
        bool *known = &given[res->node.lo];

        ASSERT_EQ(*known ? -EALREADY : 0, run_result(r, res, &why));
        if (p->repeat)
            ASSERT_EQ(-EALREADY, run_result(r, res, &why));
        if (!*known) {
            ASSERT_EQ(RUN_WAIT, event);
            ASSERT_EQ(0, run_advance(r, 0, &event, ret));
        }
        *known = true;
    }
    ASSERT(event != RUN_WAIT);
    for (uint32_t i = 0; i < count; i++)
        fake_free(fakes[i]);
    return event;
}

/* All that a run leaves behind, in one hash each. */
struct outcome {
    struct sha256 epochs;
    char epochs_sha256[SHA256_HEX], theta_sha256[SHA256_HEX];
};

static inline void outcome_add(struct outcome *o, struct run_epoch *e)
{
    const struct epoch_record *x = &e->record;
    const double numbers[] = {(double)x->epoch,
                              x->share,
                              x->lr,
                              x->train_loss,
                              x->train_accuracy,
                              x->sharpness,
                              x->test_loss,
                              x->test_accuracy,
                              x->adv_accuracy,
                              x->validation_loss,
                              x->validation_accuracy,
                              x->validation_adv_accuracy,
                              x->mean_gap,
                              (double)x->scheduled};

    sha256_add(&o->epochs, numbers, sizeof(numbers));
    for (uint32_t i = 0; e->scores && i < SAMPLES; i++) {
        const struct score *s = &e->scores[i];
        const double row[] = {s->loss,   s->adv_loss,  s->grad_norm,     s->el2n,
                              e->adm[i], s->predicted, s->adv_predicted, s->flags};

        if (s->flags & SCORE_MEASURED)
            sha256_add(&o->epochs, row, sizeof(row));
        if (s->flags & SCORE_MEASURED && e->probabilities)
            sha256_add(&o->epochs, e->probabilities + (size_t)i * CLASSES, CLASSES * sizeof(float));
    }
    if (e->flatness) {
        const struct flatness_record *r = e->flatness;
        const double figures[] = {r->loss, r->trace, r->trace_error, r->sharpness, r->samples};

        sha256_add(&o->epochs, figures, sizeof(figures));
        sha256_add(&o->epochs, r->value, sizeof(r->value));
        sha256_add(&o->epochs, r->residual, sizeof(r->residual));
        sha256_add(&o->epochs, r->line, sizeof(r->line));
    }
    for (uint32_t i = 0; e->by_class && i < CLASSES; i++)
        sha256_add(&o->epochs, &e->by_class[i], sizeof(e->by_class[i]));
    run_epoch_done(e);
}

static inline void outcome_end(struct outcome *o, const struct run *r, const struct fixture *f)
{
    uint8_t digest[SHA256_BYTES];

    sha256_end(&o->epochs, digest);
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(o->epochs_sha256 + 2 * i, 3, "%02x", digest[i]);
    sha256_hex_of(run_theta(r), f->model.floats * sizeof(float), o->theta_sha256);
}

/* Goes on to the end of the job; o was started with sha256_init(&o->epochs). */
static inline void drive_on(struct run *r, const struct fixture *f, const struct drive *p,
                            struct outcome *o)
{
    struct run_epoch e;

    while (!run_finished(r))
        if (drive_round(r, f, p, &e) == RUN_EPOCH)
            outcome_add(o, &e);
    outcome_end(o, r, f);
}

/* A whole run. */
static inline struct outcome drive(const struct fixture *f, const struct drive *p)
{
    struct run *r = fixture_run(f, 1);
    struct outcome o;

    sha256_init(&o.epochs);
    ASSERT_EQ(0, run_start(r, 0));
    drive_on(r, f, p, &o);
    run_free(r);
    return o;
}

/* A fresh run in its first round. */
static inline struct run *started(const struct fixture *f)
{
    struct run *r = fixture_run(f, 1);

    ASSERT_EQ(0, run_start(r, 0));
    return r;
}

/* Leases the whole round as one node; the result of it. */
static inline struct fake *compute_round(struct run *r, const struct fixture *f)
{
    struct run_task t;

    ASSERT_EQ(0, run_take(r, BY(1), run_shards(r), 0, 1000, &t));
    ASSERT_EQ(run_shards(r), node_size(t.node));
    return fake_compute(r, f, &t);
}

/* Hands a result in and closes the round if it was the last one; e is filled on RUN_EPOCH. */
static inline enum run_event give(struct run *r, struct fake *k, struct run_epoch *e)
{
    enum run_event event;
    struct errbuf why;

    ASSERT_OK(run_result(r, &k->res, &why), why);
    ASSERT_EQ(0, run_advance(r, 0, &event, e));
    fake_free(k);
    return event;
}

/* Samples that were measured in the epoch. */
static inline uint32_t scored_of(const struct run_epoch *e)
{
    uint32_t count = 0;

    for (uint32_t i = 0; e->scores && i < SAMPLES; i++)
        count += e->scores[i].flags & SCORE_MEASURED;
    return count;
}

static inline void epoch_done(struct run_epoch *e)
{
    run_epoch_done(e);
}

static inline void same_outcome(const struct outcome *want, const struct outcome *got)
{
    ASSERT_STR(want->theta_sha256, got->theta_sha256);
    ASSERT_STR(want->epochs_sha256, got->epochs_sha256);
}

/* count runs with other splits, orders and losses end as one without any. */
static inline void ends_alike(const struct fixture *f, uint32_t count)
{
    const struct outcome want = drive(f, &(struct drive){.seed = 1, .want_max = 1});

    for (uint32_t i = 0; i < count; i++) {
        const struct drive p = {.seed = 300 + i,
                                .want_max = 1 + i % 5,
                                .shuffle = true,
                                .lose = i % 2 == 0,
                                .repeat = i % 3 == 0};
        const struct outcome got = drive(f, &p);
        same_outcome(&want, &got);
    }
}

/* What a checkpoint holds, from one run to another, which has not started. */
static inline void restore(struct run *to, struct run *from)
{
    const struct run_state a = run_state(from), b = run_state(to);

    *b.cursor = *a.cursor;
    memcpy(b.theta, a.theta, a.floats * sizeof(*a.theta));
    for (int i = 0; a.vector_names[i]; i++)
        memcpy(b.vectors[i], a.vectors[i], a.floats * sizeof(float));
    memcpy(b.rank, a.rank, a.samples * sizeof(*a.rank));
    if (a.scores)
        memcpy(b.scores, a.scores, a.samples * sizeof(*a.scores));
    if (a.chosen) {
        *b.chosen = *a.chosen;
        memcpy(b.chosen_theta, a.chosen_theta, a.floats * sizeof(*a.chosen_theta));
    }
    if (a.lapses)
        memcpy(b.lapses, a.lapses, a.samples * sizeof(*a.lapses));
}

#define STILL ", \"curriculum\": {\"measure\": \"none\"}"
#define SWEEP_JOB                                                                                  \
    ", \"curriculum\": {\"measure\": \"adm\", \"initial\": 0.5, \"full_at\": 1, \"smoothing\": "   \
    "0.5}"
#define FORGETTING_JOB                                                                             \
    ", \"curriculum\": {\"measure\": \"forgetting\", \"initial\": 0.4, \"full_at\": 1, "           \
    "\"warmup\": 0, "                                                                              \
    "\"smoothing\": 0.5}"
#define TRAIN_JOB                                                                                  \
    ", \"score\": {\"source\": \"train\", \"every\": 2}, \"curriculum\": {\"measure\": \"loss\", " \
    "\"mode\": \"both\", \"initial\": 0.3, \"full_at\": 1, \"smoothing\": 0.25}"

#endif
