#include "tests/sim/reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

#define JOBS 16
#define LINE_BYTES 600
#define SHARDS 256
#define CHECKPOINTS 512
#define EPOCHS 64

struct line {
    const char *event; /* within text */
    char text[LINE_BYTES];
};

/* What was last known to be durable of a job, and what was written since and may be. */
struct row {
    char state[12];
    int64_t incarnation;
};

struct checkpoint {
    int64_t step, epoch;
    bool gone; /* damaged, or may be */
};

struct job {
    bool known, removed, removing, seen; /* seen: in the recovery that is being read */
    bool
        told; /* to the person; a submit that comes again when its job is removed makes a new one */
    int spec;
    int64_t incarnation; /* of the newest run */
    char class[24];
    struct row durable;
    struct row written[32]; /* since; the next recovery may find any */
    int written_count;
    char commanded[12]; /* state that an acknowledged command left; "": none */
    /* the open round */
    int64_t step, phase;
    bool applied[SHARDS];
    int64_t applied_count;
    /* epochs and checkpoints */
    int64_t committed; /* epochs, in order from 0 */
    char scores[EPOCHS][SHA256_HEX];
    struct checkpoint checkpoints[CHECKPOINTS];
    int checkpoint_count;
    bool ended; /* "final" was read */
    bool finished_well;
    char model[SHA256_HEX];
};

struct reader {
    struct job jobs[JOBS];
    struct line delivered; /* the message that the server is at */
    bool delivering;
    bool full; /* the disk takes nothing */
    const struct outcome *(*expect)(void *arg, int spec, int class);
    void *arg;
    const char *now;
    char *why;
    size_t why_bytes;
    bool bad;
};

/* --- lines --- */

/* The value of ` key=` up to a blank, or within quotes; "" when there is none. */
static void word(const char *line, const char *key, char *out, size_t bytes)
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

static int64_t number(const char *line, const char *key)
{
    char text[32];

    word(line, key, text, sizeof(text));
    return text[0] ? strtoll(text, NULL, 10) : -1;
}

__attribute__((format(printf, 2, 3))) static void violation(struct reader *r, const char *fmt, ...)
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

static struct job *job_of(struct reader *r, const char *line)
{
    int64_t n = number(line, "job");

    if (n >= 1 && n < JOBS)
        return &r->jobs[n];
    violation(r, "the log names job %" PRId64, n);
    return &r->jobs[0];
}

/* --- rounds --- */

static void read_deliver(struct reader *r, const char *line)
{
    snprintf(r->delivered.text, sizeof(r->delivered.text), "%s", line);
    r->delivering = true;
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
    struct job *j = job_of(r, line);
    int64_t inc = number(line, "inc"), step = number(line, "step"), newest = 0;

    if (inc <= j->incarnation)
        violation(r, "incarnation %" PRId64 " starts after %" PRId64, inc, j->incarnation);
    if (inc != j->durable.incarnation)
        violation(r, "incarnation %" PRId64 " starts, durable is %" PRId64, inc,
                  j->durable.incarnation);
    for (int i = 0; i < j->checkpoint_count; i++)
        if (!j->checkpoints[i].gone && j->checkpoints[i].step > newest)
            newest = j->checkpoints[i].step;
    if (step < newest)
        violation(r, "a run starts at step %" PRId64 ", the newest checkpoint is at %" PRId64, step,
                  newest);
    j->incarnation = inc;
    open_round(j, step, -1);
}

static bool same(const char *a, const char *b, const char *key)
{
    return number(a, key) == number(b, key);
}

static void read_apply(struct reader *r, const char *line)
{
    static const char *const keys[] = {"job", "inc", "step", "phase", "lo", "hi"};
    struct job *j = job_of(r, line);
    char class[24];

    if (!r->delivering || !strstr(r->delivered.text, " task.result "))
        violation(r, "a node is applied though no result came");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!same(line, r->delivered.text, keys[i]))
            violation(r, "a node is applied by a result of another %s: %s", keys[i],
                      r->delivered.text);
    if (number(r->delivered.text, "bad") == 1)
        violation(r, "a broken result is applied");
    if (number(line, "inc") != j->incarnation)
        violation(r, "incarnation %" PRId64 " is at work", j->incarnation);
    snprintf(class, sizeof(class), "class-%" PRId64, number(r->delivered.text, "class"));
    if (j->class[0] && strcmp(j->class, class) != 0)
        violation(r, "the job's class is %s", j->class);
    if (number(line, "step") != j->step || number(line, "phase") != j->phase)
        open_round(j, number(line, "step"), number(line, "phase"));
    for (int64_t s = number(line, "lo"); s < number(line, "hi") && s < SHARDS; s++) {
        if (j->applied[s])
            violation(r, "shard %" PRId64 " is applied twice", s);
        j->applied[s] = true;
        j->applied_count++;
    }
}

static void read_closed(struct reader *r, const char *line)
{
    struct job *j = job_of(r, line);

    if (number(line, "step") != j->step || number(line, "phase") != j->phase ||
        number(line, "inc") != j->incarnation)
        violation(r, "a round closes that is not the open one");
    if (j->applied_count != number(line, "shards"))
        violation(r, "a round closes with %" PRId64 " shards", j->applied_count);
    open_round(j, -1, -1);
}

/* --- what is durable --- */

static void write_row(struct reader *r, struct job *j, const char *line)
{
    struct row *row = &j->written[j->written_count++];

    if (j->written_count > 31) {
        violation(r, "more is written than the reader can keep");
        j->written_count = 0;
    }
    word(line, "state", row->state, sizeof(row->state));
    row->incarnation = number(line, "inc");
}

static void read_writing(struct reader *r, const char *line)
{
    if (number(line, "job") > 0)
        write_row(r, job_of(r, line), line);
}

static void read_row(struct reader *r, const char *line)
{
    struct job *j;
    char class[24];

    if (number(line, "rc") != 0) /* 0 for the number: the job was not inserted */
        return;
    j = job_of(r, line);
    if (number(line, "inc") < j->durable.incarnation)
        violation(r, "the incarnation falls from %" PRId64, j->durable.incarnation);
    j->known = true;
    word(line, "state", j->durable.state, sizeof(j->durable.state));
    j->durable.incarnation = number(line, "inc");
    j->written_count = 0;
    word(line, "class", class, sizeof(class));
    if (j->class[0] && strcmp(class, j->class) != 0)
        violation(r, "the numerics class changes from %s", j->class);
    memcpy(j->class, class, sizeof(class));
}

static void read_recovering(struct reader *r, const char *line)
{
    (void)line;
    for (int i = 0; i < JOBS; i++)
        r->jobs[i].seen = false;
}

static void read_recovered(struct reader *r, const char *line)
{
    struct job *j = job_of(r, line);
    char state[12], class[24];
    int64_t inc = number(line, "inc");
    bool found;

    word(line, "state", state, sizeof(state));
    j->seen = true;
    if (j->removed)
        violation(r, "a removed job is back");
    found = !j->known || (strcmp(state, j->durable.state) == 0 && inc == j->durable.incarnation);
    for (int i = 0; i < j->written_count; i++)
        found =
            found || (strcmp(state, j->written[i].state) == 0 && inc == j->written[i].incarnation);
    if (!found)
        violation(r, "a job is recovered that was %s with incarnation %" PRId64, j->durable.state,
                  j->durable.incarnation);
    if (j->commanded[0] && strcmp(state, j->commanded) != 0)
        violation(r, "a job is recovered whose acknowledged state is %s", j->commanded);
    word(line, "class", class, sizeof(class));
    if (j->class[0] && strcmp(j->class, class) != 0)
        violation(r, "the numerics class %s is lost", j->class);
    j->known = true;
    j->removing = false; /* it did not happen */
    snprintf(j->durable.state, sizeof(j->durable.state), "%s", state);
    j->durable.incarnation = inc;
    memcpy(j->class, class, sizeof(class));
    j->written_count = 0;
}

static void read_recovery(struct reader *r, const char *line)
{
    if (number(line, "rc") != 0 && !r->full)
        violation(r, "the jobs cannot be read");
    for (int i = 0; i < JOBS && number(line, "rc") == 0; i++) {
        struct job *j = &r->jobs[i];
        if (j->known && !j->seen && !j->removed && !j->removing)
            violation(r, "job %d is lost", i);
        if (j->known && !j->seen)
            j->removed = true;
    }
}

static void read_removing(struct reader *r, const char *line)
{
    job_of(r, line)->removing = true;
}

static void read_removed(struct reader *r, const char *line)
{
    if (number(line, "rc") == 0)
        job_of(r, line)->removed = true;
}

/* --- epochs and checkpoints --- */

static void read_fold(struct reader *r, const char *line)
{
    struct job *j = job_of(r, line);
    int64_t epoch = number(line, "epoch");
    char scores[SHA256_HEX];

    if (number(line, "rc") != 0)
        return;
    word(line, "scores", scores, sizeof(scores));
    if (epoch > j->committed)
        violation(r, "epoch %" PRId64 " is committed before %" PRId64, epoch, j->committed);
    if (epoch >= EPOCHS)
        return;
    if (j->scores[epoch][0] && strcmp(scores, j->scores[epoch]) != 0)
        violation(r, "the scores of epoch %" PRId64 " were %s", epoch, j->scores[epoch]);
    memcpy(j->scores[epoch], scores, sizeof(scores));
    if (epoch + 1 > j->committed)
        j->committed = epoch + 1;
}

static void read_drop(struct reader *r, const char *line)
{
    struct job *j = job_of(r, line);

    if (number(line, "first") < j->committed)
        j->committed = number(line, "first");
}

static void read_checkpoint(struct reader *r, const char *line)
{
    struct job *j = job_of(r, line);
    int64_t epoch = number(line, "epoch"), step = number(line, "step");
    char scores[SHA256_HEX];
    struct checkpoint *c = NULL;

    if (number(line, "rc") != 0)
        return;
    word(line, "scores", scores, sizeof(scores));
    if (epoch > j->committed)
        violation(r, "a checkpoint counts on epoch %" PRId64 ", which is not committed", epoch - 1);
    else if (epoch > 0 && strcmp(scores, j->scores[epoch - 1]) != 0)
        violation(r, "a checkpoint counts on other scores than the epoch's");
    for (int i = 0; i < j->checkpoint_count; i++)
        if (j->checkpoints[i].step == step)
            c = &j->checkpoints[i];
    if (!c && j->checkpoint_count < CHECKPOINTS)
        c = &j->checkpoints[j->checkpoint_count++];
    if (c)
        *c = (struct checkpoint){step, epoch, false};
}

/* A damaged file is found out by its hash. */
static void read_damage(struct reader *r, const char *line)
{
    for (int i = 0; i < JOBS; i++)
        for (int k = 0; k < r->jobs[i].checkpoint_count; k++)
            if (r->jobs[i].checkpoints[k].step == number(line, "step"))
                r->jobs[i].checkpoints[k].gone = true;
}

/* --- commands --- */

static void read_submitted(struct reader *r, const char *line)
{
    struct job *j = job_of(r, line);

    j->told = true;
    j->spec = (int)number(line, "spec");
}

/* What was asked may have happened whether or not there was an answer: nothing is certain of the
 * state until the next one. */
static void read_ask(struct reader *r, const char *line)
{
    int64_t n = number(line, "job");

    if (n >= 1 && n < JOBS)
        r->jobs[n].commanded[0] = 0;
}

static void read_ack(struct reader *r, const char *line)
{
    char verb[24], state[12];
    struct job *j;

    if (number(line, "job") < 0)
        return;
    j = job_of(r, line);
    word(line, "verb", verb, sizeof(verb));
    word(line, "state", state, sizeof(state));
    if (!j->known && strcmp(verb, "job.rm") != 0)
        violation(r, "%s is acknowledged, and nothing was written", verb);
    if (strcmp(verb, "job.rm") == 0 && !j->removed)
        violation(r, "job.rm is acknowledged, and the job is there");
    if (strcmp(state, "paused") == 0 || strcmp(state, "cancelled") == 0 ||
        strcmp(state, "done") == 0 || strcmp(state, "failed") == 0)
        memcpy(j->commanded, state, sizeof(j->commanded));
    if (strcmp(verb, "job.cancel") == 0 && strcmp(state, "cancelled") != 0 &&
        strcmp(state, "done") != 0)
        violation(r, "job.cancel is acknowledged");
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

    word(line, "code", code, sizeof(code));
    word(line, "verb", verb, sizeof(verb));
    for (int i = 0; fine[i]; i++)
        if (strcmp(code, fine[i]) == 0)
            return;
    if (strcmp(verb, "dataset.commit") == 0 &&
        (strcmp(code, "not_found") == 0 || strcmp(code, "bad_field") == 0))
        return; /* the pieces of an upload are not promised to survive */
    if (strcmp(verb, "model.get") == 0 && strcmp(code, "internal") == 0 &&
        newest_is_gone(job_of(r, line)))
        return; /* what is damaged is not handed out */
    if (strcmp(verb, "job.rm") == 0 && strcmp(code, "not_found") == 0 && job_of(r, line)->removed)
        return; /* the first answer was lost */
    violation(r, "a command is refused");
}

/* --- the end --- */

static int class_of(const struct job *j)
{
    return j->class[0] ? (int)(j->class[strlen("class-")] - '0') : 0;
}

static void read_final(struct reader *r, const char *line)
{
    struct job *j = job_of(r, line);
    char state[12];

    word(line, "state", state, sizeof(state));
    word(line, "model", j->model, sizeof(j->model));
    j->ended = true;
    j->finished_well = strcmp(state, "done") == 0;
    if (!j->finished_well && strcmp(state, "cancelled") != 0)
        violation(r, "a job has ended as %s", state);
    if (j->finished_well) {
        const struct outcome *o = r->expect(r->arg, j->spec, class_of(j));
        if (o && strcmp(o->model, j->model) != 0)
            violation(r, "the model of the undisturbed run is %s", o->model);
        if (o && o->epochs != j->committed)
            violation(r, "%" PRId64 " epochs are committed, the undisturbed run has %d",
                      j->committed, o->epochs);
    }
}

static void read_final_epoch(struct reader *r, const char *line)
{
    struct job *j = job_of(r, line);
    const struct outcome *o = r->expect(r->arg, j->spec, class_of(j));
    int64_t epoch = number(line, "epoch");
    char scores[SHA256_HEX];

    word(line, "scores", scores, sizeof(scores));
    if (j->finished_well && o && (epoch >= o->epochs || strcmp(o->scores[epoch], scores) != 0))
        violation(r, "the scores of the undisturbed run are others");
}

static void read_final_model(struct reader *r, const char *line)
{
    char model[SHA256_HEX];

    word(line, "model", model, sizeof(model));
    if (strcmp(model, job_of(r, line)->model) != 0)
        violation(r, "the model that is handed out is not the job's");
}

static void read_no_start(struct reader *r, const char *line)
{
    if (number(line, "full") != 1)
        violation(r, "the server does not start");
}

static void read_disk(struct reader *r, const char *line)
{
    r->full = number(line, "on") == 1;
}

static void read_violation(struct reader *r, const char *line)
{
    (void)line;
    violation(r, "the simulation saw it");
}

static const struct {
    const char *event;
    void (*read)(struct reader *r, const char *line);
} table[] = {
    {"deliver", read_deliver},
    {"delivered", read_delivered},
    {"crash", read_delivered},
    {"start", read_start},
    {"apply", read_apply},
    {"closed", read_closed},
    {"writing", read_writing},
    {"row", read_row},
    {"recovering", read_recovering},
    {"recovered", read_recovered},
    {"recovery", read_recovery},
    {"removing", read_removing},
    {"removed", read_removed},
    {"fold", read_fold},
    {"drop", read_drop},
    {"checkpoint", read_checkpoint},
    {"damaged", read_damage},
    {"submitted", read_submitted},
    {"ask", read_ask},
    {"ack", read_ack},
    {"denied", read_denied},
    {"final", read_final},
    {"final_epoch", read_final_epoch},
    {"final_model", read_final_model},
    {"no_start", read_no_start},
    {"disk_full", read_disk},
    {"violation", read_violation},
    {"bad_reply", read_violation},
};

static void read_line(struct reader *r, const char *line)
{
    const char *event = strchr(line, ' ');
    size_t n;

    if (!event++)
        return;
    n = strcspn(event, " ");
    r->now = line;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strlen(table[i].event) == n && strncmp(table[i].event, event, n) == 0)
            table[i].read(r, line);
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
    for (int i = 0; i < JOBS; i++)
        all = all && (!r->jobs[i].told || r->jobs[i].removed || r->jobs[i].ended);
    if (!all)
        violation(r, "not all jobs have come to their end");
    bool good = !r->bad;
    free(r);
    return good;
}

bool reader_outcome(const char *text, struct outcome *ret)
{
    char line[LINE_BYTES];

    *ret = (struct outcome){.epochs = 0};
    while (next_line(&text, line)) {
        if (strstr(line, " final ") && strstr(line, " state=done "))
            word(line, "model", ret->model, sizeof(ret->model));
        if (strstr(line, " final_epoch ") && ret->epochs < OUTCOME_EPOCHS)
            word(line, "scores", ret->scores[ret->epochs++], SHA256_HEX);
    }
    return ret->model[0] && ret->epochs > 0;
}
