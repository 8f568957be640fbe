#include "common/tensor.h"

#include <assert.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} dtypes[DTYPE_COUNT] = {
    [DTYPE_U8] = {"U8", 1},     [DTYPE_U16] = {"U16", 2}, [DTYPE_I32] = {"I32", 4},
    [DTYPE_U32] = {"U32", 4},   [DTYPE_I64] = {"I64", 8}, [DTYPE_U64] = {"U64", 8},
    [DTYPE_F32] = {"F32", 4},   [DTYPE_F64] = {"F64", 8}, [DTYPE_F16] = {"F16", 2},
    [DTYPE_BF16] = {"BF16", 2}, [DTYPE_I8] = {"I8", 1},   [DTYPE_I16] = {"I16", 2},
    [DTYPE_BOOL] = {"BOOL", 1},
};

#define ENTRY_BYTES_MAX 8 /* of the widest dtype */

size_t dtype_bytes(enum dtype d)
{
    assert((unsigned)d < DTYPE_COUNT);
    return dtypes[d].bytes;
}

const char *dtype_name(enum dtype d)
{
    assert((unsigned)d < DTYPE_COUNT);
    return dtypes[d].name;
}

bool dtype_from_name(const char *name, enum dtype *ret)
{
    for (int d = 0; d < DTYPE_COUNT; d++) {
        if (strcmp(dtypes[d].name, name) == 0) {
            *ret = (enum dtype)d;
            return true;
        }
    }
    return false;
}

bool tensor_count(const uint64_t *shape, int dims, size_t *ret)
{
    /* The other sides must fit even when one is 0, so that every partial product (a stride)
     * fits. */
    size_t sides = ENTRY_BYTES_MAX;
    bool empty = false;

    if (dims < 0 || dims > TENSOR_DIMS_MAX)
        return false;
    for (int i = 0; i < dims; i++) {
        if (shape[i] == 0)
            empty = true;
        else if (__builtin_mul_overflow(sides, shape[i], &sides))
            return false;
    }
    *ret = empty ? 0 : sides / ENTRY_BYTES_MAX;
    return true;
}

struct tensor tensor_make(const char *name, enum dtype d, int dims, const uint64_t *shape,
                          const void *data)
{
    struct tensor t = {.dtype = d, .dims = dims, .data = data};
    size_t name_bytes = strlen(name) + 1, count = 0;
    bool fits = tensor_count(shape, dims, &count);

    assert(fits);
    assert(name_bytes <= sizeof(t.name));
    (void)fits;
    memcpy(t.name, name, name_bytes);
    if (dims > 0)
        memcpy(t.shape, shape, (size_t)dims * sizeof(*shape));
    t.bytes = count * dtype_bytes(d);
    return t;
}

struct tensor tensor_1d(const char *name, enum dtype d, uint64_t n, const void *data)
{
    return tensor_make(name, d, 1, &n, data);
}

const struct tensor *tensor_find(const struct tensor *t, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(t[i].name, name) == 0)
            return &t[i];
    return NULL;
}
