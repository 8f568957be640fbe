/* Asks the server twice a second, with a short deadline, and gives up only after a minute of
 * silence. The job itself needs no watch. */
#include "proto/cli/watch.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "common/bounds.h"
#include "common/clock.h"
#include "common/text.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/live.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"

#define POLL_MS 500
#define POLL_DEADLINE_MS 3000
#define SILENCE_MAX_MS 60000
#define LINE_EVERY_MS 60000 /* between lines of progress when the line cannot be redrawn */
#define BAR_CELLS 20
#define LINE_BYTES 1024

struct watch {
    struct cli *cli;
    int64_t job, epochs_seen;
    bool notices;        /* of a measurement: see watch.h */
    int64_t answered_ms; /* monotonic time of the last answer */
    bool silent;         /* a notice about silence was shown */
    struct live line;    /* of progress */
    int64_t line_ms;     /* monotonic time of the last line; of the start at first */
    bool line_shown;     /* there was a line */
    char note[256];      /* what the job waits for, as of the last answer */
    bool note_shown;
};

static bool quiet(const struct watch *w)
{
    return w->cli->args->json && !w->notices;
}

static void say(const struct watch *w, const char *text)
{
    if (w->notices)
        print_note("%s", text);
    else
        print_text("%s", text);
}

/* Adds a part after two blanks if the line stays within columns; *io_width grows. */
__attribute__((format(printf, 4, 5))) static void add_part(char line[LINE_BYTES], int columns,
                                                           int *io_width, const char *fmt, ...)
{
    char part[LINE_BYTES];
    int width = 2;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(part, sizeof(part), fmt, ap);
    va_end(ap);
    for (const char *p = part; *p; p++)
        width += ((unsigned char)*p & 0xc0) != 0x80;
    size_t used = strlen(line);
    if (*io_width + width > columns || used + strlen(part) + 3 > LINE_BYTES)
        return;
    snprintf(line + used, LINE_BYTES - used, "%s%s", used ? "  " : "", part);
    *io_width += width;
}

/* Progress of the running epoch: every epoch has the same number of steps. */
static double epoch_share(int64_t epoch, int64_t epochs, int64_t step, int64_t steps)
{
    int64_t each = epochs > 0 ? steps / epochs : 0;

    return each > 0 ? (double)(step - epoch * each) / (double)each : 0;
}

const char *watch_doing(const cJSON *row, char text[WATCH_DOING_BYTES])
{
    const char *state = reply_text(row, "state"), *phase = reply_text(row, "phase");
    int64_t turn, turns;

    if (strcmp(state, "running") != 0)
        return state;
    if (reply_i64(row, "turn", &turn) && reply_i64(row, "turns", &turns)) {
        snprintf(text, WATCH_DOING_BYTES, "measuring flatness, round %lld of at most %lld",
                 (long long)turn, (long long)turns);
        return text;
    }
    return strcmp(phase, "sweep") == 0        ? "scoring"
           : strcmp(phase, "validation") == 0 ? "validating"
           : strcmp(phase, "test") == 0       ? "testing"
                                              : "";
}

/* What is known of the progress, as far as it fits into columns. */
static void compose_line(const cJSON *row, int columns, bool with_bar, char line[LINE_BYTES])
{
    int64_t epoch = 0, epochs = 0, step = 0, steps = 0;
    char bar[DRAW_LINE_BYTES], text[DRAW_TEXT_BYTES], number[TEXT_F64_BYTES],
        what[WATCH_DOING_BYTES];
    int width = 0;
    double value;

    line[0] = '\0';

    reply_i64(row, "epoch", &epoch);
    reply_i64(row, "epochs", &epochs);
    reply_i64(row, "step", &step);
    reply_i64(row, "steps", &steps);
    double share = epoch_share(epoch, epochs, step, steps);
    add_part(line, columns, &width, "epoch %lld/%lld",
             (long long)(epoch < epochs ? epoch + 1 : epochs), (long long)epochs);
    if (with_bar && steps > 0)
        add_part(line, columns, &width, "%s", draw_progress(share, BAR_CELLS, bar));
    const char *doing = watch_doing(row, what);
    if (*doing)
        add_part(line, columns, &width, "%s", doing);
    if (reply_f64(row, "eta_s", &value) && value > 0 && value < 1e12)
        add_part(line, columns, &width, "ETA %s", draw_duration(1000 * (int64_t)ceil(value), text));
    if (reply_f64(row, "images_per_s", &value) && value > 0)
        add_part(line, columns, &width, "%.0f images/s", value);
    if (reply_f64(row, "loss", &value))
        add_part(line, columns, &width, "loss %.4g", value);
    if (reply_f64(row, "accuracy", &value))
        add_part(line, columns, &width, "accuracy %s", text_of_share(value, number));
    if (steps > 0)
        add_part(line, columns, &width, "step %lld/%lld", (long long)step, (long long)steps);
}

static void draw_line(struct watch *w, const cJSON *row)
{
    char line[LINE_BYTES];

    compose_line(row, w->cli->columns - 1, true, line);
    live_draw(w->cli, &w->line, line);
}

/* When the line cannot be redrawn: a line as soon as the speed is known or flatness is measured,
 * then one for each minute in which no epoch ended. The job's note says what it waits for. */
static void print_line_when_due(struct watch *w, const cJSON *row)
{
    int64_t now_ms = clock_mono_ms();
    char line[LINE_BYTES];
    double speed;
    int64_t turn;

    bool due = now_ms - w->line_ms >= LINE_EVERY_MS ||
               (!w->line_shown && ((reply_f64(row, "images_per_s", &speed) && speed > 0) ||
                                   reply_i64(row, "turn", &turn)));
    if (!due || *reply_text(row, "waiting") || strcmp(reply_text(row, "state"), "running") != 0)
        return;
    w->line_ms = now_ms;
    w->line_shown = true;
    compose_line(row, LINE_BYTES, false, line);
    say(w, line);
}

static void print_epoch(const struct watch *w, const cJSON *epoch, int64_t epochs)
{
    static const struct {
        const char *key, *name;
    } shares[] = {{"train_accuracy", "train"},
                  {"validation_accuracy", "validation"},
                  {"test_accuracy", "test"},
                  {"adv_accuracy", "adversarial"}};
    char text[DRAW_TEXT_BYTES], number[TEXT_F64_BYTES];
    double value;

    printf("epoch %lld/%lld", (long long)w->epochs_seen, (long long)epochs);
    if (reply_f64(epoch, "train_loss", &value))
        printf("  loss %.4f", value);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
        if (reply_f64(epoch, shares[i].key, &value))
            printf("  %s %s", shares[i].name, text_of_share(value, number));
    if (!reply_f64(epoch, "adv_accuracy", &value) &&
        reply_f64(epoch, "mean_gap", &value)) /* so it is for a job without a test set */
        printf("  mean gap %.4g", value);
    if (reply_f64(epoch, "share", &value))
        printf("  share %.3g", value);
    if (reply_f64(epoch, "seconds", &value) && value >= 0 && value < 1e12)
        printf("  %s", draw_duration((int64_t)(1000 * value), text));
    printf("\n");
}

/* Lines for the epochs that ended since the last answer. */
static void print_new_epochs(struct watch *w, const cJSON *json, const cJSON *row)
{
    const cJSON *epochs = cJSON_GetObjectItemCaseSensitive(json, "epochs"), *entry;
    int64_t total = 0, number;

    reply_i64(row, "epochs", &total);
    cJSON_ArrayForEach(entry, epochs)
    {
        if (!reply_i64(entry, "epoch", &number) || number < w->epochs_seen)
            continue;
        w->epochs_seen = number + 1;
        if (quiet(w) || w->notices)
            continue;
        live_erase(&w->line);
        print_epoch(w, entry, total);
        w->line_ms = clock_mono_ms();
        w->line_shown = true;
    }
}

/* Says once what a job waits for or why it is paused; a note in only one answer is passing and not
 * shown. */
static void print_row_note(struct watch *w, const cJSON *row)
{
    const char *waiting = reply_text(row, "waiting");
    const char *state = reply_text(row, "state");
    const char *note = *waiting ? waiting : reply_text(row, "reason");
    char line[LINE_BYTES];

    if (strncmp(note, w->note, sizeof(w->note) - 1) != 0) {
        snprintf(w->note, sizeof(w->note), "%s", note);
        w->note_shown = false;
        return;
    }
    if (!*note || w->note_shown || quiet(w))
        return;
    w->note_shown = true;
    live_erase(&w->line);
    snprintf(line, sizeof(line), "%s: %s", *waiting ? "waiting" : state, note);
    say(w, line);
}

/* The model of a job that keeps its best epoch is not that of the figures above. */
static void print_kept(const cJSON *json, const cJSON *row)
{
    const cJSON *best = cJSON_GetObjectItemCaseSensitive(json, "best");
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(json, "spec");
    int64_t epoch, epochs;
    char text[TEXT_F64_BYTES];
    double validation, test;

    if (strcmp(reply_text(spec, "keep"), "best") != 0 || !reply_i64(best, "epoch", &epoch) ||
        !reply_i64(row, "epochs", &epochs) || !reply_f64(best, "validation_accuracy", &validation))
        return;
    printf("its model is that of epoch %lld/%lld, the best validated: validation %s",
           (long long)epoch + 1, (long long)epochs, text_of_share(validation, text));
    if (reply_f64(best, "test_accuracy", &test))
        printf(", test %s", text_of_share(test, text));
    printf("\n");
}

/* How an ended job ended: 0 or -ECANCELED with the sentence. */
static int finish(struct watch *w, const cJSON *json, const cJSON *row, struct errbuf *why)
{
    const char *state = reply_text(row, "state"), *reason = reply_text(row, "reason");
    const char *database = reply_text(json, "difficulty_db");
    int64_t started = 0, finished = 0;
    char text[DRAW_TEXT_BYTES], number[TEXT_F64_BYTES];
    double accuracy;

    live_erase(&w->line);
    if (quiet(w))
        print_json(row);
    if (strcmp(state, "done") != 0)
        return err_set(why, -ECANCELED, "job %lld %s%s%s%s", (long long)w->job,
                       strcmp(state, "cancelled") == 0 ? "was " : "", state, *reason ? ": " : "",
                       reason);
    if (quiet(w) || w->notices)
        return 0;
    printf("job %lld is done", (long long)w->job);
    if (reply_f64(row, "accuracy", &accuracy))
        printf(": test accuracy %s", text_of_share(accuracy, number));
    if (reply_i64(row, "started_unix_ms", &started) &&
        reply_i64(row, "finished_unix_ms", &finished))
        printf(" after %s", draw_duration(finished - started, text));
    printf("\n");
    print_kept(json, row);
    if (*database)
        print_text("difficulty database: %s (steppe top %lld shows the hardest samples)", database,
                   (long long)w->job);
    return 0;
}

/* No answer came, or the server said that it is stopping: 0 to ask again. */
static int wait_silent(struct watch *w, struct errbuf *why)
{
    if (clock_mono_ms() - w->answered_ms > SILENCE_MAX_MS)
        return err_set(why, -ETIMEDOUT,
                       "no answer from %s for a minute; job %lld goes on as soon as the server is "
                       "back, steppe watch %lld follows it",
                       w->cli->args->server, (long long)w->job, (long long)w->job);
    if (!w->silent) {
        live_erase(&w->line);
        fflush(stdout);
        fprintf(stderr, "steppe: the server does not answer, trying for a minute\n");
    }
    w->silent = true;
    return 0;
}

static int take_answer(struct watch *w, const cJSON *json, bool *ret_ended, struct errbuf *why)
{
    const cJSON *row;

    int rc = reply_object(json, "job", &row, why);
    if (rc != 0)
        return rc;
    if (w->silent) {
        live_erase(&w->line);
        fprintf(stderr, "steppe: the server is back\n");
    }
    w->silent = false;
    w->answered_ms = clock_mono_ms();
    print_new_epochs(w, json, row);
    const char *state = reply_text(row, "state");
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "more")))
        return 0; /* epochs of a long job that are still to be read */
    *ret_ended = strcmp(state, "done") == 0 || strcmp(state, "failed") == 0 ||
                 strcmp(state, "cancelled") == 0;
    if (*ret_ended)
        return finish(w, json, row, why);
    print_row_note(w, row);
    if (quiet(w))
        return 0;
    if (w->cli->terminal && !w->cli->args->json)
        draw_line(w, row);
    else
        print_line_when_due(w, row);
    return 0;
}

/* Asks once and acts on the answer. */
static int poll_job(struct watch *w, bool *ret_ended, struct errbuf *why)
{
    enum error_code code = ERR_INTERNAL;
    struct message reply;
    cJSON *request = cJSON_CreateObject();

    cJSON_AddNumberToObject(request, "job", (double)w->job);
    cJSON_AddNumberToObject(request, "epochs_from", (double)w->epochs_seen);
    int rc = connection_call_tensors(w->cli, MSG_JOB_SHOW, request, NULL, 0, POLL_DEADLINE_MS,
                                     &reply, &code, why);
    if (rc == -ETIMEDOUT || (rc == -EREMOTEIO && (code == ERR_UNAVAILABLE || code == ERR_TIMEOUT)))
        return wait_silent(w, why);
    if (rc != 0)
        return rc;
    rc = take_answer(w, reply.json, ret_ended, why);
    message_done(&reply);
    return rc;
}

static int watch(struct cli *cli, int64_t job, bool notices, struct errbuf *why)
{
    struct watch w = {.cli = cli, .job = job, .notices = notices, .answered_ms = clock_mono_ms()};
    w.line_ms = w.answered_ms;
    bool ended = false;
    int rc = 0;

    while (rc == 0 && !ended) {
        rc = poll_job(&w, &ended, why);
        if (fflush(stdout) != 0 && rc == 0)
            rc = err_set(why, -EIO, "%s", ""); /* main says why; the job goes on */
        if (rc == 0 && !ended)
            rc = command_sleep(cli, POLL_MS);
    }
    if (w.line.width > 0)
        printf("\n");
    if (rc == -EINTR)
        err_set(why, rc, "the watch ends, but job %lld goes on; steppe watch %lld follows it again",
                (long long)job, (long long)job);
    return rc;
}

int watch_job(struct cli *cli, int64_t job, struct errbuf *why)
{
    return watch(cli, job, false, why);
}

int watch_measurement(struct cli *cli, int64_t job, struct errbuf *why)
{
    return watch(cli, job, true, why);
}

int cmd_watch(struct cli *cli, struct errbuf *why)
{
    int64_t job;
    int rc = command_job(cli, &job, why);

    return rc != 0 ? rc : watch_job(cli, job, why);
}
