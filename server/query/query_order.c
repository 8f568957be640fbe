/* The order of values, by radix sort: of many millions only as many as are asked for are sorted. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/query/query_epoch.h"

#define SIGN (UINT64_C(1) << 63)
#define BUCKET_BITS                                                                                \
    16 /* sign, exponent and 4 bits of the fraction: finer ones would not stay in the              \
          cache */
#define BUCKETS (1u << BUCKET_BITS)

struct keyed {
    uint64_t key;
    uint32_t at;
};

/* Ascending as the values descend; what is not known comes last. */
static uint64_t key_of(double v)
{
    uint64_t bits;

    if (isnan(v))
        return UINT64_MAX;
    v += 0.0; /* -0 and 0 are equal */
    memcpy(&bits, &v, sizeof(bits));
    return bits & SIGN ? bits : ~(bits | SIGN);
}

static unsigned bucket_of(double v)
{
    return (unsigned)(key_of(v) >> (64 - BUCKET_BITS));
}

/* The last bucket that has any of the first `wanted`; *ret_count: how many there are up to its end.
 */
static unsigned last_bucket(const double *value, size_t count, size_t wanted, size_t *ret_count)
{
    uint32_t *counts = xcalloc(BUCKETS, sizeof(*counts));
    size_t before = 0;
    unsigned b;

    for (size_t i = 0; i < count; i++)
        counts[bucket_of(value[i])]++;
    for (b = 0; b < BUCKETS - 1 && before + counts[b] < wanted; b++)
        before += counts[b];
    *ret_count = before + counts[b];
    free(counts);
    return b;
}

/* By key, equal ones as they were; sorted in place, with as much room behind it. */
static void sort(struct keyed *x, size_t n)
{
    size_t counts[sizeof(x->key)][256] = {{0}};
    struct keyed *from = x, *to = x + n;

    for (size_t i = 0; i < n; i++)
        for (size_t b = 0; b < sizeof(x->key); b++)
            counts[b][x[i].key >> 8 * b & 0xff]++;
    for (size_t b = 0; n > 0 && b < sizeof(x->key); b++) {
        size_t starts[256], at = 0;
        if (counts[b][from[0].key >> 8 * b & 0xff] == n) /* all alike in this byte */
            continue;
        for (int v = 0; v < 256; v++) {
            starts[v] = at;
            at += counts[b][v];
        }
        for (size_t i = 0; i < n; i++)
            to[starts[from[i].key >> 8 * b & 0xff]++] = from[i];
        struct keyed *swap = from;
        from = to;
        to = swap;
    }
    if (from != x)
        memcpy(x, from, n * sizeof(*x));
}

/* The first `wanted` or more, in order, and all that equal the last of them; *ret is freed by the
 * caller. */
static int sort_first(const double *value, size_t count, size_t wanted, struct keyed **ret,
                      size_t *ret_count, struct errbuf *why)
{
    size_t chosen = 0, n = 0;
    const unsigned last = last_bucket(value, count, wanted, &chosen);
    struct keyed *x = alloc_bytes(chosen ? chosen : 1, 2 * sizeof(*x));

    if (!x)
        return err_set(why, -ENOMEM, "out of memory for the order of %zu samples", count);
    for (size_t i = 0; i < count; i++)
        if (bucket_of(value[i]) <= last)
            x[n++] = (struct keyed){key_of(value[i]), (uint32_t)i};
    sort(x, n);
    *ret = x;
    *ret_count = n;
    return 0;
}

size_t query_last(const struct ask *a)
{
    return (size_t)(a->first > 0 ? a->first : 0) + (size_t)query_limit(a->limit);
}

int query_order(const double *value, size_t count, size_t wanted, uint32_t **ret, size_t *ret_count,
                struct errbuf *why)
{
    struct keyed *x;
    size_t n;
    int rc = sort_first(value, count, wanted, &x, &n, why);

    if (rc != 0)
        return rc;
    uint32_t *order = alloc_bytes(n ? n : 1, sizeof(*order));
    if (order)
        for (size_t i = 0; i < n; i++)
            order[i] = x[i].at;
    else
        rc = err_set(why, -ENOMEM, "out of memory for the order of %zu samples", count);
    free(x);
    *ret = order;
    *ret_count = n;
    return rc;
}

int query_percentiles(const double *value, size_t count, double *rank, struct errbuf *why)
{
    struct keyed *x;
    size_t n;
    int rc = sort_first(value, count, count, &x, &n, why);

    if (rc != 0)
        return rc;
    for (size_t first = 0, end; first < count; first = end) {
        for (end = first + 1; end < count && x[end].key == x[first].key;)
            end++;
        /* From the top; the average of positions first .. end - 1, plus 1/2. */
        double r = 1 - ((double)first + (double)end) / (2.0 * (double)count);
        for (size_t i = first; i < end; i++)
            rank[x[i].at] = r;
    }
    free(x);
    return 0;
}
