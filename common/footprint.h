/* How much memory a worker needs for a job. The worker asks before it maps anything, the server
 * when a job is submitted and before a worker gets work: they judge by the same count. The figures
 * are those that worker/nn/net.c, worker/nn/curve.c and worker/step.c map. */
#ifndef STEPPE_COMMON_FOOTPRINT_H
#define STEPPE_COMMON_FOOTPRINT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/model.h"

/* The properties of a job that decide its memory. */
struct footprint_job {
    const struct model *model;
    uint32_t shard; /* samples */
    bool splits;    /* jobspec_splits_shards */
    bool flatness;  /* it measures flatness too */
    bool combines;  /* the worker adds to its sums what other workers have */
};

/* Bytes: for each thread its activations, gradients, scratch and result; once theta and what the
 * results are summed in. Without the dataset (which may leave memory again), messages, and sums
 * that wait for others. */
struct footprint {
    uint64_t thread, once;
};

/* 0, or -ENOMEM: there is no memory even for counting. */
int footprint_of(const struct footprint_job *job, struct footprint *ret);
/* Of a worker with so many threads. */
uint64_t footprint_bytes(const struct footprint *f, uint64_t threads);

/* The largest part of the shard, which divides a batch as the shard does, that fits so many bytes;
 * *ret_bytes: what it needs. 0: not even one sample fits, which needs *ret_bytes. */
uint32_t footprint_part(const struct footprint_job *job, uint64_t threads, uint64_t bytes,
                        uint64_t *ret_bytes);
/* A sentence on a job that does not fit, less than REFUSAL_BYTES_MAX bytes: what is needed, that
 * `whose` ("the machine has") `bytes`, and what would fit. */
void footprint_explain(const struct footprint_job *job, uint64_t threads, uint64_t bytes,
                       const char *whose, struct errbuf *why);

/* Of a sample of a shard in a step, beside the images and the logits: its head (worker/nn/head.h),
 * loss, three weights and numbers, score, place in an order, label, exponent. */
#define FOOTPRINT_HEAD_BYTES 32

#endif
