#include "proto/cli/verdicts.h"

#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/text.h"
#include "proto/cli/connection.h"
#include "proto/cli/dataset.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/resolve.h"

#define BATCH 100 /* with notes full of quotes still within JSON_REQUEST_BYTES_MAX */
#define TOLD_MAX 100

int class_names_fetch(struct cli *cli, const char *dataset, struct class_names *ret,
                      struct errbuf *why)
{
    struct message reply;
    const cJSON *list, *row;
    cJSON *item;
    int rc = dataset_ask(cli, dataset, &reply, &row, why);

    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "class_names", &list, why);
    if (rc == 0) {
        *ret = (struct class_names){
            .json = cJSON_DetachItemFromObjectCaseSensitive(reply.json, "class_names")};
        ret->at = xcalloc((size_t)cJSON_GetArraySize(ret->json) + 1, sizeof(*ret->at));
        cJSON_ArrayForEach(item, ret->json)
        {
            ret->at[ret->count++] = cJSON_IsString(item) ? item->valuestring : "";
        }
    }
    message_done(&reply);
    return rc;
}

void class_names_done(struct class_names *c)
{
    free(c->at);
    cJSON_Delete(c->json);
    *c = (struct class_names){NULL};
}

/* --- telling --- */

struct told {
    const char *path;
    size_t count;
    struct cli *cli;
    const char *dataset;
};

/* Asks for all at once, and if one is unknown, which the reply does not tell, for each by itself.
 */
static void find(void *arg, struct verdict_path *paths, int count)
{
    const struct told *told = arg;
    const char **names = xcalloc((size_t)count, sizeof(*names));
    uint32_t *samples = xcalloc((size_t)count, sizeof(*samples));

    for (int i = 0; i < count; i++)
        names[i] = paths[i].path;
    if (resolve_paths(told->cli, 0, told->dataset, names, count, samples, NULL) == 0) {
        for (int i = 0; i < count; i++)
            paths[i].sample = samples[i];
    } else {
        for (int i = 0; i < count; i++) {
            struct verdict_path *p = &paths[i];
            const int rc =
                resolve_paths(told->cli, 0, told->dataset, &p->path, 1, &p->sample, &p->why);
            p->rc = rc > 0 ? -EINVAL : rc;
        }
    }
    free(samples);
    free(names);
}

static void tell(void *arg, size_t line, const char *text)
{
    struct told *told = arg;

    if (line == 0)
        print_note("%s: %s", told->path, text);
    else if (told->count++ < TOLD_MAX)
        print_note("%s: line %zu: %s", told->path, line, text);
}

/* How it ends when there were bad lines. */
static int refuse(const struct told *told, size_t lines, struct errbuf *why)
{
    if (told->count > TOLD_MAX)
        print_note("%s: and %zu line%s more", told->path, told->count - TOLD_MAX,
                   text_s((double)(told->count - TOLD_MAX)));
    return err_set(why, -EINVAL, "%s: %zu of %zu line%s cannot be taken; nothing was", told->path,
                   told->count, lines, text_s((double)lines));
}

/* --- sending --- */

static cJSON *row_of(const struct verdict_line *l)
{
    cJSON *row = cJSON_CreateObject();

    cJSON_AddNumberToObject(row, "sample", l->verdict.sample);
    cJSON_AddStringToObject(row, "verdict", verdict_names[l->verdict.kind]);
    if (l->verdict.label >= 0)
        cJSON_AddNumberToObject(row, "label", l->verdict.label);
    if (l->given >= 0)
        cJSON_AddNumberToObject(row, "given", l->given);
    if (l->verdict.note[0])
        cJSON_AddStringToObject(row, "note", l->verdict.note);
    return row;
}

static int call(struct cli *cli, const char *dataset, const struct verdict_file *file, size_t from,
                bool check, struct message *ret, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject(), *rows = cJSON_CreateArray();
    char uuid[UUID_BYTES];

    text_uuid(uuid);
    cJSON_AddStringToObject(request, "dataset", dataset);
    cJSON_AddStringToObject(request, "uuid", uuid);
    for (size_t i = from; i < file->count && i < from + BATCH; i++)
        cJSON_AddItemToArray(rows, row_of(&file->lines[i]));
    cJSON_AddItemToObject(request, "rows", rows);
    if (check)
        cJSON_AddTrueToObject(request, "check");
    return connection_call(cli, MSG_VERDICT_PUT, request, ret, why);
}

static int check(struct cli *cli, const char *dataset, const struct verdict_file *file,
                 struct told *told, struct errbuf *why)
{
    struct message reply;
    const cJSON *bad, *item;
    int64_t row;
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < file->count; at += BATCH) {
        rc = call(cli, dataset, file, at, true, &reply, why);
        if (rc != 0)
            break;
        rc = reply_array(reply.json, "bad", &bad, why);
        if (rc == 0)
            cJSON_ArrayForEach(item, bad) if (reply_i64(item, "row", &row) && row >= 0 &&
                                              (size_t)row < file->count - at)
                tell(told, file->lines[at + (size_t)row].line, reply_text(item, "error"));
        message_done(&reply);
    }
    return rc;
}

static int keep(struct cli *cli, const char *dataset, const struct verdict_file *file,
                struct verdicts_sent *ret, struct errbuf *why)
{
    struct message reply;
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < file->count; at += BATCH) {
        int64_t added = 0, same = 0;
        rc = call(cli, dataset, file, at, false, &reply, why);
        if (rc != 0)
            return at == 0 ? rc
                           : err_prefix(why, rc,
                                        "%zu of %zu verdicts were taken; the same again goes on",
                                        at, file->count);
        reply_i64(reply.json, "added", &added);
        reply_i64(reply.json, "same", &same);
        ret->added += added;
        ret->same += same;
        message_done(&reply);
    }
    return rc;
}

int verdicts_send(struct cli *cli, const char *dataset, const char *path,
                  const struct verdict_file *file, struct verdicts_sent *ret, struct errbuf *why)
{
    struct told told = {path, 0, cli, dataset};
    struct verdicts_sent sent = {.said = (int64_t)file->count};
    int rc = check(cli, dataset, file, &told, why);

    if (rc == 0 && told.count > 0)
        rc = refuse(&told, file->all, why);
    if (rc == 0)
        rc = keep(cli, dataset, file, &sent, why);
    if (rc == 0)
        *ret = sent;
    return rc;
}

int verdicts_send_file(struct cli *cli, const char *dataset, const char *path, bool labels_only,
                       enum verdict_kind issues, struct verdicts_sent *ret, struct errbuf *why)
{
    struct class_names classes = {NULL};
    struct verdict_file file = {NULL};
    struct told told = {path, 0, cli, dataset};
    int rc = class_names_fetch(cli, dataset, &classes, why);

    if (rc != 0)
        return rc;
    const struct verdict_ask ask = {.classes = classes.at,
                                    .class_count = classes.count,
                                    .dataset = dataset,
                                    .issues = issues,
                                    .labels_only = labels_only,
                                    .find = find,
                                    .tell = tell,
                                    .arg = &told};
    rc = verdict_file_read(path, &ask, &file, why);
    if (rc == 0 && file.bad > 0) {
        check(cli, dataset, &file, &told, NULL); /* for the lines that could be read */
        rc = refuse(&told, file.all, why);
    }
    if (rc == 0)
        rc = verdicts_send(cli, dataset, path, &file, ret, why);
    verdict_file_done(&file);
    class_names_done(&classes);
    return rc;
}
