#include "common/capacity.h"

#include <errno.h>
#include <string.h>

#include "common/bounds.h"
#include "common/text.h"

#define MIB 1048576.0
#define RATE_MIN 1e6
#define RATE_MAX 1e12
#define RATE_TEXT_MAX 16
/* Copies of theta and of the optimizer's state in checkpoints that wait for the disk. */
#define SNAPSHOTS 4
#define TREE_WORKERS_MIN 3

/* deploy/docs/SCALE.md has the commands and what they measured. */
const struct capacity_costs capacity_costs = {
    .trip_s = 30e-6,         /* make swarm */
    .mib_s = 0.33e-3,        /* make swarm PARTS=vectors, its last lines */
    .piece_mib_s = 0.46e-3,  /* likewise */
    .sealed_mib_s = 0.65e-3, /* make swarm PARTS=networks, its last lines */
    .update_mib_s = 0.1e-3,  /* make swarm PARTS=vectors, its last lines */
    .latency_s = 0.5e-3,     /* make swarm PARTS=vectors MILLIONS=1 CROWDS=1 */
    .worker_mib_s = 0.46e-3, /* make swarm PARTS=vectors, its last lines */
    .flops = 120e9,          /* make bench PARTS=peer */
};

const char *const capacity_limit_names[] = {
    [LIMIT_COMPUTE] = "compute", [LIMIT_SHARDS] = "shards",  [LIMIT_SERVER] = "server CPU",
    [LIMIT_NETWORK] = "network", [LIMIT_WORKER] = "vectors", NULL,
};

static int64_t parts(int64_t whole, int64_t of)
{
    return (whole + of - 1) / of;
}

/* How often two become one until `workers` are. */
static int doublings(int64_t workers)
{
    int n = 0;

    for (int64_t w = 1; w < workers; w *= 2)
        n++;
    return n;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* idle: there are more threads than shards. */
static enum capacity_limit limit_of(const struct capacity *c, bool idle)
{
    const double transfer_s = larger(larger(c->server_s, c->network_s), c->way_s);

    if (c->compute_s >= transfer_s)
        return idle ? LIMIT_SHARDS : LIMIT_COMPUTE;
    return c->server_s == transfer_s    ? LIMIT_SERVER
           : c->network_s == transfer_s ? LIMIT_NETWORK
                                        : LIMIT_WORKER;
}

/* Seconds that a vector takes from one worker to the next, or to the server. */
static double hop_s(const struct capacity_costs *costs, const struct capacity_site *site,
                    double vector_mib)
{
    if (site->bits_per_s == 0)
        return vector_mib * costs->worker_mib_s;
    return vector_mib *
           larger(costs->worker_mib_s + costs->sealed_mib_s, 8 * MIB / site->bits_per_s);
}

struct capacity capacity_of(const struct capacity_costs *costs, const struct capacity_job *job,
                            const struct capacity_site *site)
{
    const int64_t shards = job->batch / job->shard;
    const double vector_mib = (double)job->floats * sizeof(float) / MIB;
    const bool pieces = job->floats > INLINE_FLOATS_MAX;
    struct capacity c = {.workers = site->workers < shards ? site->workers : shards};
    const double mib_s = (pieces ? costs->piece_mib_s : costs->mib_s) +
                         (site->bits_per_s > 0 ? costs->sealed_mib_s : 0);

    c.trees = site->trees && pieces && c.workers >= TREE_WORKERS_MIN;
    const double vectors = 2.0 * (double)(c.trees ? 1 : c.workers) * job->trips;
    c.vector_bytes = vectors * vector_mib * MIB;
    c.compute_s = (double)parts(parts(shards, c.workers), site->threads) * job->shard_s;
    c.server_cpu_s = (double)(c.workers * job->trips) * costs->trip_s +
                     vectors * vector_mib * mib_s + vector_mib * costs->update_mib_s;
    c.server_s = c.server_cpu_s / (double)site->processors;
    if (site->bits_per_s > 0)
        c.network_s = c.vector_bytes * 8 / site->bits_per_s;
    /* Theta goes through a tree piece by piece, sums whole. */
    const int hops = c.trees ? 1 + doublings(c.workers) : 2;
    c.way_s = job->trips * hops * hop_s(costs, site, vector_mib);
    c.step_s = costs->latency_s * job->trips + c.compute_s +
               larger(larger(c.server_s, c.network_s), c.way_s);
    c.limit = limit_of(&c, site->workers * site->threads > shards);
    return c;
}

double capacity_shard(const struct capacity_costs *costs, const struct capacity_job *job,
                      const struct capacity_site *site, double step_s)
{
    struct capacity_job idle = *job, one = *job;

    idle.shard_s = 0;
    one.shard_s = 1;
    double compute_s = step_s - capacity_of(costs, &idle, site).step_s;
    compute_s = compute_s > step_s / 10 ? compute_s : step_s / 10;
    return compute_s / capacity_of(costs, &one, site).compute_s;
}

struct capacity_best capacity_best(const struct capacity_costs *costs,
                                   const struct capacity_job *job, const struct capacity_site *site)
{
    const int64_t shards = job->batch / job->shard;
    struct capacity_best best = {1, 1};
    struct capacity_site s = *site;
    s.workers = 1;
    const double alone_s = capacity_of(costs, job, &s).step_s;
    double least_s = alone_s;

    for (s.workers = 2; s.workers <= shards && s.workers <= WORKERS_MAX; s.workers++) {
        const double step_s = capacity_of(costs, job, &s).step_s;
        if (step_s < least_s) {
            least_s = step_s;
            best.fastest = s.workers;
        }
        if (alone_s / step_s >= (double)s.workers / 2)
            best.useful = s.workers;
    }
    return best;
}

double capacity_memory(const struct capacity_job *job)
{
    const int64_t shards = job->batch / job->shard;
    const double sums = (double)((shards + 1) / 2);
    const double arriving = job->floats <= INLINE_FLOATS_MAX
                                ? 1
                                : (double)(shards < UPLOADS_MAX ? shards : UPLOADS_MAX);

    return (double)job->floats * sizeof(float) *
           (2 + job->state_vectors + (job->trips > 1) + sums + arriving +
            SNAPSHOTS * (1 + job->state_vectors));
}

int capacity_rate(const char *text, double *ret_bits_per_s, struct errbuf *why)
{
    static const struct {
        char unit;
        double bits;
    } units[] = {{'M', 1e6}, {'G', 1e9}, {'T', 1e12}};
    const size_t n = strlen(text);
    char number[RATE_TEXT_MAX];
    double v;

    for (size_t i = 0; n > 1 && n < sizeof(number) && i < sizeof(units) / sizeof(units[0]); i++) {
        if (text[n - 1] != units[i].unit)
            continue;
        memcpy(number, text, n - 1);
        number[n - 1] = '\0';
        if (!text_f64(number, RATE_MIN / units[i].bits, RATE_MAX / units[i].bits, &v))
            break;
        *ret_bits_per_s = v * units[i].bits;
        return 0;
    }
    return err_set(why, -EINVAL,
                   "\"%.40s\" is no rate of a network; allowed are 1M to 1T, in bits per second: "
                   "1G, 10G, 25G",
                   text);
}
