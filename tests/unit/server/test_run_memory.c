/* What a large job takes of the server's memory for a sample: what is said of it
 * (job_memory, bounds.h) against what is allocated. */
#include <malloc.h>

#include "server/core/external.h"
#include "server/core/radix.h"
#include "server/jobs/jobs_internal.h"
#include "tests/unit/server/run_fixture.h"

enum { MANY = 60000 };

static size_t allocated(void)
{
    const struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

/* A job of many samples in few shards; labels is its dataset's. */
static struct fixture *large(const char *rest, uint16_t *labels)
{
    struct fixture *f = fixture_create(rest);

    for (uint32_t i = 0; i < MANY; i++)
        labels[i] = (uint16_t)(i % CLASSES);
    f->data.samples = MANY;
    f->data.labels = labels;
    f->spec.batch = 3000;
    f->spec.shard = 1500;
    f->spec.curriculum.warmup = 1; /* the first epoch schedules all of them */
    return f;
}

/* Computes the open round; what its results take is gone again. */
static enum run_event round_of(struct run *r, const struct fixture *f, struct run_epoch *e)
{
    enum run_event event = RUN_WAIT;
    struct run_task t;
    struct errbuf why;

    while (event == RUN_WAIT) {
        ASSERT_EQ(0, run_take(r, BY(1), 1, 0, 1000, &t));
        struct fake *k = fake_compute(r, f, &t);
        ASSERT_EQ(0, run_result(r, &k->res, &why));
        ASSERT_EQ(0, run_advance(r, 0, &event, e));
        fake_free(k);
    }
    return event;
}

/* Of a sample, at most: from the beginning until the second epoch is open and the first, whose
 * scores are in *e, is not written yet. */
static double run_takes(const struct fixture *f, struct run_epoch *e, struct run **ret)
{
    const size_t before = allocated();
    struct run *r = fixture_run(f, 1);
    size_t most = 0;
    enum run_event event = RUN_ROUND;

    ASSERT_EQ(0, run_start(r, 0));
    while (event != RUN_EPOCH) {
        const size_t now = allocated() - before;
        most = now > most ? now : most;
        event = round_of(r, f, e);
    }
    *ret = r;
    return (double)most / MANY;
}

static double run_says(struct fixture *f)
{
    const size_t all = run_memory(&f->spec, &f->model, &f->data, 0);

    f->data.samples *= 2;
    const size_t twice = run_memory(&f->spec, &f->model, &f->data, 0);
    f->data.samples /= 2;
    return (double)(twice - all) / MANY;
}

TEST(a_run_takes_of_a_sample_what_is_said)
{
    static const char *const of[] = {SWEEP_JOB, TRAIN_JOB, FORGETTING_JOB};
    static uint16_t labels[MANY];

    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
        struct fixture *f = large(of[i], labels);
        struct run_epoch e;
        struct run *r;
        const double takes = run_takes(f, &e, &r), says = run_says(f);
        /* It says what a revision and samples that are held out would take, too, and of one whose
         * steps measure what it takes for a moment to sort. */
        const double less = i == 1 ? (double)radix_bytes(1) : 0;

        ASSERT(takes <= says);
        ASSERT(takes > says - less - 7);
        ASSERT(e.scores);
        run_epoch_done(&e);
        run_free(r);
        fixture_free(f);
    }
}

TEST(a_checkpoint_has_scores_only_inside_an_epoch_whose_steps_measure)
{
    static const char *const of[] = {SWEEP_JOB, TRAIN_JOB};
    static uint16_t labels[MANY];

    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
        struct fixture *f = large(of[i], labels);
        struct run_epoch e;
        struct run *r;

        run_takes(f, &e, &r);
        run_epoch_done(&e);
        for (int inside = 0; inside < 2; inside++) {
            const size_t before = allocated();
            struct checkpoint *c = checkpoint_take(r, 0);
            const double takes = (double)(allocated() - before) / MANY;
            const double want = sizeof(double) + (inside && i == 1 ? 44.0 : 0);
            ASSERT_NEAR(want, takes, 0.1);
            checkpoint_free(c);
            round_of(r, f, &e);
        }
        run_free(r);
        fixture_free(f);
    }
}

static double job_says(struct fixture *f, uint32_t samples)
{
    struct job job = {.spec = f->spec, .model = f->model, .data = &f->data};

    f->data.samples = samples;
    const size_t all = job_memory(&job);
    f->data.samples = 2 * samples;
    return (double)(job_memory(&job) - all) / samples;
}

TEST(a_sample_of_a_large_job_takes_what_bounds_says)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    const double trained = job_says(f, 2 * CLOSING_TWO_SAMPLES);

    ASSERT(trained <= SAMPLE_BYTES_MAX && trained > SAMPLE_BYTES_MAX - 20);
    f->spec.engine = ENGINE_EXTERNAL;
    ASSERT(job_says(f, 2 * CLOSING_TWO_SAMPLES) <= SAMPLE_BYTES_MAX);
    fixture_free(f);
}
