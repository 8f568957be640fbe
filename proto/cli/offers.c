#include "proto/cli/offers.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/clock.h"
#include "proto/address.h"
#include "proto/cli/connection.h"
#include "proto/cli/dataset.h"
#include "proto/cli/gallery.h"
#include "proto/cli/reply.h"
#include "proto/cli/resolve.h"

#define PATIENCE_MS 1000 /* somebody waits with a finger on the Tab key */
#define TEXT_BYTES 128

/* A list of the server's, and which keys of its rows are the word and what is said of it. The first
 * that fits counts. */
struct offer {
    const char *command; /* or the group; NULL: any */
    const char *stands;
    enum message_type ask;
    const char *rows;  /* the list in the reply; NULL: the word is a new one */
    const char *value; /* a text or a number */
    const char *about[2];
    const char *called; /* the word when it begins like a name; NULL: value */
};
static const struct offer offers[] = {
    {NULL, "JOB", MSG_JOB_LIST, "jobs", "job", {"name", "state"}, "name"},
    {NULL, "OTHER", MSG_JOB_LIST, "jobs", "job", {"name", "state"}, "name"},
    {NULL, "STUDY", MSG_STUDY_LIST, "studies", "study", {"state"}, NULL},
    {NULL, "DATASET", MSG_DATASET_LIST, "datasets", "name", {"source"}, NULL},
    {"dataset import", "NAME", MSG_PING, NULL, NULL, {NULL}, NULL},
    {"dataset", "NAME", MSG_DATASET_LIST, "datasets", "name", {"source"}, NULL},
    {"key revoke", "NAME", MSG_KEY_LIST, "keys", "name", {"role"}, NULL},
    {"audit", "NAME", MSG_KEY_LIST, "keys", "name", {"role"}, NULL},
    {"trust", "KEY", MSG_WORKER_LIST, "liars", "key", {"text"}, NULL},
    {"uploads", "ID", MSG_UPLOAD_LIST, "uploads", "sha256", {"what"}, NULL},
};

static const struct offer *find_offer(const char *command, const char *stands)
{
    for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
        const struct offer *o = &offers[i];
        const size_t n = o->command ? strlen(o->command) : 0;
        if (strcmp(o->stands, stands) == 0 &&
            (!n || (strncmp(o->command, command, n) == 0 && strchr(" ", command[n]))))
            return o->rows ? o : NULL;
    }
    return NULL;
}

/* May a server be there? Where its socket is not, nothing is waited for. Patience begins with the
 * first question. */
static bool may_answer(struct cli *cli)
{
    const char *url = cli->args->server;

    if (!cli->until_ms)
        cli->until_ms = clock_mono_ms() + PATIENCE_MS;
    return url && (!address_is_ipc(url) || access(address_path(url), F_OK) == 0);
}

static const char *text_at(const cJSON *row, const char *key, char buf[TEXT_BYTES])
{
    int64_t number;

    if (reply_i64(row, key, &number)) {
        snprintf(buf, TEXT_BYTES, "%lld", (long long)number);
        return buf;
    }
    return reply_text(row, key);
}

static void offer_row(const struct completion *c, const struct offer *o, const char *value,
                      const cJSON *row, FILE *out)
{
    char text[TEXT_BYTES], first[TEXT_BYTES], second[TEXT_BYTES];
    const char *one = o->about[0] ? text_at(row, o->about[0], first) : "";
    const char *two = o->about[1] ? text_at(row, o->about[1], second) : "";
    const char *word = text_at(row, value, text);

    if (!*word)
        return;
    char *about = xasprintf("%s%s%s", one, *one && *two ? ", " : "", two);
    completion_offer(c, word, about, out);
    free(about);
}

void offers_of_word(struct cli *cli, const struct completion *c, const struct command *command,
                    const char *stands, FILE *out)
{
    const struct offer *o = find_offer(command->name, stands);
    const char *written = c->word + c->lead;
    struct message reply;
    const cJSON *rows, *row;

    if (!o || !may_answer(cli))
        return;
    cJSON *request = cJSON_CreateObject();
    if (o->ask == MSG_JOB_LIST)
        cJSON_AddNumberToObject(request, "limit", ROWS_MAX);
    if (connection_call(cli, o->ask, request, &reply, NULL) != 0)
        return;
    const bool called = o->called && *written && !isdigit((unsigned char)*written);
    if (reply_array(reply.json, o->rows, &rows, NULL) == 0) {
        cJSON_ArrayForEach(row, rows)
        {
            offer_row(c, o, called ? o->called : o->value, row, out);
        }
    }
    message_done(&reply);
}

/* The name of the dataset of the job, to be freed; NULL: there is none. */
static char *dataset_of(struct cli *cli, const char *job)
{
    char *dataset = NULL;
    int64_t number;

    if (job && may_answer(cli) && resolve_job(cli, job, &number, NULL) == 0)
        resolve_dataset(cli, number, &dataset, NULL);
    return dataset;
}

void offers_of_classes(struct cli *cli, const struct completion *c, const char *job, FILE *out)
{
    char *dataset = dataset_of(cli, job);
    const cJSON *name;
    int number = 0;

    if (!dataset)
        return;
    cJSON *names = gallery_class_names(cli, dataset);
    cJSON_ArrayForEach(name, names)
    {
        char *about = xasprintf("class %d of %s", number++, dataset);
        if (cJSON_IsString(name))
            completion_offer(c, name->valuestring, about, out);
        free(about);
    }
    cJSON_Delete(names);
    free(dataset);
}

void offers_of_revisions(struct cli *cli, const struct completion *c, const char *job, FILE *out)
{
    char *dataset = dataset_of(cli, job);
    struct message reply;
    const cJSON *row, *revisions;

    if (!dataset)
        return;
    if (dataset_ask(cli, dataset, &reply, &row, NULL) == 0) {
        revisions = cJSON_GetObjectItemCaseSensitive(reply.json, "revisions");
        cJSON_ArrayForEach(row, revisions)
        {
            int64_t number = 0;
            reply_i64(row, "revision", &number);
            char *word = xasprintf("%s@%lld", dataset, (long long)number);
            completion_offer(c, word, NULL, out);
            free(word);
        }
        message_done(&reply);
    }
    free(dataset);
}
