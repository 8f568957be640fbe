/* Lists with a number for each channel of the images, in job files. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/field.h"
#include "common/jobspec_internal.h"
#include "common/text.h"

/* cJSON prints 15 digits when it finds them near enough; they may read back as another double. Then
 * we print the text. */
cJSON *jobspec_number_json(double v)
{
    cJSON *number = cJSON_CreateNumber(v);
    char text[64]; /* cJSON wants more room than it uses */
    double back;

    if (number && cJSON_PrintPreallocated(number, text, sizeof(text), false) &&
        text_f64(text, -HUGE_VAL, HUGE_VAL, &back) && back == v)
        return number;
    cJSON_Delete(number);
    return cJSON_CreateRaw(text_of_f64(v, text));
}

int channels_read(const cJSON *obj, const char *where, const char *path, struct channels *ret,
                  struct errbuf *why)
{
    const char *key = strrchr(path, '.') + 1;
    const bool deviation = strcmp(key, "std") == 0;
    const double min = deviation ? INPUT_STD_MIN : -INPUT_MEAN_MAX;
    const double max = deviation ? INPUT_STD_MAX : INPUT_MEAN_MAX;
    const cJSON *list = NULL, *item;
    char value[TEXT_F64_BYTES];
    struct channels c = {0};
    int rc = field_arr(obj, where, key, false, CHANNELS_MAX, &list, why);

    if (rc || !list)
        return rc;
    cJSON_ArrayForEach(item, list)
    {
        double v = cJSON_IsNumber(item) ? item->valuedouble : NAN;
        if (!(v >= min && v <= max))
            return err_set(why, -EINVAL,
                           "%s[%d] is %s, allowed is a number from %g to %g; it is of pixels from "
                           "0 to 1, not to 255",
                           path, c.count, isnan(v) ? "no number" : text_of_f64(v, value), min, max);
        c.at[c.count++] = v;
    }
    if (c.count == 0)
        return err_set(why, -EINVAL, "%s is an empty list, expected a number for each channel",
                       path);
    *ret = c;
    return 0;
}

cJSON *channels_json(const struct channels *c)
{
    cJSON *list = cJSON_CreateArray();

    for (int i = 0; list && i < c->count; i++)
        cJSON_AddItemToArray(list, jobspec_number_json(c->at[i]));
    return list;
}
