/* The reduction tree over a step's shards, and the sum along it.
 *
 * A node is [lo, hi): it splits at lo + the largest power of two below hi - lo. The sum of a node
 * is (sum of its left child) + (sum of its right child), entry by entry; a leaf is a shard's own
 * result. So the bits of the sum depend on the tree only, never on who summed what or when. A
 * worker sums inside its node, the server sums above. Pure. */
#ifndef STEPPE_COMMON_REDUCE_H
#define STEPPE_COMMON_REDUCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node {
    uint32_t lo, hi; /* shards [lo, hi), lo < hi */
};

/* Where the node splits; hi - lo >= 2. */
uint32_t node_split(struct node n);
/* Is n a vertex of the tree over `shards` shards? */
bool node_valid(struct node n, uint32_t shards);
/* The parent of n in the tree over `shards` shards; n must be valid and not the root. */
struct node node_parent(struct node n, uint32_t shards);
static inline uint32_t node_size(struct node n)
{
    return n.hi - n.lo;
}
/* left += right: the sum of a parent, of those of its children. Whoever forms one does it by these
 * two: in all of them denormals count as 0, as they do where shards are computed. Both vectors are
 * 64-byte aligned. */
void node_add(float *restrict left, const float *restrict right, size_t floats);
void node_add_doubles(double *restrict left, const double *restrict right, size_t doubles);

/* Sums vectors of `floats` float32 and `doubles` float64 under the subtree `root`. */
struct reduce;
struct halves;

/* root: the subtree that is summed. Buffers are allocated once and reused across resets: no
 * allocation per step once the pattern of arrivals has been seen. NULL when memory is out. */
struct reduce *reduce_create(size_t floats, size_t doubles);
void reduce_free(struct reduce *r); /* NULL is fine */
/* Starts a new sum below root in the tree over `shards` shards; drops the old one. */
void reduce_reset(struct reduce *r, struct node root, uint32_t shards);
/* A buffer of `floats` floats (64-byte aligned) with `doubles` doubles in *ret_doubles, to be
 * filled by the caller and handed back with reduce_add. Contents undefined. NULL when memory is
 * out. */
float *reduce_buffer(struct reduce *r, double **ret_doubles);
/* Adds the result of node n, which lies in buf (from reduce_buffer, ownership passes back); sums
 * upwards as far as siblings have arrived. 0; -EEXIST when n (or an ancestor of it, or part of it)
 * was added before, -EINVAL when n is no vertex below root; then it only takes buf back. */
int reduce_add(struct reduce *r, struct node n, float *buf);
/* From now on sums of long vectors are formed with these. Borrowed; NULL: none. */
void reduce_halves(struct reduce *r, struct halves *h);
/* reduce_add step by step, for threads that have r under a lock and form sums without it. meet
 * takes the result of n: 1: its sibling is there, and both are *ret's, to be summed without the
 * lock; then reduce_drop takes ret->right, and ret->left is the result of ret->node. 0: it waits
 * for its sibling, or is the sum of root. Else as reduce_add. */
struct reduce_pair {
    struct node node; /* of which they are the children */
    float *left, *right;
};
int reduce_meet(struct reduce *r, struct node n, float *buf, struct reduce_pair *ret);
void reduce_sum(const struct reduce *r, struct reduce_pair *p); /* left += right */
/* Gives an unused buffer back. */
void reduce_drop(struct reduce *r, float *buf);
/* The sum of root, or NULL while it is not complete. Valid until the next reset. */
const float *reduce_result(const struct reduce *r, const double **ret_doubles);

#endif
