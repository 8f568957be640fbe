/* The group of a process that has no other. */
#include "worker/group.h"

#include <stdlib.h>

#include "common/alloc.h"

struct group {
    unsigned threads;
    int64_t memory_bytes;
};

int group_join(struct group **ret, struct errbuf *why)
{
    (void)why;
    *ret = xcalloc(1, sizeof(**ret));
    return 0;
}

void group_leave(struct group *g)
{
    free(g);
}

bool group_alone(const struct group *g)
{
    (void)g;
    return true;
}

unsigned group_neighbours(const struct group *g)
{
    (void)g;
    return 1;
}

unsigned group_housemates(const struct group *g)
{
    (void)g;
    return 1;
}

int group_agree(struct group *g, int rc, const char *class, int64_t threads, int64_t memory_bytes,
                struct errbuf *why)
{
    (void)class;
    (void)why;
    g->threads = (unsigned)threads;
    g->memory_bytes = memory_bytes;
    return rc;
}

bool group_heads(const struct group *g)
{
    (void)g;
    return true;
}

unsigned group_ranks(const struct group *g)
{
    (void)g;
    return 1;
}

unsigned group_threads(const struct group *g)
{
    return g->threads;
}

int64_t group_memory(const struct group *g)
{
    return g->memory_bytes;
}

int group_load(struct group *g, enum group_slot slot, const struct group_plan *plan,
               struct errbuf *why)
{
    (void)g;
    (void)slot;
    (void)plan;
    (void)why;
    return 0;
}

void group_drop(struct group *g, enum group_slot slot)
{
    (void)g;
    (void)slot;
}

void group_share(struct group *g, enum group_slot slot, enum group_vector which,
                 const float *vector, size_t floats)
{
    (void)g;
    (void)slot;
    (void)which;
    (void)vector;
    (void)floats;
}

int group_run(struct group *g, enum group_slot slot, struct runner *r, const struct work *work,
              struct yield *yield, struct errbuf *why)
{
    (void)g;
    (void)slot;
    return runner_run(r, work, yield, why);
}

int group_serve(struct group *g, const struct duty_options *options,
                const _Atomic sig_atomic_t *stop, struct errbuf *why)
{
    (void)g;
    (void)options;
    (void)stop;
    (void)why;
    return 0;
}
