/* confusion: what the samples of each class are taken for. */
#include "proto/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/text.h"
#include "proto/cli/confusion.h"
#include "proto/cli/connection.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/sample_row.h"

const struct option confusion_options[] = {
    SPLIT_OPTION,
    EPOCH_OPTION,
    {"csv", OPT_FLAG, ARG(csv), .help = "print a line for each class, for a spreadsheet"},
    {NULL},
};

/* names[classes], each owned. */
static char **read_names(const cJSON *json, uint32_t classes)
{
    const cJSON *names = cJSON_GetObjectItemCaseSensitive(json, "class_names");
    char **ret = xcalloc(classes, sizeof(*ret));

    for (uint32_t i = 0; i < classes; i++) {
        const cJSON *name = cJSON_GetArrayItem(names, (int)i);
        ret[i] = cJSON_IsString(name) ? xstrdup(name->valuestring) : xasprintf("%u", i);
    }
    return ret;
}

static void print_table(const struct cli *cli, const cJSON *json, const struct confusion *c)
{
    const uint64_t all = confusion_all(c), right = confusion_right(c);
    char share[TEXT_F64_BYTES];

    print_text("job %s, epoch %lld, %s samples: %llu of %llu (%s) as their label; rows: the "
               "label, columns: what they are taken for",
               cli->words[0], (long long)reply_epoch(json, "epoch"),
               cli->args->split ? "test" : "training", (unsigned long long)right,
               (unsigned long long)all,
               text_of_share(all ? (double)right / (double)all : 0, share));
    confusion_print(c, cli->colour, stdout);
}

static void print_all_json(const struct cli *cli, const struct message *reply,
                           const struct confusion *c)
{
    static const char *const kept[] = {"epoch", "samples", "class_names", NULL};
    cJSON *out = cJSON_CreateObject();

    for (int i = 0; kept[i]; i++)
        cJSON_AddItemToObject(
            out, kept[i],
            cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(reply->json, kept[i]), true));
    cJSON_AddStringToObject(out, "split", sample_split_names[cli->args->split]);
    confusion_add_json(c, out);
    print_json(out);
    cJSON_Delete(out);
}

static int report(struct cli *cli, const struct message *reply, struct errbuf *why)
{
    const struct tensor *t;
    int64_t classes = 0;

    if (!reply_i64(reply->json, "classes", &classes) || classes < 1 ||
        classes > CONFUSION_CLASSES_MAX)
        return err_set(why, -EBADMSG, "the server's reply has no valid classes");
    const uint64_t shape[] = {(uint64_t)classes, (uint64_t)classes};
    int rc = message_tensor(reply, "counts", DTYPE_U32, 2, shape, &t, why);
    if (rc < 0)
        return rc;
    uint32_t *counts = xcalloc((size_t)(classes * classes), sizeof(*counts));
    memcpy(counts, t->data, t->bytes);
    char **names = read_names(reply->json, (uint32_t)classes);
    const struct confusion c = {(uint32_t)classes, names, counts, "label"};
    if (cli->args->json)
        print_all_json(cli, reply, &c);
    else if (cli->args->csv)
        confusion_print_csv(&c, stdout);
    else
        print_table(cli, reply->json, &c);
    for (int64_t i = 0; i < classes; i++)
        free(names[i]);
    free(names);
    free(counts);
    return 0;
}

int cmd_confusion(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    cJSON *request;
    int rc = command_job_request(cli, &request, why);

    if (rc != 0)
        return rc;
    request_epoch(cli, request);
    cJSON_AddStringToObject(request, "split", sample_split_names[cli->args->split]);
    rc = connection_call(cli, MSG_SCORE_CONFUSION, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = report(cli, &reply, why);
    message_done(&reply);
    return rc;
}
