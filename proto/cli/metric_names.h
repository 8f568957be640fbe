/* The metrics of a job, as job.metrics gives them: which names there are in all its epochs. */
#ifndef STEPPE_PROTO_CLI_METRIC_NAMES_H
#define STEPPE_PROTO_CLI_METRIC_NAMES_H

#include "proto/cli/pages.h"

extern const struct pages metric_pages; /* of job.metrics, all */

struct metric_names {
    const char **names; /* [count], ascending, each once; borrowed from the rows */
    size_t count;
};

void metric_names_of(const cJSON *rows, struct metric_names *ret);
void metric_names_done(struct metric_names *n); /* a zeroed struct is fine */
/* The values of a row by name; NULL: it has none. */
const cJSON *metric_names_values(const cJSON *row);

#endif
