/* A named, typed view of memory: what safetensors files and messages carry. Row-major. */
#ifndef STEPPE_COMMON_TENSOR_H
#define STEPPE_COMMON_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bounds.h"

enum dtype {
    DTYPE_U8,
    DTYPE_U16,
    DTYPE_I32,
    DTYPE_U32,
    DTYPE_I64,
    DTYPE_U64,
    DTYPE_F32,
    DTYPE_F64,
    DTYPE_WIRE, /* messages carry those above; a safetensors file may hold any */
    DTYPE_F16 = DTYPE_WIRE,
    DTYPE_BF16,
    DTYPE_I8,
    DTYPE_I16,
    DTYPE_BOOL,
    DTYPE_COUNT
};

struct tensor {
    char name[TENSOR_NAME_MAX];
    enum dtype dtype;
    int dims;                        /* 0 to TENSOR_DIMS_MAX */
    uint64_t shape[TENSOR_DIMS_MAX]; /* entries */
    const void *data;                /* borrowed; may be unaligned: copy, do not cast */
    size_t bytes;                    /* product of shape times the size of dtype */
};

size_t dtype_bytes(enum dtype d);
const char *dtype_name(enum dtype d); /* safetensors names: "U8", "F32" ... */
bool dtype_from_name(const char *name, enum dtype *ret);

/* Entries of the shape; false on overflow of size_t bytes. */
bool tensor_count(const uint64_t *shape, int dims, size_t *ret);
/* A view of data; aborts on a shape that overflows (shapes of our own). */
struct tensor tensor_make(const char *name, enum dtype d, int dims, const uint64_t *shape,
                          const void *data);
struct tensor tensor_1d(const char *name, enum dtype d, uint64_t n, const void *data);
const struct tensor *tensor_find(const struct tensor *t, int count, const char *name);

#endif
