#include "server/core/pace.h"

#define FIRST_MS 60000 /* a shard, before its time is known: slow machines, large models */
#define LEASE_MIN_MS 3000
#define LEASE_MAX_MS 600000
#define LEASE_FACTOR 10   /* times the slowest recent time */
#define LEASES_MAX 6      /* times its own length */
#define SLOW_BYTES_MS 500 /* the slowest line that is waited for */
#define PATIENCE_FIRST_MS 2000
#define PATIENCE_MIN_MS 300
#define PATIENCE_FACTOR 3
#define DECAY 0.95 /* of the slowest time, a result */

/* Shards of the thread that has the most. */
static double rows(uint32_t shards, uint32_t threads)
{
    return (double)((shards + threads - 1) / threads);
}

void pace_note(struct pace *p, enum phase phase, uint32_t shards, uint32_t threads, double ms)
{
    double *slow = &p->shard_ms[phase];

    ms /= rows(shards, threads);
    *slow = ms > *slow ? ms : DECAY * *slow + (1 - DECAY) * ms;
}

/* The time in this phase; while that is unknown, that in another phase with a margin; 0:
 * unknown. */
static double shard_ms(const struct pace *p, enum phase phase)
{
    double ms = p->shard_ms[phase];

    for (int i = 0; ms <= 0 && i < PHASES; i++)
        ms = 2 * p->shard_ms[i];
    return ms;
}

static int64_t within(double ms, int64_t min, int64_t max)
{
    return ms < (double)min ? min : ms > (double)max ? max : (int64_t)ms;
}

int64_t pace_lease_ms(const struct pace *p, enum phase phase, uint32_t shards, uint32_t threads,
                      bool newcomer)
{
    double known = LEASE_FACTOR * shard_ms(p, phase), ms = known;

    if (known <= 0 || (newcomer && known < FIRST_MS))
        ms = FIRST_MS;
    return within(ms * rows(shards, threads), LEASE_MIN_MS, LEASE_MAX_MS);
}

int64_t pace_most_ms(int64_t lease_ms, uint64_t bytes)
{
    return LEASE_MAX_MS + LEASES_MAX * lease_ms + (int64_t)(bytes / SLOW_BYTES_MS);
}

int64_t pace_patience_ms(const struct pace *p, enum phase phase, uint32_t shards, uint32_t threads)
{
    double ms = shard_ms(p, phase);

    if (ms <= 0)
        return PATIENCE_FIRST_MS;
    return within(PATIENCE_FACTOR * ms * rows(shards, threads), PATIENCE_MIN_MS, LEASE_MAX_MS);
}
