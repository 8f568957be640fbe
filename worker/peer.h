/* What a worker is to other workers (PROTOCOL.md section 7): it hands out theta of its task, and
 * takes the sum that the server has told it to take. Threads of its own do that beside the
 * computing; whoever speaks to them has to know the token of the task. */
#ifndef STEPPE_WORKER_PEER_H
#define STEPPE_WORKER_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/reduce.h"
#include "proto/result.h"
#include "worker/task.h"

struct peer;

/* server, key, listen: as link_listen has them, borrowed. 0 or -errno. */
int peer_open(const char *server, const char *key, const char *listen, struct peer **ret,
              struct errbuf *why);
void peer_close(struct peer *p);                /* NULL is fine, here and below */
const char *peer_address(const struct peer *p); /* NULL: there is none */

/* The worker has a task with this token ("": none); what belonged to the one before is over. */
void peer_begin(struct peer *p, const char *token);
/* The first `have` of the bytes of the task's theta lie there, and stay until peer_hide. */
void peer_show(struct peer *p, const float *theta, size_t have);
void peer_hide(struct peer *p);

/* What comes from another worker. */
struct peer_sum {
    struct node node;
    struct result_shape shape; /* of a result of that node, but for floats: always those of grad */
    size_t floats;
    float *grad; /* [floats], where it goes to */
    /* What came with it, in room. */
    struct result result;
    struct result_room room;
};
/* From now on takes this sum, from whoever has it. */
void peer_want(struct peer *p, struct peer_sum *sum);
/* Waits for it. 0: it is there; -EAGAIN: not after ms; then it is still wanted. */
int peer_wait(struct peer *p, int ms);
/* It is not wanted any more. */
void peer_unwant(struct peer *p);

#endif
