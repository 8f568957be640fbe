/* Reading replies. They come from a server of the same version, but are read as anything from
 * outside: a key that is absent or of another type has no value, or ends the command with a
 * sentence. */
#ifndef STEPPE_PROTO_CLI_REPLY_H
#define STEPPE_PROTO_CLI_REPLY_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* The array or object `name` of a reply (borrowed); -EBADMSG with a sentence when it is missing. */
int reply_array(const cJSON *json, const char *name, const cJSON **ret, struct errbuf *why);
int reply_object(const cJSON *json, const char *name, const cJSON **ret, struct errbuf *why);
/* False when the key is missing or of another type. */
bool reply_f64(const cJSON *obj, const char *name, double *ret);
bool reply_i64(const cJSON *obj, const char *name, int64_t *ret); /* whole, within 2^53 */
/* An epoch as people count them, from 1; JSON counts from 0. 0 when it is missing. */
int64_t reply_epoch(const cJSON *obj, const char *name);
double reply_number(const cJSON *obj, const char *name); /* NAN then */
/* The text, or "" when there is none. */
const char *reply_text(const cJSON *obj, const char *name);
/* What a job row says of its model; of a job that a program of its own trains, its engine. */
const char *reply_model(const cJSON *row);

#endif
