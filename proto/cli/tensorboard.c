#include "proto/cli/tensorboard.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/text.h"
#include "proto/cli/connection.h"
#include "proto/cli/metric_names.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/score_columns.h"
#include "proto/cli/tfevents.h"

#define TAG_BYTES 80
#define MARK "tfevents" /* TensorBoard reads each file with this in its name */

/* TensorBoard groups its charts by what comes before the first slash. */
static const struct {
    const char *name, *tag;
} tags[] = {
    {"train_loss", "train/loss"},
    {"train_accuracy", "train/accuracy"},
    {"sharpness", "train/sharpness"},
    {"lr", "train/lr"},
    {"test_loss", "test/loss"},
    {"test_accuracy", "test/accuracy"},
    {"adv_accuracy", "test/adv_accuracy"},
    {"validation_loss", "validation/loss"},
    {"validation_accuracy", "validation/accuracy"},
    {"validation_adv_accuracy", "validation/adv_accuracy"},
    {"share", "schedule/share"},
    {"scheduled", "schedule/samples"},
    {"scored", "scores/samples"},
    {"mean_gap", "scores/mean_gap"},
    {"adm_mean", "scores/adm_mean"},
    {"adm_p10", "scores/adm_p10"},
    {"adm_p50", "scores/adm_p50"},
    {"adm_p90", "scores/adm_p90"},
    {"newly_right", "scores/newly_right"},
    {"seconds", "time/seconds"},
};
#define TAGS (sizeof(tags) / sizeof(tags[0]))

/* A program's own names are the tags; one that is a tag of Steppe's gets a group of its own. */
static const char *tag_of(const char *name, char buf[TAG_BYTES])
{
    const char *group = "";

    for (size_t i = 0; i < TAGS; i++) {
        if (strcmp(name, tags[i].name) == 0)
            return tags[i].tag;
        if (strcmp(name, tags[i].tag) == 0)
            group = "program/";
    }
    snprintf(buf, TAG_BYTES, "%s%s", group, name);
    return buf;
}

/* Two files in a folder are one run to TensorBoard, which draws zigzags through both. */
static int refuse_others(const char *folder, const char *mine, struct errbuf *why)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int rc = 0;

    if (!dir)
        return err_set(why, -errno, "cannot read %s: %s", folder, err_text(-errno));
    while (rc == 0 && (entry = readdir(dir)) != NULL)
        if (strstr(entry->d_name, MARK) && strcmp(entry->d_name, mine) != 0 &&
            entry->d_name[0] != '.')
            rc = err_set(why, -EEXIST,
                         "%s has the events of another run (%s), which stay; choose a folder for "
                         "each job",
                         folder, entry->d_name);
    closedir(dir);
    return rc;
}

/* Steppe's own identity of the job takes the place of a host's name: who exports does not matter.
 */
static int find_path(struct cli *cli, int64_t job, const char *folder, char **ret_path,
                     int64_t *ret_created_ms, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;
    const cJSON *row;
    char name[128];

    cJSON_AddNumberToObject(request, "job", (double)job);
    int rc = connection_call(cli, MSG_JOB_SHOW, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "job", &row, why);
    if (rc == 0 && (!reply_i64(row, "created_unix_ms", ret_created_ms) ||
                    !text_is_uuid(reply_text(row, "uuid"))))
        rc = err_set(why, -EBADMSG, "the server's reply has no uuid and time of the job");
    if (rc == 0) {
        snprintf(name, sizeof(name), "events.out." MARK ".%010" PRId64 ".steppe-%s",
                 *ret_created_ms / 1000, reply_text(row, "uuid"));
        rc = file_mkdirs(folder, 0777, why);
    }
    if (rc == 0)
        rc = refuse_others(folder, name, why);
    if (rc == 0)
        *ret_path = xasprintf("%s/%s", folder, name);
    message_done(&reply);
    return rc;
}

static int add_histograms(struct cli *cli, int64_t job, int64_t epoch, struct score_columns *s,
                          struct tfevent *e, struct errbuf *why)
{
    const struct score_columns_want all = {.class_id = NOT_GIVEN};
    char tag[TAG_BYTES];
    int rc = score_columns_fetch(cli, job, epoch, &all, s, why);

    if (rc != 0)
        return rc;
    for (int k = 0; k < SCORE_REALS; k++) {
        snprintf(tag, sizeof(tag), "samples/%s", score_real_names[k]);
        tfevent_add_histogram(e, tag, s->reals[k], s->count);
    }
    /* In place: the columns are fetched anew for the next epoch. */
    for (size_t i = 0; i < s->count; i++)
        s->reals[ROW_ADV_LOSS][i] -= s->reals[ROW_LOSS][i];
    tfevent_add_histogram(e, "samples/gap", s->reals[ROW_ADV_LOSS], s->count);
    return 0;
}

static int write_epoch(struct cli *cli, int64_t job, const cJSON *row, struct score_columns *s,
                       FILE *out, struct errbuf *why)
{
    const cJSON *values = metric_names_values(row), *value;
    int64_t epoch = 0, unix_ms = 0, scored = 0;
    char tag[TAG_BYTES];
    struct tfevent e;
    int rc = 0;

    reply_i64(row, "epoch", &epoch);
    reply_i64(row, "unix_ms", &unix_ms);
    tfevent_open(&e, (double)unix_ms / 1000, epoch);
    cJSON_ArrayForEach(value, values)
    {
        if (cJSON_IsNumber(value))
            tfevent_add_scalar(&e, tag_of(value->string, tag), value->valuedouble);
    }
    if (reply_i64(values, "scored", &scored) && scored > 0)
        rc = add_histograms(cli, job, epoch, s, &e, why);
    if (!tfevent_close(&e, out) && rc == 0)
        rc = err_set(why, -ENOMEM, "out of memory for the events of epoch %lld",
                     (long long)epoch + 1);
    return rc;
}

static int write_file(struct cli *cli, int64_t job, const cJSON *rows, int64_t created_ms,
                      FILE *out, struct errbuf *why)
{
    struct score_columns s = {.count = 0};
    struct tfevent version;
    const cJSON *row;
    int rc = 0;

    tfevent_open_version(&version, (double)created_ms / 1000);
    if (!tfevent_close(&version, out))
        return err_set(why, -ENOMEM, "out of memory for an event");
    cJSON_ArrayForEach(row, rows)
    {
        rc = write_epoch(cli, job, row, &s, out, why);
        if (rc != 0)
            break;
    }
    score_columns_done(&s);
    return rc;
}

int tensorboard_export(struct cli *cli, int64_t job, const char *folder, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct file_draft draft;
    struct message reply;
    const cJSON *rows;
    int64_t created_ms;
    char *path = NULL;

    cJSON_AddNumberToObject(request, "job", (double)job);
    int rc = pages_call(cli, &metric_pages, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "rows", &rows, why);
    const int count = rc == 0 ? cJSON_GetArraySize(rows) : 0;
    if (rc == 0 && count == 0)
        rc = err_set(why, -ENOENT, "job %lld has no metrics yet; they come at the end of an epoch",
                     (long long)job);
    if (rc == 0)
        rc = find_path(cli, job, folder, &path, &created_ms, why);
    if (rc == 0)
        rc = file_draft_open(path, 0644, &draft, why);
    if (rc == 0)
        rc = file_draft_close(&draft, write_file(cli, job, rows, created_ms, draft.out, why), why);
    if (rc == 0)
        print_note("%s: %d epoch%s", path, count, text_s(count));
    free(path);
    message_done(&reply);
    return rc;
}
