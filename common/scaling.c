#include "common/scaling.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/dataset.h"
#include "common/jobspec.h"
#include "common/text.h"

struct scaling scaling_of_dataset(const struct dataset *data)
{
    struct scaling s = {.channels = data->dims.c};

    memcpy(s.mean, data->mean, sizeof(s.mean));
    memcpy(s.std, data->std, sizeof(s.std));
    return s;
}

struct scaling scaling_of_model(const struct model *m)
{
    struct scaling s = {.channels = m->in.c};

    memcpy(s.mean, m->mean, sizeof(s.mean));
    memcpy(s.std, m->std, sizeof(s.std));
    return s;
}

/* Replaces `io` with the values that are given. */
static int take(const struct channels *said, const char *path, uint32_t channels, float *io,
                struct errbuf *why)
{
    if (said->count == 0)
        return 0;
    if ((uint32_t)said->count != channels)
        return err_set(
            why, -EINVAL, "%s has %d number%s, the images of the dataset have %u channel%s", path,
            said->count, said->count == 1 ? "" : "s", channels, channels == 1 ? "" : "s");
    for (uint32_t c = 0; c < channels; c++)
        io[c] = (float)said->at[c];
    return 0;
}

int scaling_of_job(const struct jobspec *spec, const struct dataset *data, struct scaling *ret,
                   struct errbuf *why)
{
    struct scaling s = scaling_of_dataset(data);
    /* Later ones take precedence. */
    const struct {
        const struct channels *said;
        const char *path;
        float *at;
    } takes[] = {{&spec->weights_input.mean, "weights.mean", s.mean},
                 {&spec->weights_input.std, "weights.std", s.std},
                 {&spec->input.mean, "input.mean", s.mean},
                 {&spec->input.std, "input.std", s.std}};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(takes) / sizeof(takes[0]); i++)
        rc = take(takes[i].said, takes[i].path, s.channels, takes[i].at, why);
    if (rc == 0)
        *ret = s;
    return rc;
}

bool scaling_same(const struct scaling *a, const struct scaling *b)
{
    return a->channels == b->channels &&
           memcmp(a->mean, b->mean, a->channels * sizeof(*a->mean)) == 0 &&
           memcmp(a->std, b->std, a->channels * sizeof(*a->std)) == 0;
}

int scaling_read_list(const char *text, const char *key, uint32_t channels, double min, double max,
                      float *ret, struct errbuf *why)
{
    size_t bytes = strlen(text);
    float values[CHANNELS_MAX] = {0};
    const char *at = text;

    if (bytes >= 2 && text[0] == '[' && text[bytes - 1] == ']') {
        at++;
        bytes -= 2;
    }
    const char *end = at + bytes;
    for (uint32_t c = 0; c < channels; c++) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        bool last = c + 1 == channels;
        char number[32];
        double value;
        size_t n = (size_t)((comma ? comma : end) - at);

        if (n >= sizeof(number) || (comma == NULL) != last)
            return err_set(why, -EINVAL,
                           "metadata %s must be %u number%s with commas between, one for each "
                           "channel of the images; it is \"%.60s\"",
                           key, channels, channels == 1 ? "" : "s", text);
        memcpy(number, at, n);
        number[n] = 0;
        if (!text_f64(number + strspn(number, " "), min, max, &value))
            return err_set(why, -EINVAL, "metadata %s of channel %u is \"%s\", allowed is %g to %g",
                           key, c, number, min, max);
        values[c] = (float)value;
        at = comma ? comma + 1 : end;
    }
    memcpy(ret, values, channels * sizeof(*ret));
    return 0;
}

const char *scaling_list(const float *v, uint32_t n, char buf[SCALING_LIST_BYTES])
{
    size_t used = 0;

    buf[0] = 0;
    for (uint32_t i = 0; i < n; i++)
        used += (size_t)snprintf(buf + used, SCALING_LIST_BYTES - used, "%s%.9g", i ? "," : "",
                                 (double)v[i]);
    return buf;
}

/* The decimals of the float, not those of the double that it becomes. */
static struct channels channels_of(const float *v, uint32_t n)
{
    struct channels c = {.count = (int)n};
    char text[TEXT_F64_BYTES];

    for (uint32_t i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "%.9g", (double)v[i]);
        if (!text_f64(text, -INPUT_MEAN_MAX, INPUT_MEAN_MAX, &c.at[i]))
            c.at[i] = (double)v[i];
    }
    return c;
}

struct input_spec scaling_spec(const struct scaling *s)
{
    return (struct input_spec){.mean = channels_of(s->mean, s->channels),
                               .std = channels_of(s->std, s->channels)};
}

const char *scaling_text(const struct scaling *s, char buf[SCALING_TEXT_BYTES])
{
    size_t used = (size_t)snprintf(buf, SCALING_TEXT_BYTES, "mean");

    for (uint32_t i = 0; i < s->channels; i++)
        used +=
            (size_t)snprintf(buf + used, SCALING_TEXT_BYTES - used, " %.4g", (double)s->mean[i]);
    used += (size_t)snprintf(buf + used, SCALING_TEXT_BYTES - used, ", std");
    for (uint32_t i = 0; i < s->channels; i++)
        used += (size_t)snprintf(buf + used, SCALING_TEXT_BYTES - used, " %.4g", (double)s->std[i]);
    return buf;
}
