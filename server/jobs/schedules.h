/* Schedules of epochs that are over: what they trained on is known again from the scores before
 * them, which takes the longer the more there are. Readers take a schedule in pages: the last one
 * is kept for a while, and each page is cut from it. */
#ifndef STEPPE_SERVER_JOBS_SCHEDULES_H
#define STEPPE_SERVER_JOBS_SCHEDULES_H

#include <stdint.h>

#include "common/err.h"
#include "server/core/curriculum.h"

struct job;
struct jobs;
struct service;
struct schedules; /* of all jobs; owned by jobs */

void schedules_free(struct schedules *s); /* NULL is fine */

/* What a lane has to know of a job, which may be removed meanwhile. */
struct schedule_ask {
    int64_t job, epoch, incarnation;
    int revisions; /* that the job has */
    char uuid[UUID_BYTES];
    char *spec_json;            /* owned */
    const struct dataset *data; /* held */
};
/* Of a prepared job; on the loop, as is the second. */
void schedule_ask_begin(struct service *s, const struct job *job, int64_t epoch,
                        struct schedule_ask *ret);
void schedule_ask_done(struct service *s, struct schedule_ask *ask); /* a zeroed struct is fine */
/* On the replay lane: *ret stays until the next call there. 0 or negative errno with a sentence. */
int schedules_find(struct service *s, const struct schedule_ask *ask, const struct schedule **ret,
                   struct errbuf *why);
/* One that nobody has asked for of late goes; called a few times a second. */
void schedules_tick(struct service *s, int64_t now_ms);

#endif
