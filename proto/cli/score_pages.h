/* The scores of one epoch of a job page by page: while one is looked at, the next one is fetched.
 * So little of an epoch is in memory, and the server and whoever writes work at the same time. */
#ifndef STEPPE_PROTO_CLI_SCORE_PAGES_H
#define STEPPE_PROTO_CLI_SCORE_PAGES_H

#include <pthread.h>
#include <stdbool.h>

#include "proto/cli/score_columns.h"

struct score_pages {
    struct cli *cli;
    int64_t job;
    struct score_columns_want want;
    struct score_columns pages[2];
    int at;       /* the page that is fetched */
    int64_t from; /* where the one behind it begins; -1: there is none */
    bool over;    /* none is fetched */
    bool running; /* a thread fetches it */
    pthread_t thread;
    int rc; /* of that */
    struct errbuf why;
};

/* epoch -1: the last scored one. Until the end, nobody else may use the connection of cli. */
void score_pages_begin(struct score_pages *p, struct cli *cli, int64_t job, int64_t epoch,
                       const struct score_columns_want *want);
/* *ret: the next page, until the next call; NULL: there is none. 0, or as connection_call. */
int score_pages_next(struct score_pages *p, const struct score_columns **ret, struct errbuf *why);
/* A zeroed struct is fine. */
void score_pages_end(struct score_pages *p);

#endif
