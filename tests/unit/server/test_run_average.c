/* The mean of theta over the last epochs, and the statistics of its BatchNorms. */
#include <math.h>

#include "tests/unit/server/run_fixture.h"

#define AVERAGE ", \"average\": {\"from\": 0.5}"

/* Goes on to the last update of the open epoch. */
static void train_epoch(struct run *r, const struct fixture *f, struct run_epoch *e)
{
    const uint64_t end = run_step(r) + STEPS;

    while (run_step(r) < end)
        ASSERT_EQ(RUN_ROUND, give(r, compute_round(r, f), e));
}

static void measure_epoch(struct run *r, const struct fixture *f)
{
    enum run_event event = RUN_ROUND;
    struct run_epoch e;

    while (event != RUN_EPOCH)
        event = give(r, compute_round(r, f), &e);
    epoch_done(&e);
}

/* Four epochs from 0.5 on: the mean of theta after the third and after the fourth, in double. */
TEST(the_model_is_the_mean_of_the_weights_after_the_last_epochs)
{
    static const struct {
        const char *from;
        int first;
    } cases[] = {{"0.5", 2}, {"0", 0}, {"0.74", 2}, {"0.75", 3}, {"0.3", 1}};

    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        char keys[160];
        snprintf(keys, sizeof(keys), STILL ", \"average\": {\"from\": %s}", cases[c].from);
        struct fixture *f = fixture_create(keys), *without = fixture_create(STILL);
        const size_t n = f->model.trained;
        struct run *r = started(f), *other = started(without);
        double *sum = xcalloc(n, sizeof(*sum));
        struct run_epoch e;

        ASSERT_EQ(cases[c].first, run_average_first(&f->spec));
        for (int epoch = 0; epoch < EPOCHS; epoch++) {
            train_epoch(r, f, &e);
            train_epoch(other, without, &e);
            for (size_t i = 0; epoch >= cases[c].first && i < n; i++)
                sum[i] += (double)run_theta(other)[i];
            if (epoch < EPOCHS - 1)
                ASSERT_MEM(run_theta(other), run_theta(r), n * sizeof(float));
            else
                for (size_t i = 0; i < n; i++)
                    ASSERT_NEAR(sum[i] / (EPOCHS - cases[c].first), run_theta(r)[i], 1e-6);
            measure_epoch(r, f);
            measure_epoch(other, without);
        }
        ASSERT(run_finished(r));
        ASSERT(cases[c].first == 3 ||
               memcmp(run_theta(other), run_theta(r), n * sizeof(float)) != 0);
        free(sum);
        run_free(r);
        run_free(other);
        fixture_free(f);
        fixture_free(without);
    }
}

/* The sweep and the test of the last epoch are of the mean. */
TEST(what_is_measured_at_last_is_the_mean)
{
    struct fixture *f = fixture_create(STILL AVERAGE);
    struct run *r = started(f);
    struct run_epoch e;

    for (int epoch = 0; epoch < EPOCHS - 1; epoch++) {
        train_epoch(r, f, &e);
        measure_epoch(r, f);
    }
    train_epoch(r, f, &e);
    ASSERT_EQ(PHASE_SWEEP, run_phase(r));
    ASSERT(run_round_theta(r) == run_theta(r));
    const struct run_state s = run_state(r);
    ASSERT_STR("average", s.vector_names[1]);
    ASSERT_MEM(s.vectors[1], run_theta(r), f->model.trained * sizeof(float));
    run_free(r);
    fixture_free(f);
}

/* One round more, at the mean, whose gradient does nothing: 12 full shards of 37 samples. */
TEST(a_round_takes_the_running_statistics_of_the_mean)
{
    struct fixture *f = fixture_with("batchnorm", STILL AVERAGE);
    const struct model *m = &f->model;
    struct run *r = started(f);
    const size_t bytes = m->floats * sizeof(float);
    float *mean = xcalloc(1, bytes);
    struct run_epoch e;
    bool seen[SAMPLES] = {false};
    struct run_task t;

    ASSERT(m->floats > m->trained);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        train_epoch(r, f, &e);
        if (epoch < EPOCHS - 1) {
            ASSERT(!phase_trains(run_phase(r)));
            measure_epoch(r, f);
        }
    }
    memcpy(mean, run_theta(r), bytes);
    ASSERT_EQ(PHASE_DESCENT, run_phase(r));
    ASSERT_EQ(EPOCHS * STEPS, run_step(r));
    ASSERT_EQ(SAMPLES / SHARD, run_shards(r));
    ASSERT_MEM(mean, run_round_theta(r), m->trained * sizeof(float));
    for (size_t i = m->trained; i < m->floats; i++)
        ASSERT(run_round_theta(r)[i] == 0);
    ASSERT_EQ(0, run_take(r, BY(1), run_shards(r), 0, 1000, &t));
    for (uint32_t i = 0; i < t.count; i++) {
        ASSERT(!seen[t.ids[i]] && t.weights[i] == 1);
        seen[t.ids[i]] = true;
    }
    struct fake *k = fake_compute(r, f, &t);
    float *sum = xcalloc(1, bytes);
    memcpy(sum, k->grad, bytes);
    ASSERT_EQ(RUN_ROUND, give(r, k, &e));
    ASSERT_EQ(PHASE_SWEEP, run_phase(r));
    ASSERT_EQ(EPOCHS * STEPS, run_step(r));
    ASSERT_MEM(mean, run_theta(r), m->trained * sizeof(float));
    for (size_t i = m->trained; i < m->floats; i++)
        ASSERT_NEAR((double)sum[i] / (SAMPLES / SHARD), run_theta(r)[i], 1e-6);
    measure_epoch(r, f);
    ASSERT(run_finished(r));
    free(mean), free(sum);
    run_free(r);
    fixture_free(f);
}

TEST(any_split_order_and_loss_gives_the_same_bits)
{
    for (int norm = 0; norm < 2; norm++) {
        struct fixture *f = fixture_with(norm ? "batchnorm" : "relu", SWEEP_JOB AVERAGE);
        ends_alike(f, 8);
        fixture_free(f);
    }
}

TEST(the_mean_and_the_round_of_statistics_count)
{
    struct fixture *f = fixture_with("batchnorm", ""), *mean = fixture_with("batchnorm", AVERAGE);
    const size_t vector = f->model.floats * sizeof(float);

    /* 12 shards can leave 6 sums that wait, where 2 of 4 could. */
    ASSERT_EQ(run_memory(&f->spec, &f->model, &f->data, 0) + (1 + 4) * vector,
              run_memory(&mean->spec, &mean->model, &mean->data, 0));
    fixture_free(f);
    fixture_free(mean);
    f = fixture_create("");
    mean = fixture_create(AVERAGE);
    ASSERT_EQ(run_memory(&f->spec, &f->model, &f->data, 0) + f->model.floats * sizeof(float),
              run_memory(&mean->spec, &mean->model, &mean->data, 0));
    fixture_free(f);
    fixture_free(mean);
}
