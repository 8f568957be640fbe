#include "server/core/upload.h"

#include <errno.h>

#include "common/rng.h"
#include "tests/harness.h"

/* Vectors of three pieces, the last one shorter. */
enum { PIECE = 8, FLOATS = 2 * PIECE + 3, DOUBLES = 2, TTL = 1000 };

static const uint32_t pieces[] = {PIECE, PIECE, FLOATS - 2 * PIECE};

struct made {
    struct reduce *reduce;
    struct uploads *uploads;
    float grad[FLOATS];
};

static struct node leaf(uint32_t lo)
{
    return (struct node){lo, lo + 1};
}

static struct made make(void)
{
    struct made m = {.reduce = reduce_create(FLOATS, DOUBLES)};
    struct rng rng = rng_at(3, RNG_TEST, 0, 0);

    reduce_reset(m.reduce, (struct node){0, 16}, 16);
    m.uploads = uploads_create(m.reduce, FLOATS, PIECE);
    for (int i = 0; i < FLOATS; i++)
        m.grad[i] = (float)rng_range(&rng, -1, 1);
    return m;
}

static void done(struct made *m)
{
    uploads_free(m->uploads);
    reduce_free(m->reduce);
}

static int offer(struct made *m, uint32_t worker, uint32_t lo, int64_t now_ms)
{
    uint64_t have;

    return uploads_offer(m->uploads, worker, 0, leaf(lo), now_ms, TTL, &have);
}

static int put(struct made *m, uint32_t worker, uint32_t lo, uint32_t piece, struct errbuf *why)
{
    unsigned char unaligned[PIECE * sizeof(float) + 1];
    size_t bytes = piece < 3 ? pieces[piece] * sizeof(float) : 0;

    memcpy(unaligned + 1, m->grad + piece * PIECE, bytes);
    return uploads_put(m->uploads, worker, leaf(lo), piece, unaligned + 1, bytes, 0, TTL, why);
}

TEST(pieces_come_in_any_order_and_any_number_of_times)
{
    struct made m = make();
    struct errbuf why;
    uint64_t have = 77;
    double *doubles;
    float *buf;

    ASSERT_EQ(3, uploads_pieces(m.uploads));
    ASSERT_EQ(UPLOAD_SEND, uploads_offer(m.uploads, 1, 0, leaf(4), 0, TTL, &have));
    ASSERT_EQ(0, have);
    for (uint32_t i = 3; i-- > 0;) {
        ASSERT_EQ(-ENODATA, uploads_take(m.uploads, 1, leaf(4), &buf, &doubles, &why));
        ASSERT_OK(put(&m, 1, 4, i, &why), why);
        ASSERT_OK(put(&m, 1, 4, i, &why), why);
        ASSERT_EQ(UPLOAD_SEND, uploads_offer(m.uploads, 1, 0, leaf(4), 0, TTL, &have));
        ASSERT_EQ(7u >> i << i, have);
    }
    ASSERT_OK(uploads_take(m.uploads, 1, leaf(4), &buf, &doubles, &why), why);
    ASSERT_MEM(m.grad, buf, sizeof(m.grad));
    ASSERT_EQ(0, uploads_admitted(m.uploads));
    doubles[0] = doubles[1] = 1;
    ASSERT_EQ(0, reduce_add(m.reduce, leaf(4), buf));
    ASSERT_EQ(-ENOENT, uploads_take(m.uploads, 1, leaf(4), &buf, &doubles, &why));
    ASSERT_EQ(-ENOENT, put(&m, 1, 4, 0, &why));
    done(&m);
}

TEST(what_is_wrong_with_a_piece_is_said_and_leaves_the_rest)
{
    struct made m = make();
    struct errbuf why;
    uint64_t have;

    ASSERT_EQ(UPLOAD_SEND, offer(&m, 1, 0, 0));
    ASSERT_OK(put(&m, 1, 0, 1, &why), why);
    ASSERT_EQ(-EINVAL, put(&m, 1, 0, 3, &why));
    ASSERT_STR("piece is 3, allowed is 0 to 2", why.text);
    ASSERT_EQ(-EINVAL, uploads_put(m.uploads, 1, leaf(0), -1, m.grad, 32, 0, TTL, &why));
    ASSERT_STR("piece is -1, allowed is 0 to 2", why.text);
    ASSERT_EQ(-EINVAL, uploads_put(m.uploads, 1, leaf(0), 2, m.grad, 32, 0, TTL, &why));
    ASSERT_STR("piece 2 has 32 bytes, expected 12", why.text);
    m.grad[PIECE] += 1;
    ASSERT_EQ(-EINVAL, put(&m, 1, 0, 1, &why));
    ASSERT_STR("piece 1 has already come with other bytes", why.text);
    m.grad[FLOATS - 1] = NAN;
    ASSERT_EQ(-EDOM, put(&m, 1, 0, 2, &why));
    ASSERT_STR("piece 2 holds NaN or infinity", why.text);
    ASSERT_EQ(-ENOENT, put(&m, 2, 0, 0, &why)); /* not its upload */
    ASSERT_EQ(UPLOAD_SEND, uploads_offer(m.uploads, 1, 0, leaf(0), 0, TTL, &have));
    ASSERT_EQ(2, have);
    done(&m);
}

TEST(the_fifth_waits_and_the_lowest_node_goes_first)
{
    struct made m = make();

    for (uint32_t i = 0; i < UPLOADS_MAX; i++)
        ASSERT_EQ(UPLOAD_SEND, offer(&m, 10 + i, i, 0));
    ASSERT_EQ(UPLOAD_WAIT, offer(&m, 1, 9, 0));
    ASSERT_EQ(UPLOAD_WAIT, offer(&m, 2, 7, 0));
    ASSERT_EQ(UPLOAD_WAIT, offer(&m, 3, 8, 0));
    uploads_abandon(m.uploads, 10);
    ASSERT_EQ(UPLOAD_WAIT, offer(&m, 1, 9, 100)); /* the free place is kept for node 7 */
    ASSERT_EQ(UPLOAD_WAIT, offer(&m, 3, 8, 100));
    ASSERT_EQ(UPLOAD_WAIT, offer(&m, 4, 12, 100));
    ASSERT_EQ(UPLOAD_SEND, offer(&m, 2, 7, 100));
    ASSERT_EQ(UPLOADS_MAX, uploads_admitted(m.uploads));
    uploads_close(m.uploads, leaf(1));
    uploads_close(m.uploads, leaf(2));
    ASSERT_EQ(UPLOAD_WAIT, offer(&m, 4, 12, 150));
    ASSERT_EQ(UPLOAD_SEND, offer(&m, 1, 9, 150)); /* two places, one before it */
    ASSERT_EQ(UPLOAD_SEND, offer(&m, 3, 8, 150));
    done(&m);
}

TEST(who_asks_no_more_holds_no_place_in_the_line)
{
    struct made m = make();

    for (uint32_t i = 0; i < UPLOADS_MAX; i++)
        ASSERT_EQ(UPLOAD_SEND, offer(&m, 10 + i, i, 0));
    ASSERT_EQ(UPLOAD_WAIT, offer(&m, 1, 7, 0));
    uploads_abandon(m.uploads, 13);
    ASSERT_EQ(UPLOAD_WAIT, offer(&m, 2, 9, 0));
    ASSERT_EQ(UPLOAD_WAIT, offer(&m, 2, 9, TTL - 1));
    ASSERT_EQ(4 - 1, uploads_expire(m.uploads, TTL));
    ASSERT_EQ(0, uploads_admitted(m.uploads));
    /* Two of the four places are kept for nodes 7 and 9. */
    ASSERT_EQ(UPLOAD_SEND, offer(&m, 20, 12, UPLOAD_PATIENCE_MS - 1));
    ASSERT_EQ(UPLOAD_SEND, offer(&m, 21, 13, UPLOAD_PATIENCE_MS - 1));
    ASSERT_EQ(UPLOAD_WAIT, offer(&m, 22, 14, UPLOAD_PATIENCE_MS - 1));
    ASSERT_EQ(UPLOAD_SEND, offer(&m, 22, 14, UPLOAD_PATIENCE_MS)); /* 7 asks no more */
    done(&m);
}

TEST(a_silent_worker_loses_its_place_and_a_busy_one_keeps_it)
{
    struct made m = make();
    struct errbuf why;

    ASSERT_EQ(UPLOAD_SEND, offer(&m, 1, 0, 0));
    ASSERT_EQ(UPLOAD_SEND, offer(&m, 2, 1, 0));
    ASSERT_OK(uploads_put(m.uploads, 1, leaf(0), 0, m.grad, PIECE * 4, 600, TTL, &why), why);
    ASSERT_EQ(1, uploads_expire(m.uploads, TTL));
    ASSERT_EQ(-ENOENT, put(&m, 2, 1, 0, &why));
    ASSERT_EQ(0, uploads_expire(m.uploads, 600 + TTL - 1));
    ASSERT_EQ(1, uploads_expire(m.uploads, 600 + TTL));
    done(&m);
}

TEST(a_node_is_sent_by_one_worker_at_a_time)
{
    struct made m = make();
    struct errbuf why;

    ASSERT_EQ(UPLOAD_SEND, offer(&m, 1, 0, 0));
    ASSERT_EQ(UPLOAD_WAIT, offer(&m, 2, 0, 0));
    ASSERT_EQ(UPLOAD_SEND, offer(&m, 3, 1, 0)); /* who waits for a node that comes blocks nobody */
    ASSERT_EQ(UPLOAD_SEND, offer(&m, 4, 2, 0));
    ASSERT_EQ(UPLOAD_SEND, offer(&m, 5, 3, 0));
    ASSERT_EQ(-ENOENT, put(&m, 2, 0, 0, &why));
    uploads_abandon(m.uploads, 1);
    ASSERT_EQ(UPLOAD_SEND, offer(&m, 2, 0, 0));
    ASSERT_EQ(UPLOAD_SEND, offer(&m, 3, 5, 0)); /* another node: the first is given up */
    ASSERT_EQ(-ENOENT, put(&m, 3, 1, 0, &why));
    ASSERT_EQ(4, uploads_admitted(m.uploads));
    done(&m);
}

TEST(memory_goes_back_to_the_reduction)
{
    struct made m = make();
    float *seen[UPLOADS_MAX];

    /* As many buffers as there are places; whatever ends an upload, they come again. */
    for (uint32_t i = 0; i < UPLOADS_MAX; i++)
        seen[i] = reduce_buffer(m.reduce, NULL);
    for (uint32_t i = 0; i < UPLOADS_MAX; i++)
        reduce_drop(m.reduce, seen[i]);
    for (uint32_t round = 0; round < 50; round++) {
        for (uint32_t i = 0; i < UPLOADS_MAX; i++)
            ASSERT_EQ(UPLOAD_SEND, offer(&m, i, i, 0));
        uploads_close(m.uploads, leaf(0));
        uploads_abandon(m.uploads, 1);
        if (round % 2)
            uploads_reset(m.uploads);
        else
            ASSERT_EQ(2, uploads_expire(m.uploads, TTL));
        ASSERT_EQ(0, uploads_admitted(m.uploads));
    }
    for (uint32_t i = 0; i < UPLOADS_MAX; i++) {
        const float *buf = reduce_buffer(m.reduce, NULL);
        bool known = false;

        for (uint32_t k = 0; k < UPLOADS_MAX; k++)
            known |= buf == seen[k];
        ASSERT(known);
    }
    done(&m);
}

static int offer_as(struct made *m, uint32_t worker, uint32_t hand, uint32_t lo, int64_t now_ms)
{
    uint64_t have;

    return uploads_offer(m->uploads, worker, hand, leaf(lo), now_ms, 1 << 30, &have);
}

TEST(an_upload_that_stands_still_gives_way_to_another_key)
{
    const int64_t slow_ms = UPLOAD_SLOW_MS + 1;
    struct made m = make();
    struct errbuf why;

    ASSERT_EQ(UPLOAD_SEND, offer_as(&m, 1, 1, 0, 0));
    ASSERT_EQ(UPLOAD_SEND, offer_as(&m, 1, 1, 0, slow_ms)); /* renewed, which makes it no younger */
    ASSERT_EQ(UPLOAD_WAIT, offer_as(&m, 2, 1, 0, slow_ms));
    ASSERT_EQ(UPLOAD_WAIT, offer_as(&m, 3, 2, 0, slow_ms - 1));
    ASSERT_EQ(UPLOAD_SEND, offer_as(&m, 3, 2, 0, slow_ms));
    ASSERT_EQ(UPLOAD_WAIT, offer_as(&m, 1, 1, 0, slow_ms)); /* now it waits */
    ASSERT_EQ(1, uploads_admitted(m.uploads));
    ASSERT_OK(
        uploads_put(m.uploads, 3, leaf(0), 0, m.grad, PIECE * 4, slow_ms + 500, 1 << 30, &why),
        why);
    ASSERT_EQ(UPLOAD_WAIT, offer_as(&m, 1, 1, 0, 2 * slow_ms)); /* it moves */
    done(&m);
}

TEST(one_key_does_not_keep_all_places)
{
    const int64_t slow_ms = UPLOAD_SLOW_MS + 1;
    struct made m = make();

    for (uint32_t i = 0; i < UPLOADS_MAX; i++)
        ASSERT_EQ(UPLOAD_SEND, offer_as(&m, i, 1, i, 0));
    ASSERT_EQ(UPLOAD_WAIT, offer_as(&m, 10, 1, 8, slow_ms - 1));
    ASSERT_EQ(UPLOAD_WAIT, offer_as(&m, 11, 2, 9, slow_ms - 1));
    ASSERT_EQ(UPLOAD_WAIT, offer_as(&m, 10, 1, 8, slow_ms));
    ASSERT_EQ(UPLOAD_SEND, offer_as(&m, 11, 2, 9, slow_ms)); /* its node is not even the lowest */
    ASSERT_EQ(UPLOADS_MAX, uploads_admitted(m.uploads));
    done(&m);
}
