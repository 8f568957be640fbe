/* How loops over memory are compiled: once per instruction set, the best one picked when the
 * program starts. All variants give the same bits: without contraction and without reordering
 * (-ffp-contract=off, no -ffast-math) every float operation is rounded on its own, and reductions
 * are written out over a fixed number of lanes. */
#ifndef STEPPE_COMMON_CLONE_H
#define STEPPE_COMMON_CLONE_H

/* Sanitizers cannot instrument the resolver, which picks a variant before main. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define KERNEL __attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
#else
#define KERNEL
#endif

#endif
