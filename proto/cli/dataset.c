#include "proto/cli/dataset.h"

#include <errno.h>

#include "common/bounds.h"
#include "proto/cli/connection.h"
#include "proto/cli/reply.h"

int dataset_ask(struct cli *cli, const char *name, struct message *ret, const cJSON **row,
                struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();

    cJSON_AddStringToObject(request, "name", name);
    int rc = connection_call(cli, MSG_DATASET_SHOW, request, ret, why);
    if (rc != 0)
        return rc;
    rc = reply_object(ret->json, "dataset", row, why);
    if (rc != 0)
        message_done(ret);
    return rc;
}

int dataset_samples(struct cli *cli, const char *name, uint32_t *ret, struct errbuf *why)
{
    struct message reply;
    const cJSON *row;
    int64_t samples;
    int rc = dataset_ask(cli, name, &reply, &row, why);

    if (rc != 0)
        return rc;
    if (reply_i64(row, "samples", &samples) && samples >= 1 && samples <= SAMPLES_MAX)
        *ret = (uint32_t)samples;
    else
        rc =
            err_set(why, -EBADMSG, "the server does not say how many samples dataset %s has", name);
    message_done(&reply);
    return rc;
}
