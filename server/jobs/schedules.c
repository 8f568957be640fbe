#include "server/jobs/schedules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/field.h"
#include "server/core/ranks.h"
#include "server/jobs/attached.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

#define KEEP_MS 60000 /* a reader asks for the next page at once, a person may look twice */

struct schedules {
    int64_t asked_ms; /* monotonic time of the last question, on the loop; 0: nothing is kept */
    /* The rest is the replay lane's. Of which job and epoch; the scores of an epoch that is over
     * change only with the incarnation. epoch -1: none is kept. */
    struct schedule_ask of; /* without what it owns or holds */
    struct schedule schedule;
};

static void forget(struct schedules *c)
{
    schedule_done(&c->schedule);
    c->of = (struct schedule_ask){.epoch = -1};
}

void schedules_free(struct schedules *s)
{
    if (!s)
        return;
    forget(s);
    free(s);
}

/* --- on the loop --- */

static struct schedules *of_jobs(struct jobs *jobs)
{
    if (!jobs->schedules) {
        jobs->schedules = xcalloc(1, sizeof(*jobs->schedules));
        jobs->schedules->of.epoch = -1;
    }
    return jobs->schedules;
}

void schedule_ask_begin(struct service *s, const struct job *job, int64_t epoch,
                        struct schedule_ask *ret)
{
    of_jobs(s->jobs)->asked_ms = clock_mono_ms();
    *ret = (struct schedule_ask){.job = job->rec.job,
                                 .epoch = epoch,
                                 .incarnation = job->rec.incarnation,
                                 .revisions = job->spec.revisions.count,
                                 .spec_json = xstrdup(job->rec.spec_json),
                                 .data = job->data};
    memcpy(ret->uuid, job->rec.uuid, sizeof(ret->uuid));
    datasets_hold(s->datasets, job->data);
}

void schedule_ask_done(struct service *s, struct schedule_ask *ask)
{
    free(ask->spec_json);
    if (ask->data)
        datasets_release(s->datasets, ask->data);
    *ask = (struct schedule_ask){0};
}

static void forget_work(struct op *op)
{
    forget(op->arg);
}

void schedules_tick(struct service *s, int64_t now_ms)
{
    struct schedules *c = s->jobs->schedules;

    if (!c || !c->asked_ms || now_ms - c->asked_ms < KEEP_MS || s->net->stopping)
        return;
    c->asked_ms = 0;
    op_run(s->net->replay_lane, (struct op){.service = s, .arg = c, .work = forget_work});
}

/* --- on the replay lane --- */

/* A schedule in the making. */
struct replay {
    const struct schedule_ask *ask;
    struct jobspec *spec;
    uint8_t *use; /* job_split */
    struct ranks ranks;
};

static int read_spec(struct replay *r, struct errbuf *why)
{
    const char *text = r->ask->spec_json;
    cJSON *json = NULL;
    int rc = field_parse(text, strlen(text), JSON_REPLY_BYTES_MAX, "job", &json, why);

    r->spec = xcalloc(1, sizeof(*r->spec));
    if (rc == 0)
        rc = jobspec_parse(json, r->spec, why);
    cJSON_Delete(json);
    return rc;
}

static int begin(struct service *s, struct replay *r, struct errbuf *why)
{
    const struct dataset *data = r->ask->data;
    struct attached attached = {0};
    int rc = read_spec(r, why);

    if (rc == 0)
        rc = job_split(r->spec, data, &r->use, why);
    if (rc == 0)
        rc = attached_load(s->dir, &s->net->giving_up, r->ask->uuid, r->spec, NULL, data->samples,
                           &attached, why);
    if (rc == 0) {
        struct run_inputs in = attached_inputs(&attached);
        in.use = r->use;
        rc = ranks_begin(&r->ranks, r->spec, data, &in);
    }
    attached_done(&attached);
    for (int i = 0; rc == 0 && i < r->spec->revisions.count; i++)
        rc = query_overlay(s->replays, r->ask->job, r->spec->revisions.at[i].number,
                           &r->ranks.overlays[i], why);
    return rc;
}

static int replay_one(void *arg, int64_t epoch, const struct score *scores)
{
    struct replay *r = arg;

    ranks_advance(&r->ranks, epoch);
    return ranks_take(&r->ranks, scores);
}

static void replay_done(struct replay *r)
{
    if (r->spec)
        jobspec_done(r->spec);
    free(r->spec);
    free(r->use);
    ranks_done(&r->ranks);
}

static int make(struct service *s, const struct schedule_ask *ask, struct schedule *ret,
                struct errbuf *why)
{
    struct replay r = {.ask = ask};
    int rc = begin(s, &r, why);

    if (rc == 0 && !jobspec_online(r.spec))
        rc =
            query_replay(s->replays, ask->job, ask->epoch, ask->data->samples, replay_one, &r, why);
    if (rc == 0) {
        ranks_advance(&r.ranks, ask->epoch);
        rc = ranks_schedule(&r.ranks, ask->epoch, ret);
    }
    if (rc == -ENOMEM && !why->text[0])
        err_set(why, rc, "no memory for a schedule of %u samples", ask->data->samples);
    replay_done(&r);
    return rc;
}

static bool same(const struct schedule_ask *a, const struct schedule_ask *b)
{
    return a->epoch == b->epoch && a->incarnation == b->incarnation &&
           a->revisions == b->revisions && strcmp(a->uuid, b->uuid) == 0;
}

int schedules_find(struct service *s, const struct schedule_ask *ask, const struct schedule **ret,
                   struct errbuf *why)
{
    struct schedules *c = s->jobs->schedules;

    if (!same(&c->of, ask)) {
        forget(c);
        int rc = make(s, ask, &c->schedule, why);
        if (rc < 0)
            return rc;
        c->of = *ask;
        c->of.spec_json = NULL;
        c->of.data = NULL;
    }
    *ret = &c->schedule;
    return 0;
}
