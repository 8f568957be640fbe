#include "proto/cli/score_columns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/score.h"
#include "proto/cli/connection.h"
#include "proto/cli/reply.h"

const char *const score_int_names[SCORE_INTS] = {"epoch", "sample",    "label",
                                                 "truth", "predicted", "flags"};
const char *const score_real_names[SCORE_REALS] = {"adm",       "loss", "adv_loss",
                                                   "grad_norm", "el2n", "margin"};

void score_columns_done(struct score_columns *s)
{
    for (int k = 0; k < SCORE_INTS; k++)
        free(s->ints[k]);
    for (int k = 0; k < SCORE_REALS; k++)
        free(s->reals[k]);
    *s = (struct score_columns){0};
}

static int make_room(struct score_columns *s, size_t more, struct errbuf *why)
{
    size_t room = s->count + more + 1;

    if (room <= s->room)
        return 0;
    room += s->room / 2;
    for (int k = 0; k < SCORE_INTS + SCORE_REALS; k++) {
        void **at = k < SCORE_INTS ? (void **)&s->ints[k] : (void **)&s->reals[k - SCORE_INTS];
        void *grown = realloc(*at, room * (k < SCORE_INTS ? sizeof(int32_t) : sizeof(double)));
        if (!grown)
            return err_set(why, -ENOMEM, "out of memory for %zu rows", room);
        *at = grown;
    }
    s->room = room;
    return 0;
}

/* Appends the reply's rows of the class, up to the limit; *ret_last: the sample of the last of all
 * rows, -1: there are none. */
static int add_piece(const struct score_columns_want *want, struct score_columns *s,
                     const struct message *reply, int64_t *ret_last, struct errbuf *why)
{
    const struct tensor *ints[SCORE_INTS] = {NULL}, *reals[SCORE_REALS] = {NULL};
    int rc = message_tensor(reply, "sample", DTYPE_U32, 1, NULL, &ints[1], why);

    for (int k = 2; rc == 0 && k < SCORE_INTS; k++)
        rc = message_tensor(reply, score_int_names[k], k == SCORE_INTS - 1 ? DTYPE_U32 : DTYPE_I32,
                            1, ints[1]->shape, &ints[k], why);
    for (int k = 0; rc == 0 && k < SCORE_REALS - 1; k++)
        rc = message_tensor(reply, score_real_names[k], DTYPE_F64, 1, ints[1]->shape, &reals[k],
                            why);
    if (rc == 0)
        rc = make_room(s, (size_t)ints[1]->shape[0], why);
    if (rc != 0)
        return rc;
    for (uint64_t i = 0; i < ints[1]->shape[0]; i++) {
        size_t at = s->count;
        for (int k = 1; k < SCORE_INTS; k++)
            memcpy(&s->ints[k][at], (const char *)ints[k]->data + 4 * i, 4);
        for (int k = 0; k < SCORE_REALS - 1; k++)
            memcpy(&s->reals[k][at], (const char *)reals[k]->data + 8 * i, 8);
        s->ints[ROW_EPOCH][at] = (int32_t)s->epoch;
        s->reals[ROW_MARGIN][at] = score_margin(s->reals[ROW_LOSS][at], s->reals[ROW_EL2N][at]);
        if (want->class_id == NOT_GIVEN || s->ints[ROW_LABEL][at] == want->class_id)
            s->count++;
        if (want->limit > 0 && s->count == (size_t)want->limit)
            break;
    }
    *ret_last = -1;
    if (ints[1]->shape[0] > 0) {
        uint32_t last;
        memcpy(&last, (const char *)ints[1]->data + 4 * (ints[1]->shape[0] - 1), 4);
        *ret_last = last;
    }
    return 0;
}

int score_columns_page(struct cli *cli, int64_t job, const struct score_columns_want *want,
                       struct score_columns *s, int64_t *io_from, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;
    int64_t last = -1;

    cJSON_AddNumberToObject(request, "job", (double)job);
    if (s->epoch >= 0)
        cJSON_AddNumberToObject(request, "epoch", (double)s->epoch);
    if (*io_from > 0)
        cJSON_AddNumberToObject(request, "from", (double)*io_from);
    int rc = connection_call(cli, MSG_SCORE_ROWS, request, &reply, why);
    if (rc != 0)
        return rc;
    const bool more = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply.json, "more"));
    if (!reply_i64(reply.json, "epoch", &s->epoch))
        rc = err_set(why, -EBADMSG, "the server does not say of which epoch its rows are");
    if (rc == 0)
        rc = add_piece(want, s, &reply, &last, why);
    message_done(&reply);
    if (rc == 0 && more && last < *io_from)
        rc = err_set(why, -EBADMSG, "the server's pages do not follow one another");
    *io_from = more && !(want->limit > 0 && s->count == (size_t)want->limit) ? last + 1 : -1;
    return rc;
}

int score_columns_fetch(struct cli *cli, int64_t job, int64_t epoch,
                        const struct score_columns_want *want, struct score_columns *s,
                        struct errbuf *why)
{
    int64_t from = 0;
    int rc = 0;

    s->count = 0;
    s->epoch = epoch;
    while (rc == 0 && from >= 0)
        rc = score_columns_page(cli, job, want, s, &from, why);
    return rc;
}

int score_columns_epochs(struct cli *cli, int64_t job, int64_t **ret, size_t *ret_count,
                         struct errbuf *why)
{
    int64_t *list = NULL, next = 0, got;
    size_t n = 0;
    int rc;

    do {
        struct message reply;
        const cJSON *epochs = NULL, *entry;
        cJSON *request = cJSON_CreateObject();
        cJSON_AddNumberToObject(request, "job", (double)job);
        cJSON_AddNumberToObject(request, "epochs_from", (double)next);
        rc = connection_call(cli, MSG_JOB_SHOW, request, &reply, why);
        if (rc != 0)
            break;
        got = 0;
        rc = reply_array(reply.json, "epochs", &epochs, why);
        if (rc == 0)
            list = xrealloc(list, (n + (size_t)cJSON_GetArraySize(epochs) + 1) * sizeof(*list));
        cJSON_ArrayForEach(entry, epochs)
        {
            int64_t scored = 0;
            if (!reply_i64(entry, "epoch", &next) || !reply_i64(entry, "scored", &scored))
                continue;
            if (scored > 0)
                list[n++] = next;
            next++;
            got++;
        }
        message_done(&reply);
    } while (rc == 0 && got > 0);
    if (rc == 0 && n == 0)
        rc = err_set(why, -ENOENT, "job %lld has no scores yet; they come at the end of an epoch",
                     (long long)job);
    *ret = list;
    *ret_count = n;
    return rc;
}
