/* Work on a lane, for a request or for the server itself: work runs on the lane's thread and may
 * use only its own fields; done runs on the loop. */
#ifndef STEPPE_SERVER_NET_OP_H
#define STEPPE_SERVER_NET_OP_H

#include "server/net/lane.h"
#include "server/net/request.h"

/* done must answer rq, when there is one. arg is the handler's. */
struct op {
    struct request *rq; /* NULL when nobody asked */
    struct service *service;
    struct lane *lane; /* it runs on; set by op_run */
    enum lane_turn turn;
    int rc;
    struct errbuf why;
    cJSON *out;                   /* fields of the reply, made by work */
    const struct tensor *tensors; /* [tensor_count] of the reply, made by work; borrowed from arg */
    int tensor_count;
    bool replies; /* done gives the reply with op_reply, so that it can be prepared on the lane */
    struct answer answer; /* what was prepared of it */
    double seconds;       /* that work took */
    void *arg;
    void (*work)(struct op *op);
    void (*done)(struct op *op); /* NULL: reply out, or fail with rc */
};
/* Ownership of the op passes; it is freed after done. arg is freed by done. */
void op_run(struct lane *lane, struct op op);
/* Answers op->rq with what work made, or fails it with op->rc; on the loop. */
void op_reply(struct op *op);

#endif
