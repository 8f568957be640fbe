#include "server/core/metric.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

/* What the row of an epoch means by a name. */
static const struct place {
    const char *name;
    size_t offset; /* in struct epoch_record */
    double min, max;
} places[] = {
#define PLACE(field, min, max)                                                                     \
    {                                                                                              \
#field, offsetof(struct epoch_record, field), min, max                                     \
    }
    PLACE(lr, 0, INFINITY),
    PLACE(train_loss, -INFINITY, INFINITY),
    PLACE(train_accuracy, 0, 1),
    PLACE(sharpness, -INFINITY, INFINITY),
    PLACE(test_loss, -INFINITY, INFINITY),
    PLACE(test_accuracy, 0, 1),
    PLACE(adv_accuracy, 0, 1),
    PLACE(validation_loss, -INFINITY, INFINITY),
    PLACE(validation_accuracy, 0, 1),
    PLACE(validation_adv_accuracy, 0, 1),
#undef PLACE
};

/* What Steppe finds out itself, of every job; see also v_metric. */
static const char *const found_out[] = {
    "epoch",   "share",   "scheduled", "scored",  "dropped",     "mean_gap", "adm_mean",
    "adm_p10", "adm_p50", "adm_p90",   "seconds", "newly_right", "revision",
};

static const struct place *place_of(const char *name)
{
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (strcmp(name, places[i].name) == 0)
            return &places[i];
    return NULL;
}

static int check_name(const char *name, struct errbuf *why)
{
    const size_t bytes = strlen(name);

    for (size_t i = 0; i < bytes; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return err_set(why, -EINVAL,
                           "a metric is called \"%.80s\", allowed is printable ASCII without "
                           "spaces",
                           name);
    if (bytes == 0 || bytes >= METRIC_NAME_BYTES)
        return err_set(why, -EINVAL,
                       "a metric's name \"%.80s\" has %zu characters, allowed is 1 to %d", name,
                       bytes, METRIC_NAME_BYTES - 1);
    for (size_t i = 0; i < sizeof(found_out) / sizeof(found_out[0]); i++)
        if (strcmp(name, found_out[i]) == 0)
            return err_set(why, -EINVAL,
                           "metric %s is one that Steppe finds out itself; give yours another "
                           "name",
                           name);
    return 0;
}

/* Where the name is, or would be. */
static uint32_t find(const struct metric_set *set, const char *name)
{
    uint32_t lo = 0, hi = set->count;

    while (lo < hi) {
        const uint32_t middle = lo + (hi - lo) / 2;
        if (strcmp(set->items[middle].name, name) < 0)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

static int put(struct metric_set *set, const char *name, double value, struct errbuf *why)
{
    const uint32_t at = find(set, name);

    if (at < set->count && strcmp(set->items[at].name, name) == 0) {
        set->items[at].value = value;
        return 0;
    }
    if (set->count == METRICS_MAX)
        return err_set(why, -EINVAL, "metric %s would be one of %d, allowed is %d names a job",
                       name, METRICS_MAX + 1, METRICS_MAX);
    if (!set->items)
        set->items = xcalloc(METRICS_MAX, sizeof(*set->items));
    memmove(&set->items[at + 1], &set->items[at], (set->count - at) * sizeof(*set->items));
    set->items[at] = (struct metric){.value = value};
    memcpy(set->items[at].name, name, strlen(name) + 1);
    set->count++;
    return 0;
}

int metric_add(struct metric_set *set, struct epoch_record *e, const char *name, double value,
               struct errbuf *why)
{
    const struct place *place;
    int rc = check_name(name, why);

    if (rc != 0)
        return rc;
    if (!isfinite(value))
        return err_set(why, -EINVAL, "metric %s is %g, allowed is a finite number", name, value);
    place = place_of(name);
    if (!place)
        return put(set, name, value, why);
    if (value < place->min || value > place->max)
        return err_set(why, -EINVAL, "metric %s is %g, allowed is %g to %g%s", name, value,
                       place->min, place->max, place->max <= 1 ? ", not percent" : "");
    memcpy((char *)e + place->offset, &value, sizeof(value));
    return 0;
}

void metric_set_done(struct metric_set *set)
{
    free(set->items);
    *set = (struct metric_set){0};
}
