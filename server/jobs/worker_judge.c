/* Decides whether a fault is the worker's or its job's. A worker that sends impossible results is
 * set aside for a while; but if others do the same in the same step, the job is to blame.
 *
 * A worker says itself who it is, so that one key could speak with as many voices as it likes.
 * Faults count for the worker and for its key: a key whose workers make too many is set aside with
 * all of them, also those that come later. And in the name of a job only different keys speak;
 * without keys it is this machine, whose workers have one voice together. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/jobs/service.h"
#include "server/jobs/workers_internal.h"

#define FAULTS_MAX 3     /* faults that set a worker aside; within one round, that end its job */
#define GOOD_RESULTS 100 /* counted results that make up for all its faults */

/* How many faults set a key aside: three, and three more for each of its workers that has done well
 * and is not set aside itself, so that one broken machine does not stop all that have its key.
 * Without a key it is as much as three workers may do. */
static uint32_t faults_of_key(const struct workers *w, const char *key)
{
    uint32_t count = 1;

    if (!key[0])
        return FAULTS_MAX * FAULTS_MAX;
    for (const struct worker *o = w->list; o; o = o->next)
        count += o->shards > 0 && !o->left && !o->aside_until_ms && strcmp(o->key_name, key) == 0;
    return FAULTS_MAX * count;
}

/* --- jobs --- */

static bool is_listed(const struct job_faults *f, uint32_t number)
{
    for (uint32_t i = 0; i < f->distinct; i++)
        if (f->workers[i] == number)
            return true;
    return false;
}

static bool has_key(const struct job_keys *k, const char *name)
{
    for (uint32_t i = 0; i < k->count; i++)
        if (strcmp(k->name[i], name) == 0)
            return true;
    return false;
}

static void note_key(struct job_keys *k, const char *name)
{
    if (k->count < JOB_FAULTS_MAX && !has_key(k, name))
        snprintf(k->name[k->count++], NAME_MAX_BYTES, "%s", name);
}

static void note_fault(struct job_faults *f, uint64_t step, enum phase phase,
                       const struct worker *worker)
{
    if (f->step != step || f->phase != phase)
        *f = (struct job_faults){.step = step, .phase = phase};
    f->count++;
    if (f->distinct < JOB_FAULTS_MAX && !is_listed(f, worker->number))
        f->workers[f->distinct++] = worker->number;
    note_key(&f->keys, worker->key_name);
}

/* Is there a worker that could try it and has not yet? One of another key may also come back, if it
 * was heard of within minutes or has done a part of the job. */
static bool another(const struct workers *w, const struct job *job, int64_t now_ms)
{
    const struct job_keys *keys = &job->faults.keys;

    for (uint32_t i = 0; i < job->hands.count; i++)
        if (keys->count < JOB_FAULTS_MAX && !has_key(keys, job->hands.name[i]))
            return true;
    for (const struct worker *o = w->list; o; o = o->next)
        if (worker_fits(o, job) && !o->left && !o->aside_until_ms &&
            !is_listed(&job->faults, o->number) &&
            (worker_alive(o, now_ms) || !has_key(keys, o->key_name)))
            return true;
    return false;
}

/* After this fault, is the job to blame? Reports by workers are believed sooner than wrong results:
 * a broken worker that restarts has another number each time. */
static bool is_the_job(const struct workers *w, const struct job *job, bool reported,
                       int64_t now_ms)
{
    const struct job_faults *f = &job->faults;

    if (reported && f->keys.count == JOB_FAULTS_MAX)
        return true;
    return (reported ? f->count >= FAULTS_MAX : f->distinct == JOB_FAULTS_MAX) &&
           !another(w, job, now_ms);
}

/* The job was to blame: nothing counts against a worker, nor against its key. */
static void acquit(struct workers *w, const struct job *job)
{
    for (struct worker *o = w->list; o; o = o->next) {
        struct standing *s;

        if (o->strike_job != job->rec.job)
            continue;
        o->strikes = 0;
        o->aside_until_ms = o->aside_ms = 0;
        s = standing_find(w, o->key_name);
        if (s)
            s->strikes = 0, s->aside_until_ms = s->aside_ms = 0;
    }
}

static void set_aside(struct workers *w, struct worker *worker, int64_t now_ms, const char *reason)
{
    worker->aside_until_ms = now_ms + standing_longer(&worker->aside_ms);
    worker->strikes = FAULTS_MAX - 1; /* the next fault is again one too many */
    log_warn("worker.aside", "worker=%u name=%s seconds=%" PRId64 " reason=\"%s\"", worker->number,
             worker->name, worker->aside_ms / 1000, reason);
    worker_release(w, worker);
}

static void count_fault(struct worker *worker, struct standing *s, int64_t job)
{
    worker->faults++;
    worker->strikes++;
    worker->good = 0;
    worker->strike_job = job;
    s->strikes++;
    s->good = 0;
}

void workers_fault(struct workers *w, struct worker *worker, struct job *job, bool reported,
                   uint32_t shards, const char *reason)
{
    struct standing *s = standing_make(w, worker->key_name);
    int64_t now_ms = clock_mono_ms();
    struct job_faults *f = &job->faults;
    bool aside = false;
    char text[300];

    note_fault(f, run_step(job->run), run_phase(job->run), worker);
    count_fault(worker, s, job->rec.job);
    log_warn("worker.fault", "worker=%u job=%" PRId64 " step=%" PRIu64 " reason=\"%s\"",
             worker->number, job->rec.job, f->step, reason);
    if (is_the_job(w, job, reported, now_ms)) {
        metrics_count_many(&w->service->net->metrics, COUNT_SHARDS_BURIED, shards);
        snprintf(text, sizeof(text), "step %" PRIu64 " failed %u times: %s", f->step, f->count,
                 reason);
        acquit(w, job);
        jobs_fail(w->service->jobs, job, text);
        return;
    }
    if (worker->strikes >= FAULTS_MAX) {
        set_aside(w, worker, now_ms, reason);
        aside = true;
    }
    if (s->strikes >= faults_of_key(w, s->key)) {
        standing_set_aside(w, s, now_ms + standing_longer(&s->aside_ms));
        s->strikes--;
        log_warn("key.aside", "key=\"%s\" seconds=%" PRId64 " reason=\"%s\"", standing_name(s->key),
                 s->aside_ms / 1000, reason);
        aside = true;
    }
    if (aside)
        workers_wake(w);
}

void worker_counted_good(struct workers *w, struct worker *worker, struct job *job)
{
    struct standing *s = w->standings ? standing_find(w, worker->key_name) : NULL;

    note_key(&job->hands, worker->key_name);
    if (worker->strikes && ++worker->good >= GOOD_RESULTS) {
        worker->strikes = 0;
        worker->aside_ms = 0;
    }
    if (s && (s->strikes || s->lost) && ++s->good >= GOOD_RESULTS) {
        s->strikes = s->lost = 0;
        s->aside_ms = 0;
    }
}

/* --- leases that ran out --- */

/* Is there a worker of another key, or of none, that has given results? */
static bool another_gives(const struct workers *w, const char *key, int64_t now_ms)
{
    for (const struct worker *o = w->list; o; o = o->next)
        if (o->shards > 0 && !o->aside_until_ms && worker_alive(o, now_ms) &&
            strcmp(o->key_name, key) != 0)
            return true;
    return false;
}

/* A machine that failed loses a lease, and so does whoever takes tasks and brings nothing. */
static void count_lost(struct workers *w, struct worker *worker, int64_t now_ms)
{
    struct standing *s = standing_make(w, worker->key_name);

    worker->lease_lost = true;
    if (s->aside_until_ms)
        return;
    s->lost++;
    s->good = 0;
    if (s->lost < faults_of_key(w, s->key) || !another_gives(w, s->key, now_ms))
        return;
    s->aside_for_lost = true;
    standing_set_aside(w, s, now_ms + standing_longer(&s->aside_ms));
    log_warn("key.aside",
             "key=\"%s\" seconds=%" PRId64 " reason=\"nothing came of %u tasks that it took\"",
             standing_name(s->key), s->aside_ms / 1000, s->lost);
    s->lost--; /* the next one is again one too many */
}

void workers_judge_lost(struct workers *w, int64_t now_ms)
{
    for (struct standing *s = w->standings; s; s = s->next)
        if (s->aside_for_lost && !another_gives(w, s->key, now_ms)) {
            log_info("key.back", "key=\"%s\" reason=\"no other key gives results now\"",
                     standing_name(s->key));
            standing_let_back(w, s);
        }
    for (struct worker *o = w->list; o; o = o->next)
        if ((o->job || o->predicting) && !o->lease_lost && now_ms >= o->lease_end_ms)
            count_lost(w, o, now_ms);
}

void workers_acquit_lost(struct workers *w, const struct job *job)
{
    for (const struct worker *o = w->list; o; o = o->next) {
        struct standing *s =
            o->lease_lost && o->job == job->rec.job ? standing_find(w, o->key_name) : NULL;

        if (s)
            s->lost = 0;
        if (s && s->aside_for_lost)
            standing_let_back(w, s);
    }
}
