/* Memory that this worker has with a server on the same machine: it reads theta where the run of
 * its job has it, and writes its gradients where the server reads them. */
#ifndef STEPPE_WORKER_SHARE_H
#define STEPPE_WORKER_SHARE_H

#include "common/shared.h"
#include "proto/client.h"

struct share {
    int64_t number; /* 0: none */
    int64_t incarnation;
    size_t place_bytes; /* between the two places of theta */
    struct shared theta, grad;
};

/* Asks the server at url for the memory of this job, whose vectors have so many floats. 0;
 * -EAGAIN: not now; -errno with a sentence: the vectors travel in messages. */
int share_open(const char *url, const struct client *client, int64_t job, size_t floats,
               struct share *ret, struct errbuf *why);
void share_close(struct share *s); /* zeroed is fine, and what becomes of it */
/* Theta at place 0 or 1. */
const float *share_theta(const struct share *s, int64_t place);
float *share_gradient(const struct share *s);

#endif
