#include "worker/mpi/ranks.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/alloc.h"

/* A step takes milliseconds, a server may have nothing to do for hours. */
#define YIELD_S 0.002
#define SHORT_S 1.0
#define BEAT_S 3.0

void rank_wait(MPI_Request *request, void (*beat)(void *), void *arg)
{
    const struct timespec shorter = {.tv_nsec = 50000}, longer = {.tv_nsec = 1000000};
    const double start = MPI_Wtime();
    double heard = start;
    int done = 0;

    for (;;) {
        MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (done)
            return;
        const double now = MPI_Wtime();
        if (now - start < YIELD_S)
            sched_yield();
        else
            nanosleep(now - start < SHORT_S ? &shorter : &longer, NULL);
        if (beat && now - heard > BEAT_S) {
            beat(arg);
            heard = now;
        }
    }
}

static void broadcast(struct group *g, void *data, size_t bytes)
{
    MPI_Request request;

    for (size_t at = 0; at < bytes; at += PIECE_BYTES_MAX) {
        size_t n = bytes - at < PIECE_BYTES_MAX ? bytes - at : PIECE_BYTES_MAX;
        MPI_Ibcast((char *)data + at, (int)n, MPI_BYTE, HEAD, g->comm, &request);
        rank_wait(&request, NULL, NULL);
    }
}

void *rank_body(struct group *g, size_t bytes)
{
    if (bytes > g->body_bytes) {
        free(g->body);
        g->body = xmalloc(bytes);
        g->body_bytes = bytes;
    }
    return g->body;
}

void rank_command(struct group *g, struct command *c, void *body)
{
    broadcast(g, c, sizeof(*c));
    if (c->body_bytes)
        broadcast(g, body, c->body_bytes);
}

void rank_take_command(struct group *g, struct command *ret)
{
    broadcast(g, ret, sizeof(*ret));
    if (ret->body_bytes)
        broadcast(g, rank_body(g, ret->body_bytes), ret->body_bytes);
}

void rank_vector(struct group *g, float *vector, size_t floats)
{
    broadcast(g, vector, floats * sizeof(*vector));
}

void verdict_set(struct verdict *v, const struct group *g, int rc, const struct errbuf *why)
{
    v->rc = rc;
    v->rank = g->rank;
    snprintf(v->text, sizeof(v->text), "%s", rc < 0 ? why->text : "");
}

int verdict_tell(const struct verdict *v, const struct group *g, struct errbuf *why)
{
    const char *text = v->text[0] ? v->text : err_text(v->rc);

    if (v->rc < 0 && v->rank != HEAD)
        err_set(why, v->rc, "rank %d (%s): %s", v->rank, g->all[v->rank].host, text);
    else if (v->rc < 0)
        err_set(why, v->rc, "%s", text);
    return v->rc;
}

void verdict_collect(struct group *g, struct verdict *io, void (*beat)(void *), void *arg)
{
    struct verdict *all = g->rank == HEAD ? xcalloc((size_t)g->ranks, sizeof(*all)) : NULL;
    const int bytes = (int)sizeof(*io);
    MPI_Request request;

    MPI_Igather(io, bytes, MPI_BYTE, all, bytes, MPI_BYTE, HEAD, g->comm, &request);
    rank_wait(&request, beat, arg);
    for (int i = 0; all && i < g->ranks && io->rc == 0; i++)
        if (all[i].rc < 0)
            *io = all[i];
    free(all);
}
