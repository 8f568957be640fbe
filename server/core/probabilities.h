/* Probabilities of all classes, which jobs with score.probabilities keep. Whoever sends them, a
 * worker or a training program, these judge them. Pure. */
#ifndef STEPPE_SERVER_CORE_PROBABILITIES_H
#define STEPPE_SERVER_CORE_PROBABILITIES_H

#include <stdint.h>

#include "common/err.h"
#include "common/jobspec.h"

/* May a job with score.probabilities keep those of so many samples, and, where workers train, does
 * a result of one shard fit a message? 0 or -EINVAL with a sentence. */
int probabilities_check_size(const struct jobspec *spec, uint32_t samples, uint32_t classes,
                             struct errbuf *why);
/* Is row (F32 [classes], maybe unaligned) a distribution? Each from 0 to 1, within 0.001 of 1 in
 * sum. 0 or -EINVAL with a sentence, which calls it "WHAT NUMBER". */
int probabilities_check(const void *row, uint32_t classes, const char *what, uint32_t number,
                        struct errbuf *why);

#endif
