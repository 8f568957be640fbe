/* The ascent of a batch in two trips, from the parts that worker and server put together. */
#include "common/ascent.h"
#include "tests/unit/nn/step_fixture.h"

static const char norm[] =
    "[{\"type\": \"conv2d\", \"channels\": 6, \"bias\": false}, {\"type\": \"batchnorm\"}, "
    "{\"type\": \"relu\"}, {\"type\": \"conv2d\", \"channels\": 6}, {\"type\": \"batchnorm\"}, "
    "{\"type\": \"add\", \"from\": \"relu1\"}, {\"type\": \"relu\"}, {\"type\": \"globalpool\"}, "
    "{\"type\": \"dropout\", \"rate\": 0.25}, {\"type\": \"dense\"}]";

struct trip {
    real *grad;
    double sums[SUM_COUNT];
    struct score scores[SHARD];
};

static struct trip take(struct fixture *f, const struct step_spec *spec, const real *theta)
{
    struct trip t = {.grad = reals(f->m.floats)};

    step_train(f->step, spec, theta, &f->set, ids, f->weights, SHARD, t.grad, t.sums,
               spec->fused ? t.scores : NULL);
    return t;
}

static void same_scores(const struct score *a, const struct score *b)
{
    for (uint32_t i = 0; i < SHARD; i++) {
        ASSERT(a[i].loss == b[i].loss && a[i].adv_loss == b[i].adv_loss);
        ASSERT(a[i].grad_norm == b[i].grad_norm && a[i].el2n == b[i].el2n);
        ASSERT(a[i].predicted == b[i].predicted && a[i].adv_predicted == b[i].adv_predicted);
        ASSERT_EQ(a[i].flags, b[i].flags);
    }
}

/* The step in one trip, and in two with the ascent between them, over the same single shard. */
static void check(const char *desc, const struct step_spec *spec)
{
    struct fixture *f = fixture_create(desc);
    struct step_spec plain = *spec;
    const size_t behind = f->m.floats - f->m.trained;
    real *hat = reals(f->m.floats);

    struct trip whole = take(f, spec, f->theta);
    plain.rho = 0;
    struct trip up = take(f, &plain, f->theta);
    ascent(&f->m, spec->sam, spec->rho, up.sums[SUM_WEIGHT], up.grad, f->theta, hat);
    plain.fused = false;
    struct trip down = take(f, &plain, hat);
    ASSERT_MEM(whole.grad, down.grad, f->m.trained * sizeof(real));
    ASSERT(memcmp(whole.grad, up.grad, f->m.trained * sizeof(real)) != 0);
    ASSERT_MEM(whole.grad + f->m.trained, up.grad + f->m.trained, behind * sizeof(real));
    ASSERT(behind == 0 ||
           memcmp(up.grad + f->m.trained, down.grad + f->m.trained, behind * sizeof(real)) != 0);
    ASSERT(whole.sums[SUM_WEIGHT] == down.sums[SUM_WEIGHT]);
    ASSERT(whole.sums[SUM_LOSS] == up.sums[SUM_LOSS]);
    ASSERT(whole.sums[SUM_CORRECT] == up.sums[SUM_CORRECT]);
    ASSERT(whole.sums[SUM_LOSS_HAT] == down.sums[SUM_LOSS_HAT]);
    if (spec->fused)
        same_scores(whole.scores, up.scores);
    free(whole.grad), free(up.grad), free(down.grad), free(hat);
    fixture_free(f);
}

TEST(one_shard_in_two_trips_gives_the_bits_of_one_trip)
{
    const struct step_spec specs[] = {
        {.rho = 0.05},
        {.rho = 0.5, .sam = SAM_ADAPTIVE, .smoothing = 0.1, .augment = {2, true}, .slot = 32},
        {.rho = 0.05, .sam = SAM_PLAIN, .augment = {1, false}, .seed = 9, .step = 4},
    };

    for (size_t i = 0; i < COUNT(specs); i++) {
        check("lenet", &specs[i]);
        check(norm, &specs[i]);
        check("resnet20_gn", &specs[i]);
    }
}

TEST(scores_are_those_of_the_ascent)
{
    for (size_t a = 0; a < COUNT(attacks); a++) {
        struct step_spec spec = attacks[a];
        spec.fused = true;
        spec.rho = 0.05;
        check("lenet", &spec);
    }
}
