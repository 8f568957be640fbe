/* uploads, uploads rm: files on the server that nothing has taken over yet. */
#include "proto/cli/command.h"

#include <errno.h>
#include <string.h>

#include "common/hash.h"
#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/table.h"

#define ID_SHOWN 12 /* digits of a hash */
#define ID_LEAST 4

static void print_uploads(const struct cli *cli, const cJSON *uploads)
{
    static const struct column columns[] = {
        {.title = "id"},
        {.title = "what"},
        {"size", .right = true},
        {"here", .right = true},
        {.title = "key"},
        {"last piece", .right = true},
        {"goes in", .right = true},
        {NULL},
    };
    struct table *t = table_create(columns);
    char text[DRAW_TEXT_BYTES];
    const cJSON *row;
    int64_t v;

    cJSON_ArrayForEach(row, uploads)
    {
        table_add(t, "%.*s", ID_SHOWN, reply_text(row, "sha256"));
        cell_text(t, row, "what");
        bool known = reply_i64(row, "bytes", &v) && v >= 0;
        table_add(t, "%s", known ? draw_bytes((uint64_t)v, text) : TABLE_NONE);
        known = reply_i64(row, "have", &v) && v >= 0;
        table_add(t, "%s", known ? draw_bytes((uint64_t)v, text) : TABLE_NONE);
        cell_text(t, row, "key");
        table_add(t, "%s", reply_i64(row, "idle_ms", &v) ? draw_age(v, text) : TABLE_NONE);
        table_add(t, "%s", reply_i64(row, "stays_ms", &v) ? draw_duration(v, text) : TABLE_NONE);
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

static int ask_list(struct cli *cli, struct message *ret, const cJSON **ret_uploads,
                    struct errbuf *why)
{
    int rc = connection_call(cli, MSG_UPLOAD_LIST, NULL, ret, why);

    if (rc != 0)
        return rc;
    rc = reply_array(ret->json, "uploads", ret_uploads, why);
    if (rc != 0)
        message_done(ret);
    return rc;
}

int cmd_uploads(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    const cJSON *uploads;
    int rc = ask_list(cli, &reply, &uploads, why);

    if (rc != 0)
        return rc;
    if (cli->args->json)
        print_json(uploads);
    else if (cJSON_GetArraySize(uploads) == 0)
        printf("there are no uploads\n");
    else
        print_uploads(cli, uploads);
    message_done(&reply);
    return 0;
}

/* The upload whose hash begins with the given digits. */
static int find_upload(struct cli *cli, const char *id, char ret_sha256[SHA256_HEX],
                       struct errbuf *why)
{
    struct message reply;
    const cJSON *uploads, *row;
    int found = 0;

    if (strlen(id) < ID_LEAST)
        return err_set(why, EXIT_USAGE, "ID is \"%.80s\", expected at least %d digits of it", id,
                       ID_LEAST);
    int rc = ask_list(cli, &reply, &uploads, why);
    if (rc != 0)
        return rc;
    cJSON_ArrayForEach(row, uploads)
    {
        const char *sha256 = reply_text(row, "sha256");
        if (strlen(sha256) != SHA256_HEX - 1 || strncmp(sha256, id, strlen(id)) != 0)
            continue;
        if (found > 0 && strcmp(ret_sha256, sha256) == 0) /* of another key */
            continue;
        memcpy(ret_sha256, sha256, SHA256_HEX);
        found++;
    }
    message_done(&reply);
    if (found == 1)
        return 0;
    return err_set(why, found ? -EEXIST : -ENOENT,
                   found ? "%d uploads begin with \"%.80s\"; give more digits of the ID"
                         : "there are %d uploads whose ID begins with \"%.80s\"; steppe uploads "
                           "lists them",
                   found, id);
}

int cmd_uploads_rm(struct cli *cli, struct errbuf *why)
{
    char sha256[SHA256_HEX];
    struct message reply;
    int rc = find_upload(cli, cli->words[0], sha256, why);

    if (rc != 0)
        return rc;
    cJSON *request = cJSON_CreateObject();
    cJSON_AddStringToObject(request, "sha256", sha256);
    rc = connection_call(cli, MSG_UPLOAD_RM, request, &reply, why);
    if (rc != 0)
        return rc;
    if (cli->args->json)
        print_reply(&reply, NULL);
    else
        print_text("upload %.*s is removed", ID_SHOWN, sha256);
    message_done(&reply);
    return 0;
}
