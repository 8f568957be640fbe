/* The keys of the workers: how each stands, a number for each (its hand, core/check.h), and those
 * that were found to have lied. These are on the disk; an administrator may trust them again. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/jobs/service.h"
#include "server/jobs/workers_internal.h"
#include "server/net/op.h"

#define ASIDE_MS 30000
#define ASIDE_MAX_MS 600000
#define AGAIN_MS 5000 /* when a liar's name could not be written */

const char *standing_name(const char *key)
{
    return key[0] ? key : "this machine";
}

struct standing *standing_find(const struct workers *w, const char *key)
{
    struct standing *s = w->standings;

    while (s && strcmp(s->key, key) != 0)
        s = s->next;
    return s;
}

struct standing *standing_make(struct workers *w, const char *key)
{
    struct standing *s = standing_find(w, key);

    if (s)
        return s;
    s = xcalloc(1, sizeof(*s));
    snprintf(s->key, sizeof(s->key), "%s", key);
    s->next = w->standings;
    w->standings = s;
    return s;
}

int64_t standing_longer(int64_t *io_ms)
{
    int64_t ms = *io_ms ? 2 * *io_ms : ASIDE_MS;

    *io_ms = ms < ASIDE_MAX_MS ? ms : ASIDE_MAX_MS;
    return *io_ms;
}

void standing_set_aside(struct workers *w, struct standing *s, int64_t until_ms)
{
    s->aside_until_ms = until_ms;
    for (struct worker *o = w->list; o; o = o->next)
        if (strcmp(o->key_name, s->key) == 0 && o->aside_until_ms < until_ms) {
            o->aside_until_ms = until_ms;
            worker_release(w, o);
        }
}

void standing_let_back(struct workers *w, struct standing *s)
{
    for (struct worker *o = w->list; o; o = o->next)
        if (strcmp(o->key_name, s->key) == 0 && o->aside_until_ms == s->aside_until_ms)
            o->aside_until_ms = 0;
    s->aside_until_ms = 0;
    s->aside_for_lost = false;
}

void worker_take_standing(struct workers *w, struct worker *worker)
{
    const struct standing *s = standing_find(w, worker->key_name);

    worker->hand = hand_of_key(w, worker->key_name);
    if (s && s->aside_until_ms > worker->aside_until_ms)
        worker->aside_until_ms = s->aside_until_ms;
}

/* --- hands --- */

uint32_t hand_of_key(struct workers *w, const char *key)
{
    for (uint32_t i = 0; i < w->hand_count; i++)
        if (strcmp(w->hands[i], key) == 0)
            return i;
    w->hands = xrealloc(w->hands, (w->hand_count + 1) * sizeof(*w->hands));
    snprintf(w->hands[w->hand_count], sizeof(*w->hands), "%s", key);
    return w->hand_count++;
}

uint32_t workers_hand_of(void *arg, uint32_t number)
{
    const struct workers *w = arg;
    const struct worker *worker = w->list;

    while (worker && worker->number != number)
        worker = worker->next;
    return worker ? worker->hand : UINT32_MAX; /* that of none */
}

/* --- those that lie --- */

struct lie {
    char key[NAME_MAX_BYTES], text[sizeof(((struct standing *)NULL)->lie)];
    bool over; /* it is trusted again */
};

static void lie_work(struct op *op)
{
    const struct lie *l = op->arg;
    struct store *store = op->service->store;

    op->rc = l->over ? store_liar_remove(store, l->key, &op->why)
                     : store_liar_put(store, l->key, l->text, &op->why);
}

/* Until its name is on the disk no job goes on that is to do without it (workers_liars_kept). */
static void lie_done(struct op *op)
{
    struct lie *l = op->arg;
    struct workers *w = op->service->workers;
    struct standing *s = standing_find(w, l->key);

    if (op->rc < 0)
        log_error("key.liar", "key=\"%s\" error=\"%s\"", standing_name(l->key), op->why.text);
    if (s && !l->over) {
        s->unwritten = op->rc < 0;
        s->writing = false;
        s->again_ms = clock_mono_ms() + AGAIN_MS;
    }
    if (s && l->over && op->rc == 0) {
        s->lie[0] = 0;
        standing_let_back(w, s);
        log_info("key.trusted", "key=\"%s\"", standing_name(l->key));
    }
    if (op->rq && op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
    } else if (op->rq) {
        cJSON *out = cJSON_CreateObject();
        cJSON_AddStringToObject(out, "key", standing_name(l->key));
        request_reply(op->rq, out, NULL, 0);
    }
    if (op->rc == 0)
        jobs_distrust_noted(op->service->jobs);
    workers_wake(w);
    free(l);
}

static void write_lie(struct workers *w, struct standing *s, bool over, struct request *rq)
{
    struct lie *l = xcalloc(1, sizeof(*l));

    memcpy(l->key, s->key, sizeof(l->key));
    memcpy(l->text, s->lie, sizeof(l->text));
    l->over = over;
    s->writing |= !over;
    op_run(
        w->service->net->store_lane,
        (struct op){.rq = rq, .service = w->service, .arg = l, .work = lie_work, .done = lie_done});
}

void workers_distrust(struct workers *w, uint32_t hand, const char *text)
{
    struct standing *s = standing_make(w, w->hands[hand]);

    if (s->lie[0])
        return;
    snprintf(s->lie, sizeof(s->lie), "%s", text);
    s->lied_unix_ms = clock_unix_ms();
    log_error("key.liar", "key=\"%s\" text=\"%s\"", standing_name(s->key), text);
    metrics_count_many(&w->service->net->metrics, COUNT_LIARS, 1);
    standing_set_aside(w, s, INT64_MAX);
    write_lie(w, s, false, NULL);
}

int workers_trust(struct workers *w, const char *key, struct request *rq, struct errbuf *why)
{
    struct standing *s = w->standings;

    while (s && strcmp(standing_name(s->key), key) != 0)
        s = s->next;
    if (!s || !s->lie[0])
        return err_set(why, -ENOENT, "no key \"%s\" is set aside for a lie", key);
    write_lie(w, s, true, rq);
    return 0;
}

bool workers_liars_kept(const struct workers *w)
{
    for (const struct standing *s = w->standings; s; s = s->next)
        if (s->writing || s->unwritten)
            return false;
    return true;
}

static void take_liar(void *arg, const char *key, int64_t unix_ms, const char *text)
{
    struct standing *s = standing_make(arg, key);

    snprintf(s->lie, sizeof(s->lie), "%s", text);
    s->lied_unix_ms = unix_ms;
    s->aside_until_ms = INT64_MAX;
}

int standings_load(struct workers *w, struct errbuf *why)
{
    return store_liars_load(w->service->store, take_liar, w, why);
}

cJSON *workers_liars(struct workers *w)
{
    cJSON *rows = cJSON_CreateArray();

    for (const struct standing *s = w->standings; s; s = s->next) {
        if (!s->lie[0])
            continue;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "key", standing_name(s->key));
        cJSON_AddNumberToObject(row, "unix_ms", (double)s->lied_unix_ms);
        cJSON_AddStringToObject(row, "text", s->lie);
        cJSON_AddItemToArray(rows, row);
    }
    return rows;
}

/* --- their life --- */

void standings_tick(struct workers *w, int64_t now_ms)
{
    for (struct standing **at = &w->standings; *at;) {
        struct standing *s = *at;

        if (s->unwritten && !s->writing && now_ms >= s->again_ms)
            write_lie(w, s, false, NULL);
        if (s->aside_until_ms && now_ms >= s->aside_until_ms)
            s->aside_until_ms = 0;
        if (s->strikes || s->lost || s->lie[0]) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        free(s);
    }
}

void standings_free(struct workers *w)
{
    while (w->standings) {
        struct standing *s = w->standings;

        w->standings = s->next;
        free(s);
    }
    free(w->hands);
}
