/* score.*, job.flatness, job.metrics: reads of difficulty.db, on the query lane. */
#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/field.h"
#include "server/handle/ask.h"
#include "server/handle/handlers.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

union score_args {
    struct top_args top;
    struct histogram_args histogram;
    struct heatmap_args heatmap;
    struct trajectory_args trajectory;
    struct flatness_args flatness;
    struct metrics_args metrics;
    struct {
        int64_t job, epoch;
    } planted;
};

/* `job`, checked to exist; 0 or -errno. */
static int read_job(const struct request *rq, int64_t *ret, struct errbuf *why)
{
    struct job *job;
    int rc =
        field_i64(rq->message.json, message_names[rq->type], "job", true, 1, INT32_MAX, ret, why);

    return rc < 0 ? rc : jobs_find(rq->service->jobs, *ret, &job, why);
}

static int read_i64(const struct request *rq, const char *name, int64_t min, int64_t max,
                    int64_t *io, struct errbuf *why)
{
    return field_i64(rq->message.json, message_names[rq->type], name, false, min, max, io, why);
}

static int read_by(const struct request *rq, int *io, struct errbuf *why)
{
    return field_enum(rq->message.json, message_names[rq->type], "by", false, query_by_names, io,
                      why);
}

static void run_query(struct request *rq, int rc, const struct errbuf *why,
                      const union score_args *args, void (*work)(struct op *op))
{
    if (rc < 0) {
        request_fail(rq, rc, why);
        return;
    }
    union score_args *copy = xmalloc(sizeof(*copy));
    *copy = *args;
    ask_run((struct op){.rq = rq, .service = rq->service, .arg = copy, .work = work});
}

static void top_work(struct op *op)
{
    union score_args *a = op->arg;

    op->rc = query_top(ask_query(op), &a->top, &op->out, &op->why);
    free(a);
}

void handle_score_top(struct request *rq)
{
    static const char *const orders[] = {"hardest", "easiest", NULL};
    static const char *const splits[] = {"train", "test", NULL};
    union score_args a = {.top = {.epoch = -1, .class_id = -1, .limit = 20}};
    struct errbuf why;
    int order = 0, split = 0;
    int rc = read_job(rq, &a.top.job, &why);

    if (rc == 0)
        rc = read_by(rq, &a.top.by, &why);
    if (rc == 0)
        rc = field_enum(rq->message.json, "score.top", "order", false, orders, &order, &why);
    if (rc == 0)
        rc = field_enum(rq->message.json, "score.top", "split", false, splits, &split, &why);
    if (rc == 0)
        rc = read_i64(rq, "epoch", 0, EPOCHS_MAX, &a.top.epoch, &why);
    if (rc == 0)
        rc = read_i64(rq, "class", 0, CLASSES_MAX, &a.top.class_id, &why);
    if (rc == 0)
        rc = read_i64(rq, "first", 0, SAMPLES_MAX, &a.top.first, &why);
    if (rc == 0)
        rc = read_i64(rq, "limit", 1, ROWS_MAX, &a.top.limit, &why);
    a.top.easiest = order == 1;
    a.top.test = split == 1;
    run_query(rq, rc, &why, &a, top_work);
}

static void histogram_work(struct op *op)
{
    union score_args *a = op->arg;

    op->rc = query_histogram(ask_query(op), &a->histogram, &op->out, &op->why);
    free(a);
}

void handle_score_histogram(struct request *rq)
{
    union score_args a = {.histogram = {.epoch = -1, .bins = 20}};
    struct errbuf why;
    int rc = read_job(rq, &a.histogram.job, &why);

    if (rc == 0)
        rc = read_by(rq, &a.histogram.by, &why);
    if (rc == 0)
        rc = read_i64(rq, "epoch", 0, EPOCHS_MAX, &a.histogram.epoch, &why);
    if (rc == 0)
        rc = read_i64(rq, "bins", 2, HISTOGRAM_BINS_MAX, &a.histogram.bins, &why);
    if (rc == 0)
        rc = field_bool(rq->message.json, "score.histogram", "log", false, &a.histogram.log, &why);
    run_query(rq, rc, &why, &a, histogram_work);
}

static void heatmap_work(struct op *op)
{
    union score_args *a = op->arg;

    op->rc = query_heatmap(ask_query(op), &a->heatmap, &op->out, &op->why);
    free(a);
}

void handle_score_heatmap(struct request *rq)
{
    union score_args a = {.heatmap = {.bins = 40, .limit = 100}};
    struct errbuf why;
    int rc = read_job(rq, &a.heatmap.job, &why);

    if (rc == 0)
        rc = read_by(rq, &a.heatmap.by, &why);
    if (rc == 0)
        rc = read_i64(rq, "bins", 2, HEATMAP_BINS_MAX, &a.heatmap.bins, &why);
    if (rc == 0)
        rc = read_i64(rq, "epochs_from", 0, EPOCHS_MAX, &a.heatmap.from, &why);
    if (rc == 0)
        rc = read_i64(rq, "limit", 1, ROWS_MAX, &a.heatmap.limit, &why);
    run_query(rq, rc, &why, &a, heatmap_work);
}

static void flatness_work(struct op *op)
{
    union score_args *a = op->arg;

    op->rc = query_flatness(op->service->query, &a->flatness, &op->out, &op->why);
    free(a);
}

void handle_job_flatness(struct request *rq)
{
    union score_args a = {.flatness = {.limit = FLATNESS_ROWS_MAX}};
    struct errbuf why;
    int rc = read_job(rq, &a.flatness.job, &why);

    if (rc == 0)
        rc = read_i64(rq, "epochs_from", 0, EPOCHS_MAX, &a.flatness.from, &why);
    if (rc == 0)
        rc = read_i64(rq, "limit", 1, FLATNESS_ROWS_MAX, &a.flatness.limit, &why);
    run_query(rq, rc, &why, &a, flatness_work);
}

static void metrics_work(struct op *op)
{
    union score_args *a = op->arg;

    op->rc = query_metrics(op->service->query, &a->metrics, &op->out, &op->why);
    free(a);
}

void handle_job_metrics(struct request *rq)
{
    union score_args a = {.metrics = {.limit = ROWS_MAX}};
    struct errbuf why;
    int rc = read_job(rq, &a.metrics.job, &why);

    if (rc == 0)
        rc = read_i64(rq, "epochs_from", 0, EPOCHS_MAX, &a.metrics.from, &why);
    if (rc == 0)
        rc = read_i64(rq, "limit", 1, ROWS_MAX, &a.metrics.limit, &why);
    run_query(rq, rc, &why, &a, metrics_work);
}

static void trajectory_work(struct op *op)
{
    union score_args *a = op->arg;

    op->rc = query_trajectory(op->service->query, &a->trajectory, &op->out, &op->why);
    free(a);
}

void handle_score_trajectory(struct request *rq)
{
    union score_args a = {.trajectory = {.from = -1, .limit = ROWS_MAX}};
    struct errbuf why;
    int rc = read_job(rq, &a.trajectory.job, &why);

    if (rc == 0)
        rc = field_i64(rq->message.json, "score.trajectory", "sample", true, 0, SAMPLES_MAX,
                       &a.trajectory.sample, &why);
    if (rc == 0)
        rc = read_i64(rq, "epochs_from", 0, EPOCHS_MAX, &a.trajectory.from, &why);
    if (rc == 0)
        rc = read_i64(rq, "limit", 1, ROWS_MAX, &a.trajectory.limit, &why);
    run_query(rq, rc, &why, &a, trajectory_work);
}

static void planted_work(struct op *op)
{
    union score_args *a = op->arg;

    op->rc = query_planted(ask_query(op), a->planted.job, a->planted.epoch, &op->out, &op->why);
    free(a);
}

void handle_score_planted(struct request *rq)
{
    union score_args a = {.planted = {.epoch = -1}};
    struct errbuf why;
    int rc = read_job(rq, &a.planted.job, &why);

    if (rc == 0)
        rc = read_i64(rq, "epoch", 0, EPOCHS_MAX, &a.planted.epoch, &why);
    run_query(rq, rc, &why, &a, planted_work);
}
