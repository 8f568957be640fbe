/* The question for the most suspicious labels of a job, as the command line asks it. */
#ifndef STEPPE_PROTO_CLI_SUSPECTS_H
#define STEPPE_PROTO_CLI_SUSPECTS_H

#include "proto/cli/sample_row.h"

extern const char *const suspect_names[]; /* measures, NULL-terminated */

#define SUSPECTS_BY_OPTION                                                                         \
    {                                                                                              \
        "by", OPT_ENUM, ARG(by), .def = "suspicion", .arg = "MEASURE", .names = suspect_names,     \
                                 .help = "how suspicion is measured"                               \
    }
#define SUSPECTS_FOLDS_OPTIONS                                                                     \
    {"out-of-sample",                                                                              \
     OPT_INT,                                                                                      \
     ARG(out_of_sample),                                                                           \
     .arg = "K",                                                                                   \
     .min = 2,                                                                                     \
     .max = FOLDS_MAX,                                                                             \
     .help = "judge every label by a model that has not seen it: K jobs, each trained without "    \
             "one of K folds; submits those that are missing"},                                    \
    {                                                                                              \
        "wait", OPT_FLAG, ARG(wait), .help = "wait until these jobs are done"                      \
    }

/* A request for score.suspects by all of its options, and those of sample_row.h: job, measure,
 * study, epoch, class, first, limit. *ret_done false: jobs of --out-of-sample are not done, which
 * stderr says, and there is no request. Errors as out_of_sample. */
int suspects_request(struct cli *cli, cJSON **ret, bool *ret_done, struct errbuf *why);

#endif
