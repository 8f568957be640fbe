#include "tests/unit/nn/support.h"
#include "worker/nn/plan.h"

#define CONV(more) "{\"type\":\"conv2d\",\"channels\":4" more "},"
#define NORM "{\"type\":\"groupnorm\",\"groups\":2},"
#define RELU "{\"type\":\"relu\"},"
#define LAST "{\"type\":\"flatten\"},{\"type\":\"dense\"}]"

struct fixture {
    struct model m;
    struct plan p;
};

static struct fixture made(const char *desc)
{
    struct fixture f = {.m = model_of(desc, (struct dims){8, 8, 4}, 3)};

    ASSERT_EQ(0, plan_make(&f.m, &f.p));
    return f;
}

static void done(struct fixture *f)
{
    plan_done(&f->p);
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

TEST(a_chain_takes_over_relus_and_needs_two_slots)
{
    struct fixture f = made("[" CONV("") RELU "{\"type\":\"maxpool\"}," CONV("") RELU LAST);

    assert_runs(&f, "1011001");
    ASSERT(f.p.stages[0].relu && !f.p.stages[0].mask_dy && f.p.stages[2].mask_dx);
    ASSERT(f.p.stages[3].relu && f.p.stages[3].mask_dy);
    ASSERT_EQ(2, f.p.slot_count);
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
    ASSERT_EQ(NO_SLOT, f.p.stages[3].add_skip);
    ASSERT(f.p.stages[3].dx != f.p.stages[3].dy);
    ASSERT(f.p.stages[2].add_dx && f.p.stages[2].dx == f.p.stages[3].dy);
    ASSERT_EQ(2, f.p.slot_count);
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
    ASSERT(f.p.stages[1].x != f.p.stages[1].y && f.p.stored[f.p.stages[1].y]);
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

TEST(resnet20_gn_has_a_stage_a_convolution_and_norm_and_three_slots)
{
    struct fixture f = made("resnet20_gn");
    int runs = 0, stored = 0;

    for (int i = 0; i < f.p.count; i++) {
        runs += f.p.stages[i].runs;
        stored += f.p.stored[1 + i];
    }
    ASSERT_EQ(2 * (19 + 2) + 2, runs);
    ASSERT_EQ(runs, stored);
    ASSERT_EQ(3, f.p.slot_count);
    done(&f);
}

/* Walks backward as the net does: a stage's dy is complete, and no slot holds two gradients. */
static void check_slots(const char *desc)
{
    struct fixture f = made(desc);
    int holder[2 + LAYERS_MAX];

    for (int i = 0; i < f.p.slot_count; i++)
        holder[i] = NO_VALUE;
    holder[f.p.logits_slot] = f.p.stages[f.p.count - 1].y;
    for (int i = f.p.count - 1; i >= 0; i--) {
        const struct stage_plan *s = &f.p.stages[i];
        if (!s->runs)
            continue;
        ASSERT_EQ(s->y, holder[s->dy]);
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
        if (s->add_skip != NO_SLOT) {
            ASSERT_EQ(s->skip, holder[s->add_skip]);
        } else {
            ASSERT_EQ(NO_VALUE, holder[s->dy]);
            holder[s->dy] = s->skip;
        }
    }
    ASSERT_EQ(0, holder[f.p.image_slot]);
    for (int i = 0; i < f.p.slot_count; i++)
        ASSERT(i == f.p.image_slot || holder[i] == NO_VALUE);
    done(&f);
}

TEST(no_slot_holds_two_gradients)
{
    for (const char *const *preset = quick_presets; *preset; preset++)
        check_slots(*preset);
    check_slots("[{\"type\":\"avgpool\",\"name\":\"a\"},{\"type\":\"relu\",\"name\":\"b\"},"
                "{\"type\":\"add\",\"from\":\"a\",\"name\":\"c\"}," CONV(
                    ",\"input\":\"a\"") "{\"type\":\"add\",\"from\":\"c\",\"name\":\"d\"}," NORM
                                        "{\"type\":\"add\",\"from\":\"d\"}," RELU
                                        "{\"type\":\"add\",\"from\":\"b\"}," LAST);
}
