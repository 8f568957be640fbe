#include "proto/cli/pred_probs.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/text.h"
#include "proto/cli/connection.h"
#include "proto/cli/import/npy.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/frame.h"

struct table {
    int64_t epoch, samples, classes; /* epoch -1: nothing was read yet */
    float *p;                        /* [samples, classes], owned */
    int64_t measured;
};

/* What the first piece says of the others; all is NaN. */
static int begin(struct table *t, const cJSON *json, struct errbuf *why)
{
    free(t->p);
    *t = (struct table){.epoch = -1};
    if (!reply_i64(json, "epoch", &t->epoch) || !reply_i64(json, "samples", &t->samples) ||
        !reply_i64(json, "classes", &t->classes) || t->samples < 0 || t->samples > SAMPLES_MAX ||
        t->classes < 1 || t->classes > CLASSES_MAX)
        return err_set(why, -EBADMSG, "the server does not say how many probabilities there are");
    if (t->samples == 0)
        return err_set(why, -ENOENT, "the job's dataset is not on the server any more");
    const size_t count = (size_t)t->samples * (size_t)t->classes;
    t->p = alloc_bytes(count, sizeof(*t->p));
    if (!t->p)
        return err_set(why, -ENOMEM, "out of memory for %zu probabilities", count);
    for (size_t i = 0; i < count; i++)
        t->p[i] = NAN;
    return 0;
}

/* *io_from: the sample behind the last one. */
static int take(struct table *t, const struct message *m, int64_t *io_from, struct errbuf *why)
{
    const struct tensor *ids = tensor_find(m->tensors, m->tensor_count, "sample"), *p;
    const uint64_t sides[2] = {ids ? ids->shape[0] : 0, (uint64_t)t->classes};
    const size_t bytes = (size_t)t->classes * sizeof(*t->p);
    int rc = message_tensor(m, "sample", DTYPE_U32, 1, sides, &ids, why);

    if (rc == 0)
        rc = message_tensor(m, "probabilities", DTYPE_F32, 2, sides, &p, why);
    for (size_t i = 0; rc == 0 && i < sides[0]; i++) {
        uint32_t id;
        memcpy(&id, (const char *)ids->data + i * sizeof(id), sizeof(id));
        if (id < *io_from || id >= t->samples)
            return err_set(why, -EBADMSG, "the server sent sample %u of %lld out of order", id,
                           (long long)t->samples);
        memcpy(t->p + (size_t)id * (size_t)t->classes, (const char *)p->data + i * bytes, bytes);
        *io_from = (int64_t)id + 1;
        t->measured++;
    }
    return rc;
}

/* Piece by piece; a sweep that takes the place of the one that is being read begins it anew. */
static int fetch(struct cli *cli, int64_t job, struct table *t, struct errbuf *why)
{
    int64_t from = 0, epoch = -1;
    bool more;
    int rc;

    do {
        struct message reply;
        cJSON *request = cJSON_CreateObject();
        const int64_t asked = from;

        cJSON_AddNumberToObject(request, "job", (double)job);
        cJSON_AddNumberToObject(request, "from", (double)from);
        rc = connection_call(cli, MSG_SCORE_PROBABILITIES, request, &reply, why);
        if (rc != 0)
            return rc;
        reply_i64(reply.json, "epoch", &epoch);
        more = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply.json, "more"));
        if (epoch != t->epoch)
            rc = begin(t, reply.json, why);
        if (rc == 0 && asked > 0 && t->measured == 0) { /* the piece is of another sweep's middle */
            from = 0;
            more = true;
        } else if (rc == 0) {
            rc = take(t, &reply, &from, why);
            if (rc == 0 && more && from == asked)
                rc = err_set(why, -EBADMSG,
                             "the server sent no probabilities, but says that there "
                             "are more");
        }
        message_done(&reply);
    } while (rc == 0 && more);
    return rc;
}

int pred_probs_export(struct cli *cli, int64_t job, const char *path, struct errbuf *why)
{
    struct table t = {.epoch = -1};
    int rc = fetch(cli, job, &t, why);

    if (rc == 0)
        rc = npy_write_rows(path, DTYPE_F32, t.p, (size_t)t.samples, (size_t)t.classes, why);
    if (rc == 0) {
        const int64_t others = t.samples - t.measured;
        print_note("%s: epoch %lld, %lld samples of %lld classes", path, (long long)t.epoch + 1,
                   (long long)t.samples, (long long)t.classes);
        if (others > 0)
            print_note("%lld of them have none in that epoch: NaN", (long long)others);
    }
    free(t.p);
    return rc;
}
