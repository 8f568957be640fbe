/* What gsam and fsam do with the gradients of a whole batch. */
#include <math.h>

#include "common/ascent.h"
#include "tests/unit/server/run_fixture.h"

#define GSAM ", \"sam\": {\"name\": \"gsam\", \"scope\": \"batch\", \"alpha\": 0.5}"
#define FSAM ", \"sam\": {\"name\": \"fsam\", \"lambda\": 0.75, \"sigma\": 0.5, \"rho\": 0.25}"
#define PLAIN_SGD                                                                                  \
    ", \"optimizer\": {\"momentum\": 0, \"weight_decay\": 0, \"schedule\": \"constant\"}"

static const struct drive plain = {.seed = 1, .want_max = 1};

/* theta - lr (p - alpha (g - <g, p>/||p||^2 p)) / V, in double. */
TEST(a_step_of_gsam_splits_the_gradient_of_the_batch)
{
    struct fixture *f = fixture_create(STILL PLAIN_SGD GSAM);
    const size_t n = f->model.trained;
    struct run *r = started(f);
    struct run_epoch e;

    for (int step = 0; step < STEPS - 1; step++) {
        float *theta = xcalloc(n, sizeof(*theta)), *g = xcalloc(n, sizeof(*g));
        float *p = xcalloc(n, sizeof(*p));
        double product = 0, square = 0;

        ASSERT_EQ(PHASE_ASCENT, run_phase(r));
        memcpy(theta, run_theta(r), n * sizeof(*theta));
        struct fake *k = compute_round(r, f);
        memcpy(g, k->grad, n * sizeof(*g));
        give(r, k, &e);
        k = compute_round(r, f);
        memcpy(p, k->grad, n * sizeof(*p));
        const double weight = k->sums[SUM_WEIGHT];
        give(r, k, &e);
        for (size_t i = 0; i < n; i++) {
            product += (double)g[i] * (double)p[i];
            square += (double)p[i] * (double)p[i];
        }
        for (size_t i = 0; i < n; i++) {
            const double orthogonal = (double)g[i] - product / square * (double)p[i];
            const double down = ((double)p[i] - 0.5 * orthogonal) / weight;
            ASSERT_NEAR((double)theta[i] - 0.05 * down, run_theta(r)[i], 1e-6);
        }
        free(theta), free(g), free(p);
    }
    run_free(r);
    fixture_free(f);
}

/* theta + rho d/||d||, d = g - sigma m, with m over all ascents so far, in double. */
TEST(fsam_ascends_against_the_mean_of_all_gradients_so_far)
{
    struct fixture *f = fixture_create(STILL FSAM);
    const size_t n = f->model.trained;
    struct run *r = started(f);
    double *m = xcalloc(n, sizeof(*m)), *d = xcalloc(n, sizeof(*d));
    struct run_epoch e;

    for (int step = 0; step < 2 * STEPS; step++) {
        double norm = 0;

        while (!phase_trains(run_phase(r)))
            if (give(r, compute_round(r, f), &e) == RUN_EPOCH)
                epoch_done(&e);
        ASSERT_EQ(PHASE_ASCENT, run_phase(r));
        struct fake *k = compute_round(r, f);
        for (size_t i = 0; i < n; i++) {
            const double g = (double)k->grad[i] / k->sums[SUM_WEIGHT];
            m[i] = 0.75 * m[i] + 0.25 * g;
            d[i] = g - 0.5 * m[i];
            norm += d[i] * d[i];
        }
        give(r, k, &e);
        ASSERT_EQ(PHASE_DESCENT, run_phase(r));
        for (size_t i = 0; i < n; i++)
            ASSERT_NEAR((double)run_theta(r)[i] + 0.25 * d[i] / sqrt(norm), run_round_theta(r)[i],
                        1e-6);
        if (give(r, compute_round(r, f), &e) == RUN_EPOCH)
            epoch_done(&e);
        const struct run_state s = run_state(r);
        ASSERT_STR("ascent_mean", s.vector_names[1]);
        for (size_t i = 0; i < n; i++)
            ASSERT_NEAR(m[i], s.vectors[1][i], 1e-6);
    }
    free(m), free(d);
    run_free(r);
    fixture_free(f);
}

/* A checkpoint between the two rounds has the mean from before the step. */
TEST(the_mean_moves_with_the_update)
{
    struct fixture *f = fixture_create(STILL FSAM);
    struct run *r = started(f);
    const size_t bytes = f->model.floats * sizeof(float);
    float *before = xcalloc(1, bytes);
    struct run_epoch e;

    give(r, compute_round(r, f), &e);
    give(r, compute_round(r, f), &e);
    memcpy(before, run_state(r).vectors[1], bytes);
    give(r, compute_round(r, f), &e);
    ASSERT_EQ(PHASE_DESCENT, run_phase(r));
    ASSERT_MEM(before, run_state(r).vectors[1], bytes);
    give(r, compute_round(r, f), &e);
    ASSERT(memcmp(before, run_state(r).vectors[1], bytes) != 0);
    free(before);
    run_free(r);
    fixture_free(f);
}

TEST(any_split_order_and_loss_gives_the_same_bits)
{
    static const char *const jobs[] = {SWEEP_JOB GSAM, TRAIN_JOB FSAM,
                                       SWEEP_JOB
                                       ", \"sam\": {\"name\": \"fsam\", \"interval\": 2}"};

    for (size_t j = 0; j < sizeof(jobs) / sizeof(jobs[0]); j++) {
        struct fixture *f = fixture_create(jobs[j]);
        ends_alike(f, 8);
        fixture_free(f);
    }
}

/* Recovery at any point, also between the two rounds of a step. */
TEST(a_run_that_is_restored_goes_on_to_the_same_bits)
{
    static const char *const jobs[] = {STILL GSAM, STILL FSAM};

    for (size_t j = 0; j < sizeof(jobs) / sizeof(jobs[0]); j++) {
        struct fixture *f = fixture_create(jobs[j]);
        const struct outcome want = drive(f, &plain);

        for (int rounds = 0; rounds < 2 * STEPS + 3; rounds++) {
            struct run *r = started(f), *again = fixture_run(f, 2);
            struct outcome got;
            struct run_epoch e;

            sha256_init(&got.epochs);
            for (int i = 0; i < rounds; i++)
                if (drive_round(r, f, &plain, &e) == RUN_EPOCH)
                    outcome_add(&got, &e);
            restore(again, r);
            ASSERT_EQ(0, run_start(again, 0));
            drive_on(again, f, &plain, &got);
            same_outcome(&want, &got);
            run_free(again);
            run_free(r);
        }
        fixture_free(f);
    }
}

TEST(their_vectors_count)
{
    static const struct {
        const char *job;
        size_t vectors;
    } cases[] = {
        {GSAM, 1}, /* the gradient at theta */
        {FSAM, 2}, /* the mean and the next one */
        {", \"sam\": {\"name\": \"gsam\"}", 0},
        {", \"sam\": {\"name\": \"fsam\", \"rho\": 0}", 0},
    };
    struct fixture *sam = fixture_create("");

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = fixture_create(cases[i].job);
        ASSERT_EQ(run_memory(&sam->spec, &sam->model, &sam->data, 0) +
                      cases[i].vectors * f->model.floats * sizeof(float),
                  run_memory(&f->spec, &f->model, &f->data, 0));
        fixture_free(f);
    }
    fixture_free(sam);
}
