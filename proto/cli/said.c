#include "proto/cli/said.h"

#include <stdio.h>

#include "common/text.h"
#include "proto/cli/pages.h"
#include "proto/cli/reply.h"
#include "proto/cli/sample_row.h"

int said_mark(struct cli *cli, const char *dataset, const int64_t *samples, struct review *r,
              struct errbuf *why)
{
    static const struct pages newest = {MSG_VERDICT_LIST, "rows", "after", "sample", 0, 0};
    cJSON *request = cJSON_CreateObject();
    struct message reply;
    const cJSON *rows, *row;

    cJSON_AddStringToObject(request, "dataset", dataset);
    cJSON_AddNumberToObject(request, "limit", ROWS_MAX);
    int rc = pages_call(cli, &newest, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "rows", &rows, why);
    if (rc == 0)
        cJSON_ArrayForEach(row, rows)
        {
            int64_t sample = -1;
            reply_i64(row, "sample", &sample);
            for (size_t i = 0; i < r->count; i++)
                r->judged[i] |= samples[i] == sample;
        }
    message_done(&reply);
    return rc;
}

/* All that was ever said of a sample, oldest first. */
static int fetch(struct cli *cli, const char *dataset, int64_t sample, struct message *ret,
                 const cJSON **ret_rows, struct errbuf *why)
{
    static const struct pages all = {MSG_VERDICT_LIST, "rows", "after", "number", 0, 0};
    cJSON *request = cJSON_CreateObject();

    cJSON_AddStringToObject(request, "dataset", dataset);
    cJSON_AddNumberToObject(request, "sample", (double)sample);
    cJSON_AddTrueToObject(request, "history");
    int rc = pages_call(cli, &all, request, ret, why);
    if (rc != 0)
        return rc;
    rc = reply_array(ret->json, "rows", ret_rows, why);
    if (rc != 0)
        message_done(ret);
    return rc;
}

/* Of a row of the list; VERDICT_NONE without one. */
static struct review_said said_of(const cJSON *row)
{
    struct review_said said = {.verdict = {.label = -1}};
    int64_t sample = 0, label = -1;
    int kind = text_index(reply_text(row, "verdict"), verdict_names);

    if (kind < 0)
        return said;
    reply_i64(row, "number", &said.number);
    reply_i64(row, "sample", &sample);
    reply_i64(row, "label", &label);
    said.verdict = (struct verdict){.sample = (uint32_t)sample,
                                    .kind = (enum verdict_kind)kind,
                                    .label = kind == VERDICT_WRONG ? (int32_t)label : -1};
    snprintf(said.verdict.note, sizeof(said.verdict.note), "%s", reply_text(row, "note"));
    return said;
}

int said_newest(struct cli *cli, const char *dataset, int64_t sample, struct review_said *ret,
                char words[SAID_BYTES], struct errbuf *why)
{
    struct message reply;
    char label[LABEL_BYTES];
    const cJSON *rows;
    int rc = fetch(cli, dataset, sample, &reply, &rows, why);

    if (rc != 0)
        return rc;
    const int count = cJSON_GetArraySize(rows);
    const cJSON *row = count ? cJSON_GetArrayItem(rows, count - 1) : NULL;
    *ret = said_of(row);
    words[0] = '\0';
    if (ret->verdict.kind != VERDICT_NONE) {
        const bool wrong = ret->verdict.kind == VERDICT_WRONG;
        const char *who = reply_text(row, "who");
        snprintf(words, SAID_BYTES, "%s%s%s%s%.60s", verdict_names[ret->verdict.kind],
                 wrong ? ", it is " : "",
                 wrong ? label_text(row, "label", "label_name", label) : "", *who ? ", said " : "",
                 who);
    }
    message_done(&reply);
    return 0;
}

/* The number of the verdict that was just sent: the first behind `before` that says it. */
static int find_number(struct cli *cli, const char *dataset, const struct verdict *v,
                       int64_t before, int64_t *ret, struct errbuf *why)
{
    struct message reply;
    const cJSON *rows, *row;
    int rc = fetch(cli, dataset, v->sample, &reply, &rows, why);

    if (rc != 0)
        return rc;
    *ret = 0;
    cJSON_ArrayForEach(row, rows)
    {
        const struct review_said said = said_of(row);
        int64_t given = -1;
        reply_i64(row, "given", &given);
        if (*ret == 0 && said.number > before &&
            review_same(v, said.verdict.kind, said.verdict.label, given))
            *ret = said.number;
    }
    message_done(&reply);
    return 0;
}

int said_put(struct cli *cli, const char *dataset, const struct verdict *v, int64_t given,
             int64_t before, int64_t *ret_number, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject(), *row = cJSON_CreateObject();
    struct message reply;
    int64_t added = 0;
    char uuid[UUID_BYTES];

    text_uuid(uuid);
    cJSON_AddStringToObject(request, "dataset", dataset);
    cJSON_AddStringToObject(request, "uuid", uuid);
    cJSON_AddNumberToObject(row, "sample", v->sample);
    cJSON_AddStringToObject(row, "verdict", verdict_names[v->kind]);
    if (v->label >= 0)
        cJSON_AddNumberToObject(row, "label", v->label);
    if (given >= 0)
        cJSON_AddNumberToObject(row, "given", (double)given);
    if (v->note[0])
        cJSON_AddStringToObject(row, "note", v->note);
    cJSON_AddItemToArray(cJSON_AddArrayToObject(request, "rows"), row);
    int rc = connection_call(cli, MSG_VERDICT_PUT, request, &reply, why);
    if (rc != 0)
        return rc;
    reply_i64(reply.json, "added", &added);
    message_done(&reply);
    *ret_number = 0;
    return added > 0 ? find_number(cli, dataset, v, before, ret_number, why) : 0;
}
