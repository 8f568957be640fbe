/* Two passes over the vector: the norm, then theta hat. Parameters begin at multiples of LANES,
 * with zeros behind their last entry, so all loops are whole blocks of a constant size, which is
 * what lets the compiler vectorise them at -O2. */
#include "common/ascent.h"

#include <float.h>
#include <math.h>

#include "common/clone.h"
#include "common/floats.h"

#define LANES FLOATS_LANES
#define ASAM_ETA 0.01f

static inline __attribute__((always_inline)) float size_of(float theta)
{
    return fabsf(theta) + ASAM_ETA;
}

KERNEL static void add_scaled_squares(double *restrict lane, const float *restrict g,
                                      const float *restrict theta, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            const float scaled = g[i + j] * size_of(theta[i + j]);
            lane[j] += (double)scaled * (double)scaled;
        }
}

/* hat may be g. */
KERNEL static void move(float *hat, const float *restrict theta, float c, const float *g, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
#pragma GCC ivdep
        for (size_t j = 0; j < LANES; j++)
            hat[i + j] = theta[i + j] + c * g[i + j];
}

KERNEL static void move_scaled(float *hat, const float *restrict theta, float c, const float *g,
                               size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
#pragma GCC ivdep
        for (size_t j = 0; j < LANES; j++) {
            const float t = size_of(theta[i + j]);
            hat[i + j] = theta[i + j] + c * (g[i + j] * t * t);
        }
}

/* Entries of a parameter with the padding behind it. */
static size_t padded(const struct model *m, int param)
{
    const size_t end = param + 1 < m->trained_count ? m->params[param + 1].offset : m->trained;

    return end - m->params[param].offset;
}

static double norm_of(const struct model *m, enum sam_kind kind, const float *g, const float *theta)
{
    double lane[LANES] = {0};

    if (kind != SAM_ADAPTIVE)
        floats_add_squares(lane, g, m->trained);
    for (int i = 0; kind == SAM_ADAPTIVE && i < m->trained_count; i++) {
        const size_t at = m->params[i].offset;
        if (m->params[i].scaled)
            add_scaled_squares(lane, g + at, theta + at, padded(m, i));
        else
            floats_add_squares(lane, g + at, padded(m, i));
    }
    return sqrt(floats_sum_lanes(lane));
}

void ascent(const struct model *m, enum sam_kind kind, double rho, double weight,
            const float *grad_sum, const float *theta, float *theta_hat)
{
    const unsigned mode = floats_flush();
    /* grad_sum is weight times g: one factor for all entries, no division of each. */
    double c = rho / (norm_of(m, kind, grad_sum, theta) + 1e-12 * weight);

    if (c > FLT_MAX) /* infinity times a gradient of 0 is not a number */
        c = FLT_MAX;
    if (kind != SAM_ADAPTIVE)
        move(theta_hat, theta, (float)c, grad_sum, m->trained);
    for (int i = 0; kind == SAM_ADAPTIVE && i < m->trained_count; i++) {
        const size_t at = m->params[i].offset;
        (m->params[i].scaled ? move_scaled : move)(theta_hat + at, theta + at, (float)c,
                                                   grad_sum + at, padded(m, i));
    }
    floats_restore(mode);
}
