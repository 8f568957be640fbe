/* The dataset cache of a host: files by SHA-256, shared by its workers (one download a dataset). */
#ifndef STEPPE_WORKER_CACHE_H
#define STEPPE_WORKER_CACHE_H

#include <signal.h>
#include <stdint.h>

#include "common/dataset.h"
#include "common/err.h"
#include "proto/client.h"

/* Opens the dataset with this hash and size from dir; pulls what is missing from the server in
 * pieces first (goes on where an earlier download ended), checks the hash and renames. Waits while
 * another worker of this host downloads it. 0; -EINTR when stop was set; -errno with a sentence. */
int cache_dataset(const char *dir, struct client *client, const char *sha256, uint64_t bytes,
                  const volatile sig_atomic_t *stop, struct dataset *ret, struct errbuf *why);

#endif
