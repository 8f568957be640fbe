/* A study: its arms, the columns of its table (datasets) and the job of every cell and seed. Pure
 * bookkeeping; store/ keeps it, jobs/ runs its jobs, query/ fills the table. */
#ifndef STEPPE_SERVER_CORE_STUDY_H
#define STEPPE_SERVER_CORE_STUDY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bounds.h"
#include "server/core/job.h"

typedef char study_name[STUDY_ARM_BYTES];

struct study_job {
    int arm, data; /* indices */
    uint64_t seed;
    int64_t job; /* 0: it does not exist yet */
    /* Of a copy that was made for a question: its state, whether halving stopped it, and whether
     * the model that it keeps is that of the epoch with the best validation accuracy. */
    enum job_state state;
    bool stopped, best;
    char *described; /* what it was made from (common/studyfile.h), owned; NULL in a copy */
};

struct study {
    int64_t study; /* 0 until it is kept */
    char name[NAME_MAX_BYTES];
    int control; /* index of the arm; -1: not known */
    int64_t created_unix_ms;
    bool halving;
    int *passed; /* [data_count] rungs that are judged, of halving (core/halving.h); not kept */
    int arm_count, data_count, job_count, uuid_count;
    study_name *arms, *data;   /* in the order in which they came */
    struct study_job *jobs;    /* by arm, data and seed */
    char (*uuids)[UUID_BYTES]; /* of the requests that made jobs of it */
};

struct study *study_create(const char *name);
/* With the descriptions. */
struct study *study_copy(const struct study *s);
void study_free(struct study *s); /* NULL is fine */

/* As many as there are columns, of which none has passed a rung. */
void study_begin_halving(struct study *s);
/* The index of an arm or a column, which is added when it is new. */
int study_arm(struct study *s, const char *name);
int study_data(struct study *s, const char *name);
/* The job of a cell and seed; NULL: it has none. */
struct study_job *study_find(const struct study *s, int arm, int data, uint64_t seed);
/* Adds one, with the number 0; its description is copied. Pointers to others end. */
struct study_job *study_add(struct study *s, int arm, int data, uint64_t seed,
                            const char *described);
/* The indices of the jobs, seed by seed, then by column and arm, into ret[job_count]: the order in
 * which they run, so that all arms have a seed before the next begins. */
void study_order(const struct study *s, int *ret);
void study_add_uuid(struct study *s, const char *uuid);
bool study_has_uuid(const struct study *s, const char *uuid);
/* What the job is in the study; NULL: it is none of it. */
const struct study_job *study_by_job(const struct study *s, int64_t job);

#endif
