/* The studies: one table in memory, mirrored to the store. A study is a set of jobs that run like
 * any others (but behind those of no study), and that are compared. */
#ifndef STEPPE_SERVER_JOBS_STUDIES_H
#define STEPPE_SERVER_JOBS_STUDIES_H

#include <cjson/cJSON.h>

#include "server/core/study.h"
#include "server/net/request.h"

struct job;
struct service;
struct studies;

/* Loads all studies; the jobs are there. */
int studies_open(struct service *s, struct studies **ret, struct errbuf *why);
/* Drops what waits for its turn. NULL is fine. */
void studies_close(struct studies *studies);

int studies_count(const struct studies *studies);
/* By number; NULL behind the last. */
struct study *studies_at(const struct studies *studies, int i);
/* -ENOENT with a sentence that names the nearest, or those that there are. */
int studies_find(const struct studies *studies, const char *name, struct study **ret,
                 struct errbuf *why);
struct study *studies_by_uuid(const struct studies *studies, const char *uuid); /* or NULL */
struct study *studies_of_job(const struct studies *studies, int64_t job);       /* or NULL */
/* Takes a study (owned), which is on the disk, in place of the one with its name. Its jobs are in
 * the table of jobs. */
void studies_put(struct studies *studies, struct study *study);
/* Forgets it; its jobs are gone. */
void studies_remove(struct studies *studies, struct study *study);

/* One request at a time changes studies. True: rq may, until studies_leave. False: rq (owned)
 * waits, and goes to `again` when it is its turn to try. */
bool studies_enter(struct studies *studies, struct request *rq, void (*again)(struct request *rq));
void studies_leave(struct studies *studies);

/* Halving (study_halving.c): called a few times a second, and once before the first job starts. */
void studies_tick(struct studies *studies, int64_t now_ms);
void studies_begin(struct studies *studies);
/* Must the job wait at a rung, with the epochs that are committed? Then its study is looked at
 * soon. */
bool studies_job_waits(struct studies *studies, const struct job *job);

/* A study row of PROTOCOL.md. */
cJSON *studies_row(const struct studies *studies, const struct study *study);
/* {study, arm, dataset, seed} of a job; NULL: it is of no study. */
cJSON *studies_place(const struct studies *studies, int64_t job);
/* A copy for a lane, with the states of the jobs. */
struct study *studies_look(const struct studies *studies, const struct study *study);

#endif
