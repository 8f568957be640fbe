#include "server/core/lanczos.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/floats.h"

#define SWEEPS_MAX 60
/* A new vector that is so much shorter than the products is rounding: the space is exhausted. */
#define EXHAUSTED 1e-6

struct lanczos {
    size_t n;
    int limit, count; /* products taken */
    bool exhausted;
    float *basis[LANCZOS_STEPS_MAX + 1]; /* count + 1 of them, less when exhausted */
    double alpha[LANCZOS_STEPS_MAX], beta[LANCZOS_STEPS_MAX]; /* of T: diagonal, below it */
    /* Of T, as of the last product: eigenvalues falling, eigenvectors as columns. */
    double values[LANCZOS_STEPS_MAX], vectors[LANCZOS_STEPS_MAX * LANCZOS_STEPS_MAX];
};

/* --- a small dense matrix --- */

/* Rotates rows and columns p, q of a so that a[p, q] becomes 0. */
static void rotate(double *a, double *v, int n, int p, int q)
{
    const double apq = a[p * n + q], theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
    const double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
    const double c = 1 / sqrt(t * t + 1), s = t * c;

    for (int k = 0; k < n; k++) {
        const double x = a[k * n + p], y = a[k * n + q];
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for (int k = 0; k < n; k++) {
        const double x = a[p * n + k], y = a[q * n + k];
        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
        const double u = v[k * n + p], w = v[k * n + q];
        v[k * n + p] = c * u - s * w;
        v[k * n + q] = s * u + c * w;
    }
}

/* One rotation for each entry above the diagonal that is not negligible. Was there any? */
static bool sweep(double *a, double *v, int n)
{
    bool any = false;

    for (int p = 0; p < n; p++)
        for (int q = p + 1; q < n; q++) {
            const double size = fabs(a[p * n + p]) + fabs(a[q * n + q]);
            if (a[p * n + q] == 0 || fabs(a[p * n + q]) <= 1e-17 * size)
                continue;
            rotate(a, v, n, p, q);
            any = true;
        }
    return any;
}

void lanczos_jacobi(double *a, int n, double *values, double *vectors)
{
    memset(vectors, 0, (size_t)n * (size_t)n * sizeof(*vectors));
    for (int i = 0; i < n; i++)
        vectors[i * n + i] = 1;
    for (int i = 0; i < SWEEPS_MAX && sweep(a, vectors, n); i++)
        ;
    for (int i = 0; i < n; i++)
        values[i] = a[i * n + i];
    for (int i = 0; i < n; i++) { /* by selection: n is small */
        int top = i;
        for (int j = i + 1; j < n; j++)
            top = values[j] > values[top] ? j : top;
        if (top == i)
            continue;
        const double value = values[i];
        values[i] = values[top];
        values[top] = value;
        for (int k = 0; k < n; k++) {
            const double entry = vectors[k * n + i];
            vectors[k * n + i] = vectors[k * n + top];
            vectors[k * n + top] = entry;
        }
    }
}

/* --- the iteration --- */

struct lanczos *lanczos_create(size_t n, int limit)
{
    struct lanczos *l = calloc(1, sizeof(*l));

    if (l) {
        l->n = n;
        l->limit = limit;
    }
    return l;
}

void lanczos_free(struct lanczos *l)
{
    if (!l)
        return;
    for (int i = 0; i <= LANCZOS_STEPS_MAX; i++)
        free(l->basis[i]);
    free(l);
}

int lanczos_begin(struct lanczos *l, const float *start)
{
    const double length = sqrt(floats_dot(start, start, l->n));

    if (!(length > 0))
        return -EINVAL;
    l->basis[0] = alloc_bytes(l->n, sizeof(float));
    if (!l->basis[0])
        return -ENOMEM;
    floats_times(l->basis[0], 1 / length, start, l->n);
    return 0;
}

const float *lanczos_vector(const struct lanczos *l)
{
    return l->basis[l->count];
}

static void solve(struct lanczos *l)
{
    const int n = l->count;
    double a[LANCZOS_STEPS_MAX * LANCZOS_STEPS_MAX] = {0};

    for (int i = 0; i < n; i++) {
        a[i * n + i] = l->alpha[i];
        if (i + 1 < n)
            a[i * n + i + 1] = a[(i + 1) * n + i] = l->beta[i];
    }
    lanczos_jacobi(a, n, l->values, l->vectors);
}

static double magnitude(const struct lanczos *l)
{
    const double first = fabs(l->values[0]), last = fabs(l->values[l->count - 1]);

    return first > last ? first : last;
}

int lanczos_add(struct lanczos *l, const float *product, double scale)
{
    float *w = alloc_bytes(l->n, sizeof(*w));
    const int j = l->count;

    if (!w)
        return -ENOMEM;
    floats_times(w, scale, product, l->n);
    const double before = sqrt(floats_dot(w, w, l->n));
    l->alpha[j] = floats_dot(l->basis[j], w, l->n);
    /* Against all of them, twice: once leaves what rounding makes of the first time. */
    for (int pass = 0; pass < 2; pass++)
        for (int i = j; i >= 0; i--)
            floats_add_times(w, -floats_dot(l->basis[i], w, l->n), l->basis[i], l->n);
    l->beta[j] = sqrt(floats_dot(w, w, l->n));
    l->count++;
    l->exhausted = !(l->beta[j] > EXHAUSTED * before);
    solve(l);
    if (l->exhausted) {
        l->beta[j] = 0;
        free(w);
        return 0;
    }
    floats_times(w, 1 / l->beta[j], w, l->n);
    l->basis[j + 1] = w;
    return 0;
}

int lanczos_values(const struct lanczos *l, int wanted, double *ret_values, double *ret_residuals)
{
    const int n = l->count, count = wanted < n ? wanted : n;

    for (int i = 0; i < count; i++) {
        ret_values[i] = l->values[i];
        ret_residuals[i] = l->beta[n - 1] * fabs(l->vectors[(n - 1) * n + i]);
    }
    return count;
}

bool lanczos_done(const struct lanczos *l, int wanted, double tolerance)
{
    double values[LANCZOS_STEPS_MAX], residuals[LANCZOS_STEPS_MAX];

    if (l->exhausted || l->count >= l->limit)
        return true;
    if (l->count < wanted)
        return false;
    lanczos_values(l, wanted, values, residuals);
    for (int i = 0; i < wanted; i++)
        if (residuals[i] > tolerance * magnitude(l))
            return false;
    return true;
}

int lanczos_steps(const struct lanczos *l)
{
    return l->count;
}

void lanczos_top(const struct lanczos *l, float *ret)
{
    memset(ret, 0, l->n * sizeof(*ret));
    for (int i = 0; i < l->count; i++)
        floats_add_times(ret, l->vectors[i * l->count], l->basis[i], l->n);
    const double length = sqrt(floats_dot(ret, ret, l->n));
    if (length > 0)
        floats_times(ret, 1 / length, ret, l->n);
}
