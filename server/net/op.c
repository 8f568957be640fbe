#include "server/net/op.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "server/net/lane.h"
#include "server/net/metrics.h"

/* On the lane too: the loop has training steps to serve. */
static void prepare(struct op *op)
{
    op->answer = (struct answer){.json = op->out,
                                 .tensors = op->tensors,
                                 .tensor_count = op->tensor_count,
                                 .code = ERR_COUNT};
    op->out = NULL;
    request_prepare(op->rq, &op->answer);
}

static void op_work(void *arg)
{
    struct op *op = arg;
    double start_s = clock_mono_s();

    op->work(op);
    op->seconds = clock_mono_s() - start_s;
    if (op->rq && op->rc == 0 && (!op->done || op->replies))
        prepare(op);
}

void op_reply(struct op *op)
{
    struct request *rq = op->rq;

    op->rq = NULL;
    if (op->rc < 0) {
        request_fail(rq, op->rc, &op->why);
        return;
    }
    request_answer(rq, &op->answer);
    op->answer = (struct answer){0};
}

static void op_done(void *arg)
{
    struct op *op = arg;

    if (lane_times(op->lane))
        metrics_time(lane_times(op->lane), op->seconds);
    if (op->done)
        op->done(op);
    else if (op->rq)
        op_reply(op);
    cJSON_Delete(op->out);
    cJSON_Delete(op->answer.json);
    free(op->answer.made);
    free(op);
}

void op_run(struct lane *lane, struct op op)
{
    struct op *o = xmalloc(sizeof(*o));

    *o = op;
    o->lane = lane;
    o->why.text[0] = 0;
    lane_run_in(lane, op.turn, op_work, op_done, o);
}
