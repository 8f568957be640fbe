/* Runs that take revisions of their dataset, and go on from checkpoints with them. */
#include "tests/unit/server/run_fixture.h"

#include "server/core/curriculum.h"
#include "server/core/split.h"
#include "server/store/checkpoint.h"

static const struct drive plain = {.seed = 1, .want_max = 4}, wild = {.seed = 2,
                                                                      .want_max = 4,
                                                                      .shuffle = true,
                                                                      .lose = true,
                                                                      .repeat = true};
static struct overlay_row rows[] = {{3, OVERLAY_EXCLUDED}, {4, 2}, {5, OVERLAY_EXCLUDED}, {36, 1}};
static const struct overlay second = {.number = 2, .rows = rows, .count = 4, .excluded = 2};
static const struct overlay imported = {0};

static struct run *with(const struct fixture *f, int64_t epoch)
{
    struct run *r = fixture_run(f, 1);

    ASSERT_EQ(0, run_revise(r, epoch, &second));
    return r;
}

static bool schedules(const struct run *r, uint32_t id)
{
    const struct schedule *s = run_schedule(r);
    bool found = false;

    for (uint32_t i = 0; i < s->count; i++)
        found = found || s->ids[i] == id;
    return found;
}

TEST(an_epoch_has_the_labels_of_its_revision)
{
    struct fixture *f =
        fixture_create(", \"score\": {\"every\": 1}, \"curriculum\": {\"measure\": \"none\"}");
    struct run *r = with(f, 1);
    struct run_epoch e;
    struct run_task t;

    ASSERT_EQ(0, run_start(r, 0));
    const uint64_t steps = run_progress(r).steps;
    ASSERT(schedules(r, 3));
    ASSERT_EQ(0, run_take(r, BY(1), 1, 0, 1000, &t));
    ASSERT(!t.labels);
    run_release(r, 1, 0);
    while (drive_round(r, f, &plain, &e) != RUN_EPOCH)
        ;
    ASSERT_EQ(0, e.record.revision);
    ASSERT(!e.labels);
    run_epoch_done(&e);
    ASSERT(!schedules(r, 3) && !schedules(r, 5) && schedules(r, 4));
    ASSERT_EQ(0, run_take(r, BY(1), 1, 0, 1000, &t));
    ASSERT_EQ(2, t.labels[4]);
    ASSERT_EQ(1, t.labels[36]);
    ASSERT_EQ(f->labels[0], t.labels[0]);
    run_release(r, 1, 0);
    while (drive_round(r, f, &plain, &e) != RUN_EPOCH)
        ;
    ASSERT_EQ(2, e.record.revision);
    ASSERT_EQ(2, e.labels[4]);
    run_epoch_done(&e);
    ASSERT_EQ(steps, run_progress(r).steps); /* as many as without */
    run_free(r);
    fixture_free(f);
}

/* In the middle of an epoch with a revision, and between two that have different ones. */
TEST(a_run_with_revisions_goes_on_from_a_checkpoint_to_the_same_bits)
{
    struct fixture *f = fixture_create(SWEEP_JOB);

    for (int rounds = 1; rounds < 16; rounds++) {
        struct outcome o[2];
        struct run *r = with(f, 1);
        struct run_epoch e;
        ASSERT_EQ(0, run_revise(r, 3, &imported));
        sha256_init(&o[0].epochs);
        sha256_init(&o[1].epochs);
        ASSERT_EQ(0, run_start(r, 0));
        for (int i = 0; i < rounds && !run_finished(r); i++)
            if (drive_round(r, f, &plain, &e) == RUN_EPOCH)
                run_epoch_done(&e);
        if (run_finished(r) || run_state(r).cursor->step_in_epoch == STEPS) {
            run_free(r);
            continue;
        }
        struct checkpoint *c = checkpoint_take(r, 0);
        struct run *next = with(f, 1);
        ASSERT_EQ(0, run_revise(next, 3, &imported));
        checkpoint_restore(c, next);
        checkpoint_free(c);
        ASSERT_EQ(0, run_start(next, 0));
        drive_on(r, f, &plain, &o[0]);
        drive_on(next, f, &wild, &o[1]);
        ASSERT_STR(o[0].theta_sha256, o[1].theta_sha256);
        run_free(r);
        run_free(next);
    }
    fixture_free(f);
}

TEST(a_run_that_is_held_back_opens_no_epoch_until_it_is_let_go)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    struct outcome told = {.theta_sha256 = ""}, o = told;
    struct run *r = with(f, 2);
    struct run_epoch e;
    struct run_task t;
    enum run_event event;

    sha256_init(&told.epochs);
    ASSERT_EQ(0, run_start(r, 0));
    drive_on(r, f, &plain, &told);
    run_free(r);

    r = fixture_run(f, 1);
    sha256_init(&o.epochs);
    ASSERT_EQ(0, run_start(r, 0));
    for (int epochs = 0; epochs < 2;) {
        if (epochs == 1)
            run_hold(r);
        if (drive_round(r, f, &plain, &e) == RUN_EPOCH) {
            outcome_add(&o, &e);
            epochs++;
        }
    }
    ASSERT(run_is_between(r));
    ASSERT_EQ(-EAGAIN, run_take(r, BY(1), 1, 0, 1000, &t));
    ASSERT_EQ(0, run_revise(r, 2, &imported));
    ASSERT_EQ(0, run_revise(r, 2, &second)); /* the last word counts */
    ASSERT(run_let_go(r));
    ASSERT(run_is_long(r));
    ASSERT_EQ(0, run_go_on(r, 0, &event, &e));
    ASSERT_EQ(RUN_ROUND, event);
    ASSERT(!run_is_between(r));
    drive_on(r, f, &plain, &o);
    ASSERT_STR(told.theta_sha256, o.theta_sha256);
    ASSERT_STR(told.epochs_sha256, o.epochs_sha256);
    run_free(r);
    fixture_free(f);
}

TEST(what_validates_and_is_left_out_is_put_aside)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    uint8_t use[SAMPLES];
    struct run_task t;
    struct run_epoch e;

    for (uint32_t i = 0; i < SAMPLES; i++)
        use[i] = i % 4 == 1 ? USE_VALIDATION : USE_TRAIN; /* 5 validates, 3 does not */
    f->in.use = use;
    ASSERT_EQ(27, run_revision_left(SAMPLES, use, USE_TRAIN, NULL, 0, &second));
    ASSERT_EQ(35, run_revision_left(SAMPLES, NULL, USE_TRAIN, NULL, 0, &second));
    ASSERT_EQ(34,
              run_revision_left(SAMPLES, NULL, USE_TRAIN, (const uint32_t[]){3, 9}, 2, &second));
    ASSERT_EQ(8, run_revision_left(SAMPLES, use, USE_VALIDATION, NULL, 0, &second));
    ASSERT_EQ(0, run_revision_left(SAMPLES, NULL, USE_VALIDATION, NULL, 0, &second));
    struct run *r = with(f, 0);
    ASSERT_EQ(0, run_start(r, 0));
    while (run_phase(r) != PHASE_VALIDATION)
        drive_round(r, f, &plain, &e);
    ASSERT_EQ(0, run_take(r, BY(1), run_shards(r), 0, 1000, &t));
    ASSERT_EQ(8, t.count);
    for (uint32_t i = 0; i < t.count; i++)
        ASSERT(t.ids[i] != 5);
    run_free(r);
    fixture_free(f);
}
