/* Recognises files of other programs by their bytes, for people who pass one where a safetensors
 * file is needed. */
#ifndef STEPPE_COMMON_FOREIGN_H
#define STEPPE_COMMON_FOREIGN_H

#include <stddef.h>

/* "a PyTorch file; ... makes a safetensors file of it": what the bytes of a file are and, if
 * possible, how to convert it. NULL: not recognised. */
const char *foreign_name(const void *data, size_t bytes);

#endif
