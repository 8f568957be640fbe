/* An external job: a program of somebody's own trains, and this has what it asks for and reports.
 * Beside a run it owns no theta: only ranks, the order of the open epoch, and the scores that were
 * reported in it. All of it but these scores follows from the job and its committed epochs. Pure.
 *
 * An epoch: its order is made (external_open), values are reported, each rank says that it has
 * closed, external_close makes what the store has to fold and the next epoch beside this one, which
 * stays whole until that is durable. */
#ifndef STEPPE_SERVER_CORE_EXTERNAL_H
#define STEPPE_SERVER_CORE_EXTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/dataset.h"
#include "common/hash.h"
#include "common/jobspec.h"
#include "server/core/metric.h"
#include "server/core/overlay.h"
#include "server/core/run.h"

/* What a program may report of a sample; as PROTOCOL.md names it. */
enum external_measure {
    EXTERNAL_LOSS,
    EXTERNAL_ADV_LOSS,
    EXTERNAL_GRAD_NORM,
    EXTERNAL_EL2N,
    EXTERNAL_MARGIN,
    EXTERNAL_PREDICTED, /* from here on: classes */
    EXTERNAL_ADV_PREDICTED,
    EXTERNAL_MEASURES
};
extern const char *const external_measure_names[]; /* NULL-terminated */

#define EXTERNAL_WORLD_MAX 4096 /* ranks of a program */

struct external;

/* A job at its beginning, with no epoch open, and with room for its reports. spec and data are
 * borrowed for its life, in and overlays[JOB_REVISIONS_MAX] (of the job's list of revisions) until
 * it returns. 0 or -ENOMEM. */
int external_create(const struct jobspec *spec, const struct dataset *data, int64_t job,
                    int64_t incarnation, const struct run_inputs *in,
                    const struct overlay *overlays, struct external **ret);
void external_free(struct external *e); /* NULL is fine */
/* Takes the scores of an epoch that is committed; epochs rise. 0 or -ENOMEM. */
int external_replay(struct external *e, int64_t epoch, const struct score *scores);
/* Opens an epoch: makes its order. Call once. now_ms -1: it was open before, nobody knows since
 * when; it will not say how long it took. 0 or -ENOMEM. */
int external_open(struct external *e, int64_t epoch, int64_t now_ms);
/* Bytes that such a job takes at most, while it closes an epoch. */
size_t external_memory(const struct jobspec *spec, const struct dataset *data);

int64_t external_epoch(const struct external *e); /* the open one */
int64_t external_incarnation(const struct external *e);
/* The order of the open epoch: positions of all ranks, the share and the samples that are
 * scheduled, and the SHA-256 of its ids (U32) and then its weights (F32), little-endian. */
struct external_order {
    uint64_t positions;
    double share;
    uint32_t scheduled;
    const char *sha256;
};
struct external_order external_order(const struct external *e);
const struct schedule *external_schedule(const struct external *e);
/* May this be one of so many ranks? -EINVAL with a sentence. */
int external_check_rank(const struct external *e, int64_t rank, int64_t world, struct errbuf *why);
/* Positions [first, first + count) of a rank's own stream: of each batch it has batch / world
 * positions in a row. They must be there: positions / world in all. */
void external_positions(const struct external *e, uint32_t rank, uint32_t world, uint64_t first,
                        uint32_t count, uint32_t *ids, float *weights);

/* Values of samples; what comes in a message may be unaligned. */
struct external_report {
    bool test;       /* of the test images, not of the training images */
    uint32_t count;  /* of samples */
    const void *ids; /* U32 [count] */
    struct {
        const void *at; /* [count]; NULL: not reported */
        bool f32;       /* F32, else F64; classes are I32 */
    } values[EXTERNAL_MEASURES];
    const void *probabilities; /* F32 [count, classes], a value for each sample; NULL likewise */
    uint64_t classes;
};
/* Takes the values that are the first of their sample and measure; the others, and a class of -1
 * (not known), only count as dropped and not at all. -EINVAL: a value or sample is none; then
 * nothing of the report counts. -ENOMEM. */
int external_report(struct external *e, const struct external_report *r, uint64_t *ret_counted,
                    uint64_t *ret_dropped, struct errbuf *why);
/* So many values came too late. */
void external_drop(struct external *e, uint64_t values);

/* A rank has reported all it had. metrics[count] are its numbers of the epoch; a name that several
 * give is the lowest rank's. Saying it again changes only these. -EINVAL: a metric is none, or the
 * ranks do not agree how many they are. */
int external_rank_closes(struct external *e, uint32_t rank, uint32_t world,
                         const struct metric *metrics, uint32_t count, struct errbuf *why);
/* What they said cannot be kept: every rank closes again, with other metrics. */
void external_unclose(struct external *e);
/* Ranks that have not, ascending, at most max; how many there are. */
uint32_t external_waiting(const struct external *e, uint32_t world, uint32_t *ret, uint32_t max);

/* What closing the epoch makes. */
struct external_closed {
    struct run_epoch epoch; /* as a run hands it over, with measures that may be NAN; its scores are
                               borrowed */
    struct metric_set metrics;
    uint32_t missing;      /* samples of the order of which nothing was reported */
    uint64_t dropped;      /* values */
    struct external *next; /* with the next epoch open; NULL: this was the last one */
};
void external_closed_done(struct external_closed *c);
/* The next epoch goes on with the room for reports of one that is closed and durable, which has
 * none any more: nobody waits while the kernel gives new pages. */
void external_take_room(struct external *next, struct external *closed);
/* Closes the epoch; e stays as it was, and has the scores that are in *ret. 0, -ENOMEM or -EINVAL
 * (more names of metrics than allowed). */
int external_close(struct external *e, int64_t now_ms, struct external_closed *ret,
                   struct errbuf *why);

#endif
