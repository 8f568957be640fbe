#include "server/net/waits.h"

#include <stddef.h>

#include "server/net/net.h"
#include "server/net/request.h"

const char *const wait_names[] = {
    [WAIT_NONE] = "",
    [WAIT_ASK] = "questions",
    [WAIT_SCAN] = "long questions",
    [WAIT_REPLAY] = "schedules",
    [WAIT_MODEL] = "models",
    [WAIT_WRITE] = "commands",
    [WAIT_UPLOAD] = "uploads",
    [WAIT_DATA] = "datasets",
    [WAIT_COMMIT] = "commits",
    [WAIT_RANKS] = "orders and reports",
    [WAIT_COUNT] = NULL,
};

/* On a lane of one thread two at a time: while one works, the other is there. Commands are more, as
 * some wait for what a job does. */
static const struct line_limits limits[WAIT_COUNT] = {
    [WAIT_ASK] = {2, 2, WAITS_MAX, WAITS_OF_ONE_MAX, WAITS_BYTES_MAX, WAITS_BYTES_MAX / 4},
    [WAIT_SCAN] = {2, 1, WAITS_MAX, WAITS_OF_ONE_MAX, WAITS_BYTES_MAX, WAITS_BYTES_MAX / 4},
    [WAIT_REPLAY] = {2, 1, WAITS_MAX, WAITS_OF_ONE_MAX, WAITS_BYTES_MAX, WAITS_BYTES_MAX / 4},
    [WAIT_MODEL] = {2, 2, WAITS_MAX, WAITS_OF_ONE_MAX, WAITS_BYTES_MAX, WAITS_BYTES_MAX / 4},
    [WAIT_WRITE] = {16, 8, WAITS_MAX, WAITS_OF_ONE_MAX, WAITS_BYTES_MAX, WAITS_BYTES_MAX / 4},
    [WAIT_UPLOAD] = {2, 2, WAITS_MAX, WAITS_OF_ONE_MAX, 2 * WAITS_BYTES_MAX, WAITS_BYTES_MAX},
    [WAIT_DATA] = {2, 2, WORKERS_MAX, WORKERS_MAX, WAITS_BYTES_MAX, WAITS_BYTES_MAX},
    [WAIT_COMMIT] = {2, 1, WAITS_MAX, WAITS_OF_ONE_MAX, WAITS_BYTES_MAX, WAITS_BYTES_MAX / 4},
    /* All ranks of a program have one key. */
    [WAIT_RANKS] = {1, 1, WAITS_MAX, WAITS_MAX / 2, 4 * WAITS_BYTES_MAX, 2 * WAITS_BYTES_MAX},
};

void waits_open(struct net *net)
{
    for (int i = WAIT_NONE + 1; i < WAIT_COUNT; i++)
        line_open(&net->waits[i], &limits[i]);
}

void waits_close(struct net *net)
{
    for (int i = WAIT_NONE + 1; i < WAIT_COUNT; i++)
        line_close(&net->waits[i]);
}

static struct request *request_of(struct turn *turn)
{
    return (struct request *)((char *)turn - offsetof(struct request, turn));
}

/* One loop serves: a handler that answers at once comes back here through waits_end. */
static void serve(struct net *net, struct line *t)
{
    struct turn *turn;

    if (t->serving)
        return;
    t->serving = true;
    while ((turn = line_next(t)) != NULL)
        net->handle(request_of(turn));
    t->serving = false;
}

void waits_put(struct request *rq, enum wait_line wait)
{
    struct line *t = &rq->net->waits[wait];

    if (wait == WAIT_NONE) {
        rq->net->handle(rq);
        return;
    }
    switch (line_ask(t, &rq->turn, rq->owner, rq->weight)) {
    case LINE_WAIT:
        rq->wait = wait;
        serve(rq->net, t);
        break;
    case LINE_FULL:
        request_busy(rq, WAIT_RETRY_MS, "the server has too many %s to answer, %u wait; try again",
                     wait_names[wait], t->waiting);
        break;
    case LINE_FULL_OF_ONE:
        request_busy(rq, WAIT_RETRY_MS,
                     "%u %s of this sender wait already, the most that are allowed; try again",
                     line_of(t, rq->owner), wait_names[wait]);
        break;
    }
}

void waits_end(struct request *rq)
{
    enum wait_line wait = rq->wait;
    struct net *net = rq->net;

    if (wait == WAIT_NONE)
        return;
    rq->wait = WAIT_NONE;
    line_end(&net->waits[wait], &rq->turn);
    serve(net, &net->waits[wait]);
}

bool waits_is_waiting(const struct request *rq)
{
    return rq->wait != WAIT_NONE && !rq->turn.at_work;
}
