/* What the person reads of a reply. */
#ifndef STEPPE_TESTS_SIM_PERSON_FIELDS_H
#define STEPPE_TESTS_SIM_PERSON_FIELDS_H

#include <cjson/cJSON.h>
#include <stdint.h>

static inline const char *text(const cJSON *obj, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(obj, name);

    return cJSON_IsString(item) ? item->valuestring : "";
}

static inline int64_t number(const cJSON *obj, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(obj, name);

    return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : -1;
}

#endif
