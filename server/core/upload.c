/* Two short lists: at most UPLOADS_MAX admitted, and a line a worker that waits. */
#include "server/core/upload.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/floats.h"

#define SLOW_BYTES_MS 128 /* what is slower gives way */

struct upload {
    struct node node;
    uint32_t worker, hand;
    int64_t moved_ms; /* when it was admitted, or its last new piece came */
    int64_t deadline_ms;
    float *buf;
    double *doubles;
    uint64_t have; /* a bit a piece */
};

struct waiting {
    struct node node;
    uint32_t worker;
    int64_t deadline_ms;
};

struct uploads {
    struct reduce *reduce;
    size_t floats, piece_floats;
    uint32_t pieces;
    struct upload list[UPLOADS_MAX];
    uint32_t count;
    struct waiting *waiting;
    uint32_t waiting_count, waiting_cap;
};

const char *const upload_answer_names[] = {
    [UPLOAD_SEND] = "send", [UPLOAD_WAIT] = "wait", [UPLOAD_DROP] = "drop", NULL};

struct uploads *uploads_create(struct reduce *reduce, size_t floats, size_t piece_floats)
{
    struct uploads *u = xcalloc(1, sizeof(*u));

    u->reduce = reduce;
    u->floats = floats;
    u->piece_floats = piece_floats;
    u->pieces = (uint32_t)((floats + piece_floats - 1) / piece_floats);
    assert(u->pieces >= 1 && u->pieces <= PIECES_MAX);
    return u;
}

void uploads_free(struct uploads *u)
{
    if (!u)
        return;
    free(u->waiting);
    free(u);
}

uint32_t uploads_pieces(const struct uploads *u)
{
    return u->pieces;
}

uint32_t uploads_admitted(const struct uploads *u)
{
    return u->count;
}

static bool same_node(struct node a, struct node b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

/* Takes the upload out of the list; its buffer is the caller's. */
static void take_out(struct uploads *u, struct upload *up)
{
    *up = u->list[--u->count];
}

static void give_up(struct uploads *u, struct upload *up)
{
    reduce_drop(u->reduce, up->buf);
    take_out(u, up);
}

static void stop_waiting(struct uploads *u, uint32_t i)
{
    u->waiting[i] = u->waiting[--u->waiting_count];
}

static void leave_line(struct uploads *u, uint32_t worker)
{
    for (uint32_t i = u->waiting_count; i-- > 0;)
        if (u->waiting[i].worker == worker)
            stop_waiting(u, i);
}

static struct upload *find(struct uploads *u, uint32_t worker, struct node n)
{
    for (uint32_t i = 0; i < u->count; i++)
        if (u->list[i].worker == worker && same_node(u->list[i].node, n))
            return &u->list[i];
    return NULL;
}

static struct upload *of_node(struct uploads *u, struct node n)
{
    for (uint32_t i = 0; i < u->count; i++)
        if (same_node(u->list[i].node, n))
            return &u->list[i];
    return NULL;
}

/* Has it stood still for too long for a worker of this hand to wait for it? */
static bool gives_way(const struct uploads *u, const struct upload *up, uint32_t hand,
                      int64_t now_ms)
{
    return up->hand != hand &&
           now_ms - up->moved_ms >
               UPLOAD_SLOW_MS + (int64_t)(u->piece_floats * sizeof(float) / SLOW_BYTES_MS);
}

/* With all places taken: one that gives way to this hand, or NULL. */
static struct upload *slow_one(struct uploads *u, uint32_t hand, int64_t now_ms)
{
    for (uint32_t i = 0; u->count == UPLOADS_MAX && i < u->count; i++)
        if (gives_way(u, &u->list[i], hand, now_ms))
            return &u->list[i];
    return NULL;
}

/* How many waiting workers have a lower node. */
static uint32_t before(const struct uploads *u, struct node n)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < u->waiting_count; i++)
        count += u->waiting[i].node.lo < n.lo;
    return count;
}

static void wait_in_line(struct uploads *u, uint32_t worker, struct node n, int64_t now_ms)
{
    if (u->waiting_count == u->waiting_cap) {
        u->waiting_cap = u->waiting_cap ? 2 * u->waiting_cap : 16;
        u->waiting = xrealloc(u->waiting, u->waiting_cap * sizeof(*u->waiting));
    }
    u->waiting[u->waiting_count++] = (struct waiting){n, worker, now_ms + UPLOAD_PATIENCE_MS};
}

/* up: of the worker, the hand, the node and the times. */
static int admit(struct uploads *u, struct upload *up)
{
    up->buf = reduce_buffer(u->reduce, &up->doubles);
    if (!up->buf)
        return -ENOMEM;
    u->list[u->count++] = *up;
    return UPLOAD_SEND;
}

int uploads_offer(struct uploads *u, uint32_t worker, uint32_t hand, struct node n, int64_t now_ms,
                  int64_t ttl_ms, uint64_t *ret_have)
{
    struct upload new = {.node = n,
                         .worker = worker,
                         .hand = hand,
                         .moved_ms = now_ms,
                         .deadline_ms = now_ms + ttl_ms};

    uploads_expire(u, now_ms);
    struct upload *up = find(u, worker, n);
    if (up) {
        up->deadline_ms = new.deadline_ms;
        *ret_have = up->have;
        return UPLOAD_SEND;
    }
    uploads_abandon(u, worker);
    *ret_have = 0;
    struct upload *sent = of_node(u, n), *slow = sent ? sent : slow_one(u, hand, now_ms);
    if (sent && !gives_way(u, sent, hand, now_ms))
        return UPLOAD_WAIT;
    if (slow)
        give_up(u, slow);
    if (slow || u->count + before(u, n) < UPLOADS_MAX)
        return admit(u, &new);
    wait_in_line(u, worker, n, now_ms);
    return UPLOAD_WAIT;
}

static size_t floats_of(const struct uploads *u, uint32_t piece)
{
    size_t left = u->floats - piece * u->piece_floats;

    return left < u->piece_floats ? left : u->piece_floats;
}

int uploads_put(struct uploads *u, uint32_t worker, struct node n, int64_t piece, const void *data,
                size_t bytes, int64_t now_ms, int64_t ttl_ms, struct errbuf *why)
{
    struct upload *up = find(u, worker, n);

    if (!up)
        return -ENOENT;
    if (piece < 0 || piece >= u->pieces)
        return err_set(why, -EINVAL, "piece is %lld, allowed is 0 to %u", (long long)piece,
                       u->pieces - 1);
    const size_t count = floats_of(u, (uint32_t)piece);
    if (bytes != count * sizeof(float))
        return err_set(why, -EINVAL, "piece %lld has %zu bytes, expected %zu", (long long)piece,
                       bytes, count * sizeof(float));
    up->deadline_ms = now_ms + ttl_ms;
    float *place = up->buf + (size_t)piece * u->piece_floats;
    if (up->have >> piece & 1)
        return memcmp(place, data, bytes) == 0
                   ? 0
                   : err_set(why, -EINVAL, "piece %lld has already come with other bytes",
                             (long long)piece);
    if (!floats_copy_finite(place, data, count))
        return err_set(why, -EDOM, "piece %lld holds NaN or infinity", (long long)piece);
    up->have |= UINT64_C(1) << piece;
    up->moved_ms = now_ms;
    return 0;
}

int uploads_take(struct uploads *u, uint32_t worker, struct node n, float **ret,
                 double **ret_doubles, struct errbuf *why)
{
    struct upload *up = find(u, worker, n);

    if (!up)
        return -ENOENT;
    unsigned have = (unsigned)__builtin_popcountll(up->have);
    if (have < u->pieces)
        return err_set(why, -ENODATA, "%u of the gradient's %u pieces have come", have, u->pieces);
    *ret = up->buf;
    *ret_doubles = up->doubles;
    take_out(u, up);
    return 0;
}

void uploads_close(struct uploads *u, struct node n)
{
    for (uint32_t i = u->count; i-- > 0;)
        if (same_node(u->list[i].node, n))
            give_up(u, &u->list[i]);
    for (uint32_t i = u->waiting_count; i-- > 0;)
        if (same_node(u->waiting[i].node, n))
            stop_waiting(u, i);
}

void uploads_abandon(struct uploads *u, uint32_t worker)
{
    for (uint32_t i = u->count; i-- > 0;)
        if (u->list[i].worker == worker)
            give_up(u, &u->list[i]);
    leave_line(u, worker);
}

uint32_t uploads_expire(struct uploads *u, int64_t now_ms)
{
    uint32_t expired = 0;

    for (uint32_t i = u->count; i-- > 0;)
        if (u->list[i].deadline_ms <= now_ms) {
            give_up(u, &u->list[i]);
            expired++;
        }
    for (uint32_t i = u->waiting_count; i-- > 0;)
        if (u->waiting[i].deadline_ms <= now_ms)
            stop_waiting(u, i);
    return expired;
}

void uploads_reset(struct uploads *u)
{
    while (u->count > 0)
        give_up(u, &u->list[0]);
    u->waiting_count = 0;
}
