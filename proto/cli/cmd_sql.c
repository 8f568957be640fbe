/* sql: a person's own SELECT, as a table or as JSON. */
#include "proto/cli/command.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/bounds.h"
#include "proto/cli/connection.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/sample_row.h"
#include "proto/cli/table.h"

#define COLUMNS_MAX 32

const struct option sql_options[] = {
    {"limit", OPT_INT, ARG(limit), .def = "1000", .arg = "N", .min = 1, .max = ROWS_MAX,
     .help = "show at most N rows"},
    {NULL},
};

static void add_cell(struct table *t, const cJSON *cell)
{
    double v;

    if (cJSON_IsString(cell)) {
        table_add(t, "%s", cell->valuestring);
        return;
    }
    if (!cJSON_IsNumber(cell)) {
        table_add(t, TABLE_NONE);
        return;
    }
    v = cell->valuedouble;
    if (v == floor(v) && fabs(v) < 1e15)
        table_add(t, "%.0f", v);
    else
        table_add(t, "%.6g", v);
}

static int print_rows(const struct cli *cli, const cJSON *json, struct errbuf *why)
{
    struct column columns[COLUMNS_MAX + 1] = {{NULL}};
    const cJSON *names, *rows, *row, *cell;
    int width = 0;

    int rc = reply_array(json, "columns", &names, why);
    if (rc == 0)
        rc = reply_array(json, "rows", &rows, why);
    if (rc != 0)
        return rc;
    const cJSON *first = rows->child ? rows->child->child : NULL;
    cJSON_ArrayForEach(cell, names)
    {
        if (width == COLUMNS_MAX || !cJSON_IsString(cell))
            return err_set(why, -EBADMSG, "column %d of the server's reply is not one", width);
        columns[width++] =
            (struct column){.title = cell->valuestring, .right = cJSON_IsNumber(first)};
        first = first ? first->next : NULL;
    }
    struct table *t = table_create(columns);
    cJSON_ArrayForEach(row, rows)
    {
        if (cJSON_GetArraySize(row) != width) {
            table_free(t);
            return err_set(why, -EBADMSG, "a row of the server's reply is not one");
        }
        cJSON_ArrayForEach(cell, row) add_cell(t, cell);
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
    return 0;
}

int cmd_sql(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    cJSON *request = NULL;
    int rc = 0;

    if (cli->word_count == 1 && !strpbrk(cli->words[0], " \t\n"))
        return err_set(why, EXIT_USAGE, "sql takes [JOB] SELECT, given is only \"%.60s\"",
                       cli->words[0]);
    if (cli->word_count > 1)
        rc = command_job_request(cli, &request, why);
    else
        request = cJSON_CreateObject();
    if (rc != 0)
        return rc;
    cJSON_AddStringToObject(request, "sql", cli->words[cli->word_count - 1]);
    cJSON_AddNumberToObject(request, "limit", (double)cli->args->limit);
    rc = connection_call(cli, MSG_SCORE_SQL, request, &reply, why);
    if (rc != 0)
        return rc;
    if (cli->args->json)
        print_reply(&reply, NULL);
    else
        rc = print_rows(cli, reply.json, why);
    if (rc == 0 && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply.json, "more")))
        fprintf(stderr, "there are more rows; ask for them with LIMIT and OFFSET\n");
    message_done(&reply);
    return rc;
}
