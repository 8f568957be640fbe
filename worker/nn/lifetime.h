/* Blocks of memory that are needed at some ticks only, placed so that blocks that are never needed
 * together share their place. */
#ifndef STEPPE_WORKER_NN_LIFETIME_H
#define STEPPE_WORKER_NN_LIFETIME_H

#include <stddef.h>

#include "common/bounds.h"

/* That a net of so many layers has at most: values, the image's too, values written again, and
 * gradients, the image's too. */
#define BLOCKS_OF(layers) (3 * (layers) + 2)
#define BLOCKS_MAX BLOCKS_OF(LAYERS_MAX)

struct block {
    size_t entries; /* a sample */
    int born, dies; /* ticks, both of them included */
    size_t size;    /* set by whoever knows the samples */
    size_t place;   /* by lifetime_place */
};

/* Places up to BLOCKS_MAX blocks whose size is set. Returns the size of all. A pure function of
 * what is passed: the largest blocks first, each at the lowest free place. */
size_t lifetime_place(struct block *blocks, int count);

#endif
