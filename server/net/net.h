/* What carries requests: the loop, the lanes that work for it, the gate, what is counted on the
 * way. One a server, owned by it. The rooms above reach the loop and the lanes through it; what
 * they serve is a pointer here that only they look behind. */
#ifndef STEPPE_SERVER_NET_NET_H
#define STEPPE_SERVER_NET_NET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "server/net/metrics.h"
#include "server/net/waits.h"

struct answer;
struct gate;
struct halves;
struct lane;
struct request;
struct service;

struct net {
    uv_loop_t loop;
    struct lane *store_lane, *query_lane, *scan_lane, *replay_lane, *read_lane, *decode_lane,
        *upload_lane, *data_lane;
    struct lane *brief_lane, *long_lane; /* of jobs (jobs/job_away.c) */
    struct line waits[WAIT_COUNT];
    struct gate *gate;
    struct halves *halves; /* of long loops over vectors; NULL: none */
    struct metrics metrics;
    int64_t start_ms;        /* monotonic */
    atomic_bool stopping;    /* lanes look at it, too */
    atomic_bool giving_up;   /* a while later: what is still at work ends with -ESHUTDOWN */
    struct service *service; /* of every request that comes in */
    /* Judges the envelope of a request, whose id is -1 before, and hands it to its handler. */
    void (*dispatch)(struct request *rq);
    /* Calls the handler of a request whose turn has come. */
    void (*handle)(struct request *rq);
    /* Takes the answer (what it points to passes) of a request that request_record marked; once it
     * is recorded, unmarks it and gives it to request_answer. NULL: nobody keeps a record. */
    void (*record)(struct request *rq, struct answer *answer);
};

#endif
