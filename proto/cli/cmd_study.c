/* study submit, list, show, pause, resume, cancel, rm. */
#include "proto/cli/command.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/studyfile.h"
#include "common/text.h"
#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/study_table.h"
#include "proto/cli/table.h"

/* A request may be JSON_REQUEST_BYTES_MAX long, with the envelope around the file. */
#define SPEC_BYTES_MAX (JSON_REQUEST_BYTES_MAX - 1024)

const struct option study_submit_options[] = {
    {"uuid", OPT_STR, offsetof(struct args, uuid), .arg = "UUID",
     .help = "id of the request; the same id again changes nothing"},
    {NULL},
};

const struct option study_show_options[] = {
    {"csv", OPT_FLAG, offsetof(struct args, csv),
     .help = "print the table as comma-separated values, a line for each arm, dataset and figure"},
    {"markdown", OPT_FLAG, offsetof(struct args, markdown), .help = "print Markdown tables"},
    {NULL},
};

/* Judges the file here first, so that a mistake in it is reported without a server; *ret is its
 * JSON as written. */
static int read_file(const char *path, cJSON **ret, struct errbuf *why)
{
    struct studyfile f;
    cJSON *json = NULL;
    int rc = field_parse_file(path, SPEC_BYTES_MAX, &json, why);

    if (rc != 0)
        return rc;
    rc = studyfile_parse(json, &f, why);
    if (rc != 0) {
        cJSON_Delete(json);
        return err_prefix(why, rc, "%s", path);
    }
    studyfile_done(&f);
    *ret = json;
    return 0;
}

static void print_submitted(const cJSON *row, int64_t added)
{
    int64_t jobs = 0, arms = 0, datasets = 0;

    reply_i64(row, "jobs", &jobs);
    reply_i64(row, "arms", &arms);
    reply_i64(row, "datasets", &datasets);
    print_text("study %s: %lld job%s added, %lld in all (%lld arm%s, %lld dataset%s); control: %s",
               reply_text(row, "study"), (long long)added, added == 1 ? "" : "s", (long long)jobs,
               (long long)arms, arms == 1 ? "" : "s", (long long)datasets, datasets == 1 ? "" : "s",
               reply_text(row, "control"));
}

int cmd_study_submit(struct cli *cli, struct errbuf *why)
{
    const char *uuid = cli->args->uuid;
    char fresh[UUID_BYTES];
    struct message reply;
    const cJSON *row;
    int64_t added = 0;
    cJSON *spec = NULL;

    if (uuid && !text_is_uuid(uuid))
        return err_set(why, EXIT_USAGE,
                       "--uuid is \"%.60s\", allowed is 8-4-4-4-12 hexadecimal digits", uuid);
    text_uuid(fresh);
    int rc = read_file(cli->words[0], &spec, why);
    if (rc != 0)
        return rc;
    cJSON *request = cJSON_CreateObject();
    cJSON_AddStringToObject(request, "uuid", uuid ? uuid : fresh);
    cJSON_AddItemToObject(request, "spec", spec);
    rc = connection_call(cli, MSG_STUDY_SUBMIT, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "study", &row, why);
    reply_i64(reply.json, "added", &added);
    if (rc == 0 && cli->args->json)
        print_reply(&reply, NULL);
    else if (rc == 0)
        print_submitted(row, added);
    message_done(&reply);
    return rc;
}

/* "5 done, 1 running" */
static void add_states(struct table *t, const cJSON *row)
{
    const cJSON *states = cJSON_GetObjectItemCaseSensitive(row, "states"), *s;
    char text[160] = "";

    cJSON_ArrayForEach(s, states)
    {
        size_t used = strlen(text);
        if (cJSON_IsNumber(s))
            snprintf(text + used, sizeof(text) - used, "%s%.0f %s", used ? ", " : "",
                     s->valuedouble, s->string);
    }
    table_add(t, "%s", text);
}

static void print_studies(const struct cli *cli, const cJSON *studies)
{
    static const struct column columns[] = {
        {.title = "study"},
        {.title = "state"},
        {"arms", .right = true},
        {"datasets", .right = true},
        {"jobs", .right = true},
        {.title = "of these"},
        {"control", .optional = true},
        {"created", .right = true},
        {NULL},
    };
    struct table *t = table_create(columns);
    const cJSON *row;

    cJSON_ArrayForEach(row, studies)
    {
        cell_text(t, row, "study");
        cell_state(t, row, "state");
        cell_i64(t, row, "arms");
        cell_i64(t, row, "datasets");
        cell_i64(t, row, "jobs");
        add_states(t, row);
        cell_text(t, row, "control");
        cell_age(t, row, "created_unix_ms");
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

int cmd_study_list(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    const cJSON *studies;
    int rc = connection_call(cli, MSG_STUDY_LIST, NULL, &reply, why);

    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "studies", &studies, why);
    if (rc == 0 && cli->args->json)
        print_json(studies);
    else if (rc == 0 && cJSON_GetArraySize(studies) == 0)
        printf("there are no studies; submit one with steppe study submit FILE\n");
    else if (rc == 0)
        print_studies(cli, studies);
    message_done(&reply);
    return rc;
}

static int call(struct cli *cli, enum message_type type, struct message *ret, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();

    cJSON_AddStringToObject(request, "study", cli->words[0]);
    return connection_call(cli, type, request, ret, why);
}

int cmd_study_show(struct cli *cli, struct errbuf *why)
{
    struct message reply;

    if (cli->args->csv && cli->args->markdown)
        return err_set(why, EXIT_USAGE, "--csv and --markdown are two forms; choose one");
    int rc = call(cli, MSG_STUDY_SHOW, &reply, why);
    if (rc != 0)
        return rc;
    if (cli->args->json)
        print_reply(&reply, NULL);
    else if (cli->args->csv)
        rc = study_csv(reply.json, stdout, why);
    else if (cli->args->markdown)
        rc = study_markdown(reply.json, stdout, why);
    else
        rc = study_print(cli, reply.json, why);
    message_done(&reply);
    return rc;
}

static int change(struct cli *cli, enum message_type type, const char *did, struct errbuf *why)
{
    struct message reply;
    const cJSON *row;
    int64_t changed = 0;
    int rc = call(cli, type, &reply, why);

    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "study", &row, why);
    reply_i64(reply.json, "changed", &changed);
    if (rc == 0 && cli->args->json)
        print_reply(&reply, NULL);
    else if (rc == 0)
        print_text("study %s is %s: %lld job%s %s", reply_text(row, "study"),
                   reply_text(row, "state"), (long long)changed, changed == 1 ? "" : "s", did);
    message_done(&reply);
    return rc;
}

int cmd_study_pause(struct cli *cli, struct errbuf *why)
{
    return change(cli, MSG_STUDY_PAUSE, "paused", why);
}

int cmd_study_resume(struct cli *cli, struct errbuf *why)
{
    return change(cli, MSG_STUDY_RESUME, "resumed", why);
}

int cmd_study_cancel(struct cli *cli, struct errbuf *why)
{
    return change(cli, MSG_STUDY_CANCEL, "cancelled", why);
}

int cmd_study_rm(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    int64_t jobs = 0;
    int rc = call(cli, MSG_STUDY_RM, &reply, why);

    if (rc != 0)
        return rc;
    reply_i64(reply.json, "jobs", &jobs);
    if (cli->args->json)
        print_reply(&reply, NULL);
    else
        print_text("study %s is removed, with its %lld job%s", cli->words[0], (long long)jobs,
                   jobs == 1 ? "" : "s");
    message_done(&reply);
    return 0;
}
