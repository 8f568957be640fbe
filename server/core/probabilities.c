#include "server/core/probabilities.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/bounds.h"

int probabilities_check_size(const struct jobspec *spec, uint32_t samples, uint32_t classes,
                             struct errbuf *why)
{
    const uint64_t all = (uint64_t)samples * classes;

    if (!spec->score_probabilities)
        return 0;
    if (all > PROBABILITIES_MAX)
        return err_set(why, -EINVAL,
                       "score.probabilities is true, and %u samples of %u classes have %llu "
                       "probabilities; allowed is up to %u",
                       samples, classes, (unsigned long long)all, PROBABILITIES_MAX);
    if (jobspec_external(spec))
        return 0;
    const uint64_t shard_max = PIECE_BYTES_MAX / sizeof(float) / classes;
    if ((uint64_t)spec->shard > shard_max)
        return err_set(why, -EINVAL,
                       "score.probabilities is true, and shard is %lld; with %u classes allowed is "
                       "up to %llu, so that a result fits a message",
                       (long long)spec->shard, classes, (unsigned long long)shard_max);
    return 0;
}

int probabilities_check(const void *row, uint32_t classes, const char *what, uint32_t number,
                        struct errbuf *why)
{
    double sum = 0;
    float p;

    for (uint32_t j = 0; j < classes; j++) {
        memcpy(&p, (const char *)row + j * sizeof(p), sizeof(p));
        if (!(p >= 0 && p <= 1))
            return err_set(why, -EINVAL,
                           "probabilities: class %u of %s %u is %g, allowed is 0 to 1", j, what,
                           number, (double)p);
        sum += p;
    }
    if (fabs(sum - 1) > 1e-3) /* a thousand of them are rounded to float */
        return err_set(why, -EINVAL, "probabilities: those of %s %u add up to %.6g, not to 1", what,
                       number, sum);
    return 0;
}
