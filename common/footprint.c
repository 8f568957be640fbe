#include "common/footprint.h"

#include <errno.h>

#include "common/difficulty.h"
#include "common/layer_memory.h"
#include "common/netplan.h"
#include "common/score.h"
#include "common/text.h"

/* What is counted becomes one mapping. */
struct tally {
    uint64_t used;
};

static void take(struct tally *t, size_t count, size_t size)
{
    t->used += memory_share(count * size);
}

static uint64_t mapped(const struct tally *t)
{
    return (t->used + MEMORY_PAGE - 1) / MEMORY_PAGE * MEMORY_PAGE;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* --- the three mappings of a thread --- */

/* As lay_out of worker/nn/net.c. */
static int net_bytes(const struct model *m, uint32_t shard, uint64_t *ret)
{
    struct netplan whole = {0}, folded = {0};
    size_t scratch = 0, filters = 0;
    struct tally t = {0};
    int rc = netplan_make(m, false, &whole);

    if (rc == 0)
        rc = netplan_make(m, true, &folded);
    if (rc < 0)
        goto out;
    const bool folds = netplan_folds(&folded);
    size_t values = netplan_place(&whole, shard, sizeof(float));
    if (folds)
        values = larger(values, netplan_place(&folded, shard, sizeof(float)));
    take(&t, values, 1);
    for (int i = 0; i < m->layer_count; i++) {
        const struct layer *l = &m->layers[i];
        if (!whole.stages[i].runs)
            continue;
        const struct layer_space space = layer_space_of(l, shard, sizeof(float));
        take(&t, space.kept_bytes, 1);
        scratch = larger(scratch, space.scratch);
        if (folds && folded.stages[i].runs && folded.stages[i].fold != NO_STAGE)
            filters = larger(filters, m->params[l->weight].count + 2 * l->out.c);
    }
    take(&t, scratch, sizeof(float));
    take(&t, filters, sizeof(float));
    *ret = mapped(&t);
out:
    netplan_done(&whole);
    netplan_done(&folded);
    return rc;
}

/* As lay_out of worker/step.c. */
static uint64_t step_bytes(const struct model *m, uint32_t shard, bool splits)
{
    static const size_t of_sample[] = {
        sizeof(uint32_t), FOOTPRINT_HEAD_BYTES, sizeof(double),       sizeof(float),
        sizeof(float),    sizeof(uint32_t),     sizeof(struct score), sizeof(struct ranked),
        sizeof(uint16_t), sizeof(int),
    };
    const size_t pixels = dims_count(m->in);
    struct tally t = {0};

    for (int i = 0; i < 3; i++) /* images, their twins, a gradient of them */
        take(&t, shard * pixels, sizeof(float));
    take(&t, (size_t)shard * m->classes, sizeof(float));
    for (int i = 0; i < 2; i++)
        take(&t, m->classes, sizeof(double));
    for (size_t i = 0; i < sizeof(of_sample) / sizeof(of_sample[0]); i++)
        take(&t, shard, of_sample[i]);
    take(&t, pixels, 1);
    for (int i = 0; i < 1 + splits; i++)
        take(&t, m->floats, sizeof(float));
    return mapped(&t);
}

/* As lay_out of worker/nn/curve.c: nothing is shared there. */
static uint64_t product_bytes(const struct model *m, uint32_t shard)
{
    size_t scratch = 0, widest = 0, heaviest = 0;
    struct tally t = {0};

    take(&t, shard * dims_count(m->in), sizeof(float));
    for (int i = 0; i < m->layer_count; i++) {
        const struct layer *l = &m->layers[i];
        const size_t entries = dims_count(l->out);
        if (l->kind == LAYER_FLATTEN || l->kind == LAYER_DROPOUT)
            continue;
        for (int k = 0; k < 4; k++)
            take(&t, shard * entries, sizeof(float));
        const struct layer_space space = layer_space_of(l, shard, sizeof(float));
        take(&t, space.kept_bytes, 1);
        scratch = larger(scratch, space.scratch);
        widest = larger(widest, entries);
        heaviest = larger(heaviest, l->weight < 0 ? 0 : m->params[l->weight].count);
    }
    take(&t, scratch, sizeof(float));
    take(&t, shard * widest, sizeof(float));
    take(&t, heaviest, sizeof(float));
    take(&t, m->classes, sizeof(double));
    return mapped(&t);
}

int footprint_of(const struct footprint_job *job, struct footprint *ret)
{
    const uint64_t vector = job->model->floats * sizeof(float);
    uint64_t net = 0;
    int rc = net_bytes(job->model, job->shard, &net);

    if (rc < 0)
        return rc;
    *ret = (struct footprint){
        .thread = net + step_bytes(job->model, job->shard, job->splits) + vector,
        .once = 2 * vector, /* theta and the sum */
    };
    if (job->flatness) { /* the tangents of a product, and the vector */
        ret->thread += product_bytes(job->model, job->shard);
        ret->once += vector;
    }
    if (job->combines) /* what was added up, and what comes */
        ret->once += 2 * vector;
    return 0;
}

uint64_t footprint_bytes(const struct footprint *f, uint64_t threads)
{
    return threads * f->thread + f->once;
}

/* --- the sentence --- */

/* What shards of this size need; UINT64_MAX: no memory for counting. */
static uint64_t needed(const struct footprint_job *job, uint64_t threads, uint32_t shard)
{
    struct footprint_job part = *job;
    struct footprint f;

    part.shard = shard;
    return footprint_of(&part, &f) < 0 ? UINT64_MAX : footprint_bytes(&f, threads);
}

uint32_t footprint_part(const struct footprint_job *job, uint64_t threads, uint64_t bytes,
                        uint64_t *ret_bytes)
{
    uint32_t part = 0;

    for (uint32_t d = 2; d <= job->shard && !part; d++) {
        if (job->shard % d != 0 || model_check_shard(job->model, job->shard / d, NULL) < 0)
            continue;
        *ret_bytes = needed(job, threads, job->shard / d);
        if (*ret_bytes <= bytes)
            part = job->shard / d;
    }
    if (!part)
        *ret_bytes = needed(job, threads, 1);
    return part;
}

static int64_t capped(uint64_t bytes)
{
    return bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
}

void footprint_explain(const struct footprint_job *job, uint64_t threads, uint64_t bytes,
                       const char *whose, struct errbuf *why)
{
    char need[TEXT_F64_BYTES], there[TEXT_F64_BYTES], small[TEXT_F64_BYTES];
    uint64_t part_bytes = 0;
    const uint32_t part = footprint_part(job, threads, bytes, &part_bytes);
    const char *fewer = threads > 1 ? " or a worker with fewer --threads" : "";

    text_of_bytes(capped(needed(job, threads, job->shard)), need);
    text_of_bytes(capped(bytes), there);
    text_of_bytes(capped(part_bytes), small);
    if (part)
        err_set(why, -ENOMEM,
                "model %s with shards of %u needs %s of memory on %llu thread%s, %s %s; a smaller "
                "shard%s needs less: with %u it is %s",
                job->model->name, job->shard, need, (unsigned long long)threads,
                threads == 1 ? "" : "s", whose, there, fewer, part, small);
    else
        err_set(why, -ENOMEM,
                "model %s with shards of %u needs %s of memory on %llu thread%s, %s %s; shards of "
                "1 need %s%s",
                job->model->name, job->shard, need, (unsigned long long)threads,
                threads == 1 ? "" : "s", whose, there, small,
                threads > 1 ? ", a worker with fewer --threads less" : "");
}
