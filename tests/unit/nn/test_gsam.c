/* The step of GSAM inside a shard. */
#include "tests/unit/nn/step_fixture.h"

static void step_of(struct fixture *f, const struct step_spec *spec, real *grad, double *sums)
{
    step_train(f->step, spec, f->theta, &f->set, ids, f->weights, SHARD, grad, sums,
               spec->fused ? f->scores : NULL);
}

/* p - alpha (g - <g, p>/||p||^2 p) in double, of the gradients by the net alone. */
TEST(the_gradient_is_split_inside_the_shard)
{
    static const struct step_spec specs[] = {
        {.rho = 0.05, .sam = SAM_SURROGATE, .sam_alpha = 0.1},
        {.rho = 0.5, .sam = SAM_SURROGATE, .sam_alpha = 2},
        {.rho = 0.05, .sam = SAM_SURROGATE, .sam_alpha = 0.4, .fused = true, .epsilon = 8.0 / 255},
    };
    static const char *const models[] = {"lenet", "resnet20_gn"};

    for (size_t m = 0; m < COUNT(models); m++)
        for (size_t s = 0; s < COUNT(specs); s++) {
            struct fixture *f = fixture_create(models[m]);
            const struct step_spec *spec = &specs[s];
            struct step_spec sam = *spec;
            const size_t n = f->m.floats;
            real *g = plain_gradient(f, f->theta), *p = reals(n), *want = reals(n);
            double product = 0, square = 0, sums[SUM_COUNT];

            sam.sam = SAM_PLAIN;
            step_of(f, &sam, p, sums);
            for (size_t i = 0; i < f->m.trained; i++) {
                product += (double)g[i] * (double)p[i];
                square += (double)p[i] * (double)p[i];
            }
            for (size_t i = 0; i < f->m.trained; i++)
                want[i] =
                    (real)((double)p[i] -
                           spec->sam_alpha * ((double)g[i] - product / square * (double)p[i]));
            step_of(f, spec, f->grad, f->sums);
            ASSERT(distance(f->grad, want, f->m.trained) < 1e-6);
            ASSERT(distance(f->grad, p, f->m.trained) > 1e-4);
            ASSERT_MEM(sums, f->sums, sizeof(sums));
            free(g), free(p), free(want);
            fixture_free(f);
        }
}

TEST(without_alpha_it_is_sam_and_without_rho_it_is_plain)
{
    struct fixture *f = fixture_create("lenet");
    struct step_spec spec = {.rho = 0.05};
    real *want = reals(f->m.floats);

    step_of(f, &spec, want, f->sums);
    spec.sam = SAM_SURROGATE;
    step_of(f, &spec, f->grad, f->sums);
    ASSERT_MEM(want, f->grad, f->m.floats * sizeof(real));
    free(want);
    spec.rho = 0;
    spec.sam_alpha = 0.5;
    want = plain_gradient(f, f->theta);
    step_of(f, &spec, f->grad, f->sums);
    ASSERT_MEM(want, f->grad, f->m.floats * sizeof(real));
    free(want);
    fixture_free(f);
}

/* What lies behind the trained part is no gradient. */
TEST(batch_statistics_stay_those_of_the_pass_at_theta)
{
    struct fixture *f =
        fixture_create("[{\"type\": \"conv2d\", \"channels\": 6}, {\"type\": \"batchnorm\"}, "
                       "{\"type\": \"relu\"}, {\"type\": \"globalpool\"}, {\"type\": \"dense\"}]");
    const struct step_spec spec = {.rho = 0.5, .sam = SAM_SURROGATE, .sam_alpha = 1};
    real *want = plain_gradient(f, f->theta);

    step_of(f, &spec, f->grad, f->sums);
    ASSERT(f->m.floats > f->m.trained);
    ASSERT_MEM(want + f->m.trained, f->grad + f->m.trained,
               (f->m.floats - f->m.trained) * sizeof(real));
    free(want);
    fixture_free(f);
}
