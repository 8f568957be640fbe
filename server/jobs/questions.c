#include "server/jobs/questions.h"

#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/log.h"
#include "server/cell/cells.h"
#include "server/core/turns.h"
#include "server/jobs/service.h"
#include "server/net/lane.h"
#include "server/net/op.h"

_Static_assert(TURNS_ASKER_BYTES >= REQUEST_ASKER_BYTES, "askers are told apart");

struct question {
    struct questions *questions;
    struct request *rq;
    struct sql_args args;
    struct cell_answer answer;
    int place;
};

struct questions {
    struct service *service;
    struct cells *cells; /* NULL: there are none */
    struct turns *turns;
    struct lane *lanes[CELLS_MAX]; /* one waits for each cell */
    struct question *at_work[CELLS_MAX];
};

static void work(struct op *op)
{
    struct question *x = op->arg;

    op->rc = cells_ask(x->questions->cells, &x->args, &x->answer, &op->why);
    if (op->rc < 0)
        return;
    op->out = cJSON_CreateObject();
    cJSON_AddRawToObject(op->out, "columns", x->answer.columns);
    cJSON_AddRawToObject(op->out, "rows", x->answer.rows);
    cJSON_AddBoolToObject(op->out, "more", x->answer.more);
    cell_answer_done(&x->answer);
}

static void pump(struct questions *q);

static void done(struct op *op)
{
    struct question *x = op->arg;
    struct questions *q = x->questions;

    op_reply(op);
    turns_done(q->turns, x);
    q->at_work[x->place] = NULL;
    free(x);
    pump(q);
}

static void pump(struct questions *q)
{
    struct question *x;
    int place = 0;

    while (!q->service->net->stopping && (x = turns_next(q->turns)) != NULL) {
        if (x->rq->orphan) { /* nobody waits for it any more */
            request_drop(x->rq);
            turns_done(q->turns, x);
            free(x);
            continue;
        }
        while (q->at_work[place])
            place++;
        q->at_work[place] = x;
        x->place = place;
        op_run(q->lanes[place], (struct op){.rq = x->rq,
                                            .service = q->service,
                                            .arg = x,
                                            .replies = true,
                                            .work = work,
                                            .done = done});
    }
}

void questions_ask(struct questions *q, struct request *rq, int64_t job, int64_t limit,
                   const char *sql)
{
    char asker[REQUEST_ASKER_BYTES];

    if (!q->cells) {
        request_error(rq, ERR_UNAVAILABLE, "this server has no processes that work on SQL");
        return;
    }
    struct question *x = xcalloc(1, sizeof(*x));
    x->questions = q;
    x->rq = rq;
    x->args = (struct sql_args){.job = job, .limit = limit, .sql = sql};
    request_asker(rq, asker);
    int rc = turns_add(q->turns, asker, x);
    if (rc == 0) {
        pump(q);
        return;
    }
    free(x);
    if (rc == -EDQUOT)
        request_busy(rq, WAIT_RETRY_MS,
                     "%d of your queries in SQL wait already; ask again when they are answered",
                     QUESTIONS_EACH_MAX);
    else
        request_busy(rq, WAIT_RETRY_MS, "%d queries in SQL wait already; ask again in some seconds",
                     QUESTIONS_MAX);
}

unsigned questions_waiting(const struct questions *q)
{
    return (unsigned)turns_waiting(q->turns);
}

/* --- life --- */

int questions_open(struct service *s, const char *program, struct questions **ret,
                   struct errbuf *why)
{
    const struct turns_limits limits = {.at_once = CELLS_MAX,
                                        .at_once_each = CELLS_MAX / 2,
                                        .waiting = QUESTIONS_MAX,
                                        .waiting_each = QUESTIONS_EACH_MAX};
    struct questions *q = xcalloc(1, sizeof(*q));
    int rc = 0;

    q->service = s;
    q->turns = turns_create(&limits);
    for (int i = 0; program && rc == 0 && i < CELLS_MAX; i++)
        rc = lane_open(&s->net->loop, "cell", &s->net->metrics.query, &q->lanes[i]);
    *ret = q;
    if (rc < 0)
        return err_set(why, rc, "cannot start: %s", err_text(rc));
    if (!program)
        return 0;
    q->cells = cells_create(program, s->dir);
    if (cells_start(q->cells, why) < 0)
        log_warn("cells.start", "error=\"%s\"", why->text);
    return 0;
}

void questions_stop(struct questions *q)
{
    struct question *x;

    if (!q)
        return;
    while ((x = turns_drop(q->turns)) != NULL) {
        request_drop(x->rq);
        free(x);
    }
    cells_stop(q->cells);
    for (int i = 0; i < CELLS_MAX; i++) {
        lane_close(q->lanes[i]);
        q->lanes[i] = NULL;
    }
}

void questions_close(struct questions *q)
{
    if (!q)
        return;
    cells_free(q->cells);
    turns_free(q->turns);
    free(q);
}
