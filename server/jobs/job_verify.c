/* Jobs whose results are computed twice (core/check.h): whose workers may have their work, what
 * happens when a key was found to have lied, and what people are told.
 *
 * Before a key gets the first work of a run, the store notes where it begins: when it lies later,
 * the job goes back to the newest checkpoint from before that place, so that nothing of the liar
 * counts. Such checkpoints are kept beside the newest two (job_save.c). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

#define NOT_YET "waits until it is on the disk which key has lied"

/* --- who begins where --- */

struct beginning {
    int64_t job, incarnation;
    char key[NAME_MAX_BYTES];
    struct job_place at;
    uint32_t hand;
};

static void begin_work(struct op *op)
{
    const struct beginning *b = op->arg;

    op->rc = store_hand_put(op->service->store, b->job, b->key, b->at, &op->why);
}

static void begin_done(struct op *op)
{
    struct beginning *b = op->arg;
    struct job *job;

    if (jobs_find(op->service->jobs, b->job, &job, NULL) == 0 &&
        job->rec.incarnation == b->incarnation && (job->run || job->away.run)) {
        job->hands_noting = false;
        if (op->rc < 0) {
            job_hold(job, op->why.text);
        } else {
            job->hands_noted =
                xrealloc(job->hands_noted, (job->hands_count + 1) * sizeof(*job->hands_noted));
            job->hands_noted[job->hands_count++] = b->hand;
        }
    }
    workers_wake(op->service->workers);
    free(b);
}

static bool is_noted(const struct job *job, uint32_t hand)
{
    for (uint32_t i = 0; i < job->hands_count; i++)
        if (job->hands_noted[i] == hand)
            return true;
    return false;
}

void job_verify_forget(struct job *job)
{
    free(job->hands_noted);
    job->hands_noted = NULL;
    job->hands_count = 0;
    job->hands_noting = false;
}

bool job_verify_admits(struct jobs *jobs, struct job *job, uint32_t hand, const char *key)
{
    struct beginning *b;
    uint32_t one;

    if (!(job->spec.verify > 0))
        return true;
    if (job->hands_noting || workers_hands(jobs->service->workers, job, &one) < 2)
        return false;
    if (is_noted(job, hand))
        return true;
    b = xcalloc(1, sizeof(*b));
    *b = (struct beginning){
        .job = job->rec.job,
        .incarnation = job->rec.incarnation,
        .at = {(int64_t)run_step(job->run), run_cursor(job->run, clock_mono_ms()).epoch},
        .hand = hand};
    snprintf(b->key, sizeof(b->key), "%s", key);
    job->hands_noting = true;
    job_store_run(
        jobs, job, STORE_PASS,
        (struct op){.service = jobs->service, .arg = b, .work = begin_work, .done = begin_done});
    return false;
}

struct run_verifying job_verify_begin(struct jobs *jobs, struct job *job)
{
    struct workers *w = jobs->service->workers;

    job_verify_forget(job);
    return job->spec.verify > 0 ? (struct run_verifying){workers_secret(w), workers_hand_of, w}
                                : (struct run_verifying){0};
}

/* --- who has lied --- */

/* All jobs that are checked go back, if the key has done anything in them. */
static void go_back(struct jobs *jobs, const char *text)
{
    for (size_t i = 0; jobs->running[i]; i++) {
        struct job *job = jobs->running[i];

        if (!(job->spec.verify > 0) || !(job->run || job->away.run || job->making) ||
            (job->run && run_finished(job->run)))
            continue;
        jobs_event(jobs, job, "verify", text);
        job_drop_run(jobs, job);
    }
    jobs_pump(jobs);
    workers_wake(jobs->service->workers);
}

bool job_verify_judge(struct jobs *jobs, struct job *job)
{
    struct workers *w = jobs->service->workers;
    uint32_t hands[CHECK_VOTES_MAX], count = run_liars(job->run, hands), said;
    struct node node;
    char text[240], event[400];

    if (count == 0 && run_contested(job->run, &node, hands, &said) && said == CHECK_VOTES_MAX) {
        snprintf(text, sizeof(text),
                 "verify: workers of %u keys have as many different results for shards %u to %u of "
                 "step %" PRIu64,
                 said, node.lo, node.hi - 1, run_step(job->run));
        jobs_fail(jobs, job, text);
        return true;
    }
    if (count == 0)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        snprintf(text, sizeof(text),
                 "another result than two other keys had, in step %" PRIu64 " of job %" PRId64,
                 run_step(job->run), job->rec.job);
        snprintf(event, sizeof(event),
                 "key %s is set aside: it sent %s; the job goes back to before its first result",
                 workers_hand_name(w, hands[i]), text);
        workers_distrust(w, hands[i], text);
    }
    go_back(jobs, event);
    return true;
}

void jobs_distrust_noted(struct jobs *jobs)
{
    if (!workers_liars_kept(jobs->service->workers))
        return;
    for (struct job *job = jobs->list; job; job = job->next)
        if (strncmp(job->hold, NOT_YET, strlen(NOT_YET)) == 0)
            job->hold[0] = 0;
    jobs_pump(jobs);
}

bool job_verify_starts(struct jobs *jobs, struct job *job)
{
    if (!(job->spec.verify > 0) || workers_liars_kept(jobs->service->workers))
        return true;
    job_hold(job, NOT_YET);
    return false;
}

/* --- for people --- */

bool job_verify_waiting(struct jobs *jobs, const struct job *job, char *out, size_t bytes)
{
    struct workers *w = jobs->service->workers;
    uint32_t hands[CHECK_VOTES_MAX], said, one, there;
    struct node node;

    if (!(job->spec.verify > 0))
        return false;
    there = workers_hands(w, job, &one);
    if (there == 1)
        snprintf(out, bytes,
                 "verify needs workers of two keys (without keys: of this machine and a key), only "
                 "those of %s are there",
                 workers_hand_name(w, one));
    else if (there > 1 && job->run && run_contested(job->run, &node, hands, &said) && there <= said)
        snprintf(out, bytes,
                 "the results of %s and %s for shards %u to %u differ; a worker of a third key has "
                 "to decide",
                 workers_hand_name(w, hands[0]), workers_hand_name(w, hands[1]), node.lo,
                 node.hi - 1);
    else
        return false;
    return true;
}

bool job_verify_note(struct jobs *jobs, const struct job *job, char *out, size_t bytes)
{
    uint32_t one, there;

    if (!(job->spec.verify > 0))
        return false;
    there = workers_hands(jobs->service->workers, job, &one);
    if (there >= 2)
        return false;
    snprintf(out, bytes,
             "verify is %.15g: the job waits until workers of two keys (or of this machine and a "
             "key) are there to compare; now there %s",
             job->spec.verify, there ? "is one key" : "is none");
    return true;
}
