/* What a list of suspects is worth, in words: `worth` of score.suspects. */
#ifndef STEPPE_PROTO_CLI_WORTH_H
#define STEPPE_PROTO_CLI_WORTH_H

#include <cjson/cJSON.h>

#define WORTH_BYTES 512

/* How well the model knows the labels; "" when the reply does not say. Returns buf. */
char *worth_known(const cJSON *reply, char buf[WORTH_BYTES]);
/* How many labels are expected to be wrong, and in which classes; likewise. */
char *worth_expected(const cJSON *reply, char buf[WORTH_BYTES]);
/* Which samples of the dataset are not in the list, since the job holds them out; likewise. */
char *worth_held(const cJSON *reply, char buf[WORTH_BYTES]);
/* The sentences of warning, an array, or NULL. */
const cJSON *worth_warnings(const cJSON *reply);
/* Prints all of it. */
void worth_print(const cJSON *reply);

#endif
