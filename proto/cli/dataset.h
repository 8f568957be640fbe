/* What the server says of a dataset, and its line. */
#ifndef STEPPE_PROTO_CLI_DATASET_H
#define STEPPE_PROTO_CLI_DATASET_H

#include "proto/cli/command.h"

/* Asks for a dataset by name, `photos` or `photos@2`: 0 with the reply (message_done), in which
 * *row is the dataset; as connection_call; or -EBADMSG. */
int dataset_ask(struct cli *cli, const char *name, struct message *ret, const cJSON **row,
                struct errbuf *why);
/* How many training samples it has, 1 to SAMPLES_MAX. */
int dataset_samples(struct cli *cli, const char *name, uint32_t *ret, struct errbuf *why);
/* "fashion-mnist: 60000 + 10000 images 28x28x1, 10 classes, sha256 ..". */
void dataset_print_row(const cJSON *row);

#endif
