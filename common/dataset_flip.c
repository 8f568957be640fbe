/* Wrong labels that are planted: which samples get one is a matter of the seed alone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/dataset.h"
#include "common/rng.h"

struct lot {
    uint64_t key;
    uint32_t sample;
};

static int lot_compare(const void *a, const void *b)
{
    const struct lot *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

/* Draws a lot for every sample whose label is right; the `count` smallest are flipped. */
static void labels_flip(struct dataset_draft *d, struct lot *lots, uint32_t count, uint64_t seed)
{
    uint32_t right = 0;

    for (uint32_t i = 0; i < d->samples; i++) {
        struct rng r = rng_at(seed, RNG_FLIP, i, 0);
        if (d->labels[i] == d->truth[i])
            lots[right++] = (struct lot){rng_u64(&r), i};
    }
    qsort(lots, right, sizeof(*lots), lot_compare);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t sample = lots[i].sample;
        struct rng r = rng_at(seed, RNG_FLIP, sample, 1);
        uint16_t other = (uint16_t)rng_below(&r, d->classes - 1);
        d->labels[sample] = (uint16_t)(other + (other >= d->labels[sample]));
        d->planted[sample] = PLANTED_FLIP;
    }
}

int dataset_flip(struct dataset_draft *d, double share, uint64_t flip_seed, struct errbuf *why)
{
    if (!(share >= 0 && share <= 1))
        return err_set(why, -EINVAL, "flip is %g, allowed is 0 to 1", share);
    if (d->classes < 2)
        return err_set(why, -EINVAL, "flip: with %u class there is no other label to flip to",
                       d->classes);
    uint32_t count = (uint32_t)(share * d->samples + 0.5), right = d->samples;
    for (uint32_t i = 0; d->truth && i < d->samples; i++)
        right -= d->labels[i] != d->truth[i];
    if (count > right)
        return err_set(why, -EINVAL, "flip is %g, %u labels, but only %u of %u labels are right",
                       share, count, right, d->samples);
    if (!count)
        return 0;
    uint16_t *truth = d->truth ? d->truth : malloc(d->samples * sizeof(*truth));
    uint8_t *planted = d->planted ? d->planted : calloc(d->samples, 1);
    struct lot *lots = alloc_bytes(d->samples, sizeof(*lots));
    if (!truth || !planted || !lots) {
        if (!d->truth)
            free(truth);
        if (!d->planted)
            free(planted);
        free(lots);
        return err_set(why, -ENOMEM, "flip: no memory for %u samples", d->samples);
    }
    if (!d->truth)
        memcpy(truth, d->labels, d->samples * sizeof(*truth));
    d->truth = truth;
    d->planted = planted;
    labels_flip(d, lots, count, flip_seed);
    free(lots);
    return 0;
}
