/* Shared by studies.c and study_*.c only. */
#ifndef STEPPE_SERVER_JOBS_STUDIES_INTERNAL_H
#define STEPPE_SERVER_JOBS_STUDIES_INTERNAL_H

#include "server/jobs/studies.h"

struct waiting {
    struct request *rq;
    void (*again)(struct request *rq);
    struct waiting *next;
};

struct studies {
    struct service *service;
    struct study **list; /* [count], by number */
    int count;
    bool busy;
    struct waiting *waiting; /* in the order in which they came */
    /* Halving: the values of one study are being read, which was the last, when is the next. */
    bool looking;
    int looked;
    int64_t look_ms; /* monotonic */
};

#endif
