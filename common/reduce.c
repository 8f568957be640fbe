/* The sum along the tree. What was added is summed upwards at once, so the pending sums are
 * disjoint vertices and each is known by its lower end alone: slots[lo - root.lo] says where the
 * vertex that starts there ends. A sibling takes one look. An ancestor that was already added is
 * found on the way down from the root, a descendant in the slots below n.
 *
 * A sum replaces its left child's buffer (left += right) and the right one's goes back to the pool.
 * Buffers hold the doubles behind the floats, each part padded to whole cache lines. */
#include "common/reduce.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/floats.h"
#include "common/halves.h"

#define LINE_BYTES 64
#define BLOCK_FLOATS (LINE_BYTES / sizeof(float))
#define DEPTH_MAX 33 /* vertices from the root to a leaf of 2^32 shards */

struct slot {
    float *buf;
    uint32_t hi; /* end of the pending vertex that starts here, 0: none does */
};

struct reduce {
    size_t floats, doubles;
    size_t floats_bytes, doubles_bytes; /* with padding */
    struct node root;
    struct slot *slots; /* one a shard of root */
    uint32_t slot_cap;
    float **buffers;       /* every buffer there is */
    float **spare;         /* those that nobody holds */
    struct halves *halves; /* NULL: none */
    uint32_t buffer_count, buffer_cap, spare_count;
};

uint32_t node_split(struct node n)
{
    uint32_t size = n.hi - n.lo;

    assert(n.lo < n.hi && size >= 2);
    return n.lo + (1u << (31 - __builtin_clz(size - 1)));
}

/* The vertices from root down to n into path (path[0] = root), and n's depth; -1 when n is no
 * vertex below root. */
static int path_to(struct node root, struct node n, struct node path[DEPTH_MAX])
{
    struct node at = root;

    if (n.lo >= n.hi || n.lo < root.lo || n.hi > root.hi)
        return -1;
    for (int depth = 0;; depth++) {
        path[depth] = at;
        if (at.lo == n.lo && at.hi == n.hi)
            return depth;
        if (node_size(at) == 1)
            return -1;
        uint32_t mid = node_split(at);
        if (n.hi <= mid)
            at.hi = mid;
        else if (n.lo >= mid)
            at.lo = mid;
        else
            return -1;
    }
}

bool node_valid(struct node n, uint32_t shards)
{
    struct node path[DEPTH_MAX];

    return path_to((struct node){0, shards}, n, path) >= 0;
}

struct node node_parent(struct node n, uint32_t shards)
{
    struct node path[DEPTH_MAX];
    int depth = path_to((struct node){0, shards}, n, path);

    assert(depth > 0);
    return path[depth - 1];
}

static size_t padded(size_t bytes)
{
    return (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
}

struct reduce *reduce_create(size_t floats, size_t doubles)
{
    size_t most = SIZE_MAX / 4 - LINE_BYTES;
    struct reduce *r;

    if (floats > most / sizeof(float) || doubles > most / sizeof(double))
        return NULL;
    r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->floats = floats;
    r->doubles = doubles;
    r->floats_bytes = padded(floats * sizeof(float));
    r->doubles_bytes = padded(doubles * sizeof(double));
    return r;
}

void reduce_free(struct reduce *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->buffer_count; i++)
        free(r->buffers[i]);
    free(r->buffers);
    free(r->spare);
    free(r->slots);
    free(r);
}

void reduce_drop(struct reduce *r, float *buf)
{
    assert(buf && r->spare_count < r->buffer_count);
    r->spare[r->spare_count++] = buf;
}

void reduce_reset(struct reduce *r, struct node root, uint32_t shards)
{
    assert(node_valid(root, shards));
    for (uint32_t i = 0; i < node_size(r->root); i++)
        if (r->slots[i].hi)
            reduce_drop(r, r->slots[i].buf);
    r->root = root;
    if (node_size(root) > r->slot_cap) {
        r->slot_cap = node_size(root);
        r->slots = xrealloc(r->slots, r->slot_cap * sizeof(*r->slots));
    }
    memset(r->slots, 0, node_size(root) * sizeof(*r->slots));
}

static double *doubles_of(const struct reduce *r, float *buf)
{
    return (double *)(void *)((char *)buf + r->floats_bytes);
}

float *reduce_buffer(struct reduce *r, double **ret_doubles)
{
    float *buf;

    if (r->spare_count > 0) {
        buf = r->spare[--r->spare_count];
    } else {
        size_t bytes = r->floats_bytes + r->doubles_bytes;
        buf = alloc_bytes(bytes ? bytes : LINE_BYTES, 1);
        if (!buf)
            return NULL;
        if (r->buffer_count == r->buffer_cap) {
            r->buffer_cap = r->buffer_cap ? 2 * r->buffer_cap : 16;
            r->buffers = xrealloc(r->buffers, r->buffer_cap * sizeof(*r->buffers));
            r->spare = xrealloc(r->spare, r->buffer_cap * sizeof(*r->spare));
        }
        r->buffers[r->buffer_count++] = buf;
    }
    if (ret_doubles)
        *ret_doubles = doubles_of(r, buf);
    return buf;
}

/* The inner loops have a constant count, so that they are vectorised at -O2. */
static void add_blocks(float *restrict left, const float *restrict right, size_t blocks)
{
    left = __builtin_assume_aligned(left, LINE_BYTES);
    right = __builtin_assume_aligned(right, LINE_BYTES);
    for (size_t b = 0; b < blocks; b++)
        for (size_t i = b * BLOCK_FLOATS; i < (b + 1) * BLOCK_FLOATS; i++)
            left[i] += right[i];
}

void node_add(float *restrict left, const float *restrict right, size_t floats)
{
    const unsigned mode = floats_flush();

    add_blocks(left, right, floats / BLOCK_FLOATS);
    for (size_t i = floats / BLOCK_FLOATS * BLOCK_FLOATS; i < floats; i++)
        left[i] += right[i];
    floats_restore(mode);
}

void node_add_doubles(double *restrict left, const double *restrict right, size_t doubles)
{
    const unsigned mode = floats_flush();

    for (size_t i = 0; i < doubles; i++)
        left[i] += right[i];
    floats_restore(mode);
}

static struct slot *slot_of(const struct reduce *r, uint32_t lo)
{
    return &r->slots[lo - r->root.lo];
}

/* Does a pending vertex hold a shard of n = path[depth]? */
static bool overlaps(const struct reduce *r, const struct node *path, int depth)
{
    struct node n = path[depth];

    for (int d = 0; d <= depth; d++)
        if (slot_of(r, path[d].lo)->hi >= n.hi)
            return true;
    for (uint32_t lo = n.lo; lo < n.hi; lo++)
        if (slot_of(r, lo)->hi)
            return true;
    return false;
}

int reduce_meet(struct reduce *r, struct node n, float *buf, struct reduce_pair *ret)
{
    struct node path[DEPTH_MAX];
    int depth = path_to(r->root, n, path), rc = 0;

    if (depth < 0)
        rc = -EINVAL;
    else if (overlaps(r, path, depth))
        rc = -EEXIST;
    if (rc != 0) {
        reduce_drop(r, buf);
        return rc;
    }
    if (depth > 0) {
        struct node parent = path[depth - 1];
        uint32_t mid = node_split(parent);
        bool is_left = n.lo == parent.lo;
        struct slot *sibling = slot_of(r, is_left ? mid : parent.lo);
        if (sibling->hi == (is_left ? parent.hi : mid)) {
            *ret = is_left ? (struct reduce_pair){parent, buf, sibling->buf}
                           : (struct reduce_pair){parent, sibling->buf, buf};
            *sibling = (struct slot){NULL, 0};
            return 1;
        }
    }
    *slot_of(r, n.lo) = (struct slot){buf, n.hi};
    return 0;
}

static void add_part(void *arg, size_t first, size_t end)
{
    const struct reduce_pair *p = arg;

    node_add(p->left + first, p->right + first, end - first);
}

void reduce_sum(const struct reduce *r, struct reduce_pair *p)
{
    halves_run(r->halves, r->floats, add_part, p);
    node_add_doubles(doubles_of(r, p->left), doubles_of(r, p->right), r->doubles);
}

void reduce_halves(struct reduce *r, struct halves *h)
{
    r->halves = h;
}

int reduce_add(struct reduce *r, struct node n, float *buf)
{
    struct reduce_pair p;
    int rc = reduce_meet(r, n, buf, &p);

    while (rc > 0) {
        reduce_sum(r, &p);
        reduce_drop(r, p.right);
        rc = reduce_meet(r, p.node, p.left, &p);
    }
    return rc;
}

const float *reduce_result(const struct reduce *r, const double **ret_doubles)
{
    if (node_size(r->root) == 0 || r->slots[0].hi != r->root.hi)
        return NULL;
    if (ret_doubles)
        *ret_doubles = doubles_of(r, r->slots[0].buf);
    return r->slots[0].buf;
}
