/* Gradients that come before their results, in pieces; and how much memory a run needs at most. */
#include <errno.h>

#include "server/core/optimizer.h"
#include "server/core/run_internal.h"

bool run_in_pieces(const struct run *r)
{
    return r->uploads != NULL;
}

/* Is it the gradient of a node of the open round that has no result yet? */
static bool wanted(const struct run *r, const struct run_upload *up)
{
    return r->uploads && phase_vector(up->phase) &&
           run_node_samples(r, up->phase, up->step, up->node) > 0 &&
           (run_wants(r, up->worker, up->node) || run_wants_voice(r, up->worker, up->node));
}

int run_offer(struct run *r, const struct run_upload *up, int64_t now_ms, int64_t ttl_ms,
              uint64_t *ret_have)
{
    if (!wanted(r, up))
        return UPLOAD_DROP;
    return uploads_offer(r->uploads, up->worker, up->hand, up->node, now_ms, ttl_ms, ret_have);
}

int run_put(struct run *r, const struct run_upload *up, int64_t piece, const void *data,
            size_t bytes, int64_t now_ms, int64_t ttl_ms, struct errbuf *why)
{
    if (!wanted(r, up))
        return -EALREADY;
    return uploads_put(r->uploads, up->worker, up->node, piece, data, bytes, now_ms, ttl_ms, why);
}

/* Shards of a round that measures flatness. Nodes are given out lowest first, so that what waits
 * for a sibling lies beside the nodes that are being computed: it is never more than this for many
 * shards. */
static size_t measured_shards(const struct jobspec *spec, const struct dataset *data)
{
    const size_t most = 128;

    if (spec->flatness.every == 0)
        return 0;
    const size_t shards =
        (flatness_count(&spec->flatness, data->samples) + (size_t)spec->shard - 1) /
        (size_t)spec->shard;
    return shards < most ? shards : most;
}

size_t run_memory(const struct jobspec *spec, const struct model *model, const struct dataset *data,
                  uint32_t held)
{
    size_t vectors = 2, n = data->samples, shards;
    const size_t measured = held > data->test_samples ? held : data->test_samples;
    const size_t slots = measured > (size_t)spec->batch ? measured : (size_t)spec->batch;

    vectors += run_ascent_vectors(spec);
    vectors += spec->keep == KEEP_BEST;
    for (const char *const *names = run_vectors(spec); *names; names++)
        vectors++;
    vectors += flatness_vectors(&spec->flatness);
    /* At most every second shard can wait for a sibling. */
    shards = (size_t)(spec->batch / spec->shard);
    if (measured_shards(spec, data) > shards)
        shards = measured_shards(spec, data);
    if (shards < run_statistics_most(spec, model, data->samples))
        shards = run_statistics_most(spec, model, data->samples);
    vectors += (shards + 1) / 2;
    if (model->floats <= INLINE_FLOATS_MAX)
        vectors++;
    else
        vectors += shards < UPLOADS_MAX ? shards : UPLOADS_MAX;
    size_t lapses = curriculum_counts_lapses(spec) ? sizeof(struct lapses) : 0;
    /* Of a sample: use, rank, lapses, open score, place in the list of the round, in the schedule
     * with its weight, in the stream and, where classes take turns, among those of its class; room
     * to sort in; and what a revision needs, which any job may take on its way. */
    const size_t turns = spec->sampling == SAMPLING_BALANCED ? sizeof(uint32_t) : 0;
    const size_t sample = 1 + sizeof(double) + lapses + sizeof(struct score) +
                          3 * sizeof(uint32_t) + sizeof(float) + turns + radix_bytes(1) +
                          REVISED_SAMPLE_BYTES;
    const size_t groups = ((size_t)data->classes + data->domain_count) * sizeof(struct test_group) +
                          data->classes * (sizeof(struct stream_group) + sizeof(uint32_t));
    const size_t probabilities = spec->score_probabilities ? n * model->classes * sizeof(float) : 0;
    return groups + probabilities + vectors * model->floats * sizeof(float) + n * sample +
           slots * (sizeof(struct score) + sizeof(uint32_t));
}
