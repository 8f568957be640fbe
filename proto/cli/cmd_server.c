/* ping, version, workers, dashboard. */
#include "proto/cli/command.h"

#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/table.h"

int cmd_version(struct cli *cli, struct errbuf *why)
{
    (void)why;
    if (cli->args->json)
        printf("{\"version\": \"%s\", \"protocol\": %d}\n", STEPPE_VERSION, PROTOCOL_VERSION);
    else
        printf("steppe %s, protocol %d\n", STEPPE_VERSION, PROTOCOL_VERSION);
    return 0;
}

int cmd_ping(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    char uptime[DRAW_TEXT_BYTES];
    int64_t uptime_ms = 0;
    int rc = connection_call(cli, MSG_PING, NULL, &reply, why);

    if (rc != 0)
        return rc;
    if (cli->args->json) {
        print_reply(&reply, NULL);
    } else {
        reply_i64(reply.json, "uptime_ms", &uptime_ms);
        print_text("%s %s answers at %s, up for %s", reply_text(reply.json, "server"),
                   reply_text(reply.json, "version"), cli->args->server,
                   draw_duration(uptime_ms, uptime));
    }
    message_done(&reply);
    return 0;
}

int cmd_dashboard(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    int rc = connection_call(cli, MSG_SERVER_DASHBOARD, NULL, &reply, why);

    if (rc != 0)
        return rc;
    if (cli->args->json)
        print_reply(&reply, NULL);
    else
        print_text("%s/#token=%s", reply_text(reply.json, "url"), reply_text(reply.json, "token"));
    message_done(&reply);
    return 0;
}

static void print_workers(const struct cli *cli, const cJSON *workers)
{
    static const struct column columns[] = {
        {"worker", .right = true},
        {.title = "name"},
        {.title = "state"},
        {"job", .right = true, .optional = true},
        {"threads", .right = true},
        {"ranks", .right = true, .optional = true},
        {"shards", .right = true},
        {"faults", .right = true, .optional = true},
        {"last seen", .right = true},
        {.title = "numerics class"},
        {NULL},
    };
    struct table *t = table_create(columns);
    char age[DRAW_TEXT_BYTES];
    const cJSON *row;

    cJSON_ArrayForEach(row, workers)
    {
        int64_t seen_ms = 0;
        cell_i64(t, row, "worker");
        cell_text(t, row, "name");
        cell_state(t, row, "state");
        cell_i64(t, row, "job");
        cell_i64(t, row, "threads");
        cell_i64(t, row, "ranks");
        cell_i64(t, row, "shards");
        cell_i64(t, row, "faults");
        table_add(t, "%s", reply_i64(row, "last_seen_ms", &seen_ms) ? draw_age(seen_ms, age) : "");
        cell_text(t, row, "class");
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

/* Keys that the server has set aside because their results were forged. */
static void print_liars(const struct message *reply)
{
    const cJSON *liars = cJSON_GetObjectItemCaseSensitive(reply->json, "liars"), *row;

    cJSON_ArrayForEach(row, liars)
        print_text("key %s is set aside for good: it sent %s; if it is to be trusted again: steppe "
                   "trust '%s'",
                   reply_text(row, "key"), reply_text(row, "text"), reply_text(row, "key"));
}

/* A list of the workers, and behind them of the keys that have lied. */
static void print_both(const cJSON *workers, const cJSON *liars)
{
    cJSON *all = cJSON_CreateArray();
    const cJSON *row;

    cJSON_ArrayForEach(row, workers) cJSON_AddItemToArray(all, cJSON_Duplicate(row, true));
    cJSON_ArrayForEach(row, liars) cJSON_AddItemToArray(all, cJSON_Duplicate(row, true));
    print_json(all);
    cJSON_Delete(all);
}

int cmd_trust(struct cli *cli, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;

    cJSON_AddStringToObject(request, "key", cli->words[0]);
    int rc = connection_call(cli, MSG_WORKER_TRUST, request, &reply, why);
    if (rc != 0)
        return rc;
    if (cli->args->json)
        print_reply(&reply, NULL);
    else
        print_text("workers of key %s get work again", cli->words[0]);
    message_done(&reply);
    return 0;
}

int cmd_workers(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    const cJSON *workers;
    int rc = connection_call(cli, MSG_WORKER_LIST, NULL, &reply, why);

    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "workers", &workers, why);
    if (rc == 0 && cli->args->json)
        print_both(workers, cJSON_GetObjectItemCaseSensitive(reply.json, "liars"));
    else if (rc == 0 && cJSON_GetArraySize(workers) == 0)
        print_text("no worker is connected; start one with steppe-worker --connect %s",
                   cli->args->server);
    else if (rc == 0)
        print_workers(cli, workers);
    if (rc == 0 && !cli->args->json)
        print_liars(&reply);
    message_done(&reply);
    return rc;
}
