/* audit: which commands changed something, who sent them, and what came of them. */
#include "common/clock.h"
#include "proto/cli/cells.h"
#include "proto/cli/command.h"
#include "proto/cli/import/csv.h"
#include "proto/cli/pages.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/table.h"
#include "proto/cli/when.h"

#define ARG(field) offsetof(struct args, field)

const struct option audit_options[] = {
    {"who", OPT_STR, ARG(who), .arg = "NAME", .help = "only commands of the key with this name"},
    {"command", OPT_STR, ARG(command), .arg = "COMMAND",
     .help = "only these: job.cancel, or job for all of them"},
    {"about", OPT_STR, ARG(about), .arg = "WHAT", .help = "only what changes this: \"job 3\""},
    {"result", OPT_STR, ARG(result), .arg = "RESULT",
     .help = "only with this result: ok, refused, or a code such as forbidden"},
    {"since", OPT_STR, ARG(since), .arg = "TIME",
     .help = "only from then on: 12h (ago), 2026-11-30, \"2026-11-30 14:05\""},
    {"until", OPT_STR, ARG(until), .arg = "TIME", .help = "only before then"},
    {"limit", OPT_INT, ARG(limit), .def = "100", .arg = "N", .min = 0, .max = AUDIT_ROWS_MAX * 2,
     .help = "at most the newest N; 0: all"},
    {"csv", OPT_FLAG, ARG(csv), .help = "print comma-separated values"},
    {NULL},
};

static void print_rows(const struct cli *cli, const cJSON *rows)
{
    static const struct column columns[] = {
        {.title = "when"},   {.title = "key"},          {.title = "role"},
        {.title = "from"},   {.title = "command"},      {"about", .optional = true},
        {.title = "result"}, {"why", .optional = true}, {NULL},
    };
    struct table *t = table_create(columns);
    char when[WHEN_BYTES];
    const cJSON *row;

    cJSON_ArrayForEach(row, rows)
    {
        int64_t ms = 0;
        reply_i64(row, "unix_ms", &ms);
        table_add(t, "%s", when_text(ms, when));
        cell_text(t, row, "key");
        cell_text(t, row, "role");
        cell_text(t, row, "address");
        cell_text(t, row, "command");
        cell_text(t, row, "about");
        cell_text(t, row, "result");
        cell_text(t, row, "text");
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

static void print_csv(const cJSON *rows)
{
    static const char *const texts[] = {"key",   "role",   "address", "command",
                                        "about", "result", "text"};
    const cJSON *row;

    printf("number,unix_ms,key,role,address,command,about,result,text\n");
    cJSON_ArrayForEach(row, rows)
    {
        int64_t number = 0, ms = 0;
        reply_i64(row, "number", &number);
        reply_i64(row, "unix_ms", &ms);
        printf("%lld,%lld", (long long)number, (long long)ms);
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
            fputc(',', stdout);
            csv_write(reply_text(row, texts[i]), stdout);
        }
        fputc('\n', stdout);
    }
}

/* {key?, command?, about?, result?, since?, until?} */
static int make_request(const struct args *a, cJSON **ret, struct errbuf *why)
{
    const struct {
        const char *name, *text;
    } texts[] = {
        {"key", a->who}, {"command", a->command}, {"about", a->about}, {"result", a->result}};
    int64_t since = -1, until = -1, now_ms = clock_unix_ms();
    int rc = a->since ? when_time(a->since, "--since", now_ms, &since, why) : 0;

    if (rc == 0 && a->until)
        rc = when_time(a->until, "--until", now_ms, &until, why);
    if (rc != 0)
        return rc;
    *ret = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].text)
            cJSON_AddStringToObject(*ret, texts[i].name, texts[i].text);
    if (since >= 0)
        cJSON_AddNumberToObject(*ret, "since", (double)since);
    if (until >= 0)
        cJSON_AddNumberToObject(*ret, "until", (double)until);
    if (a->limit == 0)
        cJSON_AddNumberToObject(*ret, "limit", ROWS_MAX);
    return 0;
}

int cmd_audit(struct cli *cli, struct errbuf *why)
{
    const struct args *a = cli->args;
    const struct pages newest = {MSG_AUDIT_LIST, "rows", "before", "number", 0, a->limit};
    struct message reply;
    const cJSON *rows;
    cJSON *request;

    if (a->json && a->csv)
        return err_set(why, EXIT_USAGE, "--csv and --json are two forms; choose one");
    int rc = make_request(a, &request, why);
    if (rc == 0)
        rc = pages_call(cli, &newest, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "rows", &rows, why);
    if (rc == 0 && a->json)
        print_json(rows);
    else if (rc == 0 && a->csv)
        print_csv(rows);
    else if (rc == 0 && rows->child)
        print_rows(cli, rows);
    else if (rc == 0)
        printf("no command is on record\n");
    message_done(&reply);
    return rc;
}
