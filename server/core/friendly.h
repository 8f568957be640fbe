/* The direction in which F-SAM ascends. Pure. */
#ifndef STEPPE_SERVER_CORE_FRIENDLY_H
#define STEPPE_SERVER_CORE_FRIENDLY_H

#include <stddef.h>

/* F-SAM (Li et al., "Friendly Sharpness-Aware Minimization", CVPR 2024, arXiv 2403.12350,
 * Algorithm 1): the ascent leaves out what all batches have in common, which a moving mean of their
 * gradients stands for. With g = grad_sum / weight of the batch:
 *   next      = lambda mean + (1 - lambda) g       m_t; mean is m_(t-1), and m_0 = 0
 *   direction = g - sigma next                     the ascent goes along it; sigma 0: as sam
 * All float32, one rounding an operation, entry by entry, denormals flushed; 1 - lambda is computed
 * in double and rounded once. The vectors do not overlap. */
void friendly(size_t n, double lambda, double sigma, double weight, const float *grad_sum,
              const float *mean, float *next, float *direction);

#endif
