/* What the server counts and measures of itself; http/http_metrics.c prints it. Everything here is
 * touched on the loop only. */
#ifndef STEPPE_SERVER_NET_METRICS_H
#define STEPPE_SERVER_NET_METRICS_H

#include <stdint.h>

#include "proto/messages.h"

enum metric_count {
    COUNT_SHARDS_OK,     /* results that were counted */
    COUNT_SHARDS_RETRY,  /* given out again, by runs that ended */
    COUNT_SHARDS_FENCED, /* results that came too late or twice */
    COUNT_SHARDS_BURIED, /* of nodes whose failures ended their jobs */
    COUNT_LEASES_EXPIRED,
    COUNT_CHECKED,  /* nodes that were computed a second time */
    COUNT_COMBINED, /* sums that one worker gave to another */
    COUNT_LIARS,    /* keys that were set aside for another result than two others had */
    COUNT_HTTP_OK,  /* answers below 400, below 500, others */
    COUNT_HTTP_REFUSED,
    COUNT_HTTP_FAILED,
    COUNT_REJECTED, /* + enum error_code: messages answered with that error */
    COUNT_END = COUNT_REJECTED + ERR_COUNT
};

#define TIMES_BUCKETS 14
/* Upper bounds of the buckets; the last one has none. */
extern const double times_bounds_s[TIMES_BUCKETS - 1];
/* Times counted in buckets. */
struct times {
    uint64_t buckets[TIMES_BUCKETS]; /* at most the bound, not cumulated */
    uint64_t count;
    double sum_s;
};

struct metrics {
    uint64_t counts[COUNT_END];
    struct times step, shard;
    struct times commit;   /* units of work on the store's lane, its commits included */
    struct times query;    /* on the lanes that read the databases */
    struct times epoch;    /* ends of epochs: fold, checkpoint, rows */
    struct times turn;     /* of the loop, without its waits */
    double longest_s;      /* of those */
    double lag_s;          /* how late the last tick was */
    int64_t checkpoint_ms; /* monotonic, of the last checkpoint; 0: none yet */
    int64_t tick_ms;
};

/* Of a job: its last update, and when it was. */
struct step_time {
    uint64_t number;
    double s;
};

static inline void metrics_count_many(struct metrics *m, int which, uint64_t n)
{
    m->counts[which] += n;
}
static inline void metrics_count(struct metrics *m, int which)
{
    m->counts[which]++;
}
void metrics_time(struct times *t, double seconds);
/* Update number `step` of a job is done: records the time since the previous one, if known. */
void metrics_step(struct metrics *m, struct step_time *last, uint64_t step, double now_s);
/* The loop has served everybody who waited, and that took so long. */
void metrics_turn(struct metrics *m, double seconds);
/* The tick, which is due every period_ms, ran now. */
void metrics_tick(struct metrics *m, int64_t now_ms, int64_t period_ms);

#endif
