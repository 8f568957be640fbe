/* The parts of an update as a run puts them together. */
#include "server/core/optimizer.h"
#include "tests/unit/server/run_fixture.h"

TEST(an_update_is_the_optimizers_with_the_clipped_gradient_of_the_batch)
{
    static const char *const jobs[] = {
        STILL ", \"optimizer\": {\"clip\": 0.0625}",
        STILL ", \"optimizer\": {\"name\": \"adamw\", \"clip\": 0.0625, \"schedule\": \"step\"}",
    };

    for (size_t j = 0; j < sizeof(jobs) / sizeof(jobs[0]); j++) {
        struct fixture *f = fixture_create(jobs[j]);
        const struct optimizer_spec *o = &f->spec.optimizer;
        struct run *r = fixture_run(f, 1);
        struct segment segments[4];
        float *state[2], *theta = xcalloc(f->model.floats, sizeof(*theta));
        float *next = xcalloc(f->model.floats, sizeof(*next));
        struct run_epoch e;

        for (int i = 0; i < 2; i++)
            state[i] = xcalloc(f->model.floats, sizeof(*state[i]));
        ASSERT_EQ(4, f->model.param_count);
        for (int i = 0; i < 4; i++) {
            const struct param *p = &f->model.params[i];
            size_t end =
                i < 3 ? p[1].offset : f->model.floats; /* the made-up gradient has no gaps */
            segments[i] = (struct segment){p->offset, end - p->offset, p->decay};
        }
        ASSERT_EQ(0, run_start(r, 0));
        memcpy(theta, run_theta(r), f->model.floats * sizeof(*theta));
        for (uint64_t step = 0; step < STEPS; step++) {
            struct fake *k = compute_round(r, f);
            double divisor = optimizer_divisor(o, k->sums[SUM_WEIGHT], segments, 4, k->grad);

            ASSERT(divisor > k->sums[SUM_WEIGHT]);
            optimizer_step(o, optimizer_lr(o, step, EPOCHS * STEPS), step, divisor, segments, 4,
                           k->grad, theta, state, next);
            memcpy(theta, next, f->model.floats * sizeof(*theta));
            give(r, k, &e);
            ASSERT_MEM(theta, run_theta(r), f->model.floats * sizeof(*theta));
        }
        free(state[0]);
        free(state[1]);
        free(theta);
        free(next);
        run_free(r);
        fixture_free(f);
    }
}

/* What lies behind the trained part is neither trained, decayed nor part of the clipped norm. */
TEST(running_statistics_are_averaged_once_a_step)
{
    struct fixture *f =
        fixture_with("batchnorm", STILL ", \"optimizer\": {\"clip\": 0.0625, \"decay\": \"all\"}");
    const struct model *m = &f->model;
    struct run *r = fixture_run(f, 1), *other = fixture_run(f, 1);
    float *want = xcalloc(m->floats, sizeof(*want));
    struct run_epoch e;

    ASSERT_EQ(16 * 2, m->floats - m->trained);
    ASSERT_EQ(0, run_start(r, 0));
    ASSERT_EQ(0, run_start(other, 0));
    memcpy(want, run_theta(r), m->floats * sizeof(*want));
    for (size_t i = 0; i < 5; i++)
        ASSERT(want[m->trained + i] == 0 && want[m->trained + 16 + i] == 1);
    for (int step = 0; step < STEPS; step++) {
        struct fake *k = compute_round(r, f), *changed = compute_round(other, f);
        memcpy(changed->grad, k->grad, m->floats * sizeof(*k->grad));
        memcpy(changed->sums, k->sums, sizeof(k->sums));
        for (size_t i = m->trained; i < m->floats; i++) {
            want[i] = 0.9f * want[i] + 0.1f * (k->grad[i] / (BATCH / SHARD));
            changed->grad[i] += 1000;
        }
        give(r, k, &e);
        give(other, changed, &e);
        ASSERT_MEM(want + m->trained, run_theta(r) + m->trained,
                   (m->floats - m->trained) * sizeof(*want));
        ASSERT_MEM(run_theta(r), run_theta(other), m->trained * sizeof(*want));
    }
    free(want);
    run_free(r);
    run_free(other);
    fixture_free(f);
}

TEST(decay_takes_weights_or_all)
{
    struct fixture *f[2];
    const float *theta[2];
    struct run *r[2];
    struct run_epoch e;

    for (int i = 0; i < 2; i++) {
        f[i] = fixture_with("batchnorm", i ? STILL ", \"optimizer\": {\"decay\": \"all\"}" : STILL);
        r[i] = fixture_run(f[i], 1);
        ASSERT_EQ(0, run_start(r[i], 0));
        give(r[i], compute_round(r[i], f[i]), &e);
        theta[i] = run_theta(r[i]);
    }
    for (int i = 0; i < f[0]->model.param_count; i++) {
        const struct param *p = &f[0]->model.params[i];
        const bool same = memcmp(theta[0] + p->offset, theta[1] + p->offset, p->count * 4) == 0;
        const bool zero = p->fan_in == 0 && p->start == 0; /* nothing decays in the first step */
        ASSERT_EQ(p->decay || zero || i >= f[0]->model.trained_count, same);
    }
    for (int i = 0; i < 2; i++) {
        run_free(r[i]);
        fixture_free(f[i]);
    }
}

/* Makes the loss at theta hat of a training result 0.5 a sample higher, or no higher at all. */
static void set_rise(struct fake *k, bool ascent)
{
    if (k->res.phase == PHASE_TRAIN)
        k->sums[SUM_LOSS_HAT] = k->sums[SUM_LOSS] + (ascent ? 0.5 * k->sums[SUM_WEIGHT] : 0);
}

TEST(sharpness_is_the_mean_over_the_steps_with_an_ascent)
{
    static const struct {
        const char *job;
        uint64_t interval;
        bool none[EPOCHS]; /* epochs without an ascent */
    } cases[] = {
        {STILL, 1, {false}},
        {STILL ", \"sam\": {\"interval\": 2}", 2, {false}},
        {STILL ", \"sam\": {\"interval\": 3}", 3, {false}},
        {STILL ", \"sam\": {\"interval\": 7}", 7, {false, true, false, true}},
    };

    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct fixture *f = fixture_create(cases[c].job);
        struct run *r = fixture_run(f, 1);
        struct run_epoch e;
        int epoch = 0;

        ASSERT_EQ(0, run_start(r, 0));
        while (!run_finished(r)) {
            struct fake *k = compute_round(r, f);
            set_rise(k, run_step(r) % cases[c].interval == 0);
            if (give(r, k, &e) != RUN_EPOCH)
                continue;
            if (cases[c].none[epoch++])
                ASSERT(isnan(e.record.sharpness));
            else
                ASSERT_NEAR(0.5, e.record.sharpness, 1e-12);
            run_epoch_done(&e);
        }
        ASSERT_EQ(EPOCHS, epoch);
        run_free(r);
        fixture_free(f);
    }
}
