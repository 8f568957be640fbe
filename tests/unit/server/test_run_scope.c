/* Steps in two rounds: an ascent by the gradient of the whole batch, then a descent. */
#include "common/ascent.h"
#include "tests/unit/server/run_fixture.h"

#define BATCH_SCOPE ", \"sam\": {\"scope\": \"batch\"}"

static const struct drive plain = {.seed = 1, .want_max = 1};

TEST(theta_hat_is_the_ascent_by_the_gradient_of_the_batch)
{
    static const char *const sams[] = {
        ", \"sam\": {\"scope\": \"batch\", \"rho\": 0.25}",
        ", \"sam\": {\"scope\": \"batch\", \"name\": \"asam\"}",
    };

    for (int s = 0; s < 2; s++) {
        struct fixture *f = fixture_create(sams[s]);
        const struct model *m = &f->model;
        struct run *r = started(f);
        float *hat = xcalloc(m->floats, sizeof(*hat)), *theta = xcalloc(m->floats, sizeof(*theta));
        uint32_t ids[BATCH];
        struct run_epoch e;
        struct run_task t;

        ASSERT_EQ(PHASE_ASCENT, run_phase(r));
        ASSERT(run_round_theta(r) == run_theta(r));
        memcpy(theta, run_theta(r), m->floats * sizeof(*theta));
        ASSERT_EQ(0, run_take(r, BY(1), 4, 0, 1000, &t));
        ASSERT(t.weights);
        memcpy(ids, t.ids, sizeof(ids));
        struct fake *k = fake_compute(r, f, &t);
        ascent(m, (enum sam_kind)f->spec.sam, f->spec.rho, k->sums[SUM_WEIGHT], k->grad, theta,
               hat);
        ASSERT_EQ(RUN_ROUND, give(r, k, &e));

        ASSERT_EQ(PHASE_DESCENT, run_phase(r));
        ASSERT_EQ(0, run_step(r));
        ASSERT_MEM(hat, run_round_theta(r), m->trained * sizeof(*hat));
        ASSERT_MEM(theta, run_theta(r), m->floats * sizeof(*theta));
        ASSERT_EQ(0, run_take(r, BY(1), 4, 0, 1000, &t));
        ASSERT_EQ(PHASE_DESCENT, t.phase);
        ASSERT(t.weights);
        ASSERT_MEM(ids, t.ids, sizeof(ids));
        ASSERT_EQ(RUN_ROUND, give(r, fake_compute(r, f, &t), &e));
        ASSERT_EQ(PHASE_ASCENT, run_phase(r));
        ASSERT_EQ(1, run_step(r));
        ASSERT(memcmp(theta, run_theta(r), m->floats * sizeof(*theta)) != 0);
        free(hat);
        free(theta);
        run_free(r);
        fixture_free(f);
    }
}

TEST(only_steps_with_an_ascent_take_two_rounds)
{
    static const struct {
        const char *sam;
        uint64_t interval; /* 0: no ascent at all */
    } cases[] = {
        {", \"sam\": {\"scope\": \"batch\", \"interval\": 2}", 2},
        {", \"sam\": {\"scope\": \"batch\", \"interval\": 5}", 5},
        {", \"sam\": {\"scope\": \"batch\", \"rho\": 0}", 0},
        {", \"sam\": {\"scope\": \"shard\"}", 0},
    };

    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct fixture *f = fixture_create(cases[c].sam);
        struct run *r = started(f);
        struct run_epoch e;

        while (!run_finished(r)) {
            const bool ascends = cases[c].interval && run_step(r) % cases[c].interval == 0;
            if (phase_trains(run_phase(r)))
                ASSERT_EQ(ascends ? PHASE_ASCENT : PHASE_TRAIN, run_phase(r));
            if (run_phase(r) == PHASE_ASCENT) {
                ASSERT_EQ(RUN_ROUND, give(r, compute_round(r, f), &e));
                ASSERT_EQ(PHASE_DESCENT, run_phase(r));
            }
            if (give(r, compute_round(r, f), &e) == RUN_EPOCH)
                epoch_done(&e);
        }
        ASSERT_EQ(EPOCHS * STEPS, run_step(r));
        run_free(r);
        fixture_free(f);
    }
}

TEST(any_split_order_and_loss_gives_the_same_bits)
{
    static const char *const jobs[] = {SWEEP_JOB BATCH_SCOPE, TRAIN_JOB BATCH_SCOPE};

    for (int j = 0; j < 2; j++) {
        /* Scores of the training step do not go together with BatchNorm. */
        struct fixture *f = fixture_with(j ? "relu" : "batchnorm", jobs[j]);
        ends_alike(f, 20);
        fixture_free(f);
    }
}

/* Recovery at any point: in an ascent, in a descent, with some of the round's results there. */
TEST(a_step_that_is_begun_again_begins_with_its_ascent_and_ends_in_the_same_bits)
{
    struct fixture *f = fixture_create(TRAIN_JOB BATCH_SCOPE);
    const struct outcome want = drive(f, &plain);

    for (int rounds = 0; rounds < 2 * STEPS + 3; rounds++) {
        struct run *r = started(f), *again = fixture_run(f, 2);
        struct outcome got;
        struct run_epoch e;
        struct run_task t;
        struct errbuf why;

        sha256_init(&got.epochs);
        for (int i = 0; i < rounds; i++)
            if (drive_round(r, f, &plain, &e) == RUN_EPOCH)
                outcome_add(&got, &e);
        ASSERT_EQ(0, run_take(r, BY(1), 1, 0, 1000, &t));
        struct fake *k = fake_compute(r, f, &t);
        ASSERT_OK(run_result(r, &k->res, &why), why);
        fake_free(k);
        restore(again, r);
        ASSERT_EQ(0, run_start(again, 0));
        if (phase_trains(run_phase(r)))
            ASSERT_EQ(PHASE_ASCENT, run_phase(again));
        ASSERT_EQ(run_step(r), run_step(again));
        drive_on(again, f, &plain, &got);
        same_outcome(&want, &got);
        run_free(again);
        run_free(r);
    }
    fixture_free(f);
}

/* Statistics that a descent brings are those of theta hat. */
TEST(running_statistics_are_those_of_the_ascent)
{
    struct fixture *f = fixture_with("batchnorm", STILL BATCH_SCOPE);
    const struct model *m = &f->model;
    struct run *r = started(f), *other = started(f);
    float *want = xcalloc(m->floats, sizeof(*want));
    struct run_epoch e;

    ASSERT_EQ(16 * 2, m->floats - m->trained);
    memcpy(want, run_theta(r), m->floats * sizeof(*want));
    for (int step = 0; step < STEPS; step++) {
        struct fake *up = compute_round(r, f);
        for (size_t i = m->trained; i < m->floats; i++)
            want[i] = 0.9f * want[i] + 0.1f * (up->grad[i] / (BATCH / SHARD));
        give(r, up, &e);
        give(other, compute_round(other, f), &e);
        struct fake *down = compute_round(r, f), *changed = compute_round(other, f);
        for (size_t i = m->trained; i < m->floats; i++)
            changed->grad[i] += 1000;
        give(r, down, &e);
        give(other, changed, &e);
        ASSERT_MEM(want + m->trained, run_theta(r) + m->trained,
                   (m->floats - m->trained) * sizeof(*want));
        ASSERT_MEM(run_theta(r), run_theta(other), m->floats * sizeof(*want));
    }
    free(want);
    run_free(r);
    run_free(other);
    fixture_free(f);
}

TEST(an_epoch_adds_up_the_losses_at_theta_and_the_rise_to_theta_hat)
{
    struct fixture *f = fixture_create(STILL BATCH_SCOPE);
    struct run *r = started(f);
    double weight = 0, loss = 0, hat = 0, correct = 0;
    enum run_event event = RUN_WAIT;
    struct run_epoch e;

    while (event != RUN_EPOCH) {
        struct fake *k = compute_round(r, f);
        if (run_phase(r) == PHASE_ASCENT) {
            weight += k->sums[SUM_WEIGHT];
            loss += k->sums[SUM_LOSS];
            correct += k->sums[SUM_CORRECT];
        } else if (run_phase(r) == PHASE_DESCENT) {
            hat += k->sums[SUM_LOSS_HAT];
        }
        event = give(r, k, &e);
    }
    ASSERT_NEAR(loss / weight, e.record.train_loss, 0);
    ASSERT_NEAR(correct / (STEPS * BATCH), e.record.train_accuracy, 0);
    ASSERT_NEAR((hat - loss) / weight, e.record.sharpness, 0);
    epoch_done(&e);
    run_free(r);
    fixture_free(f);
}

TEST(scores_come_with_the_ascent_and_count_with_the_update)
{
    struct fixture *f = fixture_create(TRAIN_JOB BATCH_SCOPE);
    struct run *r = started(f), *twin = started(f);
    struct run_epoch e;
    struct errbuf why;
    struct fake *up = compute_round(r, f), *late = compute_round(twin, f);
    const uint64_t theta = theta_key(r, f);
    struct run_task t;

    up->scores[2].flags = 0;
    ASSERT_EQ(-EINVAL, run_result(r, &up->res, &why));
    ASSERT_HAS("flags: entry 2 is 0", why.text);
    up->scores[2].flags = SCORE_MEASURED;
    give(r, up, &e);
    ASSERT_EQ(-EALREADY, run_result(r, &late->res, &why));
    ASSERT_EQ(0, run_take(r, BY(1), 4, 0, 1000, &t));
    const uint32_t last = t.ids[BATCH - 1];
    ASSERT_EQ(0, run_state(r).scores[last].flags);
    struct fake *down = fake_compute(r, f, &t);
    down->res.scores = NULL;
    ASSERT_EQ(RUN_ROUND, give(r, down, &e));
    ASSERT_NEAR(fake_score(theta, PHASE_ASCENT, last, BATCH - 1).loss,
                run_state(r).scores[last].loss, 0);
    fake_free(late);
    run_free(twin);
    run_free(r);
    fixture_free(f);
}

TEST(theta_hat_takes_no_memory_of_its_own)
{
    struct fixture *shard = fixture_create(""), *batch = fixture_create(BATCH_SCOPE);

    ASSERT_EQ(run_memory(&shard->spec, &shard->model, &shard->data, 0),
              run_memory(&batch->spec, &batch->model, &batch->data, 0));
    fixture_free(shard);
    fixture_free(batch);
}
