#include "common/layer_memory.h"

#include <assert.h>

#include "common/winograd_layout.h"

static const struct layer_traits table[LAYER_KINDS] = {
    [LAYER_DENSE] = {.takes_relu = true, .leaves_mask = true, .dw_reads_x = true},
    [LAYER_CONV2D] = {.takes_relu = true, .leaves_mask = true, .dw_reads_x = true},
    [LAYER_RELU] = {.in_place = true, .dx_over_dy = true, .reads_y = true},
    [LAYER_GROUPNORM] = {.dx_over_dy = true,
                         .takes_relu = true,
                         .takes_skip = true,
                         .rewrites = true,
                         .reads_x = true,
                         .masks_by_x = true},
    [LAYER_ADD] = {.dx_over_dy = true, .takes_relu = true},
    [LAYER_BATCHNORM] = {.dx_over_dy = true,
                         .takes_relu = true,
                         .takes_skip = true,
                         .rewrites = true,
                         .reads_x = true,
                         .masks_by_x = true},
    [LAYER_DROPOUT] = {.in_place = true, .dx_over_dy = true},
};

const struct layer_traits *layer_traits_of(enum layer_kind kind)
{
    assert(kind < LAYER_KINDS && kind != LAYER_FLATTEN);
    return &table[kind];
}

/* --- beside the values --- */

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Products up to this many multiply-adds skip packing on OpenBLAS's AVX-512 kernels, which is worth
 * up to a half; below TILE_ROWS_MIN rows the call itself costs more than that. */
#define SMALL_PRODUCT 1000000
#define TILE_ROWS_MIN 48
#define TILE_ROWS_MAX 1024
/* Reals of a tile when the small product cannot be used: half of a small second-level cache. */
#define TILE_REALS 65536

size_t layer_tile_rows(const struct layer *l)
{
    const size_t depth = (size_t)l->kernel * l->kernel * l->in.c;
    size_t rows = SMALL_PRODUCT / (depth * l->out.c);

    if (rows < TILE_ROWS_MIN)
        rows = TILE_REALS / depth;
    return rows > TILE_ROWS_MAX   ? TILE_ROWS_MAX
           : rows < TILE_ROWS_MIN ? TILE_ROWS_MIN
                                  : rows / 16 * 16;
}

static size_t winograd_scratch(size_t c, size_t k)
{
    const struct winograd_layout l = winograd_layout_of(c, k);

    return PLANES * (l.in_plane + l.out_plane + l.filter_plane) + l.turned;
}

/* A tile of windows as a matrix, filters that a direct kernel packs, planes of Winograd's: whatever
 * kernel takes the layer. */
static size_t conv_scratch(const struct layer *l)
{
    const size_t c = l->in.c, out = l->out.c, depth = (size_t)l->kernel * l->kernel * c;
    const bool pointwise = l->kernel == 1 && l->stride == 1 && l->padding == 0;
    size_t most = pointwise ? 0 : layer_tile_rows(l) * depth;

    if (l->kernel == 3)
        most = larger(most, 9 * c * out);
    if (l->kernel == 3 && l->stride == 1 && l->padding == 1 && c % WINOGRAD_LANES_MIN == 0 &&
        out % WINOGRAD_LANES_MIN == 0)
        most = larger(most, larger(winograd_scratch(c, out), winograd_scratch(out, c)));
    return most;
}

size_t dense_scratch(size_t n, size_t in, size_t out)
{
    const size_t panel = 32; /* columns of the widest */
    const size_t depth = in < DENSE_DEPTH ? in : DENSE_DEPTH;
    const size_t forward = panel * depth, weights = n * (out + panel), data = (n + panel) * out;

    return larger(forward, larger(weights, data));
}

size_t layer_norm_fold(const struct layer *l)
{
    const size_t pixels = (size_t)l->in.h * l->in.w;
    size_t fold = 1;

    while (fold * 2 * l->in.c <= NORM_LANES && pixels % (fold * 2) == 0)
        fold *= 2;
    return fold;
}

/* Five factors and two sums a lane in reals, two sums a channel in double. */
static size_t norm_scratch(const struct layer *l, size_t real_bytes)
{
    return 7 * layer_norm_fold(l) * l->in.c + 2 * l->in.c * sizeof(double) / real_bytes;
}

static size_t outputs(const struct layer *l, uint32_t batch)
{
    return batch * dims_count(l->out);
}

static struct layer_space dense_space(const struct layer *l, uint32_t batch, size_t real_bytes)
{
    (void)real_bytes;
    return (struct layer_space){.scratch = dense_scratch(batch, l->in.c, l->out.c)};
}

static struct layer_space conv_space(const struct layer *l, uint32_t batch, size_t real_bytes)
{
    (void)batch, (void)real_bytes;
    return (struct layer_space){.scratch = conv_scratch(l)};
}

/* The place of each maximum. */
static struct layer_space maxpool_space(const struct layer *l, uint32_t batch, size_t real_bytes)
{
    (void)real_bytes;
    return (struct layer_space){.kept_bytes = outputs(l, batch) * sizeof(int32_t)};
}

/* A row of a window. */
static struct layer_space pool_space(const struct layer *l, uint32_t batch, size_t real_bytes)
{
    (void)batch, (void)real_bytes;
    return (struct layer_space){.scratch = l->in.c};
}

/* Mean and 1 / deviation of each group. */
static struct layer_space groups_space(const struct layer *l, uint32_t batch, size_t real_bytes)
{
    return (struct layer_space){.kept_bytes = (size_t)batch * l->groups * 2 * real_bytes,
                                .scratch = norm_scratch(l, real_bytes)};
}

/* Mean, 1 / deviation and variance of each channel. */
static struct layer_space batchnorm_space(const struct layer *l, uint32_t batch, size_t real_bytes)
{
    (void)batch;
    return (struct layer_space){.kept_bytes = 3 * (size_t)l->in.c * real_bytes,
                                .scratch = norm_scratch(l, real_bytes)};
}

/* What stays. */
static struct layer_space dropout_space(const struct layer *l, uint32_t batch, size_t real_bytes)
{
    (void)real_bytes;
    return (struct layer_space){.kept_bytes = outputs(l, batch)};
}

struct layer_space layer_space_of(const struct layer *l, uint32_t batch, size_t real_bytes)
{
    static struct layer_space (*const spaces[LAYER_KINDS])(const struct layer *l, uint32_t batch,
                                                           size_t real_bytes) = {
        [LAYER_DENSE] = dense_space,         [LAYER_CONV2D] = conv_space,
        [LAYER_MAXPOOL] = maxpool_space,     [LAYER_AVGPOOL] = pool_space,
        [LAYER_GLOBALPOOL] = pool_space,     [LAYER_GROUPNORM] = groups_space,
        [LAYER_BATCHNORM] = batchnorm_space, [LAYER_DROPOUT] = dropout_space,
    };

    assert(l->kind < LAYER_KINDS && l->kind != LAYER_FLATTEN);
    return spaces[l->kind] ? spaces[l->kind](l, batch, real_bytes) : (struct layer_space){0};
}
