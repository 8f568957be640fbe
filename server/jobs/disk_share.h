/* How much of the state folder's disk one key may take, with its datasets, what it uploads and what
 * its jobs keep: half of it, so that none takes it from all others. Who needs no key, as the
 * server's own user over ipc, is not bounded. Where nobody knows how large the disk is, nothing is.
 * On the loop. */
#ifndef STEPPE_SERVER_JOBS_DISK_SHARE_H
#define STEPPE_SERVER_JOBS_DISK_SHARE_H

#include <stdint.h>

#include "common/err.h"

struct service;

/* What datasets, uploads and files of jobs take; of a key, or NULL: of all, each file once. */
int64_t disk_share_used(const struct service *s, const char *key);
/* Of the key that takes most; what nobody's key sent does not count. */
int64_t disk_share_largest(const struct service *s);
/* What one key may take; -1: it is not bounded. */
int64_t disk_share_most(const struct service *s);
/* May a key ("": none) have this data, of so many bytes, as an upload or as a dataset? What it has
 * of it already counts once. -ERANGE: with a sentence that says what it has, and what makes room.
 */
int disk_share_room(const struct service *s, const char *key, const char *sha256, int64_t bytes,
                    struct errbuf *why);
/* May a key have jobs whose checkpoints take so many bytes (job_disk_need), all together? Their
 * files came as uploads and count already. Likewise. One that runs is never stopped. */
int disk_share_jobs(const struct service *s, const char *key, int64_t bytes, struct errbuf *why);

#endif
