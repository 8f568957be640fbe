#include "proto/cli/sample_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "proto/cli/connection.h"
#include "proto/cli/reply.h"

/* Appends the names of a page, which must be whole. */
static int add_page(struct sample_names *n, const struct message *reply, uint32_t *ret_count,
                    struct errbuf *why)
{
    const struct tensor *ends, *bytes;
    uint32_t end, before = 0;
    int rc = message_tensor(reply, "ends", DTYPE_U32, 1, NULL, &ends, why);

    if (rc == 0)
        rc = message_tensor(reply, "bytes", DTYPE_U8, 1, NULL, &bytes, why);
    if (rc != 0)
        return rc;
    uint32_t count = (uint32_t)ends->shape[0];
    if (n->count + (uint64_t)count > SAMPLES_MAX)
        return err_set(why, -EBADMSG, "the server names more than %u samples", SAMPLES_MAX);
    if (n->used + bytes->bytes > n->room) {
        n->room = 2 * n->room + bytes->bytes;
        n->bytes = xrealloc(n->bytes, n->room);
    }
    n->ends = xrealloc(n->ends, (n->count + (size_t)count + 1) * sizeof(*n->ends));
    for (uint32_t i = 0; i < count; i++, before = end) {
        memcpy(&end, (const char *)ends->data + sizeof(end) * i, sizeof(end));
        if (end < before || end > bytes->bytes)
            return err_set(why, -EBADMSG,
                           "the names in the server's reply do not follow one "
                           "another");
        n->ends[n->count + i] = n->used + end;
    }
    if (bytes->bytes)
        memcpy(n->bytes + n->used, bytes->data, bytes->bytes);
    n->used += before;
    n->count += count;
    *ret_count = count;
    return 0;
}

int sample_names_fetch(struct cli *cli, int64_t job, struct sample_names *ret, struct errbuf *why)
{
    struct sample_names n = {0};
    uint32_t count = 1;
    int rc = 0;

    while (rc == 0 && count > 0) {
        enum error_code code = ERR_INTERNAL;
        struct message reply;
        cJSON *request = cJSON_CreateObject();
        cJSON_AddNumberToObject(request, "job", (double)job);
        cJSON_AddNumberToObject(request, "first", n.count);
        count = 0;
        rc = connection_call_tensors(cli, MSG_SAMPLE_URIS, request, NULL, 0, CALL_DEADLINE_MS,
                                     &reply, &code, why);
        if (rc == -EREMOTEIO && (code == ERR_UNKNOWN_TYPE || code == ERR_NOT_FOUND)) {
            rc = 0;
            break;
        }
        if (rc != 0)
            break;
        /* Of so many samples without names, not one page more. */
        if (!cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(reply.json, "named")))
            rc = add_page(&n, &reply, &count, why);
        message_done(&reply);
    }
    if (rc == 0)
        *ret = n;
    else
        sample_names_done(&n);
    return rc;
}

const char *sample_names_at(const struct sample_names *n, int64_t sample, size_t *ret_bytes)
{
    *ret_bytes = 0;
    if (sample < 0 || sample >= n->count)
        return "";
    uint64_t begin = sample ? n->ends[sample - 1] : 0;
    *ret_bytes = (size_t)(n->ends[sample] - begin);
    return n->bytes + begin;
}

void sample_names_done(struct sample_names *n)
{
    free(n->bytes);
    free(n->ends);
    *n = (struct sample_names){0};
}
