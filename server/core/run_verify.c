/* Results that are computed twice: which nodes are drawn, and what two results are compared by. */
#include <string.h>

#include "server/core/run_internal.h"

void run_verify(struct run *r, const struct run_verifying *v)
{
    r->verifying = *v;
    if (!r->checks)
        r->checks = checks_create();
}

void run_lend(struct run *r, uint32_t worker, struct node n, int64_t now_ms, int64_t ttl_ms)
{
    const struct check_key key = {r->job, r->cursor.step, r->phase, run_turn(r), n};

    if (r->checks && check_drawn(r->verifying.secret, &key, r->spec->verify))
        checks_lend(r->checks, n, worker, r->verifying.hand_of(r->verifying.arg, worker), now_ms,
                    ttl_ms);
}

bool run_wants_voice(const struct run *r, uint32_t worker, struct node n)
{
    return r->checks && checks_wants(r->checks, worker, n);
}

/* One hash behind the other: *io becomes that of itself and the bytes. */
static void chain(uint8_t io[BLAKE2B_BYTES], const void *data, size_t bytes)
{
    uint8_t both[2 * BLAKE2B_BYTES];

    memcpy(both, io, BLAKE2B_BYTES);
    blake2b_of(data, bytes, both + BLAKE2B_BYTES);
    blake2b_of(both, sizeof(both), io);
}

/* Of everything that counts in a result, bit by bit. */
static void bits_of(const struct run *r, const struct run_result *res, const void *grad,
                    uint32_t samples, uint8_t ret[BLAKE2B_BYTES])
{
    memset(ret, 0, BLAKE2B_BYTES);
    if (phase_sums(res->phase))
        chain(ret, res->sums, SUM_COUNT * sizeof(*res->sums));
    if (phase_vector(res->phase))
        chain(ret, grad, r->model->floats * sizeof(float));
    if (!phase_scores(res->phase, run_train_source(r)))
        return;
    for (uint32_t i = 0; i < samples; i++) {
        const struct score *s = &res->scores[i];
        struct {
            double numbers[4];
            int32_t classes[2];
            uint64_t flags; /* no padding behind it */
        } row = {{s->loss, s->adv_loss, s->grad_norm, s->el2n},
                 {s->predicted, s->adv_predicted},
                 s->flags};

        chain(ret, &row, sizeof(row));
    }
    if (r->spec->score_probabilities && res->phase == PHASE_SWEEP)
        chain(ret, res->probabilities, (size_t)samples * r->model->classes * sizeof(float));
}

void run_hear(struct run *r, const struct run_result *res, const void *grad, uint32_t samples)
{
    const uint32_t hand = r->verifying.hand_of(r->verifying.arg, res->worker);
    uint8_t bits[BLAKE2B_BYTES];
    uint32_t lied[CHECK_VOTES_MAX];

    bits_of(r, res, grad, samples, bits);
    uint32_t count = checks_vote(r->checks, res->node, hand, bits, lied);
    for (uint32_t i = 0; i < count && r->liar_count < CHECK_VOTES_MAX; i++)
        r->liars[r->liar_count++] = lied[i];
}

uint32_t run_liars(struct run *r, uint32_t ret[CHECK_VOTES_MAX])
{
    uint32_t count = r->liar_count;

    memcpy(ret, r->liars, count * sizeof(*ret));
    r->liar_count = 0;
    return count;
}

bool run_contested(const struct run *r, struct node *ret, uint32_t hands[CHECK_VOTES_MAX],
                   uint32_t *ret_count)
{
    return r->checks && checks_contested(r->checks, ret, hands, ret_count);
}

bool run_unchecked(const struct run *r)
{
    return !r->finished && r->checks && !checks_done(r->checks);
}
