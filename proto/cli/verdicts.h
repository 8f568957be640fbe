/* Sending many verdicts on a dataset: judged as a whole first, then kept batch by batch. */
#ifndef STEPPE_PROTO_CLI_VERDICTS_H
#define STEPPE_PROTO_CLI_VERDICTS_H

#include "proto/cli/command.h"
#include "proto/cli/import/verdict_file.h"

/* The names of the classes of a dataset; released with class_names_done. */
struct class_names {
    const char **at; /* [count], NULL-terminated; they belong to json */
    int count;
    cJSON *json;
};
int class_names_fetch(struct cli *cli, const char *dataset, struct class_names *ret,
                      struct errbuf *why);
void class_names_done(struct class_names *c); /* a zeroed struct is fine */

/* Reads the file and sends what it says; nothing is kept unless all of its lines are good: the bad
 * ones go to stderr, each with its number. A failure between two batches leaves what was sent; the
 * same file again goes on. */
struct verdicts_sent {
    int64_t said, added, same;
};
int verdicts_send_file(struct cli *cli, const char *dataset, const char *path, bool labels_only,
                       enum verdict_kind issues, struct verdicts_sent *ret, struct errbuf *why);
/* The same for lines that were read; path is for sentences. */
int verdicts_send(struct cli *cli, const char *dataset, const char *path,
                  const struct verdict_file *file, struct verdicts_sent *ret, struct errbuf *why);

#endif
