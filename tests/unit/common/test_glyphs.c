#include "common/glyphs.h"

#include <errno.h>
#include <stdlib.h>

#include "common/rng.h"
#include "common/text.h"
#include "tests/harness.h"

#define CLASSES 10
#define PIXELS (28 * 28)

static struct errbuf why;

static struct dataset_draft draw(const struct glyphs_spec *spec)
{
    struct dataset_draft d;

    ASSERT_OK(glyphs_draw(spec, &d, &why), why);
    return d;
}

static void assert_file_hash(const struct glyphs_spec *spec, const char *want)
{
    struct dataset_draft d = draw(spec);
    uint8_t sha256[SHA256_BYTES];
    char hex[SHA256_HEX];

    ASSERT_OK(dataset_write(&d, test_path("g"), sha256, &why), why);
    text_hex(sha256, SHA256_BYTES, hex);
    ASSERT_STR(want, hex);
    dataset_draft_done(&d);
}

TEST(a_small_dataset_has_the_pinned_bytes)
{
    struct glyphs_spec spec = {
        .seed = 42, .samples = 200, .test_samples = 50, .flip = 0.1, .hard = 0.2};

    assert_file_hash(&spec, "0ae3d9783d681c0477cb1aaed3abd3eb29c93687e7ccb70866df7d7bb1a78484");
}

TEST(the_default_dataset_has_the_pinned_bytes)
{
    struct glyphs_spec spec = glyphs_defaults();

    assert_file_hash(&spec, "a120431aebecdf1b236785cd5385061a8eec08b4651bfff713bee4230d24cab0");
}

static void assert_balanced(const uint16_t *classes, uint32_t n)
{
    uint32_t counts[CLASSES] = {0};

    for (uint32_t i = 0; i < n; i++) {
        ASSERT(classes[i] < CLASSES);
        counts[classes[i]]++;
    }
    for (int c = 0; c < CLASSES; c++)
        ASSERT(counts[c] == n / CLASSES || counts[c] == n / CLASSES + 1);
}

TEST(classes_are_balanced_and_shuffled)
{
    struct glyphs_spec spec = {.seed = 3, .samples = 1003, .test_samples = 57, .flip = 0.2};
    struct dataset_draft d = draw(&spec);
    uint32_t rises = 0;

    assert_balanced(d.truth, d.samples);
    assert_balanced(d.test_labels, d.test_samples);
    for (uint32_t i = 1; i < d.samples; i++)
        rises += d.truth[i] == (d.truth[i - 1] + 1) % CLASSES;
    /* One in ten by chance; every one when dealt in turn. */
    ASSERT(rises < d.samples / 5);
    dataset_draft_done(&d);
}

TEST(flips_and_hard_samples_are_exact_and_apart)
{
    struct glyphs_spec spec = {
        .seed = 3, .samples = 2000, .test_samples = 10, .flip = 0.05, .hard = 0.0205};
    struct dataset_draft d = draw(&spec);
    uint32_t counts[3] = {0};

    for (uint32_t i = 0; i < d.samples; i++) {
        ASSERT_EQ(d.planted[i] == PLANTED_FLIP, d.labels[i] != d.truth[i]);
        counts[d.planted[i]]++;
    }
    ASSERT_EQ(100, counts[PLANTED_FLIP]);
    ASSERT_EQ(41, counts[PLANTED_HARD]);
    dataset_draft_done(&d);
}

TEST(everything_may_be_planted)
{
    struct glyphs_spec spec = {
        .seed = 3, .samples = 15, .test_samples = 10, .flip = 0.5, .hard = 0.5};
    struct dataset_draft d = draw(&spec);
    uint32_t counts[3] = {0};

    for (uint32_t i = 0; i < d.samples; i++)
        counts[d.planted[i]]++;
    ASSERT_EQ(8, counts[PLANTED_FLIP]);
    ASSERT_EQ(7, counts[PLANTED_HARD]);
    dataset_draft_done(&d);
}

/* Neither the pixels of the other samples nor the test split know what is planted. */
TEST(planting_leaves_the_other_samples_alone)
{
    struct glyphs_spec spec = {.seed = 5, .samples = 300, .test_samples = 40};
    struct dataset_draft plain = draw(&spec);

    spec.flip = 0.2;
    spec.hard = 0.3;
    struct dataset_draft d = draw(&spec);
    ASSERT_MEM(plain.test_images, d.test_images, 40 * PIXELS);
    ASSERT_MEM(plain.test_labels, d.test_labels, 40 * sizeof(*d.test_labels));
    ASSERT_MEM(plain.labels, d.truth, 300 * sizeof(*d.truth));
    for (size_t i = 0; i < 300; i++) {
        bool same = memcmp(plain.images + i * PIXELS, d.images + i * PIXELS, PIXELS) == 0;
        ASSERT_EQ(d.planted[i] != PLANTED_HARD, same);
    }
    dataset_draft_done(&plain);
    dataset_draft_done(&d);
}

TEST(images_have_ink_in_the_middle_and_differ)
{
    struct glyphs_spec spec = {.seed = 9, .samples = 500, .test_samples = 10};
    struct dataset_draft d = draw(&spec);

    for (size_t i = 0; i < d.samples; i++) {
        const uint8_t *image = d.images + i * PIXELS;
        int bright = 0;
        for (int p = 0; p < PIXELS; p++)
            bright += image[p] > 80;
        ASSERT(bright >= 8 && bright < PIXELS / 2);
        ASSERT(i == 0 || memcmp(image, image - PIXELS, PIXELS) != 0);
    }
    dataset_draft_done(&d);
}

TEST(another_seed_draws_other_images)
{
    struct glyphs_spec spec = {.seed = 1, .samples = 10, .test_samples = 10};
    struct dataset_draft one = draw(&spec);

    spec.seed = 1ull << 32 | 1;
    struct dataset_draft two = draw(&spec);
    ASSERT(memcmp(one.images, two.images, 10 * PIXELS) != 0);
    dataset_draft_done(&one);
    dataset_draft_done(&two);
}

TEST(what_cannot_be_drawn_is_refused)
{
    static const struct {
        struct glyphs_spec spec;
        const char *part;
    } cases[] = {
        {{1, 9, 10, 0, 0}, "samples is 9, allowed is 10 to"},
        {{1, SAMPLES_MAX + 1, 10, 0, 0}, "samples is 268435457, allowed is 10 to 268435456"},
        {{1, 10, 0, 0, 0}, "test samples is 0, allowed is 10 to"},
        {{1, 10, 10, -0.1, 0}, "flip is -0.1, allowed is 0 to 1"},
        {{1, 10, 10, 0, 1.5}, "hard is 1.5, allowed is 0 to 1"},
        {{1, 10, 10, NAN, 0}, "flip is nan"},
        {{1, 10, 10, 0.6, 0.5}, "1.1 together, allowed is 0 to 1"},
    };
    struct dataset_draft d;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ASSERT_EQ(-EINVAL, glyphs_draw(&cases[i].spec, &d, &why));
        ASSERT_HAS(cases[i].part, why.text);
    }
}

/* Softmax regression on the pixels. Rows are padded to 16 classes, which vectorises. */
#define LANES 16

struct regression {
    float mean, scale;
    float weights[PIXELS + 1][LANES]; /* the last row is the bias */
};

static void logits(const struct regression *m, const uint8_t *image, float x[PIXELS + 1],
                   float z[LANES])
{
    for (int c = 0; c < LANES; c++)
        z[c] = 0;
    for (int p = 0; p <= PIXELS; p++) {
        x[p] = p < PIXELS ? ((float)image[p] / 255 - m->mean) * m->scale : 1;
        for (int c = 0; c < LANES; c++)
            z[c] += x[p] * m->weights[p][c];
    }
}

static void learn(struct regression *m, const uint8_t *image, int label, float rate, float decay)
{
    float x[PIXELS + 1], z[LANES], step[LANES] = {0}, sum = 0;

    logits(m, image, x, z);
    for (int c = 0; c < CLASSES; c++)
        sum += step[c] = expf(z[c] > 80 ? 80 : z[c]);
    for (int c = 0; c < CLASSES; c++)
        step[c] = rate * (step[c] / sum - (c == label));
    float keep = 1 - rate * decay;
    for (int p = 0; p <= PIXELS; p++)
        for (int c = 0; c < LANES; c++)
            m->weights[p][c] = keep * m->weights[p][c] - x[p] * step[c];
}

static double test_accuracy(const struct regression *m, const struct dataset_draft *d)
{
    float x[PIXELS + 1], z[LANES];
    uint32_t right = 0;

    for (uint32_t i = 0; i < d->test_samples; i++) {
        int best = 0;
        logits(m, d->test_images + (size_t)i * PIXELS, x, z);
        for (int c = 1; c < CLASSES; c++)
            if (z[c] > z[best])
                best = c;
        right += best == d->test_labels[i];
    }
    return (double)right / d->test_samples;
}

/* The best accuracy on the test split after any epoch: chosen on the test split, it errs upwards.
 * More epochs and other rates and decays change it by less than 0.01. */
static double best_accuracy(struct regression *m, const struct dataset_draft *d)
{
    enum { EPOCHS = 6 };
    const float decay = 0.01f;
    uint32_t *ids = malloc(d->samples * sizeof(*ids));
    double best = 0;

    for (uint32_t i = 0; i < d->samples; i++)
        ids[i] = i;
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        struct rng r = rng_at(1, RNG_TEST, epoch, 0);
        float rate = 0.001f * (float)(EPOCHS - epoch) / EPOCHS;
        rng_shuffle(&r, ids, d->samples);
        for (uint32_t i = 0; i < d->samples; i++)
            learn(m, d->images + (size_t)ids[i] * PIXELS, d->labels[ids[i]], rate, decay);
        double accuracy = test_accuracy(m, d);
        printf("epoch %u: test accuracy %.4f\n", epoch, accuracy);
        best = accuracy > best ? accuracy : best;
    }
    free(ids);
    return best;
}

TEST(softmax_regression_stays_below_92_percent)
{
    struct glyphs_spec spec = glyphs_defaults();
    struct dataset_draft d = draw(&spec);
    struct regression *m = calloc(1, sizeof(*m));

    /* Mean and deviation of all pixels, near enough. */
    m->mean = 0.1f;
    m->scale = 4;
    double best = best_accuracy(m, &d);
    ASSERT(best > 0.5);
    ASSERT(best < 0.92);
    free(m);
    dataset_draft_done(&d);
}
