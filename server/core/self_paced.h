/* Self-paced learning: weights that follow from the losses themselves, not from places in an order.
 * The age of the model, which the papers raise by hand, is the share p of the pacing: the threshold
 * lambda is the loss at which p of the samples are below it. So a self-paced job trains on as many
 * samples in each epoch as any other with the same pacing. Pure. */
#ifndef STEPPE_SERVER_CORE_SELF_PACED_H
#define STEPPE_SERVER_CORE_SELF_PACED_H

#include <stdint.h>

#include "common/jobspec.h"

/* The weight, in [0, 1], of a loss below the threshold, before scaling to mean 1:
 *   hard    1                                  Kumar, Packer and Koller 2010
 *   linear  1 - loss / lambda                  Jiang et al., "Easy Samples First", 2014
 *   log     ln(loss + zeta) / ln(zeta)         the same; zeta = 1 - lambda
 * The logarithm needs lambda in (0, 1), so that loss and lambda are divided by the largest loss
 * first; zeta is at least 2^-10. A largest loss of 0 gives 1. mode: of a self-paced one;
 * 0 <= loss <= threshold <= largest. */
double self_paced_weight(enum curriculum_mode mode, double loss, double threshold, double largest);

/* What diversity takes off a loss, with r = 1, 2 .. its place among the losses of its class
 * (Jiang et al., "Self-Paced Learning with Diversity", NIPS 2014, Algorithm 1): a sample is taken
 * when loss < lambda + gamma / (sqrt(r) + sqrt(r - 1)). gamma: in nats. */
double self_paced_bonus(double gamma, uint32_t r);

#endif
