/* How many samples a job uses how, once those are gone that it excludes and that its newest
 * revision leaves out. Counted on a lane, once for each revision. */
#ifndef STEPPE_SERVER_JOBS_JOB_LEFT_H
#define STEPPE_SERVER_JOBS_JOB_LEFT_H

#include <stdint.h>

struct job;
struct job_left;
struct service;

/* On the loop: what a lane needs to count for a prepared job, whose data is held until
 * job_left_done. NULL: there is nothing to count. */
struct job_left *job_left_begin(struct service *s, const struct job *job);
/* On the lane of questions; NULL is fine. */
void job_left_count(struct service *s, struct job_left *left);
/* On the loop: notes what was counted; job NULL: it is gone. NULL is fine. */
void job_left_done(struct service *s, struct job *job, struct job_left *left);
/* By use (core/split.h); NULL: not counted, or what it takes to count cannot be read. */
const uint32_t *job_left(const struct job *job);

#endif
