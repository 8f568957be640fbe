#include "proto/cli/tfevents.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

/* Numbers of fields. */
enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5 };
enum { SUMMARY_VALUE = 1 };
enum { VALUE_TAG = 1, VALUE_SIMPLE = 2, VALUE_HISTOGRAM = 5 };
enum {
    HISTOGRAM_MIN = 1,
    HISTOGRAM_MAX = 2,
    HISTOGRAM_COUNT = 3,
    HISTOGRAM_SUM = 4,
    HISTOGRAM_SQUARES = 5,
    HISTOGRAM_LIMITS = 6,
    HISTOGRAM_BUCKETS = 7
};

#define SMALLEST 1e-12
#define LARGEST 1e20
#define GROWTH 1.1
/* 1e-12 * 1.1^n stays below 1e20 for 774 n; both signs, 0, and the largest numbers. */
#define LIMITS_MAX 1600

uint32_t tfevents_crc32c(const void *data, size_t bytes)
{
    /* Of four bits, reflected. */
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const uint8_t *at = data;
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < bytes; i++) {
        crc ^= at[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

uint32_t tfevents_masked(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

void tfevent_open_version(struct tfevent *e, double unix_s)
{
    *e = (struct tfevent){0};
    pb_double(&e->message, EVENT_WALL_TIME, unix_s);
    pb_text(&e->message, EVENT_FILE_VERSION, "brain.Event:2");
}

void tfevent_open(struct tfevent *e, double unix_s, int64_t step)
{
    *e = (struct tfevent){0};
    pb_double(&e->message, EVENT_WALL_TIME, unix_s);
    pb_int(&e->message, EVENT_STEP, step);
    e->summary = pb_begin(&e->message, EVENT_SUMMARY);
}

void tfevent_add_scalar(struct tfevent *e, const char *tag, double value)
{
    const size_t at = pb_begin(&e->message, SUMMARY_VALUE);

    pb_text(&e->message, VALUE_TAG, tag);
    pb_float(&e->message, VALUE_SIMPLE, (float)value);
    pb_end(&e->message, at);
}

/* Upper limits of the buckets, ascending; the values of a bucket are below its own. */
static size_t make_limits(double limits[LIMITS_MAX])
{
    double v = SMALLEST;
    size_t n = 0, each;

    while (v < LARGEST) {
        limits[n++] = v;
        v *= GROWTH;
    }
    limits[n++] = DBL_MAX;
    each = n;
    memmove(limits + each + 1, limits, each * sizeof(*limits));
    limits[each] = 0;
    for (size_t i = 0; i < each; i++)
        limits[i] = -limits[2 * each - i];
    return 2 * each + 1;
}

/* The first bucket whose limit is above the value; of the largest number the last one. */
static size_t bucket_of(const double *limits, size_t count, double value)
{
    size_t lo = 0, hi = count - 1;

    while (lo < hi) {
        const size_t middle = lo + (hi - lo) / 2;
        if (limits[middle] > value)
            hi = middle;
        else
            lo = middle + 1;
    }
    return lo;
}

/* Runs of empty buckets become one. */
static size_t squeeze(double *limits, double *buckets, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        if (n > 0 && buckets[i] == 0 && buckets[n - 1] == 0)
            n--;
        limits[n] = limits[i];
        buckets[n++] = buckets[i];
    }
    return n;
}

void tfevent_add_histogram(struct tfevent *e, const char *tag, const double *values, size_t count)
{
    double limits[LIMITS_MAX], buckets[LIMITS_MAX] = {0};
    double min = INFINITY, max = -INFINITY, sum = 0, squares = 0;
    size_t n = make_limits(limits), counted = 0;

    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            continue;
        min = fmin(min, values[i]);
        max = fmax(max, values[i]);
        sum += values[i];
        squares += values[i] * values[i];
        buckets[bucket_of(limits, n, values[i])]++;
        counted++;
    }
    if (counted == 0)
        return;
    n = squeeze(limits, buckets, n);
    const size_t value = pb_begin(&e->message, SUMMARY_VALUE);
    pb_text(&e->message, VALUE_TAG, tag);
    const size_t histogram = pb_begin(&e->message, VALUE_HISTOGRAM);
    pb_double(&e->message, HISTOGRAM_MIN, min);
    pb_double(&e->message, HISTOGRAM_MAX, max);
    pb_double(&e->message, HISTOGRAM_COUNT, (double)counted);
    pb_double(&e->message, HISTOGRAM_SUM, sum);
    pb_double(&e->message, HISTOGRAM_SQUARES, squares);
    pb_doubles(&e->message, HISTOGRAM_LIMITS, limits, n);
    pb_doubles(&e->message, HISTOGRAM_BUCKETS, buckets, n);
    pb_end(&e->message, histogram);
    pb_end(&e->message, value);
}

static void write_crc(const void *data, size_t bytes, FILE *out)
{
    const uint32_t crc = tfevents_masked(tfevents_crc32c(data, bytes));

    fwrite(&crc, sizeof(crc), 1, out);
}

bool tfevent_close(struct tfevent *e, FILE *out)
{
    if (e->summary)
        pb_end(&e->message, e->summary);
    const uint64_t bytes = e->message.bytes;
    const bool whole = !e->message.failed;

    if (whole) {
        fwrite(&bytes, sizeof(bytes), 1, out);
        write_crc(&bytes, sizeof(bytes), out);
        fwrite(e->message.data, 1, bytes, out);
        write_crc(e->message.data, bytes, out);
    }
    free(e->message.data);
    *e = (struct tfevent){0};
    return whole;
}
