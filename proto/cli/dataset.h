/* A dataset row as one line. */
#ifndef STEPPE_PROTO_CLI_DATASET_H
#define STEPPE_PROTO_CLI_DATASET_H

#include <cjson/cJSON.h>

/* "fashion-mnist: 60000 + 10000 images 28x28x1, 10 classes, sha256 ..". */
void dataset_print_row(const cJSON *row);

#endif
