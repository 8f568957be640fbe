/* What the log says of the study: all of its jobs exist or none, what is durable of it survives,
 * none of its jobs outlives it, and halving stops the arms that it should. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/reader_internal.h"

static void read_putting(struct reader *r, const char *line)
{
    r->study.putting = reader_number(line, "new") > 0;
    memset(r->study.has, 0, sizeof(r->study.has));
}

static void read_has(struct reader *r, const char *line)
{
    r->study.has[reader_job(r, line) - r->jobs] = true;
}

static int count(const bool *has)
{
    int n = 0;

    for (int i = 0; i < JOBS; i++)
        n += has[i];
    return n;
}

bool reader_study_gone(const struct reader *r)
{
    return count(r->study.durable) == 0;
}

static void read_put(struct reader *r, const char *line)
{
    if (reader_number(line, "rc") != 0)
        return;
    for (int i = 0; i < JOBS; i++) {
        if (r->study.has[i] && !r->jobs[i].known)
            reader_violation(r, "the study has job %d, which was not written", i);
        if (r->study.durable[i] && !r->study.has[i])
            r->jobs[i].alone = true; /* it was made again */
    }
    memcpy(r->study.durable, r->study.has, sizeof(r->study.durable));
    r->study.putting = false;
    r->study.removing = false;
}

static void read_removing(struct reader *r, const char *line)
{
    (void)line;
    r->study.removing = true;
}

static void read_removed(struct reader *r, const char *line)
{
    if (reader_number(line, "rc") == 0)
        memset(r->study.durable, 0, sizeof(r->study.durable));
    r->study.removing = reader_number(line, "rc") != 0;
}

static void read_recovering(struct reader *r, const char *line)
{
    (void)line;
    memset(r->study.has, 0, sizeof(r->study.has));
}

/* The jobs were read before. */
static void read_recovery(struct reader *r, const char *line)
{
    const bool same = memcmp(r->study.has, r->study.durable, sizeof(r->study.has)) == 0;
    const int has = count(r->study.has);

    if (reader_number(line, "rc") != 0) {
        if (!r->full && !r->locked)
            reader_violation(r, "the studies cannot be read");
        return;
    }
    if (!same && !r->study.putting && !(r->study.removing && has == 0))
        reader_violation(r, "the study is recovered with other jobs than it had");
    if (has != 0 && has != STUDY_JOBS)
        reader_violation(r, "the study is recovered with %d jobs", has);
    for (int i = 0; i < JOBS; i++) {
        if (r->study.has[i] && !r->jobs[i].seen)
            reader_violation(r, "the study has job %d, which is not there", i);
        if (r->study.durable[i] && !r->study.has[i] && r->jobs[i].seen && !r->jobs[i].alone)
            reader_violation(r, "job %d outlives its study", i);
    }
    memcpy(r->study.durable, r->study.has, sizeof(r->study.durable));
    r->study.putting = r->study.removing = false;
}

/* What was acknowledged is durable. */
static void read_ack(struct reader *r, const char *line)
{
    static const char *const ended[] = {"done", "failed", "cancelled"};
    char verb[24];
    const int has = count(r->study.durable);

    reader_word(line, "verb", verb, sizeof(verb));
    if (strcmp(verb, "study.rm") == 0 && has > 0)
        reader_violation(r, "study.rm is acknowledged, and the study is there");
    if (strcmp(verb, "study.submit") == 0 && has != STUDY_JOBS)
        reader_violation(r, "study.submit is acknowledged, and the study has %d jobs", has);
    for (int i = 0; i < JOBS && strcmp(verb, "study.cancel") == 0; i++) {
        bool final = !r->study.durable[i];
        for (size_t k = 0; k < 3; k++)
            final = final || strcmp(r->jobs[i].durable.state, ended[k]) == 0;
        if (!final)
            reader_violation(r, "study.cancel is acknowledged, and job %d is %s", i,
                             r->jobs[i].durable.state);
    }
}

/* The arm that is the worst after an epoch, of those that are in; of equal ones the later. */
static int worst_of(struct job *const *arms, const bool *in, int epoch)
{
    int worst = -1;

    for (int a = 1; a < STUDY_JOBS; a++)
        if (in[a] && (worst < 0 || atof(arms[a]->valid[epoch]) <= atof(arms[worst]->valid[epoch])))
            worst = a;
    return worst;
}

/* The arms b, c and d beside the control a train for 4 epochs: of three one stops after the first,
 * of two one after the second, by the values that were committed then. Nothing is known where a
 * person or a failure took an arm out, since that may have been before its rung or behind it. */
void reader_study_end(struct reader *r)
{
    struct job *arms[STUDY_JOBS] = {NULL};
    bool in[STUDY_JOBS] = {false, true, true, true};

    for (int i = 0; i < JOBS; i++)
        if (r->jobs[i].arm[0] && r->jobs[i].ended &&
            (r->jobs[i].halved || r->jobs[i].finished_well))
            arms[r->jobs[i].arm[0] - 'a'] = &r->jobs[i];
    for (int a = 0; a < STUDY_JOBS; a++)
        if (!arms[a])
            return;
    for (int epoch = 0; epoch < 2; epoch++) {
        for (int a = 1; a < STUDY_JOBS; a++)
            if (in[a] && !arms[a]->valid[epoch][0])
                reader_violation(r, "arm %s stopped before it was compared", arms[a]->arm);
        in[worst_of(arms, in, epoch)] = false;
    }
    in[0] = true;
    for (int a = 0; a < STUDY_JOBS; a++)
        if (arms[a]->halved == in[a])
            reader_violation(r, "by validation accuracy arm %s %s", arms[a]->arm,
                             in[a] ? "does not stop" : "stops");
}

const struct reading reader_study[] = {
    {"study_putting", read_putting},
    {"study_has", read_has},
    {"study_put", read_put},
    {"study_removing", read_removing},
    {"study_removed", read_removed},
    {"study_recovering", read_recovering},
    {"study_recovery", read_recovery},
    {"study_ack", read_ack},
    {NULL, NULL},
};
