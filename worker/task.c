#include "worker/task.h"

#include <errno.h>
#include <stdio.h>

#include "common/field.h"

int task_read_peer(const cJSON *obj, struct task_peer *ret, struct errbuf *why)
{
    const char *address, *token;

    *ret = (struct task_peer){.address = ""};
    if (!obj)
        return 0;
    int rc = field_str(obj, "a worker", "address", true, sizeof(ret->address), &address, why);
    if (rc == 0)
        rc = field_str(obj, "a worker", "token", true, sizeof(ret->token), &token, why);
    if (rc < 0)
        return rc;
    snprintf(ret->address, sizeof(ret->address), "%s", address);
    snprintf(ret->token, sizeof(ret->token), "%s", token);
    return 0;
}

/* What it has to do with other workers. */
static int read_peers(const struct message *m, struct task *ret, struct errbuf *why)
{
    const char *token = NULL;
    const cJSON *source = NULL;
    int rc = field_str(m->json, "task", "token", false, sizeof(ret->token), &token, why);

    if (rc == 0)
        rc = field_obj(m->json, "task", "source", false, &source, why);
    if (rc == 0 && token)
        snprintf(ret->token, sizeof(ret->token), "%s", token);
    return rc < 0 ? rc : task_read_peer(source, &ret->source, why);
}

int task_read(const struct message *m, struct task *ret, struct errbuf *why)
{
    const struct {
        const char *name;
        int64_t max, *to;
    } fields[] = {
        {"job", INT32_MAX, &ret->job},
        {"incarnation", INT64_C(1) << 50, &ret->incarnation},
        {"step", INT64_C(1) << 50, &ret->step},
        {"phase", PHASES - 1, &ret->phase},
        {"lo", UINT32_MAX, &ret->lo},
        {"hi", UINT32_MAX, &ret->hi},
        {"shard", SHARD_MAX, &ret->shard},
        {"count", SAMPLES_MAX, &ret->count},
    };

    *ret = (struct task){.first = -1, .theta_place = -1};
    int rc = field_enum(m->json, "task", "task", true, task_kind_names, &ret->kind, why);
    if (rc < 0 || ret->kind == TASK_NONE || ret->kind == TASK_PREDICT)
        return rc;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if ((rc = field_i64(m->json, "task", fields[i].name, true, 0, fields[i].max, fields[i].to,
                            why)) < 0)
            return rc;
    rc = field_i64(m->json, "task", "first", false, 0, SAMPLES_MAX, &ret->first, why);
    if (rc == 0)
        rc = field_i64(m->json, "task", "theta_bytes", false, 1,
                       (int64_t)PARAM_FLOATS_MAX * (int64_t)sizeof(float), &ret->theta_bytes, why);
    if (rc == 0)
        rc = field_i64(m->json, "task", "theta_place", false, 0, 1, &ret->theta_place, why);
    if (rc == 0)
        rc = field_i64(m->json, "task", "vector_bytes", false, 1,
                       (int64_t)PARAM_FLOATS_MAX * (int64_t)sizeof(float), &ret->vector_bytes, why);
    if (rc == 0)
        rc = field_i64(m->json, "task", "turn", false, 0, UINT32_MAX, &ret->turn, why);
    if (rc == 0)
        rc = read_peers(m, ret, why);
    if (rc == 0 && (ret->count < 1 || ret->lo >= ret->hi || ret->hi - ret->lo > ret->count))
        rc = err_set(why, -EINVAL, "a task of %lld samples does not fit shards %lld to %lld",
                     (long long)ret->count, (long long)ret->lo, (long long)ret->hi);
    if (rc == 0 && task_kind_of_phase[ret->phase] != (enum task_kind)ret->kind)
        rc = err_set(why, -EINVAL, "a task to %s in phase %lld makes no sense",
                     task_kind_names[ret->kind], (long long)ret->phase);
    return rc;
}

void task_add_round(cJSON *request, const struct task *t)
{
    cJSON_AddNumberToObject(request, "job", (double)t->job);
    cJSON_AddNumberToObject(request, "incarnation", (double)t->incarnation);
    cJSON_AddNumberToObject(request, "step", (double)t->step);
    cJSON_AddNumberToObject(request, "phase", (double)t->phase);
    if (t->turn)
        cJSON_AddNumberToObject(request, "turn", (double)t->turn);
}

void task_add_key(cJSON *request, const struct task *t)
{
    task_add_round(request, t);
    cJSON_AddNumberToObject(request, "lo", (double)t->lo);
    cJSON_AddNumberToObject(request, "hi", (double)t->hi);
}
