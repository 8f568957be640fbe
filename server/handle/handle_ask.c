/* score.classes, domains, risers, suspects, compare, map, confusion and rows: reads of
 * difficulty.db, on the query lane; and score.sql, for a cell. One handler serves the first six: a
 * table has the keys of each and the function that answers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "server/handle/ask.h"
#include "server/handle/handlers.h"
#include "server/jobs/attached.h"
#include "server/jobs/jobs.h"
#include "server/jobs/service.h"
#include "server/jobs/studies.h"
#include "server/net/op.h"

static const char *const riser_orders[] = {"risers", "fallers", NULL};
static const char *const split_names[] = {"train", "test", NULL};

/* The keys of a message; dispatch.c has refused all others. */
static const struct question {
    enum message_type type;
    const char *const *by; /* names of its measures */
    int by_default;
    const char *const *orders; /* NULL: it has no order */
    bool other;                /* it concerns a second job */
    int (*answer)(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why);
} questions[] = {
    {MSG_SCORE_CLASSES, query_group_names, BY_ACCURACY, NULL, false, query_classes},
    {MSG_SCORE_DOMAINS, query_group_names, BY_ACCURACY, NULL, false, query_domains},
    {MSG_SCORE_RISERS, query_by_names, BY_ADM, riser_orders, false, query_risers},
    {MSG_SCORE_SUSPECTS, suspect_by_names, SUSPECT_DEFAULT, NULL, false, query_suspects},
    {MSG_SCORE_COMPARE, query_by_names, BY_ADM, NULL, true, query_compare},
    {MSG_SCORE_MAP, map_by_names, MAP_AMBIGUOUS, NULL, false, query_map},
};

struct asked {
    struct ask ask;
    const struct question *question;
    char uuid[UUID_BYTES]; /* of the job */
    struct given from;     /* the file with what the job excludes; none: GIVEN_NOTHING */
    struct attached own;   /* what it excludes */
};

static int read_ask(const struct request *rq, const struct question *question, struct ask *a,
                    struct errbuf *why)
{
    const cJSON *json = rq->message.json;
    const char *where = message_names[rq->type];
    const struct {
        const char *name;
        bool required;
        int64_t min, max, *value;
    } numbers[] = {
        {"job", true, 1, INT32_MAX, &a->job},
        {"other", question->other, 1, INT32_MAX, &a->other},
        {"epoch", false, 0, EPOCHS_MAX, &a->epoch},
        {"from", false, 0, EPOCHS_MAX, &a->from},
        {"other_epoch", false, 0, EPOCHS_MAX, &a->other_epoch},
        {"class", false, 0, CLASSES_MAX, &a->class_id},
        {"first", false, 0, SAMPLES_MAX, &a->first},
        {"limit", false, 1, ROWS_MAX, &a->limit},
    };
    int order = 0, split = 0, rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        rc = field_i64(json, where, numbers[i].name, numbers[i].required, numbers[i].min,
                       numbers[i].max, numbers[i].value, why);
    if (rc == 0)
        rc = field_enum(json, where, "split", false, split_names, &split, why);
    if (rc == 0 && question->by)
        rc = field_enum(json, where, "by", false, question->by, &a->by, why);
    if (rc == 0 && question->orders)
        rc = field_enum(json, where, "order", false, question->orders, &order, why);
    a->reverse = order == 1;
    a->test = split == 1;
    return rc;
}

/* The jobs of a study that leaves out one fold after the other. */
static int read_folds(const struct request *rq, struct ask *a, struct errbuf *why)
{
    const char *name = NULL;
    struct study *study;
    struct job *own, *job;

    if (!cJSON_GetObjectItemCaseSensitive(rq->message.json, "study"))
        return 0;
    int rc = field_str(rq->message.json, message_names[rq->type], "study", true, NAME_MAX_BYTES,
                       &name, why);
    if (rc < 0)
        return rc;
    rc = studies_find(rq->service->studies, name, &study, why);
    if (rc == 0)
        rc = jobs_find(rq->service->jobs, a->job, &own, why);
    for (int i = 0; rc == 0 && i < study->job_count; i++) {
        const long long number = study->jobs[i].job;
        rc = jobs_find(rq->service->jobs, number, &job, why);
        if (rc < 0)
            break;
        if (job->spec.fold.of == 0 || strcmp(job->spec.dataset, own->spec.dataset) != 0 ||
            i == FOLDS_MAX)
            return err_set(why, -EINVAL,
                           "study %s does not leave out the folds of dataset %s, on which job "
                           "%lld trains",
                           name, own->spec.dataset, (long long)a->job);
        if (job->rec.state != JOB_DONE)
            return err_set(why, -EPERM,
                           "job %lld of study %s is %s; its fold is scored when it is done", number,
                           name, job_state_names[job->rec.state]);
        a->folds[a->fold_count++] = number;
    }
    return rc;
}

/* The samples that the job excludes by itself, or where the lane finds them. */
static void note_excluded(const struct job *job, struct asked *asked)
{
    const struct exclude *x = &job->spec.exclude;

    memcpy(asked->uuid, job->rec.uuid, sizeof(asked->uuid));
    asked->from = x->from;
    if (!x->ids || x->count == 0)
        return;
    asked->own.excluded = xmalloc(x->count * sizeof(*x->ids));
    memcpy(asked->own.excluded, x->ids, x->count * sizeof(*x->ids));
    asked->own.excluded_count = x->count;
}

static void answer_work(struct op *op)
{
    struct asked *asked = op->arg;

    if (asked->from.kind != GIVEN_NOTHING)
        op->rc = attached_load_excluded(op->service->dir, asked->uuid, &asked->from, &asked->own,
                                        &op->why);
    asked->ask.excluded = asked->own.excluded;
    asked->ask.excluded_count = asked->own.excluded_count;
    if (op->rc == 0)
        op->rc = asked->question->answer(ask_query(op), &asked->ask, &op->out, &op->why);
    attached_done(&asked->own);
    free(asked);
}

void handle_score_ask(struct request *rq)
{
    struct asked asked = {.ask = ASK};
    struct errbuf why;
    struct job *job, *other;

    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
        if (questions[i].type == rq->type)
            asked.question = &questions[i];
    asked.ask.by = asked.question->by_default;
    int rc = read_ask(rq, asked.question, &asked.ask, &why);
    if (rc == 0)
        rc = jobs_find(rq->service->jobs, asked.ask.job, &job, &why);
    if (rc == 0 && asked.question->other)
        rc = jobs_find(rq->service->jobs, asked.ask.other, &other, &why);
    if (rc == 0 && rq->type == MSG_SCORE_SUSPECTS)
        rc = read_folds(rq, &asked.ask, &why);
    if (rc != 0) {
        request_fail(rq, rc, &why);
        return;
    }
    if (rq->type == MSG_SCORE_SUSPECTS)
        note_excluded(job, &asked);
    struct asked *copy = xmalloc(sizeof(*copy));
    *copy = asked;
    ask_run((struct op){.rq = rq, .service = rq->service, .arg = copy, .work = answer_work});
}

struct confusion_op {
    struct ask ask;
    uint32_t *counts;
    struct tensor tensor;
};

static void confusion_work(struct op *op)
{
    struct confusion_op *a = op->arg;

    op->rc = query_confusion(ask_query(op), &a->ask, &a->counts, &op->out, &op->why);
    if (op->rc < 0)
        return;
    const cJSON *classes = cJSON_GetObjectItemCaseSensitive(op->out, "classes");
    const uint64_t n = (uint64_t)classes->valuedouble, shape[] = {n, n};
    a->tensor = tensor_make("counts", DTYPE_U32, 2, shape, a->counts);
    op->tensors = &a->tensor;
    op->tensor_count = 1;
}

static void confusion_done(struct op *op)
{
    struct confusion_op *a = op->arg;

    op_reply(op);
    free(a->counts);
    free(a);
}

void handle_score_confusion(struct request *rq)
{
    static const struct question question = {.type = MSG_SCORE_CONFUSION};
    struct ask ask = ASK;
    struct errbuf why;
    struct job *job;
    int rc = read_ask(rq, &question, &ask, &why);

    if (rc == 0)
        rc = jobs_find(rq->service->jobs, ask.job, &job, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    struct confusion_op *a = xcalloc(1, sizeof(*a));
    a->ask = ask;
    ask_run((struct op){.rq = rq,
                        .service = rq->service,
                        .arg = a,
                        .replies = true,
                        .work = confusion_work,
                        .done = confusion_done});
}

struct rows_op {
    struct rows_args args;
    struct score_rows rows;
};

static void rows_work(struct op *op)
{
    struct rows_op *a = op->arg;

    op->rc = query_rows(op->service->query, &a->args, &a->rows, &op->why);
}

static void rows_reply(struct request *rq, const struct score_rows *r)
{
    struct tensor tensors[5 + QUERY_VALUES] = {
        tensor_1d("sample", DTYPE_U32, r->count, r->sample),
        tensor_1d("label", DTYPE_I32, r->count, r->label),
        tensor_1d("truth", DTYPE_I32, r->count, r->truth),
        tensor_1d("predicted", DTYPE_I32, r->count, r->predicted),
        tensor_1d("flags", DTYPE_U32, r->count, r->flags),
    };
    cJSON *out = cJSON_CreateObject();

    for (int k = 0; k < QUERY_VALUES; k++)
        tensors[5 + k] = tensor_1d(query_value_names[k], DTYPE_F64, r->count, r->values[k]);
    cJSON_AddNumberToObject(out, "epoch", (double)r->epoch);
    cJSON_AddNumberToObject(out, "count", (double)r->total);
    cJSON_AddBoolToObject(out, "more", r->more);
    request_reply(rq, out, tensors, 5 + QUERY_VALUES);
}

static void rows_done(struct op *op)
{
    struct rows_op *a = op->arg;

    if (op->rc < 0)
        request_fail(op->rq, op->rc, &op->why);
    else
        rows_reply(op->rq, &a->rows);
    score_rows_done(&a->rows);
    free(a);
}

void handle_score_rows(struct request *rq)
{
    struct rows_op a = {.args = {.epoch = -1, .limit = ROWS_PIECE_MAX}};
    const cJSON *json = rq->message.json;
    const struct {
        const char *name;
        bool required;
        int64_t min, max, *value;
    } numbers[] = {
        {"job", true, 1, INT32_MAX, &a.args.job},
        {"epoch", false, 0, EPOCHS_MAX, &a.args.epoch},
        {"from", false, 0, SAMPLES_MAX, &a.args.sample},
        {"first", false, 0, SAMPLES_MAX, &a.args.first},
        {"limit", false, 1, ROWS_PIECE_MAX, &a.args.limit},
    };
    struct errbuf why;
    struct job *job;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        rc = field_i64(json, "score.rows", numbers[i].name, numbers[i].required, numbers[i].min,
                       numbers[i].max, numbers[i].value, &why);
    if (rc == 0)
        rc = jobs_find(rq->service->jobs, a.args.job, &job, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    struct rows_op *copy = xmalloc(sizeof(*copy));
    *copy = a;
    op_run(
        rq->service->net->query_lane,
        (struct op){
            .rq = rq, .service = rq->service, .arg = copy, .work = rows_work, .done = rows_done});
}

struct probabilities_op {
    int64_t job, from, limit;
    struct probability_rows rows;
};

static void probabilities_work(struct op *op)
{
    struct probabilities_op *a = op->arg;

    op->rc = query_probabilities(op->service->query, a->job, a->from, a->limit, &a->rows, &op->why);
}

static void probabilities_done(struct op *op)
{
    struct probabilities_op *a = op->arg;
    const struct probability_rows *r = &a->rows;

    if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
    } else {
        const uint64_t sides[2] = {r->count, r->classes};
        const struct tensor tensors[] = {
            tensor_1d("sample", DTYPE_U32, r->count, r->sample),
            tensor_make("probabilities", DTYPE_F32, 2, sides, r->p),
        };
        cJSON *out = cJSON_CreateObject();
        cJSON_AddNumberToObject(out, "epoch", (double)r->epoch);
        cJSON_AddNumberToObject(out, "samples", (double)r->samples);
        cJSON_AddNumberToObject(out, "classes", r->classes);
        cJSON_AddBoolToObject(out, "more", r->more);
        request_reply(op->rq, out, tensors, 2);
    }
    probability_rows_done(&a->rows);
    free(a);
}

void handle_score_probabilities(struct request *rq)
{
    struct probabilities_op a = {.limit = SAMPLES_MAX};
    const cJSON *json = rq->message.json;
    struct errbuf why;
    struct job *job;
    int rc = field_i64(json, "score.probabilities", "job", true, 1, INT32_MAX, &a.job, &why);

    if (rc == 0)
        rc = field_i64(json, "score.probabilities", "from", false, 0, SAMPLES_MAX, &a.from, &why);
    if (rc == 0)
        rc = field_i64(json, "score.probabilities", "limit", false, 1, SAMPLES_MAX, &a.limit, &why);
    if (rc == 0)
        rc = jobs_find(rq->service->jobs, a.job, &job, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    struct probabilities_op *copy = xmalloc(sizeof(*copy));
    *copy = a;
    op_run(rq->service->net->query_lane, (struct op){.rq = rq,
                                                     .service = rq->service,
                                                     .arg = copy,
                                                     .work = probabilities_work,
                                                     .done = probabilities_done});
}

void handle_score_sql(struct request *rq)
{
    const cJSON *json = rq->message.json;
    int64_t number = 0, limit = ROWS_MAX;
    const char *sql = NULL;
    struct errbuf why;
    struct job *job;
    int rc = field_i64(json, "score.sql", "job", false, 1, INT32_MAX, &number, &why);

    if (rc == 0)
        rc = field_str(json, "score.sql", "sql", true, JSON_REQUEST_BYTES_MAX, &sql, &why);
    if (rc == 0)
        rc = field_i64(json, "score.sql", "limit", false, 1, ROWS_MAX, &limit, &why);
    if (rc == 0 && number)
        rc = jobs_find(rq->service->jobs, number, &job, &why);
    if (rc < 0)
        request_fail(rq, rc, &why);
    else
        questions_ask(rq->service->questions, rq, number, limit, sql);
}
