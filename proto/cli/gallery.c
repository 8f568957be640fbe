#include "proto/cli/gallery.h"

#include <errno.h>
#include <string.h>

#include "common/bounds.h"
#include "proto/cli/connection.h"
#include "proto/cli/dataset.h"
#include "proto/cli/reply.h"

static int ask_images(struct cli *cli, struct gallery *g, int64_t job, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject(), *samples;
    const cJSON *row;
    const struct tensor *t;

    cJSON_AddNumberToObject(request, "job", (double)job);
    samples = cJSON_AddArrayToObject(request, "samples");
    cJSON_ArrayForEach(row, g->rows)
    {
        int64_t sample = -1;
        reply_i64(row, "sample", &sample);
        cJSON_AddItemToArray(samples, cJSON_CreateNumber((double)sample));
    }
    enum error_code code = ERR_INTERNAL;
    int rc = connection_call_tensors(cli, MSG_SAMPLE_IMAGES, request, NULL, 0, CALL_DEADLINE_MS,
                                     &g->images, &code, &g->none);
    if (rc == -EREMOTEIO && code == ERR_NOT_FOUND)
        return 0;
    if (rc != 0)
        return err_set(why, rc, "%s", g->none.text);
    t = tensor_find(g->images.tensors, g->images.tensor_count, "images");
    if (!t || t->dtype != DTYPE_U8 || t->dims != 4 || t->shape[0] != g->count || !t->shape[1] ||
        !t->shape[2] || !t->shape[3] || t->shape[1] > IMAGE_SIDE_MAX ||
        t->shape[2] > IMAGE_SIDE_MAX || t->shape[3] > CHANNELS_MAX)
        return err_set(why, -EBADMSG, "the server's reply does not hold the pictures");
    g->pixels = t->data;
    g->h = (uint32_t)t->shape[1];
    g->w = (uint32_t)t->shape[2];
    g->c = (uint32_t)t->shape[3];
    return 0;
}

int gallery_open(struct cli *cli, struct gallery *g, int64_t job, enum message_type type,
                 cJSON *request, struct errbuf *why)
{
    *g = (struct gallery){.rows = NULL};
    int rc = connection_call(cli, type, request, &g->reply, why);
    if (rc == 0)
        rc = reply_array(g->reply.json, "rows", &g->rows, why);
    if (rc == 0)
        g->count = (uint32_t)cJSON_GetArraySize(g->rows);
    if (rc == 0 && g->count > 0)
        rc = ask_images(cli, g, job, why);
    if (rc != 0)
        gallery_close(g);
    return rc;
}

void gallery_close(struct gallery *g)
{
    message_done(&g->reply);
    message_done(&g->images);
    *g = (struct gallery){.rows = NULL};
}

const uint8_t *gallery_image(const struct gallery *g, uint32_t index)
{
    return g->pixels + (size_t)index * g->h * g->w * g->c;
}

cJSON *gallery_class_names(struct cli *cli, const char *dataset)
{
    cJSON *names = NULL;
    struct message reply;
    struct errbuf why;
    const cJSON *row;

    if (dataset_ask(cli, dataset, &reply, &row, &why) == 0) {
        names = cJSON_DetachItemFromObjectCaseSensitive(reply.json, "class_names");
        message_done(&reply);
    }
    return names ? names : cJSON_CreateArray();
}

const char *gallery_class_name(const cJSON *names, int64_t class_id, char *buf, size_t bytes)
{
    const cJSON *name = cJSON_GetArrayItem(names, (int)class_id);

    if (class_id >= 0 && cJSON_IsString(name))
        snprintf(buf, bytes, "%s", name->valuestring);
    else
        snprintf(buf, bytes, "%lld", (long long)class_id);
    return buf;
}
