/* The dataset of a job, in the caches of the members.
 *
 * In rounds: every member looks into its cache. One that finds nothing and gets the lock of the
 * unfinished file pulls, the others of the same cache have to wait for it. All say which; then the
 * head sends all pieces to those that pull. There is another round while somebody had to wait. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/alloc.h"
#include "worker/cache.h"
#include "worker/mpi/ranks.h"

#define PAUSE_NS 200000000

/* What members say, or-ed. */
enum { SAYS_PULL = 1, SAYS_WAIT = 2 };

/* What comes before each piece. */
struct piece {
    int32_t rc; /* negative: there will be none */
    uint32_t bytes;
};

static int hear(struct group *g, int own, const struct group_plan *plan)
{
    int all = 0;
    MPI_Request request;

    MPI_Iallreduce(&own, &all, 1, MPI_INT, MPI_BOR, g->comm, &request);
    rank_wait(&request, plan ? plan->beat : NULL, plan ? plan->beat_arg : NULL);
    return all;
}

/* The head and the ranks that pull. */
static void narrow(struct group *g, bool in, MPI_Comm *ret)
{
    MPI_Comm_split(g->comm, in ? 0 : MPI_UNDEFINED, g->rank, ret);
}

static void exchange(MPI_Comm comm, void *data, size_t bytes, const struct group_plan *plan)
{
    MPI_Request request;

    MPI_Ibcast(data, (int)bytes, MPI_BYTE, HEAD, comm, &request);
    rank_wait(&request, plan ? plan->beat : NULL, plan ? plan->beat_arg : NULL);
}

static void pause_round(void)
{
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

/* --- the head --- */

static int read_piece(int fd, uint64_t at, void *out, size_t bytes)
{
    size_t have = 0;

    while (have < bytes) {
        ssize_t n = pread(fd, (char *)out + have, bytes - have, (off_t)(at + have));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        have += (size_t)n;
    }
    return 0;
}

static void send_all(struct group *g, const struct group_plan *plan)
{
    MPI_Comm comm;
    struct piece p = {.rc = 0};
    void *data = rank_body(g, PIECE_BYTES_MAX);

    narrow(g, true, &comm);
    for (uint64_t at = 0; p.rc == 0 && at < plan->bytes; at += p.bytes) {
        const uint64_t left = plan->bytes - at;
        p.bytes = left < PIECE_BYTES_MAX ? (uint32_t)left : PIECE_BYTES_MAX;
        p.rc = read_piece(plan->fd, at, data, p.bytes);
        exchange(comm, &p, sizeof(p), plan);
        if (p.rc == 0)
            exchange(comm, data, p.bytes, plan);
    }
    MPI_Comm_free(&comm);
}

void pictures_give(struct group *g, const struct group_plan *plan)
{
    int said, wait;

    do {
        said = hear(g, 0, plan);
        if (said & SAYS_PULL)
            send_all(g, plan);
        wait = said & SAYS_WAIT;
        if (wait && !(said & SAYS_PULL))
            pause_round();
    } while (wait);
}

/* --- a member --- */

struct taken {
    struct cache_source source;
    struct group *group;
    MPI_Comm comm; /* once it pulls */
    uint64_t have, bytes;
    int said; /* by all, once this rank has said something */
    bool spoke, pulls;
    int rc; /* of the head */
};

static void say(struct taken *t, int what)
{
    t->said = hear(t->group, what, NULL);
    t->spoke = true;
    t->pulls = what & SAYS_PULL;
    if (t->said & SAYS_PULL)
        narrow(t->group, t->pulls, &t->comm);
}

/* The next piece into the group's body. */
static int next_piece(struct taken *t)
{
    struct piece p;

    exchange(t->comm, &p, sizeof(p), NULL);
    if (p.rc < 0)
        return t->rc = p.rc;
    exchange(t->comm, rank_body(t->group, PIECE_BYTES_MAX), p.bytes, NULL);
    t->have += p.bytes;
    return 0;
}

/* The cache asks for all pieces in their order, once. */
static int take(struct cache_source *source, uint64_t offset, uint64_t bytes, const void **ret,
                struct errbuf *why)
{
    struct taken *t = (struct taken *)source;

    if (!t->spoke)
        say(t, SAYS_PULL);
    if (offset != t->have ||
        (t->bytes - offset < PIECE_BYTES_MAX ? t->bytes - offset : PIECE_BYTES_MAX) != bytes)
        return err_set(why, -EINVAL, "piece %llu of a broadcast is asked for at %llu",
                       (unsigned long long)offset, (unsigned long long)t->have);
    if (t->rc == 0)
        next_piece(t);
    *ret = t->group->body;
    return t->rc < 0 ? err_set(why, t->rc, "the head cannot read its copy of the dataset: %s",
                               err_text(t->rc))
                     : 0;
}

/* What a rank that could not keep a piece does not need is sent all the same. */
static void drain(struct taken *t)
{
    while (t->pulls && t->rc == 0 && t->have < t->bytes)
        next_piece(t);
    if (t->pulls)
        MPI_Comm_free(&t->comm);
}

int pictures_take(struct group *g, struct cache *cache, const struct load_command *load,
                  const _Atomic sig_atomic_t *stop, struct cached *ret, struct errbuf *why)
{
    bool over = false, wait;
    int rc = 0;

    do {
        struct taken t = {
            .source = {.get = take}, .group = g, .bytes = load->bytes, .comm = MPI_COMM_NULL};
        struct errbuf note = {""};

        if (!over)
            rc =
                cache_open_from(cache, &t.source, load->sha256, load->bytes, stop, ret, &note, why);
        over = rc != -EWOULDBLOCK;
        if (!t.spoke)
            say(&t, over ? 0 : SAYS_WAIT);
        drain(&t);
        wait = t.said & SAYS_WAIT;
        if (wait && !(t.said & SAYS_PULL))
            pause_round();
    } while (wait);
    return rc;
}
