/* What a decoded answer says of its request. */
#ifndef STEPPE_PROTO_REPLY_H
#define STEPPE_PROTO_REPLY_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/messages.h"

/* Is it the answer to the request of this type and id? 0; -EINVAL: it is not one, or to another;
 * or as reply_refusal. */
int reply_read(const cJSON *json, enum message_type type, uint32_t id, enum error_code *ret_code,
               int64_t *ret_retry_ms, struct errbuf *why);
/* Reads a refusal: -EREMOTEIO with the server's code (ret_code may be NULL), sentence and, if it
 * names one (else *ret_retry_ms stays), the time to wait before the next try. -EINVAL: it is none.
 */
int reply_refusal(const cJSON *json, enum error_code *ret_code, int64_t *ret_retry_ms,
                  struct errbuf *why);

#endif
