#include "server/handle/ask.h"

#include "common/bounds.h"
#include "common/field.h"
#include "server/jobs/service.h"

/* As many take about half a second. */
#define SCAN_ROWS_MIN 500000

/* Questions that read all scores of an epoch. */
static const struct scan {
    enum message_type type;
    int64_t epochs;
    bool history; /* of all epochs up to one that is named */
} scans[] = {
    {MSG_SCORE_TOP, 1, false},     {MSG_SCORE_HISTOGRAM, 1, false}, {MSG_SCORE_HEATMAP, 1, false},
    {MSG_SCORE_CLASSES, 1, false}, {MSG_SCORE_DOMAINS, 1, false},   {MSG_SCORE_CONFUSION, 1, false},
    {MSG_SCORE_RISERS, 2, false},  {MSG_SCORE_COMPARE, 2, false},   {MSG_SCORE_SUSPECTS, 2, true},
    {MSG_SCORE_MAP, 2, true},      {MSG_SCORE_PLANTED, 2, true},
};

/* 0: there is no such job, as the handler will say. Data that cannot be read now may be as large as
 * any. */
static int64_t samples_of(const struct request *rq, int64_t number)
{
    const struct service *s = rq->service;
    const struct dataset *data = NULL;
    struct dataset_record rec;
    struct job *job;

    if (jobs_find(s->jobs, number, &job, NULL) != 0)
        return 0;
    data = job->data;
    if (!data && datasets_find_hash(s->datasets, job->rec.dataset_sha256, &data, &rec, NULL) != 0)
        return SAMPLES_MAX;
    return (int64_t)data->samples + data->test_samples;
}

enum wait_line ask_line(const struct request *rq)
{
    const cJSON *json = rq->message.json;
    int64_t number = 0, epoch = 0;

    for (size_t i = 0; i < sizeof(scans) / sizeof(scans[0]); i++) {
        if (scans[i].type != rq->type)
            continue;
        /* What is wrong with them is the handler's to say. */
        field_i64(json, "", "job", false, 1, INT32_MAX, &number, NULL);
        if (scans[i].history)
            field_i64(json, "", "epoch", false, 0, EPOCHS_MAX, &epoch, NULL);
        const int64_t epochs = scans[i].epochs + epoch;
        const int64_t folds = cJSON_GetObjectItemCaseSensitive(json, "study") ? FOLDS_MAX : 1;
        return samples_of(rq, number) * epochs * folds >= SCAN_ROWS_MIN ? WAIT_SCAN : WAIT_ASK;
    }
    return WAIT_ASK;
}

void ask_run(struct op op)
{
    const struct net *net = op.rq->net;

    op_run(op.rq->wait == WAIT_SCAN ? net->scan_lane : net->query_lane, op);
}

struct query *ask_query(struct op *op)
{
    struct service *s = op->service;

    if (op->lane != s->net->scan_lane)
        return s->query;
    query_until(s->scans, &op->rq->orphan);
    return s->scans;
}
