/* The canary: what decides a worker's bits, computed on fixed numbers and hashed. */
#include "worker/numerics.h"

#include <fenv.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/hash.h"
#include "common/rng.h"
#include "worker/nn/exp.h"
#include "worker/nn/gemm.h"
#include "worker/nn/kernel.h"
#include "worker/nn/kernels.h"
#include "worker/nn/net.h"

#define FUNCTION_POINTS 4096
#define DIGEST_BYTES 8

static const struct product {
    bool ta, tb;
    int m, n, k;
} products[] = {
    /* dense forward, dw, dx: mlp's layers and the last layers of all presets, 64 rows */
    {false, false, 64, 512, 784},
    {true, false, 784, 512, 64},
    {false, true, 64, 784, 512},
    {false, false, 64, 256, 512},
    {true, false, 512, 256, 64},
    {false, true, 64, 512, 256},
    {false, false, 64, 10, 128},
    {true, false, 128, 10, 64},
    {false, true, 64, 128, 10},
    /* convolution tiles: 3x3 from 1, 16 and 32 channels */
    {false, false, 1024, 16, 9},
    {true, false, 9, 16, 1024},
    {false, true, 1024, 9, 16},
    {false, false, 208, 32, 144},
    {true, false, 144, 32, 208},
    {false, true, 208, 144, 32},
    {false, false, 48, 64, 288},
    {true, false, 288, 64, 48},
    {false, true, 48, 288, 64},
    /* short and odd ones, where kernels take their edge paths */
    {false, false, 7, 10, 33},
    {true, false, 33, 10, 7},
    {false, true, 7, 33, 10},
    {true, true, 13, 17, 29},
};

enum { ENTRIES_MAX = 784 * 512 }; /* of the largest matrix above, and of all below */

/* Convolutions with their own kernels: first layers, equal and doubled channels, stride 2, maps
 * from wide to narrower than a vector, channels that fill no vector. */
static const struct conv_shape convs[] = {
    {28, 28, 1, 28, 28, 32, 3, 1, 1},  {32, 32, 3, 32, 32, 16, 3, 1, 1},
    {32, 32, 16, 32, 32, 16, 3, 1, 1}, {32, 32, 16, 16, 16, 32, 3, 2, 1},
    {14, 14, 32, 14, 14, 32, 3, 1, 1}, {8, 8, 64, 8, 8, 64, 3, 1, 1},
    {8, 8, 64, 4, 4, 128, 3, 2, 1},    {4, 4, 128, 4, 4, 128, 3, 1, 1},
    {7, 5, 24, 4, 3, 40, 3, 2, 1},     {5, 7, 24, 5, 7, 40, 3, 1, 1},
};
#define CONV_IMAGES 3

static void fill(struct rng *r, real *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] = (real)rng_range(r, -1, 1);
}

static void add_products(struct sha256 *h, struct rng *r)
{
    real *a = xcalloc(ENTRIES_MAX, sizeof(*a)), *b = xcalloc(ENTRIES_MAX, sizeof(*b));
    real *c = xcalloc(ENTRIES_MAX, sizeof(*c));

    fill(r, a, ENTRIES_MAX);
    fill(r, b, ENTRIES_MAX);
    for (size_t i = 0; i < sizeof(products) / sizeof(products[0]); i++) {
        const struct product *p = &products[i];
        gemm(p->ta, p->tb, p->m, p->n, p->k, a, p->ta ? p->m : p->k, b, p->tb ? p->k : p->n, 0, c,
             p->n);
        sha256_add(h, c, (size_t)p->m * (size_t)p->n * sizeof(*c));
    }
    free(a);
    free(b);
    free(c);
}

static void add_convolutions(struct sha256 *h, const struct kernels *kernels, struct rng *r)
{
    real *a = xcalloc(ENTRIES_MAX, sizeof(*a)), *w = xcalloc(ENTRIES_MAX, sizeof(*w));
    real *out = xcalloc(ENTRIES_MAX, sizeof(*out));

    fill(r, a, ENTRIES_MAX);
    fill(r, w, ENTRIES_MAX);
    for (size_t i = 0; i < sizeof(convs) / sizeof(convs[0]); i++) {
        const struct conv_shape *s = &convs[i];
        const size_t x = CONV_IMAGES * s->h * s->w * s->c, y = CONV_IMAGES * s->oh * s->ow * s->out;
        const size_t entries[CONV_OPS] = {y, x, s->kernel * s->kernel * s->c * s->out};
        real *scratch = xcalloc(kernels_scratch(s) + 1, sizeof(*scratch));
        const struct conv_call call = {.shape = *s,
                                       .n = CONV_IMAGES,
                                       .x = a,
                                       .dy = a,
                                       .w = w,
                                       .b = w,
                                       .y = out,
                                       .dx = out,
                                       .dw = out,
                                       .relu = true,
                                       .scratch = scratch};
        for (int op = 0; op < CONV_OPS; op++) {
            const struct kernel *k = kernels_find(kernels, (enum conv_op)op, s);
            if (!k)
                continue;
            k->run(&call);
            sha256_add(h, out, entries[op] * sizeof(*out));
        }
        free(scratch);
    }
    free(a);
    free(w);
    free(out);
}

/* Dense layers with rows, columns and depths that fill tiles and that do not. */
static void add_dense(struct sha256 *h, const struct kernels *kernels, struct rng *r)
{
    static const size_t sizes[][3] = {{64, 784, 128}, {37, 300, 100}, {9, 70, 10}}; /* n, in, out */
    real *a = xcalloc(ENTRIES_MAX, sizeof(*a)), *w = xcalloc(ENTRIES_MAX, sizeof(*w));
    real *out = xcalloc(ENTRIES_MAX, sizeof(*out));

    fill(r, a, ENTRIES_MAX);
    fill(r, w, ENTRIES_MAX);
    for (size_t i = 0; kernels->dense && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const size_t n = sizes[i][0], in = sizes[i][1], units = sizes[i][2];
        real *scratch = alloc_bytes(dense_scratch(n, in, units), sizeof(*scratch));
        const struct dense_call call = {.n = n,
                                        .in = in,
                                        .out = units,
                                        .x = a,
                                        .w = w,
                                        .b = w,
                                        .dy = a,
                                        .y = out,
                                        .dx = out,
                                        .dw = out,
                                        .scratch = scratch};
        if (!scratch)
            break;
        kernels->dense->forward(&call);
        sha256_add(h, out, n * units * sizeof(*out));
        kernels->dense->weight_gradient(&call);
        sha256_add(h, out, in * units * sizeof(*out));
        kernels->dense->data_gradient(&call);
        sha256_add(h, out, n * in * sizeof(*out));
        free(scratch);
    }
    free(a);
    free(w);
    free(out);
}

/* The head's exponentials, beyond where they are 0, and log1p over what comes out; log and expm1
 * over losses, by which shards are ordered; exp of mixup's draws. */
static void add_functions(struct sha256 *h, struct rng *r)
{
    double values[5];

    for (int i = 0; i < FUNCTION_POINTS; i++) {
        const real z = (real)rng_range(r, -750, 0);
        exp_below(&z, 0, 1, &values[4]);
        values[0] = exp(rng_range(r, -750, 0));
        values[1] = log1p(exp(rng_range(r, -80, 7)));
        values[2] = log(values[1]);
        values[3] = expm1(-values[1]);
        sha256_add(h, values, sizeof(values));
    }
}

void numerics_class(const struct kernels *kernels, char out[NUMERICS_CLASS_BYTES])
{
    struct rng r = rng_at(0, RNG_CANARY, 0, 0);
    uint8_t digest[SHA256_BYTES];
    struct sha256 h;
    fenv_t mode;

    fegetenv(&mode);
    net_thread_init();
    sha256_init(&h);
    add_products(&h, &r);
    add_convolutions(&h, kernels, &r);
    add_dense(&h, kernels, &r);
    add_functions(&h, &r);
    sha256_end(&h, digest);
    fesetenv(&mode);
    int at = snprintf(out, NUMERICS_CLASS_BYTES, "%s.%d/%.40s/", kernels->name, KERNEL_REVISION,
                      gemm_core());
    for (int i = 0; i < DIGEST_BYTES; i++)
        at += snprintf(out + at, NUMERICS_CLASS_BYTES - (size_t)at, "%02x", digest[i]);
}
