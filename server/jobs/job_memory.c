/* How much of the server's memory jobs may take: a job that would not fit alone is refused; a job
 * that would not fit beside the running ones waits. */
#include <errno.h>
#include <string.h>

#include "common/text.h"
#include "server/core/sample_history.h"
#include "server/jobs/externals.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"

/* Copies of a run's state beside those of the epochs that are being written: one inside an epoch,
 * one of a pause. */
#define SNAPSHOTS 2

/* What the dataset has of its samples in memory (common/dataset.h). */
static size_t labels_memory(const struct dataset *d)
{
    const size_t sample = sizeof(*d->labels) + (d->truth ? sizeof(*d->truth) : 0) +
                          (d->planted ? sizeof(*d->planted) : 0) +
                          (d->domains ? sizeof(*d->domains) : 0);

    return d->samples * sample + d->test_samples * sizeof(*d->test_labels);
}

/* An epoch that is being written. Its labels are those of a revision, which any job may take on its
 * way. */
static size_t closing_memory(const struct job *job)
{
    const struct jobspec *spec = &job->spec;
    const size_t n = job->data->samples, held = job->uses[USE_TEST];
    const size_t tests = spec->score_splits != SPLITS_BOTH ? 0
                         : held                            ? held
                                                           : job->data->test_samples;
    const size_t scores = job_lends_scores(job) ? 0 : sizeof(struct score);
    const size_t probabilities = spec->score_probabilities ? job->model.classes * sizeof(float) : 0;

    return n * (scores + sizeof(double) + sizeof(uint16_t) + probabilities) +
           tests * (sizeof(struct score) + sizeof(double) + (held ? sizeof(uint32_t) : 0));
}

size_t job_epoch_memory(const struct job *job)
{
    const struct checkpoint_shape shape = job_checkpoint_shape(job);

    return checkpoint_memory(&shape) + closing_memory(job);
}

size_t job_memory(const struct job *job)
{
    const size_t folded = (size_t)job->data->samples * sizeof(struct sample_history);

    if (jobspec_external(&job->spec))
        return external_memory(&job->spec, job->data) + folded + labels_memory(job->data);

    const struct checkpoint_shape shape = job_checkpoint_shape(job);
    const size_t closing = job_closing_max(job);
    const uint32_t *uses = job->uses;
    const uint32_t held =
        uses[USE_TEST] > uses[USE_VALIDATION] ? uses[USE_TEST] : uses[USE_VALIDATION];
    const size_t given = job->spec.weights.kind ? shape.floats * sizeof(float) : 0;

    return given + run_memory(&job->spec, &job->model, job->data, held) +
           SNAPSHOTS * checkpoint_memory(&shape) + closing * job_epoch_memory(job) + folded +
           labels_memory(job->data);
}

static bool is_external_held(const struct job *job)
{
    return job->external && (job->external->open || job->external->busy);
}

int64_t job_memory_with(const struct jobs *jobs, const struct job *job)
{
    size_t bytes = job_memory(job) + jobs->spare_bytes;

    for (const struct job *other = jobs->list; other; other = other->next)
        if (other != job && (job_is_under_way(other) || is_external_held(other)))
            bytes += job_memory(other);
    return (int64_t)bytes;
}

int64_t job_memory_of_one(const struct jobs *jobs, const struct job *job)
{
    const char *key = job->rec.key_name;
    size_t others = 0;

    for (const struct job *other = jobs->list; other && key[0]; other = other->next)
        if (other != job && is_external_held(other) && strcmp(other->rec.key_name, key) == 0)
            others += job_memory(other);
    return others > 0 ? (int64_t)(others + job_memory(job)) : 0;
}

int job_memory_check(const struct service *s, const struct job *job, struct errbuf *why)
{
    char need[TEXT_F64_BYTES], limit[TEXT_F64_BYTES], model[TEXT_F64_BYTES];
    const int64_t bytes = (int64_t)job_memory(job);

    if (bytes <= s->memory_bytes)
        return 0;
    if (jobspec_external(&job->spec))
        return err_set(why, -EFBIG,
                       "the job needs %s of the server's memory, --memory allows %s: for the order "
                       "of an epoch of %u samples and their scores",
                       text_of_bytes(bytes, need), text_of_bytes(s->memory_bytes, limit),
                       job->data->samples);
    return err_set(why, -EFBIG,
                   "the job needs %s of the server's memory, --memory allows %s: the model has %s; "
                   "the rest is optimizer state, snapshots and the sums of %lld shards",
                   text_of_bytes(bytes, need), text_of_bytes(s->memory_bytes, limit),
                   text_of_bytes((int64_t)(job->model.floats * sizeof(float)), model),
                   (long long)(job->spec.batch / job->spec.shard));
}
