/* Pictures written as PNG: 8 bits a channel, grey or RGB, no palette, no alpha. */
#ifndef STEPPE_COMMON_PNG_H
#define STEPPE_COMMON_PNG_H

#include <stddef.h>
#include <stdint.h>

/* Pixels row by row from the top, channels (1 or 3) together, into a malloc'd file. The same pixels
 * give the same bytes with the same zlib. 0, -EINVAL (a side is 0 or the file would be beyond 2
 * GiB) or -ENOMEM. */
int png_encode(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels,
               uint8_t **ret, size_t *ret_bytes);

#endif
