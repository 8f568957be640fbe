#include "worker/combine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/log.h"
#include "worker/link.h"

#define OFFER_MS 10000
#define TAKE_MS_MAX 10000
#define THETA_TRIES 4 /* each waits a second at the other worker */

void combine_open(struct combine *c, const struct duty_options *options, struct halves *halves)
{
    struct errbuf why;

    *c = (struct combine){.key = options->key, .halves = halves};
    if (options->listen && strcmp(options->listen, LINK_NONE) == 0)
        return;
    if (peer_open(options->server, options->key, options->listen, &c->peer, &why) < 0)
        log_warn("worker.listen", "error=\"%s\"", why.text);
}

void combine_done(struct combine *c)
{
    peer_close(c->peer);
    free(c->own);
    free(c->other);
    free(c->scores);
    result_room_done(&c->packed);
    result_room_done(&c->sum.room);
    *c = (struct combine){.peer = NULL};
}

/* --- the server's word --- */

static const char *const words[] = {"send", "wait", "drop", "take", "give", NULL};
enum { WORD_SEND, WORD_WAIT, WORD_DROP, WORD_TAKE, WORD_GIVE };

struct word {
    int what;
    struct node node; /* to take, of so many samples; ask again after a while */
    uint32_t count;
    int64_t wait_ms;
    uint32_t to; /* to give: the number of that worker */
    struct task_peer peer;
};

static int read_take(const cJSON *json, struct word *ret, struct errbuf *why)
{
    int64_t lo = 0, hi = 0, count = 0;
    int rc = field_i64(json, "the answer", "lo", true, 0, UINT32_MAX, &lo, why);

    if (rc == 0)
        rc = field_i64(json, "the answer", "hi", true, lo + 1, UINT32_MAX, &hi, why);
    if (rc == 0)
        rc = field_i64(json, "the answer", "count", true, 1, BATCH_MAX, &count, why);
    if (rc == 0)
        rc = field_i64(json, "the answer", "wait_ms", true, 1, TAKE_MS_MAX, &ret->wait_ms, why);
    ret->node = (struct node){(uint32_t)lo, (uint32_t)hi};
    ret->count = (uint32_t)count;
    return rc;
}

static int read_give(const cJSON *json, struct word *ret, struct errbuf *why)
{
    int64_t to = 0;
    int rc = field_i64(json, "the answer", "to", true, 1, UINT32_MAX, &to, why);

    ret->to = (uint32_t)to;
    return rc < 0 ? rc : task_read_peer(json, &ret->peer, why);
}

/* alone: another worker could not be reached. As talk_call. */
static int ask(const struct talk *t, const struct combined *io, bool alone, struct word *ret,
               struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply = {0};

    *ret = (struct word){.what = WORD_SEND};
    task_add_key(request, io->task);
    cJSON_AddNumberToObject(request, "bytes", (double)(io->floats * sizeof(float)));
    cJSON_AddNumberToObject(request, "end", io->end);
    if (alone)
        cJSON_AddTrueToObject(request, "alone");
    int rc = talk_call(t, MSG_RESULT_OFFER, request, NULL, 0, OFFER_MS, 0, &reply, why);
    cJSON_Delete(request);
    if (rc < 0)
        return rc;
    rc = field_enum(reply.json, "the answer", "answer", true, words, &ret->what, why);
    if (rc == 0 && ret->what == WORD_TAKE)
        rc = read_take(reply.json, ret, why);
    if (rc == 0 && ret->what == WORD_GIVE)
        rc = read_give(reply.json, ret, why);
    message_done(&reply);
    return rc < 0 ? -EBADMSG : 0;
}

/* --- taking --- */

static int reserve(struct combine *c, const struct combined *io, uint32_t count)
{
    if (!io->room)
        return -ENOMEM;
    if (c->floats != io->floats) {
        free(c->own);
        free(c->other);
        c->own = alloc_bytes(io->floats, sizeof(float));
        c->other = alloc_bytes(io->floats, sizeof(float));
        c->floats = c->own && c->other ? io->floats : 0;
    }
    if (c->score_room < count) {
        struct score *scores = realloc(c->scores, count * sizeof(*scores));
        if (!scores)
            return -ENOMEM;
        c->scores = scores;
        c->score_room = count;
    }
    return c->floats == 0 ? -ENOMEM : 0;
}

/* What is combined is kept apart from the task's own result. */
static int keep_own(struct combine *c, struct combined *io, uint32_t count)
{
    int rc = reserve(c, io, count);

    if (rc < 0)
        return rc;
    if (io->result.grad != c->own) {
        halves_copy(c->halves, c->own, io->result.grad, io->floats * sizeof(float));
        memcpy(c->sums, io->result.sums, sizeof(c->sums));
        if (io->result.scores)
            memcpy(c->scores, io->result.scores, io->count * sizeof(*c->scores));
    }
    io->result.grad = c->own;
    io->result.sums = c->sums;
    io->result.scores = io->result.scores ? c->scores : NULL;
    return 0;
}

static void add_floats(void *arg, size_t first, size_t end)
{
    struct combine *c = arg;

    node_add(c->own + first, c->other + first, end - first);
}

/* What came is that of the right child, what is there of the left one. */
static void add(struct combine *c, struct combined *io, const struct word *w)
{
    halves_run(c->halves, c->floats, add_floats, c);
    node_add_doubles(c->sums, c->sum.result.sums, SUM_COUNT);
    if (io->result.scores)
        memcpy(c->scores + io->count, c->sum.result.scores, w->count * sizeof(*c->scores));
    io->end = w->node.hi;
    io->count += w->count;
}

/* Waits a while for the sum that the word names. 0, or -ENOMEM. */
static int take(struct combine *c, struct combined *io, const struct word *w)
{
    const enum phase phase = (enum phase)io->task->phase;
    struct peer_sum *s = &c->sum;

    if (s->node.lo != w->node.lo || s->node.hi != w->node.hi) {
        int rc = keep_own(c, io, io->count + w->count);
        if (rc < 0)
            return rc;
        peer_unwant(c->peer); /* nobody reads it while it changes */
        s->node = w->node;
        s->shape = result_shape(phase, io->fused, io->floats, w->count, 0);
        s->shape.floats = 0;
        s->floats = io->floats;
        s->grad = c->other;
        peer_want(c->peer, s);
    }
    if (peer_wait(c->peer, (int)w->wait_ms) == 0) {
        peer_unwant(c->peer);
        s->node = (struct node){0, 0};
        add(c, io, w);
    }
    return 0;
}

/* --- giving --- */

/* Asks the other worker; 0: it says yes, -EAGAIN: it says no, or -errno. */
static int tell(struct link *l, cJSON *request, const struct tensor *tensors, int count,
                struct message *ret, struct errbuf *why)
{
    struct message reply = {0};
    bool ok = false;
    int rc = link_say(l, request, tensors, count, why);

    cJSON_Delete(request);
    if (rc == 0)
        rc = link_hear(l, &reply, why);
    if (rc == 0)
        rc = field_bool(reply.json, "a worker", "ok", true, &ok, why);
    if (rc == 0 && !ok)
        rc = err_set(why, -EAGAIN, "the other worker does not want it");
    if (rc == 0 && ret)
        *ret = reply;
    else
        message_done(&reply);
    return rc;
}

static cJSON *request_of(const char *type, const struct task_peer *peer)
{
    cJSON *request = cJSON_CreateObject();

    cJSON_AddStringToObject(request, "type", type);
    cJSON_AddStringToObject(request, "token", peer->token);
    return request;
}

static size_t piece_bytes(size_t bytes, size_t offset)
{
    return bytes - offset < PIECE_BYTES_MAX ? bytes - offset : PIECE_BYTES_MAX;
}

/* The rest of a result, behind its pieces. */
static int tell_rest(struct combine *c, const struct combined *io, struct link *l,
                     const struct task_peer *peer, struct errbuf *why)
{
    struct result_shape shape =
        result_shape((enum phase)io->task->phase, io->fused, io->floats, io->count, 0);
    struct tensor tensors[RESULT_PARTS];
    int rc = result_room(&c->packed, shape.samples, why);

    if (rc < 0)
        return rc;
    shape.floats = 0;
    const int count = result_pack(&shape, &io->result, &c->packed, tensors);
    return tell(l, request_of("sum", peer), tensors, count, NULL, why);
}

/* 0; -EAGAIN: the other worker does not take it now; else it cannot be reached. */
static int give(struct combine *c, const struct combined *io, const struct word *w,
                struct errbuf *why)
{
    const size_t bytes = io->floats * sizeof(float);
    cJSON *request = request_of("give", &w->peer);
    bool begun = false;
    struct link l;

    cJSON_AddNumberToObject(request, "lo", (double)io->task->lo);
    cJSON_AddNumberToObject(request, "hi", io->end);
    int rc = link_open(&l, w->peer.address, c->key, why);
    if (rc < 0) {
        cJSON_Delete(request);
        return rc;
    }
    rc = tell(&l, request, NULL, 0, NULL, why);
    begun = rc == 0;
    for (size_t at = 0; rc == 0 && at < bytes; at += PIECE_BYTES_MAX) {
        const struct tensor piece = tensor_1d("piece", DTYPE_U8, piece_bytes(bytes, at),
                                              (const char *)io->result.grad + at);
        request = request_of("piece", &w->peer);
        cJSON_AddNumberToObject(request, "piece", (double)(at / PIECE_BYTES_MAX));
        rc = tell(&l, request, &piece, 1, NULL, why);
    }
    if (rc == 0)
        rc = tell_rest(c, io, &l, &w->peer, why);
    link_close(&l);
    return rc == -EAGAIN && begun ? -EPIPE : rc;
}

/* --- both --- */

int combine_sum(struct combine *c, const struct talk *t, struct combined *io, struct errbuf *why)
{
    bool alone = false;
    int rc;

    io->to = 0;
    c->sum.node = (struct node){0, 0};
    for (;;) {
        struct errbuf said = {""};
        struct word w;

        rc = ask(t, io, alone, &w, why);
        if (rc < 0 || w.what == WORD_SEND || w.what == WORD_WAIT)
            break;
        if (w.what == WORD_DROP) {
            rc = -EALREADY;
            break;
        }
        if (w.what == WORD_TAKE) {
            alone = take(c, io, &w) < 0;
            continue;
        }
        rc = give(c, io, &w, &said);
        if (rc == 0) {
            io->to = w.to;
            log_debug("sum.give", "job=%lld step=%lld lo=%lld hi=%u to=%u",
                      (long long)io->task->job, (long long)io->task->step, (long long)io->task->lo,
                      io->end, w.to);
            break;
        }
        alone = rc != -EAGAIN;
        if (alone)
            log_warn("worker.alone", "address=%s error=\"%s\"", w.peer.address, said.text);
    }
    peer_unwant(c->peer);
    return rc;
}

/* --- theta --- */

/* The same piece of theta from another worker. 0 or -errno. */
static int hear_piece(struct link *l, const struct task_peer *from, size_t offset, size_t bytes,
                      void *out)
{
    const uint64_t shape[] = {bytes};
    struct message m = {0};
    const struct tensor *piece;
    struct errbuf why;
    int rc = -EAGAIN;

    for (int tries = 0; rc == -EAGAIN && tries < THETA_TRIES; tries++) {
        cJSON *request = request_of("theta", from);
        cJSON_AddNumberToObject(request, "offset", (double)offset);
        cJSON_AddNumberToObject(request, "bytes", (double)bytes);
        rc = tell(l, request, NULL, 0, &m, &why);
    }
    if (rc < 0)
        return rc;
    rc = message_tensor(&m, "piece", DTYPE_U8, 1, shape, &piece, &why);
    if (rc == 0)
        memcpy(out, piece->data, bytes);
    message_done(&m);
    return rc;
}

int combine_theta(struct combine *c, const struct talk *t, const struct task *task,
                  const cJSON *key, size_t bytes, float *out, struct errbuf *why)
{
    struct link l = {.fd = -1};
    struct errbuf said;
    int rc = 0;

    if (task->source.address[0] && link_open(&l, task->source.address, c->key, &said) < 0)
        log_warn("worker.source", "error=\"%s\"", said.text);
    for (size_t at = 0; rc == 0 && at < bytes; at += PIECE_BYTES_MAX) {
        const size_t part = piece_bytes(bytes, at);
        char *to = (char *)out + at;
        if (l.fd >= 0 && hear_piece(&l, &task->source, at, part, to) < 0)
            link_close(&l);
        if (l.fd < 0)
            rc = talk_fetch_piece(t, key, at, part, to, why);
        if (rc == 0)
            peer_show(c->peer, out, at + part);
    }
    link_close(&l);
    return rc;
}
