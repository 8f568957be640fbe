/* db backup, check, compact: care for the server's databases. */
#include "proto/cli/command.h"

#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/text.h"
#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/table.h"

/* A large file takes long; the request is sent again meanwhile and waits for the same end. */
#define UPKEEP_DEADLINE_MS (6 * 3600 * 1000)

const struct option backup_options[] = {
    {"keep", OPT_INT, offsetof(struct args, keep), .def = "5", .arg = "N", .min = 1, .max = 100,
     .help = "how many backups to keep, this one included; older ones are removed"},
    {NULL},
};

static int ask(struct cli *cli, enum message_type type, cJSON *request, struct message *ret,
               struct errbuf *why)
{
    int rc =
        connection_call_tensors(cli, type, request, NULL, 0, UPKEEP_DEADLINE_MS, ret, NULL, why);

    if (rc == 0 && cli->args->json)
        print_reply(ret, NULL);
    return rc;
}

static const char *bytes_text(const cJSON *obj, const char *name, char buf[DRAW_TEXT_BYTES])
{
    int64_t bytes = 0;

    reply_i64(obj, name, &bytes);
    return draw_bytes(bytes < 0 ? 0 : (uint64_t)bytes, buf);
}

/* Logs that some reader keeps large. */
static void print_logs(const cJSON *json)
{
    const cJSON *log, *logs = cJSON_GetObjectItemCaseSensitive(json, "logs");
    char has[DRAW_TEXT_BYTES], held[DRAW_TEXT_BYTES];
    int64_t bytes = 0, held_bytes = 0;

    cJSON_ArrayForEach(log, logs)
    {
        const char *by = reply_text(log, "held_by");
        reply_i64(log, "bytes", &bytes);
        reply_i64(log, "held_bytes", &held_bytes);
        if (bytes > DB_LOG_BYTES_MAX && held_bytes > 0)
            print_text("%s-wal has %s; %s of it cannot go into the file while %s reads an older "
                       "state",
                       log->string, bytes_text(log, "bytes", has),
                       bytes_text(log, "held_bytes", held),
                       by[0] ? by : "a question to the server");
    }
}

static void print_backup(const struct cli *cli, const cJSON *json, const cJSON *files)
{
    static const struct column columns[] = {
        {.title = "file"}, {"bytes", .right = true}, {.title = "sha256"}, {NULL}};
    struct table *t = table_create(columns);
    int64_t removed = 0;
    const cJSON *row;

    reply_i64(json, "removed", &removed);
    print_text("%s", reply_text(json, "folder"));
    cJSON_ArrayForEach(row, files)
    {
        cell_text(t, row, "name");
        cell_i64(t, row, "bytes");
        cell_text(t, row, "sha256");
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
    if (removed)
        printf("%lld older backup%s removed\n", (long long)removed, removed == 1 ? "" : "s");
}

int cmd_db_backup(struct cli *cli, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;
    const cJSON *files;

    cJSON_AddNumberToObject(request, "keep", (double)cli->args->keep);
    int rc = ask(cli, MSG_DB_BACKUP, request, &reply, why);
    if (rc != 0)
        return rc;
    if (!cli->args->json) {
        rc = reply_array(reply.json, "files", &files, why);
        if (rc == 0)
            print_backup(cli, reply.json, files);
    }
    message_done(&reply);
    return rc;
}

static void print_check(const cJSON *json, const cJSON *problems)
{
    int64_t epochs = 0, rows = 0, checkpoints = 0, datasets = 0, attached = 0, total = 0;
    const cJSON *problem;

    reply_i64(json, "epochs", &epochs);
    reply_i64(json, "rows", &rows);
    reply_i64(json, "checkpoints", &checkpoints);
    reply_i64(json, "datasets", &datasets);
    reply_i64(json, "attached", &attached);
    print_logs(json);
    cJSON_ArrayForEach(problem, problems)
        print_text("%s", cJSON_IsString(problem) ? problem->valuestring : "");
    reply_i64(json, "total", &total);
    if (total > cJSON_GetArraySize(problems))
        printf("and %lld more\n", (long long)total - cJSON_GetArraySize(problems));
    printf("checked both databases, %lld score%s of %lld epoch%s, %lld checkpoint%s, %lld "
           "dataset%s and %lld file%s that came with jobs: %s\n",
           (long long)rows, text_s((double)rows), (long long)epochs, text_s((double)epochs),
           (long long)checkpoints, text_s((double)checkpoints), (long long)datasets,
           text_s((double)datasets), (long long)attached, text_s((double)attached),
           cJSON_GetArraySize(problems) ? "damaged" : "no damage");
}

int cmd_db_check(struct cli *cli, struct errbuf *why)
{
    int64_t total = 0, in_files = 0;
    const cJSON *problems;
    struct message reply;
    int rc = ask(cli, MSG_DB_CHECK, NULL, &reply, why);

    if (rc != 0)
        return rc;
    /* print_reply leaves the fields where they are. */
    rc = reply_array(reply.json, "problems", &problems, why);
    if (rc == 0 && !cli->args->json)
        print_check(reply.json, problems);
    reply_i64(reply.json, "total", &total);
    reply_i64(reply.json, "in_files", &in_files);
    if (rc == 0 && total > in_files)
        rc =
            err_set(why, -EUCLEAN,
                    "a database is damaged; deploy/docs/OPERATING.md says how to restore a backup");
    else if (rc == 0 && total > 0)
        rc = err_set(why, -EUCLEAN,
                     "a damaged file is not part of a backup of the databases; its line above says "
                     "what to do");
    message_done(&reply);
    return rc;
}

static void print_compact(const cJSON *json)
{
    static const char *const files[] = {"state.db", "difficulty.db", "uploads", NULL};
    const cJSON *before = cJSON_GetObjectItemCaseSensitive(json, "before");
    const cJSON *after = cJSON_GetObjectItemCaseSensitive(json, "after");
    const cJSON *dropped = cJSON_GetObjectItemCaseSensitive(json, "dropped");
    char from[DRAW_TEXT_BYTES], to[DRAW_TEXT_BYTES];
    int64_t rows = 0, epochs = 0, uploads = 0;

    for (int i = 0; files[i]; i++)
        printf("%-13s  %s > %s\n", files[i], bytes_text(before, files[i], from),
               bytes_text(after, files[i], to));
    print_logs(json);
    reply_i64(dropped, "rows", &rows);
    reply_i64(dropped, "epochs", &epochs);
    if (rows)
        printf("%lld score%s of %lld epoch%s %s dropped, as the server's --keep options say\n",
               (long long)rows, text_s((double)rows), (long long)epochs, text_s((double)epochs),
               rows == 1 ? "was" : "were");
    reply_i64(dropped, "uploads", &uploads);
    if (uploads)
        printf("%lld abandoned upload%s %s dropped\n", (long long)uploads, uploads == 1 ? "" : "s",
               uploads == 1 ? "was" : "were");
}

int cmd_db_compact(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    int rc = ask(cli, MSG_DB_COMPACT, NULL, &reply, why);

    if (rc != 0)
        return rc;
    if (!cli->args->json)
        print_compact(reply.json);
    message_done(&reply);
    return 0;
}
