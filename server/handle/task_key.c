#include "server/handle/task_key.h"

#include <errno.h>

#include "common/field.h"
#include "server/jobs/service.h"

struct key_field {
    const char *name;
    int64_t max, *to;
};

static int read_fields(const struct request *rq, const struct key_field *fields, size_t count,
                       struct errbuf *why)
{
    for (size_t i = 0; i < count; i++) {
        int rc = field_i64(rq->message.json, message_names[rq->type], fields[i].name, true, 0,
                           fields[i].max, fields[i].to, why);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int task_key_read_round(const struct request *rq, struct task_key *ret, struct errbuf *why)
{
    const struct key_field fields[] = {
        {"job", INT32_MAX, &ret->job},
        {"incarnation", INT64_C(1) << 50, &ret->incarnation},
        {"step", INT64_C(1) << 50, &ret->step},
        {"phase", PHASES - 1, &ret->phase},
    };

    *ret = (struct task_key){0};
    int rc = read_fields(rq, fields, sizeof(fields) / sizeof(fields[0]), why);
    return rc < 0 ? rc
                  : field_i64(rq->message.json, message_names[rq->type], "turn", false, 0,
                              UINT32_MAX, &ret->turn, why);
}

int task_key_read(const struct request *rq, struct task_key *ret, struct errbuf *why)
{
    const struct key_field fields[] = {{"lo", UINT32_MAX, &ret->lo}, {"hi", UINT32_MAX, &ret->hi}};
    int rc = task_key_read_round(rq, ret, why);

    if (rc == 0)
        rc = read_fields(rq, fields, sizeof(fields) / sizeof(fields[0]), why);
    if (rc < 0)
        return rc;
    return ret->lo < ret->hi
               ? 0
               : err_set(why, -EINVAL, "%s: lo is %lld and hi is %lld, allowed is lo < hi",
                         message_names[rq->type], (long long)ret->lo, (long long)ret->hi);
}

struct node task_key_node(const struct task_key *k)
{
    return (struct node){(uint32_t)k->lo, (uint32_t)k->hi};
}

static struct job *active_job(struct service *s, const struct task_key *k)
{
    struct job *job;

    for (size_t i = 0; (job = jobs_running(s->jobs, i)) != NULL; i++)
        if (job->run && job->rec.job == k->job && job->rec.incarnation == k->incarnation &&
            run_turn(job->run) == (uint32_t)k->turn)
            return job;
    return NULL;
}

struct job *task_key_round(struct service *s, const struct task_key *k)
{
    struct job *job = active_job(s, k);

    return job && !run_finished(job->run) && run_step(job->run) == (uint64_t)k->step &&
                   run_phase(job->run) == (enum phase)k->phase
               ? job
               : NULL;
}

struct job *task_key_job(struct service *s, const struct task_key *k, uint32_t *ret_count)
{
    struct job *job = active_job(s, k);

    if (!job)
        return NULL;
    *ret_count =
        run_node_samples(job->run, (enum phase)k->phase, (uint64_t)k->step, task_key_node(k));
    return *ret_count ? job : NULL;
}

bool task_key_held(const struct job *job, const struct task_key *k, uint32_t worker)
{
    return run_holds(job->run, worker, task_key_node(k));
}
