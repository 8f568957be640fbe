/* Rounds that measure flatness in the life of a run. */
#include "server/core/flatness.h"
#include "server/core/split.h"
#include "tests/unit/server/run_fixture.h"

#define FLAT                                                                                       \
    ", \"flatness\": {\"every\": 2, \"samples\": 20, \"probes\": 3, \"iterations\": 6}, "          \
    "\"exclude\": [1, 9]"

static const struct drive plain = {.seed = 1, .want_max = 64};

TEST(the_figures_do_not_depend_on_splits_order_and_loss)
{
    struct fixture *f = fixture_create(FLAT);

    ends_alike(f, 6);
    fixture_free(f);
}

/* Training does not notice that it is looked at. */
TEST(the_weights_are_those_of_a_job_without_it)
{
    struct fixture *f = fixture_create(FLAT), *g = fixture_create(", \"exclude\": [1, 9]");
    const struct outcome with = drive(f, &plain), without = drive(g, &plain);

    ASSERT_STR(with.theta_sha256, without.theta_sha256);
    ASSERT(strcmp(with.epochs_sha256, without.epochs_sha256) != 0);
    fixture_free(f);
    fixture_free(g);
}

TEST(it_is_measured_at_every_second_epoch_and_the_last_over_samples_that_are_not_excluded)
{
    static const uint32_t excluded[] = {1, 9};
    struct fixture *f = fixture_create(FLAT);
    f->in = (struct run_inputs){.excluded = excluded, .excluded_count = 2};
    struct run *r = started(f);
    struct run_epoch e;
    uint32_t rounds[PHASES] = {0};
    bool tested = false;

    while (!run_finished(r)) {
        const enum phase phase = run_phase(r);
        struct run_task t;

        rounds[phase]++;
        tested |= phase == PHASE_TEST;
        ASSERT_EQ(phase_measures(phase), run_turn(r) > 0);
        ASSERT_EQ(phase == PHASE_PRODUCT, run_vector(r) != NULL);
        if (phase_measures(phase)) {
            ASSERT(!tested); /* the round of the test closes the epoch: its scores are kept */
            ASSERT_EQ(7, run_shards(r));
            ASSERT_EQ(0, run_take(r, BY(9), 7, 0, 1000, &t));
            ASSERT_EQ(20, t.count);
            ASSERT(!t.weights);
            for (uint32_t i = 0; i < t.count; i++)
                ASSERT(t.ids[i] != 1 && t.ids[i] != 9 && (i == 0 || t.ids[i] > t.ids[i - 1]));
            run_release(r, 9, 0);
        }
        if (drive_round(r, f, &plain, &e) != RUN_EPOCH)
            continue;
        ASSERT_EQ(e.record.epoch % 2 == 0 || e.record.epoch == EPOCHS - 1, e.flatness != NULL);
        if (e.flatness) {
            ASSERT_EQ(20, e.flatness->samples);
            ASSERT_EQ(3, e.flatness->probes);
            ASSERT(e.flatness->count >= 1 && e.flatness->products <= 6);
        }
        run_epoch_done(&e);
        tested = false;
    }
    ASSERT_EQ(3, rounds[PHASE_SLOPE]);
    ASSERT_EQ(3 * (3 + FLATNESS_LINES * (FLATNESS_POINTS - 1)), rounds[PHASE_LOSS]);
    run_free(r);
    fixture_free(f);
}

/* A checkpoint knows nothing of a measurement: it begins again. */
TEST(a_run_that_was_killed_in_the_middle_measures_again)
{
    struct fixture *f = fixture_create(FLAT);
    const struct outcome want = drive(f, &plain);
    struct outcome got;
    struct run_epoch e;

    for (int at = 1; at < 60; at += 13) {
        struct run *before = started(f), *after = fixture_run(f, 2);
        while (run_turn(before) < (uint32_t)at)
            ASSERT(drive_round(before, f, &plain, &e) != RUN_EPOCH);
        restore(after, before);
        sha256_init(&got.epochs);
        ASSERT_EQ(0, run_start(after, 0));
        drive_on(after, f, &plain, &got);
        same_outcome(&want, &got);
        run_free(before);
        run_free(after);
    }
    fixture_free(f);
}

TEST(a_result_without_finite_numbers_is_refused)
{
    struct fixture *f = fixture_create(FLAT);
    struct run *r = started(f);
    struct run_epoch e;
    struct errbuf why;

    for (enum phase phase = PHASE_SLOPE; phase <= PHASE_LOSS; phase++) {
        while (run_phase(r) != phase)
            drive_round(r, f, &plain, &e);
        struct fake *k = compute_round(r, f);
        const double was = k->sums[SUM_LOSS];
        k->sums[SUM_LOSS] = NAN;
        ASSERT_EQ(-EINVAL, run_result(r, &k->res, &why));
        k->sums[SUM_LOSS] = was;
        ASSERT_EQ(0, run_result(r, &k->res, &why));
        fake_free(k);
        run_free(r);
        r = started(f);
    }
    run_free(r);
    fixture_free(f);
}

/* Nor is a sample that validates or tests. */
TEST(held_out_samples_are_not_measured)
{
    struct fixture *f =
        fixture_create(", \"flatness\": {\"every\": 1, \"samples\": 0, \"probes\": 1}");
    uint8_t use[SAMPLES];
    struct run_epoch e;
    struct run_task t;
    uint32_t trained = 0;

    for (uint32_t i = 0; i < SAMPLES; i++) {
        use[i] = i % 4 == 1 ? USE_VALIDATION : i % 5 == 0 ? USE_TEST : USE_TRAIN;
        trained += use[i] == USE_TRAIN;
    }
    f->in.use = use;
    struct run *r = fixture_run(f, 1);
    ASSERT_EQ(0, run_start(r, 0));
    while (run_phase(r) != PHASE_SLOPE)
        ASSERT(drive_round(r, f, &plain, &e) != RUN_EPOCH);
    ASSERT_EQ(0, run_take(r, BY(9), TASKS_MAX, 0, 1000, &t));
    ASSERT_EQ(trained, t.count);
    for (uint32_t i = 0; i < t.count; i++)
        ASSERT_EQ(USE_TRAIN, use[t.ids[i]]);
    run_free(r);
    fixture_free(f);
}

TEST(memory_counts_the_vectors_of_the_iteration)
{
    struct fixture *f = fixture_create(FLAT), *g = fixture_create("");

    ASSERT_EQ(6 + 2, flatness_vectors(&f->spec.flatness));
    ASSERT_EQ(0, flatness_vectors(&g->spec.flatness));
    ASSERT(run_memory(&f->spec, &f->model, &f->data, 0) >=
           run_memory(&g->spec, &g->model, &g->data, 0) + 8 * f->model.floats * sizeof(float));
    fixture_free(f);
    fixture_free(g);
}

/* Every forward pass takes a second. */
TEST(the_time_left_falls_round_by_round_while_it_is_measured)
{
    struct fixture *f = fixture_create(FLAT);
    struct run *r = started(f);
    double left_s = INFINITY;
    enum run_event event;
    struct run_epoch e;
    struct errbuf why;
    int64_t now_ms = 0;
    uint32_t rounds = 0;

    while (!run_finished(r)) {
        const enum phase phase = run_phase(r);
        const struct run_progress p = run_progress(r);
        struct fake *k = compute_round(r, f);

        ASSERT_EQ(phase_measures(phase), p.turn > 0);
        ASSERT(p.turn <= p.turns && p.turns <= 1 + 1 + 3 + 6 + 2 + 60);
        if (p.turn > 1) { /* in the first the training before it ends */
            ASSERT(p.eta_s < left_s);
            rounds++;
        }
        left_s = p.eta_s;
        now_ms += (int64_t)(1e3 * run_shards(r) * SHARD *
                            (phase_measures(phase) ? flatness_round_cost(phase)
                             : phase_trains(phase) ? 6
                                                   : 3));
        ASSERT_OK(run_result(r, &k->res, &why), why);
        ASSERT_EQ(0, run_advance(r, now_ms, &event, &e));
        if (event == RUN_EPOCH)
            run_epoch_done(&e);
        fake_free(k);
    }
    ASSERT(rounds > 100);
    ASSERT(run_progress(r).eta_s == 0);
    run_free(r);
    fixture_free(f);
}
