/* The head's side: what it has loaded or is about to compute, as commands. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "worker/mpi/ranks.h"

int group_load(struct group *g, enum group_slot slot, const struct group_plan *plan,
               struct errbuf *why)
{
    struct command c = {.kind = COMMAND_LOAD, .slot = slot};
    struct verdict v = {.rc = 0, .rank = HEAD};
    char *text = cJSON_PrintUnformatted(plan->model);

    if (!text)
        return err_set(why, -ENOMEM, "no memory for the description of a model");
    c.body_bytes = strlen(text) + 1;
    c.load = (struct load_command){.image = plan->image,
                                   .classes = plan->classes,
                                   .shard = plan->shard,
                                   .splits = plan->splits,
                                   .flatness = plan->flatness,
                                   .bytes = plan->bytes};
    memcpy(c.load.mean, plan->mean, plan->image.c * sizeof(*plan->mean));
    memcpy(c.load.std, plan->std, plan->image.c * sizeof(*plan->std));
    strncpy(c.load.sha256, plan->sha256, sizeof(c.load.sha256) - 1);
    rank_command(g, &c, text);
    free(text);
    if (c.load.sha256[0])
        pictures_give(g, plan);
    verdict_collect(g, &v, plan->beat, plan->beat_arg);
    if (v.rc < 0)
        group_drop(g, slot);
    return verdict_tell(&v, g, why);
}

void group_drop(struct group *g, enum group_slot slot)
{
    rank_command(g, &(struct command){.kind = COMMAND_DROP, .slot = slot}, NULL);
}

void group_share(struct group *g, enum group_slot slot, enum group_vector which,
                 const float *vector, size_t floats)
{
    struct command c = {.kind = COMMAND_VECTOR, .slot = slot};

    c.vector = (struct vector_command){which, floats};
    rank_command(g, &c, NULL);
    rank_vector(g, (float *)vector, floats); /* which is only read here */
}

/* The samples of the run, for all members. */
static void *fill_body(struct group *g, struct command *c, const struct work *w, size_t pixels)
{
    const size_t n = w->count;

    if (w->images) {
        c->body_bytes = n * pixels;
        return (void *)w->images; /* which is only read here */
    }
    c->body_bytes = n * sizeof(uint32_t) + (w->train ? n * sizeof(float) : 0) +
                    (w->labelled ? n * sizeof(uint16_t) : 0);
    char *body = rank_body(g, c->body_bytes), *at = body;
    memcpy(at, w->ids, n * sizeof(uint32_t));
    at += n * sizeof(uint32_t);
    if (w->train) {
        memcpy(at, w->weights, n * sizeof(float));
        at += n * sizeof(float);
    }
    for (size_t i = 0; w->labelled && i < n; i++, at += sizeof(uint16_t))
        memcpy(at, &w->set->labels[w->ids[i]], sizeof(uint16_t));
    return body;
}

int group_run(struct group *g, enum group_slot slot, struct runner *r, const struct work *work,
              struct yield *yield, struct errbuf *why)
{
    const struct model *m = runner_model(r);
    struct command c = {.kind = COMMAND_RUN, .slot = slot};
    struct verdict v = {.rc = 0};
    struct work own = *work;
    uint32_t first;

    c.run = (struct run_command){.spec = work->spec,
                                 .flat = work->flat,
                                 .count = work->count,
                                 .train = work->train,
                                 .test = work->test,
                                 .labelled = work->labelled,
                                 .pictures = work->images != NULL,
                                 .scores = yield->scores != NULL,
                                 .probabilities = yield->probabilities != NULL,
                                 .twins = yield->twins != NULL};
    void *body = fill_body(g, &c, work, dims_count(m->in));
    rank_command(g, &c, body);
    run_spread(g, &c.run, runner_shard(r), &first, &own.count); /* first: 0 */
    own.part = true;
    verdict_set(&v, g, runner_run(r, &own, yield, why), why);
    run_finish(g, &c.run, r, &v, yield);
    if (v.rc == 0)
        return runner_judge(r, work, yield, why);
    return verdict_tell(&v, g, why);
}
