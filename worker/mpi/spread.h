/* Who of a group computes what of a task. Pure: every rank finds the same for itself. */
#ifndef STEPPE_WORKER_MPI_SPREAD_H
#define STEPPE_WORKER_MPI_SPREAD_H

#include <stdint.h>

#define SPREAD_ROOT (-1)

/* A rank's part: shards [first, first + count) of the task, of which there may be none. */
struct part {
    uint32_t first, count;
    int parent; /* who adds its sum as the right child to its own; SPREAD_ROOT: none */
    int child;  /* the first whose sum it adds, in the order in which it does; SPREAD_ROOT: none */
    int next;   /* the next one of the same parent; SPREAD_ROOT: none */
};

/* Parts that are vertices of the tree (common/reduce.h) over the shards, so that a rank sums what
 * is its own and the rest of the tree is summed between ranks: by threads[ranks], each at least 1,
 * and onto no more ranks than make it faster. The sum ends at rank 0. shards >= 1. */
void spread_tree(uint32_t shards, const uint32_t *threads, int ranks, struct part *ret);
/* Parts of a task without a sum, by threads. Every rank is below rank 0. */
void spread_even(uint32_t shards, const uint32_t *threads, int ranks, struct part *ret);

#endif
