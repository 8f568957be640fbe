/* The descent of GSAM: from the gradients at theta and at theta hat to the one that trains. One
 * implementation for a worker, which has both of a shard, and for the server, which has both of a
 * batch; the same bits on every machine. */
#ifndef STEPPE_COMMON_SURROGATE_H
#define STEPPE_COMMON_SURROGATE_H

#include <stddef.h>

/* GSAM (Zhuang et al., "Surrogate Gap Minimization Improves Sharpness-Aware Training", ICLR 2022,
 * arXiv 2203.08065, Algorithm 1). With g = at_theta and p = at_hat, g is split into what is
 * parallel to p and what is orthogonal to it, and the step goes down p and up the orthogonal part,
 * which lowers the surrogate gap loss(theta hat) - loss(theta) and leaves loss(theta hat) alone:
 *   ret = p - alpha (g - k p),  k = <g, p> / ||p||^2, and 0 where p is 0
 * Both are sums over the same samples with the same weights, so that it does not matter by what
 * they will be divided. n is a multiple of FLOATS_LANES. Product and squares are summed in double,
 * entry i in lane i % 16, lanes added pairwise; an entry is computed in double and rounded once,
 * denormals flushed. ret may be one of the two, else the vectors do not overlap. */
void surrogate(size_t n, double alpha, const float *at_theta, const float *at_hat, float *ret);

#endif
