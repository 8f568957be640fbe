#include "proto/reply.h"

#include <errno.h>
#include <string.h>

#include "common/bounds.h"
#include "common/field.h"
#include "common/text.h"

#define WAIT_MAX_MS 60000 /* the longest that a server may ask for before the next try */

int reply_refusal(const cJSON *json, enum error_code *ret_code, int64_t *ret_retry_ms,
                  struct errbuf *why)
{
    const char *code, *sentence;
    int rc = field_str(json, "the answer", "code", true, 64, &code, why);

    if (rc == 0)
        rc = field_str(json, "the answer", "error", true, JSON_REPLY_BYTES_MAX, &sentence, why);
    if (rc == 0)
        rc = field_i64(json, "the answer", "retry_ms", false, 0, WAIT_MAX_MS, ret_retry_ms, why);
    if (rc < 0)
        return rc;
    int index = text_index(code, error_names);
    if (ret_code) /* a newer server may know more codes than this client */
        *ret_code = index < 0 ? ERR_INTERNAL : (enum error_code)index;
    return err_set(why, -EREMOTEIO, "%s", sentence);
}

int reply_read(const cJSON *json, enum message_type type, uint32_t id, enum error_code *ret_code,
               int64_t *ret_retry_ms, struct errbuf *why)
{
    const char *name;
    int64_t got_id = -1;
    bool ok = false;
    int rc = field_str(json, "the answer", "type", true, 64, &name, why);

    if (rc < 0)
        return rc;
    if (strcmp(name, "error") == 0)
        return reply_refusal(json, ret_code, ret_retry_ms, why);
    rc = field_i64(json, "the answer", "id", true, 0, INT64_MAX, &got_id, why);
    if (rc == 0)
        rc = field_bool(json, "the answer", "ok", true, &ok, why);
    if (rc == 0 && (!ok || got_id != id || strcmp(name, message_names[type]) != 0))
        rc = err_set(why, -EINVAL, "the answer is for %s %lld, but the request was %s %u", name,
                     (long long)got_id, message_names[type], id);
    return rc;
}
