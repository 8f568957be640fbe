/* flatness: measures how flat the training loss is around a job's weights, as a job of its own that
 * trains nothing, and shows what a job has measured. */
#include "proto/cli/command.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/bounds.h"
#include "common/text.h"
#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/sample_row.h"
#include "proto/cli/table.h"
#include "proto/cli/watch.h"

#define SHOWN_VALUES 5
#define LINE_POINTS_MAX 101

const struct option flatness_options[] = {
    {"epoch", OPT_INT, ARG(epoch), .arg = "E", .min = 1, .max = EPOCHS_MAX,
     .help = "after this epoch, counted from 1 (default: all that were measured, or else the "
             "newest)"},
    {"samples", OPT_INT, ARG(samples), .arg = "N", .max = SAMPLES_MAX,
     .help = "over how many training samples, drawn by the job's seed; 0: all (default: over as "
             "many as was measured, or else as its job file says)"},
    {NULL},
};

/* --- what was measured --- */

static void add_value(struct table *t, const cJSON *row, int number)
{
    const cJSON *value =
        cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(row, "values"), number);
    const cJSON *residual =
        cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(row, "residuals"), number);

    if (!cJSON_IsNumber(value) || !cJSON_IsNumber(residual))
        table_add(t, "%s", "");
    else if (residual->valuedouble > 0.005 * fabs(value->valuedouble))
        table_add(t, "%.4g±%.1g", value->valuedouble, residual->valuedouble);
    else
        cell_number(t, value->valuedouble);
}

static void add_trace(struct table *t, const cJSON *row)
{
    double trace, error;

    if (reply_f64(row, "trace", &trace) && reply_f64(row, "trace_error", &error))
        table_add(t, "%.4g±%.2g", trace, error);
    else
        cell_f64(t, row, "trace");
}

static void print_table(const struct cli *cli, const cJSON *rows)
{
    static const struct column columns[] = {
        {"epoch", .right = true},   {"loss", .right = true},    {"lambda1", .right = true},
        {"lambda2", .right = true}, {"lambda3", .right = true}, {"lambda4", .right = true},
        {"lambda5", .right = true}, {"trace", .right = true},   {"sharpness", .right = true},
        {"rho", .right = true},     {"samples", .right = true}, {NULL},
    };
    struct table *t = table_create(columns);
    const cJSON *row;

    cJSON_ArrayForEach(row, rows)
    {
        cell_epoch(t, row, "epoch");
        cell_f64(t, row, "loss");
        for (int i = 0; i < SHOWN_VALUES; i++)
            add_value(t, row, i);
        add_trace(t, row);
        cell_f64(t, row, "sharpness");
        cell_f64(t, row, "rho");
        cell_i64(t, row, "samples");
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

/* The numbers of a list; returns how many. */
static size_t numbers_of(const cJSON *line, const char *name, double *ret)
{
    const cJSON *item;
    size_t count = 0;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(line, name))
    {
        if (cJSON_IsNumber(item) && count < LINE_POINTS_MAX)
            ret[count++] = item->valuedouble;
    }
    return count;
}

/* A line of blocks from one end to the other. */
static void print_line(const cJSON *line)
{
    double loss[LINE_POINTS_MAX], distance[LINE_POINTS_MAX], least = INFINITY, most = -INFINITY;
    const size_t count = numbers_of(line, "loss", loss);
    char spark[DRAW_LINE_BYTES];

    if (count == 0 || numbers_of(line, "distance", distance) != count)
        return;
    for (size_t i = 0; i < count; i++) {
        least = fmin(least, loss[i]);
        most = fmax(most, loss[i]);
    }
    print_text("  %-12s %s  %.4g to %.4g, up to %.3g away", reply_text(line, "name"),
               draw_spark(loss, count, spark), least, most, distance[count - 1]);
}

static void print_lines(const cJSON *row)
{
    const cJSON *line;

    print_text("the loss along lines through the weights, which are in the middle:");
    cJSON_ArrayForEach(line, cJSON_GetObjectItemCaseSensitive(row, "lines"))
    {
        print_line(line);
    }
}

/* *ret_count: how many there were to show; only of measurements over so many samples, unless that
 * is NOT_GIVEN. */
static int show(struct cli *cli, int64_t job, int64_t epoch, int64_t samples, int *ret_count,
                struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;
    const cJSON *rows;

    cJSON_AddNumberToObject(request, "job", (double)job);
    if (epoch >= 0) {
        cJSON_AddNumberToObject(request, "epochs_from", (double)epoch);
        cJSON_AddNumberToObject(request, "limit", 1);
    }
    int rc = connection_call(cli, MSG_JOB_FLATNESS, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "rows", &rows, why);
    int count = rc == 0 ? cJSON_GetArraySize(rows) : 0;
    int64_t first = -1, over = -1;
    if (count > 0) {
        reply_i64(cJSON_GetArrayItem(rows, 0), "epoch", &first);
        reply_i64(cJSON_GetArrayItem(rows, 0), "samples", &over);
    }
    if ((epoch >= 0 && first != epoch) || (samples != NOT_GIVEN && samples != over))
        count = 0;
    if (count > 0 && cli->args->json) {
        print_reply(&reply, NULL);
    } else if (count > 0) {
        print_table(cli, rows);
        print_lines(cJSON_GetArrayItem(rows, count - 1));
    }
    message_done(&reply);
    *ret_count = count;
    return rc;
}

/* --- a measurement --- */

static void take(const cJSON *from, const char *name, cJSON *to)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(from, name);

    if (item)
        cJSON_AddItemToObject(to, name, cJSON_Duplicate(item, true));
}

/* The job file of the measurement of these weights: what is said of data and model stays. */
static cJSON *spec_of(const cJSON *old, int64_t job, int64_t samples)
{
    static const char *const kept[] = {"dataset",       "model",        "batch",   "shard",
                                       "seed",          "input",        "exclude", "validation",
                                       "train_domains", "test_domains", "numerics"};
    cJSON *spec = cJSON_CreateObject(), *weights, *flatness;
    char name[NAME_MAX_BYTES];

    snprintf(name, sizeof(name), "flatness-of-%lld", (long long)job);
    cJSON_AddStringToObject(spec, "name", name);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        take(old, kept[i], spec);
    cJSON_AddNumberToObject(spec, "epochs", 0);
    weights = cJSON_AddObjectToObject(spec, "weights");
    cJSON_AddNumberToObject(weights, "job", (double)job);
    take(old, "flatness", spec);
    flatness = cJSON_GetObjectItemCaseSensitive(spec, "flatness");
    if (!flatness)
        flatness = cJSON_AddObjectToObject(spec, "flatness");
    cJSON_DeleteItemFromObjectCaseSensitive(flatness, "every");
    cJSON_AddNumberToObject(flatness, "every", 1);
    if (samples != NOT_GIVEN) {
        cJSON_DeleteItemFromObjectCaseSensitive(flatness, "samples");
        cJSON_AddNumberToObject(flatness, "samples", (double)samples);
    }
    return spec;
}

/* Only the newest weights of a job are kept. */
static int check_epoch(struct cli *cli, int64_t job, struct errbuf *why)
{
    const int64_t wanted = cli->args->epoch;
    cJSON *request = cJSON_CreateObject();
    struct message reply;
    int64_t epochs = 0;

    cJSON_AddNumberToObject(request, "job", (double)job);
    int rc = connection_call(cli, MSG_MODEL_GET, request, &reply, why);
    if (rc != 0)
        return rc;
    reply_i64(reply.json, "epoch", &epochs);
    message_done(&reply);
    return epochs == wanted
               ? 0
               : err_set(why, -ENOENT,
                         "job %lld did not measure its flatness after epoch %lld, and its weights "
                         "of then are not kept; those after epoch %lld are",
                         (long long)job, (long long)wanted, (long long)epochs);
}

static int submit(struct cli *cli, int64_t job, int64_t *ret, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    char uuid[UUID_BYTES];
    struct message reply;
    const cJSON *old, *row;

    cJSON_AddNumberToObject(request, "job", (double)job);
    int rc = connection_call(cli, MSG_JOB_SHOW, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "spec", &old, why);
    if (rc == 0 && strcmp(reply_text(old, "engine"), "external") == 0)
        rc = err_set(why, -ENOENT,
                     "job %lld has no model here: its engine is external, so that the program that "
                     "trains it has the model",
                     (long long)job);
    request = cJSON_CreateObject();
    text_uuid(uuid);
    cJSON_AddStringToObject(request, "uuid", uuid);
    if (rc == 0)
        cJSON_AddItemToObject(request, "spec", spec_of(old, job, cli->args->samples));
    message_done(&reply);
    if (rc != 0) {
        cJSON_Delete(request);
        return rc;
    }
    rc = connection_call(cli, MSG_JOB_SUBMIT, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "job", &row, why);
    if (rc == 0 && !reply_i64(row, "job", ret))
        rc = err_set(why, -EBADMSG, "the server's reply has no number of the job");
    message_done(&reply);
    return rc;
}

static int wait_for(struct cli *cli, int64_t job, struct errbuf *why)
{
    const int rc = watch_measurement(cli, job, why);

    return rc == -EINTR
               ? err_set(why, rc,
                         "job %lld goes on; steppe flatness %lld shows it later, steppe cancel "
                         "%lld stops it",
                         (long long)job, (long long)job, (long long)job)
               : rc;
}

int cmd_flatness(struct cli *cli, struct errbuf *why)
{
    /* As JSON counts. */
    const int64_t epoch = cli->args->epoch == NOT_GIVEN ? NOT_GIVEN : cli->args->epoch - 1;
    int64_t job, measuring;
    int count;
    int rc = command_job(cli, &job, why);

    if (rc == 0)
        rc = show(cli, job, epoch, cli->args->samples, &count, why);
    if (rc != 0 || count > 0)
        return rc;
    if (epoch >= 0)
        rc = check_epoch(cli, job, why);
    if (rc == 0)
        rc = submit(cli, job, &measuring, why);
    if (rc != 0)
        return rc;
    print_note("job %lld measures the weights of job %lld", (long long)measuring, (long long)job);
    rc = wait_for(cli, measuring, why);
    if (rc == 0)
        rc = show(cli, measuring, 0, NOT_GIVEN, &count, why);
    return rc;
}
