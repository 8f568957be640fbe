/* How fast a job can go on so many workers, and what holds it back then: a model of a training
 * step's time and of the server's memory, fitted to what `make swarm PARTS=vectors,networks`
 * measures (deploy/docs/SCALE.md). Pure.
 *
 * A step is synchronous: theta goes down to each worker, it computes its shards, its sum comes up,
 * the server adds the sums and moves theta. So its time is compute + transfer, and transfer is the
 * slowest of the server's processors, its network, and the way that a worker's vectors take. Where
 * workers combine their sums in a tree, the server has one vector each way, and that
 * way has a step for each doubling of the workers. */
#ifndef STEPPE_COMMON_CAPACITY_H
#define STEPPE_COMMON_CAPACITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* What was measured, all of one processor of deploy/docs/SCALE.md. */
struct capacity_costs {
    double trip_s;       /* the server's CPU time for a worker's trip, beside its vectors */
    double mib_s;        /* for a MiB of vectors, up or down, that fit a message */
    double piece_mib_s;  /* for one of those that travel in pieces */
    double sealed_mib_s; /* and for sealing it or opening it */
    double update_mib_s; /* for a MiB of theta, once a step: the update */
    double latency_s;    /* of a step, whatever its size: what nobody's processor is busy with */
    double worker_mib_s; /* a worker's time for a MiB that it sends or takes */
    double flops;        /* floating point operations a second of a worker's thread, estimated */
};
extern const struct capacity_costs capacity_costs;

/* What is known of a job. */
struct capacity_job {
    size_t floats;        /* of theta */
    int64_t batch, shard; /* samples */
    int trips;            /* of a step: 2 where the whole batch ascends, else 1 */
    int state_vectors;    /* of the optimizer */
    double shard_s;       /* time of a thread for a shard */
};

/* Where it is to run. */
struct capacity_site {
    int64_t workers, threads; /* of each worker */
    int64_t processors;       /* of the server */
    double bits_per_s;        /* of the server's link, each way; 0: the same machine, not sealed */
    bool trees;               /* three workers or more combine sums that travel in pieces */
};

enum capacity_limit {
    LIMIT_COMPUTE, /* of the workers */
    LIMIT_SHARDS,  /* likewise, and some threads have nothing to do */
    LIMIT_SERVER,  /* its processors */
    LIMIT_NETWORK, /* its link */
    LIMIT_WORKER,  /* a worker sends and takes its vectors, or the tree of them does */
    CAPACITY_LIMITS
};
extern const char *const capacity_limit_names[];

struct capacity {
    int64_t workers;  /* that have work: a worker's least is a shard */
    bool trees;       /* they combine their sums */
    double compute_s; /* of a step: a worker's time for its shards */
    double server_s;  /* the server's processors are busy with vectors and the update */
    double network_s; /* its link is */
    double way_s;     /* of the vectors of a worker, or through the tree */
    double step_s;    /* all of a step */
    double server_cpu_s;
    double vector_bytes; /* that leave and reach the server in a step, together */
    enum capacity_limit limit;
};

/* All numbers of job and site above 0, but for shard_s, bits_per_s and state_vectors, which may be
 * 0. */
struct capacity capacity_of(const struct capacity_costs *costs, const struct capacity_job *job,
                            const struct capacity_site *site);

/* The time of a shard with which a step of this site takes step_s; at least a tenth of that goes to
 * computing, whatever the costs say. */
double capacity_shard(const struct capacity_costs *costs, const struct capacity_job *job,
                      const struct capacity_site *site, double step_s);

/* With how many workers, up to all shards, the job is fastest, and up to how many each of them
 * brings at least half of what one alone does: with more, most of what is added is lost. */
struct capacity_best {
    int64_t fastest, useful;
};
struct capacity_best capacity_best(const struct capacity_costs *costs,
                                   const struct capacity_job *job,
                                   const struct capacity_site *site);

/* Bytes that the server needs for the job's vectors (what it holds of samples comes on top). */
double capacity_memory(const struct capacity_job *job);

/* A rate in bits per second with its unit: "1G", "25G", "2.5G", "100M". -EINVAL: the sentence says
 * what is allowed. */
int capacity_rate(const char *text, double *ret_bits_per_s, struct errbuf *why);

#endif
