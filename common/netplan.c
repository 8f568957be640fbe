#include "common/netplan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "common/layer_memory.h"

/* While planning. Arrays over layers are indexed by layer, over values by value. */
struct draft {
    const struct model *m;
    struct netplan *plan;
    bool folded;
    int readers[LAYERS_MAX];  /* layers that read a layer's output */
    int reader[LAYERS_MAX];   /* the last one of them */
    int value[LAYERS_MAX];    /* the value that holds a layer's output */
    int uses[1 + LAYERS_MAX]; /* layers that compute from a value while it belongs to one layer */
    bool taken_over[LAYERS_MAX];  /* an earlier stage does the layer */
    bool trained[1 + LAYERS_MAX]; /* some layer before the value has parameters */
    int writer[1 + LAYERS_MAX];   /* the stage that first wrote a value */
    int writers[1 + LAYERS_MAX];  /* stages that write it */
    int gradient[1 + LAYERS_MAX]; /* block of a value's gradient while it has one */
};

static int forward_tick(int stage)
{
    return stage;
}

static int backward_tick(const struct draft *d, int stage)
{
    return 2 * d->m->layer_count - stage;
}

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

/* The add right behind norm i if its other summand is computed in time; else -1. */
static int find_add(const struct draft *d, int i)
{
    const int add = sole_reader(d, i, LAYER_ADD);

    if (add < 0)
        return -1;
    const struct layer *l = &d->m->layers[add];
    return (l->input == i ? l->from : l->input) > i ? -1 : add;
}

/* The norm takes over that add. Returns the layer whose output the stage then gives. */
static int take_over_add(struct draft *d, int i)
{
    const int add = find_add(d, i);

    if (add < 0)
        return i;
    const struct layer *l = &d->m->layers[add];
    const int other = l->input == i ? l->from : l->input;
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
    s->mask_dy = !layer_traits_of(d->m->layers[i].kind)->leaves_mask || pool < 0;
    if (!s->mask_dy)
        d->plan->stages[pool].mask_dx = true;
}

/* Filters are cheap to fold while there are few of them for what they write. */
#define FOLD_SHARE 16

enum layer_kind netplan_kind(const struct netplan *p, const struct model *m, int i)
{
    return p->stages[i].adds ? LAYER_ADD : m->layers[i].kind;
}

static const struct layer_traits *traits_at(const struct draft *d, int i)
{
    return layer_traits_of(netplan_kind(d->plan, d->m, i));
}

/* Folds the norm behind a convolution into it. Returns the layer whose output the stage then gives:
 * the norm, unless its add remains. */
static int fold_norm(struct draft *d, int i)
{
    const struct layer *l = &d->m->layers[i];
    const int norm = d->folded && l->kind == LAYER_CONV2D ? sole_reader(d, i, LAYER_BATCHNORM) : -1;

    if (norm < 0 || d->m->params[l->weight].count > FOLD_SHARE * dims_count(l->out))
        return i;
    d->plan->stages[i].fold = norm;
    if (find_add(d, norm) >= 0) {
        d->plan->stages[norm].adds = true;
        return i;
    }
    d->taken_over[norm] = true;
    d->value[norm] = 1 + i;
    return norm;
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
    s->add_skip = NO_BLOCK;
    s->fold = NO_STAGE;
    for (int p = 0; p < PURPOSES; p++)
        s->rewritten_for[p] = NO_STAGE;
    s->x = value_of(d, l->input);
    if (l->kind == LAYER_FLATTEN) {
        d->value[i] = s->x;
        return;
    }
    if (d->taken_over[i])
        return;
    const struct layer_traits *traits =
        layer_traits_of(l->kind); /* takes over an add, even if that is all it does */
    s->runs = true;
    d->value[i] = s->y = traits->in_place && d->uses[s->x] == 1 ? s->x : 1 + i;
    if (l->kind == LAYER_ADD)
        s->skip = value_of(d, l->from);
    const int last = traits->takes_skip ? take_over_add(d, i) : fold_norm(d, i);
    int end = last;
    if (traits->takes_relu) {
        take_over_relu(d, i, last);
        if (s->relu)
            end = d->reader[last];
    }
    if (d->writers[s->y]++ == 0)
        d->writer[s->y] = i;
    d->uses[s->y] = count_uses(d, end);
    s->x_trainable = d->trained[s->x];
    s->skip_trainable = s->skip != NO_VALUE && d->trained[s->skip];
    s->trainable = l->weight >= 0 || s->x_trainable || s->skip_trainable;
    d->trained[s->y] = s->trainable;
}

static int take_block(struct draft *d, int value, int born, int dies)
{
    struct netplan *p = d->plan;

    p->blocks[p->block_count] =
        (struct block){.entries = value_entries(d, value), .born = born, .dies = dies};
    return p->block_count++;
}

/* --- values --- */

static void forward_reads(struct draft *d, int value, int i)
{
    struct block *b = &d->plan->blocks[d->plan->values[value].forward];

    if (b->dies < forward_tick(i))
        b->dies = forward_tick(i);
}

/* Only a value that one norm alone writes, with no layer working on it in place. */
static bool can_rewrite(const struct draft *d, int value)
{
    return value != 0 && d->writers[value] == 1 && traits_at(d, d->writer[value])->rewrites;
}

/* The backward of stage i, or a rewriting just before it, reads the value. */
static void backward_reads(struct draft *d, int value, int i, int purpose)
{
    struct value_plan *v = &d->plan->values[value];
    const int tick = backward_tick(d, i);

    if (can_rewrite(d, value)) {
        struct stage_plan *writer = &d->plan->stages[d->writer[value]];
        if (writer->rewritten_for[purpose] == NO_STAGE) {
            writer->rewritten_for[purpose] = i;
            backward_reads(d, writer->x, i, purpose);
            if (writer->skip != NO_VALUE)
                backward_reads(d, writer->skip, i, purpose);
        }
        if (v->backward == NO_BLOCK)
            v->backward = take_block(d, value, tick, tick);
    } else {
        v->backward = v->forward;
    }
    struct block *b = &d->plan->blocks[v->backward];
    if (b->born > tick)
        b->born = tick;
    if (b->dies < tick)
        b->dies = tick;
}

/* What the backward of a stage reads of values. */
static void stage_reads(struct draft *d, int i, int purpose)
{
    const struct stage_plan *s = &d->plan->stages[i];
    const struct layer_traits *traits = traits_at(d, i);
    const bool mask_by_x = traits->masks_by_x && s->skip == NO_VALUE;

    if (traits->reads_x || (purpose == FOR_PARAMS && traits->dw_reads_x))
        backward_reads(d, s->x, i, purpose);
    if (traits->reads_y || s->mask_dx || (s->mask_dy && !mask_by_x))
        backward_reads(d, s->y, i, purpose);
}

static void plan_values(struct draft *d)
{
    struct netplan *p = d->plan;
    const int last = p->count - 1;

    for (int v = 0; v <= p->count; v++) {
        const int tick = v == 0 ? 0 : forward_tick(d->writer[v]);
        p->values[v] = (struct value_plan){NO_BLOCK, NO_BLOCK};
        if (v == 0 || d->writers[v] > 0)
            p->values[v].forward = take_block(d, v, tick, tick);
    }
    for (int i = 0; i <= last; i++) {
        if (!p->stages[i].runs)
            continue;
        forward_reads(d, p->stages[i].x, i);
        if (p->stages[i].skip != NO_VALUE)
            forward_reads(d, p->stages[i].skip, i);
    }
    for (int purpose = d->folded ? FOR_IMAGE : FOR_PARAMS; purpose < PURPOSES; purpose++)
        for (int i = last; i >= 0; i--)
            if (p->stages[i].runs)
                stage_reads(d, i, purpose);
    /* The logits are the caller's to read until the next forward. */
    p->blocks[p->values[value_of(d, last)].forward].dies = 2 * p->count + 1;
}

/* --- gradients --- */

/* Nobody reads the block after the backward of stage i. */
static void end_block(struct draft *d, int block, int i)
{
    d->plan->blocks[block].dies = backward_tick(d, i);
}

static int take_gradient(struct draft *d, int value, int born)
{
    return take_block(d, value, born, 2 * d->plan->count + 1);
}

static void plan_gradients(struct draft *d, int i)
{
    struct stage_plan *s = &d->plan->stages[i];
    const struct layer_traits *traits = traits_at(d, i);

    s->dy = d->gradient[s->y];
    assert(s->dy != NO_BLOCK);
    if (s->x == s->y) {
        s->dx = s->dy;
        return;
    }
    const bool skips = s->skip != NO_VALUE;
    const bool skip_takes = skips && d->gradient[s->skip] == NO_BLOCK && s->skip != s->x;
    s->add_dx = d->gradient[s->x] != NO_BLOCK;
    /* An elementwise backward may write over dy, unless the skip still needs it. An add leaves in
     * dx what it found in dy, which is what the skip needs. */
    const bool dy_is_free =
        !skips || (netplan_kind(d->plan, d->m, i) == LAYER_ADD && d->gradient[s->skip] != NO_BLOCK);
    if (!s->add_dx)
        d->gradient[s->x] =
            traits->dx_over_dy && dy_is_free ? s->dy : take_gradient(d, s->x, backward_tick(d, i));
    s->dx = d->gradient[s->x];
    if (skip_takes)
        d->gradient[s->skip] = s->dy;
    else if (skips)
        s->add_skip = d->gradient[s->skip];
    if (!skip_takes && s->dx != s->dy)
        end_block(d, s->dy, i);
    d->gradient[s->y] = NO_BLOCK;
}

static void plan_all_gradients(struct draft *d)
{
    struct netplan *p = d->plan;
    const int logits = value_of(d, p->count - 1);

    for (int v = 0; v <= p->count; v++)
        d->gradient[v] = NO_BLOCK;
    p->logits_gradient = d->gradient[logits] = take_gradient(d, logits, p->count);
    for (int i = p->count - 1; i >= 0; i--)
        if (p->stages[i].runs)
            plan_gradients(d, i);
    p->image_gradient = d->gradient[0];
    assert(p->image_gradient != NO_BLOCK);
}

int netplan_make(const struct model *m, bool folded, struct netplan *ret)
{
    const size_t count = (size_t)m->layer_count;
    struct draft *d = calloc(1, sizeof(*d));
    struct netplan p = {
        .stages = calloc(count, sizeof(*p.stages)),
        .values = calloc(1 + count, sizeof(*p.values)),
        .blocks = calloc(BLOCKS_OF(count), sizeof(*p.blocks)),
        .count = m->layer_count,
    };

    assert(m->layer_count >= 1 && m->layer_count <= LAYERS_MAX);
    if (!d || !p.stages || !p.values || !p.blocks) {
        free(d);
        netplan_done(&p);
        return -ENOMEM;
    }
    d->m = m;
    d->plan = &p;
    d->folded = folded;
    count_readers(d);
    d->uses[0] = m->layers[0].kind == LAYER_FLATTEN ? count_uses(d, 0) : 1;
    for (int i = 0; i < m->layer_count; i++)
        plan_stage(d, i);
    plan_values(d);
    plan_all_gradients(d);
    *ret = p;
    free(d);
    return 0;
}

bool netplan_folds(const struct netplan *p)
{
    for (int i = 0; i < p->count; i++)
        if (p->stages[i].runs && p->stages[i].fold != NO_STAGE)
            return true;
    return false;
}

size_t netplan_place(struct netplan *p, uint32_t batch, size_t real_bytes)
{
    for (int i = 0; i < p->block_count; i++)
        p->blocks[i].size = memory_share(p->blocks[i].entries * batch * real_bytes);
    return lifetime_place(p->blocks, p->block_count);
}

void netplan_done(struct netplan *p)
{
    free(p->stages);
    free(p->values);
    free(p->blocks);
    *p = (struct netplan){0};
}
