#include "server/core/ranks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/core/radix.h"

static int allocate(struct ranks *r)
{
    r->labels = alloc_bytes(r->samples, sizeof(*r->labels));
    r->rank = alloc_bytes(r->samples, sizeof(*r->rank));
    r->own = alloc_bytes(r->samples, sizeof(*r->own));
    if (curriculum_counts_lapses(r->spec))
        r->lapses = alloc_bytes(r->samples, sizeof(*r->lapses));
    return r->labels && r->rank && r->own && (r->lapses || !curriculum_counts_lapses(r->spec))
               ? 0
               : -ENOMEM;
}

int ranks_begin(struct ranks *r, const struct jobspec *spec, const struct dataset *data,
                const struct run_inputs *in)
{
    *r = (struct ranks){
        .spec = spec, .samples = data->samples, .classes = data->classes, .imported = data->labels};
    if (allocate(r) < 0)
        return -ENOMEM;
    memcpy(r->labels, data->labels, r->samples * sizeof(*r->labels));
    int rc =
        curriculum_begin(in->order, in->excluded, in->excluded_count, in->use, r->samples, r->rank);
    for (uint32_t i = 0; rc == 0 && i < r->samples; i++)
        r->own[i] = r->rank[i] == CURRICULUM_EXCLUDED;
    return rc;
}

void ranks_done(struct ranks *r)
{
    for (int i = 0; i < JOB_REVISIONS_MAX; i++)
        overlay_done(&r->overlays[i]);
    free(r->labels);
    free(r->rank);
    free(r->lapses);
    free(r->own);
    free(r->room);
    *r = (struct ranks){0};
}

int ranks_copy(const struct ranks *from, struct ranks *ret)
{
    struct ranks r = {.spec = from->spec,
                      .samples = from->samples,
                      .classes = from->classes,
                      .imported = from->imported,
                      .revisions = from->revisions};
    int rc = allocate(&r);

    for (int i = 0; rc == 0 && i < JOB_REVISIONS_MAX; i++)
        rc = overlay_copy(&from->overlays[i], &r.overlays[i]);
    if (rc < 0) {
        ranks_done(&r);
        return rc;
    }
    memcpy(r.labels, from->labels, r.samples * sizeof(*r.labels));
    memcpy(r.rank, from->rank, r.samples * sizeof(*r.rank));
    memcpy(r.own, from->own, r.samples * sizeof(*r.own));
    if (r.lapses)
        memcpy(r.lapses, from->lapses, r.samples * sizeof(*r.lapses));
    *ret = r;
    return 0;
}

void ranks_advance(struct ranks *r, int64_t epoch)
{
    const struct revisions *list = &r->spec->revisions;

    for (; r->revisions < list->count && list->at[r->revisions].epoch <= epoch; r->revisions++)
        overlay_apply(&r->overlays[r->revisions], r->own, r->imported, r->samples, r->rank,
                      r->labels);
}

/* NULL: each sorts in memory of its own, if there is any. */
static void *room_of(struct ranks *r)
{
    if (!r->room)
        r->room = malloc(radix_bytes(r->samples));
    return r->room;
}

void ranks_rest(struct ranks *r)
{
    free(r->room);
    r->room = NULL;
}

int ranks_take(struct ranks *r, const struct score *scores)
{
    if (r->lapses)
        lapses_add(r->lapses, scores, r->labels, r->samples);
    return curriculum_rank(r->spec, scores, r->lapses, r->samples, room_of(r), r->rank);
}

int ranks_schedule(const struct ranks *r, int64_t epoch, struct schedule *ret)
{
    return schedule_make(r->spec, r->rank, r->labels, r->classes, r->samples, epoch, r->room, ret);
}

const uint16_t *ranks_relabelled(const struct ranks *r)
{
    return r->revisions > 0 && r->spec->revisions.at[r->revisions - 1].number > 0 ? r->labels
                                                                                  : NULL;
}

size_t ranks_sample_bytes(const struct jobspec *spec)
{
    return sizeof(uint16_t) + sizeof(double) + sizeof(bool) +
           (curriculum_counts_lapses(spec) ? sizeof(struct lapses) : 0);
}
