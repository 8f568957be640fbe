#include "worker/nn/winograd.h"

#include "worker/nn/winograd_layout.h"

size_t winograd_scratch(size_t c, size_t k)
{
    const struct winograd_layout l = winograd_layout_of(c, k);

    return PLANES * (l.in_plane + l.out_plane + l.filter_plane) + l.turned;
}
