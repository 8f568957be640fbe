#include "server/jobs/predictions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "server/jobs/service.h"

#define LOST_MAX 3 /* workers that one node may kill */

struct predictions {
    struct service *service;
    struct prediction *list; /* oldest first */
    int64_t last_number;
};

void predictions_open(struct service *s, struct predictions **ret)
{
    struct predictions *all = xcalloc(1, sizeof(*all));

    all->service = s;
    *ret = all;
}

void prediction_source_done(struct prediction_source *source)
{
    model_done(&source->model);
    free(source->spec_json);
    free(source->class_names);
    free(source->theta);
    *source = (struct prediction_source){.job = 0};
}

static void prediction_free(struct prediction *p)
{
    if (p->get)
        request_drop(p->get);
    prediction_source_done(&p->source);
    round_free(p->round);
    free(p->images);
    free(p->logits);
    free(p->twins);
    free(p);
}

void predictions_close(struct predictions *all)
{
    while (all && all->list) {
        struct prediction *p = all->list;
        all->list = p->next;
        prediction_free(p);
    }
    free(all);
}

int predictions_check(const struct predictions *all, const char *key_name, size_t floats,
                      struct errbuf *why)
{
    const int64_t room = all->service->memory_bytes / 4;
    int64_t bytes = (int64_t)(floats * sizeof(float));
    int count = 0, own = 0;
    char limit[TEXT_F64_BYTES];

    for (const struct prediction *p = all->list; p; p = p->next) {
        count++;
        own += strcmp(p->key_name, key_name) == 0;
        bytes += (int64_t)(p->source.model.floats * sizeof(float));
    }
    if (count >= PREDICTIONS_MAX)
        return err_set(why, -ERANGE, "%d predictions are open, allowed is %d; try again later",
                       count, PREDICTIONS_MAX);
    if (own >= PREDICTIONS_MAX / 4)
        return err_set(why, -ERANGE,
                       "%d predictions of %s are open, allowed is %d (a quarter of all); try again "
                       "later",
                       own, key_name[0] ? "this key" : "those without a key", PREDICTIONS_MAX / 4);
    if (bytes > room)
        return err_set(why, -ERANGE,
                       "the models of all predictions may take %s (a quarter of the server's "
                       "--memory), with this one they would take more",
                       text_of_bytes(room, limit));
    return 0;
}

/* Shards and batches follow from the model and the job's shard: not from who asks or computes. */
static void set_sizes(struct prediction *p, int64_t shard)
{
    const struct dims in = p->source.model.in;
    const uint64_t bytes = (uint64_t)in.h * in.w * in.c;
    const uint64_t logits = (uint64_t)p->source.model.classes * sizeof(float);
    uint64_t most = PREDICT_PICTURES_MAX, own = PREDICT_TASK_BYTES / bytes;

    most = most < PIECE_BYTES_MAX / bytes ? most : PIECE_BYTES_MAX / bytes;
    most = most < PIECE_BYTES_MAX / 2 / logits ? most : PIECE_BYTES_MAX / 2 / logits;
    own = own < (uint64_t)shard ? own : (uint64_t)shard;
    own = own < most ? own : most;
    p->shard = (uint32_t)own;
    p->most = (uint32_t)(most / own * own);
}

static int alloc_batch(struct prediction *p)
{
    const struct model *m = &p->source.model;

    p->images = alloc_bytes(p->most, (size_t)m->in.h * m->in.w * m->in.c);
    p->logits = alloc_bytes((size_t)p->most * m->classes, sizeof(*p->logits));
    p->twins = alloc_bytes(p->most, sizeof(*p->twins));
    p->round = round_create();
    return p->images && p->logits && p->twins && p->round ? 0 : -ENOMEM;
}

static int64_t job_shard(const struct prediction_source *source)
{
    cJSON *json = cJSON_Parse(source->spec_json);
    const cJSON *shard = cJSON_GetObjectItemCaseSensitive(json, "shard");
    int64_t n = cJSON_IsNumber(shard) ? (int64_t)shard->valuedouble : 1;

    cJSON_Delete(json);
    return n;
}

int predictions_add(struct predictions *all, const char *uuid, const char *key_name,
                    struct prediction_source *source, struct prediction **ret, struct errbuf *why)
{
    struct prediction *p = xcalloc(1, sizeof(*p)), **end = &all->list;
    const int64_t now = clock_unix_ms();

    snprintf(p->uuid, sizeof(p->uuid), "%s", uuid);
    snprintf(p->key_name, sizeof(p->key_name), "%s", key_name);
    p->source = *source;
    p->batch = -1;
    p->done = true;
    p->touched_ms = clock_mono_ms();
    set_sizes(p, job_shard(source));
    if (alloc_batch(p) < 0) {
        p->source = (struct prediction_source){.job = 0};
        prediction_free(p);
        return err_set(why, -ENOMEM, "no memory for a prediction");
    }
    *source = (struct prediction_source){.job = 0};
    all->last_number = p->number = now > all->last_number ? now : all->last_number + 1;
    while (*end)
        end = &(*end)->next;
    *end = p;
    log_info("predict.open", "prediction=%" PRId64 " job=%" PRId64 " shard=%u batch=%u", p->number,
             p->source.job, p->shard, p->most);
    *ret = p;
    return 0;
}

struct prediction *predictions_find(struct predictions *all, const char *uuid, const char *key_name)
{
    for (struct prediction *p = all->list; p; p = p->next)
        if (strcmp(p->uuid, uuid) == 0 && strcmp(p->key_name, key_name) == 0) {
            p->touched_ms = clock_mono_ms();
            return p;
        }
    return NULL;
}

struct prediction *predictions_number(struct predictions *all, int64_t number)
{
    struct prediction *p = all->list;

    while (p && p->number != number)
        p = p->next;
    return p;
}

struct prediction *predictions_at(struct predictions *all, size_t i)
{
    struct prediction *p = all ? all->list : NULL;

    while (p && i-- > 0)
        p = p->next;
    return p;
}

void predictions_remove(struct predictions *all, struct prediction *p)
{
    struct prediction **at = &all->list;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    log_info("predict.close", "prediction=%" PRId64 " batches=%" PRId64, p->number, p->batch + 1);
    prediction_free(p);
}

/* --- a batch --- */

bool prediction_works(const struct prediction *p)
{
    return !p->done && !p->failed[0];
}

int prediction_put(struct predictions *all, struct prediction *p, int64_t batch, const void *images,
                   uint32_t count, struct errbuf *why)
{
    const struct dims in = p->source.model.in;

    if (p->failed[0])
        return err_set(why, -EPERM, "%s", p->failed);
    if (batch == p->batch)
        return 0;
    if (batch != p->batch + 1 || !p->done)
        return err_set(why, -EPERM,
                       "batch %" PRId64 " cannot come now: the last one is %" PRId64 "%s", batch,
                       p->batch, p->done ? "" : ", which is being computed");
    if (round_open(p->round, (count + p->shard - 1) / p->shard) < 0)
        return err_set(why, -ENOMEM, "no memory for a batch");
    memcpy(p->images, images, (size_t)count * in.h * in.w * in.c);
    p->batch = batch;
    p->count = count;
    p->done = false;
    p->lonely_ms = 0;
    workers_wake(all->service->workers);
    return 0;
}

uint32_t prediction_samples(const struct prediction *p, struct node node, uint32_t *ret_first)
{
    const uint32_t first = node.lo * p->shard, all = node_size(node) * p->shard;

    *ret_first = first;
    return p->count - first < all ? p->count - first : all;
}

static void reply_done(struct prediction *p)
{
    const uint64_t shape[] = {p->count, p->source.model.classes};
    struct tensor tensors[2] = {tensor_make("logits", DTYPE_F32, 2, shape, p->logits)};
    struct request *rq = p->get;
    cJSON *out = cJSON_CreateObject();
    int n = 1;

    if (p->source.adversarial)
        tensors[n++] = tensor_1d("twins", DTYPE_I32, p->count, p->twins);
    p->get = NULL;
    cJSON_AddTrueToObject(out, "done");
    request_reply(rq, out, tensors, n);
}

/* Answers who waits, if there is something to say. */
static void settle(struct prediction *p)
{
    struct request *rq = p->get;

    if (!rq)
        return;
    if (p->failed[0]) {
        p->get = NULL;
        request_error(rq, ERR_UNAVAILABLE, "%s", p->failed);
    } else if (p->done) {
        reply_done(p);
    }
}

void prediction_get(struct predictions *all, struct prediction *p, struct request *rq)
{
    (void)all;
    if (p->get)
        request_drop(p->get);
    p->get = rq;
    p->get_since_ms = clock_mono_ms();
    settle(p);
}

void prediction_take(struct prediction *p, struct node node, const void *logits, const void *twins)
{
    const uint32_t classes = p->source.model.classes;
    uint32_t first, count = prediction_samples(p, node, &first);

    memcpy(p->logits + (size_t)first * classes, logits, (size_t)count * classes * sizeof(float));
    if (twins)
        memcpy(p->twins + first, twins, count * sizeof(*p->twins));
    round_finish(p->round, node);
    p->done = round_done(p->round);
    settle(p);
}

/* --- what goes wrong --- */

void prediction_fail(struct prediction *p, const char *reason)
{
    if (p->failed[0])
        return;
    snprintf(p->failed, sizeof(p->failed), "%s", reason);
    log_warn("predict.failed", "prediction=%" PRId64 " error=\"%s\"", p->number, p->failed);
    settle(p);
}

/* NULL: too many keys have faults. */
static struct prediction_faults *faults_of(struct prediction *p, uint32_t hand)
{
    for (uint32_t i = 0; i < p->key_count; i++)
        if (p->keys[i].hand == hand)
            return &p->keys[i];
    if (p->key_count == PREDICT_KEYS_MAX)
        return NULL;
    p->keys[p->key_count].hand = hand;
    return &p->keys[p->key_count++];
}

void prediction_fault(struct predictions *all, struct prediction *p, const struct worker *worker,
                      const char *reason)
{
    struct prediction_faults *f =
        faults_of(p, workers_hand_of(all->service->workers, workers_number(worker)));
    char text[sizeof(p->failed)];

    snprintf(p->said, sizeof(p->said), "worker %s: %s", workers_name(worker), reason);
    p->faults++;
    if (f &&
        (++f->count < PREDICT_FAULTS_MAX || workers_may_predict(all->service->workers, p, NULL)))
        return;
    snprintf(text, sizeof(text), "it failed %u times; %s", p->faults, p->said);
    prediction_fail(p, text);
}

void prediction_refuse(struct predictions *all, struct prediction *p, const struct worker *worker,
                       const char *reason)
{
    if (p->refusals == PREDICT_REFUSALS_MAX) {
        prediction_fault(all, p, worker, reason);
        return;
    }
    snprintf(p->said, sizeof(p->said), "worker %s: %s", workers_name(worker), reason);
    p->refused[p->refusals++] = workers_number(worker);
}

bool prediction_excludes(const struct prediction *p, uint32_t worker, uint32_t hand)
{
    for (uint32_t i = 0; i < p->refusals; i++)
        if (p->refused[i] == worker)
            return true;
    for (uint32_t i = 0; i < p->key_count; i++)
        if (p->keys[i].hand == hand && p->keys[i].count >= PREDICT_FAULTS_MAX)
            return true;
    return false;
}

uint32_t predictions_release(struct predictions *all, uint32_t worker, int64_t now_ms)
{
    uint32_t released = 0;

    for (struct prediction *p = all ? all->list : NULL; p; p = p->next)
        if (!p->done)
            released += round_release(p->round, worker, now_ms);
    return released;
}

/* --- time --- */

/* Waits in vain for a worker that can: the sentence says why none does. */
static void check_lonely(struct predictions *all, struct prediction *p, int64_t now_ms)
{
    char why[300], text[sizeof(p->failed)];

    if (!workers_lacking(all->service->workers, p, why, sizeof(why))) {
        p->lonely_ms = 0;
        return;
    }
    if (!p->lonely_ms)
        p->lonely_ms = now_ms;
    /* Workers that are there and cannot will not change; others may still come. */
    if (now_ms - p->lonely_ms < PREDICT_LONELY_MS)
        return;
    snprintf(text, sizeof(text), "no worker could compute for %d seconds: %s",
             PREDICT_LONELY_MS / 1000, why);
    prediction_fail(p, text);
}

static void say_that_it_waits(struct predictions *all, struct prediction *p)
{
    struct request *rq = p->get;
    cJSON *out = cJSON_CreateObject();
    char why[300];

    p->get = NULL;
    cJSON_AddFalseToObject(out, "done");
    if (workers_lacking(all->service->workers, p, why, sizeof(why)))
        cJSON_AddStringToObject(out, "waiting", why);
    request_reply(rq, out, NULL, 0);
}

/* As with a job, one key that takes tasks and leaves ends nothing that another key may do. */
static bool check_leases(struct predictions *all, struct prediction *p, int64_t now_ms)
{
    struct node node;
    bool expired = round_expire(p->round, now_ms) > 0;

    if (round_lost(p->round, &node) >= LOST_MAX &&
        !workers_may_predict(all->service->workers, p, &node))
        prediction_fail(p, "three workers in a row were lost with the same pictures");
    return expired;
}

void predictions_tick(struct predictions *all, int64_t now_ms)
{
    bool expired = false;

    for (struct prediction *p = all->list, *next; p; p = next) {
        next = p->next;
        if (prediction_works(p)) {
            expired = check_leases(all, p, now_ms) || expired;
            check_lonely(all, p, now_ms);
        }
        if (p->get && now_ms - p->get_since_ms >= PREDICT_HOLD_MS)
            say_that_it_waits(all, p);
        if (p->get)
            p->touched_ms = now_ms;
        else if (now_ms - p->touched_ms >= PREDICT_IDLE_MS)
            predictions_remove(all, p);
    }
    if (expired)
        workers_wake(all->service->workers);
}

void predictions_dismiss(struct predictions *all)
{
    for (struct prediction *p = all->list; p; p = p->next)
        if (p->get) {
            struct request *rq = p->get;
            p->get = NULL;
            request_error(rq, ERR_UNAVAILABLE, "the server stops");
        }
}
