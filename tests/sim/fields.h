/* What a simulated worker takes out of a message. */
#ifndef STEPPE_TESTS_SIM_FIELDS_H
#define STEPPE_TESTS_SIM_FIELDS_H

#include <stdint.h>
#include <string.h>

#include "common/alloc.h"
#include "proto/frame.h"

static inline int64_t fields_number(const struct message *m, const char *name, int64_t otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(m->json, name);

    return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : otherwise;
}

static inline void *fields_copy(const struct message *m, const char *name, size_t *ret_bytes)
{
    const struct tensor *t = tensor_find(m->tensors, m->tensor_count, name);
    void *out;

    if (!t)
        return NULL;
    out = xmalloc(t->bytes ? t->bytes : 1);
    memcpy(out, t->data, t->bytes);
    if (ret_bytes)
        *ret_bytes = t->bytes;
    return out;
}

#endif
