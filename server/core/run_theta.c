/* Theta and the vector beside it, of which every update swaps the meaning. Long ones lie in memory
 * that workers on this machine map as well: they read theta where it is, and it is never sent. A
 * worker that is late reads what the round after the next writes there; its result is of a round
 * that is closed, and nobody looks at it. */
#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "server/core/run_internal.h"

#define PLACE_ALIGN ((size_t)4096)

size_t run_place_bytes(const struct run *r)
{
    return (r->model->floats * sizeof(float) + PLACE_ALIGN - 1) / PLACE_ALIGN * PLACE_ALIGN;
}

int run_theta_create(struct run *r)
{
    const size_t place = run_place_bytes(r);

    if (r->model->floats >= SHARED_FLOATS_MIN && shared_make(2 * place, false, &r->shared) == 0) {
        r->theta = r->shared.base;
        r->next = (float *)(void *)((char *)r->shared.base + place);
        return 0;
    }
    r->theta = alloc_bytes(r->model->floats, sizeof(float));
    r->next = alloc_bytes(r->model->floats, sizeof(float));
    return r->theta && r->next ? 0 : -ENOMEM;
}

void run_theta_free(struct run *r)
{
    if (!r->shared.base) {
        free(r->theta);
        free(r->next);
    }
    shared_done(&r->shared);
}

const struct shared *run_shared(const struct run *r)
{
    return r->shared.base ? &r->shared : NULL;
}

unsigned run_round_place(const struct run *r)
{
    return run_round_theta(r) != r->shared.base;
}
