/* Which labels a run trains on and which samples it leaves out: those of the data, changed by the
 * revision that the open epoch has. All of it follows from (what the job leaves out by itself, the
 * revision), so that a run that goes on from a checkpoint has what an undisturbed one has. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/core/run_internal.h"

/* What the job leaves out or holds out whatever the revision. */
static int note_own(struct run *r)
{
    const uint32_t n = r->data->samples;

    if (r->own)
        return 0;
    r->own = alloc_bytes(n, sizeof(*r->own));
    r->revised = alloc_bytes(n, sizeof(*r->revised));
    if (r->use)
        r->own_use = alloc_bytes(n, sizeof(*r->own_use));
    if (!r->own || !r->revised || (r->use && !r->own_use))
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        r->own[i] = r->rank[i] == CURRICULUM_EXCLUDED;
    if (r->use)
        memcpy(r->own_use, r->use, n);
    return 0;
}

int run_revise(struct run *r, int64_t epoch, const struct overlay *o)
{
    struct run_revision *grown;
    struct overlay copy;

    if (note_own(r) < 0 || overlay_copy(o, &copy) < 0)
        return -ENOMEM;
    if (r->revision_count > 0 && r->revisions[r->revision_count - 1].epoch == epoch)
        overlay_done(&r->revisions[--r->revision_count].overlay);
    grown = xrealloc(r->revisions, (size_t)(r->revision_count + 1) * sizeof(*grown));
    grown[r->revision_count] = (struct run_revision){epoch, copy};
    r->revisions = grown;
    r->revision_count++;
    return 0;
}

void run_revision_free(struct run *r)
{
    for (int i = 0; i < r->revision_count; i++)
        overlay_done(&r->revisions[i].overlay);
    free(r->revisions);
    free(r->own);
    free(r->own_use);
    free(r->revised);
}

static const struct overlay *overlay_of(const struct run *r, int64_t epoch)
{
    const struct overlay *o = NULL;

    for (int i = 0; i < r->revision_count; i++)
        if (r->revisions[i].epoch <= epoch)
            o = &r->revisions[i].overlay;
    return o;
}

/* Samples that validate and are left out are put aside, as those of `exclude` are. */
static void hold_out(struct run *r, const struct overlay *o)
{
    const uint32_t n = r->data->samples;

    if (!r->use)
        return;
    memcpy(r->use, r->own_use, n);
    for (uint32_t i = 0; i < o->count; i++) {
        uint8_t *use = &r->use[o->rows[i].sample];
        if (o->rows[i].label == OVERLAY_EXCLUDED && *use == USE_VALIDATION)
            *use = USE_ASIDE;
    }
    memset(r->held, 0, sizeof(r->held));
    for (uint32_t i = 0; i < n; i++)
        r->held[r->use[i]]++;
}

void run_take_revision(struct run *r)
{
    static const struct overlay imported = {0};

    if (!r->own)
        return;
    const struct overlay *o = overlay_of(r, r->cursor.epoch);
    o = o ? o : &imported;
    overlay_apply(o, r->own, r->data->labels, r->data->samples, r->rank, r->revised);
    r->relabelled = o->count > o->excluded;
    r->revision = o->number;
    hold_out(r, o);
}

const uint16_t *run_labels(const struct run *r)
{
    return r->relabelled ? r->revised : r->data->labels;
}

uint32_t run_revision_left(uint32_t samples, const uint8_t *use, enum use which,
                           const uint32_t *excluded, uint32_t excluded_count,
                           const struct overlay *o)
{
    uint32_t left = 0, at = 0, own = 0;

    for (uint32_t i = 0; i < samples; i++) {
        while (at < o->count && o->rows[at].sample < i)
            at++;
        while (own < excluded_count && excluded[own] < i)
            own++;
        const bool out =
            (at < o->count && o->rows[at].sample == i && o->rows[at].label == OVERLAY_EXCLUDED) ||
            (own < excluded_count && excluded[own] == i);
        left += !out && (use ? use[i] : USE_TRAIN) == which;
    }
    return left;
}
