/* Results. Each is judged whole before anything is kept, so that only a valid one closes its node.
 * Scores go to their samples or, by position, to slots, gradients into the reduction tree. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/core/probabilities.h"
#include "server/core/run_internal.h"

uint32_t run_node_samples(const struct run *r, enum phase phase, uint64_t step, struct node node)
{
    uint32_t shard = (uint32_t)r->spec->shard;

    if (r->finished || phase != r->phase || step != r->cursor.step ||
        !node_valid(node, round_shards(r->round)))
        return 0;
    uint64_t end = (uint64_t)node.hi * shard;
    if (end > r->slot_count)
        end = r->slot_count;
    return (uint32_t)(end - (uint64_t)node.lo * shard);
}

static int check_score(const struct run *r, const struct score *s, uint32_t position,
                       struct errbuf *why)
{
    const double v[] = {s->loss, s->adv_loss, s->grad_norm, s->el2n};
    static const char *const names[] = {"loss", "adv_loss", "grad_norm", "el2n"};
    int32_t classes = (int32_t)r->model->classes;

    for (size_t i = 0; i < 4; i++)
        if (!isfinite(v[i]) || v[i] < 0)
            return err_set(why, -EINVAL, "scores: %s of entry %u is %g, allowed is 0 and above",
                           names[i], position, v[i]);
    if (s->predicted < 0 || s->predicted >= classes || s->adv_predicted < 0 ||
        s->adv_predicted >= classes)
        return err_set(why, -EINVAL, "classes: entry %u is %d, %d; allowed is 0 to %d", position,
                       s->predicted, s->adv_predicted, classes - 1);
    if ((s->flags & ~(SCORE_MEASURED | SCORE_NO_DIRECTION)) || !(s->flags & SCORE_MEASURED))
        return err_set(why, -EINVAL, "flags: entry %u is %u, allowed is 1 or 3", position,
                       s->flags);
    return 0;
}

/* Does the open round bring the probabilities of all classes? */
static bool wants_probabilities(const struct run *r)
{
    return r->spec->score_probabilities && r->phase == PHASE_SWEEP;
}

static int check_probabilities(const struct run *r, const struct run_result *res, uint32_t position,
                               struct errbuf *why)
{
    const uint32_t classes = r->model->classes;

    return probabilities_check((const char *)res->probabilities +
                                   (size_t)position * classes * sizeof(float),
                               classes, "entry", position, why);
}

static int judge_scores(const struct run *r, const struct run_result *res, uint32_t count,
                        struct errbuf *why)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = check_score(r, &res->scores[i], i, why);
    for (uint32_t i = 0; rc == 0 && wants_probabilities(r) && i < count; i++)
        rc = check_probabilities(r, res, i, why);
    return rc;
}

/* Does the result hold the gradient of its whole round, aligned for reading floats? */
static bool is_whole(const struct run *r, const struct run_result *res)
{
    return res->grad && phase_vector(res->phase) && !run_wants_voice(r, res->worker, res->node) &&
           node_size(res->node) == round_shards(r->round) &&
           (uintptr_t)res->grad % sizeof(float) == 0;
}

static struct reduce *sum_of(const struct run *r, enum phase phase)
{
    return phase_vector(phase) ? r->reduce : r->tally;
}

/* *ret: the buffer with the gradient of a result, NULL when it stays in the message; *ret_finite:
 * are all of its floats? */
static int take_gradient(struct run *r, const struct run_result *res, float **ret,
                         double **ret_sums, bool *ret_finite, struct errbuf *why)
{
    *ret_finite = true;
    if (r->uploads && phase_vector(res->phase) && !res->grad) {
        int rc = uploads_take(r->uploads, res->worker, res->node, ret, ret_sums, why);
        return rc != -ENOENT
                   ? rc
                   : err_set(
                         why, -ESTALE,
                         "the server does not have the gradient of shards %u to %u; offer it again",
                         res->node.lo, res->node.hi);
    }
    if (is_whole(r, res)) {
        *ret = NULL;
        *ret_sums = r->whole_sums;
        *ret_finite = halves_finite(r->halves, res->grad, r->model->floats);
        return 0;
    }
    *ret = reduce_buffer(sum_of(r, res->phase), ret_sums);
    if (!*ret)
        return err_set(why, -ENOMEM, "no memory for a gradient of %zu floats", r->model->floats);
    if (!phase_vector(res->phase))
        return 0;
    *ret_finite = halves_copy_finite(r->halves, *ret, res->grad, r->model->floats);
    return 0;
}

/* *ret: as take_gradient. */
static int read_gradient(struct run *r, const struct run_result *res, float **ret,
                         struct errbuf *why)
{
    double *sums;
    float *buf;
    bool finite;
    int rc = take_gradient(r, res, &buf, &sums, &finite, why);

    if (rc < 0)
        return rc;
    memcpy(sums, res->sums, SUM_COUNT * sizeof(*sums));
    for (enum sum i = 0; i < SUM_COUNT; i++)
        finite = finite && isfinite(sums[i]);
    if (!finite || !(sums[SUM_WEIGHT] > 0)) {
        if (buf)
            reduce_drop(sum_of(r, res->phase), buf);
        return err_set(why, -EINVAL,
                       finite ? "sums: the weight is not above 0"
                              : "grad or sums hold NaN or infinity");
    }
    *ret = buf;
    return 0;
}

const float *run_gradient(const struct run *r, const double **ret_sums)
{
    if (!r->whole)
        return reduce_result(r->reduce, ret_sums);
    *ret_sums = r->whole_sums;
    return r->whole;
}

/* To their samples, which a sweep has once each. */
static void keep_probabilities(struct run *r, const struct run_result *res, uint32_t count)
{
    const uint32_t *ids = r->ids + res->node.lo * (uint32_t)r->spec->shard;
    const size_t classes = r->model->classes, bytes = classes * sizeof(*r->probabilities);

    for (uint32_t i = 0; i < count; i++)
        memcpy(r->probabilities + ids[i] * classes, (const char *)res->probabilities + i * bytes,
               bytes);
}

/* Keeps the result, which was judged and closed its node; buf: its gradient, or NULL. */
static int count_result(struct run *r, const struct run_result *res, uint32_t count, float *buf)
{
    const uint32_t first = res->node.lo * (uint32_t)r->spec->shard;
    if (res->phase == PHASE_SWEEP)
        run_take_swept(r, first, res->scores, count);
    else if (phase_scores(res->phase, run_train_source(r)))
        memcpy(r->slots + first, res->scores, count * sizeof(*r->slots));
    if (wants_probabilities(r))
        keep_probabilities(r, res, count);
    if (phase_sums(res->phase) && !buf)
        r->whole = res->grad;
    return buf ? reduce_add(sum_of(r, res->phase), res->node, buf) : 0;
}

/* Memory for the scores of a sweep, where that of the epoch before has not come back. */
static int make_scores(struct run *r, struct errbuf *why)
{
    if (!r->scores)
        r->scores = alloc_untouched(r->data->samples, sizeof(*r->scores));
    return r->scores
               ? 0
               : err_set(why, -ENOMEM, "no memory for the scores of %u samples", r->data->samples);
}

int run_result(struct run *r, const struct run_result *res, struct errbuf *why)
{
    uint32_t count = run_node_samples(r, res->phase, res->step, res->node);
    const bool counts = count > 0 && run_wants(r, res->worker, res->node);
    const bool voice = count > 0 && run_wants_voice(r, res->worker, res->node);
    float *buf = NULL;
    int rc = 0;

    if (!counts && !voice)
        return -EALREADY;
    /* Judge everything first: only a valid result may close its node. */
    if (phase_scores(res->phase, run_train_source(r)))
        rc = judge_scores(r, res, count, why);
    if (rc == 0 && res->phase == PHASE_SWEEP)
        rc = make_scores(r, why);
    if (rc == 0 && phase_sums(res->phase))
        rc = read_gradient(r, res, &buf, why);
    if (rc == 0 && voice)
        run_hear(r, res, buf ? buf : res->grad, count);
    if (rc == 0 && counts) {
        run_finish(r, res->node);
        return count_result(r, res, count, buf);
    }
    if (buf)
        reduce_drop(sum_of(r, res->phase), buf);
    return rc < 0 ? rc : 1;
}
