/* glyphs: a built-in dataset of drawn digits, 28x28x1, ten classes; a seeded generator that needs
 * no download. Strokes with jitter, rotation, scale, thickness and noise; a share of flipped labels
 * and of planted hard samples (distorted, faint, overdrawn or half hidden) in the training split,
 * whose truth is kept; the test split is neither flipped nor planted. Bytes depend on the
 * parameters only: no libm function beyond sqrt is used, so every machine draws the same pixels. */
#ifndef STEPPE_COMMON_GLYPHS_H
#define STEPPE_COMMON_GLYPHS_H

#include "common/dataset.h"

struct glyphs_spec {
    uint64_t seed;
    uint32_t samples, test_samples; /* 10 .. SAMPLES_MAX */
    double flip, hard;              /* shares of the training split, flip + hard <= 1 */
};

/* Defaults: seed 1, 12000 + 2000 samples, flip 0.05, hard 0.02. */
struct glyphs_spec glyphs_defaults(void);
int glyphs_draw(const struct glyphs_spec *spec, struct dataset_draft *ret, struct errbuf *why);

#endif
