/* One shard, start to end. A training step is three forward and two backward passes at most:
 *   ascent    forward and backward at theta: g, and the gradient of x when that is measured
 *   twin      forward of the adversarial twins at theta, when they are measured; before it, for an
 *             attack of several moves, a forward and a backward to x for each move but the first
 *   descent   forward and backward at theta hat: the gradient that is returned
 * With rho 0 the descent's gradient is the ascent's: one forward, one backward; where its weights
 * depend on a gradient of x, the net has spent its activations on that, and it is a pass of its
 * own. A weight v_i enters once, in the delta of sample i. So the gradients of the parameters are
 * weighted sums, and the gradient of x_i is v_i times the sample's own. */
#include "worker/step.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/ascent.h"
#include "common/footprint.h"
#include "common/surrogate.h"
#include "worker/nn/arena.h"
#include "worker/nn/attack.h"
#include "worker/nn/curve.h"
#include "worker/nn/head.h"
#include "worker/nn/layer.h"
#include "worker/nn/mixup.h"
#include "worker/nn/net.h"
#include "worker/nn/vec.h"

struct step {
    const struct model *model;
    struct net *net;
    const struct kernels *kernels;
    struct curve *curve; /* NULL until a product is wanted */
    struct profile *profile;
    uint32_t shard_max;
    struct net_mode mode; /* of all forwards of a call */
    size_t pixels;        /* entries of one image */
    bool mixes;           /* BatchNorms mix the samples of a shard */
    struct arena arena;
    real *x, *twin, *dx;   /* [shard, pixels] */
    real *dlogits;         /* [shard, classes] */
    double *delta;         /* [classes] */
    double *other;         /* [classes]: delta towards the label of the partner */
    uint32_t *partner;     /* [shard] */
    double lambda;         /* of the mixed images; 1: they are not mixed */
    struct head *heads;    /* [shard] */
    double *losses;        /* [shard] of the pass at theta, as trained */
    float *weights;        /* [shard] v_i of a curriculum inside the step */
    float *alike;          /* [shard] of 1 */
    uint32_t *places;      /* [shard] of the samples of a descent in the shard */
    struct score *scores;  /* [shard], measured for the order only */
    struct ranked *ranked; /* [shard] */
    uint16_t *labels;      /* [shard] */
    uint8_t *bytes;        /* [pixels] of an image that is augmented */
    int *exponents; /* [shard]: power of two that was taken out of delta for a gradient of x */
    real *g;        /* [floats], then theta hat */
    real *up;       /* [floats]: g where the descent still needs it; NULL: it never does */
};

/* common/footprint.c counts the same. */
static_assert(sizeof(struct head) == FOOTPRINT_HEAD_BYTES, "as it is counted");
static void lay_out(struct step *s, bool splits)
{
    const size_t shard = s->shard_max, classes = s->model->classes;
    struct arena *a = &s->arena;

    s->x = arena_take(a, shard * s->pixels, sizeof(*s->x));
    s->twin = arena_take(a, shard * s->pixels, sizeof(*s->twin));
    s->dx = arena_take(a, shard * s->pixels, sizeof(*s->dx));
    s->dlogits = arena_take(a, shard * classes, sizeof(*s->dlogits));
    s->delta = arena_take(a, classes, sizeof(*s->delta));
    s->other = arena_take(a, classes, sizeof(*s->other));
    s->partner = arena_take(a, shard, sizeof(*s->partner));
    s->heads = arena_take(a, shard, sizeof(*s->heads));
    s->losses = arena_take(a, shard, sizeof(*s->losses));
    s->weights = arena_take(a, shard, sizeof(*s->weights));
    s->alike = arena_take(a, shard, sizeof(*s->alike));
    s->places = arena_take(a, shard, sizeof(*s->places));
    s->scores = arena_take(a, shard, sizeof(*s->scores));
    s->ranked = arena_take(a, shard, sizeof(*s->ranked));
    s->labels = arena_take(a, shard, sizeof(*s->labels));
    s->bytes = arena_take(a, s->pixels, sizeof(*s->bytes));
    s->exponents = arena_take(a, shard, sizeof(*s->exponents));
    s->g = arena_take(a, s->model->floats, sizeof(*s->g));
    s->up = splits ? arena_take(a, s->model->floats, sizeof(*s->up)) : NULL;
}

struct step *step_create(const struct model *m, const struct kernels *kernels, uint32_t shard_max,
                         bool splits)
{
    struct step *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->model = m;
    s->kernels = kernels;
    s->shard_max = shard_max;
    s->pixels = dims_count(m->in);
    s->mixes = m->floats > m->trained;
    s->net = net_create(m, kernels, shard_max);
    lay_out(s, splits);
    if (!s->net || arena_map(&s->arena) != 0) {
        step_free(s);
        return NULL;
    }
    lay_out(s, splits);
    for (uint32_t i = 0; i < shard_max; i++)
        s->alike[i] = 1;
    return s;
}

void step_free(struct step *s)
{
    if (!s)
        return;
    net_free(s->net);
    curve_free(s->curve);
    arena_unmap(&s->arena);
    free(s);
}

void step_profile(struct step *s, struct profile *profile)
{
    s->profile = profile;
    net_profile(s->net, profile);
}

/* Sample i of the shard; draw {0}: as it is. */
static void load_sample(struct step *s, const struct samples *set, uint32_t i, uint32_t id,
                        struct augment_draw draw)
{
    assert(id < set->count);
    s->labels[i] = set->labels[id];
    augment_load(s->x + i * s->pixels, set->images + id * s->pixels, s->model->in, draw, s->bytes);
}

/* The samples of a training step, augmented and mixed. */
static void load_shard(struct step *s, const struct step_spec *spec, const struct samples *set,
                       const uint32_t *ids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        load_sample(s, set, i, ids[i],
                    augment_draw(&spec->augment, spec->seed, spec->step, spec->slot + i));
    s->lambda = 1;
    if (spec->mixup > 0) {
        s->lambda = mixup_draw(spec->mixup, spec->seed, spec->step, spec->slot, s->partner, n);
        mixup_images(s->x, s->partner, s->lambda, n, s->pixels, s->twin);
    }
}

/* The loss of the logits z with this label, smoothed. */
static void smoothed_head(const struct step *s, const struct step_spec *spec, const real *z,
                          uint32_t label, struct head *ret, double *delta)
{
    head_sample(z, s->model->classes, label, ret, delta);
    if (spec->smoothing > 0)
        head_smooth(z, s->model->classes, label, spec->smoothing, ret, delta);
}

/* Sample i of mixed ones, towards the label of its partner: changes dlogits, which has its own
 * part, and returns the weighted loss of both. */
static double mix_head(struct step *s, const struct step_spec *spec, const real *z, size_t i,
                       const float *weights)
{
    const uint32_t classes = s->model->classes, partner = s->partner[i];
    const double own = s->lambda * weights[i], rest = (1 - s->lambda) * weights[partner];
    struct head head;

    smoothed_head(s, spec, z, s->labels[partner], &head, s->other);
    for (size_t j = 0; j < classes; j++)
        s->dlogits[i * classes + j] = (real)(own * s->delta[j] + rest * s->other[j]);
    return own * s->heads[i].loss + rest * head.loss;
}

/* The heads of n logits rows and their losses; dlogits = v_i * delta_i. Returns the weighted sum of
 * the losses. */
static double weigh_heads(struct step *s, const struct step_spec *spec, const real *logits,
                          const float *weights, uint32_t n)
{
    const uint32_t classes = s->model->classes;
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        const real *z = logits + i * classes;
        smoothed_head(s, spec, z, s->labels[i], &s->heads[i], s->delta);
        s->losses[i] = s->heads[i].loss;
        if (s->lambda < 1) {
            sum += mix_head(s, spec, z, i, weights);
            continue;
        }
        sum += weights[i] * s->heads[i].loss;
        for (size_t j = 0; j < classes; j++)
            s->dlogits[i * classes + j] = (real)(weights[i] * s->delta[j]);
    }
    profile_part(s->profile, PART_HEAD);
    return sum;
}

/* How many of the last forward's predictions are right. */
static double count_correct(const struct step *s, uint32_t n)
{
    double correct = 0;

    for (uint32_t i = 0; i < n; i++) {
        const int32_t predicted = s->heads[i].predicted;
        if (s->lambda < 1)
            correct += s->lambda * (predicted == s->labels[i]) +
                       (1 - s->lambda) * (predicted == s->labels[s->partner[i]]);
        else
            correct += predicted == s->labels[i];
    }
    return correct;
}

/* A forward of the n samples in `x` and their heads; returns the logits; ready for a gradient of x,
 * each row times 2^-exponent. */
static const real *data_forward(struct step *s, const real *theta, const real *x, uint32_t n)
{
    const uint32_t classes = s->model->classes;
    const real *logits = net_forward(s->net, &s->mode, theta, x, n);

    for (size_t i = 0; i < n; i++) {
        head_sample(logits + i * classes, classes, s->labels[i], &s->heads[i], s->delta);
        s->exponents[i] = head_exponent(&s->heads[i]);
        const double power = ldexp(1, -s->exponents[i]);
        for (size_t j = 0; j < classes; j++)
            s->dlogits[i * classes + j] = (real)(s->delta[j] * power);
    }
    profile_part(s->profile, PART_HEAD);
    return logits;
}

/* Gradients of x of the n samples in `x`, each times 2^-exponent, into dx; the heads with them. */
static void data_gradients(struct step *s, const real *theta, const real *x, uint32_t n)
{
    data_forward(s, theta, x, n);
    net_backward(s->net, theta, s->dlogits, NULL, s->dx);
}

/* The clean half of a score; grad_norm and the adversarial half follow. */
static void write_clean(const struct step *s, uint32_t n, struct score *scores)
{
    for (uint32_t i = 0; i < n; i++)
        scores[i] = (struct score){
            .loss = s->heads[i].loss,
            .el2n = s->heads[i].el2n,
            .predicted = s->heads[i].predicted,
            .flags = SCORE_MEASURED,
        };
}

/* Twin of sample i, or its first place, from its row of dx, which is the sample's gradient up to a
 * positive factor; returns the norm of that row. */
static double attack_sample(struct step *s, const struct step_spec *spec, uint32_t i,
                            struct score *score)
{
    const real *g = s->dx + i * s->pixels, *x = s->x + i * s->pixels;
    const double norm = sqrt(vec_square_sum(g, s->pixels));
    real *twin = s->twin + i * s->pixels;
    bool directed = norm != 0;

    if (spec->attack == ATTACK_FGSM) {
        directed = attack_fgsm(x, g, spec->epsilon, s->pixels, twin);
    } else if (spec->attack == ATTACK_L2) {
        directed = attack_l2(x, g, spec->epsilon, s->pixels, twin);
    } else if (directed && spec->random_start) {
        attack_start(x, spec->epsilon, spec->seed, spec->step, spec->slot + i, s->pixels, twin);
    } else {
        memcpy(twin, x, s->pixels * sizeof(*twin));
        if (directed)
            attack_move(x, g, spec->alpha, spec->epsilon, s->pixels, twin);
    }
    if (!directed)
        score->flags |= SCORE_NO_DIRECTION;
    return norm;
}

/* The moves of PGD that remain after attack_sample; a twin without direction stays. */
static void move_twins(struct step *s, const struct step_spec *spec, const real *theta, uint32_t n,
                       const struct score *scores)
{
    if (spec->attack != ATTACK_PGD)
        return;
    for (uint32_t move = spec->random_start ? 0 : 1; move < spec->moves; move++) {
        data_gradients(s, theta, s->twin, n);
        for (size_t i = 0; i < n; i++)
            if (!(scores[i].flags & SCORE_NO_DIRECTION))
                attack_move(s->x + i * s->pixels, s->dx + i * s->pixels, spec->alpha, spec->epsilon,
                            s->pixels, s->twin + i * s->pixels);
        profile_part(s->profile, PART_ATTACK);
    }
}

/* Loss and class of the twins at theta; the activations of the clean pass are gone after it. */
static void measure_twins(struct step *s, const real *theta, uint32_t n, struct score *scores)
{
    const real *logits = net_forward(s->net, &s->mode, theta, s->twin, n);

    for (size_t i = 0; i < n; i++) {
        struct head h;
        head_sample(logits + i * s->model->classes, s->model->classes, s->labels[i], &h, NULL);
        scores[i].adv_loss = h.loss;
        scores[i].adv_predicted = h.predicted;
    }
    profile_part(s->profile, PART_HEAD);
}

/* From row i of dx, with a twin to come also its first place; the norm of that row. */
static double read_gradient(struct step *s, const struct step_spec *spec, enum difficulty_need need,
                            uint32_t i, struct score *score)
{
    return need == NEED_TWIN ? attack_sample(s, spec, i, score)
                             : sqrt(vec_square_sum(s->dx + i * s->pixels, s->pixels));
}

/* The adversarial half of scores, of twins that have their first places. */
static void score_twins(struct step *s, const struct step_spec *spec, const real *theta, uint32_t n,
                        struct score *scores)
{
    profile_pass(s->profile, PASS_TWIN);
    move_twins(s, spec, theta, n, scores);
    measure_twins(s, theta, n, scores);
}

/* Scores the samples that are loaded, in evaluation mode, as far as need says. probabilities: as of
 * step_score. */
static void score_loaded(struct step *s, const struct step_spec *spec, const real *theta,
                         uint32_t n, enum difficulty_need need, struct score *scores,
                         float *probabilities)
{
    const uint32_t classes = s->model->classes;

    s->mode = (struct net_mode){.fold = true};
    profile_pass(s->profile, PASS_SWEEP);
    const real *logits = data_forward(s, theta, s->x, n);
    for (size_t i = 0; probabilities && i < n; i++)
        head_probabilities(logits + i * classes, classes, probabilities + i * classes);
    write_clean(s, n, scores);
    if (need < NEED_GRADIENT)
        return;
    net_backward(s->net, theta, s->dlogits, NULL, s->dx);
    for (uint32_t i = 0; i < n; i++)
        scores[i].grad_norm = ldexp(read_gradient(s, spec, need, i, &scores[i]), s->exponents[i]);
    profile_part(s->profile, PART_ATTACK);
    if (need == NEED_TWIN)
        score_twins(s, spec, theta, n, scores);
}

/* What a training step measures beside what it sums. */
struct measuring {
    enum difficulty_need need;
    bool ranked;          /* the weights are those of places, and not all alike */
    bool apart;           /* by passes of its own, in evaluation mode */
    struct score *scores; /* where to */
};

static struct measuring measuring_of(const struct step *s, const struct step_spec *spec,
                                     const float *weights, uint32_t n, struct score *scores)
{
    struct measuring m = {.scores = spec->fused ? scores : s->scores};

    for (uint32_t i = 1; spec->online && i < n; i++)
        m.ranked |= weights[i] != weights[0];
    if (spec->fused)
        m.need = NEED_TWIN;
    else if (m.ranked)
        m.need = difficulty_need(spec->order.measure);
    m.apart = spec->online && m.need > NEED_NOTHING && (s->mixes || spec->smoothing > 0);
    return m;
}

/* Scores from the pass at theta that had weights v: its heads, and its gradient of x. */
static void score_inside(struct step *s, const struct step_spec *spec, const real *theta,
                         const float *v, uint32_t n, const struct measuring *m)
{
    write_clean(s, n, m->scores);
    if (m->need < NEED_GRADIENT)
        return;
    for (uint32_t i = 0; i < n; i++)
        m->scores[i].grad_norm = read_gradient(s, spec, m->need, i, &m->scores[i]) / v[i];
    profile_part(s->profile, PART_ATTACK);
    if (m->need == NEED_TWIN)
        score_twins(s, spec, theta, n, m->scores);
}

static double weight_sum(const float *v, uint32_t n)
{
    double sum = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += v[i];
    return sum;
}

/* Of the last heads. */
static double weighted_loss(const struct step *s, const float *v, uint32_t n)
{
    double sum = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += v[i] * s->losses[i];
    return sum;
}

/* Moves the samples that weigh something to the front, with their weights and places in the shard;
 * returns how many they are. */
static uint32_t keep_weighed(struct step *s, uint32_t n)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (s->weights[i] == 0)
            continue;
        if (kept < i) {
            memcpy(s->x + kept * s->pixels, s->x + i * s->pixels, s->pixels * sizeof(*s->x));
            s->labels[kept] = s->labels[i];
            s->weights[kept] = s->weights[i];
        }
        s->places[kept++] = i;
    }
    s->mode.places = s->places;
    return kept;
}

/* Forward and backward at theta; returns the weighted loss there. */
static double descend(struct step *s, const struct step_spec *spec, const real *theta,
                      const float *v, uint32_t n, real *grad)
{
    const double loss = weigh_heads(s, spec, net_forward(s->net, &s->mode, theta, s->x, n), v, n);

    net_backward(s->net, theta, s->dlogits, grad, NULL);
    return loss;
}

void step_train(struct step *s, const struct step_spec *spec, const real *theta,
                const struct samples *set, const uint32_t *ids, const float *weights, uint32_t n,
                real *grad, double sums[SUM_COUNT], struct score *scores)
{
    assert(n >= 1 && n <= s->shard_max && (scores || !spec->fused));
    /* Scores are of the samples as they are. */
    assert(!spec->fused || spec->online || spec->smoothing == 0);
    assert(!(spec->fused || spec->online) || spec->mixup == 0);
    const struct measuring m = measuring_of(s, spec, weights, n, scores);
    const bool sam = spec->rho > 0, splits = sam && spec->sam == SAM_SURROGATE;
    const bool dx = m.need >= NEED_GRADIENT && !m.apart;
    const float *v = m.ranked ? s->alike : weights;

    load_shard(s, spec, set, ids, n);
    if (m.apart)
        score_loaded(s, spec, theta, n, m.need, m.scores, NULL);
    s->mode = (struct net_mode){
        .train = true, .seed = spec->seed, .step = spec->step, .slot = spec->slot};
    profile_pass(s->profile, sam ? PASS_ASCENT : PASS_DESCENT);
    const real *logits = net_forward(s->net, &s->mode, theta, s->x, n);
    double loss = weigh_heads(s, spec, logits, v, n);
    net_statistics(s->net, grad);
    const double correct = count_correct(s, n);
    /* Without ascent the gradient of the parameters waits for weights that are not known yet. */
    real *const up = sam ? (splits ? s->up : s->g) : m.ranked ? NULL : grad;
    net_backward(s->net, theta, s->dlogits, up, dx ? s->dx : NULL);
    const double weight = weight_sum(v, n); /* of this pass */

    if (m.need > NEED_NOTHING && !m.apart)
        score_inside(s, spec, theta, v, n, &m);
    if (m.ranked) {
        difficulty_weigh(&spec->order, spec->seed, m.scores, ids, weights, n, s->ranked,
                         s->weights);
        v = s->weights;
        loss = weighted_loss(s, v, n);
    }
    sums[SUM_WEIGHT] = weight_sum(v, n);
    sums[SUM_LOSS] = sums[SUM_LOSS_HAT] = loss;
    sums[SUM_SAMPLES] = n;
    sums[SUM_CORRECT] = correct;
    if (sam) {
        ascent(s->model, spec->sam, spec->rho, weight, up, theta, s->g);
        profile_part(s->profile, PART_ASCEND);
        profile_pass(s->profile, PASS_DESCENT);
        const uint32_t kept = m.ranked && !s->mixes ? keep_weighed(s, n) : n;
        sums[SUM_LOSS_HAT] = descend(s, spec, s->g, v, kept, grad);
        if (splits) /* up and grad are sums with other weights: as if both were means */
            surrogate(s->model->trained, spec->sam_alpha * (sums[SUM_WEIGHT] / weight), up, grad,
                      grad);
    } else if (m.ranked && dx) { /* without BatchNorms: with them dx comes apart */
        descend(s, spec, theta, v, keep_weighed(s, n), grad);
    } else if (m.ranked) {
        weigh_heads(s, spec, logits, v, n);
        net_backward(s->net, theta, s->dlogits, grad, NULL);
    }
}

void step_score(struct step *s, const struct step_spec *spec, const real *theta,
                const struct samples *set, const uint32_t *ids, uint32_t n, struct score *scores,
                float *probabilities)
{
    assert(n >= 1 && n <= s->shard_max);

    for (uint32_t i = 0; i < n; i++)
        load_sample(s, set, i, ids[i], (struct augment_draw){0});
    score_loaded(s, spec, theta, n, NEED_TWIN, scores, probabilities);
}

/* The lowest of the classes with the largest logit. */
static uint16_t predicted_class(const real *z, uint32_t classes)
{
    uint32_t best = 0;

    for (uint32_t j = 1; j < classes; j++)
        best = z[j] > z[best] ? j : best;
    return (uint16_t)best;
}

void step_predict(struct step *s, const struct step_spec *spec, const real *theta,
                  const uint8_t *images, uint32_t n, float *logits, int32_t *twins)
{
    const uint32_t classes = s->model->classes;

    assert(n >= 1 && n <= s->shard_max);
    for (uint32_t i = 0; i < n; i++)
        augment_load(s->x + i * s->pixels, images + i * s->pixels, s->model->in,
                     (struct augment_draw){0}, s->bytes);
    s->mode = (struct net_mode){.fold = true};
    const real *z = net_forward(s->net, &s->mode, theta, s->x, n);
    for (size_t i = 0; i < (size_t)n * classes; i++)
        logits[i] = (float)z[i];
    if (!twins)
        return;
    for (size_t i = 0; i < n; i++)
        s->labels[i] = predicted_class(z + i * classes, classes);
    score_loaded(s, spec, theta, n, NEED_TWIN, s->scores, NULL);
    for (uint32_t i = 0; i < n; i++)
        twins[i] = s->scores[i].adv_predicted;
}

/* Loads the samples; the sums of n samples without losses. */
static void begin_flat(struct step *s, const struct samples *set, const uint32_t *ids, uint32_t n,
                       double sums[SUM_COUNT])
{
    assert(n >= 1 && n <= s->shard_max);
    s->mode = (struct net_mode){0};
    for (uint32_t i = 0; i < n; i++)
        load_sample(s, set, i, ids[i], (struct augment_draw){0});
    memset(sums, 0, SUM_COUNT * sizeof(*sums));
    sums[SUM_WEIGHT] = sums[SUM_SAMPLES] = n;
}

void step_loss(struct step *s, const real *theta, const struct samples *set, const uint32_t *ids,
               uint32_t n, double sums[SUM_COUNT])
{
    const uint32_t classes = s->model->classes;

    begin_flat(s, set, ids, n, sums);
    const real *logits = net_forward(s->net, &s->mode, theta, s->x, n);
    for (size_t i = 0; i < n; i++) {
        struct head *h = &s->heads[i];
        head_sample(logits + i * classes, classes, s->labels[i], h, s->delta);
        for (size_t j = 0; j < classes; j++)
            s->dlogits[i * classes + j] = (real)s->delta[j];
        sums[SUM_LOSS] += h->loss < FLAT_LOSS_MAX ? h->loss : FLAT_LOSS_MAX; /* NaN too */
        sums[SUM_CORRECT] += h->predicted == s->labels[i];
    }
    sums[SUM_LOSS_HAT] = sums[SUM_LOSS];
}

void step_slope(struct step *s, const real *theta, const struct samples *set, const uint32_t *ids,
                uint32_t n, real *grad, double sums[SUM_COUNT])
{
    const size_t trained = s->model->trained;

    step_loss(s, theta, set, ids, n, sums);
    net_backward(s->net, theta, s->dlogits, grad, NULL);
    memset(grad + trained, 0, (s->model->floats - trained) * sizeof(*grad));
}

int step_product(struct step *s, const real *theta, const real *v, const struct samples *set,
                 const uint32_t *ids, uint32_t n, real *product, double sums[SUM_COUNT])
{
    if (!s->curve)
        s->curve = curve_create(s->model, s->kernels, s->shard_max);
    if (!s->curve)
        return -ENOMEM;
    begin_flat(s, set, ids, n, sums);
    curve_product(s->curve, theta, v, s->x, s->labels, n, product);
    return 0;
}
