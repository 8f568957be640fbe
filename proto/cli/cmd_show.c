/* show: what a job is to do, how far it is, and where its scores are. */
#include "proto/cli/command.h"
#include "proto/cli/sample_row.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/clock.h"
#include "common/text.h"
#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/pages.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/table.h"
#include "proto/cli/watch.h"

#define EPOCHS_SHOWN 10
#define GROUPS_SHOWN 20
#define LABEL "  %-15s "

static void print_line(const char *label, const char *text)
{
    if (*text)
        print_text(LABEL "%s", label, text);
}

/* Number, text or truth value as in the job file. */
static void scalar_text(const cJSON *value, char *buf, size_t bytes)
{
    char *text = cJSON_IsString(value) ? NULL : cJSON_PrintUnformatted(value);

    int n = cJSON_IsNumber(value) ? snprintf(buf, bytes, "%.10g", value->valuedouble)
                                  : snprintf(buf, bytes, "%s",
                                             text                    ? text
                                             : cJSON_IsString(value) ? value->valuestring
                                                                     : "");
    if (n >= (int)bytes)
        memcpy(buf + bytes - 4, "...", 4); /* a long list of layers; --json has all of it */
    cJSON_free(text);
}

/* "lr 0.05, momentum 0.9" of an object; a scalar as it is. */
static void parameter_text(const cJSON *value, char *buf, size_t bytes)
{
    const cJSON *entry;
    size_t used = 0;

    if (!cJSON_IsObject(value)) {
        scalar_text(value, buf, bytes);
        return;
    }
    buf[0] = '\0';
    cJSON_ArrayForEach(entry, value)
    {
        char text[256];
        scalar_text(entry, text, sizeof(text));
        int n =
            snprintf(buf + used, bytes - used, "%s%s %s", used ? ", " : "", entry->string, text);
        used += n < 0 ? 0 : (size_t)n;
        if (used < bytes)
            continue;
        memcpy(buf + bytes - 4, "...", 4);
        return;
    }
}

/* "photos@1 from epoch 1, photos@2 from epoch 4": people count epochs from 1. */
static void revisions_text(const cJSON *list, char *buf, size_t bytes)
{
    const cJSON *item;
    size_t used = 0;

    buf[0] = '\0';
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *epoch = cJSON_GetArrayItem(item, 0), *name = cJSON_GetArrayItem(item, 1);
        if (!cJSON_IsNumber(epoch) || !cJSON_IsString(name) || used >= bytes)
            continue;
        int n = snprintf(buf + used, bytes - used, "%s%s from epoch %.0f", used ? ", " : "",
                         name->valuestring, epoch->valuedouble + 1);
        used += n < 0 ? 0 : (size_t)n;
    }
}

static void print_parameters(const cJSON *spec)
{
    const cJSON *value;
    char text[1024];

    cJSON_ArrayForEach(value, spec)
    {
        if (strcmp(value->string, "name") == 0)
            continue;
        if (strcmp(value->string, "revisions") == 0)
            revisions_text(value, text, sizeof(text));
        else
            parameter_text(value, text, sizeof(text));
        print_line(value->string, text);
    }
}

/* What people should know about the job from the start. */
static void print_notes(const cJSON *notes)
{
    const cJSON *note;

    cJSON_ArrayForEach(note, notes)
    {
        if (cJSON_IsString(note))
            print_line("note", note->valuestring);
    }
}

static void print_progress(const cJSON *row)
{
    int64_t epoch = 0, epochs = 0, step = 0, steps = 0;
    double images_per_s = 0, eta_s = 0;
    char text[240], eta[DRAW_TEXT_BYTES], what[WATCH_DOING_BYTES];
    const char *doing;
    int n;

    reply_i64(row, "epoch", &epoch);
    reply_i64(row, "epochs", &epochs);
    reply_i64(row, "step", &step);
    reply_i64(row, "steps", &steps);
    n = snprintf(text, sizeof(text), "epoch %lld/%lld", (long long)epoch, (long long)epochs);
    if (steps > 0)
        n += snprintf(text + n, sizeof(text) - (size_t)n, ", step %lld/%lld", (long long)step,
                      (long long)steps);
    if (strcmp(reply_text(row, "state"), "running") == 0 && *(doing = watch_doing(row, what)))
        n += snprintf(text + n, sizeof(text) - (size_t)n, ", %s", doing);
    if (reply_f64(row, "images_per_s", &images_per_s) && images_per_s > 0)
        n += snprintf(text + n, sizeof(text) - (size_t)n, ", %.0f images/s", images_per_s);
    if (reply_f64(row, "eta_s", &eta_s) && eta_s > 0 && eta_s < 1e12)
        snprintf(text + n, sizeof(text) - (size_t)n, ", ETA %s",
                 draw_duration(1000 * (int64_t)ceil(eta_s), eta));
    print_line("progress", text);
}

static void print_times(const cJSON *row)
{
    static const struct {
        const char *name, *key;
    } times[] = {{"created", "created_unix_ms"},
                 {"started", "started_unix_ms"},
                 {"finished", "finished_unix_ms"}};
    char text[128] = "", age[DRAW_TEXT_BYTES];
    int64_t unix_ms, now_ms = clock_unix_ms();
    int n = 0;

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        if (reply_i64(row, times[i].key, &unix_ms))
            n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s %s", n ? ", " : "",
                          times[i].name, draw_age(now_ms - unix_ms, age));
    int64_t started_ms, finished_ms;
    if (reply_i64(row, "started_unix_ms", &started_ms) &&
        reply_i64(row, "finished_unix_ms", &finished_ms))
        snprintf(text + n, sizeof(text) - (size_t)n, ", took %s",
                 draw_duration(finished_ms - started_ms, age));
    print_line("times", text);
}

/* all: how many the job has. */
static void print_epochs(const struct cli *cli, const cJSON *epochs, int64_t all)
{
    static const struct column columns[] = {
        {"epoch", .right = true},
        {"share", .right = true},
        {"train loss", .right = true},
        {"train acc", .right = true},
        {"sharpness", .right = true},
        {"valid acc", .right = true, .optional = true},
        {"test acc", .right = true, .optional = true},
        {"adv acc", .right = true, .optional = true},
        {"mean gap", .right = true, .optional = true},
        {"time", .right = true},
        {NULL},
    };
    int count = cJSON_GetArraySize(epochs), at = 0;
    struct table *t = table_create(columns);
    char text[DRAW_TEXT_BYTES];
    const cJSON *row;
    double seconds;

    cJSON_ArrayForEach(row, epochs)
    {
        if (at++ < count - EPOCHS_SHOWN)
            continue;
        cell_epoch(t, row, "epoch");
        cell_f64(t, row, "share");
        cell_f64(t, row, "train_loss");
        cell_share(t, row, "train_accuracy");
        cell_f64(t, row, "sharpness");
        cell_share(t, row, "validation_accuracy");
        cell_share(t, row, "test_accuracy");
        cell_share(t, row, "adv_accuracy");
        cell_f64(t, row, "mean_gap");
        bool known = reply_f64(row, "seconds", &seconds) && seconds >= 0 && seconds < 1e12;
        table_add(t, "%s", known ? draw_duration((int64_t)(1000 * seconds), text) : "");
    }
    printf("\n");
    if (all > EPOCHS_SHOWN)
        printf("the last %d of %lld epochs; --json has all\n", EPOCHS_SHOWN, (long long)all);
    table_print(t, cli->colour, stdout);
    table_free(t);
}

/* The test by class or domain; people see the first GROUPS_SHOWN. */
static void print_groups(const struct cli *cli, const cJSON *test, const char *what,
                         const char *key)
{
    const struct column columns[] = {{.title = what},
                                     {"samples", .right = true},
                                     {"test acc", .right = true},
                                     {"adv acc", .right = true},
                                     {NULL}};
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(test, key), *row;
    int count = cJSON_GetArraySize(rows), at = 0;
    int64_t all = count;
    char total[24];

    snprintf(total, sizeof(total), "%s_count", what);
    reply_i64(test, total, &all);
    if (count == 0)
        return;
    struct table *t = table_create(columns);
    cJSON_ArrayForEach(row, rows)
    {
        if (at++ == GROUPS_SHOWN)
            break;
        cell_class(t, row, what, "name");
        cell_i64(t, row, "samples");
        cell_share(t, row, "accuracy");
        cell_share(t, row, "adv_accuracy");
    }
    printf("\ntest by %s, epoch %lld", what, (long long)reply_epoch(test, "epoch"));
    if (all > count)
        printf("; the first %d of %lld, --json has %d", GROUPS_SHOWN, (long long)all, count);
    else if (count > GROUPS_SHOWN)
        printf("; the first %d of %d, --json has all", GROUPS_SHOWN, count);
    printf("\n");
    table_print(t, cli->colour, stdout);
    table_free(t);
}

static void print_database(const cJSON *json, int64_t job, bool scored)
{
    const char *path = reply_text(json, "difficulty_db");

    if (!*path)
        return;
    printf("\n");
    print_text("difficulty database: %s", path);
    if (!scored)
        return;
    printf("  steppe top %lld --hardest 20\n", (long long)job);
    if (access(path, R_OK) != 0) { /* on another machine, or another user's */
        printf("  steppe sql %lld 'select * from v_hardest where job = :job limit 5'\n",
               (long long)job);
        return;
    }
    char *word = text_shell(path);
    print_text("  sqlite3 %s 'select * from v_hardest where job = %lld limit 5'", word,
               (long long)job);
    free(word);
}

/* Whose results the job takes. */
static void print_class(const cJSON *json, const cJSON *spec)
{
    const char *class = reply_text(json, "numerics_class");
    const cJSON *promise = cJSON_GetObjectItemCaseSensitive(json, "promise");
    const char *broken = reply_text(promise, "why");
    char text[160];

    if (!promise)
        return;
    if (strcmp(reply_text(spec, "numerics"), "strict") != 0)
        snprintf(text, sizeof(text), "any (relaxed)");
    else if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(promise, "relaxed")))
        snprintf(text, sizeof(text), "any (relaxed while running; %.80s before)",
                 *class ? class : "none");
    else if (*class)
        snprintf(text, sizeof(text), "%.80s (strict: no other)", class);
    else
        snprintf(text, sizeof(text), "that of the first result (strict)");
    print_line("class", text);
    if (strcmp(reply_text(spec, "numerics"), "strict") == 0)
        print_line("promise", broken);
}

/* What the validation says is the best epoch. */
static void print_best(const cJSON *json, const cJSON *spec)
{
    const cJSON *best = cJSON_GetObjectItemCaseSensitive(json, "best");
    const bool kept = strcmp(reply_text(spec, "keep"), "best") == 0;
    char text[160], share[TEXT_F64_BYTES];
    double validation, test;
    int64_t epoch;

    if (!best || !reply_i64(best, "epoch", &epoch) ||
        !reply_f64(best, "validation_accuracy", &validation))
        return;
    int used = snprintf(text, sizeof(text), "%lld: validation %s", (long long)epoch + 1,
                        text_of_share(validation, share));
    if (reply_f64(best, "test_accuracy", &test))
        used += snprintf(text + used, sizeof(text) - (size_t)used, ", test %s",
                         text_of_share(test, share));
    snprintf(text + used, sizeof(text) - (size_t)used, "%s",
             kept ? "; its model is kept" : "; the model is that of the last epoch");
    print_line("best epoch", text);
}

/* "1600 train, 400 validation": what the job does with the training images, when it holds some out.
 */
static void print_samples(const cJSON *json)
{
    const cJSON *uses = cJSON_GetObjectItemCaseSensitive(json, "samples"), *use;
    char text[160] = "";
    int used = 0;

    cJSON_ArrayForEach(use, uses)
    {
        if (cJSON_IsNumber(use) && use->valuedouble > 0 && used < (int)sizeof(text))
            used += snprintf(text + used, sizeof(text) - (size_t)used, "%s%.0f %s",
                             used ? ", " : "", use->valuedouble, use->string);
    }
    print_line("samples", text);
}

/* Of which study it is, and what there. */
static void print_study(const cJSON *json)
{
    const cJSON *place = cJSON_GetObjectItemCaseSensitive(json, "study");
    int64_t seed;

    if (place && reply_i64(place, "seed", &seed))
        print_text(LABEL "%s, arm %s, dataset %s, seed %lld", "study", reply_text(place, "study"),
                   reply_text(place, "arm"), reply_text(place, "dataset"), (long long)seed);
}

/* The newest that was measured; steppe flatness has all of it. */
static void print_flatness(const cJSON *json)
{
    const cJSON *row = cJSON_GetObjectItemCaseSensitive(json, "flatness");
    const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(row, "values"), 0);
    char text[160];
    double trace, error;
    int64_t epoch;
    int used = 0;

    if (!row || !reply_i64(row, "epoch", &epoch) || !reply_f64(row, "trace", &trace))
        return;
    if (cJSON_IsNumber(first))
        used = snprintf(text, sizeof(text), "lambda1 %.4g, ", first->valuedouble);
    used += snprintf(text + used, sizeof(text) - (size_t)used, "trace %.4g", trace);
    if (reply_f64(row, "trace_error", &error))
        used += snprintf(text + used, sizeof(text) - (size_t)used, " ± %.2g", error);
    snprintf(text + used, sizeof(text) - (size_t)used, " after epoch %lld", (long long)epoch + 1);
    print_line("flatness", text);
}

/* A text of the reply, made safe to stand between our own escapes; freed by the caller. */
static char *shown_text(const cJSON *obj, const char *name)
{
    char *text = xstrdup(reply_text(obj, name));

    text_make_printable(text);
    return text;
}

static int print_job(const struct cli *cli, const cJSON *json, struct errbuf *why)
{
    const cJSON *row, *epochs, *spec;
    int64_t job = 0, epoch = 0;

    int rc = reply_object(json, "job", &row, why);
    if (rc == 0)
        rc = reply_object(json, "spec", &spec, why);
    if (rc == 0)
        rc = reply_array(json, "epochs", &epochs, why);
    if (rc != 0)
        return rc;
    char *name = shown_text(row, "name"), *state = shown_text(row, "state");
    enum paint paint = cell_state_paint(state);
    reply_i64(row, "job", &job);
    printf("job %lld  %s%s%s  %s%s%s\n", (long long)job, paint_on(PAINT_BOLD, cli->colour), name,
           paint_off(PAINT_BOLD, cli->colour), paint_on(paint, cli->colour), state,
           paint_off(paint, cli->colour));
    free(name);
    free(state);
    print_line("waiting", reply_text(row, "waiting"));
    print_line("reason", reply_text(row, "reason"));
    print_study(json);
    print_notes(cJSON_GetObjectItemCaseSensitive(json, "notes"));
    print_progress(row);
    print_times(row);
    print_samples(json);
    print_line("program", reply_text(row, "program"));
    print_best(json, spec);
    print_flatness(json);
    print_class(json, spec);
    print_line("model hash", reply_text(json, "model_sha256"));
    print_parameters(spec);
    int count = cJSON_GetArraySize(epochs);
    reply_i64(row, "epoch", &epoch);
    if (count > 0)
        print_epochs(cli, epochs, epoch > count ? epoch : count);
    const cJSON *test = cJSON_GetObjectItemCaseSensitive(json, "test");
    print_groups(cli, test, "domain", "domains");
    print_groups(cli, test, "class", "classes");
    print_database(json, job, count > 0);
    return 0;
}

static int call_show(struct cli *cli, int64_t epochs_from, struct message *ret, struct errbuf *why)
{
    cJSON *request;

    int rc = command_job_request(cli, &request, why);
    if (rc != 0)
        return rc;
    cJSON_AddNumberToObject(request, "epochs_from", (double)epochs_from);
    return cli->args->json ? pages_call(cli, &epoch_pages, request, ret, why)
                           : connection_call(cli, MSG_JOB_SHOW, request, ret, why);
}

int cmd_show(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    int64_t epoch = 0;

    int rc = call_show(cli, 0, &reply, why);
    if (rc != 0)
        return rc;
    /* A page holds the first ROWS_MAX epochs; people want the last ones. */
    reply_i64(cJSON_GetObjectItemCaseSensitive(reply.json, "job"), "epoch", &epoch);
    if (epoch > ROWS_MAX && !cli->args->json) {
        message_done(&reply);
        rc = call_show(cli, epoch - EPOCHS_SHOWN, &reply, why);
        if (rc != 0)
            return rc;
    }
    if (cli->args->json)
        print_reply(&reply, NULL);
    else
        rc = print_job(cli, reply.json, why);
    message_done(&reply);
    return rc;
}
