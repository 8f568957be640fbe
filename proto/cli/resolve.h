/* What people call a job, a class or a sample: its number, or its name. A word that is a number is
 * the number, always. A name that nobody has gets the nearest; one that several have gets their
 * numbers, and the person decides. 0, EXIT_USAGE, -ENOENT, -EINVAL, or as connection_call. */
#ifndef STEPPE_PROTO_CLI_RESOLVE_H
#define STEPPE_PROTO_CLI_RESOLVE_H

#include "proto/cli/command.h"

int resolve_job(struct cli *cli, const char *word, int64_t *ret, struct errbuf *why);
/* The name of the job's dataset, to be freed. */
int resolve_dataset(struct cli *cli, int64_t job, char **ret, struct errbuf *why);
/* A class of the job's dataset. */
int resolve_class(struct cli *cli, int64_t job, const char *word, int64_t *ret, struct errbuf *why);
/* A training sample of the job (0: of the dataset), by number or by the path of its file below the
 * imported folder, in the bytes that the file system has. */
int resolve_sample(struct cli *cli, int64_t job, const char *dataset, const char *word,
                   int64_t *ret, struct errbuf *why);
/* Several, by paths alone: all of them, or the sentence is of one that nobody has. */
int resolve_paths(struct cli *cli, int64_t job, const char *dataset, const char *const *paths,
                  int count, uint32_t *ret, struct errbuf *why);

#endif
