#include "server/jobs/keys.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "common/log.h"
#include "server/jobs/service.h"
#include "server/net/gate.h"
#include "server/net/holders.h"
#include "server/net/op.h"

#define SEEN_MS 60000
#define BATCH 256

struct keys {
    struct service *service;
    bool writing;
    int64_t seen_ms; /* when all that changed is due */
};

struct batch {
    struct keys *keys;
    struct holder rows[BATCH];
    size_t count;
};

static void restore(void *arg, const struct holder *h)
{
    holders_restore(arg, h);
}

/* Never more than the table was allowed to have. */
static void revoke(void *arg, const struct revoked *r)
{
    holders_revoke(arg, r->name, r->unix_ms, NULL);
}

int keys_open(struct service *service, struct keys **ret, struct errbuf *why)
{
    int rc =
        store_keys_load(service->store, restore, revoke, gate_holders(service->net->gate), why);

    if (rc < 0)
        return rc;
    *ret = xcalloc(1, sizeof(**ret));
    (*ret)->service = service;
    return 0;
}

void keys_close(struct keys *k)
{
    free(k);
}

static void write_work(struct op *op)
{
    const struct batch *b = op->arg;

    op->rc = store_holders_put(op->service->store, b->rows, b->count, &op->why);
}

/* What is not written now is written when they are seen again. */
static void write_done(struct op *op)
{
    struct batch *b = op->arg;

    b->keys->writing = false;
    if (op->rc < 0)
        log_warn("keys.seen", "error=\"%s\"", op->why.text);
    free(b);
}

void keys_tick(struct keys *k, int64_t now_ms)
{
    bool all = now_ms >= k->seen_ms;

    if (k->writing)
        return;
    struct batch *b = xmalloc(sizeof(*b));
    b->keys = k;
    b->count = holders_take(gate_holders(k->service->net->gate), all, b->rows, BATCH);
    if (all && b->count < BATCH)
        k->seen_ms = now_ms + SEEN_MS;
    if (b->count == 0) {
        free(b);
        return;
    }
    k->writing = true;
    op_run(k->service->net->store_lane,
           (struct op){.service = k->service, .arg = b, .work = write_work, .done = write_done});
}
