/* top, histogram, trajectory, planted: what the difficulty database says about samples. */
#include "proto/cli/command.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/text.h"
#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/histogram.h"
#include "proto/cli/pages.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/resolve.h"
#include "proto/cli/sample_row.h"
#include "proto/cli/table.h"

#define TOP_DEFAULT 20

const struct option top_options[] = {
    BY_OPTION,
    SPLIT_OPTION,
    {"hardest", OPT_INT, ARG(hardest), .arg = "N", .min = 1, .max = ROWS_MAX,
     .help = "show the N hardest (default 20)"},
    {"easiest", OPT_INT, ARG(easiest), .arg = "N", .min = 1, .max = ROWS_MAX,
     .help = "show the N easiest"},
    FIRST_OPTION,
    EPOCH_OPTION,
    CLASS_OPTION,
    PATHS_OPTIONS,
    {NULL},
};

const struct option histogram_options[] = {
    BY_OPTION,
    EPOCH_OPTION,
    {"bins", OPT_INT, ARG(bins), .def = "20", .arg = "N", .min = 2, .max = HISTOGRAM_BINS_MAX,
     .help = "number of bars"},
    {"log", OPT_FLAG, ARG(log), .help = "use bars of equal width on a logarithmic scale"},
    {NULL},
};

const struct option trajectory_options[] = {
    {"sample", OPT_STR, ARG(sample), .arg = "I",
     .help = "number of the sample, counted from 0, or the path of its file; or name it after JOB"},
    {"from", OPT_INT, ARG(from), .arg = "E", .min = 1, .max = EPOCHS_MAX,
     .help = "from this epoch on (default: all epochs)"},
    {NULL},
};

const struct option planted_options[] = {EPOCH_OPTION, {NULL}};

static void cell_correct(struct table *t, const cJSON *row)
{
    const cJSON *correct = cJSON_GetObjectItemCaseSensitive(row, "correct");
    double number = 0;
    bool yes = cJSON_IsTrue(correct) || (reply_f64(row, "correct", &number) && number != 0);

    table_add(t, "%s", !correct ? "" : yes ? "yes" : "no");
    table_paint(t, yes || !correct ? PAINT_NONE : PAINT_BAD);
}

static void print_top(const struct cli *cli, const cJSON *rows)
{
    /* The measure that orders the rows has a column, also when it is not one of the usual three. */
    const char *by = measure_by_names[cli->args->by];
    bool usual = strcmp(by, "adm") == 0 || strcmp(by, "loss") == 0 || strcmp(by, "gap") == 0;
    const struct column columns[] = {
        {"rank", .right = true}, {"sample", .right = true},
        {.title = "label"},      {"predicted", .right = true},
        {"adm", .right = true},  {"loss", .right = true},
        {"gap", .right = true},  {usual ? "" : by, .right = true, .optional = true},
        KNOWN_COLUMNS,
    };
    struct table *t = table_create(columns);
    const cJSON *row;
    int64_t rank = cli->args->first;

    cJSON_ArrayForEach(row, rows)
    {
        table_add(t, "%lld", (long long)++rank);
        cell_i64(t, row, "sample");
        cell_label(t, row);
        cell_i64(t, row, "predicted");
        cell_f64(t, row, "adm");
        cell_f64(t, row, "loss");
        cell_f64(t, row, "gap");
        if (usual)
            table_add(t, TABLE_NONE);
        else
            cell_f64(t, row, by);
        cells_known(t, row);
    }
    table_end(cli, t);
}

int cmd_top(struct cli *cli, struct errbuf *why)
{
    const struct args *a = cli->args;
    bool easiest = a->easiest != NOT_GIVEN;
    int64_t limit = easiest ? a->easiest : a->hardest != NOT_GIVEN ? a->hardest : TOP_DEFAULT;
    char places[PLACES_BYTES];
    struct message reply;
    int64_t epoch = 0;
    const cJSON *rows;
    cJSON *request;

    if (easiest && a->hardest != NOT_GIVEN)
        return err_set(why, EXIT_USAGE, "--hardest and --easiest exclude each other");
    int rc = command_job_request_by(cli, measure_by_names, &request, why);
    if (rc != 0)
        return rc;
    cJSON_AddStringToObject(request, "order", easiest ? "easiest" : "hardest");
    cJSON_AddStringToObject(request, "split", sample_split_names[a->split]);
    request_epoch(cli, request);
    rc = request_class(cli, request, why);
    if (rc != 0) {
        cJSON_Delete(request);
        return rc;
    }
    cJSON_AddNumberToObject(request, "first", (double)a->first);
    cJSON_AddNumberToObject(request, "limit", (double)limit);
    rc = connection_call(cli, MSG_SCORE_TOP, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "rows", &rows, why);
    if (rc == 0 && !a->json)
        rc = rows_measured(cli, rows, measure_by_names[a->by], measure_by_names[a->by], why);
    if (rc == 0 && paths_wanted(cli)) {
        rc = paths_print(cli, rows, why);
    } else if (rc == 0 && a->json) {
        print_reply(&reply, NULL);
    } else if (rc == 0) {
        epoch = reply_epoch(reply.json, "epoch");
        printf("job %s, epoch %lld, %s%s first by %s: %s\n", cli->words[0], (long long)epoch,
               a->split ? "test samples, " : "", easiest ? "easiest" : "hardest",
               measure_by_names[a->by], places_text(cli, reply.json, rows, "samples", places));
        if (a->by == 0)
            printf("adm: how fragile a sample is: a small change of the picture changes the loss; "
                   "labels that may be wrong: steppe suspects %s\n",
                   cli->words[0]);
        print_top(cli, rows);
    }
    message_done(&reply);
    return rc;
}

static int read_bins(const cJSON *json, struct bin *bins, int *ret_count, struct errbuf *why)
{
    const cJSON *array, *entry;
    int n = 0;

    int rc = reply_array(json, "bins", &array, why);
    if (rc != 0)
        return rc;
    cJSON_ArrayForEach(entry, array)
    {
        if (n == HISTOGRAM_BINS_MAX || !reply_f64(entry, "lo", &bins[n].lo) ||
            !reply_f64(entry, "hi", &bins[n].hi) || !reply_i64(entry, "count", &bins[n].count))
            return err_set(why, -EBADMSG, "bin %d of the server's reply is not one", n);
        n++;
    }
    *ret_count = n;
    return 0;
}

static void print_figures(const cJSON *json)
{
    static const char *const names[] = {"mean", "p10", "p50", "p90", NULL};
    double value;

    for (int i = 0; names[i]; i++)
        if (reply_f64(json, names[i], &value))
            printf("%s%s %.4g", i == 0 ? "" : "   ", names[i], value);
    printf("\n");
}

int cmd_histogram(struct cli *cli, struct errbuf *why)
{
    const struct args *a = cli->args;
    struct bin bins[HISTOGRAM_BINS_MAX];
    struct message reply;
    int bin_count = 0;
    int64_t epoch = 0, count = 0;
    cJSON *request;

    int rc = command_job_request_by(cli, measure_by_names, &request, why);
    if (rc != 0)
        return rc;
    request_epoch(cli, request);
    cJSON_AddNumberToObject(request, "bins", (double)a->bins);
    cJSON_AddBoolToObject(request, "log", a->log);
    rc = connection_call(cli, MSG_SCORE_HISTOGRAM, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = read_bins(reply.json, bins, &bin_count, why);
    if (rc == 0 && a->json) {
        print_reply(&reply, NULL);
    } else if (rc == 0) {
        epoch = reply_epoch(reply.json, "epoch");
        reply_i64(reply.json, "count", &count);
        printf("job %s, epoch %lld, %s of %lld sample%s\n", cli->words[0], (long long)epoch,
               measure_by_names[a->by], (long long)count, text_s((double)count));
        histogram_print(bins, bin_count, cli->columns, stdout);
        print_figures(reply.json);
    }
    message_done(&reply);
    return rc;
}

static void print_sample(const struct cli *cli, const cJSON *sample)
{
    const char *planted = reply_text(sample, "planted"), *uri = reply_text(sample, "uri");
    char label[LABEL_BYTES], was[DRAW_TEXT_BYTES] = "";
    int64_t truth, number = 0;

    if (truth_differs(sample, &truth))
        snprintf(was, sizeof(was), ", truth %lld", (long long)truth);
    reply_i64(sample, "sample", &number);
    print_text("job %s, sample %lld%s%s, label %s%s%s%s", cli->words[0], (long long)number,
               *uri ? ", " : "", uri, label_text(sample, "label", "label_name", label), was,
               *planted ? ", planted: " : "", planted);
}

/* The sparkline of a measure with its ends; nothing for fewer than two values. */
static void print_spark(const struct cli *cli, const cJSON *rows, const char *measure)
{
    size_t count = (size_t)cJSON_GetArraySize(rows), n = 0;
    double *values = xcalloc(count + 1, sizeof(*values)), low = INFINITY, high = -INFINITY;
    char line[DRAW_LINE_BYTES];
    const cJSON *row;

    cJSON_ArrayForEach(row, rows)
    {
        if (!reply_f64(row, measure, &values[n]))
            continue;
        low = fmin(low, values[n]);
        high = fmax(high, values[n]);
        n++;
    }
    /* With more values than fit, the picture shows every k-th. */
    size_t room = (size_t)(cli->columns - 10), every = n / room + 1, cells = 0;
    for (size_t i = 0; i < n; i += every)
        values[cells++] = values[i];
    if (n > 1)
        printf("%-9s %s  %.4g to %.4g\n", measure, draw_spark(values, cells, line), low, high);
    free(values);
}

static void print_trajectory(const struct cli *cli, const cJSON *rows)
{
    static const struct column columns[] = {
        {"epoch", .right = true},
        {"adm", .right = true},
        {"loss", .right = true},
        {"adv loss", .right = true},
        {"gap", .right = true},
        {"grad norm", .right = true},
        {"el2n", .right = true},
        {"margin", .right = true},
        {"predicted", .right = true},
        {.title = "correct"},
        {NULL},
    };
    struct table *t = table_create(columns);
    const cJSON *row;

    cJSON_ArrayForEach(row, rows)
    {
        cell_epoch(t, row, "epoch");
        for (size_t i = 0; measure_by_names[i]; i++)
            cell_f64(t, row, measure_by_names[i]);
        cell_i64(t, row, "predicted");
        cell_correct(t, row);
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

int cmd_trajectory(struct cli *cli, struct errbuf *why)
{
    static const struct pages pages = {MSG_SCORE_TRAJECTORY, "rows", "epochs_from", "epoch", 1, 0};
    const char *word = cli->word_count > 1 ? cli->words[1] : cli->args->sample;
    int64_t from = cli->args->from == NOT_GIVEN ? 0 : cli->args->from - 1, job, number;
    const cJSON *rows, *sample;
    struct message reply;

    if (!word || (cli->word_count > 1 && cli->args->sample))
        return err_set(why, EXIT_USAGE,
                       "trajectory needs %s, the number of a sample or the path of its file",
                       word ? "either SAMPLE or --sample" : "--sample");
    int rc = command_job(cli, &job, why);
    if (rc == 0)
        rc = resolve_sample(cli, job, NULL, word, &number, why);
    if (rc != 0)
        return rc;
    cJSON *request = cJSON_CreateObject();
    cJSON_AddNumberToObject(request, "job", (double)job);
    cJSON_AddNumberToObject(request, "sample", (double)number);
    cJSON_AddNumberToObject(request, "epochs_from", (double)from);
    rc = pages_call(cli, &pages, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "rows", &rows, why);
    if (rc == 0)
        rc = reply_object(reply.json, "sample", &sample, why);
    if (rc == 0 && cli->args->json) {
        print_reply(&reply, NULL);
    } else if (rc == 0) {
        print_sample(cli, sample);
        print_trajectory(cli, rows);
        print_spark(cli, rows, "adm");
        print_spark(cli, rows, "loss");
    }
    message_done(&reply);
    return rc;
}

static void print_planted(const struct cli *cli, const cJSON *json)
{
    static const struct column columns[] = {
        {.title = "measure"},
        {"flipped", .right = true, .optional = true},
        {"found", .right = true, .optional = true},
        {"hard", .right = true, .optional = true},
        {NULL},
    };
    const cJSON *flipped = cJSON_GetObjectItemCaseSensitive(json, "auroc_flipped");
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(json, "precision_flipped");
    const cJSON *hard = cJSON_GetObjectItemCaseSensitive(json, "auroc_hard"), *measure;
    const cJSON *list = flipped ? flipped : hard;
    int64_t epoch = 0, flipped_count = 0, hard_count = 0;

    epoch = reply_epoch(json, "epoch");
    reply_i64(json, "flipped", &flipped_count);
    reply_i64(json, "hard", &hard_count);
    if (flipped_count == 0 && hard_count == 0) {
        printf("nothing is planted in the dataset of job %s; see --flip and --labels-are noisy "
               "of dataset import\n",
               cli->words[0]);
        return;
    }
    printf("job %s, epoch %lld: AUROC of each measure for %lld flipped labels and %lld hard "
           "samples\n(1 finds all of them first, 0.5 is chance; found: share of flipped labels "
           "among the first %lld)\n",
           cli->words[0], (long long)epoch, (long long)flipped_count, (long long)hard_count,
           (long long)flipped_count);
    struct table *t = table_create(columns);
    cJSON_ArrayForEach(measure, list)
    {
        table_add(t, "%s", measure->string);
        cell_f64(t, flipped, measure->string);
        cell_share(t, found, measure->string);
        cell_f64(t, hard, measure->string);
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

int cmd_planted(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    cJSON *request;

    int rc = command_job_request(cli, &request, why);
    if (rc != 0)
        return rc;
    request_epoch(cli, request);
    rc = connection_call(cli, MSG_SCORE_PLANTED, request, &reply, why);
    if (rc != 0)
        return rc;
    if (cli->args->json)
        print_reply(&reply, NULL);
    else
        print_planted(cli, reply.json);
    message_done(&reply);
    return 0;
}
