/* Files of other programs, recognised by their bytes, for those who hand one in where a safetensors
 * file is needed. */
#ifndef STEPPE_COMMON_FOREIGN_H
#define STEPPE_COMMON_FOREIGN_H

#include <stddef.h>

/* "a PyTorch file; ... makes a safetensors file of it": what the bytes of a file are and, where
 * there is one, the way from there. NULL: nothing that is known here. */
const char *foreign_name(const void *data, size_t bytes);

#endif
