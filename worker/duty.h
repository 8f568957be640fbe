/* A worker's duty: hello, then task after task until it is told to stop. */
#ifndef STEPPE_WORKER_DUTY_H
#define STEPPE_WORKER_DUTY_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "worker/group.h"
#include "worker/nn/kernels.h"
#include "worker/numerics.h"

struct notify;

struct duty_options {
    const char *server; /* URL */
    const char *key;    /* file; NULL: messages are plain */
    const char *listen; /* for other workers; LINK_NONE: nowhere; NULL: where they may reach it */
    const char *name;
    const char *cache;   /* folder of datasets */
    int64_t threads;     /* of this process */
    struct group *group; /* that it heads */
    const char *machine; /* fields of the log: threads and memory */
    const struct kernels *kernels;
    struct notify *notify; /* to who supervises this process */
    bool may_change;       /* into a class for which the server asks */
    bool profile;          /* print where the time of each job went when the worker leaves it */
};

/* Works until *stop (an enum stop) is set (0) or the server refuses the worker (-errno with a
 * sentence). A server that is away is waited for. On a stop it finishes its task and sends the
 * result or, with STOP_NOW, gives the task back at the end of the shard. -ERESTART: a job waits for
 * workers of another class, which is in ret_class. */
int duty_run(const struct duty_options *options, const _Atomic sig_atomic_t *stop,
             char ret_class[NUMERICS_CLASS_BYTES], struct errbuf *why);

#endif
