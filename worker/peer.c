/* A thread waits for connections, and each connection has one of its own, which reads a request,
 * answers it and waits for the next. All that they share is under one lock. */
#define _GNU_SOURCE /* accept4 */
#include "worker/peer.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/field.h"
#include "common/floats.h"
#include "common/text.h"
#include "proto/address.h"
#include "worker/link.h"

#define LINKS_MAX 64
#define PATIENCE_MS 1000 /* a request that comes too early waits for so long */
#define REST_MS 100      /* when there are no files or threads for a connection */

/* A connection, until it has shown that it is a worker, may have to make room for another one. */
enum visitor { VISITOR_NONE, VISITOR_STRANGER, VISITOR_WORKER, VISITOR_LEAVING };

struct place {
    enum visitor visitor;
    int fd;
    uint64_t number; /* the later it came the larger */
};

enum want { WANT_NOTHING, WANT_OPEN, WANT_COMING, WANT_HERE };

struct peer {
    pthread_mutex_t lock;
    pthread_cond_t changed, idle;
    pthread_t thread;
    int fd;
    const char *key;
    char address[ADDRESS_BYTES_MAX];
    _Atomic bool stop;
    struct place places[LINKS_MAX]; /* of connections */
    int link_count;
    uint64_t last_number;

    char token[UUID_BYTES];
    const char *theta;
    size_t theta_have;
    enum want want;
    struct peer_sum *sum;
    uint64_t have;         /* a bit for each piece of it */
    const struct link *by; /* who brings it */
};

/* --- what the worker says --- */

const char *peer_address(const struct peer *p)
{
    return p ? p->address : NULL;
}

/* Under the lock. */
static void set_want(struct peer *p, enum want want, const struct link *by)
{
    p->want = want;
    p->by = by;
    p->have = 0;
    pthread_cond_broadcast(&p->changed);
}

void peer_begin(struct peer *p, const char *token)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    snprintf(p->token, sizeof(p->token), "%s", token);
    p->theta = NULL;
    p->theta_have = 0;
    set_want(p, WANT_NOTHING, NULL);
    pthread_mutex_unlock(&p->lock);
}

void peer_show(struct peer *p, const float *theta, size_t have)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->theta = (const char *)theta;
    p->theta_have = have;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

void peer_hide(struct peer *p)
{
    peer_show(p, NULL, 0);
}

void peer_want(struct peer *p, struct peer_sum *sum)
{
    pthread_mutex_lock(&p->lock);
    p->sum = sum;
    set_want(p, WANT_OPEN, NULL);
    pthread_mutex_unlock(&p->lock);
}

void peer_unwant(struct peer *p)
{
    pthread_mutex_lock(&p->lock);
    set_want(p, WANT_NOTHING, NULL);
    p->sum = NULL;
    pthread_mutex_unlock(&p->lock);
}

static struct timespec in_ms(int ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

int peer_wait(struct peer *p, int ms)
{
    const struct timespec end = in_ms(ms);
    int rc = 0;

    pthread_mutex_lock(&p->lock);
    while (p->want != WANT_HERE && rc == 0)
        rc = pthread_cond_timedwait(&p->changed, &p->lock, &end);
    rc = p->want == WANT_HERE ? 0 : -EAGAIN;
    pthread_mutex_unlock(&p->lock);
    return rc;
}

/* --- what others ask --- */

static const char *const requests[] = {"theta", "give", "piece", "sum", NULL};
enum { ASK_THETA, ASK_GIVE, ASK_PIECE, ASK_SUM };

struct request {
    int what;
    const char *token;
    int64_t offset, bytes; /* theta */
    int64_t lo, hi;        /* give */
    int64_t piece;
};

static int read_request(const struct message *m, struct request *ret, struct errbuf *why)
{
    const cJSON *json = m->json;

    *ret = (struct request){.what = -1};
    int rc = field_enum(json, "a worker", "type", true, requests, &ret->what, why);
    if (rc == 0)
        rc = field_str(json, "a worker", "token", true, UUID_BYTES, &ret->token, why);
    if (rc == 0 && ret->what == ASK_THETA)
        rc = field_i64(json, "theta", "offset", true, 0,
                       (int64_t)PARAM_FLOATS_MAX * (int64_t)sizeof(float), &ret->offset, why);
    if (rc == 0 && ret->what == ASK_THETA)
        rc = field_i64(json, "theta", "bytes", true, 1, PIECE_BYTES_MAX, &ret->bytes, why);
    if (rc == 0 && ret->what == ASK_GIVE)
        rc = field_i64(json, "give", "lo", true, 0, UINT32_MAX, &ret->lo, why);
    if (rc == 0 && ret->what == ASK_GIVE)
        rc = field_i64(json, "give", "hi", true, 1, UINT32_MAX, &ret->hi, why);
    if (rc == 0 && ret->what == ASK_PIECE)
        rc = field_i64(json, "piece", "piece", true, 0, PIECES_MAX - 1, &ret->piece, why);
    return rc;
}

/* The others are under the lock. */
static bool knows(const struct peer *p, const struct request *rq)
{
    return p->token[0] && strcmp(p->token, rq->token) == 0;
}

/* Waits until what it asks for is there. False: it does not come. */
static bool is_there(const struct peer *p, const struct request *rq)
{
    if (!knows(p, rq))
        return false;
    if (rq->what == ASK_THETA)
        return p->theta && (size_t)(rq->offset + rq->bytes) <= p->theta_have;
    return p->want == WANT_OPEN && p->sum->node.lo == (uint32_t)rq->lo &&
           p->sum->node.hi == (uint32_t)rq->hi;
}

static bool await(struct peer *p, const struct request *rq)
{
    const struct timespec end = in_ms(PATIENCE_MS);
    int rc = 0;

    while (!is_there(p, rq) && !p->stop && rc == 0)
        rc = pthread_cond_timedwait(&p->changed, &p->lock, &end);
    return !p->stop && is_there(p, rq);
}

/* Copies a piece of theta; malloc, NULL: it is not there. */
static void *take_theta(struct peer *p, const struct request *rq)
{
    void *copy = alloc_bytes((size_t)rq->bytes, 1);

    if (!copy)
        return NULL;
    pthread_mutex_lock(&p->lock);
    const bool there = await(p, rq);
    if (there)
        memcpy(copy, p->theta + rq->offset, (size_t)rq->bytes);
    pthread_mutex_unlock(&p->lock);
    if (!there)
        free(copy);
    return there ? copy : NULL;
}

static size_t piece_bytes(const struct peer_sum *s, size_t piece)
{
    const size_t bytes = s->floats * sizeof(float), at = piece * PIECE_BYTES_MAX;

    return at >= bytes ? 0 : bytes - at < PIECE_BYTES_MAX ? bytes - at : PIECE_BYTES_MAX;
}

/* What is not finite is refused, so that its maker reports it, and it counts against nobody else.
 */
static bool keep_piece(struct peer *p, const struct link *by, const struct request *rq,
                       const struct message *m)
{
    const struct tensor *t;
    struct errbuf why;

    if (p->want != WANT_COMING || p->by != by ||
        message_tensor(m, "piece", DTYPE_U8, 1, NULL, &t, &why) < 0 || t->bytes == 0 ||
        t->bytes != piece_bytes(p->sum, (size_t)rq->piece))
        return false;
    if (!floats_copy_finite(p->sum->grad + (size_t)rq->piece * INLINE_FLOATS_MAX, t->data,
                            t->bytes / sizeof(float)))
        return false;
    p->have |= UINT64_C(1) << rq->piece;
    return true;
}

static bool is_finite(const struct result *r, uint32_t samples)
{
    bool all = r->sums[SUM_WEIGHT] > 0;

    for (enum sum i = 0; i < SUM_COUNT; i++)
        all = all && isfinite(r->sums[i]);
    for (uint32_t i = 0; all && i < samples; i++)
        all = score_is_finite(&r->scores[i]);
    return all;
}

/* The last word about a sum whose pieces are there. */
static bool keep_rest(struct peer *p, const struct link *by, const struct message *m)
{
    const size_t pieces =
        p->sum ? (p->sum->floats * sizeof(float) + PIECE_BYTES_MAX - 1) / PIECE_BYTES_MAX : 0;
    struct errbuf why;

    if (p->want != WANT_COMING || p->by != by || (size_t)__builtin_popcountll(p->have) != pieces ||
        result_unpack(m, &p->sum->shape, &p->sum->room, &p->sum->result, &why) < 0 ||
        !is_finite(&p->sum->result, p->sum->shape.samples))
        return false;
    set_want(p, WANT_HERE, NULL);
    return true;
}

/* True: yes. */
static bool take(struct peer *p, const struct link *by, const struct request *rq,
                 const struct message *m)
{
    bool yes;

    pthread_mutex_lock(&p->lock);
    if (rq->what == ASK_GIVE) {
        yes = await(p, rq);
        if (yes)
            set_want(p, WANT_COMING, by);
    } else {
        yes = knows(p, rq) &&
              (rq->what == ASK_PIECE ? keep_piece(p, by, rq, m) : keep_rest(p, by, m));
    }
    pthread_mutex_unlock(&p->lock);
    return yes;
}

/* 0, or -errno: the connection ends. */
static int answer(struct peer *p, struct link *l, const struct message *m)
{
    cJSON *out;
    struct request rq;
    struct errbuf why;
    int rc = read_request(m, &rq, &why);
    void *piece = NULL;
    bool yes;

    if (rc < 0)
        return rc;
    if (rq.what == ASK_THETA)
        yes = (piece = take_theta(p, &rq)) != NULL;
    else
        yes = take(p, l, &rq, m);
    out = cJSON_CreateObject();
    cJSON_AddBoolToObject(out, "ok", yes);
    const struct tensor t = tensor_1d("piece", DTYPE_U8, (uint64_t)rq.bytes, piece);
    rc = link_say(l, out, &t, piece ? 1 : 0, &why);
    cJSON_Delete(out);
    free(piece);
    return rc;
}

/* --- connections --- */

struct visit {
    struct peer *peer;
    struct place *place;
    int fd;
};

static void leave(struct peer *p, struct link *l, struct place *place)
{
    pthread_mutex_lock(&p->lock);
    if (p->by == l && p->want == WANT_COMING) /* somebody may bring it anew */
        set_want(p, WANT_OPEN, NULL);
    place->visitor = VISITOR_NONE;
    p->link_count--;
    link_close(l);
    pthread_cond_broadcast(&p->idle);
    pthread_mutex_unlock(&p->lock);
}

static void admit(struct peer *p, struct place *place)
{
    pthread_mutex_lock(&p->lock);
    if (place->visitor == VISITOR_STRANGER)
        place->visitor = VISITOR_WORKER;
    pthread_mutex_unlock(&p->lock);
}

static void *serve(void *arg)
{
    const struct visit v = *(struct visit *)arg;
    struct message m = {.json = NULL};
    struct errbuf why;
    struct link l;

    free(arg);
    int rc = link_accept(&l, v.fd, v.peer->key);
    if (rc == 0)
        admit(v.peer, v.place);
    while (rc == 0 && link_hear(&l, &m, &why) == 0) {
        rc = answer(v.peer, &l, &m);
        message_done(&m);
    }
    leave(v.peer, &l, v.place);
    return NULL;
}

static struct place *free_place(struct peer *p)
{
    struct place *place = p->places;

    while (place < p->places + LINKS_MAX && place->visitor != VISITOR_NONE)
        place++;
    return place < p->places + LINKS_MAX ? place : NULL;
}

/* Whoever is there for longest without having shown a key goes, so that nobody who has none keeps
 * workers out. */
static void send_away(struct peer *p)
{
    struct place *oldest = NULL;

    for (struct place *place = p->places; place < p->places + LINKS_MAX; place++)
        if (place->visitor == VISITOR_STRANGER && (!oldest || place->number < oldest->number))
            oldest = place;
    if (!oldest)
        return;
    oldest->visitor = VISITOR_LEAVING;
    shutdown(oldest->fd, SHUT_RDWR); /* its thread sees it, and leaves */
}

/* NULL: all are taken. */
static struct place *make_place(struct peer *p)
{
    const struct timespec end = in_ms(REST_MS);
    struct place *place = free_place(p);
    int rc = 0;

    if (!place)
        send_away(p);
    while (!(place = free_place(p)) && !p->stop && rc == 0)
        rc = pthread_cond_timedwait(&p->idle, &p->lock, &end);
    return place;
}

/* A thread for the connection. False: there is no place, and it was closed. */
static bool receive(struct peer *p, int fd)
{
    struct visit *v = xcalloc(1, sizeof(*v));
    pthread_attr_t attr;
    pthread_t thread;

    pthread_mutex_lock(&p->lock);
    struct place *place = make_place(p);
    *v = (struct visit){p, place, fd};
    bool taken = place && !p->stop;
    if (taken) {
        *place = (struct place){VISITOR_STRANGER, fd, ++p->last_number};
        p->link_count++;
        pthread_attr_init(&attr);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        taken = pthread_create(&thread, &attr, serve, v) == 0;
        pthread_attr_destroy(&attr);
        if (!taken) {
            place->visitor = VISITOR_NONE;
            p->link_count--;
        }
    }
    pthread_mutex_unlock(&p->lock);
    if (!taken) {
        close(fd);
        free(v);
    }
    return taken;
}

static void *listen_on(void *arg)
{
    const struct timespec rest = {.tv_nsec = REST_MS * 1000000L};
    struct peer *p = arg;

    while (!p->stop) {
        int fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0 ? errno != EINTR && errno != ECONNABORTED : !receive(p, fd))
            nanosleep(&rest, NULL);
    }
    return NULL;
}

int peer_open(const char *server, const char *key, const char *listen, struct peer **ret,
              struct errbuf *why)
{
    struct peer *p = xcalloc(1, sizeof(*p));
    pthread_condattr_t attr;
    sigset_t all, before;

    p->fd = link_listen(server, key, listen, p->address, why);
    if (p->fd < 0) {
        int rc = p->fd;
        free(p);
        return rc;
    }
    p->key = address_is_ipc(p->address) ? NULL : key;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &attr);
    pthread_cond_init(&p->idle, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all); /* signals are for the thread that computes */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = -pthread_create(&p->thread, NULL, listen_on, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc < 0) {
        close(p->fd);
        free(p);
        return err_set(why, rc, "no thread to listen for other workers: %s", err_text(rc));
    }
    *ret = p;
    return 0;
}

void peer_close(struct peer *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->changed);
    shutdown(p->fd, SHUT_RDWR); /* wakes the thread that accepts */
    for (int i = 0; i < LINKS_MAX; i++)
        if (p->places[i].visitor != VISITOR_NONE)
            shutdown(p->places[i].fd, SHUT_RDWR);
    while (p->link_count > 0)
        pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    close(p->fd);
    pthread_cond_destroy(&p->changed);
    pthread_cond_destroy(&p->idle);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
