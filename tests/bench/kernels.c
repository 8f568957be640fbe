/* Convolution kernels alone, on one thread: GFLOP/s of every set next to those of a large matrix
 * product on the same thread, a line for each shape and operation. Repetitions are interleaved and
 * the best one counts. Taps over the padding are counted as work, whoever skips them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "common/options.h"
#include "common/rng.h"
#include "worker/nn/arena.h"
#include "worker/nn/gemm.h"
#include "worker/nn/kernels.h"
#include "worker/nn/layer.h"
#include "worker/nn/net.h"

#define SETS_MAX 4
#define PRODUCT 1024 /* rows and columns */

static const struct place {
    const char *model;
    uint32_t side, c, out, kernel, stride;
} places[] = {
    {"resnet20", 32, 3, 16, 3, 1},   {"resnet20", 32, 16, 16, 3, 1},
    {"resnet20", 32, 16, 32, 3, 2},  {"resnet20", 16, 32, 32, 3, 1},
    {"resnet20", 16, 32, 64, 3, 2},  {"resnet20", 8, 64, 64, 3, 1},
    {"resnet20", 32, 16, 32, 1, 2},  {"lenet", 28, 1, 16, 3, 1},
    {"lenet", 14, 16, 32, 3, 1},     {"cnn", 28, 1, 32, 3, 1},
    {"cnn", 28, 32, 64, 3, 1},       {"wrn16_4", 32, 16, 64, 3, 1},
    {"wrn16_4", 32, 64, 64, 3, 1},   {"wrn16_4", 32, 64, 128, 3, 2},
    {"wrn16_4", 16, 128, 128, 3, 1}, {"wrn16_4", 8, 256, 256, 3, 1},
    {"resnet18", 32, 3, 64, 3, 1},   {"resnet18", 8, 256, 512, 3, 2},
    {"resnet18", 4, 512, 512, 3, 1}, {"resnet18", 8, 256, 512, 1, 2},
};

#define PLACES (sizeof(places) / sizeof(places[0]))

enum operation { FORWARD, DX, DW, OPERATIONS };
static const char *const operation_names[] = {"forward", "dx", "dw"};

struct config {
    const char *model;
    int64_t images, rounds;
    double seconds;
    bool help;
};

static const struct option table[] = {
    {"model", OPT_STR, offsetof(struct config, model), .arg = "NAME",
     .help = "the layers of this model only"},
    {"images", OPT_INT, offsetof(struct config, images), .def = "64", .arg = "N",
     .help = "images of a call", .min = 1, .max = 1024},
    {"rounds", OPT_INT, offsetof(struct config, rounds), .def = "5", .arg = "N",
     .help = "repetitions, of which the best counts", .min = 1, .max = 1000},
    {"seconds", OPT_F64, offsetof(struct config, seconds), .def = "0.02", .arg = "S",
     .help = "length of a repetition", .fmin = 0.001, .fmax = 60},
    {"help", OPT_FLAG, offsetof(struct config, help), .help = "prints this"},
    {0},
};

/* One layer with its memory. */
struct bench {
    struct layer layer;
    struct layer_pass pass;
    struct arena arena;
    uint32_t n;
    double flops;
};

static double thread_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void lay_out(struct bench *b)
{
    const struct layer *l = &b->layer;
    const size_t x = b->n * dims_count(l->in), y = b->n * dims_count(l->out);
    const size_t w = (size_t)l->kernel * l->kernel * l->in.c * l->out.c;
    const struct layer_space space = layer_space_of(l, b->n, sizeof(real));

    b->pass.x = arena_take(&b->arena, x, sizeof(real));
    b->pass.y = arena_take(&b->arena, y, sizeof(real));
    b->pass.w = arena_take(&b->arena, w, sizeof(real));
    b->pass.dx = arena_take(&b->arena, x, sizeof(real));
    b->pass.dy = arena_take(&b->arena, y, sizeof(real));
    b->pass.dw = arena_take(&b->arena, w, sizeof(real));
    b->pass.scratch = arena_take(&b->arena, space.scratch, sizeof(real));
}

static void fill(const real *a, size_t n)
{
    struct rng r = rng_at(1, RNG_TEST, 0, 0);

    for (size_t i = 0; i < n; i++)
        ((real *)a)[i] = (real)rng_range(&r, -1, 1);
}

static bool prepare(struct bench *b, const struct place *p, uint32_t n)
{
    const uint32_t pad = p->kernel / 2, side = (p->side + 2 * pad - p->kernel) / p->stride + 1;

    *b = (struct bench){.n = n};
    b->layer = (struct layer){.kind = LAYER_CONV2D,
                              .in = {p->side, p->side, p->c},
                              .out = {side, side, p->out},
                              .kernel = p->kernel,
                              .stride = p->stride,
                              .padding = pad};
    lay_out(b);
    if (arena_map(&b->arena) != 0)
        return false;
    lay_out(b);
    b->pass.layer = &b->layer;
    b->pass.n = n;
    fill(b->pass.x, n * dims_count(b->layer.in));
    fill(b->pass.dy, n * dims_count(b->layer.out));
    fill(b->pass.w, (size_t)p->kernel * p->kernel * p->c * p->out);
    b->flops = 2.0 * n * side * side * p->kernel * p->kernel * p->c * p->out;
    return true;
}

static void run_pass(const struct bench *b, const struct kernels *set, enum operation pass)
{
    struct layer_pass p = b->pass;

    p.kernels = set;
    if (pass == FORWARD) {
        layer_conv2d.forward(&p);
        return;
    }
    if (pass == DX)
        p.dw = NULL;
    else
        p.dx = NULL;
    layer_conv2d.backward(&p);
}

static double rate(const struct bench *b, const struct kernels *set, enum operation pass,
                   double seconds)
{
    const double begin = thread_seconds();
    double spent, calls = 0;

    do {
        run_pass(b, set, pass);
        calls++;
        spent = thread_seconds() - begin;
    } while (spent < seconds);
    return b->flops * calls / spent * 1e-9;
}

static double product_rate(double seconds)
{
    static real *a, *b, *c;
    const double flops = 2.0 * PRODUCT * PRODUCT * PRODUCT, begin = thread_seconds();
    double spent, calls = 0;

    if (!a) {
        a = xcalloc((size_t)PRODUCT * PRODUCT, sizeof(*a));
        b = xcalloc((size_t)PRODUCT * PRODUCT, sizeof(*b));
        c = xcalloc((size_t)PRODUCT * PRODUCT, sizeof(*c));
        fill(a, (size_t)PRODUCT * PRODUCT);
        fill(b, (size_t)PRODUCT * PRODUCT);
    }
    do {
        gemm(false, false, PRODUCT, PRODUCT, PRODUCT, a, PRODUCT, b, PRODUCT, 0, c, PRODUCT);
        calls++;
        spent = thread_seconds() - begin;
    } while (spent < seconds);
    return flops * calls / spent * 1e-9;
}

static void measure(const struct config *config, const struct place *p, struct bench *b)
{
    double best[OPERATIONS][SETS_MAX] = {{0}}, product = 0;

    for (int64_t round = 0; round < config->rounds; round++) {
        product = fmax(product, product_rate(config->seconds));
        for (int pass = 0; pass < OPERATIONS; pass++)
            for (size_t i = 1; kernels_at(i); i++)
                if (kernels_at(i)->supported())
                    best[pass][i] = fmax(best[pass][i], rate(b, kernels_at(i), (enum operation)pass,
                                                             config->seconds));
    }
    for (int pass = 0; pass < OPERATIONS; pass++) {
        printf("%-9s %4u -> %3u @%-2u %ux%u/%u  %-8s", p->model, p->c, p->out, p->side, p->kernel,
               p->kernel, p->stride, operation_names[pass]);
        for (size_t i = 1; kernels_at(i); i++)
            if (kernels_at(i)->supported())
                printf("  %s %6.1f (%3.0f%%)", kernels_at(i)->name, best[pass][i],
                       100 * best[pass][i] / product);
        printf("  product %6.1f\n", product);
    }
}

int main(int argc, char **argv)
{
    struct config config = {0};
    struct errbuf why = {""};

    if (options_defaults(table, &config, &why) < 0 ||
        options_args(table, argc, argv, &config, NULL, NULL, &why) < 0) {
        fprintf(stderr, "kernels: %s\n", why.text);
        return 2;
    }
    if (config.help) {
        options_help(table, stdout);
        return 0;
    }
    gemm_init();
    net_thread_init();
    printf("OpenBLAS core %s, %d images a call, 1 thread, GFLOP/s\n", gemm_core(),
           (int)config.images);
    for (size_t i = 0; i < PLACES; i++) {
        struct bench b;
        if (config.model && strcmp(config.model, places[i].model) != 0)
            continue;
        if (!prepare(&b, &places[i], (uint32_t)config.images)) {
            fprintf(stderr, "kernels: out of memory\n");
            return 1;
        }
        measure(&config, &places[i], &b);
        arena_unmap(&b.arena);
    }
    return 0;
}
