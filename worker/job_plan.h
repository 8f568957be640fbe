/* The job that is planned on this worker: its dataset, model, threads, theta, and room for the
 * samples of a task. One at a time. */
#ifndef STEPPE_WORKER_JOB_PLAN_H
#define STEPPE_WORKER_JOB_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/halves.h"
#include "common/jobspec.h"
#include "common/model.h"
#include "proto/result.h"
#include "worker/cache.h"
#include "worker/runner.h"
#include "worker/session.h"
#include "worker/talk.h"

struct plan {
    int64_t job; /* 0: none */
    struct jobspec spec;
    struct cached data;
    struct model model;
    struct runner *runner;
    float *theta;
    int64_t incarnation, step; /* of theta; step -1: none is held */
    bool hat;                  /* it is the theta hat of that step */
    uint32_t *ids;
    float *weights;
    struct score *scores;
    uint32_t capacity;         /* samples that ids, weights and scores have room for */
    struct result_room packed; /* the scores of a result */
};

/* Gives everything back; *p is then a plan of no job. */
void plan_drop(struct plan *p);
/* Nothing that is computed with another file than the one that was checked is worth anything: is it
 * still that? 0; -ESTALE: the plan went, with theta; whoever asks for the task anew checks it. */
int plan_check(struct plan *p);
/* Plans this job unless it is planned already (plan_check). What goes wrong between the worker and
 * the job is one of refusal_is, with a sentence that names what was needed and what there is; then
 * no job is planned. halves is borrowed while the job is planned; NULL: none. */
int plan_job(struct plan *p, const struct session_options *options, const struct talk *talk,
             struct cache *cache, struct halves *halves, int64_t number, struct errbuf *why);
/* Makes room for a task of so many samples. 0 or -ENOMEM. */
int plan_room(struct plan *p, uint32_t count, struct errbuf *why);
/* The sentence for a planned job whose tasks find no memory; -ENOMEM. */
int plan_no_memory(const struct plan *p, const struct session_options *options, struct errbuf *why);

#endif
