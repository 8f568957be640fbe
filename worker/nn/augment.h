/* Random crop with padding and random horizontal flip of training images, on the way from bytes to
 * numbers. An image's draw is a function of (seed, RNG_AUGMENT, step, slot): the same in every pass
 * of a step, whoever computes it. */
#ifndef STEPPE_WORKER_NN_AUGMENT_H
#define STEPPE_WORKER_NN_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model.h"
#include "worker/nn/real.h"

struct augment {
    uint32_t crop; /* pixels of padding on every side, at most IMAGE_SIDE_MAX; 0: no crop */
    bool flip;
};

/* What happens to one image: pixel (y, x) of the result is pixel (y + dy, x + dx) of the image, 0
 * outside of it; then each row is turned round when flip is set. */
struct augment_draw {
    int32_t dy, dx; /* -crop .. crop, uniform */
    bool flip;      /* with probability 1/2 */
};

/* Flips are the same with and without a crop, and the other way round. */
struct augment_draw augment_draw(const struct augment *a, uint64_t seed, uint64_t step,
                                 uint32_t slot);
/* x[h, w, c] = the image pixels[h, w, c] / 255 as drawn; scratch[h, w, c] is overwritten. Like
 * torchvision's RandomCrop(size, padding=crop) and RandomHorizontalFlip: the padding is 0 in pixel
 * space. */
void augment_load(real *restrict x, const uint8_t *restrict pixels, struct dims d,
                  struct augment_draw draw, uint8_t *restrict scratch);

#endif
