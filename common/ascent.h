/* The ascent of SAM: from a gradient at theta to theta hat, where the gradient that trains is
 * taken. One implementation for a worker, which ascends with the gradient of a shard, and for the
 * server, which ascends with that of a batch; the same bits on every machine. */
#ifndef STEPPE_COMMON_ASCENT_H
#define STEPPE_COMMON_ASCENT_H

#include "common/jobspec.h"
#include "common/model.h"

/* With g = grad_sum / weight, the gradient of the weighted mean loss:
 *   sam (Foret et al. 2021):  theta_hat = theta + rho g / (||g||_2 + 1e-12)
 *   asam (Kwon et al. 2021):  theta_hat = theta + rho T^2 g / (||T g||_2 + 1e-12), with
 *                             T = |theta| + 0.01 for weights and scales, 1 for biases
 *   gsam ascends as sam does (common/surrogate.h has its descent), and so does fsam, by a
 *   direction that server/core/friendly.h makes of the gradient
 * over the first m->trained entries of each vector; what lies behind them is neither read nor
 * written. The squares are summed in double, entry i in lane i % 16, lanes added pairwise; all else
 * is float32, one rounding an operation, denormals flushed. weight > 0, rho >= 0; theta_hat may
 * be grad_sum, else the vectors do not overlap. A gradient of 0 gives theta, whatever rho is. */
void ascent(const struct model *m, enum sam_kind kind, double rho, double weight,
            const float *grad_sum, const float *theta, float *theta_hat);

#endif
