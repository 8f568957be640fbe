/* Event files byte by byte: checksums, numbers, records, and the default buckets. */
#define _GNU_SOURCE
#include "proto/cli/tfevents.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"

/* RFC 3720, appendix B.4, and the usual one of CRC catalogues. */
TEST(crc32c_has_the_published_values)
{
    uint8_t bytes[32];

    ASSERT_EQ(0xe3069283, tfevents_crc32c("123456789", 9));
    ASSERT_EQ(0, tfevents_crc32c("", 0));
    memset(bytes, 0, 32);
    ASSERT_EQ(0x8a9136aa, tfevents_crc32c(bytes, 32));
    memset(bytes, 0xff, 32);
    ASSERT_EQ(0x62a8ab43, tfevents_crc32c(bytes, 32));
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    ASSERT_EQ(0x46dd794e, tfevents_crc32c(bytes, 32));
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(31 - i);
    ASSERT_EQ(0x113fdb5c, tfevents_crc32c(bytes, 32));
}

TEST(a_checksum_in_a_file_is_masked)
{
    ASSERT_EQ(0xa282ead8, tfevents_masked(0));
    ASSERT_EQ((uint32_t)(0x00020000 + 0xa282ead8), tfevents_masked(1));
    ASSERT_EQ((uint32_t)(1 + 0xa282ead8), tfevents_masked(0x8000));
}

TEST(numbers_are_varints_of_seven_bits_lowest_first)
{
    static const struct {
        int64_t value;
        const char *bytes;
        size_t count;
    } cases[] = {
        {0, "\x08\x00", 2},
        {1, "\x08\x01", 2},
        {127, "\x08\x7f", 2},
        {128, "\x08\x80\x01", 3},
        {150, "\x08\x96\x01", 3}, /* the example of the format's own pages */
        {16384, "\x08\x80\x80\x01", 4},
        {INT64_MAX, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10},
        {-1, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct protobuf p = {0};
        pb_int(&p, 1, cases[i].value);
        ASSERT_EQ(cases[i].count, p.bytes);
        ASSERT_MEM(cases[i].bytes, p.data, p.bytes);
        free(p.data);
    }
}

static char *data;
static size_t bytes;

static const uint8_t *record(struct tfevent *e)
{
    FILE *out = open_memstream(&data, &bytes);

    ASSERT(tfevent_close(e, out));
    fclose(out);
    return (const uint8_t *)data;
}

TEST(the_first_record_says_which_format_it_is)
{
    static const uint8_t want[] = {
        24,   0,  0,   0,   0,   0,   0,   0,    0xa3, 0x7f, 0x4b, 0x22, /* length, and its checksum
                                                                          */
        9,    0,  0,   0,   0,   0,   0,   0xf8, 0x3f,                   /* wall_time 1.5 */
        0x1a, 13, 'b', 'r', 'a', 'i', 'n', '.',  'E',  'v',  'e',  'n',  't', ':', '2'};
    struct tfevent e;

    tfevent_open_version(&e, 1.5);
    const uint8_t *at = record(&e);
    ASSERT_EQ(12 + 24 + 4, bytes);
    ASSERT_MEM(want, at, sizeof(want));
    const uint32_t crc = tfevents_masked(tfevents_crc32c(want + 12, 24));
    ASSERT_MEM(&crc, at + 36, 4);
    free(data);
}

TEST(a_scalar_is_a_value_in_the_summary_of_its_step)
{
    static const uint8_t want[] = {9,    0,    0,    0, 0,   0,   0,    0xf8, 0x3f, /* 1.5 s */
                                   0x10, 0x80, 0x01,                                /* step 128 */
                                   0x2a, 11,                                        /* summary */
                                   0x0a, 9,    0x0a, 2, 'a', '/', 0x15, 0,    0,    0x20, 0x40};
    struct tfevent e;

    tfevent_open(&e, 1.5, 128);
    tfevent_add_scalar(&e, "a/", 2.5);
    const uint8_t *at = record(&e);
    ASSERT_EQ(12 + sizeof(want) + 4, bytes);
    ASSERT_MEM(want, at + 12, sizeof(want));
    free(data);
}

/* Message: length of what stands behind `key`, and the doubles of a packed field there. */
static size_t doubles(const uint8_t **io, uint8_t key, double *ret)
{
    const uint8_t *at = *io;
    size_t length = 0;
    int shift = 0;

    ASSERT_EQ(key, *at++);
    do {
        length |= (size_t)(*at & 127) << shift;
        shift += 7;
    } while (*at++ & 128);
    memcpy(ret, at, length);
    *io = at + length;
    return length / sizeof(*ret);
}

/* Runs of empty buckets are one; each value is below its limit and not below the one before. */
TEST(a_histogram_counts_in_the_default_buckets)
{
    static const double values[] = {0, 1e-13, 1e-12, 1, -1, 1e30, NAN, INFINITY, DBL_MAX};
    double limits[32], buckets[32];
    struct tfevent e;

    tfevent_open(&e, 0, 0);
    tfevent_add_histogram(&e, "h", values, sizeof(values) / sizeof(values[0]));
    /* Behind time, step, and the heads of summary, value, tag and histogram: five numbers. */
    const uint8_t *at = record(&e);
    at = memmem(at, bytes, "\x09\0\0\0\0\0\0\xf0\xbf\x11", 10);
    ASSERT(at);
    at += 2 * 9;
    ASSERT_EQ(0x19, *at++);
    double count;
    memcpy(&count, at, sizeof(count));
    ASSERT_NEAR(7, count, 0);
    at += 8 + 2 * 9;
    const size_t n = doubles(&at, 0x32, limits);
    ASSERT_EQ(n, doubles(&at, 0x3a, buckets));
    static const double want[] = {0, 1, 0, 2, 1, 0, 1, 0, 2};
    ASSERT_EQ(sizeof(want) / sizeof(want[0]), n);
    for (size_t i = 0; i < n; i++) {
        ASSERT_NEAR(want[i], buckets[i], 0);
        ASSERT(i == 0 || limits[i] > limits[i - 1]);
    }
    ASSERT(limits[1] > -1 && limits[0] <= -1); /* -1 */
    ASSERT_NEAR(0, limits[2], 0);
    ASSERT_NEAR(1e-12, limits[3], 0);           /* 0 and 1e-13 */
    ASSERT_NEAR(1e-12 * 1.1, limits[4], 1e-26); /* 1e-12 is not below its own limit */
    ASSERT(limits[5] <= 1 && limits[6] > 1);
    ASSERT(limits[7] < 1e20 && limits[7] > 0.9e20);
    ASSERT_NEAR(DBL_MAX, limits[8], 0);
    free(data);
}

TEST(without_a_value_there_is_no_histogram)
{
    static const double values[] = {NAN, -INFINITY};
    struct tfevent e;

    tfevent_open(&e, 0, 0);
    tfevent_add_histogram(&e, "h", values, 2);
    tfevent_add_histogram(&e, "i", values, 0);
    record(&e);
    ASSERT_EQ(12 + 9 + 2 + 2 + 4, bytes);
    free(data);
}
