/* How much memory a job takes, and how much the worker may have. */
#ifndef STEPPE_WORKER_ROOM_H
#define STEPPE_WORKER_ROOM_H

#include <stdint.h>

#include "common/err.h"
#include "common/footprint.h"

/* What machine, container and limits leave for jobs at this time: 1 to ROOM_BYTES_MAX, which is as
 * much as a message says exactly. */
#define ROOM_BYTES_MAX (INT64_C(1) << 53)
int64_t room_bytes(void);
/* The threads that are to have a job, in one of `ranks` processes that share this machine with each
 * other, for that job. */
struct room_crew {
    unsigned threads, ranks;
};
/* Does the job fit into it on so many threads? The kernel promises more than it has and ends a
 * process that uses it, so this is asked before. 0, or -ENOMEM with a sentence that names what is
 * needed, what there is, and what would need less. */
int room_check(const struct footprint_job *job, struct room_crew crew, struct errbuf *why);
/* For a job for which there was no memory: the same, or where it should fit -EBUSY with a sentence,
 * since that may pass. */
int room_refuse(const struct footprint_job *job, struct room_crew crew, struct errbuf *why);

/* A dataset of so many bytes could not be mapped: -ENOMEM with a sentence where the address space
 * is too narrow for it, else -EBUSY, since that may pass. */
int room_refuse_dataset(int64_t bytes, struct errbuf *why);

#endif
