/* How each kind of layer uses memory: what of it may share a place, and what it needs beside its
 * values. The engine lays out its memory by this, and the server judges by it what a job takes. */
#ifndef STEPPE_COMMON_LAYER_MEMORY_H
#define STEPPE_COMMON_LAYER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model.h"

struct layer_traits {
    bool in_place;    /* y may be x, and then dx is dy */
    bool dx_over_dy;  /* dx may be dy */
    bool takes_relu;  /* looks at relu and mask_dy */
    bool takes_skip;  /* also computes an add behind it */
    bool leaves_mask; /* a max-pool behind the ReLU may apply the mask instead */
    bool rewrites;    /* y of the last forward can be written again for the backward */
    /* The values that backward reads: x always, x for dw, y always; also y for a mask, unless
     * masks_by_x: then it takes the mask from x where there is no skip. */
    bool reads_x, dw_reads_x, reads_y, masks_by_x;
};

/* Any kind but LAYER_FLATTEN, which does nothing: NHWC in memory is already the flat order. */
const struct layer_traits *layer_traits_of(enum layer_kind kind);

/* Memory a layer needs for shards of up to `batch` samples, beside its values. */
struct layer_space {
    size_t kept_bytes; /* what forward keeps for backward */
    size_t scratch;    /* reals, shared by all layers */
};

/* Any kind but LAYER_FLATTEN. real_bytes: of an entry. Scratch is enough for every kernel set. */
struct layer_space layer_space_of(const struct layer *l, uint32_t batch, size_t real_bytes);

/* Rows of a convolution's tile (worker/nn/layer_conv2d.c): of the layer's shape only. */
size_t layer_tile_rows(const struct layer *l);
/* Pixels of a norm's input that are taken as one row (worker/nn/norm.h), of about so many lanes:
 * four vectors of 16 floats. */
#define NORM_LANES 64
size_t layer_norm_fold(const struct layer *l);

/* Reals of scratch that any set's kernels need for a dense layer on up to n samples. */
size_t dense_scratch(size_t n, size_t in, size_t out);
/* Inner entries of a product that are packed at a time. */
#define DENSE_DEPTH 256

/* A block of so many bytes in memory that is laid out (worker/nn/arena.h): it starts on a line of
 * the cache, and a gap follows. Activations of a whole shard are multiples of a page: 13 lines
 * between them keep the streams of one loop off one offset in their pages, where loads wait for
 * stores that only look alike. */
#define MEMORY_ALIGN 64
#define MEMORY_GAP (13 * MEMORY_ALIGN)
/* What is laid out is mapped in whole huge pages. */
#define MEMORY_PAGE ((size_t)2 << 20)
static inline size_t memory_share(size_t bytes)
{
    return (bytes + MEMORY_ALIGN - 1) / MEMORY_ALIGN * MEMORY_ALIGN + MEMORY_GAP;
}

#endif
