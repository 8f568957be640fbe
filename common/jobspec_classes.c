/* The weights of classes in job files. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/jobspec_internal.h"
#include "common/text.h"

#define WEIGHT_MIN 1e-6
#define WEIGHT_MAX 1e6

int class_weights_read(const cJSON *obj, const char *path, struct class_weights *ret,
                       struct errbuf *why)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(obj, path), *item;
    struct class_weights w = {.kind = CLASSES_LISTED};
    char text[TEXT_F64_BYTES];

    if (!value)
        return 0;
    if (cJSON_IsString(value))
        return field_enum(obj, "", path, false, class_weighting_names, &ret->kind, why);
    if (!cJSON_IsArray(value) || cJSON_GetArraySize(value) < 1 ||
        cJSON_GetArraySize(value) > CLASSES_MAX)
        return err_set(why, -EINVAL,
                       "%s must be \"none\", \"balanced\" or a list with a number for each class, "
                       "at most %d",
                       path, CLASSES_MAX);
    w.at = xcalloc((size_t)cJSON_GetArraySize(value), sizeof(*w.at));
    cJSON_ArrayForEach(item, value)
    {
        double v = cJSON_IsNumber(item) ? item->valuedouble : NAN;
        if (!(v >= WEIGHT_MIN && v <= WEIGHT_MAX)) {
            free(w.at);
            return err_set(why, -EINVAL, "%s[%u] is %s, allowed is a number from %g to %g", path,
                           w.count, isnan(v) ? "no number" : text_of_f64(v, text), WEIGHT_MIN,
                           WEIGHT_MAX);
        }
        w.at[w.count++] = v;
    }
    *ret = w;
    return 0;
}

cJSON *class_weights_json(const struct class_weights *w)
{
    if (w->kind != CLASSES_LISTED)
        return cJSON_CreateString(class_weighting_names[w->kind]);
    cJSON *list = cJSON_CreateArray();
    for (uint32_t i = 0; list && i < w->count; i++)
        cJSON_AddItemToArray(list, jobspec_number_json(w->at[i]));
    return list;
}
