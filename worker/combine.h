/* What a worker does with the sum of its node when others may add to it (PROTOCOL.md section 7):
 * the server says whose sum to take, to whom to give, or to send what there is. */
#ifndef STEPPE_WORKER_COMBINE_H
#define STEPPE_WORKER_COMBINE_H

#include "common/halves.h"
#include "worker/duty.h"
#include "worker/peer.h"
#include "worker/talk.h"

struct combine {
    struct peer *peer;     /* NULL: other workers do not reach this one; owned */
    const char *key;       /* file; NULL: none */
    struct halves *halves; /* borrowed, NULL: none */
    float *own, *other;    /* [floats] what was combined, and what comes; NULL until some does */
    size_t floats;
    double sums[SUM_COUNT];
    struct score *scores; /* [score_room] */
    uint32_t score_room;
    struct result_room packed;
    struct peer_sum sum;
};

/* The sum that a worker has of a task. */
struct combined {
    const struct task *task;
    size_t floats;
    bool fused; /* the job's results have scores */
    bool room;  /* there is memory for the sums of others */
    struct result result;
    uint32_t end;   /* of the node that it is the sum of */
    uint32_t count; /* samples of it */
    uint32_t to;    /* it was given to that worker; 0: it is to be sent */
};

/* Listens for other workers. Without that all works as well: sums go to the server. */
void combine_open(struct combine *c, const struct duty_options *options, struct halves *halves);
/* Gives back what it holds, and the peer. */
void combine_done(struct combine *c);
/* Does what the server says until *io is to be sent or was given; its result may be c's then, until
 * the next call. 0; -EALREADY: nobody waits for it; or as talk_call. */
int combine_sum(struct combine *c, const struct talk *t, struct combined *io, struct errbuf *why);
/* Fetches theta of a task from the worker that the task names, else, or what that does not give,
 * from the server; shows it to others piece by piece. As talk_fetch. */
int combine_theta(struct combine *c, const struct talk *t, const struct task *task,
                  const cJSON *key, size_t bytes, float *out, struct errbuf *why);

#endif
