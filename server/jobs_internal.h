/* Shared by jobs.c and job_life.c only. */
#ifndef STEPPE_SERVER_JOBS_INTERNAL_H
#define STEPPE_SERVER_JOBS_INTERNAL_H

#include "server/jobs.h"

/* Closed epochs that may wait for the disk before training waits too: bounds their memory. */
#define CLOSING_MAX 2
#define RETRY_MS 5000

struct jobs {
    struct server *server;
    struct job *list;
};

#endif
