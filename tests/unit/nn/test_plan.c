#include <stdlib.h>

#include "common/alloc.h"
#include "common/layer_memory.h"
#include "common/netplan.h"
#include "tests/unit/nn/support.h"

#define CONV(more) "{\"type\":\"conv2d\",\"channels\":4" more "},"
#define NORM "{\"type\":\"groupnorm\",\"groups\":2},"
#define RELU "{\"type\":\"relu\"},"
#define LAST "{\"type\":\"flatten\"},{\"type\":\"dense\"}]"

struct fixture {
    struct model m;
    struct netplan p;
};

static struct fixture made_as(const char *desc, bool folded)
{
    struct fixture f = {.m = model_of(desc, (struct dims){8, 8, 4}, 3)};

    ASSERT_EQ(0, netplan_make(&f.m, folded, &f.p));
    return f;
}

static struct fixture made(const char *desc)
{
    return made_as(desc, false);
}

static void done(struct fixture *f)
{
    netplan_done(&f->p);
    model_done(&f->m);
}

/* Which layers compute, as a text of 0 and 1. */
static void assert_runs(const struct fixture *f, const char *want)
{
    char got[LAYERS_MAX + 1] = "";

    for (int i = 0; i < f->p.count; i++)
        got[i] = f->p.stages[i].runs ? '1' : '0';
    ASSERT_STR(want, got);
}

static bool lives(const struct block *b, int tick)
{
    return b->born <= tick && tick <= b->dies;
}

/* Entries a sample of blocks that live at once, at worst. */
static size_t peak(const struct fixture *f)
{
    size_t most = 0;

    for (int tick = 0; tick <= 2 * f->p.count + 1; tick++) {
        size_t sum = 0;
        for (int i = 0; i < f->p.block_count; i++)
            if (lives(&f->p.blocks[i], tick))
                sum += f->p.blocks[i].entries;
        most = sum > most ? sum : most;
    }
    return most;
}

TEST(a_chain_takes_over_relus)
{
    struct fixture f = made("[" CONV("") RELU "{\"type\":\"maxpool\"}," CONV("") RELU LAST);

    assert_runs(&f, "1011001");
    ASSERT(f.p.stages[0].relu && !f.p.stages[0].mask_dy && f.p.stages[2].mask_dx);
    ASSERT(f.p.stages[3].relu && f.p.stages[3].mask_dy);
    done(&f);
}

TEST(a_norm_takes_over_the_add_and_the_relu_behind_it)
{
    struct fixture f = made("[" CONV("") "{\"type\":\"relu\",\"name\":\"a\"}," CONV("") NORM
                            "{\"type\":\"add\",\"from\":\"a\"}," RELU LAST);

    assert_runs(&f, "10110001");
    ASSERT(f.p.stages[3].relu && f.p.stages[3].mask_dy);
    ASSERT_EQ(1, f.p.stages[3].skip); /* what the first convolution writes */
    ASSERT_EQ(4, f.p.stages[7].x);
    /* The skip takes over the gradient of the sum; the convolution adds its part to it. */
    ASSERT_EQ(NO_BLOCK, f.p.stages[3].add_skip);
    ASSERT(f.p.stages[3].dx != f.p.stages[3].dy);
    ASSERT(f.p.stages[2].add_dx && f.p.stages[2].dx == f.p.stages[3].dy);
    done(&f);
}

TEST(a_norm_leaves_an_add_whose_other_summand_comes_later)
{
    struct fixture f = made("[" CONV(
        ",\"name\":\"a\"") "{\"type\":\"groupnorm\",\"groups\":2,"
                           "\"name\":\"n\"}," CONV(
                               ",\"input\":\"a\"") "{\"type\":\"add\",\"from\":\"n\"}," RELU LAST);

    assert_runs(&f, "1111001");
    ASSERT_EQ(NO_VALUE, f.p.stages[1].skip);
    ASSERT(f.p.stages[3].relu && f.p.stages[3].skip == 2);
    done(&f);
}

TEST(a_relu_works_in_place_only_when_nothing_else_reads_its_input)
{
    struct fixture f = made("[{\"type\":\"avgpool\"}," RELU LAST);
    ASSERT_EQ(f.p.stages[1].x, f.p.stages[1].y);
    ASSERT_EQ(f.p.stages[1].dx, f.p.stages[1].dy);
    done(&f);

    f = made("[{\"type\":\"avgpool\",\"name\":\"a\"}," RELU
             "{\"type\":\"add\",\"from\":\"a\"}," LAST);
    ASSERT(f.p.stages[1].x != f.p.stages[1].y);
    ASSERT(f.p.values[f.p.stages[1].y].forward != NO_BLOCK);
    done(&f);

    /* Seen through a flatten too. */
    f = made("[{\"type\":\"avgpool\",\"name\":\"a\"},{\"type\":\"flatten\"}," RELU
             "{\"type\":\"dense\",\"units\":3,\"name\":\"d\"},"
             "{\"type\":\"flatten\",\"input\":\"a\"},{\"type\":\"dense\",\"units\":3},"
             "{\"type\":\"add\",\"from\":\"d\"},{\"type\":\"dense\"}]");
    ASSERT(f.p.stages[2].x != f.p.stages[2].y);
    done(&f);
}

TEST(what_lies_before_every_parameter_is_not_trainable)
{
    struct fixture f = made("[{\"type\":\"avgpool\",\"name\":\"a\"}," CONV(
        ",\"name\":\"c\"") "{\"type\":\"add\",\"from\":\"a\"}," LAST);

    ASSERT(!f.p.stages[0].trainable && f.p.stages[1].trainable && !f.p.stages[1].x_trainable);
    ASSERT(f.p.stages[2].x_trainable && !f.p.stages[2].skip_trainable);
    done(&f);
}

TEST(what_a_norm_wrote_is_written_again_for_the_first_that_reads_it_backward)
{
    struct fixture f =
        made("[" CONV("") NORM RELU CONV("") "{\"type\":\"flatten\"},{\"type\":\"dense\"}]");
    const struct value_plan *v = &f.p.values[2];

    ASSERT_EQ(3, f.p.stages[1].rewritten_for[FOR_PARAMS]);
    ASSERT_EQ(NO_STAGE, f.p.stages[1].rewritten_for[FOR_IMAGE]); /* the mask follows from x */
    ASSERT(v->forward != v->backward);
    ASSERT_EQ(3, f.p.blocks[v->forward].dies);
    ASSERT_EQ(2 * 6 - 3, f.p.blocks[v->backward].born);
    ASSERT_EQ(2 * 6 - 3, f.p.blocks[v->backward].dies);
    done(&f);
}

TEST(what_a_dropout_works_on_in_place_is_not_written_again)
{
    struct fixture f = made("[" CONV("") NORM RELU "{\"type\":\"dropout\"}," CONV("") LAST);

    ASSERT_EQ(f.p.stages[3].x, f.p.stages[3].y);
    ASSERT_EQ(NO_STAGE, f.p.stages[1].rewritten_for[FOR_PARAMS]);
    ASSERT_EQ(f.p.values[2].forward, f.p.values[2].backward);
    done(&f);
}

TEST(resnet20_gn_has_a_stage_a_convolution_and_norm_and_keeps_half_of_what_they_write)
{
    struct fixture f = made("resnet20_gn");
    size_t all = 0;
    int runs = 0;

    for (int i = 0; i < f.p.count; i++) {
        runs += f.p.stages[i].runs;
        if (f.p.stages[i].runs)
            all += dims_count(f.m.layers[i].out);
    }
    ASSERT_EQ(2 * (19 + 2) + 2, runs);
    ASSERT(peak(&f) < all * 7 / 10);
    done(&f);
}

/* Walks backward as the net does: a stage's dy is complete, and no block holds two gradients. */
static void check_gradients(const char *desc, bool folded)
{
    struct fixture f = made_as(desc, folded);
    int holder[BLOCKS_MAX];

    for (int i = 0; i < f.p.block_count; i++)
        holder[i] = NO_VALUE;
    holder[f.p.logits_gradient] = f.p.stages[f.p.count - 1].y;
    for (int i = f.p.count - 1; i >= 0; i--) {
        const struct stage_plan *s = &f.p.stages[i];
        const int tick = 2 * f.p.count - i;
        if (!s->runs)
            continue;
        ASSERT_EQ(s->y, holder[s->dy]);
        ASSERT(lives(&f.p.blocks[s->dy], tick) && lives(&f.p.blocks[s->dx], tick));
        if (s->x == s->y)
            continue;
        holder[s->dy] = NO_VALUE;
        if (s->add_dx)
            ASSERT_EQ(s->x, holder[s->dx]);
        else
            ASSERT_EQ(NO_VALUE, holder[s->dx]);
        holder[s->dx] = s->x;
        if (s->skip == NO_VALUE)
            continue;
        if (s->add_skip != NO_BLOCK) {
            ASSERT_EQ(s->skip, holder[s->add_skip]);
            ASSERT(lives(&f.p.blocks[s->add_skip], tick));
        } else {
            ASSERT_EQ(NO_VALUE, holder[s->dy]);
            holder[s->dy] = s->skip;
        }
    }
    ASSERT_EQ(0, holder[f.p.image_gradient]);
    for (int i = 0; i < f.p.block_count; i++)
        ASSERT(i == f.p.image_gradient || holder[i] == NO_VALUE);
    done(&f);
}

/* Entries of a block that hold a value or a gradient: the net's memory, a mark an entry. */
struct memory {
    const struct netplan *plan;
    int *owner; /* [size] block, or NO_BLOCK */
};

static void put(struct memory *m, int block)
{
    const struct block *b = &m->plan->blocks[block];

    for (size_t e = b->place; e < b->place + b->size; e++)
        m->owner[e] = block;
}

static void assert_there(const struct memory *m, int block)
{
    const struct block *b = &m->plan->blocks[block];

    ASSERT(block != NO_BLOCK);
    for (size_t e = b->place; e < b->place + b->size; e++)
        ASSERT_EQ(block, m->owner[e]);
}

static void rewrite(struct memory *m, int i, int purpose)
{
    for (int j = 0; j < m->plan->count; j++) {
        const struct stage_plan *s = &m->plan->stages[j];
        if (!s->runs || s->rewritten_for[purpose] != i)
            continue;
        assert_there(m, m->plan->values[s->x].backward);
        if (s->skip != NO_VALUE)
            assert_there(m, m->plan->values[s->skip].backward);
        put(m, m->plan->values[s->y].backward);
    }
}

/* Walks forward and backward as the net does and looks whether what is read has been written over.
 */
static void check_memory(const char *desc, bool folded, int purpose)
{
    struct fixture f = made_as(desc, folded);
    struct memory m = {.plan = &f.p};

    for (int i = 0; i < f.p.block_count; i++)
        f.p.blocks[i].size = f.p.blocks[i].entries;
    const size_t size = lifetime_place(f.p.blocks, f.p.block_count);
    m.owner = alloc_bytes(size, sizeof(*m.owner));
    for (size_t e = 0; e < size; e++)
        m.owner[e] = NO_BLOCK;
    put(&m, f.p.values[0].forward);
    for (int i = 0; i < f.p.count; i++) {
        const struct stage_plan *s = &f.p.stages[i];
        if (!s->runs)
            continue;
        assert_there(&m, f.p.values[s->x].forward);
        if (s->skip != NO_VALUE)
            assert_there(&m, f.p.values[s->skip].forward);
        put(&m, f.p.values[s->y].forward);
    }
    put(&m, f.p.logits_gradient);
    for (int i = f.p.count - 1; i >= 0; i--) {
        const struct stage_plan *s = &f.p.stages[i];
        if (!s->runs)
            continue;
        const struct layer_traits *traits = layer_traits_of(netplan_kind(&f.p, &f.m, i));
        rewrite(&m, i, purpose);
        if (traits->reads_x || (traits->dw_reads_x && purpose == FOR_PARAMS))
            assert_there(&m, f.p.values[s->x].backward);
        if (s->mask_dx || (s->mask_dy && !(traits->masks_by_x && s->skip == NO_VALUE)))
            assert_there(&m, f.p.values[s->y].backward);
        assert_there(&m, s->dy);
        if (s->add_dx)
            assert_there(&m, s->dx);
        put(&m, s->dx);
        if (s->add_skip != NO_BLOCK)
            assert_there(&m, s->add_skip);
    }
    assert_there(&m, f.p.image_gradient);
    assert_there(&m, f.p.values[f.p.stages[f.p.count - 1].y].forward);
    free(m.owner);
    done(&f);
}

static const char *const tangled[] = {
    "[{\"type\":\"avgpool\",\"name\":\"a\"},{\"type\":\"relu\",\"name\":\"b\"},"
    "{\"type\":\"add\",\"from\":\"a\",\"name\":\"c\"}," CONV(
        ",\"input\":\"a\"") "{\"type\":\"add\",\"from\":\"c\",\"name\":\"d\"}," NORM
                            "{\"type\":\"add\",\"from\":\"d\"}," RELU
                            "{\"type\":\"add\",\"from\":\"b\"}," LAST,
    "[" CONV("") NORM "{\"type\":\"relu\",\"name\":\"a\"}," CONV("") NORM
    "{\"type\":\"add\",\"from\":\"a\"},{\"type\":\"relu\",\"name\":\"b\"}," CONV("") NORM RELU
    "{\"type\":\"dropout\"},{\"type\":\"maxpool\",\"name\":\"c\"},{\"type\":\"maxpool\","
    "\"input\":\"b\"},{\"type\":\"add\",\"from\":\"c\"}," RELU LAST,
    NULL,
};

TEST(no_block_holds_two_gradients)
{
    for (int folded = 0; folded < 2; folded++) {
        for (const char *const *preset = quick_presets; *preset; preset++)
            check_gradients(*preset, folded);
        for (const char *const *layers = tangled; *layers; layers++)
            check_gradients(*layers, folded);
    }
}

TEST(nothing_is_written_over_what_is_still_read)
{
    for (int folded = 0; folded < 2; folded++) {
        for (int purpose = folded ? FOR_IMAGE : FOR_PARAMS; purpose < PURPOSES; purpose++) {
            for (const char *const *preset = quick_presets; *preset; preset++)
                check_memory(*preset, folded, purpose);
            for (const char *const *layers = tangled; *layers; layers++)
                check_memory(*layers, folded, purpose);
        }
    }
}

TEST(a_folded_plan_gives_norms_to_the_convolutions_before_them)
{
#define BATCHNORM "{\"type\":\"batchnorm\"},"
    const char *layers = "[" CONV("") BATCHNORM "{\"type\":\"relu\",\"name\":\"a\"}," CONV("")
        BATCHNORM "{\"type\":\"add\",\"from\":\"a\"}," RELU BATCHNORM LAST;
    struct fixture f = made_as(layers, true);

    assert_runs(&f, "1001100101");
    ASSERT_EQ(1, f.p.stages[0].fold);
    ASSERT(f.p.stages[0].relu && f.p.stages[0].mask_dy);
    ASSERT_EQ(4, f.p.stages[3].fold);
    ASSERT(!f.p.stages[3].relu && f.p.stages[4].adds && f.p.stages[4].relu);
    ASSERT_EQ(1, f.p.stages[4].skip);
    ASSERT_EQ(NO_STAGE, f.p.stages[7].fold); /* no convolution before it */
    ASSERT(netplan_folds(&f.p));
    done(&f);

    f = made_as(layers, false);
    ASSERT(!netplan_folds(&f.p));
    done(&f);
    f = made_as("resnet20_gn", true);
    ASSERT(!netplan_folds(&f.p));
    done(&f);
}
