/* The heat map of a report: how a measure is distributed, epoch by epoch. */
#ifndef STEPPE_PROTO_CLI_HEAT_H
#define STEPPE_PROTO_CLI_HEAT_H

#include "proto/cli/command.h"

struct heat {
    int bins;
    size_t count;    /* scored epochs */
    int64_t *epochs; /* [count] */
    double *counts;  /* [count, bins] */
};

/* Asks for all scored epochs. Errors as connection_call. */
int heat_ask(struct cli *cli, struct heat *h, int64_t job, const char *by, int bins,
             struct errbuf *why);
void heat_done(struct heat *h); /* a zeroed struct is fine */
/* As a picture in a page. 0 or -errno. */
int heat_print(FILE *out, const struct heat *h);

#endif
