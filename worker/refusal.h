/* Why this worker cannot do a job, as the server is told: task.refuse. */
#ifndef STEPPE_WORKER_REFUSAL_H
#define STEPPE_WORKER_REFUSAL_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/messages.h"

/* Does what failed with rc (0 or negative errno) while a job was loaded or run lie between this
 * worker and the job? No: the server was lost or is not understood, or we are to stop. */
bool refusal_is(int rc);
/* The refusal's kind for the server. rc: one for which refusal_is is true. */
enum refusal_cause refusal_cause(int rc);
/* The fields of task.refuse; a long sentence is cut. */
cJSON *refusal_make(int64_t job, int rc, const struct errbuf *why);

#endif
