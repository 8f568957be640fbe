/* upload.list and upload.rm. */
#include "common/clock.h"
#include "common/field.h"
#include "common/text.h"
#include "server/handle/handlers.h"
#include "server/jobs/service.h"

struct incoming_from incoming_from(const struct request *rq)
{
    return (struct incoming_from){.key = rq->key_name,
                                  .sender = rq->sender,
                                  .what = "",
                                  .any = !rq->session || rq->role == ROLE_ADMIN};
}

void handle_upload_list(struct request *rq)
{
    cJSON *out = cJSON_CreateObject();

    cJSON_AddItemToObject(out, "uploads", incoming_rows(rq->service->incoming, clock_mono_ms()));
    request_reply(rq, out, NULL, 0);
}

void handle_upload_rm(struct request *rq)
{
    const struct incoming_from from = incoming_from(rq);
    uint8_t digest[SHA256_BYTES];
    char sha256[SHA256_HEX];
    struct errbuf why;
    int rc = field_sha256(rq->message.json, "upload.rm", "sha256", digest, &why);

    if (rc == 0) {
        text_hex(digest, sizeof(digest), sha256);
        rc = incoming_remove(rq->service->incoming, &from, sha256, &why);
    }
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    cJSON *out = cJSON_CreateObject();
    cJSON_AddStringToObject(out, "removed", sha256);
    request_reply(rq, out, NULL, 0);
}
