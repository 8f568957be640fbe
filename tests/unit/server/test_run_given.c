/* Runs with what comes from outside their job file, and runs that train nothing. */
#include "server/store/checkpoint.h"
#include "tests/unit/server/run_fixture.h"

static const struct drive plain = {.seed = 1, .want_max = 4};
static const uint32_t excluded[] = {2, 3, 19, 36};

#define EXCLUDE_JOB SWEEP_JOB ", \"exclude\": [2, 3, 19, 36]"

TEST(excluded_samples_are_swept_and_not_trained_on)
{
    struct fixture *f = fixture_create(EXCLUDE_JOB);
    bool seen[SAMPLES] = {false};
    struct run_epoch e;

    f->in = (struct run_inputs){.excluded = excluded, .excluded_count = 4};
    struct run *r = fixture_run(f, 1);
    ASSERT_EQ(0, run_start(r, 0));
    ASSERT_EQ((SAMPLES - 4) / BATCH * EPOCHS, run_progress(r).steps);
    while (!run_finished(r)) {
        const struct schedule *s = run_schedule(r);
        for (uint32_t i = 0; i < s->count; i++)
            seen[s->ids[i]] = true;
        if (drive_round(r, f, &plain, &e) != RUN_EPOCH)
            continue;
        ASSERT_EQ(SAMPLES, scored_of(&e));
        run_epoch_done(&e);
    }
    for (uint32_t i = 0; i < SAMPLES; i++)
        ASSERT_EQ(i != 2 && i != 3 && i != 19 && i != 36, seen[i]);
    run_free(r);
    fixture_free(f);
}

/* The epoch after the warm-up trains on the easier half of what was given. */
TEST(given_scores_order_the_samples)
{
    struct fixture *f = fixture_create(
        ", \"curriculum\": {\"measure\": {\"file\": \"x\"}, \"initial\": 0.5, \"full_at\": 1,"
        " \"balance\": \"none\"}");
    double order[SAMPLES];
    struct run_epoch e;

    for (uint32_t i = 0; i < SAMPLES; i++)
        order[i] = (double)(i * 5 % SAMPLES);
    f->in = (struct run_inputs){.order = order};
    struct run *r = fixture_run(f, 1);
    ASSERT_EQ(0, run_start(r, 0));
    while (run_progress(r).epoch == 0)
        if (drive_round(r, f, &plain, &e) == RUN_EPOCH)
            run_epoch_done(&e);
    const struct schedule *s = run_schedule(r);
    ASSERT_EQ(SAMPLES / 2 + 1, s->count);
    for (uint32_t i = 0; i < s->count; i++)
        ASSERT(order[s->ids[i]] <= SAMPLES / 2);
    run_free(r);
    fixture_free(f);
}

#define MEASURE_ONLY ", \"score\": {\"splits\": \"both\"}, \"weights\": {\"file\": \"m\"}"

TEST(a_run_that_trains_nothing_commits_one_epoch_of_scores)
{
    struct fixture *f = fixture_create(MEASURE_ONLY);
    float *theta = xcalloc(f->model.floats, sizeof(*theta));
    struct run_epoch e = {0};
    int rounds = 0;

    f->spec.epochs = 0;
    model_init(&f->model, 99, theta);
    f->in = (struct run_inputs){.theta = theta};
    struct run *r = fixture_run(f, 1);
    ASSERT_EQ(0, run_start(r, 0));
    ASSERT_EQ(PHASE_SWEEP, run_phase(r));
    ASSERT_EQ(0, run_progress(r).steps);
    for (; !run_finished(r); rounds++)
        if (drive_round(r, f, &plain, &e) == RUN_EPOCH)
            ASSERT(run_finished(r));
    ASSERT_EQ(2, rounds); /* sweep and test */
    ASSERT_EQ(0, e.record.epoch);
    ASSERT_EQ(SAMPLES, scored_of(&e));
    ASSERT_EQ(0, e.record.scheduled);
    ASSERT(isnan(e.record.share) && isnan(e.record.lr) && isnan(e.record.train_loss) &&
           isnan(e.record.sharpness));
    ASSERT(!isnan(e.record.test_accuracy) && e.record.mean_gap > 0);
    ASSERT_MEM(theta, run_theta(r), f->model.floats * sizeof(*theta));
    run_epoch_done(&e);
    free(theta);
    run_free(r);
    fixture_free(f);
}

TEST(weights_are_where_training_starts)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    float *theta = xcalloc(f->model.floats, sizeof(*theta));

    model_init(&f->model, f->spec.seed, theta);
    const struct outcome own = drive(f, &plain);
    f->in.theta = theta;
    const struct outcome same = drive(f, &plain);
    theta[0] += 1;
    const struct outcome other = drive(f, &plain);
    ASSERT_STR(own.theta_sha256, same.theta_sha256);
    ASSERT(strcmp(own.theta_sha256, other.theta_sha256) != 0);
    free(theta);
    fixture_free(f);
}

TEST(test_scores_are_kept_where_a_sweep_is_due)
{
    for (int both = 0; both < 2; both++) {
        struct fixture *f =
            fixture_create(both ? ", \"score\": {\"splits\": \"both\", \"every\": 2}"
                                : ", \"score\": {\"every\": 2}");
        struct run *r = fixture_run(f, 1);
        struct run_epoch e;

        ASSERT_EQ(0, run_start(r, 0));
        while (!run_finished(r)) {
            uint64_t theta = theta_key(r, f);
            if (drive_round(r, f, &plain, &e) != RUN_EPOCH)
                continue;
            bool due = e.record.epoch % 2 == 0 || e.record.epoch == EPOCHS - 1;
            ASSERT_EQ(due, e.scores != NULL);
            ASSERT_EQ(both && due, e.test_scores != NULL);
            for (uint32_t i = 0; e.test_scores && i < TESTS; i++) {
                struct score want = fake_score(theta, PHASE_TEST, i, i);
                ASSERT(want.loss == e.test_scores[i].loss);
                ASSERT(score_adm(&want, f->spec.normaliser, e.record.mean_gap) == e.test_adm[i]);
            }
            run_epoch_done(&e);
        }
        run_free(r);
        fixture_free(f);
    }
}

/* Ranks are what a checkpoint holds of both, so that a run goes on without them. */
TEST(order_and_exclusion_survive_a_checkpoint)
{
    struct fixture *f = fixture_create(
        ", \"curriculum\": {\"measure\": {\"file\": \"x\"}, \"initial\": 0.5, \"full_at\": 1}, "
        "\"exclude\": [2, 3, 19, 36]");
    double order[SAMPLES];
    struct outcome want, got;
    struct run_epoch e;

    for (uint32_t i = 0; i < SAMPLES; i++)
        order[i] = (double)(i * 11 % SAMPLES);
    const struct run_inputs in = {.order = order, .excluded = excluded, .excluded_count = 4};
    f->in = in;
    want = drive(f, &plain);
    for (int at = 1; at < 12; at += 3) {
        f->in = in;
        struct run *before = fixture_run(f, 1);
        sha256_init(&got.epochs);
        ASSERT_EQ(0, run_start(before, 0));
        for (int i = 0; i < at; i++)
            if (drive_round(before, f, &plain, &e) == RUN_EPOCH)
                outcome_add(&got, &e);
        struct checkpoint *c = checkpoint_take(before, 0);
        f->in = (struct run_inputs){0};
        struct run *after = fixture_run(f, 2);
        checkpoint_restore(c, after);
        ASSERT_EQ(0, run_start(after, 0));
        drive_on(after, f, &plain, &got);
        ASSERT_STR(want.theta_sha256, got.theta_sha256);
        ASSERT_STR(want.epochs_sha256, got.epochs_sha256);
        checkpoint_free(c);
        run_free(before);
        run_free(after);
    }
    fixture_free(f);
}
