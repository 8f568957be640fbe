/* Reads for people: a read-only connection to both databases, used on a lane of its own, with a
 * deadline (progress handler) and a row limit. Each function gives the fields of its reply
 * (PROTOCOL.md section 4) as a new cJSON object.
 * Errors: -ENOENT (no such job, epoch, sample: the sentence says which exist), -ETIMEDOUT, -EIO. */
#ifndef STEPPE_SERVER_QUERY_H
#define STEPPE_SERVER_QUERY_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/score.h"
#include "server/store.h"

#define QUERY_DEADLINE_MS 5000

struct query;

int query_open(const char *dir, struct query **ret, struct errbuf *why);
void query_close(struct query *q); /* NULL is fine */

extern const char
    *const query_by_names[]; /* adm loss adv_loss gap grad_norm el2n, NULL-terminated */
enum query_by { BY_ADM, BY_LOSS, BY_ADV_LOSS, BY_GAP, BY_GRAD_NORM, BY_EL2N };

struct top_args {
    int64_t job, epoch; /* epoch -1: the last committed, scored one */
    int by;             /* enum query_by */
    bool easiest;
    int64_t class_id; /* -1: all */
    int64_t limit;
};
int query_top(struct query *q, const struct top_args *a, cJSON **ret, struct errbuf *why);

struct histogram_args {
    int64_t job, epoch;
    int by;
    int64_t bins;
    bool log;
};
int query_histogram(struct query *q, const struct histogram_args *a, cJSON **ret,
                    struct errbuf *why);
/* The newest 1000 epochs of the sample, oldest first. */
int query_trajectory(struct query *q, int64_t job, int64_t sample, cJSON **ret, struct errbuf *why);
/* AUROC by rank sums with ties counted half, of the planted samples of one kind against all others;
 * flipped and hard come from sample.planted. */
int query_planted(struct query *q, int64_t job, int64_t epoch, cJSON **ret, struct errbuf *why);
/* The `epochs` array of job.show, from epoch `from` on, at most 1000. */
int query_epochs(struct query *q, int64_t job, int64_t from, cJSON **ret, struct errbuf *why);
/* The figures of the last committed epoch; -ENOENT when there is none. */
int query_last_epoch(struct query *q, int64_t job, struct epoch_record *ret, struct errbuf *why);
/* The `events` array of job.log. */
int query_events(struct query *q, int64_t job, int64_t after, int64_t limit, cJSON **ret,
                 struct errbuf *why);

/* Replays the committed scores of a job in order of epochs < before: each(arg, epoch, scores) with
 * scores[samples] (SCORE_MEASURED where there is a row; adv_predicted is not stored and 0). No
 * deadline: used to recompute a schedule. */
int query_replay(struct query *q, int64_t job, int64_t before, uint32_t samples,
                 int (*each)(void *arg, int64_t epoch, const struct score *scores), void *arg,
                 struct errbuf *why);

#endif
