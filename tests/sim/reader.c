/* The log line by line: rounds, commands and the end; reader_store.c has what is durable. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "tests/sim/reader_internal.h"

/* --- lines --- */

void reader_word(const char *line, const char *key, char *out, size_t bytes)
{
    char pattern[32];
    const char *at = line;
    size_t n;

    snprintf(pattern, sizeof(pattern), " %s=", key);
    out[0] = 0;
    at = strstr(line, pattern);
    if (!at)
        return;
    at += strlen(pattern);
    n = *at == '"' ? strcspn(++at, "\"") : strcspn(at, " ");
    if (n >= bytes)
        n = bytes - 1;
    memcpy(out, at, n);
    out[n] = 0;
}

int64_t reader_number(const char *line, const char *key)
{
    char text[32];

    reader_word(line, key, text, sizeof(text));
    return text[0] ? strtoll(text, NULL, 10) : -1;
}

void reader_violation(struct reader *r, const char *fmt, ...)
{
    char text[300];
    va_list ap;

    if (r->bad)
        return;
    r->bad = true;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    snprintf(r->why, r->why_bytes, "%s\n  at: %s", text, r->now);
}

struct job *reader_job(struct reader *r, const char *line)
{
    int64_t n = reader_number(line, "job");

    if (n >= 1 && n < JOBS)
        return &r->jobs[n];
    reader_violation(r, "the log names job %" PRId64, n);
    return &r->jobs[0];
}

/* --- rounds --- */

/* An old resume or cancel that the network repeats counts as a new one: of what was acknowledged in
 * between, nothing is certain. */
static void read_deliver(struct reader *r, const char *line)
{
    int64_t n = reader_number(line, "job");

    snprintf(r->delivered.text, sizeof(r->delivered.text), "%s", line);
    r->delivering = true;
    r->bad_results += strstr(line, " task.result ") && reader_number(line, "bad") == 1;
    if (n >= 1 && n < JOBS && (strstr(line, " job.resume ") || strstr(line, " job.cancel ")))
        r->jobs[n].commanded[0] = 0;
    reader_external_delivered(r, line);
}

static void read_delivered(struct reader *r, const char *line)
{
    (void)line;
    r->delivering = false;
}

static void open_round(struct job *j, int64_t step, int64_t phase)
{
    j->step = step;
    j->phase = phase;
    memset(j->applied, 0, sizeof(j->applied));
    j->applied_count = 0;
}

static void read_start(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);
    int64_t inc = reader_number(line, "inc"), step = reader_number(line, "step"), newest = -1;

    if (inc < j->durable.incarnation) /* it was made on a lane, and given up meanwhile */
        return;
    if (inc <= j->incarnation)
        reader_violation(r, "incarnation %" PRId64 " starts after %" PRId64, inc, j->incarnation);
    if (inc != j->durable.incarnation)
        reader_violation(r, "incarnation %" PRId64 " starts, durable is %" PRId64, inc,
                         j->durable.incarnation);
    for (int i = 0; i < j->checkpoint_count; i++)
        if (!j->checkpoints[i].gone && j->checkpoints[i].step > newest)
            newest = j->checkpoints[i].step;
    if (step < newest)
        reader_violation(r,
                         "a run starts at step %" PRId64 ", the newest checkpoint is at %" PRId64,
                         step, newest);
    j->incarnation = inc;
    j->touched = newest >= 0;
    j->begun[0] = 0;
    open_round(j, step, -1);
}

static bool same(const char *a, const char *b, const char *key)
{
    return reader_number(a, key) == reader_number(b, key);
}

static void read_apply(struct reader *r, const char *line)
{
    static const char *const keys[] = {"job", "inc", "step", "phase", "turn"};
    struct job *j = reader_job(r, line);
    char class[24];

    if (!r->delivering || !strstr(r->delivered.text, " task.result "))
        reader_violation(r, "a node is applied though no result came");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!same(line, r->delivered.text, keys[i]))
            reader_violation(r, "a node is applied by a result of another %s: %s", keys[i],
                             r->delivered.text);
    /* A result of what several workers combined applies all that is below. */
    if (reader_number(line, "lo") < reader_number(r->delivered.text, "lo") ||
        reader_number(line, "hi") > reader_number(r->delivered.text, "hi") ||
        reader_number(r->delivered.text, "to") > 0)
        reader_violation(r, "a node is applied by a result of others: %s", r->delivered.text);
    if (reader_number(r->delivered.text, "bad") == 1)
        reader_violation(r, "a broken result is applied");
    if (reader_number(line, "inc") != j->incarnation)
        reader_violation(r, "incarnation %" PRId64 " is at work", j->incarnation);
    snprintf(class, sizeof(class), "class-%" PRId64, reader_number(r->delivered.text, "class"));
    if (!j->class[0] && !j->begun[0])
        memcpy(j->begun, class, sizeof(class));
    if (!j->relaxed && strcmp(j->class[0] ? j->class : j->begun, class) != 0)
        reader_violation(r, "the job's class is %s", j->class[0] ? j->class : j->begun);
    j->touched = true;
    if (reader_number(line, "step") != j->step || reader_number(line, "phase") != j->phase)
        open_round(j, reader_number(line, "step"), reader_number(line, "phase"));
    for (int64_t s = reader_number(line, "lo"); s < reader_number(line, "hi") && s < SHARDS; s++) {
        if (j->applied[s])
            reader_violation(r, "shard %" PRId64 " is applied twice", s);
        j->applied[s] = true;
        j->applied_count++;
    }
}

static void read_closed(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);

    if (reader_number(line, "step") != j->step || reader_number(line, "phase") != j->phase ||
        reader_number(line, "inc") != j->incarnation)
        reader_violation(r, "a round closes that is not the open one");
    if (j->applied_count != reader_number(line, "shards"))
        reader_violation(r, "a round closes with %" PRId64 " shards", j->applied_count);
    open_round(j, -1, -1);
}

/* --- commands --- */

static void read_submitted(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);

    j->told = true;
    j->spec = (int)reader_number(line, "spec");
    reader_word(line, "arm", j->arm, sizeof(j->arm));
}

/* What was asked may have happened whether or not there was an answer: nothing is certain of the
 * state until the next one. */
static void read_ask(struct reader *r, const char *line)
{
    reader_asked(r, line);
    int64_t n = reader_number(line, "job");

    if (n < 1 || n >= JOBS)
        return;
    r->jobs[n].commanded[0] = 0;
    r->jobs[n].relaxed |= reader_number(line, "relaxed") == 1;
    r->jobs[n].unpinned |= reader_number(line, "unpinned") == 1;
}

static void read_ack(struct reader *r, const char *line)
{
    char verb[24], state[12];
    struct job *j;

    reader_acked(r, line);
    if (reader_number(line, "job") < 0)
        return;
    j = reader_job(r, line);
    reader_word(line, "verb", verb, sizeof(verb));
    reader_word(line, "state", state, sizeof(state));
    if (!j->known && strcmp(verb, "job.rm") != 0)
        reader_violation(r, "%s is acknowledged, and nothing was written", verb);
    if (strcmp(verb, "job.rm") == 0 && !j->removed)
        reader_violation(r, "job.rm is acknowledged, and the job is there");
    /* One that was paused otherwise waits for the disk, and goes on by itself. */
    if ((strcmp(state, "paused") == 0 && strcmp(verb, "job.pause") == 0) ||
        strcmp(state, "cancelled") == 0 || strcmp(state, "done") == 0 ||
        strcmp(state, "failed") == 0)
        memcpy(j->commanded, state, sizeof(j->commanded));
    if (strcmp(verb, "job.cancel") == 0 && strcmp(state, "cancelled") != 0 &&
        strcmp(state, "done") != 0)
        reader_violation(r, "job.cancel is acknowledged");
}

static bool newest_is_gone(const struct job *j)
{
    const struct checkpoint *newest = NULL;

    for (int i = 0; i < j->checkpoint_count; i++)
        if (!newest || j->checkpoints[i].step > newest->step)
            newest = &j->checkpoints[i];
    return newest && newest->gone;
}

static void read_denied(struct reader *r, const char *line)
{
    static const char *const fine[] = {"unavailable", "not_allowed", "gone", NULL};
    char code[24], verb[24];

    reader_word(line, "code", code, sizeof(code));
    reader_word(line, "verb", verb, sizeof(verb));
    if (reader_says_damaged(line))
        reader_check_damaged(r, line);
    else if (strcmp(verb, "model.get") == 0 && strstr(line, "is damaged") &&
             !newest_is_gone(reader_job(r, line)))
        reader_violation(r, "a model that is whole is called damaged");
    for (int i = 0; fine[i]; i++)
        if (strcmp(code, fine[i]) == 0)
            return;
    if (strcmp(verb, "dataset.commit") == 0 &&
        (strcmp(code, "not_found") == 0 || strcmp(code, "bad_field") == 0))
        return; /* the pieces of an upload are not promised to survive */
    if (strcmp(verb, "upload.rm") == 0 && strcmp(code, "not_found") == 0)
        return; /* it was taken over, or is lost */
    if (strcmp(verb, "job.submit") == 0 && strstr(line, "error=\"exclude: ") &&
        (strcmp(code, "not_found") == 0 || strcmp(code, "bad_field") == 0))
        return; /* likewise */
    if (strcmp(verb, "study.rm") == 0 && strcmp(code, "not_found") == 0 && reader_study_gone(r))
        return; /* the first answer was lost */
    if (strcmp(verb, "job.rm") == 0 && strcmp(code, "not_found") == 0 &&
        reader_job(r, line)->removed)
        return; /* the first answer was lost */
    reader_violation(r, "a command is refused");
}

/* --- the end --- */

const struct outcome *reader_expects(struct reader *r, const struct job *j)
{
    const int class = j->class[0] ? (int)(j->class[strlen("class-")] - '0') : 0;

    return j->relaxed || j->unpinned || j->spec < 0 ? NULL : r->expect(r->arg, j->spec, class);
}

static void read_final(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);
    char state[12], reason[64], flat[24];

    reader_word(line, "state", state, sizeof(state));
    reader_word(line, "flat", flat, sizeof(flat));
    reader_word(line, "model", j->model, sizeof(j->model));
    j->ended = true;
    j->finished_well = strcmp(state, "done") == 0;
    reader_word(line, "reason", reason, sizeof(reason));
    j->halved = strncmp(reason, "stopped by halving", 18) == 0;
    /* Three workers that were lost with the same node look as if it had killed them. */
    bool poison = strncmp(reason, "poison: ", 8) == 0 && r->losses >= 3;
    bool refused = strncmp(reason, "no worker can do it", 19) == 0 && r->refusals >= 3;
    /* As do three broken results of one round that no other worker can try. */
    bool broken = strstr(reason, " failed 3 times: ") && r->bad_results >= 3;
    if (!j->finished_well && !poison && !refused && !broken && strcmp(state, "cancelled") != 0)
        reader_violation(r, "a job has ended as %s", state);
    if (strcmp(state, "failed") == 0 && strstr(line, "is damaged"))
        reader_violation(r, "a job has failed for a damaged file");
    if (j->finished_well) {
        const struct outcome *o = reader_expects(r, j);
        if (o && strcmp(o->model, j->model) != 0)
            reader_violation(r, "the model of the undisturbed run is %s", o->model);
        if (o && strcmp(o->flat, flat) != 0)
            reader_violation(r, "the undisturbed run has measured another flatness");
        if (o && o->epochs != j->committed && !j->external)
            reader_violation(r, "%" PRId64 " epochs are committed, the undisturbed run has %d",
                             j->committed, o->epochs);
    }
}

static void read_final_epoch(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);
    const struct outcome *o = reader_expects(r, j);
    int64_t epoch = reader_number(line, "epoch");
    char scores[SHA256_HEX], measured[SHA256_HEX];

    reader_word(line, "scores", scores, sizeof(scores));
    reader_word(line, "measured", measured, sizeof(measured));
    j->final_epochs++;
    if (epoch >= 0 && epoch < EPOCHS)
        reader_word(line, "valid", j->valid[epoch], sizeof(j->valid[epoch]));
    if (j->finished_well && o && epoch < o->epochs && strcmp(o->measured[epoch], measured) != 0)
        reader_violation(r, "the undisturbed run has measured something else");
    /* A crash may have hidden that the epoch was folded. */
    if (j->finished_well && o && epoch < o->epochs && j->scores[epoch][0] &&
        strcmp(o->probs[epoch], j->probs[epoch]) != 0)
        reader_violation(r, "the probabilities of the undisturbed run are others");
    if (j->finished_well && o && (epoch >= o->epochs || strcmp(o->scores[epoch], scores) != 0))
        reader_violation(r, "the scores of the undisturbed run are others");
}

static void read_final_model(struct reader *r, const char *line)
{
    char model[SHA256_HEX];

    reader_word(line, "model", model, sizeof(model));
    if (strcmp(model, reader_job(r, line)->model) != 0)
        reader_violation(r, "the model that is handed out is not the job's");
}

static void read_loss(struct reader *r, const char *line)
{
    (void)line;
    r->losses++;
}

/* Those that are for good. */
static void read_refuses(struct reader *r, const char *line)
{
    char cause[16];

    reader_word(line, "cause", cause, sizeof(cause));
    r->refusals += strcmp(cause, "memory") == 0 || strcmp(cause, "unsupported") == 0;
}

static void read_no_start(struct reader *r, const char *line)
{
    const bool locked = reader_number(line, "locked") == 1 && r->locked;

    if (reader_number(line, "full") != 1 && !r->full && !locked)
        reader_violation(r, "the server does not start");
}

static void read_disk(struct reader *r, const char *line)
{
    r->full = reader_number(line, "on") == 1;
}

static void read_locked(struct reader *r, const char *line)
{
    r->locked = reader_number(line, "on") == 1;
}

static void read_violation(struct reader *r, const char *line)
{
    (void)line;
    reader_violation(r, "the simulation saw it");
}

static const struct reading table[] = {
    {"deliver", read_deliver},
    {"delivered", read_delivered},
    {"crash", read_delivered},
    {"start", read_start},
    {"apply", read_apply},
    {"closed", read_closed},
    {"submitted", read_submitted},
    {"ask", read_ask},
    {"ack", read_ack},
    {"denied", read_denied},
    {"final", read_final},
    {"final_epoch", read_final_epoch},
    {"final_model", read_final_model},
    {"worker_killed", read_loss},
    {"worker_stalled", read_loss},
    {"worker_left", read_loss},
    {"cut", read_loss},
    {"refuses", read_refuses},
    {"no_start", read_no_start},
    {"disk_full", read_disk},
    {"fault", read_disk},
    {"locked", read_locked},
    {"violation", read_violation},
    {"bad_reply", read_violation},
    {NULL, NULL},
};

static bool read_by(const struct reading *readings, struct reader *r, const char *event,
                    const char *line)
{
    size_t n = strcspn(event, " ");

    for (; readings->event; readings++)
        if (strlen(readings->event) == n && strncmp(readings->event, event, n) == 0) {
            readings->read(r, line);
            return true;
        }
    return false;
}

static void read_line(struct reader *r, const char *line)
{
    const char *event = strchr(line, ' ');

    r->now = line;
    if (event && !read_by(table, r, event + 1, line) &&
        !read_by(reader_store, r, event + 1, line) && !read_by(reader_data, r, event + 1, line) &&
        !read_by(reader_external, r, event + 1, line))
        read_by(reader_study, r, event + 1, line);
}

static bool next_line(const char **at, char line[LINE_BYTES])
{
    size_t n = strcspn(*at, "\n"), kept = n < LINE_BYTES ? n : LINE_BYTES - 1;

    if (!**at)
        return false;
    memcpy(line, *at, kept);
    line[kept] = 0;
    *at += n + ((*at)[n] == '\n');
    return true;
}

bool reader_check(const char *text, const struct outcome *(*expect)(void *arg, int spec, int class),
                  void *arg, char *why, size_t bytes)
{
    struct reader *r = xcalloc(1, sizeof(*r));
    char line[LINE_BYTES];
    bool all = true;

    r->expect = expect;
    r->arg = arg;
    r->why = why;
    r->why_bytes = bytes;
    while (!r->bad && next_line(&text, line))
        read_line(r, line);
    r->now = "the end";
    reader_study_end(r);
    reader_external_end(r);
    for (int i = 0; i < JOBS; i++)
        all = all && (!r->jobs[i].told || r->jobs[i].removed || r->jobs[i].ended);
    if (!all)
        reader_violation(r, "not all jobs have come to their end");
    bool good = !r->bad;
    free(r);
    return good;
}

bool reader_outcome(const char *text, struct outcome *ret)
{
    char line[LINE_BYTES];
    bool done = false;

    *ret = (struct outcome){.epochs = 0};
    while (next_line(&text, line)) {
        if (strstr(line, " final ") && strstr(line, " state=done "))
            done = true, reader_word(line, "model", ret->model, sizeof(ret->model)),
            reader_word(line, "flat", ret->flat, sizeof(ret->flat));
        if (strstr(line, " ordered job=") && reader_number(line, "epoch") < OUTCOME_EPOCHS)
            reader_word(line, "stream", ret->streams[reader_number(line, "epoch")], SHA256_HEX);
        if (strstr(line, " fold job=") && reader_number(line, "epoch") < OUTCOME_EPOCHS)
            reader_word(line, "probs", ret->probs[reader_number(line, "epoch")], PROBS_BYTES);
        if (strstr(line, " final_epoch ") && ret->epochs < OUTCOME_EPOCHS) {
            reader_word(line, "measured", ret->measured[ret->epochs], SHA256_HEX);
            reader_word(line, "scores", ret->scores[ret->epochs++], SHA256_HEX);
        }
    }
    return done && ret->epochs > 0;
}
