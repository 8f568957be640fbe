/* The names of all training samples of a job, fetched from the server page by page. */
#ifndef STEPPE_PROTO_CLI_SAMPLE_NAMES_H
#define STEPPE_PROTO_CLI_SAMPLE_NAMES_H

#include "proto/cli/command.h"

/* A zeroed struct has none. */
struct sample_names {
    char *bytes;
    uint64_t *ends; /* [count] */
    uint64_t used, room;
    uint32_t count;
};

/* 0 or -errno; a server that does not know of names has none. */
int sample_names_fetch(struct cli *cli, int64_t job, struct sample_names *ret, struct errbuf *why);
/* The uri (common/uris.h), not 0-terminated; *ret_bytes is 0 when it has none. */
const char *sample_names_at(const struct sample_names *n, int64_t sample, size_t *ret_bytes);
void sample_names_done(struct sample_names *n);

#endif
