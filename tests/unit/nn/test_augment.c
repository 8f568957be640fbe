#include "tests/unit/nn/support.h"
#include "worker/nn/augment.h"
#include "worker/nn/gemm.h"
#include "worker/nn/kernels.h"
#include "worker/nn/net.h"
#include "worker/step.h"

/* By the definition: pad with 0, cut out, turn round. */
static void want_of(real *x, const uint8_t *pixels, struct dims d, struct augment_draw draw)
{
    for (int64_t y = 0; y < d.h; y++)
        for (int64_t column = 0; column < d.w; column++) {
            const int64_t sy = y + draw.dy;
            const int64_t sx = (draw.flip ? (int64_t)d.w - 1 - column : column) + draw.dx;
            const bool inside = sy >= 0 && sy < d.h && sx >= 0 && sx < d.w;
            for (int64_t c = 0; c < d.c; c++)
                *x++ = inside ? (real)pixels[(sy * d.w + sx) * d.c + c] / 255 : 0;
        }
}

static uint8_t *bytes(uint32_t key, size_t n)
{
    struct rng r = rng_at(1, RNG_TEST, key, 0);
    uint8_t *b = xcalloc(n, 1);

    for (size_t i = 0; i < n; i++)
        b[i] = (uint8_t)rng_below(&r, 256);
    return b;
}

TEST(every_draw_gives_the_image_of_the_definition)
{
    static const struct dims shapes[] = {{5, 7, 1}, {6, 5, 3}, {4, 9, 2}, {3, 3, 4}, {32, 32, 3}};

    for (size_t k = 0; k < COUNT(shapes); k++) {
        const struct dims d = shapes[k];
        const int32_t most = d.h > 9 ? 4 : 10; /* also beyond the image */
        const size_t n = entries(d);
        uint8_t *pixels = bytes((uint32_t)k, n), *scratch = bytes(99, n);
        real *want = reals(n), *x = reals(n);

        for (int32_t dy = -most; dy <= most; dy++)
            for (int32_t dx = -most; dx <= most; dx++)
                for (int flip = 0; flip < 2; flip++) {
                    const struct augment_draw draw = {dy, dx, flip != 0};
                    memset(x, 0xff, n * sizeof(*x));
                    want_of(want, pixels, d, draw);
                    augment_load(x, pixels, d, draw, scratch);
                    ASSERT_MEM(want, x, n * sizeof(*x));
                }
        free(pixels), free(scratch), free(want), free(x);
    }
}

TEST(draws_are_uniform_and_follow_their_keys)
{
    enum { CROP = 4, SIDE = 2 * CROP + 1, DRAWS = 8100 };
    const struct augment a = {CROP, true};
    int seen[SIDE][SIDE] = {{0}}, flips = 0, moved[3] = {0};

    for (uint32_t i = 0; i < DRAWS; i++) {
        const struct augment_draw d = augment_draw(&a, 3, 5, i);
        ASSERT(d.dy >= -CROP && d.dy <= CROP && d.dx >= -CROP && d.dx <= CROP);
        seen[d.dy + CROP][d.dx + CROP]++;
        flips += d.flip;
        const struct augment_draw others[] = {augment_draw(&a, 4, 5, i), augment_draw(&a, 3, 6, i),
                                              augment_draw(&a, 3, 5, i + 1)};
        for (size_t k = 0; k < COUNT(others); k++)
            moved[k] += others[k].dy != d.dy || others[k].dx != d.dx;
    }
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            ASSERT(seen[y][x] > 50 && seen[y][x] < 150); /* 100 +- 5 standard deviations */
    ASSERT_NEAR(DRAWS / 2.0, flips, 225);
    for (size_t k = 0; k < COUNT(moved); k++)
        ASSERT_NEAR(DRAWS * 80 / 81.0, moved[k], 60);
}

TEST(crop_and_flip_do_not_hang_together)
{
    const struct augment both = {4, true}, crop = {4, false}, flip = {0, true}, none = {0};

    for (uint32_t i = 0; i < 200; i++) {
        const struct augment_draw b = augment_draw(&both, 1, 2, i),
                                  c = augment_draw(&crop, 1, 2, i),
                                  f = augment_draw(&flip, 1, 2, i),
                                  n = augment_draw(&none, 1, 2, i);
        ASSERT(b.dy == c.dy && b.dx == c.dx && !c.flip);
        ASSERT(b.flip == f.flip && f.dy == 0 && f.dx == 0);
        ASSERT(!n.flip && n.dy == 0 && n.dx == 0);
    }
}

/* --- in a step --- */

enum { SHARD = 12, SAMPLES = 20, CLASSES = 4 };
static const struct dims image = {9, 8, 2};

/* Training with augmentation is training on the augmented images, in every pass; where the shard
 * lies in the batch is all that matters for the draws. */
TEST(a_step_trains_on_the_images_as_drawn_for_their_slots)
{
    struct model m = model_of("cnn", image, CLASSES);
    const size_t n = entries(image);
    real *theta = start_of(&m, 3), *want = reals(m.floats), *got = reals(m.floats);
    uint8_t *pixels = bytes(9, SAMPLES * n), *drawn = xcalloc(SHARD, n);
    uint16_t labels[SAMPLES], drawn_labels[SHARD];
    uint32_t ids[SHARD], straight[SHARD];
    float weights[SHARD];
    double sums[SUM_COUNT], want_sums[SUM_COUNT];
    struct score scores[SHARD], want_scores[SHARD];
    struct step_spec spec = {.rho = 0.1,
                             .fused = true,
                             .attack = ATTACK_FGSM,
                             .epsilon = 0.1,
                             .augment = {3, true},
                             .seed = 8,
                             .step = 11,
                             .slot = 24},
                     plain = spec;

    gemm_init();
    net_thread_init();
    plain.augment = (struct augment){0};
    for (uint32_t i = 0; i < SAMPLES; i++)
        labels[i] = (uint16_t)(i * 7 % CLASSES);
    for (uint32_t i = 0; i < SHARD; i++) {
        ids[i] = (i * 5 + 2) % SAMPLES;
        straight[i] = i;
        drawn_labels[i] = labels[ids[i]];
        weights[i] = 0.5f + (float)i / 8;
        real *x = reals(n);
        want_of(x, pixels + ids[i] * n, image,
                augment_draw(&spec.augment, spec.seed, spec.step, spec.slot + i));
        for (size_t k = 0; k < n; k++)
            drawn[i * n + k] = (uint8_t)(x[k] * 255 + (real)0.5);
        free(x);
    }
    const struct samples set = {pixels, labels, SAMPLES}, drawn_set = {drawn, drawn_labels, SHARD};
    struct step *s = step_create(&m, kernels_best(), SHARD, false);
    step_train(s, &plain, theta, &drawn_set, straight, weights, SHARD, want, want_sums,
               want_scores);
    step_train(s, &spec, theta, &set, ids, weights, SHARD, got, sums, scores);
    ASSERT_MEM(want, got, m.floats * sizeof(*want));
    ASSERT_MEM(want_sums, sums, sizeof(sums));
    ASSERT_MEM(want_scores, scores, sizeof(scores));
    spec.slot++;
    step_train(s, &spec, theta, &set, ids, weights, SHARD, got, sums, scores);
    ASSERT(memcmp(want, got, m.floats * sizeof(*want)) != 0);

    step_score(s, &spec, theta, &set, ids, SHARD, scores, NULL);
    step_score(s, &plain, theta, &set, ids, SHARD, want_scores, NULL);
    ASSERT_MEM(want_scores, scores, sizeof(scores));
    step_free(s);
    model_done(&m);
    free(theta), free(want), free(got), free(pixels), free(drawn);
}
