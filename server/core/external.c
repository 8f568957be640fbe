#include "server/core/external.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/core/external_internal.h"
#include "server/core/radix.h"

static uint64_t positions(const struct external *e)
{
    return (uint64_t)e->steps * (uint64_t)e->spec->batch;
}

int external_create(const struct jobspec *spec, const struct dataset *data, int64_t job,
                    int64_t incarnation, const struct run_inputs *in,
                    const struct overlay *overlays, struct external **ret)
{
    struct external *e = xcalloc(1, sizeof(*e));
    uint32_t kept = 0;

    e->spec = spec;
    e->data = data;
    e->job = job;
    e->incarnation = incarnation;
    int rc = ranks_begin(&e->ranks, spec, data, in);
    for (int i = 0; rc == 0 && i < spec->revisions.count; i++)
        rc = overlay_copy(&overlays[i], &e->ranks.overlays[i]);
    for (uint32_t i = 0; rc == 0 && i < data->samples; i++)
        kept += e->ranks.rank[i] != CURRICULUM_EXCLUDED;
    if (rc == 0)
        rc = reported_begin(&e->train, data->samples);
    if (rc < 0) {
        external_free(e);
        return rc;
    }
    e->steps = kept / (uint32_t)spec->batch;
    *ret = e;
    return 0;
}

static void reported_done(struct reported *r)
{
    free(r->scores);
    free(r->seen);
    free(r->margin);
    free(r->probabilities);
}

void external_free(struct external *e)
{
    if (!e)
        return;
    ranks_done(&e->ranks);
    schedule_done(&e->schedule);
    free(e->ids);
    free(e->weights);
    reported_done(&e->train);
    reported_done(&e->test);
    free(e->closed);
    free(e->metrics);
    free(e);
}

int external_replay(struct external *e, int64_t epoch, const struct score *scores)
{
    ranks_advance(&e->ranks, epoch);
    return ranks_take(&e->ranks, scores);
}

/* --- the order --- */

static void hash_order(struct external *e)
{
    uint8_t digest[SHA256_BYTES];
    uint32_t piece[1024];
    struct sha256 h;
    uint32_t used = 0;

    sha256_init(&h);
    for (uint64_t i = 0; i < 2 * positions(e); i++) {
        if (i < positions(e))
            piece[used] = htole32(e->ids[i]);
        else {
            uint32_t bits;
            memcpy(&bits, &e->weights[i - positions(e)], sizeof(bits));
            piece[used] = htole32(bits);
        }
        if (++used == sizeof(piece) / sizeof(piece[0]) || i + 1 == 2 * positions(e)) {
            sha256_add(&h, piece, used * sizeof(piece[0]));
            used = 0;
        }
    }
    sha256_end(&h, digest);
    text_hex(digest, sizeof(digest), e->sha256);
}

static int make_order(struct external *e)
{
    const uint32_t batch = (uint32_t)e->spec->batch;
    struct stream stream;
    int rc = ranks_schedule(&e->ranks, e->epoch, &e->schedule);

    ranks_rest(&e->ranks);
    if (rc < 0)
        return rc;
    e->ids = alloc_bytes(positions(e), sizeof(*e->ids));
    e->weights = alloc_bytes(positions(e), sizeof(*e->weights));
    if (!e->ids || !e->weights)
        return -ENOMEM;
    rc = stream_init(&stream, &e->schedule, e->spec->seed, e->epoch, NULL, 0);
    if (rc < 0)
        return rc;
    for (uint32_t step = 0; step < e->steps; step++)
        stream_batch(&stream, step, batch, e->ids + (size_t)step * batch,
                     e->weights + (size_t)step * batch);
    stream_done(&stream);
    hash_order(e);
    return 0;
}

int external_open(struct external *e, int64_t epoch, int64_t now_ms)
{
    e->epoch = epoch;
    e->start_ms = now_ms;
    e->train.samples = e->data->samples;
    e->test.samples = e->data->test_samples;
    ranks_advance(&e->ranks, epoch);
    return make_order(e);
}

size_t external_memory(const struct jobspec *spec, const struct dataset *data)
{
    /* Of a sample. Reports are of one epoch: those of the next come when it is folded. */
    const size_t reported = sizeof(struct score) + sizeof(uint8_t) + sizeof(double);
    const size_t order = 2 * (sizeof(uint32_t) + sizeof(float)); /* schedule and stream */
    const size_t one = ranks_sample_bytes(spec) + order;
    /* adm and label, of which the first comes when nothing is sorted any more */
    const size_t closing = radix_bytes(1) + sizeof(uint16_t);
    /* Those reported, and a copy for the fold. */
    const size_t probabilities = spec->score_probabilities ? 2 * data->classes * sizeof(float) : 0;

    return data->samples * (reported + 2 * one + closing + probabilities) +
           data->test_samples * (reported + sizeof(double));
}

int64_t external_epoch(const struct external *e)
{
    return e->epoch;
}

int64_t external_incarnation(const struct external *e)
{
    return e->incarnation;
}

struct external_order external_order(const struct external *e)
{
    return (struct external_order){positions(e), e->schedule.share, e->schedule.count, e->sha256};
}

const struct schedule *external_schedule(const struct external *e)
{
    return &e->schedule;
}

int external_check_rank(const struct external *e, int64_t rank, int64_t world, struct errbuf *why)
{
    if (e->spec->batch % world != 0)
        return err_set(why, -EINVAL,
                       "world is %lld and batch is %lld; a batch is split evenly over the ranks",
                       (long long)world, (long long)e->spec->batch);
    if (rank >= world)
        return err_set(why, -EINVAL, "rank is %lld, allowed is 0 to %lld (world - 1)",
                       (long long)rank, (long long)world - 1);
    return 0;
}

void external_positions(const struct external *e, uint32_t rank, uint32_t world, uint64_t first,
                        uint32_t count, uint32_t *ids, float *weights)
{
    const uint32_t batch = (uint32_t)e->spec->batch, mine = batch / world;

    assert(first + count <= positions(e) / world);
    for (uint32_t done = 0, n; done < count; done += n) {
        const uint64_t at = first + done;
        const uint64_t from = at / mine * batch + (uint64_t)rank * mine + at % mine;
        n = mine - (uint32_t)(at % mine);
        n = n < count - done ? n : count - done;
        memcpy(ids + done, e->ids + from, n * sizeof(*ids));
        memcpy(weights + done, e->weights + from, n * sizeof(*weights));
    }
}
