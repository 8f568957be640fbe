/* Stochastic weight averaging (Izmailov et al., "Averaging Weights Leads to Wider Optima and Better
 * Generalization", UAI 2018, arXiv 1803.05407, Algorithm 1): after the last update of each epoch
 * from a share of them on,
 *   mean = mean + (theta - mean) / (n + 1)          n epochs have been averaged before
 * in float32, one rounding an operation, over the trained entries; after the last epoch the mean
 * becomes theta, which is then measured. The running statistics of a BatchNorm are not those of the
 * mean, so a round takes them anew: the mean over up to STATISTICS_SHARDS shards. That round is a
 * descent after the last update whose gradient nobody uses: theta hat is the mean, with zeros for
 * the statistics, which training mode does not read. So it depends on the trained entries only, and
 * a run that is restored anywhere behind it takes it once more, to the same bits. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "server/core/run_internal.h"

#define SHARE_SLACK 1e-9 /* 0.55 * 100 is no whole number in double */
#define STATISTICS_SHARDS 64

bool run_averages(const struct jobspec *spec)
{
    return spec->average_from < 1 && spec->epochs > 0;
}

int64_t run_average_first(const struct jobspec *spec)
{
    return (int64_t)floor(spec->average_from * (double)spec->epochs + SHARE_SLACK);
}

uint32_t run_statistics_most(const struct jobspec *spec, const struct model *model,
                             uint32_t samples)
{
    const uint32_t shards = samples / (uint32_t)spec->shard;

    if (!run_averages(spec) || model->floats == model->trained)
        return 0;
    return shards < STATISTICS_SHARDS ? shards : STATISTICS_SHARDS;
}

void run_average_epoch(struct run *r)
{
    const int64_t n = r->cursor.epoch - run_average_first(r->spec);
    const size_t count = r->model->trained;
    float *restrict theta = r->theta, *restrict mean = NULL;

    if (!run_averages(r->spec) || n < 0)
        return;
    for (int i = 0; i < RUN_VECTORS_MAX && r->vectors[i]; i++)
        mean = r->vectors[i];
    assert(mean);
    const float share = (float)(n + 1);
    for (size_t i = 0; i < count; i++)
        mean[i] = mean[i] + (theta[i] - mean[i]) / share;
    if (r->cursor.epoch == r->epochs - 1)
        memcpy(theta, mean, count * sizeof(*theta));
}

uint32_t run_list_statistics(struct run *r)
{
    const uint32_t shard = (uint32_t)r->spec->shard;
    const uint32_t shards = run_statistics_most(r->spec, r->model, r->schedule.count);
    const size_t trained = r->model->trained;

    if (shards == 0 || r->cursor.epoch != r->epochs - 1)
        return 0;
    stream_batch(&r->stream, 0, shards * shard, r->ids, r->weights);
    for (uint32_t i = 0; i < shards * shard; i++)
        r->weights[i] = 1;
    r->id_count = shards * shard;
    memcpy(r->next, r->theta, trained * sizeof(*r->next));
    memset(r->next + trained, 0, (r->model->floats - trained) * sizeof(*r->next));
    return r->id_count;
}

void run_take_statistics(struct run *r)
{
    const float shards = (float)run_shards(r);
    const double *sums;
    const float *sum = run_gradient(r, &sums);

    for (size_t i = r->model->trained; i < r->model->floats; i++)
        r->theta[i] = sum[i] / shards;
}
