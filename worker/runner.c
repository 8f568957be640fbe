/* A crew: the caller is thread 0, the others sleep between runs. Shards are taken by number from an
 * atomic counter; results meet in the reduction tree, so the bits do not depend on who ran what. */
#include "worker/runner.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "worker/nn/net.h"
#include "worker/stop.h"

struct member {
    struct runner *runner;
    struct step *step;
    struct profile *profile; /* NULL: not wanted */
    pthread_t thread;
    bool started;
};

struct runner {
    const struct model *model;
    uint32_t shard;
    unsigned threads;
    struct member *crew; /* [threads] */
    struct reduce *reduce;
    struct reduce *tally;  /* of sums without a vector */
    struct halves *halves; /* NULL: none */

    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    uint64_t round; /* grows with every run */
    unsigned busy;  /* members that still work on this round */
    bool stop;
    int rc; /* first failure of this round */

    const struct work *work;
    struct score *scores;
    float *probabilities;
    float *logits;
    int32_t *twins;
    uint32_t shards;
    atomic_uint next;
};

static void fail(struct runner *r, int rc)
{
    pthread_mutex_lock(&r->lock);
    if (r->rc == 0)
        r->rc = rc;
    pthread_mutex_unlock(&r->lock);
}

/* One shard of what has a sum, into buf and sums. */
static int sum_shard(struct runner *r, struct member *m, const struct step_spec *spec, uint32_t at,
                     uint32_t n, float *buf, double *sums)
{
    const struct work *w = r->work;
    const uint32_t *ids = w->ids + at;

    if (w->flat == PHASE_SLOPE)
        step_slope(m->step, w->theta, w->set, ids, n, buf, sums);
    else if (w->flat == PHASE_LOSS)
        step_loss(m->step, w->theta, w->set, ids, n, sums);
    else if (w->flat == PHASE_PRODUCT)
        return step_product(m->step, w->theta, w->vector, w->set, ids, n, buf, sums);
    else
        step_train(m->step, spec, w->theta, w->set, ids, w->weights + at, n, buf, sums,
                   r->scores ? r->scores + at : NULL);
    return 0;
}

static struct reduce *sum_of(const struct runner *r)
{
    return r->work->flat == PHASE_LOSS ? r->tally : r->reduce;
}

static void drop(struct runner *r, float *buf)
{
    pthread_mutex_lock(&r->lock);
    reduce_drop(sum_of(r), buf);
    pthread_mutex_unlock(&r->lock);
}

/* The result of a shard goes up the tree; sums of long vectors are formed beside one another. */
static int add_up(struct runner *r, uint32_t shard, float *buf)
{
    struct reduce *sum = sum_of(r);
    struct reduce_pair p;

    pthread_mutex_lock(&r->lock);
    int rc = reduce_meet(sum, (struct node){shard, shard + 1}, buf, &p);
    while (rc > 0) {
        pthread_mutex_unlock(&r->lock);
        reduce_sum(sum, &p);
        pthread_mutex_lock(&r->lock);
        reduce_drop(sum, p.right);
        rc = reduce_meet(sum, p.node, p.left, &p);
    }
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static void add_shard(struct runner *r, struct member *m, const struct step_spec *spec, uint32_t at,
                      uint32_t n)
{
    const uint32_t shard = at / r->shard;
    double *sums;

    pthread_mutex_lock(&r->lock);
    float *buf = reduce_buffer(sum_of(r), &sums);
    pthread_mutex_unlock(&r->lock);
    if (!buf) {
        fail(r, -ENOMEM);
        return;
    }
    int rc = sum_shard(r, m, spec, at, n, buf, sums);
    if (rc < 0)
        drop(r, buf);
    else
        rc = add_up(r, shard, buf);
    profile_part(m->profile, PART_REDUCE);
    if (rc < 0)
        fail(r, rc);
}

static size_t dims_entries(const struct model *m)
{
    return (size_t)m->in.h * m->in.w * m->in.c;
}

static void run_shards(struct runner *r, struct member *m)
{
    const struct work *w = r->work;

    profile_part(m->profile, PART_WAIT);
    for (;;) {
        uint32_t shard = atomic_fetch_add(&r->next, 1);
        if (shard >= r->shards)
            return;
        if (w->stop && *w->stop == STOP_NOW) {
            fail(r, -EINTR);
            return;
        }
        uint32_t at = shard * r->shard;
        uint32_t n = w->count - at < r->shard ? w->count - at : r->shard;
        struct step_spec spec = w->spec;
        spec.slot += at;
        if (w->images)
            step_predict(m->step, &spec, w->theta, w->images + at * dims_entries(r->model), n,
                         r->logits + (size_t)at * r->model->classes,
                         r->twins ? r->twins + at : NULL);
        else if (w->train || w->flat)
            add_shard(r, m, &spec, at, n);
        else
            step_score(m->step, &spec, w->theta, w->set, w->ids + at, n, r->scores + at,
                       r->probabilities ? r->probabilities + (size_t)at * r->model->classes : NULL);
    }
}

static void *member_main(void *arg)
{
    struct member *m = arg;
    struct runner *r = m->runner;
    uint64_t seen = 0;

    net_thread_init();
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (r->round == seen && !r->stop)
            pthread_cond_wait(&r->begin, &r->lock);
        if (r->stop)
            break;
        seen = r->round;
        pthread_mutex_unlock(&r->lock);
        run_shards(r, m);
        pthread_mutex_lock(&r->lock);
        if (--r->busy == 0)
            pthread_cond_signal(&r->end);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

int runner_create(const struct model *model, const struct kernels *kernels, uint32_t shard,
                  unsigned threads, bool splits, struct runner **ret, struct errbuf *why)
{
    struct runner *r = xcalloc(1, sizeof(*r));
    int rc = 0;

    r->model = model;
    r->shard = shard;
    r->threads = threads;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->begin, NULL);
    pthread_cond_init(&r->end, NULL);
    r->crew = xcalloc(threads, sizeof(*r->crew));
    r->reduce = reduce_create(model->floats, SUM_COUNT);
    r->tally = reduce_create(0, SUM_COUNT);
    if (!r->reduce || !r->tally)
        rc = -ENOMEM;
    net_thread_init();
    for (unsigned i = 0; rc == 0 && i < threads; i++) {
        struct member *m = &r->crew[i];

        m->runner = r;
        m->step = step_create(model, kernels, shard, splits);
        if (!m->step)
            rc = -ENOMEM;
        else if (i > 0)
            rc = -pthread_create(&m->thread, NULL, member_main, m);
        m->started = rc == 0 && i > 0;
    }
    if (rc < 0) {
        runner_free(r);
        return err_set(why, rc, "cannot prepare %u threads for model %s and shards of %u: %s",
                       threads, model->name, shard, err_text(rc));
    }
    *ret = r;
    return 0;
}

void runner_free(struct runner *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_broadcast(&r->begin);
    pthread_mutex_unlock(&r->lock);
    for (unsigned i = 0; i < r->threads; i++) {
        if (r->crew[i].started)
            pthread_join(r->crew[i].thread, NULL);
        step_free(r->crew[i].step);
        profile_free(r->crew[i].profile);
    }
    pthread_cond_destroy(&r->begin);
    pthread_cond_destroy(&r->end);
    pthread_mutex_destroy(&r->lock);
    reduce_free(r->reduce);
    reduce_free(r->tally);
    free(r->crew);
    free(r);
}

const struct model *runner_model(const struct runner *r)
{
    return r->model;
}

uint32_t runner_shard(const struct runner *r)
{
    return r->shard;
}

void runner_halves(struct runner *r, struct halves *h)
{
    r->halves = h;
}

int runner_profile(struct runner *r)
{
    for (unsigned i = 0; i < r->threads; i++) {
        struct member *m = &r->crew[i];
        m->profile = profile_create(r->model);
        if (!m->profile)
            return -ENOMEM;
        step_profile(m->step, m->profile);
    }
    return 0;
}

void runner_print(const struct runner *r, FILE *out)
{
    struct profile **profiles;

    if (!r || !r->crew[r->threads - 1].profile)
        return;
    profiles = xcalloc(r->threads, sizeof(struct profile *));
    for (unsigned i = 0; i < r->threads; i++)
        profiles[i] = r->crew[i].profile;
    profile_print(profiles, r->threads, out);
    free(profiles);
}

static int not_finite(const struct work *w, const char *what, struct errbuf *why)
{
    return w->train ? err_set(why, -ERANGE,
                              "training diverged: the %s is not finite; a smaller learning rate "
                              "or rho may help",
                              what)
                    : err_set(why, -ERANGE,
                              "flatness cannot be measured: the %s at these weights, or near "
                              "them, is not finite",
                              what);
}

int runner_judge(struct runner *r, const struct work *w, const struct yield *y, struct errbuf *why)
{
    if (w->train || w->flat) {
        for (enum sum i = 0; i < SUM_COUNT; i++)
            if (!isfinite(y->sums[i]))
                return not_finite(w, "loss", why);
        if (w->flat != PHASE_LOSS && !halves_finite(r->halves, y->grad, r->model->floats))
            return not_finite(w, "gradient", why);
    }
    for (size_t i = 0; y->logits && i < (size_t)w->count * r->model->classes; i++)
        if (!isfinite(y->logits[i]))
            return err_set(why, -ERANGE, "the model has a logit that is not finite; it diverged");
    for (uint32_t i = 0; y->scores && i < w->count; i++)
        if (!score_is_finite(&y->scores[i]))
            return err_set(why, -ERANGE,
                           "training diverged: a score of sample %u is not finite; a smaller "
                           "learning rate or rho may help",
                           w->ids[i]);
    return 0;
}

int runner_run(struct runner *r, const struct work *work, struct yield *yield, struct errbuf *why)
{
    pthread_mutex_lock(&r->lock);
    r->work = work;
    r->scores = yield->scores;
    r->probabilities = yield->probabilities;
    r->logits = yield->logits;
    r->twins = yield->twins;
    r->shards = (work->count + r->shard - 1) / r->shard;
    atomic_store(&r->next, 0);
    r->rc = 0;
    if (work->train || work->flat)
        reduce_reset(sum_of(r), (struct node){0, r->shards}, r->shards);
    r->busy = r->threads - 1;
    r->round++;
    pthread_cond_broadcast(&r->begin);
    pthread_mutex_unlock(&r->lock);
    run_shards(r, &r->crew[0]);
    pthread_mutex_lock(&r->lock);
    while (r->busy > 0)
        pthread_cond_wait(&r->end, &r->lock);
    pthread_mutex_unlock(&r->lock);
    if (r->rc < 0)
        return err_set(why, r->rc, "cannot run the shards: %s", err_text(r->rc));
    if (work->train || work->flat)
        yield->grad = reduce_result(sum_of(r), &yield->sums);
    return work->part ? 0 : runner_judge(r, work, yield, why);
}
