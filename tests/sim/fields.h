/* What a simulated worker takes out of a message, and says of a round. */
#ifndef STEPPE_TESTS_SIM_FIELDS_H
#define STEPPE_TESTS_SIM_FIELDS_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "proto/frame.h"

static inline int64_t fields_number(const struct message *m, const char *name, int64_t otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(m->json, name);

    return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : otherwise;
}

static inline void fields_text(const struct message *m, const char *name, char *out, size_t bytes)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(m->json, name);

    snprintf(out, bytes, "%s", cJSON_IsString(item) ? item->valuestring : "");
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

/* The samples of a task. One that comes with its label, that of a revision, is another one to what
 * is computed. */
static inline uint32_t *fields_ids(const struct message *m, uint32_t samples)
{
    const struct tensor *t = tensor_find(m->tensors, m->tensor_count, "ids");
    uint32_t *ids = fields_copy(m, "ids", NULL);

    for (uint64_t i = 0; t && t->dims == 2 && i < t->shape[0]; i++)
        ids[i] = ids[2 * i] + samples * (1 + ids[2 * i + 1]);
    return ids;
}

/* Of which round a vector is: phase and turn are 0 unless it was moved. */
struct place {
    int64_t job, incarnation, step, phase, turn;
};

static inline void add_place(const struct place *p, cJSON *fields)
{
    cJSON_AddNumberToObject(fields, "job", (double)p->job);
    cJSON_AddNumberToObject(fields, "incarnation", (double)p->incarnation);
    cJSON_AddNumberToObject(fields, "step", (double)p->step);
    cJSON_AddNumberToObject(fields, "phase", (double)p->phase);
    if (p->turn)
        cJSON_AddNumberToObject(fields, "turn", (double)p->turn);
}

#endif
