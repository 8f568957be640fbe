#include "proto/cli/metric_names.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

const struct pages metric_pages = {MSG_JOB_METRICS, "rows", "epochs_from", "epoch", 1, 0};

const cJSON *metric_names_values(const cJSON *row)
{
    return cJSON_GetObjectItemCaseSensitive(row, "metrics");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void metric_names_of(const cJSON *rows, struct metric_names *ret)
{
    const cJSON *row, *value;
    size_t room = 0;

    *ret = (struct metric_names){0};
    cJSON_ArrayForEach(row, rows)
    {
        cJSON_ArrayForEach(value, metric_names_values(row))
        {
            if (ret->count &&
                bsearch(&value->string, ret->names, ret->count, sizeof(*ret->names), by_name))
                continue;
            if (ret->count == room) {
                room = room ? 2 * room : 64;
                ret->names = xrealloc(ret->names, room * sizeof(*ret->names));
            }
            ret->names[ret->count++] = value->string;
            qsort(ret->names, ret->count, sizeof(*ret->names), by_name);
        }
    }
}

void metric_names_done(struct metric_names *n)
{
    free(n->names);
    *n = (struct metric_names){0};
}
