/* One block of memory that is laid out before training and never grows: 2 MiB-aligned, huge pages
 * asked for, touched once, so that a step neither allocates nor faults. First take every block with
 * base NULL, which only counts; then call arena_map; then take the same blocks again. */
#ifndef STEPPE_WORKER_NN_ARENA_H
#define STEPPE_WORKER_NN_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena {
    char *base;   /* NULL while counting */
    size_t bytes; /* mapped, a multiple of 2 MiB */
    size_t used;
    bool overflow; /* a size did not fit size_t */
};

/* The next count*size bytes, 64-byte aligned, zeroed when mapped; NULL while counting. It takes
 * memory_share of the arena. */
void *arena_take(struct arena *a, size_t count, size_t size);
/* The bytes that arena_map would map; SIZE_MAX when a size did not fit. */
size_t arena_bytes(const struct arena *a);
/* Maps what was counted and starts over. 0, -EOVERFLOW or -ENOMEM (also when the machine has
 * less). */
int arena_map(struct arena *a);
void arena_unmap(struct arena *a); /* a zeroed struct is fine */

#endif
