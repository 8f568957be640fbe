/* Tells by its first bytes what a file is when it is not what was expected. */
#ifndef STEPPE_COMMON_SNIFF_H
#define STEPPE_COMMON_SNIFF_H

#include <stddef.h>
#include <stdint.h>

#define SNIFF_BYTES 512 /* that it needs of a file: the mark of a tar is at 257 */

/* "a PNG image", or NULL when the bytes say nothing. */
const char *sniff_format(const uint8_t *head, size_t bytes);

#endif
