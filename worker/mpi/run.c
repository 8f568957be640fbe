/* The part of each rank, and how the parts come together.
 *
 * A rank has the sum of a vertex. Its children in the spread have those of the right siblings of
 * this vertex, of its parent and so on, in this order, so it adds one after the other to its own;
 * what comes out is the left sibling's sum for nobody, or the right one's for its own parent. The
 * vector goes piece by piece: while one is added, the next ones are on their way, and a piece is
 * sent on before the next is looked at. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/reduce.h"
#include "worker/mpi/ranks.h"

#define AHEAD RUN_AHEAD
#define PIECE_FLOATS RUN_PIECE_FLOATS

enum tag { TAG_VERDICT = 1, TAG_PIECE };

void run_spread(struct group *g, const struct run_command *run, uint32_t shard, uint32_t *ret_first,
                uint32_t *ret_count)
{
    const uint32_t shards = (run->count + shard - 1) / shard;

    if (run->train || run->flat)
        spread_tree(shards, g->threads, g->ranks, g->parts);
    else
        spread_even(shards, g->threads, g->ranks, g->parts);
    for (int i = 0; i < g->ranks; i++) {
        const struct part *p = &g->parts[i];
        const uint64_t end = (uint64_t)(p->first + p->count) * shard;

        g->offsets[i] = p->count ? (int)(p->first * shard) : 0;
        g->counts[i] = p->count ? (int)(end < run->count ? end : run->count) - g->offsets[i] : 0;
    }
    *ret_first = (uint32_t)g->offsets[g->rank];
    *ret_count = (uint32_t)g->counts[g->rank];
}

/* --- sums --- */

/* What a child sends. */
struct child {
    int rank;
    bool vector; /* it sends one */
    MPI_Request request[AHEAD];
    float *piece[AHEAD];
};

struct summing {
    struct group *g;
    struct child children[RUN_CHILDREN_MAX];
    int count;
    size_t floats, pieces;
};

static size_t piece_floats(const struct summing *s, size_t piece)
{
    const size_t left = s->floats - piece * PIECE_FLOATS;

    return left < PIECE_FLOATS ? left : PIECE_FLOATS;
}

static void expect(struct summing *s, struct child *c, size_t piece)
{
    if (c->vector && piece < s->pieces)
        MPI_Irecv(c->piece[piece % AHEAD], (int)piece_floats(s, piece), MPI_FLOAT, c->rank,
                  TAG_PIECE, s->g->comm, &c->request[piece % AHEAD]);
}

static void find_children(struct summing *s)
{
    struct group *g = s->g;

    for (int i = g->parts[g->rank].child; i != SPREAD_ROOT; i = g->parts[i].next)
        s->children[s->count++].rank = i;
    for (int i = 0; s->floats && i < s->count; i++)
        for (int k = 0; k < AHEAD; k++)
            s->children[i].piece[k] = g->pieces + (size_t)(i * AHEAD + k) * PIECE_FLOATS;
}

static void take_verdict(struct summing *s, struct child *c, struct verdict *io)
{
    struct verdict v;
    MPI_Request request;

    MPI_Irecv(&v, (int)sizeof(v), MPI_BYTE, c->rank, TAG_VERDICT, s->g->comm, &request);
    rank_wait(&request, NULL, NULL);
    c->vector = v.rc == 0 && s->floats;
    if (v.rc == 0 && io->rc == 0)
        node_add_doubles(io->sums, v.sums, SUM_COUNT);
    else if (io->rc == 0)
        *io = v;
}

static void add_pieces(struct summing *s, float *vector, bool sends, MPI_Request *sent)
{
    for (size_t piece = 0; piece < s->pieces; piece++) {
        float *own = vector ? vector + piece * PIECE_FLOATS : NULL;

        for (int i = 0; i < s->count; i++) {
            struct child *c = &s->children[i];
            if (!c->vector)
                continue;
            rank_wait(&c->request[piece % AHEAD], NULL, NULL);
            if (vector)
                node_add(own, c->piece[piece % AHEAD], piece_floats(s, piece));
            expect(s, c, piece + AHEAD);
        }
        if (sends)
            MPI_Isend(own, (int)piece_floats(s, piece), MPI_FLOAT, s->g->parts[s->g->rank].parent,
                      TAG_PIECE, s->g->comm, &sent[piece]);
    }
    for (size_t piece = 0; sends && piece < s->pieces; piece++)
        rank_wait(&sent[piece], NULL, NULL);
}

/* Adds what the children send to this rank's own, and sends it on. vector: [floats]; a rank that
 * failed takes what comes to it nevertheless. */
static void sum_up(struct group *g, struct verdict *io, float *vector, size_t floats)
{
    struct summing s = {
        .g = g, .floats = floats, .pieces = (floats + PIECE_FLOATS - 1) / PIECE_FLOATS};
    const int parent = g->parts[g->rank].parent;
    MPI_Request said, *sent = xcalloc(s.pieces + 1, sizeof(MPI_Request));

    find_children(&s);
    for (int i = 0; i < s.count; i++)
        take_verdict(&s, &s.children[i], io);
    for (int i = 0; i < s.count; i++)
        for (size_t piece = 0; piece < AHEAD; piece++)
            expect(&s, &s.children[i], piece);
    if (parent != SPREAD_ROOT)
        MPI_Isend(io, (int)sizeof(*io), MPI_BYTE, parent, TAG_VERDICT, g->comm, &said);
    add_pieces(&s, io->rc == 0 ? vector : NULL, parent != SPREAD_ROOT && io->rc == 0, sent);
    if (parent != SPREAD_ROOT)
        rank_wait(&said, NULL, NULL);
    free(sent);
}

/* --- what is measured on samples --- */

/* The head's own entries are in place. */
static void gather(struct group *g, void *entries, size_t bytes)
{
    int *counts = xcalloc((size_t)g->ranks, sizeof(*counts));
    int *offsets = xcalloc((size_t)g->ranks, sizeof(*offsets));
    MPI_Request request;

    for (int i = 0; i < g->ranks; i++) { /* a result fits a message, so these fit an int */
        counts[i] = (int)((size_t)g->counts[i] * bytes);
        offsets[i] = (int)((size_t)g->offsets[i] * bytes);
    }
    if (g->rank == HEAD)
        MPI_Igatherv(MPI_IN_PLACE, 0, MPI_BYTE, entries, counts, offsets, MPI_BYTE, HEAD, g->comm,
                     &request);
    else
        MPI_Igatherv(entries, counts[g->rank], MPI_BYTE, NULL, NULL, NULL, MPI_BYTE, HEAD, g->comm,
                     &request);
    rank_wait(&request, NULL, NULL);
    free(counts);
    free(offsets);
}

/* Is everything well at the head? All ranks hear it. */
static bool all_is_well(struct group *g, const struct verdict *v)
{
    int32_t rc = v->rc;
    MPI_Request request;

    MPI_Ibcast(&rc, 1, MPI_INT32_T, HEAD, g->comm, &request);
    rank_wait(&request, NULL, NULL);
    return rc == 0;
}

void run_finish(struct group *g, const struct run_command *run, const struct runner *r,
                struct verdict *io, struct yield *own)
{
    const size_t classes = runner_model(r)->classes;
    const bool sums = run->train || run->flat;
    const size_t floats = sums && run->flat != PHASE_LOSS ? runner_model(r)->floats : 0;

    if (sums && io->rc == 0 && own->sums)
        memcpy(io->sums, own->sums, sizeof(io->sums));
    /* The sum is the runner's, until the next run. */
    if (g->parts[g->rank].count > 0 || !sums)
        sum_up(g, io, (float *)own->grad, floats);
    if (sums) {
        memcpy(g->sums, io->sums, sizeof(g->sums));
        own->sums = g->sums;
    }
    if (!(run->scores || run->probabilities || run->pictures) || !all_is_well(g, io))
        return;
    if (run->scores)
        gather(g, own->scores, sizeof(*own->scores));
    if (run->probabilities)
        gather(g, own->probabilities, classes * sizeof(*own->probabilities));
    if (run->pictures)
        gather(g, own->logits, classes * sizeof(*own->logits));
    if (run->twins)
        gather(g, own->twins, sizeof(*own->twins));
}
