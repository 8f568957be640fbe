/* The stages follow one another; each asks for its rounds in order and keeps at most a few vectors:
 * the basis of the Lanczos iteration is freed before the first line. */
#include "server/core/flatness.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/floats.h"
#include "common/rng.h"
#include "server/core/lanczos.h"

#define TOLERANCE 1e-3
#define MIDDLE (FLATNESS_POINTS / 2)
/* Forward passes that a product counts: the tangents of a forward and a backward pass, and what
 * they are tangents of. */
enum { COST_LOSS = 1, COST_SLOPE = 3, COST_PRODUCT = 9 };
enum { BALL = 3 }; /* places in the ball: along g, along the eigenvector, against it */

enum stage {
    STAGE_SLOPE,
    STAGE_UPHILL,
    STAGE_TRACE,
    STAGE_TOP,
    STAGE_BALL,
    STAGE_LINE,
    STAGE_OVER
};

struct flatness {
    const struct flatness_spec *spec;
    const struct model *model;
    uint64_t seed;
    enum stage stage;
    uint32_t turn;
    double left;   /* cost of the open round and those behind it, at most */
    int at;        /* number of the round in its stage */
    int line;      /* number of the line, in STAGE_LINE */
    float *along;  /* [floats] the probe, or the direction of a line */
    double length; /* of along, as a direction */
    double probe_mean, probe_squares;
    struct lanczos *lanczos;
    struct flatness_record r;
};

bool flatness_due(const struct flatness_spec *spec, int64_t epoch, int64_t epochs)
{
    return spec->every > 0 && (epoch % spec->every == 0 || epoch == epochs - 1);
}

uint32_t flatness_count(const struct flatness_spec *spec, uint32_t samples)
{
    return spec->samples == 0 || spec->samples > samples ? samples : (uint32_t)spec->samples;
}

static int ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

void flatness_choose(const struct flatness_spec *spec, uint64_t seed, uint32_t *ids, uint32_t count)
{
    const uint32_t kept = flatness_count(spec, count);
    struct rng r = rng_at(seed, RNG_FLATNESS, FLATNESS_DRAW_SAMPLES, 0);

    if (kept == count)
        return;
    rng_shuffle(&r, ids, count);
    qsort(ids, kept, sizeof(*ids), ascending);
}

size_t flatness_vectors(const struct flatness_spec *spec)
{
    return spec->every > 0 ? (size_t)spec->iterations + 2 : 0;
}

enum { LOSSES = BALL + FLATNESS_LINES * (FLATNESS_POINTS - 1) };

double flatness_cost(const struct flatness_spec *spec)
{
    return COST_SLOPE + COST_PRODUCT * (double)(spec->probes + spec->iterations) +
           COST_LOSS * LOSSES;
}

double flatness_round_cost(enum phase phase)
{
    return phase == PHASE_SLOPE ? COST_SLOPE : phase == PHASE_PRODUCT ? COST_PRODUCT : COST_LOSS;
}

struct flatness *flatness_create(const struct flatness_spec *spec, const struct model *m,
                                 uint64_t seed, uint32_t samples)
{
    struct flatness *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->spec = spec;
    f->model = m;
    f->seed = seed;
    f->left = flatness_cost(spec);
    f->along = alloc_bytes(m->floats, sizeof(*f->along));
    f->lanczos = lanczos_create(m->floats, (int)spec->iterations);
    f->r = (struct flatness_record){.samples = samples,
                                    .probes = (uint32_t)spec->probes,
                                    .rho = spec->rho,
                                    .sharpness = -INFINITY};
    if (!f->along || !f->lanczos) {
        flatness_free(f);
        return NULL;
    }
    return f;
}

void flatness_free(struct flatness *f)
{
    if (!f)
        return;
    lanczos_free(f->lanczos);
    free(f->along);
    free(f);
}

/* --- directions --- */

/* +1 or -1 for every trained parameter, a bit each; padding 0. */
static void draw_signs(struct flatness *f, enum flatness_draw what, uint32_t number)
{
    const struct model *m = f->model;
    struct rng r = rng_at(f->seed, RNG_FLATNESS, what, number);

    for (int i = 0; i < m->trained_count; i++) {
        float *v = f->along + m->params[i].offset;
        uint32_t bits = 0;
        for (size_t j = 0; j < m->params[i].count; j++, bits >>= 1) {
            bits = j % 32 ? bits : rng_u32(&r);
            v[j] = bits & 1 ? 1 : -1;
        }
    }
}

/* Nearly normal: the sum of four uniform numbers. */
static float draw_bell(struct rng *r)
{
    double sum = -2;

    for (int i = 0; i < 4; i++)
        sum += ldexp(rng_u32(r), -32);
    return (float)sum;
}

/* Gives each filter of v, what makes one output channel, the length of theta's. */
static void match_filters(const struct param *p, const float *theta, float *v)
{
    const size_t filters = p->shape[p->dims - 1];

    for (size_t k = 0; k < filters; k++) {
        double own = 0, wanted = 0;
        for (size_t j = k; j < p->count; j += filters) {
            own += (double)v[j] * (double)v[j];
            wanted += (double)theta[j] * (double)theta[j];
        }
        const double factor = own > 0 ? sqrt(wanted / own) : 0;
        for (size_t j = k; j < p->count; j += filters)
            v[j] = (float)(factor * (double)v[j]);
    }
}

static void draw_line(struct flatness *f, const float *theta)
{
    const struct model *m = f->model;
    struct rng r = rng_at(f->seed, RNG_FLATNESS, FLATNESS_DRAW_LINE, (uint32_t)f->line);

    memset(f->along, 0, m->floats * sizeof(*f->along));
    for (int i = 0; i < m->trained_count; i++) {
        const struct param *p = &m->params[i];
        if (!p->decay) /* biases and norms */
            continue;
        for (size_t j = p->offset; j < p->offset + p->count; j++)
            f->along[j] = draw_bell(&r);
        match_filters(p, theta + p->offset, f->along + p->offset);
    }
    f->length = sqrt(floats_dot(f->along, f->along, m->floats));
}

/* --- rounds --- */

static double t_of(int point)
{
    return (double)(point - MIDDLE) / MIDDLE;
}

static void move(const struct flatness *f, const float *theta, float *moved, double t)
{
    memcpy(moved, theta, f->model->floats * sizeof(*moved));
    floats_add_times(moved, t, f->along, f->model->trained);
}

bool flatness_next(struct flatness *f, const float *theta, float *moved, enum phase *ret)
{
    static const double ball[BALL] = {1, 1, -1}; /* the first is STAGE_UPHILL */

    f->turn++;
    switch (f->stage) {
    case STAGE_SLOPE:
        *ret = PHASE_SLOPE;
        return true;
    case STAGE_TRACE:
        draw_signs(f, FLATNESS_DRAW_PROBE, (uint32_t)f->at);
        *ret = PHASE_PRODUCT;
        return true;
    case STAGE_TOP:
        *ret = PHASE_PRODUCT;
        return true;
    case STAGE_UPHILL:
        move(f, theta, moved, f->length > 0 ? f->spec->rho / f->length : 0);
        break;
    case STAGE_BALL:
        move(f, theta, moved, ball[f->at] * f->spec->rho);
        break;
    case STAGE_LINE:
        move(f, theta, moved, t_of(f->at));
        break;
    case STAGE_OVER:
        return false;
    }
    *ret = PHASE_LOSS;
    return true;
}

const float *flatness_vector(const struct flatness *f)
{
    return f->stage == STAGE_TOP ? lanczos_vector(f->lanczos) : f->along;
}

uint32_t flatness_turn(const struct flatness *f)
{
    return f->turn;
}

uint32_t flatness_turns(const struct flatness *f)
{
    const int64_t top = f->lanczos ? f->spec->iterations : f->r.products;

    return 1 + (uint32_t)(f->spec->probes + top) + LOSSES;
}

double flatness_left(const struct flatness *f)
{
    return f->left;
}

/* --- results --- */

static void take_slope(struct flatness *f, const float *gradient, double loss)
{
    const size_t floats = f->model->floats, trained = f->model->trained;

    f->r.loss = loss;
    memset(f->along, 0, floats * sizeof(*f->along));
    floats_times(f->along, 1 / (double)f->r.samples, gradient, trained);
    f->length = sqrt(floats_dot(f->along, f->along, trained));
    f->r.gradient_norm = f->length;
    f->stage = STAGE_UPHILL;
}

/* Mean and squares around it by Welford's update. */
static int take_probe(struct flatness *f, const float *product)
{
    const double x = floats_dot(f->along, product, f->model->trained) / (double)f->r.samples;
    const double d = x - f->probe_mean, n = f->at + 1;

    f->probe_mean += d / n;
    f->probe_squares += d * (x - f->probe_mean);
    if (++f->at < f->spec->probes)
        return 0;
    f->r.trace = f->probe_mean;
    f->r.trace_error = n > 1 ? sqrt(f->probe_squares / (n * (n - 1))) : NAN;
    draw_signs(f, FLATNESS_DRAW_START, 0);
    f->stage = STAGE_TOP;
    f->at = 0;
    return lanczos_begin(f->lanczos, f->along);
}

static int take_product(struct flatness *f, const float *product)
{
    int rc = lanczos_add(f->lanczos, product, 1 / (double)f->r.samples);

    if (rc < 0 || !lanczos_done(f->lanczos, FLATNESS_TOP, TOLERANCE))
        return rc;
    f->r.products = lanczos_steps(f->lanczos);
    f->left -= COST_PRODUCT * (double)(f->spec->iterations - f->r.products);
    f->r.count = lanczos_values(f->lanczos, FLATNESS_TOP, f->r.value, f->r.residual);
    lanczos_top(f->lanczos, f->along);
    lanczos_free(f->lanczos);
    f->lanczos = NULL;
    f->length = 1;
    f->stage = STAGE_BALL;
    f->at = 1;
    return 0;
}

static void take_ball(struct flatness *f, double loss)
{
    f->r.sharpness = fmax(f->r.sharpness, loss - f->r.loss);
    if (f->stage == STAGE_UPHILL) {
        f->stage = STAGE_TRACE;
        memset(f->along, 0, f->model->floats * sizeof(*f->along));
    } else if (++f->at == BALL) {
        f->stage = STAGE_LINE;
        f->at = 0;
    }
}

static void keep_point(struct flatness *f, int point, double loss)
{
    const double t = t_of(point);

    f->r.line[f->line][point] = (struct flatness_point){t, fabs(t) * f->length, loss};
}

static void take_point(struct flatness *f, const float *theta, double loss)
{
    keep_point(f, f->at, loss);
    if (++f->at == MIDDLE)
        keep_point(f, f->at++, f->r.loss);
    if (f->at < FLATNESS_POINTS)
        return;
    f->at = 0;
    if (++f->line < FLATNESS_LINES)
        draw_line(f, theta);
    else
        f->stage = STAGE_OVER;
}

int flatness_take(struct flatness *f, const float *theta, const float *vector,
                  const double sums[SUM_COUNT])
{
    const double loss = sums[SUM_LOSS] / (double)f->r.samples;

    f->left -= flatness_round_cost(!vector                   ? PHASE_LOSS
                                   : f->stage == STAGE_SLOPE ? PHASE_SLOPE
                                                             : PHASE_PRODUCT);
    switch (f->stage) {
    case STAGE_SLOPE:
        take_slope(f, vector, loss);
        return 0;
    case STAGE_TRACE:
        return take_probe(f, vector);
    case STAGE_TOP:
        return take_product(f, vector);
    case STAGE_UPHILL:
    case STAGE_BALL:
        take_ball(f, loss);
        return 0;
    case STAGE_LINE:
        take_point(f, theta, loss);
        return 0;
    case STAGE_OVER:
        break;
    }
    return 0;
}

struct flatness_record flatness_result(const struct flatness *f)
{
    return f->r;
}
