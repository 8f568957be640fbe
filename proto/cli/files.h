/* The files of a dataset, read as the options of a command say. */
#ifndef STEPPE_PROTO_CLI_FILES_H
#define STEPPE_PROTO_CLI_FILES_H

#include "proto/cli/command.h"
#include "proto/cli/import/import.h"

/* Reads what words[1] and the options name, and prints to stderr what there is to say of it.
 * unsaid: whose labels are the truth when --labels-are is not given; side: what square pictures
 * are scaled to when --size is not given (0: they keep their size). As import_files. */
int files_read(const struct cli *cli, enum labels_are unsaid, uint32_t side,
               struct dataset_draft *ret, struct errbuf *why);

#endif
