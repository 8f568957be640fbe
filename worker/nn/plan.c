#include "worker/nn/plan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "worker/nn/layer.h"

/* While planning. Arrays over layers are indexed by layer, over values by value. */
struct draft {
    const struct model *m;
    struct plan *plan;
    int readers[LAYERS_MAX];      /* layers that read a layer's output */
    int reader[LAYERS_MAX];       /* the last one of them */
    int value[LAYERS_MAX];        /* that holds a layer's output */
    int uses[1 + LAYERS_MAX];     /* layers that compute from a value, while it is one layer's */
    bool taken_over[LAYERS_MAX];  /* an earlier stage does the layer */
    bool trained[1 + LAYERS_MAX]; /* some layer before the value has parameters */
    int slot[1 + LAYERS_MAX];
    bool taken[2 + LAYERS_MAX]; /* slots */
};

static int value_of(const struct draft *d, int layer)
{
    return layer < 0 ? 0 : d->value[layer];
}

static size_t value_entries(const struct draft *d, int value)
{
    return dims_count(value == 0 ? d->m->in : d->m->layers[value - 1].out);
}

static void count_readers(struct draft *d)
{
    for (int i = 0; i < d->m->layer_count; i++) {
        const int inputs[2] = {d->m->layers[i].input, d->m->layers[i].from};
        for (int k = 0; k < 2; k++) {
            if (inputs[k] < 0)
                continue;
            d->readers[inputs[k]]++;
            d->reader[inputs[k]] = i;
        }
    }
}

/* The layer that alone reads the output of layer i, when it is of this kind; else -1. */
static int sole_reader(const struct draft *d, int i, enum layer_kind kind)
{
    return d->readers[i] == 1 && d->m->layers[d->reader[i]].kind == kind ? d->reader[i] : -1;
}

/* An add right behind a norm is done with it when the other summand is there in time. Returns
 * the layer whose output the stage then gives. */
static int take_over_add(struct draft *d, int i)
{
    const int add = sole_reader(d, i, LAYER_ADD);

    if (add < 0)
        return i;
    const struct layer *l = &d->m->layers[add];
    const int other = l->input == i ? l->from : l->input;
    if (other > i)
        return i;
    d->plan->stages[i].skip = value_of(d, other);
    d->taken_over[add] = true;
    d->value[add] = 1 + i;
    return add;
}

/* A ReLU behind a layer that can clamp its own output. Its mask is applied by that layer, or by the
 * max-pool behind it. */
static void take_over_relu(struct draft *d, int i, int last)
{
    struct stage_plan *s = &d->plan->stages[i];
    const int relu = sole_reader(d, last, LAYER_RELU);

    if (relu < 0)
        return;
    s->relu = true;
    d->taken_over[relu] = true;
    d->value[relu] = 1 + i;
    const int pool = sole_reader(d, relu, LAYER_MAXPOOL);
    s->mask_dy = !layer_ops_of(d->m->layers[i].kind)->leaves_mask || pool < 0;
    if (!s->mask_dy)
        d->plan->stages[pool].mask_dx = true;
}

/* How many layers compute from the value that layer i is about to write or from its flattened view.
 */
static int count_uses(const struct draft *d, int i)
{
    int uses = 0;

    for (int j = i + 1; j < d->m->layer_count; j++) {
        const struct layer *l = &d->m->layers[j];
        if (l->input == i)
            uses += l->kind == LAYER_FLATTEN ? count_uses(d, j) : 1;
        uses += l->from == i;
    }
    return uses;
}

static void plan_stage(struct draft *d, int i)
{
    struct stage_plan *s = &d->plan->stages[i];
    const struct layer *l = &d->m->layers[i];

    s->skip = NO_VALUE;
    s->add_skip = NO_SLOT;
    s->x = value_of(d, l->input);
    if (l->kind == LAYER_FLATTEN) {
        d->value[i] = s->x;
        return;
    }
    if (d->taken_over[i])
        return;
    const struct layer_ops *ops = layer_ops_of(l->kind);
    s->runs = true;
    d->value[i] = s->y = ops->in_place && d->uses[s->x] == 1 ? s->x : 1 + i;
    if (l->kind == LAYER_ADD)
        s->skip = value_of(d, l->from);
    const int last = ops->takes_skip ? take_over_add(d, i) : i;
    int end = last;
    if (ops->takes_relu) {
        take_over_relu(d, i, last);
        if (s->relu)
            end = d->reader[last];
    }
    d->plan->stored[s->y] = true;
    d->uses[s->y] = count_uses(d, end);
    s->x_trainable = d->trained[s->x];
    s->skip_trainable = s->skip != NO_VALUE && d->trained[s->skip];
    s->trainable = l->weight >= 0 || s->x_trainable || s->skip_trainable;
    d->trained[s->y] = s->trainable;
}

static int take_slot(struct draft *d, int value)
{
    const size_t entries = value_entries(d, value);
    int i = 0;

    while (d->taken[i])
        i++;
    d->taken[i] = true;
    if (i >= d->plan->slot_count)
        d->plan->slot_count = i + 1;
    if (d->plan->slot_entries[i] < entries)
        d->plan->slot_entries[i] = entries;
    return i;
}

static void plan_gradients(struct draft *d, int i)
{
    struct stage_plan *s = &d->plan->stages[i];
    const struct layer_ops *ops = layer_ops_of(d->m->layers[i].kind);

    s->dy = d->slot[s->y];
    assert(s->dy != NO_SLOT);
    if (s->x == s->y) {
        s->dx = s->dy;
        return;
    }
    const bool skips = s->skip != NO_VALUE;
    const bool skip_takes = skips && d->slot[s->skip] == NO_SLOT && s->skip != s->x;
    s->add_dx = d->slot[s->x] != NO_SLOT;
    /* An elementwise backward may write over dy, unless the skip still needs it. An add leaves in
     * dx what it found in dy, which is what the skip needs. */
    const bool dy_is_free =
        !skips || (d->m->layers[i].kind == LAYER_ADD && d->slot[s->skip] != NO_SLOT);
    if (!s->add_dx)
        d->slot[s->x] = ops->dx_over_dy && dy_is_free ? s->dy : take_slot(d, s->x);
    s->dx = d->slot[s->x];
    if (skip_takes)
        d->slot[s->skip] = s->dy;
    else if (skips)
        s->add_skip = d->slot[s->skip];
    if (!skip_takes && s->dx != s->dy)
        d->taken[s->dy] = false;
    d->slot[s->y] = NO_SLOT;
}

int plan_make(const struct model *m, struct plan *ret)
{
    const size_t count = (size_t)m->layer_count;
    struct draft *d = calloc(1, sizeof(*d));
    struct plan p = {
        .stages = calloc(count, sizeof(*p.stages)),
        .stored = calloc(1 + count, sizeof(*p.stored)),
        .slot_entries = calloc(2 + count, sizeof(*p.slot_entries)),
        .count = m->layer_count,
    };

    assert(m->layer_count >= 1 && m->layer_count <= LAYERS_MAX);
    if (!d || !p.stages || !p.stored || !p.slot_entries) {
        free(d);
        plan_done(&p);
        return -ENOMEM;
    }
    d->m = m;
    d->plan = &p;
    count_readers(d);
    d->uses[0] = m->layers[0].kind == LAYER_FLATTEN ? count_uses(d, 0) : 1;
    p.stored[0] = true;
    for (int i = 0; i < m->layer_count; i++)
        plan_stage(d, i);
    for (int v = 0; v <= m->layer_count; v++)
        d->slot[v] = NO_SLOT;
    const int logits = value_of(d, m->layer_count - 1);
    p.logits_slot = d->slot[logits] = take_slot(d, logits);
    for (int i = m->layer_count - 1; i >= 0; i--)
        if (p.stages[i].runs)
            plan_gradients(d, i);
    p.image_slot = d->slot[0];
    assert(p.image_slot != NO_SLOT);
    *ret = p;
    free(d);
    return 0;
}

void plan_done(struct plan *p)
{
    free(p->stages);
    free(p->stored);
    free(p->slot_entries);
    *p = (struct plan){0};
}
