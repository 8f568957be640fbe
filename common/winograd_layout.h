/* Where a convolution's transformed tiles lie in scratch; only worker/nn/winograd* and
 * layer_memory.c include this.
 * inputs [36][tiles][c], outputs [36][tiles][k], filters [36][group / block][c][block]. The 36
 * planes are written side by side, so their distance must not be a multiple of a large power of
 * two: otherwise they fall on the same lines of the cache. */
#ifndef STEPPE_COMMON_WINOGRAD_LAYOUT_H
#define STEPPE_COMMON_WINOGRAD_LAYOUT_H

#include <stddef.h>

#define WINOGRAD_LANES_MIN 8 /* channels are taken in vectors, the shortest of 8 floats */
#define SIDE 6               /* of a tile of inputs */
#define CORE 4               /* of a tile of outputs */
#define PLANES (SIDE * SIDE)
#define PLANE_PAD 80 /* floats: five lines of the cache */
/* Tiles that are transformed, multiplied and transformed back before the next ones: their planes
 * stay in the second-level cache where there are few channels; where there are many, the filters'
 * planes need that many tiles to be worth reading. */
#define TILES_NARROW 128
#define TILES_WIDE 64
#define NARROW_CHANNELS 64 /* c + k */
/* Filters are transformed once a call while their planes fit a cache, else for some columns at a
 * time, again for every batch of tiles. */
#define FILTERS_RESIDENT (128 * 128) /* c*k */
#define GROUP 64

struct winograd_layout {
    size_t tiles; /* at a time, a multiple of 16 */
    size_t group; /* columns of the filters at a time */
    size_t in_plane, out_plane, filter_plane;
    size_t turned; /* floats of a turned copy of the group */
};

static inline struct winograd_layout winograd_layout_of(size_t c, size_t k)
{
    struct winograd_layout l = {.tiles = c + k <= NARROW_CHANNELS ? TILES_NARROW : TILES_WIDE};

    l.group = c * k <= FILTERS_RESIDENT || k % GROUP != 0 ? k : GROUP;
    l.in_plane = l.tiles * c + PLANE_PAD;
    l.out_plane = l.tiles * k + PLANE_PAD;
    l.filter_plane = c * l.group + PLANE_PAD;
    l.turned = 9 * c * l.group;
    return l;
}

#endif
