/* Runs that hold samples out of training. */
#include "tests/unit/server/run_fixture.h"

#include "server/core/split.h"
#include "server/store/checkpoint.h"

static const struct drive plain = {.seed = 1, .want_max = 4};

/* Every fourth sample validates; `test`: and every fifth of the others is the test. */
static void hold(struct fixture *f, uint8_t use[SAMPLES], bool test)
{
    for (uint32_t i = 0; i < SAMPLES; i++)
        use[i] = i % 4 == 1 ? USE_VALIDATION : test && i % 5 == 0 ? USE_TEST : USE_TRAIN;
    f->in.use = use;
}

static uint32_t count(const uint8_t use[SAMPLES], enum use which)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < SAMPLES; i++)
        n += use[i] == which;
    return n;
}

TEST(held_out_samples_are_measured_and_neither_trained_on_nor_swept)
{
    static const uint32_t excluded[] = {1, 2};
    struct fixture *f = fixture_create(SWEEP_JOB);
    uint8_t use[SAMPLES];
    struct run_epoch e;

    hold(f, use, false);
    f->in.excluded = excluded;
    f->in.excluded_count = 2;
    f->spec.exclude.count = 2;
    f->spec.exclude.held = 1;
    const uint32_t trained = count(use, USE_TRAIN);
    struct run *r = fixture_run(f, 1);
    ASSERT_EQ(0, run_start(r, 0));
    ASSERT_EQ((trained - 1) / BATCH * EPOCHS, run_progress(r).steps);
    while (!run_finished(r)) {
        const struct schedule *s = run_schedule(r);
        for (uint32_t i = 0; i < s->count; i++)
            ASSERT(use[s->ids[i]] == USE_TRAIN && s->ids[i] != 2);
        if (drive_round(r, f, &plain, &e) != RUN_EPOCH)
            continue;
        ASSERT_EQ(trained, scored_of(&e));
        for (uint32_t i = 0; i < SAMPLES; i++)
            ASSERT_EQ(use[i] == USE_TRAIN, e.scores[i].flags & SCORE_MEASURED);
        run_epoch_done(&e);
    }
    run_free(r);
    fixture_free(f);
}

/* The scores of each epoch come back before the next sweep, or only behind its first result. */
static struct outcome drive_lending(const struct fixture *f, bool late)
{
    struct run *r = started(f);
    struct run_epoch e;
    struct outcome o;

    sha256_init(&o.epochs);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        while (drive_round(r, f, &plain, &e) != RUN_EPOCH)
            ;
        struct score *lent = e.scores;
        e.scores = alloc_bytes(SAMPLES, sizeof(*lent));
        memcpy(e.scores, lent, SAMPLES * sizeof(*lent));
        outcome_add(&o, &e);
        if (late && !run_finished(r)) {
            while (run_phase(r) != PHASE_SWEEP)
                drive_round(r, f, &plain, &e);
            struct run_task t;
            ASSERT_EQ(0, run_take(r, BY(1), 1, 0, 1000, &t));
            give(r, fake_compute(r, f, &t), &e);
        }
        ASSERT_EQ(!late || run_finished(r), run_take_back(r, lent));
        if (late && !run_finished(r))
            free(lent);
    }
    outcome_end(&o, r, f);
    run_free(r);
    return o;
}

TEST(scores_that_come_back_are_written_over)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    uint8_t use[SAMPLES];

    hold(f, use, true);
    struct outcome want = drive(f, &plain), early = drive_lending(f, false),
                   late = drive_lending(f, true);
    same_outcome(&want, &early);
    same_outcome(&want, &late);
    fixture_free(f);
}

/* What a round over the samples of one use says, written out. */
static void expect(const struct fixture *f, uint64_t theta, const uint8_t *use, enum use which,
                   enum phase phase, double *ret_loss, double *ret_accuracy, double *ret_adv)
{
    double loss = 0;
    uint32_t right = 0, adv_right = 0, n = 0;

    for (uint32_t i = 0; i < SAMPLES; i++) {
        if (use[i] != which)
            continue;
        const struct score s = fake_score(theta, phase, i, n++);
        loss += s.loss;
        right += s.predicted == f->labels[i];
        adv_right += s.adv_predicted == f->labels[i];
    }
    *ret_loss = loss / n;
    *ret_accuracy = (double)right / n;
    *ret_adv = (double)adv_right / n;
}

TEST(an_epoch_says_what_its_held_out_samples_are_like)
{
    struct fixture *f = fixture_create(", \"score\": {\"splits\": \"both\"}" SWEEP_JOB);
    uint8_t use[SAMPLES];
    struct run_epoch e;
    double loss, accuracy, adv;

    hold(f, use, true);
    struct run *r = started(f);
    ASSERT(isnan(run_progress(r).validation_accuracy));
    while (run_phase(r) != PHASE_VALIDATION)
        drive_round(r, f, &plain, &e);
    const uint64_t theta = theta_key(r, f);
    ASSERT_EQ(RUN_ROUND, drive_round(r, f, &plain, &e));
    ASSERT_EQ(PHASE_HELD_TEST, run_phase(r)); /* the dataset's test images are left out */
    ASSERT_EQ(RUN_EPOCH, drive_round(r, f, &plain, &e));
    expect(f, theta, use, USE_VALIDATION, PHASE_VALIDATION, &loss, &accuracy, &adv);
    ASSERT(loss == e.record.validation_loss && accuracy == e.record.validation_accuracy);
    ASSERT(adv == e.record.validation_adv_accuracy);
    ASSERT(accuracy == run_progress(r).validation_accuracy);
    expect(f, theta, use, USE_TEST, PHASE_HELD_TEST, &loss, &accuracy, &adv);
    ASSERT(loss == e.record.test_loss && accuracy == e.record.test_accuracy);
    ASSERT(adv == e.record.adv_accuracy);
    ASSERT_EQ(count(use, USE_TEST), e.tested);
    for (uint32_t i = 0; i < e.tested; i++)
        ASSERT(use[e.test_ids[i]] == USE_TEST && (i == 0 || e.test_ids[i] > e.test_ids[i - 1]));
    run_epoch_done(&e);
    run_free(r);
    fixture_free(f);
}

TEST(a_run_that_holds_nothing_out_has_no_validation)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    struct run *r = started(f);
    struct run_epoch e;

    while (drive_round(r, f, &plain, &e) != RUN_EPOCH)
        ASSERT(run_phase(r) != PHASE_VALIDATION && run_phase(r) != PHASE_HELD_TEST);
    ASSERT(isnan(e.record.validation_loss) && isnan(e.record.validation_accuracy));
    ASSERT(isnan(e.record.validation_adv_accuracy));
    run_epoch_done(&e);
    run_free(r);
    fixture_free(f);
}

/* Whoever computes it, in whatever order, and where it stopped. */
TEST(held_out_samples_keep_the_promise)
{
    static const char *const jobs[] = {SWEEP_JOB, FORGETTING_JOB, TRAIN_JOB};

    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        struct fixture *f = fixture_create(jobs[i]);
        uint8_t use[SAMPLES];

        hold(f, use, true);
        ends_alike(f, 4);
        fixture_free(f);
    }
}

/* A checkpoint in the middle of the validation: the rounds after the last step come again. */
TEST(a_run_goes_on_from_its_validation)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    uint8_t use[SAMPLES];
    struct run_epoch e;
    struct outcome got;

    hold(f, use, true);
    const struct outcome want = drive(f, &plain);
    struct run *r = started(f), *again = fixture_run(f, 2);
    sha256_init(&got.epochs);
    while (run_phase(r) != PHASE_VALIDATION)
        if (drive_round(r, f, &plain, &e) == RUN_EPOCH)
            outcome_add(&got, &e);
    restore(again, r);
    run_free(r);
    ASSERT_EQ(0, run_start(again, 0));
    drive_on(again, f, &plain, &got);
    same_outcome(&want, &got);
    run_free(again);
    fixture_free(f);
}

/* Written out: the model at the end of the epoch with the highest validation accuracy, the earlier
 * of equal ones; what the test says plays no part. */
TEST(the_best_epoch_is_kept)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct fixture *f =
            fixture_create(SWEEP_JOB ", \"validation\": {\"share\": 0.25}, \"keep\": \"best\"");
        const size_t bytes = f->model.floats * sizeof(float);
        float *best = xmalloc(bytes);
        double accuracy = -1;
        int64_t epoch = -1, epochs;
        uint8_t use[SAMPLES];
        struct run_epoch e;

        f->spec.seed = seed;
        hold(f, use, true);
        struct run *r = started(f);
        ASSERT(run_model(r, &epochs) == run_theta(r));
        ASSERT_EQ(0, epochs);
        while (!run_finished(r)) {
            float *theta = xmalloc(bytes);
            memcpy(theta, run_theta(r), bytes);
            if (drive_round(r, f, &plain, &e) == RUN_EPOCH) {
                if (e.record.validation_accuracy > accuracy) {
                    accuracy = e.record.validation_accuracy;
                    epoch = e.record.epoch;
                    memcpy(best, theta, bytes);
                }
                run_epoch_done(&e);
                ASSERT_MEM(best, run_model(r, &epochs), bytes);
                ASSERT_EQ(epoch + 1, epochs);
            }
            free(theta);
        }
        free(best);
        run_free(r);
        fixture_free(f);
    }
}

TEST(the_fold_that_is_left_out_is_swept_and_marked_and_not_trained_on)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    uint8_t use[SAMPLES];
    struct run_epoch e;

    for (uint32_t i = 0; i < SAMPLES; i++)
        use[i] = i % 4 == 1 ? USE_FOLD : i % 4 == 2 ? USE_VALIDATION : USE_TRAIN;
    f->in.use = use;
    struct run *r = fixture_run(f, 1);
    ASSERT_EQ(0, run_start(r, 0));
    while (!run_finished(r)) {
        const struct schedule *s = run_schedule(r);
        for (uint32_t i = 0; i < s->count; i++)
            ASSERT_EQ(USE_TRAIN, use[s->ids[i]]);
        if (drive_round(r, f, &plain, &e) != RUN_EPOCH)
            continue;
        for (uint32_t i = 0; i < SAMPLES; i++) {
            ASSERT_EQ(use[i] != USE_VALIDATION, e.scores[i].flags & SCORE_MEASURED);
            ASSERT_EQ(use[i] == USE_FOLD, (e.scores[i].flags & SCORE_LEFT_OUT) != 0);
        }
        run_epoch_done(&e);
    }
    run_free(r);
    fixture_free(f);
}

/* Closes epochs until the run is finished; how many, and the model's hash. */
static int64_t run_out(struct run *r, struct fixture *f, const struct drive *how)
{
    struct run_epoch e;
    int64_t closed = 0;

    while (!run_finished(r))
        if (drive_round(r, f, how, &e) == RUN_EPOCH) {
            closed++;
            run_epoch_done(&e);
        }
    return closed;
}

TEST(a_run_ends_when_its_patience_does_and_so_does_one_that_goes_on_from_there)
{
    struct fixture *f = fixture_create(", \"validation\": {\"share\": 0.25}, \"keep\": \"best\","
                                       " \"early_stopping\": {\"patience\": 1}" SWEEP_JOB);
    uint8_t use[SAMPLES];
    int64_t trained;

    hold(f, use, false);
    struct run *r = started(f), *again;
    const int64_t closed = run_out(r, f, &plain);
    const int64_t best = (int64_t)run_state(r).chosen->epoch;
    ASSERT(closed < EPOCHS); /* as the made-up accuracies have it */
    ASSERT(run_stopped(r));
    ASSERT_EQ(closed, best + 2);
    run_model(r, &trained);
    ASSERT_EQ(best + 1, trained);
    struct checkpoint *c = checkpoint_take(r, 0);
    again = fixture_run(f, 2);
    checkpoint_restore(c, again);
    ASSERT_EQ(0, run_start(again, 0));
    ASSERT(run_finished(again) && run_stopped(again));
    checkpoint_free(c);
    run_free(again);
    run_free(r);
    f->spec.patience = EPOCHS;
    r = started(f);
    ASSERT_EQ(EPOCHS, run_out(r, f, &plain));
    ASSERT(!run_stopped(r));
    run_free(r);
    fixture_free(f);
}
