#include "server/jobs/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

#define AGAIN_MS 5000

struct entry {
    struct entry *next;
    struct audit_record record;
    struct request *rq; /* NULL: it was answered */
    struct answer answer;
};

struct queue {
    struct entry *first, **end;
    size_t count;
};

struct audit {
    struct service *service;
    struct queue waiting;
    bool writing, over;
    int64_t again_ms; /* after a failure; 0: at once */
    uint64_t lost;
};

/* What an op writes. */
struct batch {
    struct audit *audit;
    struct queue entries;
    struct audit_record *records; /* [entries.count] */
};

static void queue_init(struct queue *q)
{
    *q = (struct queue){.first = NULL};
    q->end = &q->first;
}

static void queue_put(struct queue *q, struct entry *e)
{
    e->next = NULL;
    *q->end = e;
    q->end = &e->next;
    q->count++;
}

static struct entry *queue_take(struct queue *q)
{
    struct entry *e = q->first;

    if (!e)
        return NULL;
    q->first = e->next;
    q->count--;
    if (!q->first)
        q->end = &q->first;
    return e;
}

struct audit *audit_open(struct service *service)
{
    struct audit *a = xcalloc(1, sizeof(*a));

    a->service = service;
    queue_init(&a->waiting);
    return a;
}

/* As much as fits, without half a character at its end. */
static void cut_text(const char *text, char *ret, size_t bytes)
{
    snprintf(ret, bytes, "%s", text);
    ret[text_utf8_bytes(ret, strlen(ret))] = 0;
}

/* "job 3": what the request, or else its reply, says of what it changes. A job that was submitted
 * is a row of the reply, with its number under the same key. */
static void name_object(const struct request *rq, const cJSON *reply, char *ret, size_t bytes)
{
    const char *key = rq->changes, *command = message_names[rq->type];
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(rq->message.json, key);
    bool of_kind = strcmp(key, "name") == 0 || strcmp(key, "sha256") == 0;
    int kind = (int)(of_kind ? strcspn(command, ".") : strlen(key));

    if (!item)
        item = cJSON_GetObjectItemCaseSensitive(reply, key);
    if (cJSON_IsObject(item))
        item = cJSON_GetObjectItemCaseSensitive(item, key);
    char *text = cJSON_IsNumber(item)   ? xasprintf("%.15g", item->valuedouble)
                 : cJSON_IsString(item) ? xstrdup(item->valuestring)
                                        : NULL;
    char *named = text ? xasprintf("%.*s %s", kind, of_kind ? command : key, text) : xstrdup("");
    cut_text(named, ret, bytes);
    free(named);
    free(text);
}

static void describe(const struct request *rq, const struct answer *answer,
                     struct audit_record *ret)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(answer->json, "error");
    bool failed = answer->code != ERR_COUNT;

    *ret = (struct audit_record){.unix_ms = clock_unix_ms(),
                                 .role = role_name(rq->role),
                                 .command = message_names[rq->type],
                                 .result = failed ? error_names[answer->code] : "ok"};
    memcpy(ret->key, rq->key_name, sizeof(ret->key));
    memcpy(ret->address, rq->peer, sizeof(ret->address));
    name_object(rq, answer->json, ret->about, sizeof(ret->about));
    if (failed && cJSON_IsString(error))
        cut_text(error->valuestring, ret->text, sizeof(ret->text));
}

static void pass_on(struct entry *e)
{
    struct request *rq = e->rq;

    e->rq = NULL;
    if (!rq)
        return;
    rq->changes = NULL;
    request_answer(rq, &e->answer);
}

static void write_work(struct op *op)
{
    const struct batch *b = op->arg;

    op->rc = store_audit_add(op->service->store, b->records, b->entries.count, &op->why);
}

/* Puts entries that could not be written back in front of those that came since. */
static void keep(struct audit *a, struct queue *entries)
{
    struct queue all;
    struct entry *e;

    queue_init(&all);
    while ((e = queue_take(entries)) || (e = queue_take(&a->waiting))) {
        if (all.count < AUDIT_WAITING_MAX) {
            queue_put(&all, e);
            continue;
        }
        a->lost++;
        free(e);
    }
    a->waiting = all;
    if (!all.first)
        a->waiting.end = &a->waiting.first;
}

static void write_waiting(struct audit *a);

static void write_done(struct op *op)
{
    struct batch *b = op->arg;
    struct audit *a = b->audit;
    struct entry *e;

    a->writing = false;
    for (e = b->entries.first; e; e = e->next)
        pass_on(e);
    if (op->rc < 0) {
        for (e = a->waiting.first; e; e = e->next)
            pass_on(e);
        keep(a, &b->entries);
        a->again_ms = clock_mono_ms() + AGAIN_MS;
        log_error("audit.waits", "rows=%zu lost=%llu error=\"%s\"", a->waiting.count,
                  (unsigned long long)a->lost, op->why.text);
    }
    while ((e = queue_take(&b->entries)))
        free(e);
    free(b->records);
    free(b);
    if (!a->again_ms)
        write_waiting(a);
}

static void write_waiting(struct audit *a)
{
    if (a->writing || a->over || !a->waiting.first)
        return;
    struct batch *b = xcalloc(1, sizeof(*b));
    size_t n = 0;

    b->audit = a;
    b->entries = a->waiting;
    b->records = xcalloc(b->entries.count, sizeof(*b->records));
    for (const struct entry *e = b->entries.first; e; e = e->next)
        b->records[n++] = e->record;
    queue_init(&a->waiting);
    a->writing = true;
    op_run(a->service->net->store_lane,
           (struct op){.service = a->service, .arg = b, .work = write_work, .done = write_done});
}

void audit_answer(struct request *rq, struct answer *answer)
{
    struct audit *a = rq->service->audit;
    struct entry *e = xcalloc(1, sizeof(*e));

    describe(rq, answer, &e->record);
    e->rq = rq;
    e->answer = *answer;
    if (a->over) {
        pass_on(e);
        free(e);
        return;
    }
    queue_put(&a->waiting, e);
    /* While writing fails, nobody waits for it. */
    if (a->again_ms) {
        pass_on(e);
        keep(a, &(struct queue){.first = NULL});
    } else {
        write_waiting(a);
    }
}

void audit_tick(struct audit *a, int64_t now_ms)
{
    if (!a->again_ms || now_ms < a->again_ms)
        return;
    a->again_ms = 0;
    write_waiting(a);
}

void audit_end(struct audit *a)
{
    struct entry *e;

    if (!a)
        return;
    a->over = true;
    for (e = a->waiting.first; e; e = e->next)
        pass_on(e);
    if (a->waiting.count > 0)
        log_error("audit.lost", "rows=%zu", a->waiting.count);
}

void audit_close(struct audit *a)
{
    struct entry *e;

    if (!a)
        return;
    while ((e = queue_take(&a->waiting)))
        free(e);
    free(a);
}
