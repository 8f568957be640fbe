#include "server/core/probabilities.h"
#include "server/core/radix.h"
#include "tests/unit/server/run_fixture.h"

static const struct drive plain = {.seed = 1, .want_max = 1};

static struct fake *take(struct run *r, const struct fixture *f, uint32_t worker, uint32_t want)
{
    struct run_task t;

    ASSERT_EQ(0, run_take(r, BY(worker), want, 0, 1000, &t));
    return fake_compute(r, f, &t);
}

#define PROBABILITIES ", \"score\": {\"every\": 1, \"probabilities\": true}"

static const char *const jobs[] = {SWEEP_JOB, TRAIN_JOB, FORGETTING_JOB, PROBABILITIES};

TEST(any_split_and_order_gives_the_same_bits)
{
    for (size_t j = 0; j < sizeof(jobs) / sizeof(jobs[0]); j++) {
        struct fixture *f = fixture_create(jobs[j]);
        const struct outcome want = drive(f, &plain);

        for (uint32_t i = 0; i < 20; i++) {
            const struct drive p = {
                .seed = 100 + i, .want_max = 1 + i % 5, .shuffle = true, .repeat = i % 3 == 0};
            const struct outcome got = drive(f, &p);
            same_outcome(&want, &got);
        }
        fixture_free(f);
    }
}

TEST(lost_leases_leave_no_trace)
{
    for (size_t j = 0; j < sizeof(jobs) / sizeof(jobs[0]); j++) {
        struct fixture *f = fixture_create(jobs[j]);
        const struct outcome want = drive(f, &plain);

        for (uint32_t i = 0; i < 10; i++) {
            const struct drive p = {
                .seed = 200 + i, .want_max = 4, .shuffle = true, .lose = true, .repeat = true};
            const struct outcome got = drive(f, &p);
            same_outcome(&want, &got);
        }
        fixture_free(f);
    }
}

TEST(another_seed_gives_another_model_and_other_scores)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    const struct outcome a = drive(f, &plain);

    f->spec.seed++;
    const struct outcome b = drive(f, &plain);
    ASSERT(strcmp(a.theta_sha256, b.theta_sha256) != 0);
    ASSERT(strcmp(a.epochs_sha256, b.epochs_sha256) != 0);
    fixture_free(f);
}

TEST(the_gradient_of_a_round_may_lie_at_any_address)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    const size_t bytes = f->model.floats * sizeof(float);
    char *room = xmalloc(bytes + 8);
    uint64_t want = 0;

    for (size_t shift = 0; shift < 8; shift++) {
        struct run *r = started(f);
        struct fake *k = compute_round(r, f);
        struct run_epoch e;

        k->res.grad = memcpy(room + shift, k->grad, bytes);
        ASSERT_EQ(RUN_ROUND, give(r, k, &e));
        ASSERT_EQ(1, run_step(r));
        const uint64_t got = theta_key(r, f);
        ASSERT(shift == 0 || got == want);
        want = got;
        run_free(r);
    }
    free(room);
    fixture_free(f);
}

TEST(a_lease_that_ran_out_is_the_same_node_again_and_the_first_result_counts)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    struct run *r = started(f);
    struct run_task t;
    struct errbuf why;

    struct fake *late = take(r, f, 1, 2);
    ASSERT_EQ(1000, run_deadline(r));
    ASSERT_EQ(0, run_expire(r, 999));
    ASSERT_EQ(1, run_expire(r, 1000));
    ASSERT_EQ(0, run_take(r, BY(2), 1, 1000, 1000, &t));
    ASSERT_EQ(late->res.node.lo, t.node.lo);
    ASSERT_EQ(late->res.node.hi, t.node.hi);
    ASSERT_EQ(2, run_reissued(r));
    ASSERT_OK(run_result(r, &late->res, &why), why);
    ASSERT_EQ(-EALREADY, run_result(r, &late->res, &why));
    fake_free(late);
    run_free(r);
    fixture_free(f);
}

TEST(a_result_of_another_round_or_node_is_dropped)
{
    static const struct node nodes[] = {{0, 1}, {1, 2}, {0, 4}, {1, 3}, {0, 3},         {3, 5},
                                        {4, 8}, {0, 8}, {2, 2}, {3, 2}, {0, UINT32_MAX}};
    struct fixture *f = fixture_create(TRAIN_JOB);
    struct run *r = started(f);
    struct errbuf why;
    struct fake *left = take(r, f, 1, 2), *right = take(r, f, 2, 2);
    struct run *twin = started(f);
    struct fake *whole = take(twin, f, 1, 4); /* as many samples as any node may have */
    struct run_result odd = left->res;
    struct run_epoch e;

    odd.step++;
    ASSERT_EQ(-EALREADY, run_result(r, &odd, &why));
    for (enum phase phase = PHASE_TRAIN + 1; phase < PHASES; phase++) {
        odd = left->res;
        odd.phase = phase;
        ASSERT_EQ(-EALREADY, run_result(r, &odd, &why));
    }
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        odd = whole->res;
        odd.node = nodes[i];
        ASSERT_EQ(-EALREADY, run_result(r, &odd, &why));
    }
    odd = left->res;
    ASSERT_EQ(RUN_WAIT, give(r, left, &e));
    ASSERT_EQ(RUN_ROUND, give(r, right, &e));
    ASSERT_EQ(1, run_step(r));
    fake_free(take(r, f, 1, 2));
    /* The arrays are gone: a result of a step that is over is not even looked at. */
    ASSERT_EQ(-EALREADY, run_result(r, &odd, &why));
    fake_free(whole);
    run_free(twin);
    run_free(r);
    fixture_free(f);
}

TEST(a_node_has_the_samples_of_its_shards)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    struct run *r = started(f);
    struct run_epoch e;

    ASSERT_EQ(BATCH, run_node_samples(r, PHASE_TRAIN, 0, (struct node){0, 4}));
    ASSERT_EQ(2 * SHARD, run_node_samples(r, PHASE_TRAIN, 0, (struct node){2, 4}));
    ASSERT_EQ(0, run_node_samples(r, PHASE_TRAIN, 0, (struct node){1, 3}));
    ASSERT_EQ(0, run_node_samples(r, PHASE_TRAIN, 1, (struct node){0, 4}));
    ASSERT_EQ(0, run_node_samples(r, PHASE_SWEEP, 0, (struct node){0, 4}));
    while (run_phase(r) != PHASE_SWEEP)
        drive_round(r, f, &plain, &e);
    ASSERT_EQ(SAMPLES, run_node_samples(r, PHASE_SWEEP, STEPS, (struct node){0, 13}));
    ASSERT_EQ(SAMPLES % SHARD, run_node_samples(r, PHASE_SWEEP, STEPS, (struct node){12, 13}));
    while (run_phase(r) != PHASE_TEST)
        drive_round(r, f, &plain, &e);
    ASSERT_EQ(TESTS, run_node_samples(r, PHASE_TEST, STEPS, (struct node){0, 2}));
    run_free(r);
    fixture_free(f);
}

/* Spoils a result, looks at the sentence, and heals it. */
static void refused(struct run *r, const struct run_result *res, const char *part)
{
    struct errbuf why = {""};

    ASSERT_EQ(-EINVAL, run_result(r, res, &why));
    ASSERT_HAS(part, why.text);
}

static void refused_double(struct run *r, const struct fake *k, double *at, double value,
                           const char *part)
{
    const double good = *at;

    *at = value;
    refused(r, &k->res, part);
    *at = good;
}

TEST(a_result_that_is_not_finite_is_refused_and_its_node_stays_open)
{
    struct fixture *f = fixture_create(TRAIN_JOB);
    const struct outcome want = drive(f, &plain);
    struct run *r = started(f);
    struct fake *k = take(r, f, 1, 4);
    struct run_epoch e;
    const float nasty[] = {NAN, INFINITY, -INFINITY};
    struct outcome got;

    for (size_t i = 0; i < 3; i++) {
        float *last = &k->grad[f->model.floats - 1], good = *last;
        *last = nasty[i];
        refused(r, &k->res, "grad or sums hold NaN or infinity");
        *last = good;
        for (enum sum s = 0; s < SUM_COUNT; s++)
            refused_double(r, k, &k->sums[s], (double)nasty[i], "grad or sums hold NaN");
        struct score *s = &k->scores[BATCH - 1];
        double *const numbers[] = {&s->loss, &s->adv_loss, &s->grad_norm, &s->el2n};
        for (int c = 0; c < 4; c++)
            refused_double(r, k, numbers[c], (double)nasty[i], "of entry 11 is ");
    }
    refused_double(r, k, &k->sums[SUM_WEIGHT], 0, "the weight is not above 0");
    refused_double(r, k, &k->sums[SUM_WEIGHT], -1, "the weight is not above 0");
    refused_double(r, k, &k->scores[0].loss, -1e-300, "scores: loss of entry 0 is -1e-300");
    k->scores[3].adv_predicted += CLASSES;
    refused(r, &k->res, "classes: entry 3 is ");
    k->scores[3].adv_predicted -= 2 * CLASSES;
    refused(r, &k->res, "allowed is 0 to 2");
    k->scores[3].adv_predicted += CLASSES;
    const uint32_t flags = k->scores[5].flags;
    k->scores[5].flags = 0;
    refused(r, &k->res, "flags: entry 5 is 0");
    k->scores[5].flags = 4 | SCORE_MEASURED;
    refused(r, &k->res, "flags: entry 5 is 5");
    k->scores[5].flags = flags;
    /* Nothing of all this was kept. */
    ASSERT_EQ(RUN_ROUND, give(r, k, &e));
    sha256_init(&got.epochs);
    drive_on(r, f, &plain, &got);
    same_outcome(&want, &got);
    run_free(r);
    fixture_free(f);
}

TEST(probabilities_of_a_sweep_are_those_of_their_samples)
{
    struct fixture *f = fixture_create(PROBABILITIES);
    struct run *r = started(f);
    struct run_epoch e = {.record = {.epoch = -1}};
    float want[CLASSES];
    uint64_t theta = 0;

    for (enum run_event event = RUN_ROUND; event != RUN_EPOCH;) {
        if (run_phase(r) == PHASE_SWEEP)
            theta = theta_key(r, f);
        event = drive_round(r, f, &plain, &e);
    }
    ASSERT(e.probabilities);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        fake_probabilities(theta, i, want);
        ASSERT_MEM(want, e.probabilities + (size_t)i * CLASSES, sizeof(want));
    }
    run_epoch_done(&e);
    run_free(r);
    fixture_free(f);
}

TEST(probabilities_are_bounded_as_a_whole_and_by_shard)
{
    struct fixture *f = fixture_create(PROBABILITIES);
    struct errbuf why;

    ASSERT_EQ(0, probabilities_check_size(&f->spec, 1 << 25, 1, &why));
    ASSERT_EQ(-EINVAL, probabilities_check_size(&f->spec, 33555, 1000, &why));
    ASSERT_STR("score.probabilities is true, and 33555 samples of 1000 classes have 33555000 "
               "probabilities; allowed is up to 33554432",
               why.text);
    f->spec.shard = 2097;
    ASSERT_EQ(0, probabilities_check_size(&f->spec, 33554, 1000, &why));
    f->spec.shard = 2098;
    ASSERT_EQ(-EINVAL, probabilities_check_size(&f->spec, 33554, 1000, &why));
    ASSERT_HAS("shard is 2098; with 1000 classes allowed is up to 2097", why.text);
    f->spec.engine = ENGINE_EXTERNAL; /* nobody computes shards */
    ASSERT_EQ(0, probabilities_check_size(&f->spec, 33554, 1000, &why));
    f->spec.score_probabilities = false;
    ASSERT_EQ(0, probabilities_check_size(&f->spec, UINT32_MAX, 1000, &why));
    fixture_free(f);
}

TEST(what_are_no_probabilities_is_refused_and_named)
{
    struct fixture *f = fixture_create(PROBABILITIES);
    struct run *r = started(f);
    struct run_epoch e;

    while (run_phase(r) != PHASE_SWEEP)
        drive_round(r, f, &plain, &e);
    struct fake *k = take(r, f, 1, 4);
    float *p = k->probabilities + CLASSES, first = p[0];
    p[0] = NAN;
    refused(r, &k->res, "probabilities: class 0 of entry 1 is nan, allowed is 0 to 1");
    p[0] = -first;
    refused(r, &k->res, "probabilities: class 0 of entry 1 is -");
    p[0] = 1.5;
    refused(r, &k->res, "is 1.5, allowed is 0 to 1");
    p[0] = first + 0.5f; /* it was below */
    refused(r, &k->res, "probabilities: those of entry 1 add up to ");
    p[0] = first;
    give(r, k, &e);
    run_free(r);
    fixture_free(f);
}

TEST(the_fused_source_sweeps_exactly_the_samples_that_were_not_measured)
{
    struct fixture *f = fixture_create(TRAIN_JOB);
    struct run *r = started(f);
    bool seen[SAMPLES] = {false};
    struct run_epoch e;
    struct run_task t;
    int sweeps = 0;

    while (!run_finished(r)) {
        uint32_t at = 0;

        ASSERT_EQ(0, run_take(r, BY(1), UINT32_MAX, 0, 1000, &t));
        sweeps += t.phase == PHASE_SWEEP;
        for (uint32_t i = 0; t.phase == PHASE_TRAIN && i < t.count; i++)
            seen[t.ids[i]] = true;
        for (uint32_t i = 0; t.phase == PHASE_SWEEP && i < SAMPLES; i++)
            if (!seen[i])
                ASSERT_EQ(i, t.ids[at++]);
        ASSERT_EQ(t.phase == PHASE_SWEEP ? t.count : 0, at);
        if (give(r, fake_compute(r, f, &t), &e) == RUN_EPOCH) {
            ASSERT(e.record.epoch < EPOCHS - 1 || scored_of(&e) == SAMPLES);
            memset(seen, 0, sizeof(seen));
            epoch_done(&e);
        }
    }
    ASSERT_EQ(2, sweeps); /* epoch 2, as "every" has it, and the last; the share of epoch 0 is 1 */
    run_free(r);
    fixture_free(f);
}

/* The next step whose batch holds a sample twice, in two shards. False: there is none. */
static bool find_twice(struct run *r, const struct fixture *f, struct run_task *ret)
{
    struct run_epoch e;

    while (!run_finished(r)) {
        ASSERT_EQ(0, run_take(r, BY(1), UINT32_MAX, 0, 1000, ret));
        for (uint32_t i = 0; ret->phase == PHASE_TRAIN && i < BATCH; i++)
            for (uint32_t k = i / SHARD * SHARD + SHARD; k < BATCH; k++)
                if (ret->ids[i] == ret->ids[k])
                    return true;
        if (give(r, fake_compute(r, f, ret), &e) == RUN_EPOCH)
            epoch_done(&e);
    }
    return false;
}

TEST(a_sample_that_is_twice_in_a_batch_has_the_score_of_its_last_slot)
{
    struct fixture *f = fixture_create(TRAIN_JOB);
    struct run *r = started(f);
    struct fake *shards[BATCH / SHARD];
    uint32_t ids[BATCH];
    struct run_epoch e;
    struct run_task t;

    while (!find_twice(r, f, &t)) {
        run_free(r);
        f->spec.seed++;
        r = started(f);
    }
    memcpy(ids, t.ids, sizeof(ids));
    const uint64_t theta = theta_key(r, f);
    /* The whole node is leased; a run that starts there is asked for its shards one by one. */
    struct run *other = fixture_run(f, 2);
    restore(other, r);
    ASSERT_EQ(0, run_start(other, 0));
    for (uint32_t i = 0; i < BATCH / SHARD; i++)
        shards[i] = take(other, f, 1, 1);
    for (uint32_t i = BATCH / SHARD; i-- > 0;)
        ASSERT_EQ(i == 0 ? RUN_ROUND : RUN_WAIT, give(other, shards[i], &e));
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t last = i;
        for (uint32_t k = i; k < BATCH; k++)
            if (ids[k] == ids[i])
                last = k;
        const struct score want = fake_score(theta, PHASE_TRAIN, ids[i], last);
        ASSERT_NEAR(want.loss, run_state(other).scores[ids[i]].loss, 0);
    }
    run_free(other);
    run_free(r);
    fixture_free(f);
}

TEST(an_epoch_says_what_its_results_add_up_to)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    struct run *r = started(f);
    double sums[SUM_COUNT] = {0}, test_loss = 0;
    int right = 0, adv_right = 0;
    enum run_event event = RUN_WAIT;
    struct run_epoch e;
    struct run_task t;

    while (event != RUN_EPOCH) {
        ASSERT_EQ(0, run_take(r, BY(1), UINT32_MAX, 0, 1000, &t));
        struct fake *k = fake_compute(r, f, &t);
        for (enum sum i = 0; i < SUM_COUNT; i++)
            sums[i] += k->sums[i];
        for (uint32_t i = 0; t.phase == PHASE_TEST && i < TESTS; i++) {
            test_loss += k->scores[i].loss;
            right += k->scores[i].predicted == f->test_labels[i];
            adv_right += k->scores[i].adv_predicted == f->test_labels[i];
        }
        event = give(r, k, &e);
    }
    ASSERT_EQ(0, e.record.epoch);
    ASSERT_EQ(SAMPLES, e.record.scheduled);
    ASSERT_EQ(SAMPLES, scored_of(&e));
    ASSERT_NEAR(1, e.record.share, 0);
    ASSERT_NEAR(sums[SUM_LOSS] / sums[SUM_WEIGHT], e.record.train_loss, 0);
    ASSERT_NEAR((sums[SUM_LOSS_HAT] - sums[SUM_LOSS]) / sums[SUM_WEIGHT], e.record.sharpness, 0);
    ASSERT_NEAR(sums[SUM_CORRECT] / (STEPS * BATCH), e.record.train_accuracy, 0);
    ASSERT_NEAR(test_loss / TESTS, e.record.test_loss, 0);
    ASSERT_NEAR((double)right / TESTS, e.record.test_accuracy, 0);
    ASSERT_NEAR((double)adv_right / TESTS, e.record.adv_accuracy, 0);
    ASSERT_NEAR(score_mean_gap(e.scores, SAMPLES), e.record.mean_gap, 0);
    for (uint32_t i = 0; i < SAMPLES; i++)
        ASSERT_NEAR(score_adm(&e.scores[i], NORM_POPULATION, e.record.mean_gap), e.adm[i], 0);
    epoch_done(&e);
    run_free(r);
    fixture_free(f);
}

TEST(an_epoch_without_sweep_and_test_closes_with_its_last_update)
{
    struct fixture *f = fixture_create(TRAIN_JOB);
    struct run_epoch e;

    f->data.test_samples = 0;
    struct run *r = started(f);
    for (int step = 1; step <= STEPS; step++) {
        enum run_event event = give(r, take(r, f, 1, 4), &e);
        ASSERT_EQ(step < STEPS ? RUN_ROUND : RUN_EPOCH, event);
    }
    ASSERT(isnan(e.record.test_loss) && isnan(e.record.test_accuracy) &&
           isnan(e.record.adv_accuracy));
    ASSERT_EQ(PHASE_TRAIN, run_phase(r));
    ASSERT_EQ(1, run_progress(r).epoch);
    epoch_done(&e);
    run_free(r);
    fixture_free(f);
}

TEST(a_finished_run_has_no_work_and_takes_none)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    struct run *r = started(f);
    struct fake *last = NULL;
    struct run_epoch e;
    struct run_task t;
    struct errbuf why;
    enum run_event event;

    while (!run_finished(r)) {
        if (last)
            fake_free(last);
        ASSERT_EQ(0, run_take(r, BY(1), UINT32_MAX, 0, 1000, &t));
        last = fake_compute(r, f, &t);
        ASSERT_OK(run_result(r, &last->res, &why), why);
        ASSERT_EQ(0, run_advance(r, 0, &event, &e));
        if (event == RUN_EPOCH)
            epoch_done(&e);
    }
    ASSERT_EQ(EPOCHS * STEPS, run_step(r));
    ASSERT_EQ(-EAGAIN, run_take(r, BY(1), 1, 0, 1000, &t));
    ASSERT_EQ(-EALREADY, run_result(r, &last->res, &why));
    ASSERT_EQ(0, run_advance(r, 0, &event, &e));
    ASSERT_EQ(RUN_WAIT, event);
    fake_free(last);
    run_free(r);
    fixture_free(f);
}

TEST(the_memory_of_a_run_grows_with_state_and_pending_sums)
{
    struct fixture *f = fixture_create(""),
                   *adam = fixture_create(", \"optimizer\": {\"name\": \"adamw\"}");
    const size_t vector = f->model.floats * sizeof(float);
    const size_t sgd_bytes = run_memory(&f->spec, &f->model, &f->data, 0);

    ASSERT_EQ(sgd_bytes + vector, run_memory(&adam->spec, &adam->model, &adam->data, 0));
    f->spec.shard = 1; /* 12 shards, of which 6 can wait, where 2 of 4 could */
    ASSERT_EQ(sgd_bytes + 4 * vector, run_memory(&f->spec, &f->model, &f->data, 0));
    f->data.samples++;
    ASSERT(run_memory(&f->spec, &f->model, &f->data, 0) > sgd_bytes + 4 * vector);
    fixture_free(f);
    fixture_free(adam);
}

TEST(the_memory_of_a_run_counts_what_it_keeps_of_a_sample)
{
    struct fixture *f = fixture_create("");
    /* Open score, place in the list of the round; use, rank; in the schedule with a weight, in the
     * stream; room to sort in; and whether, how and with what label a sample is used under a
     * revision. */
    const size_t sample = sizeof(struct score) + sizeof(uint32_t) + 1 + sizeof(double) +
                          2 * sizeof(uint32_t) + sizeof(float) + radix_bytes(1) + 1 + 1 +
                          sizeof(uint16_t);

    f->data.samples = 10000; /* more than are tested or in a batch */
    const size_t before = run_memory(&f->spec, &f->model, &f->data, 0);
    f->data.samples += 1000;
    ASSERT_EQ(before + 1000 * sample, run_memory(&f->spec, &f->model, &f->data, 0));
    const size_t plain_job = run_memory(&f->spec, &f->model, &f->data, 0);
    f->spec.score_probabilities = true;
    ASSERT_EQ(plain_job + 11000 * CLASSES * sizeof(float),
              run_memory(&f->spec, &f->model, &f->data, 0));
    fixture_free(f);
}

/* Forward passes of a step that measures adm and orders by it (worker/step.h): all samples ascend
 * and have their twin, those with a weight descend. Of a test: x, its gradient, the twin. */
static int64_t passes_of(const struct run_task *t)
{
    int64_t passes = 0;

    for (uint32_t i = 0; i < t->count; i++)
        passes += t->phase == PHASE_TRAIN ? 3 + 1 + (t->weights[i] > 0 ? 3 : 0) : 3;
    return passes;
}

TEST(the_time_left_counts_what_a_step_measures_and_leaves_out)
{
    struct fixture *f = fixture_create(", \"curriculum\": {\"scope\": \"step\", \"measure\": "
                                       "\"adm\", \"initial\": 0.3334, \"warmup\": 0, "
                                       "\"full_at\": 1}");
    double at_s[TASKS_MAX], left_s[TASKS_MAX];
    struct run *r = started(f);
    struct run_epoch e;
    struct run_task t;
    struct errbuf why;
    enum run_event event;
    int64_t now_ms = 0;
    int count = 0;

    while (!run_finished(r)) {
        ASSERT_EQ(0, run_take(r, BY(1), run_shards(r), 0, 1000, &t));
        now_ms += 1000 * passes_of(&t);
        struct fake *k = fake_compute(r, f, &t);
        ASSERT_OK(run_result(r, &k->res, &why), why);
        ASSERT_EQ(0, run_advance(r, now_ms, &event, &e));
        if (event == RUN_EPOCH)
            epoch_done(&e);
        fake_free(k);
        ASSERT(count < TASKS_MAX);
        at_s[count] = (double)now_ms / 1e3;
        left_s[count++] = run_progress(r).eta_s;
    }
    const double all_s = at_s[count - 1];
    for (int i = 0; i < count - 1; i++)
        ASSERT_NEAR(all_s - at_s[i], left_s[i], 0.06 * all_s);
    run_free(r);
    fixture_free(f);
}
