/* Workers that combine the sums of their nodes before one of them reports.
 *
 * The nodes of a round are vertices of the reduction tree, so the sum of two siblings is that of
 * their parent, to the same bits, whoever adds them. A worker that has the sum of a vertex asks
 * what to do with it: the holder of a left child takes the sum of its sibling from whoever has that
 * vertex's first node, the holder of a right child gives its own to whoever has the first node of
 * its sibling, and the holder of the root reports. So one vector reaches the server where there
 * would be one a worker, and each worker gives at most one.
 *
 * A vertex is combined only where every node below it was leased once, to workers of one group, who
 * reach each other; what was leased again goes its own way (parts), plainly, and so does what meets
 * it. Nobody waits in a circle: who takes waits for nodes on its right, which are being computed or
 * combined below its sibling. Knows neither leases nor time: its caller parts what is not leased
 * any more. Pure. */
#ifndef STEPPE_SERVER_CORE_TREE_H
#define STEPPE_SERVER_CORE_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/reduce.h"

/* With fewer workers it saves the server nothing that is worth the way through another worker. */
#define TREE_WORKERS_MIN 3

struct tree; /* opaque */

enum tree_turn {
    TREE_SEND, /* report it to the server */
    TREE_TAKE, /* the sum of a vertex comes from another worker */
    TREE_GIVE, /* another worker takes it */
    TREE_DROP  /* nobody waits for it: it was given, or is no vertex of its worker */
};
struct tree_answer {
    enum tree_turn turn;
    struct node node; /* TAKE: what comes; GIVE: what goes */
    uint32_t worker;  /* from whom, to whom */
};

struct tree *tree_create(void);
void tree_free(struct tree *t); /* NULL is fine */
/* Forgets the round before. */
void tree_open(struct tree *t, uint32_t shards);

/* The node is leased to a worker of this group; 0: others do not reach it. The second time it
 * parts. Nodes that are new come in rising order. */
void tree_lease(struct tree *t, struct node n, uint32_t worker, uint32_t group);
/* It goes its own way from now on. */
void tree_part(struct tree *t, struct node n);

/* The worker has the sum of [own.lo, end), which begins with its own node. alone: it could not
 * reach the one that it was told, so it goes its own way. */
struct tree_answer tree_ask(struct tree *t, uint32_t worker, struct node own, uint32_t end,
                            bool alone);
/* It gave its sum to that worker. False: it was not told to, or has said so before. */
bool tree_give(struct tree *t, uint32_t worker, struct node own, uint32_t to);
/* Has the worker the sum of this vertex, of several nodes, in its hands? */
bool tree_holds(const struct tree *t, uint32_t worker, struct node vertex);
/* The worker from which this one, that leased its first node in this round, has theta: each worker
 * gives it to two. 0: from the server. */
uint32_t tree_source(const struct tree *t, uint32_t worker);

uint32_t tree_count(const struct tree *t);                   /* nodes that were leased */
struct node tree_node(const struct tree *t, uint32_t index); /* in rising order */
/* The nodes below a vertex: how many, *ret_first is the index of the first. 0: they do not fill it.
 */
uint32_t tree_below(const struct tree *t, struct node vertex, uint32_t *ret_first);

#endif
