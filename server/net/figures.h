/* What nobody counts on the way, but who owns it knows when asked: the other half of /metrics. */
#ifndef STEPPE_SERVER_NET_FIGURES_H
#define STEPPE_SERVER_NET_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many things there are of each kind. */
#define FIGURE_KINDS_MAX 9
struct kinds {
    const char *const *names; /* NULL-terminated, at most FIGURE_KINDS_MAX; static */
    uint64_t counts[FIGURE_KINDS_MAX];
};

/* The files of a database. */
struct database_figures {
    const char *name;                                /* static */
    double bytes, log_bytes, log_held_bytes, held_s; /* held_s: for how long the log has been */
};
#define FIGURE_DATABASES 2

struct figures {
    struct kinds jobs, workers; /* by state */
    struct kinds refused;       /* messages, by the gate's reasons */
    uint64_t leases;            /* that workers hold */
    uint64_t reissued_shards;   /* by the runs that run */
    double images_per_s;        /* of the jobs that are computed */
    unsigned waiting_jobs;      /* that run and are not computed */
    uint64_t threads_wanted;    /* of workers, that the jobs of now could keep at work at once */
    unsigned store_items, query_items, data_items; /* that wait for their lane */
    size_t keys_to_renew;                          /* holders_to_renew */
    int64_t uploads_bytes, datasets_bytes;
    int64_t largest_bytes; /* of the disk, of the key that takes most */
    int64_t share_bytes;   /* what one key may have of the disk; -1: all */
    int64_t free_bytes;    /* of the disk; -1: not known */
    bool disk_alarm;
    struct database_figures databases[FIGURE_DATABASES];
    int64_t sqlite_bytes; /* in memory */
};

#endif
