/* metrics: what was measured of each epoch, by name: Steppe's own figures, and those that a
 * training program has sent. */
#include "proto/cli/command.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"
#include "proto/cli/cells.h"
#include "proto/cli/import/csv.h"
#include "proto/cli/metric_names.h"
#include "proto/cli/pages.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/sample_row.h"
#include "proto/cli/table.h"

const struct option metrics_options[] = {
    {"csv", OPT_FLAG, ARG(csv), .help = "print a line for each epoch, for a spreadsheet"},
    {NULL},
};

/* As in JSON and in the csv of export, epochs count from 0. */
static void print_csv(const cJSON *rows, const struct metric_names *names)
{
    char text[TEXT_F64_BYTES];
    const cJSON *row;
    double value;

    printf("epoch,unix_ms");
    for (size_t i = 0; i < names->count; i++) {
        putchar(',');
        csv_write(names->names[i], stdout);
    }
    putchar('\n');
    cJSON_ArrayForEach(row, rows)
    {
        int64_t epoch = 0, unix_ms = 0;
        reply_i64(row, "epoch", &epoch);
        reply_i64(row, "unix_ms", &unix_ms);
        printf("%lld,%lld", (long long)epoch, (long long)unix_ms);
        for (size_t i = 0; i < names->count; i++)
            printf(",%s", reply_f64(metric_names_values(row), names->names[i], &value)
                              ? text_of_f64(value, text)
                              : "");
        putchar('\n');
    }
}

/* A value, and at which epoch. */
struct point {
    double value;
    int64_t epoch;
};

static void add_point(struct table *t, const struct point *p)
{
    cell_number(t, p->value);
    table_add(t, "%lld", (long long)p->epoch + 1);
}

static void add_metric(struct table *t, const cJSON *rows, const char *name)
{
    struct point last = {NAN, -1}, low = {INFINITY, -1}, high = {-INFINITY, -1};
    const cJSON *row;
    int count = 0;

    cJSON_ArrayForEach(row, rows)
    {
        struct point p = {NAN, -1};
        if (!reply_f64(metric_names_values(row), name, &p.value))
            continue;
        reply_i64(row, "epoch", &p.epoch);
        last = p;
        if (p.value < low.value)
            low = p;
        if (p.value > high.value)
            high = p;
        count++;
    }
    table_add(t, "%s", name);
    table_add(t, "%d", count);
    add_point(t, &last);
    add_point(t, &low);
    add_point(t, &high);
}

static void print_table(const struct cli *cli, const cJSON *rows, const struct metric_names *names)
{
    static const struct column columns[] = {
        {.title = "metric"},         {"epochs", .right = true},   {"last", .right = true},
        {"at epoch", .right = true}, {"lowest", .right = true},   {"at epoch", .right = true},
        {"highest", .right = true},  {"at epoch", .right = true}, {NULL},
    };
    struct table *t = table_create(columns);

    for (size_t i = 0; i < names->count; i++)
        add_metric(t, rows, names->names[i]);
    table_print(t, cli->colour, stdout);
    table_free(t);
}

int cmd_metrics(struct cli *cli, struct errbuf *why)
{
    struct metric_names names = {0};
    struct message reply;
    const cJSON *rows;
    cJSON *request;

    if (cli->args->json && cli->args->csv)
        return err_set(why, EXIT_USAGE, "--csv and --json are two forms; choose one");
    int rc = command_job_request(cli, &request, why);
    if (rc == 0)
        rc = pages_call(cli, &metric_pages, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "rows", &rows, why);
    if (rc == 0)
        metric_names_of(rows, &names);
    if (rc == 0 && cli->args->json)
        print_json(rows);
    else if (rc == 0 && cli->args->csv)
        print_csv(rows, &names);
    else if (rc == 0 && names.count)
        print_table(cli, rows, &names);
    else if (rc == 0)
        printf("job %s has no metrics yet; they come at the end of an epoch\n", cli->words[0]);
    metric_names_done(&names);
    message_done(&reply);
    return rc;
}
