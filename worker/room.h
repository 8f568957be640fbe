/* How much memory a job takes, and how much the worker may have. */
#ifndef STEPPE_WORKER_ROOM_H
#define STEPPE_WORKER_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/model.h"
#include "worker/nn/kernels.h"

/* The properties of a job that decide its memory. */
struct room_job {
    const struct model *model;
    const struct kernels *kernels;
    uint32_t shard; /* samples */
    unsigned threads;
    bool splits;   /* jobspec_splits_shards */
    bool flatness; /* it measures flatness too */
};

/* The least bytes that the job takes, without its dataset (which may leave memory again), messages,
 * and sums that wait for others. SIZE_MAX: more than can be counted. */
size_t room_needed(const struct room_job *job);
/* Does the job fit into what machine, container and limits leave? The kernel promises more than it
 * has and ends a process that uses it, so this is asked before. 0, or -ENOMEM with a sentence that
 * names what is needed, what there is, and what would need less. */
int room_check(const struct room_job *job, struct errbuf *why);
/* For a job for which there was no memory: the same, or where it should fit -EBUSY with a sentence,
 * since that may pass. */
int room_refuse(const struct room_job *job, struct errbuf *why);

/* A dataset of so many bytes cannot be mapped; -ENOMEM with a sentence that says so. */
int room_refuse_dataset(int64_t bytes, struct errbuf *why);

#endif
