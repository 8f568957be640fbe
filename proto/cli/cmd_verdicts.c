/* verdicts list, export, import: what people say of the labels of a dataset. */
#include <errno.h>
#include <stdlib.h>

#include "common/file.h"
#include "proto/cli/cells.h"
#include "proto/cli/command.h"
#include "proto/cli/import/csv.h"
#include "proto/cli/pages.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/resolve.h"
#include "proto/cli/table.h"
#include "proto/cli/verdicts.h"

#define ARG(field) offsetof(struct args, field)

static const char *const issue_names[] = {"wrong", "exclude", "unsure", NULL};
static const enum verdict_kind issue_kinds[] = {VERDICT_WRONG, VERDICT_EXCLUDE, VERDICT_UNSURE};

const struct option verdicts_list_options[] = {
    {"sample", OPT_STR, ARG(sample), .arg = "N",
     .help = "only this sample, by number or by the path of its file"},
    {"history", OPT_FLAG, ARG(history), .help = "all that was ever said, oldest first"},
    {"limit", OPT_INT, ARG(limit), .def = "0", .arg = "N", .min = 0, .max = VERDICTS_MAX,
     .help = "at most N rows; 0: all"},
    {NULL},
};
const struct option verdicts_export_options[] = {
    {"out", OPT_STR, ARG(out), .arg = "FILE", .help = "file to write (default: standard output)"},
    {"history", OPT_FLAG, ARG(history), .help = "all that was ever said, oldest first"},
    {NULL},
};
const struct option verdicts_import_options[] = {
    {"issues-are", OPT_ENUM, ARG(issues_are), .def = "wrong", .arg = "VERDICT",
     .names = issue_names, .help = "what becomes of a label issue that cleanlab found"},
    {NULL},
};

static int fetch(struct cli *cli, int64_t limit, struct message *ret, struct errbuf *why)
{
    const struct args *a = cli->args;
    const struct pages newest = {MSG_VERDICT_LIST, "rows", "after", "sample", 0, limit},
                       all = {MSG_VERDICT_LIST, "rows", "after", "number", 0, limit};
    int64_t sample = 0;

    if (a->sample) {
        int rc = resolve_sample(cli, 0, cli->words[0], a->sample, &sample, why);
        if (rc != 0)
            return rc;
    }
    cJSON *request = cJSON_CreateObject();
    cJSON_AddStringToObject(request, "dataset", cli->words[0]);
    if (limit == 0)
        cJSON_AddNumberToObject(request, "limit", ROWS_MAX);
    if (a->sample)
        cJSON_AddNumberToObject(request, "sample", (double)sample);
    if (a->history)
        cJSON_AddTrueToObject(request, "history");
    return pages_call(cli, a->history ? &all : &newest, request, ret, why);
}

static void print_rows(const struct cli *cli, const cJSON *rows)
{
    static const struct column columns[] = {
        {"sample", .right = true}, {"path", .optional = true}, {.title = "label"},
        {.title = "verdict"},      {.title = "right label"},   {"note", .optional = true},
        {"who", .optional = true}, {"when", .right = true},    {NULL},
    };
    struct table *t = table_create(columns);
    const cJSON *row;

    cJSON_ArrayForEach(row, rows)
    {
        cell_i64(t, row, "sample");
        cell_text(t, row, "uri");
        cell_text(t, row, "given_name");
        cell_text(t, row, "verdict");
        cell_text(t, row, "label_name");
        cell_text(t, row, "note");
        cell_text(t, row, "who");
        cell_age(t, row, "unix_ms");
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

static void print_counts(const struct cli *cli, const cJSON *json)
{
    const cJSON *counts = cJSON_GetObjectItemCaseSensitive(json, "counts");
    int64_t total = 0, n[VERDICT_KINDS] = {0};

    reply_i64(json, "total", &total);
    for (int i = 0; i < VERDICT_KINDS; i++)
        reply_i64(counts, verdict_names[i], &n[i]);
    print_text("dataset %s: %lld sample%s judged: %lld right, %lld wrong, %lld to exclude, %lld "
               "unsure",
               cli->words[0], (long long)total, total == 1 ? " is" : "s are",
               (long long)n[VERDICT_RIGHT], (long long)n[VERDICT_WRONG],
               (long long)n[VERDICT_EXCLUDE], (long long)n[VERDICT_UNSURE]);
}

int cmd_verdicts_list(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    const cJSON *rows;
    int rc = fetch(cli, cli->args->limit, &reply, why);

    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "rows", &rows, why);
    if (rc == 0 && cli->args->json) {
        print_reply(&reply, NULL);
    } else if (rc == 0) {
        if (rows->child)
            print_rows(cli, rows);
        print_counts(cli, reply.json);
    }
    message_done(&reply);
    return rc;
}

static void write_rows(const cJSON *rows, bool history, FILE *out)
{
    static const char *const texts[] = {"uri",  "verdict",    "label_name",
                                        "note", "given_name", "who"};
    const cJSON *row;
    int64_t number = 0;

    fprintf(out, "%ssample,path,verdict,label,note,given,who,unix_ms\n", history ? "number," : "");
    cJSON_ArrayForEach(row, rows)
    {
        if (history && reply_i64(row, "number", &number))
            fprintf(out, "%lld,", (long long)number);
        reply_i64(row, "sample", &number);
        fprintf(out, "%lld,", (long long)number);
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            csv_write(reply_text(row, texts[i]), out);
            fputc(',', out);
        }
        number = 0;
        reply_i64(row, "unix_ms", &number);
        fprintf(out, "%lld\n", (long long)number);
    }
}

int cmd_verdicts_export(struct cli *cli, struct errbuf *why)
{
    struct file_draft draft = {.out = stdout};
    struct message reply;
    const cJSON *rows;
    int rc = fetch(cli, 0, &reply, why);

    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "rows", &rows, why);
    if (rc == 0 && cli->args->out)
        rc = file_draft_open(cli->args->out, 0644, &draft, why);
    if (rc == 0) {
        write_rows(rows, cli->args->history, draft.out);
        if (cli->args->out)
            rc = file_draft_close(&draft, 0, why);
    }
    message_done(&reply);
    return rc;
}

int cmd_verdicts_import(struct cli *cli, struct errbuf *why)
{
    struct verdicts_sent sent;
    int rc = verdicts_send_file(cli, cli->words[0], cli->words[1], false,
                                issue_kinds[cli->args->issues_are], &sent, why);

    if (rc != 0)
        return rc;
    if (cli->args->json) {
        cJSON *out = cJSON_CreateObject();
        cJSON_AddNumberToObject(out, "added", (double)sent.added);
        cJSON_AddNumberToObject(out, "same", (double)sent.same);
        print_json(out);
        cJSON_Delete(out);
        return 0;
    }
    print_text("dataset %s: %lld verdict%s added, %lld there already", cli->words[0],
               (long long)sent.added, sent.added == 1 ? "" : "s", (long long)sent.same);
    return 0;
}
