/* Blocks of memory that are needed at some ticks only, placed so that blocks that are never needed
 * together share their place. */
#ifndef STEPPE_COMMON_LIFETIME_H
#define STEPPE_COMMON_LIFETIME_H

#include <stddef.h>

#include "common/bounds.h"

/* The most blocks of a net with so many layers: values, values written again, and gradients; values
 * and gradients include the image's. */
#define BLOCKS_OF(layers) (3 * (layers) + 2)
#define BLOCKS_MAX BLOCKS_OF(LAYERS_MAX)

struct block {
    size_t entries; /* a sample */
    int born, dies; /* ticks, both of them included */
    size_t size;    /* set by code that knows the samples */
    size_t place;   /* by lifetime_place */
};

/* Places up to BLOCKS_MAX blocks whose size is set. Returns the total size. A pure function of its
 * arguments: the largest blocks first, each at the lowest free place. */
size_t lifetime_place(struct block *blocks, int count);

#endif
