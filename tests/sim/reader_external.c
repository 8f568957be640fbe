/* What the log says of an external job: who speaks for it, which epoch is open, what counts. */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/reader_internal.h"

void reader_external_delivered(struct reader *r, const char *line)
{
    const int64_t n = reader_number(line, "job"), epoch = reader_number(line, "epoch");

    if (strstr(line, " external.open ") && n >= 1 && n < JOBS && epoch >= 0 && epoch < EPOCHS)
        r->jobs[n].taken_back[epoch] = true;
}

void reader_external_drop(struct reader *r, struct job *j, int64_t first)
{
    if (j->external && first < j->committed && !j->taken_back[first])
        reader_violation(r, "epochs are taken back that no program asked for");
    j->kept_back = j->committed;
    j->maybe_back = 1 + first;
}

/* What failed has taken nothing back, unless the server dies of it. */
static void read_dropped(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);

    if (reader_number(line, "rc") == 0)
        j->maybe_back = 0;
    else if (j->external)
        j->committed = j->kept_back;
}

void reader_external_recovered(struct job *j)
{
    if (j->external && j->maybe_back > 0 && j->maybe_back - 1 < j->committed)
        j->committed = j->maybe_back - 1;
    j->maybe_back = 0;
}

/* It may be on the disk whatever is heard of it. */
static void read_folding(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);

    if (reader_number(line, "epoch") + 1 > j->most)
        j->most = reader_number(line, "epoch") + 1;
}

/* What stands is what was committed, but for what a crash has hidden: a commit, or that epochs were
 * to be dropped. */
static void read_begun(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);
    const int64_t epoch = reader_number(line, "epoch"), inc = reader_number(line, "inc");

    j->external = true;
    if (inc != j->durable.incarnation)
        reader_violation(r, "incarnation %" PRId64 " begins, durable is %" PRId64, inc,
                         j->durable.incarnation);
    if (epoch < j->committed)
        reader_violation(r, "an epoch is lost: %" PRId64 " were committed", j->committed);
    if (epoch > j->committed && epoch > j->most)
        reader_violation(r, "epoch %" PRId64 " was never committed", epoch - 1);
    j->committed = epoch;
    j->most = epoch;
}

static void read_opened(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);
    const int64_t inc = reader_number(line, "inc");

    if (inc > j->durable.incarnation)
        reader_violation(r, "a program is told of incarnation %" PRId64 ", durable is %" PRId64,
                         inc, j->durable.incarnation);
    if (inc <= j->opened)
        reader_violation(r, "a program was told of incarnation %" PRId64 " before", j->opened);
    j->opened = inc;
}

static void read_reported(struct reader *r, const char *line)
{
    const struct job *j = reader_job(r, line);
    const int64_t inc = reader_number(line, "inc");

    if (reader_number(line, "said") != inc)
        reader_violation(r, "a report of another incarnation counts");
    if (inc != j->durable.incarnation)
        reader_violation(r, "a report counts, and the job was opened as %" PRId64,
                         j->durable.incarnation);
}

static void read_ordered(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);
    const int64_t epoch = reader_number(line, "epoch");
    const struct outcome *o = reader_expects(r, j);
    char stream[SHA256_HEX];

    reader_word(line, "stream", stream, sizeof(stream));
    if (epoch < 0 || epoch >= EPOCHS)
        return;
    if (j->streams[epoch][0] && strcmp(stream, j->streams[epoch]) != 0)
        reader_violation(r, "the order of epoch %" PRId64 " was %s", epoch, j->streams[epoch]);
    if (o && (epoch >= o->epochs || strcmp(stream, o->streams[epoch]) != 0))
        reader_violation(r, "the order of the undisturbed run is another one");
    memcpy(j->streams[epoch], stream, sizeof(stream));
}

/* Its program was told that the epoch is closed. A crash may have hidden the commit. */
static void read_closed_epoch(struct reader *r, const char *line)
{
    struct job *j = reader_job(r, line);
    const int64_t epoch = reader_number(line, "epoch");
    const struct outcome *o = reader_expects(r, j);
    char scores[SHA256_HEX];

    reader_word(line, "scores", scores, sizeof(scores));
    bool taken_back = false;
    for (int64_t i = 0; i <= epoch && i < EPOCHS; i++)
        taken_back |= j->taken_back[i];
    if (epoch >= j->most && epoch >= j->committed && !taken_back)
        reader_violation(r, "an epoch is said to be closed that was never committed");
    if (o && (epoch >= o->epochs || strcmp(scores, o->scores[epoch]) != 0))
        reader_violation(r, "the scores of the undisturbed run are others");
}

void reader_external_end(struct reader *r)
{
    for (int i = 0; i < JOBS; i++) {
        const struct job *j = &r->jobs[i];
        const struct outcome *o = j->external && j->finished_well ? reader_expects(r, j) : NULL;
        if (o && o->epochs != j->final_epochs)
            reader_violation(r, "job %d has %d epochs, the undisturbed run has %d", i,
                             j->final_epochs, o->epochs);
    }
}

const struct reading reader_external[] = {
    {"folding", read_folding},           {"begun", read_begun},
    {"dropped", read_dropped},           {"opened", read_opened},
    {"reported", read_reported},         {"ordered", read_ordered},
    {"closed_epoch", read_closed_epoch}, {NULL, NULL},
};
