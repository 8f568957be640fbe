/* What the log says of rows, epochs and checkpoints. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/reader_internal.h"

/* --- what is durable --- */

static void write_row(struct reader *r, struct job *j, const char *line)
{
    struct row *row = &j->written[j->written_count++];

    if (j->written_count >= WRITTEN) {
        reader_violation(r, "more is written than the reader can keep");
        j->written_count = 0;
    }
    reader_word(line, "state", row->state, sizeof(row->state));
    reader_word(line, "class", row->class, sizeof(row->class));
    reader_word(line, "waits", row->waits, sizeof(row->waits));
    row->incarnation = reader_number(line, "inc");
}

/* Does the line say what this row has? */
static bool is_row(const struct row *row, const char *line)
{
    char state[12], waits[12];

    reader_word(line, "state", state, sizeof(state));
    reader_word(line, "waits", waits, sizeof(waits));
    return strcmp(state, row->state) == 0 && strcmp(waits, row->waits) == 0 &&
           reader_number(line, "inc") == row->incarnation;
}

static void read_writing(struct reader *r, const char *line)
{
    if (reader_number(line, "job") > 0)
        write_row(r, reader_job(r, line), line);
}

static void read_row(struct reader *r, const char *line)
{
    struct job *j;
    char class[24];

    if (reader_number(line, "rc") != 0) /* 0 for the number: the job was not inserted */
        return;
    j = reader_job(r, line);
    if (reader_number(line, "inc") < j->durable.incarnation)
        reader_violation(r, "the incarnation falls from %" PRId64, j->durable.incarnation);
    j->known = true;
    reader_word(line, "state", j->durable.state, sizeof(j->durable.state));
    reader_word(line, "waits", j->durable.waits, sizeof(j->durable.waits));
    if (j->durable.waits[0] && strcmp(j->durable.state, "paused") != 0)
        reader_violation(r, "a job that is not paused waits for %s", j->durable.waits);
    j->durable.incarnation = reader_number(line, "inc");
    j->written_count = 0;
    reader_word(line, "class", class, sizeof(class));
    /* One in which nothing was computed may be given back. */
    if (j->class[0] && strcmp(class, j->class) != 0 && (class[0] || j->touched) && !j->relaxed &&
        !j->unpinned)
        reader_violation(r, "the numerics class changes from %s", j->class);
    /* Nothing is left of what was computed in it. */
    if (j->class[0] && !class[0] && !j->touched)
        memset(j->scores, 0, sizeof(j->scores));
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
    struct job *j = reader_job(r, line);
    char state[12], class[24];
    int64_t inc = reader_number(line, "inc");
    bool found;

    reader_word(line, "state", state, sizeof(state));
    j->seen = true;
    if (j->removed)
        reader_violation(r, "a removed job is back");
    found = !j->known || is_row(&j->durable, line);
    for (int i = 0; i < j->written_count; i++)
        found = found || is_row(&j->written[i], line);
    if (!found)
        reader_violation(
            r, "a job is recovered that was %s with incarnation %" PRId64 " and waited for \"%s\"",
            j->durable.state, j->durable.incarnation, j->durable.waits);
    if (j->commanded[0] && strcmp(state, j->commanded) != 0)
        reader_violation(r, "a job is recovered whose acknowledged state is %s", j->commanded);
    reader_word(line, "class", class, sizeof(class));
    found = !j->class[0] || strcmp(j->class, class) == 0;
    for (int i = 0; i < j->written_count; i++)
        found = found || strcmp(j->written[i].class, class) == 0;
    if (!found && !j->relaxed && !j->unpinned)
        reader_violation(r, "the numerics class %s is lost", j->class);
    reader_external_recovered(j);
    j->known = true;
    j->removing = false; /* it did not happen */
    snprintf(j->durable.state, sizeof(j->durable.state), "%s", state);
    reader_word(line, "waits", j->durable.waits, sizeof(j->durable.waits));
    j->durable.incarnation = inc;
    memcpy(j->class, class, sizeof(class));
    j->written_count = 0;
}

static void read_recovery(struct reader *r, const char *line)
{
    if (reader_number(line, "rc") != 0 && !r->full && !r->locked)
        reader_violation(r, "the jobs cannot be read");
    for (int i = 0; i < JOBS && reader_number(line, "rc") == 0; i++) {
        struct job *j = &r->jobs[i];
        if (j->known && !j->seen && !j->removed && !j->removing)
            reader_violation(r, "job %d is lost", i);
        if (j->known && !j->seen)
            j->removed = true;
    }
}

static void read_removing(struct reader *r, const char *line)
{
    reader_job(r, line)->removing = true;
}

static void read_removed(struct reader *r, const char *line)
{
    if (reader_number(line, "rc") == 0)
        reader_job(r, line)->removed = true;
}

/* --- epochs and checkpoints --- */

static void read_fold(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);
    int64_t epoch = reader_number(line, "epoch");
    char scores[SHA256_HEX], probs[PROBS_BYTES];

    if (reader_number(line, "rc") != 0)
        return;
    reader_word(line, "scores", scores, sizeof(scores));
    reader_word(line, "probs", probs, sizeof(probs));
    if (epoch > j->committed)
        reader_violation(r, "epoch %" PRId64 " is committed before %" PRId64, epoch, j->committed);
    if (epoch >= EPOCHS)
        return;
    if (j->scores[epoch][0] && strcmp(scores, j->scores[epoch]) != 0 && !j->relaxed && !j->unpinned)
        reader_violation(r, "the scores of epoch %" PRId64 " were %s", epoch, j->scores[epoch]);
    if (j->scores[epoch][0] && strcmp(scores, j->scores[epoch]) == 0 &&
        strcmp(probs, j->probs[epoch]) != 0)
        reader_violation(r, "the probabilities of epoch %" PRId64 " were %s", epoch,
                         j->probs[epoch]);
    memcpy(j->scores[epoch], scores, sizeof(scores));
    memcpy(j->probs[epoch], probs, sizeof(probs));
    if (epoch + 1 > j->committed)
        j->committed = epoch + 1;
}

static void read_drop(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);

    int64_t first = reader_number(line, "first");

    reader_external_drop(r, j, first);
    if (first < j->committed)
        j->committed = first;
    /* What a liar has forged has other scores. */
    for (int64_t e = first; r->lied && e < EPOCHS; e++)
        j->scores[e][0] = 0;
}

/* The one of a step, which may be new; NULL: they are too many. */
static struct checkpoint *find_checkpoint(struct job *j, int64_t step)
{
    for (int i = 0; i < j->checkpoint_count; i++)
        if (j->checkpoints[i].step == step)
            return &j->checkpoints[i];
    if (j->checkpoint_count == CHECKPOINTS)
        return NULL;
    j->checkpoints[j->checkpoint_count].step = step;
    return &j->checkpoints[j->checkpoint_count++];
}

/* Behind a new one the one before it is kept, damaged or not; what is older is not promised. */
static void trim_checkpoints(struct job *j, int64_t newest)
{
    int64_t before = -1;

    for (int i = 0; i < j->checkpoint_count; i++)
        if (j->checkpoints[i].step < newest && j->checkpoints[i].step > before)
            before = j->checkpoints[i].step;
    for (int i = 0; i < j->checkpoint_count; i++)
        if (j->checkpoints[i].step < before)
            j->checkpoints[i].gone = true;
}

static void read_checkpoint(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);
    int64_t epoch = reader_number(line, "epoch"), step = reader_number(line, "step");
    char scores[SHA256_HEX];
    struct checkpoint *c;

    if (reader_number(line, "rc") != 0)
        return;
    reader_word(line, "scores", scores, sizeof(scores));
    if (epoch > j->committed)
        reader_violation(r, "a checkpoint counts on epoch %" PRId64 ", which is not committed",
                         epoch - 1);
    else if (epoch > 0 && strcmp(scores, j->scores[epoch - 1]) != 0)
        reader_violation(r, "a checkpoint counts on other scores than the epoch's");
    c = find_checkpoint(j, step);
    if (c)
        *c = (struct checkpoint){step, epoch, false};
    trim_checkpoints(j, step);
}

static void read_lied(struct reader *r, const char *line)
{
    r->lied |= reader_number(line, "rc") == 0;
}

/* What builds on a liar's results goes; where nobody lied, only what is too old. */
static void read_unsaved(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);

    for (int i = 0; r->lied && i < j->checkpoint_count; i++)
        if (j->checkpoints[i].step == reader_number(line, "step"))
            j->checkpoints[i].gone = true;
}

/* A damaged file is found out by its hash. */
static void read_damage(struct reader *r, const char *line)
{
    /* One that the log does not know was recorded as the server died. */
    struct checkpoint *c = find_checkpoint(reader_job(r, line), reader_number(line, "step"));

    if (c)
        c->gone = true;
}

const struct reading reader_store[] = {
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
    {"lied", read_lied},
    {"unsaved", read_unsaved},
    {NULL, NULL},
};
