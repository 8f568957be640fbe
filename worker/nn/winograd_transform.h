/* The one-dimensional transforms of F(4, 3), on vectors of channels. A file of one instruction set
 * includes it; see winograd.h. With a = 3/4 and b = 3/2 the rows of B^T, G and A^T for the points
 * 0, a, -a, b, -b, infinity are
 *   B^T: a2b2 - (a2+b2) d2 + d4;   (d4 - b2 d2) +- a (d3 - b2 d1);   (d4 - a2 d2) +- b (d3 - a2
 * d1); a2b2 d1 - (a2+b2) d3 + d5 G:   g0 / a2b2;   fa (g0 +- a g1 + a2 g2), fa = 1 / (2 a2
 * (a2-b2));   fb the same with b;   g2 A^T: m0 + m1 + m2 + m3 + m4;   a (m1-m2) + b (m3-m4);   a2
 * (m1+m2) + b2 (m3+m4); a3 (m1-m2) + b3 (m3-m4) + m5 All constants but those of G are exact in
 * float32. */
#ifndef STEPPE_WORKER_NN_WINOGRAD_TRANSFORM_H
#define STEPPE_WORKER_NN_WINOGRAD_TRANSFORM_H

#include "worker/nn/simd.h"

#define PA 0.75f
#define PB 1.5f
#define PA2 (PA * PA)
#define PB2 (PB * PB)
#define G0 (1 / (PA2 * PB2))
#define GA (1 / (2 * PA2 * (PA2 - PB2)))
#define GB (1 / (2 * PB2 * (PB2 - PA2)))

/* B^T d */
SIMD_INLINE void input_line(const lanes d[6], lanes o[6])
{
    const lanes product = lanes_all(PA2 * PB2), sum = lanes_all(PA2 + PB2);
    lanes even = lanes_fnma(lanes_all(PB2), d[2], d[4]);
    lanes odd = lanes_mul(lanes_all(PA), lanes_fnma(lanes_all(PB2), d[1], d[3]));

    o[0] = lanes_fnma(sum, d[2], lanes_fma(product, d[0], d[4]));
    o[1] = lanes_add(even, odd);
    o[2] = lanes_sub(even, odd);
    even = lanes_fnma(lanes_all(PA2), d[2], d[4]);
    odd = lanes_mul(lanes_all(PB), lanes_fnma(lanes_all(PA2), d[1], d[3]));
    o[3] = lanes_add(even, odd);
    o[4] = lanes_sub(even, odd);
    o[5] = lanes_fnma(sum, d[3], lanes_fma(product, d[1], d[5]));
}

/* A^T m */
SIMD_INLINE void output_line(const lanes m[6], lanes o[4])
{
    const lanes p = lanes_add(m[1], m[2]), q = lanes_sub(m[1], m[2]);
    const lanes r = lanes_add(m[3], m[4]), t = lanes_sub(m[3], m[4]);

    o[0] = lanes_add(m[0], lanes_add(p, r));
    o[1] = lanes_fma(lanes_all(PB), t, lanes_mul(lanes_all(PA), q));
    o[2] = lanes_fma(lanes_all(PB2), r, lanes_mul(lanes_all(PA2), p));
    o[3] = lanes_fma(lanes_all(PB2 * PB), t, lanes_fma(lanes_all(PA2 * PA), q, m[5]));
}

/* A y */
SIMD_INLINE void gradient_line(const lanes y[4], lanes o[6])
{
    lanes even = lanes_fma(lanes_all(PA2), y[2], y[0]);
    lanes odd = lanes_mul(lanes_all(PA), lanes_fma(lanes_all(PA2), y[3], y[1]));

    o[0] = y[0];
    o[1] = lanes_add(even, odd);
    o[2] = lanes_sub(even, odd);
    even = lanes_fma(lanes_all(PB2), y[2], y[0]);
    odd = lanes_mul(lanes_all(PB), lanes_fma(lanes_all(PB2), y[3], y[1]));
    o[3] = lanes_add(even, odd);
    o[4] = lanes_sub(even, odd);
    o[5] = y[3];
}

/* G g */
SIMD_INLINE void filter_line(const lanes g[3], lanes o[6])
{
    lanes even = lanes_mul(lanes_all(GA), lanes_fma(lanes_all(PA2), g[2], g[0]));
    lanes odd = lanes_mul(lanes_all(GA * PA), g[1]);

    o[0] = lanes_mul(lanes_all(G0), g[0]);
    o[1] = lanes_add(even, odd);
    o[2] = lanes_sub(even, odd);
    even = lanes_mul(lanes_all(GB), lanes_fma(lanes_all(PB2), g[2], g[0]));
    odd = lanes_mul(lanes_all(GB * PB), g[1]);
    o[3] = lanes_add(even, odd);
    o[4] = lanes_sub(even, odd);
    o[5] = g[2];
}

/* G^T u */
SIMD_INLINE void filter_gradient_line(const lanes u[6], lanes o[3])
{
    const lanes p = lanes_add(u[1], u[2]), q = lanes_sub(u[1], u[2]);
    const lanes r = lanes_add(u[3], u[4]), t = lanes_sub(u[3], u[4]);

    o[0] = lanes_fma(lanes_all(G0), u[0], lanes_fma(lanes_all(GA), p, lanes_mul(lanes_all(GB), r)));
    o[1] = lanes_fma(lanes_all(GA * PA), q, lanes_mul(lanes_all(GB * PB), t));
    o[2] = lanes_fma(lanes_all(GA * PA2), p, lanes_fma(lanes_all(GB * PB2), r, u[5]));
}

#endif
