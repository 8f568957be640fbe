/* jobs, log, pause, resume, cancel, rm. */
#include "proto/cli/command.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "common/bounds.h"
#include "common/text.h"
#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/pages.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/table.h"

#define LOG_LIMIT 200
#define FOLLOW_MS 1000

const struct option jobs_options[] = {
    {"limit", OPT_INT, offsetof(struct args, limit), .def = "100", .arg = "N", .min = 1,
     .max = INT32_MAX, .help = "show at most N jobs"},
    {"before", OPT_INT, offsetof(struct args, before), .arg = "JOB", .min = 1, .max = INT32_MAX,
     .help = "show jobs older than this one (default: the newest)"},
    {NULL},
};

const struct option log_options[] = {
    {"follow", OPT_FLAG, offsetof(struct args, follow),
     .help = "show new events until the job ends; with --json one event a line"},
    {NULL},
};

const struct option resume_options[] = {
    {"relaxed", OPT_FLAG, offsetof(struct args, relaxed),
     .help = "let workers of any numerics class continue the job, paused or not; from then on its "
             "model may differ from that of other runs"},
    {NULL},
};

/* "photos", or the revision that the job trains on: "photos@2". */
static void cell_dataset(struct table *t, const cJSON *row)
{
    int64_t revision;

    if (reply_i64(row, "revision", &revision))
        table_add(t, "%s@%lld", reply_text(row, "dataset"), (long long)revision);
    else
        cell_text(t, row, "dataset");
}

static void add_job(struct table *t, const cJSON *row)
{
    int64_t epoch = 0, epochs = 0;
    double eta_s;
    char text[DRAW_TEXT_BYTES];
    const char *waiting = reply_text(row, "waiting");

    cell_i64(t, row, "job");
    cell_text(t, row, "name");
    cell_state(t, row, "state");
    cell_dataset(t, row);
    table_add(t, "%s", reply_model(row));
    reply_i64(row, "epoch", &epoch);
    reply_i64(row, "epochs", &epochs);
    table_add(t, "%lld/%lld", (long long)epoch, (long long)epochs);
    cell_f64(t, row, "loss");
    cell_share(t, row, "accuracy");
    if (reply_f64(row, "images_per_s", &eta_s))
        table_add(t, "%.0f", eta_s);
    else
        table_add(t, TABLE_NONE);
    bool has_eta = reply_f64(row, "eta_s", &eta_s) && eta_s < 1e12;
    table_add(t, "%s", has_eta ? draw_duration(1000 * (int64_t)ceil(eta_s), text) : "");
    cell_age(t, row, "created_unix_ms");
    table_add(t, "%s", *waiting ? waiting : reply_text(row, "reason"));
}

static void print_jobs(const struct cli *cli, const cJSON *jobs)
{
    static const struct column columns[] = {
        {"job", .right = true},
        {.title = "name"},
        {.title = "state"},
        {.title = "dataset"},
        {.title = "model"},
        {"epochs", .right = true},
        {"loss", .right = true, .optional = true},
        {"accuracy", .right = true, .optional = true},
        {"images/s", .right = true, .optional = true},
        {"ETA", .right = true, .optional = true},
        {"created", .right = true},
        {"why", .optional = true},
        {NULL},
    };
    struct table *t = table_create(columns);
    const cJSON *row;

    cJSON_ArrayForEach(row, jobs)
    {
        add_job(t, row);
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

/* Says what is missing from the list, and how to see it. */
static void note_other_jobs(const cJSON *json, const cJSON *jobs)
{
    int64_t total = 0, oldest = 0;
    int count = cJSON_GetArraySize(jobs);

    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "more")) || count == 0)
        return;
    reply_i64(json, "total", &total);
    reply_i64(cJSON_GetArrayItem(jobs, count - 1), "job", &oldest);
    print_note("%d of %lld jobs %s shown; --before %lld goes on, --limit %lld shows all", count,
               (long long)total, count == 1 ? "is" : "are", (long long)oldest, (long long)total);
}

int cmd_jobs(struct cli *cli, struct errbuf *why)
{
    const struct pages pages = {MSG_JOB_LIST, "jobs", "before", "job", 0, cli->args->limit};
    struct message reply;
    const cJSON *jobs;
    cJSON *request = cJSON_CreateObject();

    if (cli->args->before != NOT_GIVEN)
        cJSON_AddNumberToObject(request, "before", (double)cli->args->before);
    int rc = pages_call(cli, &pages, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "jobs", &jobs, why);
    if (rc == 0 && cli->args->json)
        print_json(jobs);
    else if (rc == 0 && cJSON_GetArraySize(jobs) == 0 && cli->args->before != NOT_GIVEN)
        printf("there are no jobs before %lld\n", (long long)cli->args->before);
    else if (rc == 0 && cJSON_GetArraySize(jobs) == 0)
        printf("there are no jobs; submit one with steppe submit FILE\n");
    else if (rc == 0)
        print_jobs(cli, jobs);
    if (rc == 0)
        note_other_jobs(reply.json, jobs);
    message_done(&reply);
    return rc;
}

static void print_event(const cJSON *event)
{
    char when[DRAW_TEXT_BYTES] = "-";
    int64_t unix_ms = 0;
    struct tm tm;

    if (reply_i64(event, "unix_ms", &unix_ms)) {
        time_t seconds = (time_t)(unix_ms / 1000);
        if (localtime_r(&seconds, &tm))
            strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
    }
    print_text("%s  %-12s %s", when, reply_text(event, "kind"), reply_text(event, "text"));
}

/* Prints the events of a reply as lines, or adds them to all (not NULL); *ret_count is how many. */
static int take_events(const struct cli *cli, const cJSON *json, int64_t *io_after, cJSON *all,
                       int *ret_count, struct errbuf *why)
{
    const cJSON *events, *event;
    int count = 0;

    int rc = reply_array(json, "events", &events, why);
    if (rc != 0)
        return rc;
    cJSON_ArrayForEach(event, events)
    {
        int64_t number;
        if (!reply_i64(event, "event", &number) || number <= *io_after)
            return err_set(why, -EBADMSG, "the server's events are not in order");
        *io_after = number;
        count++;
        if (all)
            cJSON_AddItemToArray(all, cJSON_Duplicate(event, true));
        else if (cli->args->json)
            print_json_line(event);
        else
            print_event(event);
    }
    *ret_count = count;
    return 0;
}

/* Reads all events after *io_after, which grows. */
static int read_events(struct cli *cli, int64_t job, int64_t *io_after, cJSON *all,
                       struct errbuf *why)
{
    int rc = 0, count = LOG_LIMIT;

    while (rc == 0 && count == LOG_LIMIT) {
        struct message reply;
        cJSON *request = cJSON_CreateObject();
        cJSON_AddNumberToObject(request, "job", (double)job);
        cJSON_AddNumberToObject(request, "after", (double)*io_after);
        cJSON_AddNumberToObject(request, "limit", LOG_LIMIT);
        rc = connection_call(cli, MSG_JOB_LOG, request, &reply, why);
        if (rc != 0)
            return rc;
        rc = take_events(cli, reply.json, io_after, all, &count, why);
        message_done(&reply);
    }
    return rc;
}

/* Will anything more happen to the job? */
static int job_ended(struct cli *cli, int64_t job, bool *ret, struct errbuf *why)
{
    static const char *const finals[] = {"done", "failed", "cancelled"};
    struct message reply;
    cJSON *request = cJSON_CreateObject();

    cJSON_AddNumberToObject(request, "job", (double)job);
    cJSON_AddNumberToObject(request, "epochs_from", EPOCHS_MAX);
    int rc = connection_call(cli, MSG_JOB_SHOW, request, &reply, why);
    if (rc != 0)
        return rc;
    const char *state = reply_text(cJSON_GetObjectItemCaseSensitive(reply.json, "job"), "state");
    *ret = false;
    for (size_t i = 0; i < sizeof(finals) / sizeof(finals[0]); i++)
        *ret = *ret || strcmp(state, finals[i]) == 0;
    message_done(&reply);
    return 0;
}

static int follow_events(struct cli *cli, int64_t job, int64_t after, struct errbuf *why)
{
    bool ended = false;
    int rc = 0;

    while (rc == 0 && !ended) {
        if (fflush(stdout) != 0)
            return err_set(why, -EIO, "%s", ""); /* main says why */
        rc = job_ended(cli, job, &ended, why);
        if (rc == 0 && !ended)
            rc = command_sleep(cli, FOLLOW_MS);
        /* Also after the end: the last event may have come between the two calls. */
        if (rc == 0)
            rc = read_events(cli, job, &after, NULL, why);
    }
    return rc;
}

int cmd_log(struct cli *cli, struct errbuf *why)
{
    bool whole = cli->args->json && !cli->args->follow;
    cJSON *all = whole ? cJSON_CreateArray() : NULL;
    int64_t job, after = 0;
    int rc = command_job(cli, &job, why);

    if (rc == 0)
        rc = read_events(cli, job, &after, all, why);
    if (rc == 0 && cli->args->follow)
        rc = follow_events(cli, job, after, why);
    if (rc == 0 && whole)
        print_json(all);
    cJSON_Delete(all);
    return rc;
}

/* Sends a request (ownership passes) whose reply is a job's row; did: what the request did to the
 * job, printed before its state; or "". */
static int call_for_row(struct cli *cli, enum message_type type, cJSON *request, const char *did,
                        struct errbuf *why)
{
    struct message reply;
    const cJSON *row;
    int64_t job = 0;
    int rc = connection_call(cli, type, request, &reply, why);

    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "job", &row, why);
    if (rc == 0 && cli->args->json) {
        print_json(row);
    } else if (rc == 0) {
        reply_i64(row, "job", &job);
        print_text("job %lld %sis %s", (long long)job, did, reply_text(row, "state"));
    }
    message_done(&reply);
    return rc;
}

static int change_job(struct cli *cli, enum message_type type, struct errbuf *why)
{
    cJSON *request;
    int rc = command_job_request(cli, &request, why);

    return rc != 0 ? rc : call_for_row(cli, type, request, "", why);
}

int cmd_pause(struct cli *cli, struct errbuf *why)
{
    return change_job(cli, MSG_JOB_PAUSE, why);
}

/* The job before the request, for the sentence that follows. */
static int look_first(struct cli *cli, struct message *ret, bool *ret_relaxed, struct errbuf *why)
{
    cJSON *request;
    int rc = command_job_request(cli, &request, why);

    if (rc == 0)
        rc = connection_call(cli, MSG_JOB_SHOW, request, ret, why);
    if (rc == 0)
        *ret_relaxed = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(
            cJSON_GetObjectItemCaseSensitive(ret->json, "promise"), "relaxed"));
    return rc;
}

int cmd_resume(struct cli *cli, struct errbuf *why)
{
    struct message shown;
    cJSON *request;
    bool relaxed;

    if (!cli->args->relaxed)
        return change_job(cli, MSG_JOB_RESUME, why);
    int rc = look_first(cli, &shown, &relaxed, why);
    if (rc != 0)
        return rc;
    message_done(&shown);
    rc = command_job_request(cli, &request, why);
    if (rc != 0)
        return rc;
    cJSON_AddTrueToObject(request, "relaxed");
    return call_for_row(cli, MSG_JOB_RESUME, request,
                        relaxed ? "was relaxed already; it " : "is relaxed now; it ", why);
}

/* Names the class to remove: if the request arrives twice, the job loses no other class. */
int cmd_unpin(struct cli *cli, struct errbuf *why)
{
    char did[DRAW_LINE_BYTES];
    struct message shown;
    cJSON *request;
    bool relaxed;
    int rc = look_first(cli, &shown, &relaxed, why);

    if (rc != 0)
        return rc;
    const char *class = reply_text(shown.json, "numerics_class");
    if (!*class)
        rc = err_set(why, -EINVAL, "job %s %s; there is nothing to unpin", cli->words[0],
                     relaxed ? "is relaxed: it takes workers of every class"
                             : "has no numerics class yet");
    if (rc == 0)
        rc = command_job_request(cli, &request, why);
    if (rc == 0) {
        cJSON_AddStringToObject(request, "class", class);
        snprintf(did, sizeof(did), "no longer has class %.100s%s; it ", class,
                 relaxed ? " and is strict again" : "");
        rc = call_for_row(cli, MSG_JOB_UNPIN, request, did, why);
    }
    message_done(&shown);
    return rc;
}

int cmd_cancel(struct cli *cli, struct errbuf *why)
{
    return change_job(cli, MSG_JOB_CANCEL, why);
}

int cmd_rm(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    cJSON *request;
    int rc = command_job_request(cli, &request, why);

    if (rc == 0)
        rc = connection_call(cli, MSG_JOB_RM, request, &reply, why);
    if (rc != 0)
        return rc;
    if (cli->args->json)
        print_reply(&reply, NULL);
    else
        print_text("job %s is removed", cli->words[0]);
    message_done(&reply);
    return 0;
}
