/* dataset revise, relabel and exclude, and apply: revisions of a dataset, and the jobs that take
 * them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/jobspec.h"
#include "proto/cli/command.h"
#include "proto/cli/connection.h"
#include "proto/cli/dataset.h"
#include "proto/cli/import/numbers.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/verdicts.h"

static void print_revision(const char *dataset, const cJSON *json)
{
    int64_t relabelled = 0, excluded = 0, number = 0;

    reply_i64(json, "revision", &number);
    reply_i64(json, "relabelled", &relabelled);
    reply_i64(json, "excluded", &excluded);
    const bool made = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "made"));
    if (number == 0)
        print_text("dataset %s: no verdict changes anything; no revision was made", dataset);
    else
        print_text("%s%s: %lld label%s changed, %lld sample%s left out, sha256 %s",
                   made ? "" : "nothing has changed since ", reply_text(json, "name"),
                   (long long)relabelled, relabelled == 1 ? "" : "s", (long long)excluded,
                   excluded == 1 ? "" : "s", reply_text(json, "sha256"));
}

int cmd_dataset_revise(struct cli *cli, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;

    cJSON_AddStringToObject(request, "name", cli->words[0]);
    int rc = connection_call(cli, MSG_DATASET_REVISE, request, &reply, why);
    if (rc != 0)
        return rc;
    if (cli->args->json)
        print_reply(&reply, NULL);
    else
        print_revision(cli->words[0], reply.json);
    message_done(&reply);
    return 0;
}

static int revise_after(struct cli *cli, const struct verdicts_sent *sent, struct errbuf *why)
{
    if (!cli->args->json)
        print_text("dataset %s: %lld verdict%s added, %lld there already", cli->words[0],
                   (long long)sent->added, sent->added == 1 ? "" : "s", (long long)sent->same);
    return cmd_dataset_revise(cli, why);
}

int cmd_dataset_relabel(struct cli *cli, struct errbuf *why)
{
    struct verdicts_sent sent;
    int rc = verdicts_send_file(cli, cli->words[0], cli->words[1], true, VERDICT_WRONG, &sent, why);

    return rc == 0 ? revise_after(cli, &sent, why) : rc;
}

int cmd_dataset_exclude(struct cli *cli, struct errbuf *why)
{
    const char *dataset = cli->words[0], *path = cli->words[1];
    struct verdict_file file = {NULL};
    struct verdicts_sent sent;
    struct numbers list = {0};
    uint32_t samples = 0;
    char called[NAME_MAX_BYTES + 16];
    int rc = dataset_samples(cli, dataset, &samples, why);

    snprintf(called, sizeof(called), "dataset %s", dataset);
    const struct numbers_ask ask = {NUMBERS_SAMPLES, samples, called};
    if (rc == 0)
        rc = numbers_read(path, &ask, &list, why);
    if (rc != 0)
        return rc;
    file.lines = xcalloc((size_t)list.count + 1, sizeof(*file.lines));
    for (uint32_t i = 0; i < list.count; i++)
        file.lines[file.count++] = (struct verdict_line){
            .line = i + 1,
            .verdict = {.sample = list.sample[i], .kind = VERDICT_EXCLUDE, .label = -1},
            .given = -1};
    file.all = file.count;
    rc = verdicts_send(cli, dataset, path, &file, &sent, why);
    verdict_file_done(&file);
    numbers_done(&list);
    return rc == 0 ? revise_after(cli, &sent, why) : rc;
}

int cmd_apply(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    cJSON *request;
    int64_t from = 0, number = 0;
    const cJSON *row;
    int rc = command_job_request(cli, &request, why);

    if (rc != 0)
        return rc;
    if (cli->word_count > 1)
        cJSON_AddStringToObject(request, "revision", cli->words[1]);
    rc = connection_call(cli, MSG_JOB_APPLY, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "job", &row, why);
    if (rc == 0 && cli->args->json) {
        print_reply(&reply, NULL);
    } else if (rc == 0) {
        char name[REVISION_NAME_BYTES];
        reply_i64(row, "revision", &number);
        reply_i64(reply.json, "from", &from);
        print_text("job %s has %s from epoch %lld on", cli->words[0],
                   revision_name(reply_text(row, "dataset"), number, name), (long long)from + 1);
    }
    message_done(&reply);
    return rc;
}
