/* limits: what there may be at most on the server, and how much of it is used. */
#include "proto/cli/command.h"

#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/table.h"

/* A number of the row in its unit. */
static void cell(struct table *t, const cJSON *row, const char *name)
{
    const char *unit = reply_text(row, "unit");
    char text[DRAW_TEXT_BYTES];
    double v;

    if (!reply_f64(row, name, &v) || !(v >= 0 && v < 1e18))
        table_add(t, "%s", TABLE_NONE);
    else if (strcmp(unit, "B") == 0)
        table_add(t, "%s", draw_bytes((uint64_t)v, text));
    else if (strcmp(unit, "%") == 0)
        table_add(t, "%s", text_of_share(v / 100, text));
    else
        table_add(t, "%.0f", v);
}

static void print_disk(const cJSON *disk)
{
    char free_text[DRAW_TEXT_BYTES], least_text[DRAW_TEXT_BYTES];
    int64_t free_bytes, least;

    if (!reply_i64(disk, "free", &free_bytes) || !reply_i64(disk, "least", &least) ||
        free_bytes < 0 || least < 0)
        return;
    printf("disk: %s free%s; below %s new jobs and uploads are refused\n",
           draw_bytes((uint64_t)free_bytes, free_text),
           cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(disk, "alarm"))
               ? ", nearly full: new jobs and uploads are refused"
               : "",
           draw_bytes((uint64_t)least, least_text));
}

static void print_limits(const struct cli *cli, const cJSON *limits)
{
    static const struct column columns[] = {
        {.title = "limit"},       {"all", .right = true},     {"at most", .right = true},
        {"yours", .right = true}, {"at most", .right = true}, {NULL},
    };
    struct table *t = table_create(columns);
    const cJSON *row;

    cJSON_ArrayForEach(row, limits)
    {
        cell_text(t, row, "name");
        cell(t, row, "used");
        cell(t, row, "most");
        cell(t, row, "own_used");
        cell(t, row, "own_most");
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

int cmd_limits(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    const cJSON *limits = NULL;
    int rc = connection_call(cli, MSG_SERVER_LIMITS, NULL, &reply, why);

    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "limits", &limits, why);
    if (rc == 0 && cli->args->json) {
        print_json(reply.json);
    } else if (rc == 0) {
        print_limits(cli, limits);
        print_disk(cJSON_GetObjectItemCaseSensitive(reply.json, "disk"));
    }
    message_done(&reply);
    return rc;
}
