#include "proto/cli/reply.h"

#include <errno.h>
#include <math.h>

#define EXACT_MAX 9007199254740992.0 /* 2^53: whole numbers are exact up to here */

int reply_array(const cJSON *json, const char *name, const cJSON **ret, struct errbuf *why)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(json, name);

    if (!cJSON_IsArray(array))
        return err_set(why, -EBADMSG, "the server's reply has no list \"%s\"", name);
    *ret = array;
    return 0;
}

int reply_object(const cJSON *json, const char *name, const cJSON **ret, struct errbuf *why)
{
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(json, name);

    if (!cJSON_IsObject(object))
        return err_set(why, -EBADMSG, "the server's reply has no object \"%s\"", name);
    *ret = object;
    return 0;
}

bool reply_f64(const cJSON *obj, const char *name, double *ret)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(obj, name);

    if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble))
        return false;
    *ret = value->valuedouble;
    return true;
}

double reply_number(const cJSON *obj, const char *name)
{
    double v;

    return reply_f64(obj, name, &v) ? v : NAN;
}

bool reply_i64(const cJSON *obj, const char *name, int64_t *ret)
{
    double value;

    if (!reply_f64(obj, name, &value) || fabs(value) > EXACT_MAX || value != floor(value))
        return false;
    *ret = (int64_t)value;
    return true;
}

const char *reply_text(const cJSON *obj, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(obj, name);

    return cJSON_IsString(value) ? value->valuestring : "";
}

const char *reply_model(const cJSON *row)
{
    const char *engine = reply_text(row, "engine");

    return *engine ? engine : reply_text(row, "model");
}

int64_t reply_epoch(const cJSON *obj, const char *name)
{
    int64_t epoch;

    return reply_i64(obj, name, &epoch) ? epoch + 1 : 0;
}
