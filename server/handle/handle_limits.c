/* server.limits: what there may be at most, of all and of one key, and how much is there. The
 * numbers are those of common/bounds.h; this is the one list of them that people see. */
#include <stdio.h>
#include <string.h>

#include "server/handle/handlers.h"
#include "server/jobs/disk_share.h"
#include "server/jobs/service.h"
#include "server/net/gate.h"

/* Who asks. A plain sender has no key; of it nothing is counted by key. */
struct asker {
    const struct request *rq;
    struct service *s;
    const char *key; /* NULL: none */
};

/* -1: there is no such bound, or nobody's. */
struct limit_row {
    double used, most, own_used, own_most;
};

static struct limit_row connections(const struct asker *a)
{
    const struct transport *t = a->rq->transport;

    return (struct limit_row){t ? (double)transport_count(t, NULL) : -1, CONNECTIONS_MAX,
                              t ? (double)transport_count(t, a->rq->owner) : -1,
                              a->key ? CONNECTIONS_OF_ONE_MAX : -1};
}

static struct limit_row sessions(const struct asker *a)
{
    return (struct limit_row){gate_sessions(a->s->net->gate, NULL), SESSIONS_MAX,
                              a->key ? gate_sessions(a->s->net->gate, a->key) : -1,
                              a->key ? SESSIONS_OF_ONE_MAX : -1};
}

static struct limit_row workers(const struct asker *a)
{
    return (struct limit_row){workers_of_key(a->s->workers, NULL), WORKERS_MAX,
                              a->key ? workers_of_key(a->s->workers, a->key) : -1,
                              a->key ? WORKERS_OF_ONE_MAX : -1};
}

static struct limit_row open_jobs(const struct asker *a)
{
    return (struct limit_row){jobs_open_of(a->s->jobs, NULL), JOBS_OPEN_MAX,
                              a->key ? jobs_open_of(a->s->jobs, a->key) : -1,
                              a->key ? JOBS_OF_ONE_MAX : -1};
}

static struct limit_row upload_bytes(const struct asker *a)
{
    const struct incoming *in = a->s->incoming;

    return (struct limit_row){(double)incoming_bytes(in), (double)incoming_bytes_max_of_one(in) * 4,
                              (double)incoming_bytes_of(in, a->rq->key_name),
                              (double)incoming_bytes_max_of_one(in)};
}

/* Datasets, files of jobs, and uploads once more. */
static struct limit_row disk(const struct asker *a)
{
    const struct disk_watch *d = &a->s->disk;

    return (struct limit_row){(double)disk_share_used(a->s, NULL),
                              d->all_bytes > 0 ? (double)(d->all_bytes - d->least_bytes) : -1,
                              a->key ? (double)disk_share_used(a->s, a->key) : -1,
                              a->key ? (double)disk_share_most(a->s) : -1};
}

/* Percent of the loop's time. */
static struct limit_row loop_time(const struct asker *a)
{
    return (struct limit_row){-1, -1, 100 * gate_spent(a->s->net->gate, a->rq->owner), 100};
}

static const struct {
    const char *name, *unit;
    struct limit_row (*row)(const struct asker *a);
} table[] = {
    {"connections", "", connections},   {"sessions", "", sessions},     {"workers", "", workers},
    {"open jobs", "", open_jobs},       {"uploads", "B", upload_bytes}, {"disk", "B", disk},
    {"request budget", "%", loop_time},
};

static void add_number(cJSON *row, const char *name, double v)
{
    if (v >= 0)
        cJSON_AddNumberToObject(row, name, v);
}

static void add_row(cJSON *rows, const char *name, const char *unit, const struct limit_row *r)
{
    cJSON *row = cJSON_CreateObject();

    cJSON_AddStringToObject(row, "name", name);
    if (unit[0])
        cJSON_AddStringToObject(row, "unit", unit);
    add_number(row, "used", r->used);
    add_number(row, "most", r->most);
    add_number(row, "own_used", r->own_used);
    add_number(row, "own_most", r->own_most);
    cJSON_AddItemToArray(rows, row);
}

static void add_waits(cJSON *rows, const struct request *rq)
{
    char name[64];

    for (int i = WAIT_NONE + 1; i < WAIT_COUNT; i++) {
        const struct line *t = &rq->net->waits[i];
        const struct limit_row row = {t->waiting, t->limits.waiting, line_of(t, rq->owner),
                                      t->limits.waiting_of_one};
        snprintf(name, sizeof(name), "waiting %s", wait_names[i]);
        add_row(rows, name, "", &row);
    }
}

static cJSON *disk_json(const struct disk_watch *d)
{
    cJSON *disk = cJSON_CreateObject();

    cJSON_AddBoolToObject(disk, "alarm", d->alarm);
    if (d->free_bytes >= 0) {
        cJSON_AddNumberToObject(disk, "free", (double)d->free_bytes);
        cJSON_AddNumberToObject(disk, "least", (double)d->least_bytes);
    }
    return disk;
}

void handle_server_limits(struct request *rq)
{
    const struct asker a = {rq, rq->service, rq->key_name[0] ? rq->key_name : NULL};
    cJSON *out = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(out, "limits");

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct limit_row row = table[i].row(&a);
        add_row(rows, table[i].name, table[i].unit, &row);
    }
    add_waits(rows, rq);
    cJSON_AddItemToObject(out, "disk", disk_json(&rq->service->disk));
    if (a.key)
        cJSON_AddStringToObject(out, "key", a.key);
    request_reply(rq, out, NULL, 0);
}
