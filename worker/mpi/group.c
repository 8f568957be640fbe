#define _GNU_SOURCE /* CPU_EQUAL */
#include "worker/group.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "worker/mpi/ranks.h"
#include "worker/room.h"

int group_join(struct group **ret, struct errbuf *why)
{
    struct group *g;
    int level;

    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS ||
        level < MPI_THREAD_FUNNELED)
        return err_set(why, -ENOTSUP,
                       "this MPI does not start in programs that have threads of their own");
    g = xcalloc(1, sizeof(*g));
    MPI_Comm_dup(MPI_COMM_WORLD, &g->comm);
    MPI_Comm_rank(g->comm, &g->rank);
    MPI_Comm_size(g->comm, &g->ranks);
    g->all = xcalloc((size_t)g->ranks, sizeof(*g->all));
    g->threads = xcalloc((size_t)g->ranks, sizeof(*g->threads));
    g->parts = xcalloc((size_t)g->ranks, sizeof(*g->parts));
    g->counts = xcalloc((size_t)g->ranks, sizeof(*g->counts));
    g->offsets = xcalloc((size_t)g->ranks, sizeof(*g->offsets));
    /* Not cleared: most of it is not used where few ranks are. */
    const size_t children = g->ranks <= RUN_CHILDREN_MAX ? (size_t)g->ranks : RUN_CHILDREN_MAX;
    void *pieces = NULL;
    if (posix_memalign(&pieces, 64, children * RUN_AHEAD * RUN_PIECE_FLOATS * sizeof(float)) != 0) {
        group_leave(g);
        return err_set(why, -ENOMEM, "no memory for the sums of a group");
    }
    g->pieces = pieces;
    *ret = g;
    return 0;
}

void group_leave(struct group *g)
{
    if (!g)
        return;
    if (g->agreed && g->rank == HEAD)
        rank_command(g, &(struct command){.kind = COMMAND_LEAVE}, NULL);
    MPI_Comm_free(&g->comm);
    MPI_Finalize();
    free(g->all);
    free(g->threads);
    free(g->parts);
    free(g->counts);
    free(g->offsets);
    free(g->pieces);
    free(g->body);
    free(g);
}

bool group_alone(const struct group *g)
{
    (void)g;
    return false;
}

/* How many ranks this one's host has; ret: they. */
static int of_host(const struct group *g, MPI_Comm *ret)
{
    int ranks;

    MPI_Comm_split_type(g->comm, MPI_COMM_TYPE_SHARED, g->rank, MPI_INFO_NULL, ret);
    MPI_Comm_size(*ret, &ranks);
    return ranks;
}

unsigned group_neighbours(const struct group *g)
{
    cpu_set_t own, *all;
    unsigned count = 0;
    MPI_Comm host;
    int ranks = of_host(g, &host);

    CPU_ZERO(&own);
    sched_getaffinity(0, sizeof(own), &own);
    all = xcalloc((size_t)ranks, sizeof(*all));
    MPI_Allgather(&own, sizeof(own), MPI_BYTE, all, sizeof(own), MPI_BYTE, host);
    for (int i = 0; i < ranks; i++)
        count += CPU_EQUAL(&own, &all[i]) != 0;
    free(all);
    MPI_Comm_free(&host);
    return count;
}

unsigned group_housemates(const struct group *g)
{
    return (unsigned)g->housemates;
}

/* --- agreeing --- */

/* "rank 0 (a)" or "ranks 0, 2, 3 (a and others)" with this class. */
static void name_ranks(const struct group *g, const char *class, char *out, size_t bytes)
{
    int first = -1, count = 0, at = 0;
    bool others = false;

    for (int i = 0; i < g->ranks; i++) {
        if (strcmp(g->all[i].class, class) != 0)
            continue;
        first = first < 0 ? i : first;
        others = others || strcmp(g->all[i].host, g->all[first].host) != 0;
        if ((size_t)at < bytes)
            at += snprintf(out + at, bytes - (size_t)at, "%s%d", count++ ? ", " : "", i);
    }
    if ((size_t)at < bytes)
        snprintf(out + at, bytes - (size_t)at, " (%s%s)", g->all[first].host,
                 others ? " and others" : "");
}

/* Are all of rank 0's class? */
static int judge_classes(const struct group *g, struct errbuf *why)
{
    char first[80], other[80];

    for (int i = 1; i < g->ranks; i++) {
        if (strcmp(g->all[i].class, g->all[0].class) == 0)
            continue;
        name_ranks(g, g->all[0].class, first, sizeof(first));
        name_ranks(g, g->all[i].class, other, sizeof(other));
        return err_set(why, -EINVAL,
                       "the ranks of a group must have one numerics class; rank %s: %s; rank %s: "
                       "%s; with --class all of them compute in one, if they can",
                       first, g->all[0].class, other, g->all[i].class);
    }
    return 0;
}

static int judge_threads(const struct group *g, struct errbuf *why)
{
    const unsigned threads = group_threads(g);

    return threads <= GROUP_THREADS_MAX
               ? 0
               : err_set(why, -EINVAL, "the ranks have %u threads, a group may have %d", threads,
                         GROUP_THREADS_MAX);
}

/* What every rank says of itself goes to every rank. */
static void introduce(struct group *g, const char *class, int64_t threads, int64_t memory_bytes)
{
    struct rank own = {.threads = (uint32_t)threads};
    MPI_Comm host;

    g->housemates = of_host(g, &host);
    MPI_Comm_free(&host);
    own.memory_bytes = memory_bytes / g->housemates;
    snprintf(own.class, sizeof(own.class), "%s", class);
    if (gethostname(own.host, sizeof(own.host) - 1) < 0)
        own.host[0] = '\0';
    MPI_Allgather(&own, sizeof(own), MPI_BYTE, g->all, sizeof(own), MPI_BYTE, g->comm);
    for (int i = 0; i < g->ranks; i++)
        g->threads[i] = g->all[i].threads;
}

int group_agree(struct group *g, int rc, const char *class, int64_t threads, int64_t memory_bytes,
                struct errbuf *why)
{
    struct verdict v = {.rc = 0};

    introduce(g, class, threads, memory_bytes);
    verdict_set(&v, g, rc, why);
    verdict_collect(g, &v, NULL, NULL);
    if (g->rank == HEAD) {
        rc = verdict_tell(&v, g, why);
        if (rc == 0)
            rc = judge_classes(g, why);
        if (rc == 0)
            rc = judge_threads(g, why);
    } else {
        why->text[0] = '\0'; /* the head says it */
    }
    MPI_Bcast(&rc, 1, MPI_INT, HEAD, g->comm);
    g->agreed = rc == 0;
    return rc;
}

bool group_heads(const struct group *g)
{
    return g->rank == HEAD;
}

unsigned group_ranks(const struct group *g)
{
    return (unsigned)g->ranks;
}

unsigned group_threads(const struct group *g)
{
    uint64_t sum = 0;

    for (int i = 0; i < g->ranks; i++)
        sum += g->threads[i];
    return sum < UINT32_MAX ? (unsigned)sum : UINT32_MAX;
}

int64_t group_memory(const struct group *g)
{
    const double threads = group_threads(g);
    double least = (double)ROOM_BYTES_MAX;

    for (int i = 0; i < g->ranks; i++) {
        const double all = (double)g->all[i].memory_bytes / g->threads[i] * threads;
        least = all < least ? all : least;
    }
    return least < 1 ? 1 : (int64_t)least;
}
