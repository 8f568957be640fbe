/* submit: judges the job file here first, so that a mistake in it is reported without a server. */
#include "proto/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/field.h"
#include "common/jobspec.h"
#include "common/jobspec_help.h"
#include "common/studyfile.h"
#include "common/text.h"
#include "proto/cli/attach.h"
#include "proto/cli/connection.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/settings.h"
#include "proto/cli/watch.h"

/* A request may be JSON_REQUEST_BYTES_MAX long, with the envelope around the file. */
#define SPEC_BYTES_MAX (JSON_REQUEST_BYTES_MAX - 1024)

const struct option submit_options[] = {
    {"set", OPT_MANY, offsetof(struct args, set), .arg = "KEY=VALUE",
     .help = "set a key of the job file, such as sam.rho=0.1; may be given again"},
    {"name", OPT_STR, offsetof(struct args, name), .help = "the name of the job", .arg = "NAME"},
    {"watch", OPT_FLAG, offsetof(struct args, watch), .help = "follow the job until it ends"},
    {"uuid", OPT_STR, offsetof(struct args, uuid), .arg = "UUID",
     .help = "id of the job; submitting the same id again returns the same job"},
    {"help-job", OPT_FLAG, offsetof(struct args, help_job),
     .help = "describe every key of a job file"},
    {NULL},
};

static int read_stdin(cJSON **ret, struct errbuf *why)
{
    char *text = xmalloc(SPEC_BYTES_MAX + 1);
    size_t bytes = fread(text, 1, SPEC_BYTES_MAX + 1, stdin);
    int rc = 0;

    if (ferror(stdin))
        rc = err_set(why, -EIO, "standard input cannot be read");
    else
        rc = field_parse(text, bytes, SPEC_BYTES_MAX, "standard input", ret, why);
    free(text);
    return rc;
}

/* Reads the job file, sets what the options set and checks it; *ret is its JSON as written. */
static int read_spec(const struct args *a, const char *path, cJSON **ret, struct errbuf *why)
{
    const char *file = strcmp(path, "-") == 0 ? "standard input" : path;
    struct jobspec spec;
    cJSON *json = NULL;
    int rc = strcmp(path, "-") == 0 ? read_stdin(&json, why)
                                    : field_parse_file(path, SPEC_BYTES_MAX, &json, why);

    if (rc != 0)
        return rc;
    if (studyfile_is(json)) {
        rc = err_set(why, -EINVAL, "%s: this is a study file; steppe study submit takes it", file);
    } else if ((rc = settings_apply(&a->set, a->name, json, why)) == 0) {
        rc = jobspec_parse(json, &spec, why);
        if (rc != 0)
            settings_blame(&a->set, a->name, file, rc, why);
    }
    if (rc != 0) {
        cJSON_Delete(json);
        return rc;
    }
    jobspec_done(&spec);
    *ret = json;
    return 0;
}

/* The server's notes on the job: how its pixels are scaled, whose weights it has. */
static void print_notes(const cJSON *notes)
{
    const cJSON *note;

    cJSON_ArrayForEach(note, notes)
    {
        char *text = cJSON_IsString(note) ? xstrdup(note->valuestring) : NULL;
        if (!text)
            continue;
        text_make_printable(text);
        fprintf(stderr, "steppe: note: %s\n", text);
        free(text);
    }
}

/* spec is owned. */
static int submit(struct cli *cli, cJSON *spec, const char *uuid, int64_t *ret_job,
                  struct errbuf *why)
{
    struct message reply;
    const cJSON *row;
    int64_t job = 0;
    cJSON *request = cJSON_CreateObject();

    cJSON_AddStringToObject(request, "uuid", uuid);
    cJSON_AddItemToObject(request, "spec", spec);
    int rc = connection_call(cli, MSG_JOB_SUBMIT, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "job", &row, why);
    if (rc == 0 && !reply_i64(row, "job", &job))
        rc = err_set(why, -EBADMSG, "the server's reply has no number of the job");
    if (rc == 0 && cli->args->json && !cli->args->watch) {
        print_json(row);
    } else if (rc == 0 && !cli->args->json) {
        print_text("job %lld submitted (%s)", (long long)job, reply_text(row, "state"));
        fflush(stdout);
    }
    if (rc == 0)
        print_notes(cJSON_GetObjectItemCaseSensitive(reply.json, "notes"));
    message_done(&reply);
    if (rc == 0)
        *ret_job = job;
    return rc;
}

int cmd_submit(struct cli *cli, struct errbuf *why)
{
    const char *uuid = cli->args->uuid;
    char fresh[UUID_BYTES];
    int64_t job;
    cJSON *spec = NULL;

    if (cli->args->help_job) {
        jobspec_help(stdout);
        return 0;
    }
    if (cli->word_count == 0)
        return err_set(why, EXIT_USAGE, "submit needs a job file (- is standard input)");
    if (uuid && !text_is_uuid(uuid))
        return err_set(why, EXIT_USAGE,
                       "--uuid is \"%.60s\", allowed is 8-4-4-4-12 hexadecimal digits", uuid);
    text_uuid(fresh);
    int rc = read_spec(cli->args, cli->words[0], &spec, why);
    if (rc == 0)
        rc = attach_files(cli, cli->words[0], spec, why);
    if (rc != 0)
        cJSON_Delete(spec);
    if (rc == 0)
        rc = submit(cli, spec, uuid ? uuid : fresh, &job, why);
    if (rc == 0 && cli->args->watch)
        rc = watch_job(cli, job, why);
    return rc;
}
