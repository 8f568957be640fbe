/* A member: does what the head says, until it leaves. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/alloc.h"
#include "common/halves.h"
#include "common/log.h"
#include "worker/cache.h"
#include "worker/duty.h"
#include "worker/mpi/ranks.h"
#include "worker/room.h"

/* What is loaded into a slot. */
struct seat {
    struct model model;
    struct cached data;
    struct runner *runner; /* NULL: nothing is loaded */
    float *vectors[GROUP_VECTORS];
    uint16_t *labels; /* by sample, where they came with a run; NULL until some did */
    /* Of the part of a run: */
    struct score *scores;
    float *probabilities, *logits;
    int32_t *twins;
    uint32_t room; /* samples */
};

struct member {
    struct group *group;
    const struct duty_options *options;
    const _Atomic sig_atomic_t *stop;
    struct cache cache;
    struct seat seats[GROUP_SLOTS];
};

static void free_room(struct seat *s)
{
    free(s->scores);
    free(s->probabilities);
    free(s->logits);
    free(s->twins);
    s->scores = NULL;
    s->probabilities = s->logits = NULL;
    s->twins = NULL;
    s->room = 0;
}

static void leave_seat(struct seat *s)
{
    runner_print(s->runner, stdout);
    runner_free(s->runner);
    model_done(&s->model);
    cache_close(&s->data);
    for (int i = 0; i < GROUP_VECTORS; i++)
        free(s->vectors[i]);
    free(s->labels);
    free_room(s);
    *s = (struct seat){.room = 0};
}

/* --- loading --- */

static int make_crew(const struct member *m, struct seat *s, const struct load_command *load,
                     struct errbuf *why)
{
    const struct footprint_job job = {.model = &s->model,
                                      .shard = load->shard,
                                      .splits = load->splits,
                                      .flatness = load->flatness};
    const unsigned threads = (unsigned)m->options->threads;
    const struct room_crew crew = {threads, group_housemates(m->group)};
    int rc = room_check(&job, crew, why);

    if (rc < 0)
        return rc;
    rc = runner_create(&s->model, m->options->kernels, job.shard, threads, job.splits, &s->runner,
                       why);
    if (rc == 0 && m->options->profile)
        rc = runner_profile(s->runner);
    for (int i = 0; rc == 0 && i < (load->flatness ? GROUP_VECTORS : GROUP_PRODUCT); i++)
        rc = (s->vectors[i] = alloc_bytes(s->model.floats, sizeof(float))) ? 0 : -ENOMEM;
    return rc == -ENOMEM ? room_refuse(&job, crew, why) : rc;
}

static int load_seat(struct member *m, struct seat *s, const struct load_command *load,
                     const cJSON *model, struct errbuf *why)
{
    int rc = 0;

    if (load->sha256[0])
        rc = pictures_take(m->group, &m->cache, load, m->stop, &s->data, why);
    if (rc == 0)
        rc = model_parse(model, load->image, load->classes, load->mean, load->std, &s->model, why);
    return rc < 0 ? rc : make_crew(m, s, load, why);
}

static void on_load(struct member *m, const struct command *c)
{
    struct seat *s = &m->seats[c->slot];
    struct verdict v = {.rc = 0};
    struct errbuf why = {""};
    cJSON *model = cJSON_Parse(m->group->body); /* pictures come into the body, too */

    leave_seat(s);
    verdict_set(&v, m->group, load_seat(m, s, &c->load, model, &why), &why);
    cJSON_Delete(model);
    verdict_collect(m->group, &v, NULL, NULL);
}

static void on_drop(struct member *m, const struct command *c)
{
    leave_seat(&m->seats[c->slot]);
}

static void on_vector(struct member *m, const struct command *c)
{
    rank_vector(m->group, m->seats[c->slot].vectors[c->vector.which], c->vector.floats);
}

/* --- running --- */

/* Room for what is measured on `count` samples. */
static int make_room(struct seat *s, const struct run_command *run, uint32_t count)
{
    const size_t classes = s->model.classes;

    if (count > s->room)
        free_room(s);
    s->room = count > s->room ? count : s->room;
    if (run->scores && !s->scores)
        s->scores = alloc_bytes(s->room, sizeof(*s->scores));
    if (run->probabilities && !s->probabilities)
        s->probabilities = alloc_bytes(s->room * classes, sizeof(*s->probabilities));
    if (run->pictures && !s->logits)
        s->logits = alloc_bytes(s->room * classes, sizeof(*s->logits));
    if (run->twins && !s->twins)
        s->twins = alloc_bytes(s->room, sizeof(*s->twins));
    return (run->scores && !s->scores) || (run->probabilities && !s->probabilities) ||
                   (run->pictures && !s->logits) || (run->twins && !s->twins)
               ? -ENOMEM
               : 0;
}

/* The labels that came with the samples, by sample. */
static int take_labels(struct seat *s, const uint32_t *ids, const char *labels, uint32_t count)
{
    if (!s->labels && !(s->labels = alloc_bytes(s->data.dataset.samples, sizeof(*s->labels))))
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        memcpy(&s->labels[ids[i]], labels + sizeof(*s->labels) * i, sizeof(*s->labels));
    return 0;
}

static int run_part(struct member *m, struct seat *s, const struct run_command *run, uint32_t first,
                    uint32_t count, struct yield *yield, struct errbuf *why)
{
    const struct dataset *d = &s->data.dataset;
    const char *body = m->group->body;
    const uint32_t *ids = (const uint32_t *)(const void *)body + first;
    const char *labels = body + run->count * (sizeof(*ids) + (run->train ? sizeof(float) : 0));
    int rc = make_room(s, run, count);

    if (rc == 0 && run->labelled)
        rc = take_labels(s, ids, labels + first * sizeof(*s->labels), count);
    if (rc < 0)
        return err_set(why, rc, "no memory for %u samples", count);
    const struct samples test = {d->test_images, d->test_labels, d->test_samples};
    const struct samples train = {d->images, run->labelled ? s->labels : d->labels, d->samples};
    struct work work = {
        .train = run->train,
        .flat = run->flat,
        .images = run->pictures ? (const uint8_t *)body + first * dims_count(s->model.in) : NULL,
        .spec = run->spec,
        .theta = s->vectors[GROUP_THETA],
        .vector = s->vectors[GROUP_PRODUCT],
        .set = run->test ? &test : &train,
        .ids = ids,
        .weights = run->train ? (const float *)(const void *)body + run->count + first : NULL,
        .count = count,
        .stop = m->stop,
        .part = true,
    };
    work.spec.slot += first;
    *yield = (struct yield){.scores = run->scores ? s->scores : NULL,
                            .probabilities = run->probabilities ? s->probabilities : NULL,
                            .logits = run->pictures ? s->logits : NULL,
                            .twins = run->twins ? s->twins : NULL};
    rc = runner_run(s->runner, &work, yield, why);
    if (rc == 0 && d->samples && !cache_unchanged(&s->data))
        rc = err_set(why, -ESTALE, "the dataset was changed");
    return rc;
}

static void on_run(struct member *m, const struct command *c)
{
    struct seat *s = &m->seats[c->slot];
    struct yield yield = {.grad = NULL};
    struct verdict v = {.rc = 0};
    struct errbuf why = {""};
    uint32_t first, count;
    int rc = 0;

    run_spread(m->group, &c->run, runner_shard(s->runner), &first, &count);
    if (count > 0)
        rc = run_part(m, s, &c->run, first, count, &yield, &why);
    verdict_set(&v, m->group, rc, &why);
    run_finish(m->group, &c->run, s->runner, &v, &yield);
}

static void (*const handlers[])(struct member *m, const struct command *c) = {
    [COMMAND_LOAD] = on_load,
    [COMMAND_DROP] = on_drop,
    [COMMAND_VECTOR] = on_vector,
    [COMMAND_RUN] = on_run,
};

int group_serve(struct group *g, const struct duty_options *options,
                const _Atomic sig_atomic_t *stop, struct errbuf *why)
{
    struct member m = {
        .group = g, .options = options, .stop = stop, .cache = {.dir = options->cache}};
    struct command c;

    (void)why;
    log_info("rank.serve", "rank=%d ranks=%d %s", g->rank, g->ranks, options->machine);
    for (rank_take_command(g, &c); c.kind != COMMAND_LEAVE; rank_take_command(g, &c))
        handlers[c.kind](&m, &c);
    for (int i = 0; i < GROUP_SLOTS; i++)
        leave_seat(&m.seats[i]);
    return 0;
}
