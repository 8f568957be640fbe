/* What simulated workers do with their sums where the server lets them combine (PROTOCOL.md
 * section 7). What one gives to another may be late, lost, doubled or cut off as all messages. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "tests/sim/journal.h"
#include "tests/sim/worker_internal.h"
#include "tests/sim/world.h"

#define GIVE_US (3 * SECOND) /* it waits for so long for the other one */
#define AGAIN_US (100 * MS)  /* and comes again, where that one did not want it */
#define STALLED_US (500 * MS)

enum kind { GIVES, TAKES, DOES_NOT_WANT, REFUSES };

/* From one worker to another; of all but GIVES, only the number matters. */
struct passed {
    enum kind kind;
    int from;
    int64_t number;
    char token[UUID_BYTES];
    bool broken; /* it lacks a row */
    struct node node;
    uint32_t count, samples;
    size_t floats;
    double sums[SUM_COUNT];
    uint8_t rest[]; /* scores, gradient */
};

static size_t score_bytes(const struct passed *p)
{
    return p->samples * sizeof(struct score);
}

/* --- words --- */

void worker_add_address(const struct worker *w, cJSON *hello)
{
    char address[40];

    if (!w->traits.listens)
        return;
    snprintf(address, sizeof(address), "tcp://10.0.0.%d:7500", w->client.number);
    cJSON_AddStringToObject(hello, "address", address);
}

void worker_forget_sum(struct worker *w)
{
    spoil_done(&w->sum.outcome);
    free(w->sum.came);
    w->sum = (struct joint){.made = false};
    w->turns++;
}

void worker_offer(struct worker *w)
{
    cJSON *fields = cJSON_CreateObject();

    w->turns++;
    w->sum.waits = false;
    worker_add_key(&w->task, fields);
    cJSON_AddNumberToObject(fields, "bytes", (double)(w->floats * sizeof(float)));
    cJSON_AddNumberToObject(fields, "end", w->sum.end);
    if (w->sum.alone)
        cJSON_AddTrueToObject(fields, "alone");
    w->sum.alone = false;
    net_ask(&w->client, "result.offer", fields, NULL, 0, "");
}

static void wait_over(void *arg, int64_t turn)
{
    struct worker *w = arg;

    if (w->turns != turn || w->away)
        return;
    if (w->client.stalled) {
        world_after(STALLED_US, wait_over, w, turn);
        return;
    }
    w->sum.alone = w->sum.giving != 0; /* nobody answered */
    w->sum.giving = 0;
    worker_offer(w);
}

/* Asks again after a while, unless something happens before. */
static void wait_for(struct worker *w, int64_t us)
{
    world_after(us, wait_over, w, ++w->turns);
}

/* --- taking --- */

static float *aligned(const void *from, size_t floats)
{
    float *to = alloc_bytes(floats, sizeof(float));

    memcpy(to, from, floats * sizeof(float));
    return to;
}

/* What came is that of the right child. */
static void add(struct worker *w)
{
    struct joint *s = &w->sum;
    struct passed *p = s->came;
    struct outcome *o = &s->outcome;
    float *left = aligned(o->train.grad, p->floats);
    float *right = aligned(p->rest + score_bytes(p), p->floats);

    node_add(left, right, p->floats);
    node_add_doubles(o->train.sums, p->sums, SUM_COUNT);
    free(right);
    free(o->train.grad);
    o->train.grad = left;
    if (p->samples) {
        o->scores = xrealloc(o->scores, (s->count + p->samples) * sizeof(*o->scores));
        memcpy(o->scores + s->count, p->rest, score_bytes(p));
    }
    s->end = p->node.hi;
    s->count += p->count;
    s->want = (struct node){0, 0};
    s->came = NULL;
    free(p);
    worker_offer(w);
}

static void take(struct worker *w, const struct message *m)
{
    struct joint *s = &w->sum;
    const struct node n = {(uint32_t)fields_number(m, "lo", 0),
                           (uint32_t)fields_number(m, "hi", 0)};

    if (s->want.lo != n.lo || s->want.hi != n.hi) {
        free(s->came);
        s->came = NULL;
        s->want = n;
    }
    if (s->came) {
        add(w);
        return;
    }
    s->waits = true;
    wait_for(w, fields_number(m, "wait_ms", 0) * MS);
}

static bool is_finite(const struct passed *p)
{
    const struct score *scores = (const struct score *)p->rest;
    const float *grad = (const float *)(p->rest + score_bytes(p));
    bool all = true;

    for (size_t i = 0; i < p->floats; i++)
        all = all && isfinite(grad[i]);
    for (int i = 0; i < SUM_COUNT; i++)
        all = all && isfinite(p->sums[i]);
    for (uint32_t i = 0; i < p->samples; i++)
        all = all && isfinite(scores[i].loss);
    return all;
}

static enum kind judge(const struct worker *w, const struct passed *p)
{
    const struct joint *s = &w->sum;

    if (!w->task.token[0] || strcmp(w->task.token, p->token) != 0 || s->came ||
        s->want.lo != p->node.lo || s->want.hi != p->node.hi)
        return DOES_NOT_WANT;
    return p->broken || !is_finite(p) ? REFUSES : TAKES;
}

/* --- giving --- */

static void give(struct worker *w, const struct message *m)
{
    struct joint *s = &w->sum;
    const struct outcome *o = &s->outcome;
    const uint32_t samples = o->scores ? s->count : 0;
    const size_t scores = samples * sizeof(*o->scores), grad = w->floats * sizeof(float);
    const size_t bytes = sizeof(struct passed) + scores + grad;
    struct passed *p = xcalloc(1, bytes);
    char address[40];
    int to = 0;

    *p = (struct passed){.kind = GIVES,
                         .from = w->client.number,
                         .number = ++w->gifts,
                         .broken = s->damage == DAMAGE_ROW,
                         .node = {(uint32_t)w->task.lo, s->end},
                         .count = s->count,
                         .samples = samples,
                         .floats = w->floats};
    fields_text(m, "token", p->token, sizeof(p->token));
    memcpy(p->sums, o->train.sums, sizeof(p->sums));
    if (samples)
        memcpy(p->rest, o->scores, scores);
    memcpy(p->rest + scores, o->train.grad, grad);
    fields_text(m, "address", address, sizeof(address));
    if (sscanf(address, "tcp://10.0.0.%d:", &to) != 1)
        note("violation what=\"a worker is to give to nobody\" worker=%d", w->client.number);
    s->giving = p->number;
    s->giving_to = (uint32_t)fields_number(m, "to", 0);
    net_pass(&w->client, to, p, bytes);
    free(p);
    wait_for(w, GIVE_US);
}

static void take_verdict(struct worker *w, const struct passed *p)
{
    struct joint *s = &w->sum;

    if (s->giving == 0 || s->giving != p->number || w->client.id != 0)
        return;
    s->giving = 0;
    if (p->kind == DOES_NOT_WANT) {
        wait_for(w, AGAIN_US);
        return;
    }
    s->alone = p->kind == REFUSES;
    if (s->alone) {
        worker_offer(w);
        return;
    }
    note("gave from=%d to=%d lo=%" PRId64 " hi=%u", w->client.number, p->from, w->task.lo, s->end);
    w->turns++;
    s->to = s->giving_to;
    worker_send_result(w);
}

/* --- both --- */

void worker_hear(void *arg, const void *bytes, size_t count)
{
    struct worker *w = arg;
    const struct passed *p = bytes;

    if (w->away)
        return;
    if (p->kind != GIVES) {
        take_verdict(w, p);
        return;
    }
    const struct passed answer = {
        .kind = judge(w, p), .from = w->client.number, .number = p->number};
    net_pass(&w->client, p->from, &answer, sizeof(answer));
    if (answer.kind != TAKES)
        return;
    w->sum.came = xmalloc(count);
    memcpy(w->sum.came, p, count);
    if (w->sum.waits)
        add(w);
}

void worker_take_word(struct worker *w, const struct message *m)
{
    char answer[16];

    fields_text(m, "answer", answer, sizeof(answer));
    if (strcmp(answer, "take") == 0) {
        take(w, m);
        return;
    }
    w->sum.want = (struct node){0, 0};
    if (strcmp(answer, "give") == 0) {
        give(w, m);
    } else if (strcmp(answer, "send") == 0) {
        worker_send_result(w);
    } else {
        if (strcmp(answer, "drop") != 0)
            note("violation what=\"an offer is answered by %s\" worker=%d", answer,
                 w->client.number);
        worker_forget_sum(w);
        worker_ask_next(w);
    }
}
