#include "server/core/score_hash.h"

#include <endian.h>
#include <math.h>
#include <string.h>

#include "common/text.h"

static uint8_t *put_u32(uint8_t *at, uint32_t v)
{
    v = htole32(v);
    memcpy(at, &v, sizeof(v));
    return at + sizeof(v);
}

/* SQLite stores -0.0 as 0.0; the hash is that of the rows. What a row lacks is the NaN of one form.
 */
static uint8_t *put_f64(uint8_t *at, double v)
{
    uint64_t bits;

    v = isnan(v) ? NAN : v + 0.0;
    memcpy(&bits, &v, sizeof(bits));
    bits = htole64(bits);
    memcpy(at, &bits, sizeof(bits));
    return at + sizeof(bits);
}

void score_hash_init(struct score_hash *h)
{
    sha256_init(&h->hash);
    h->at = h->rows;
}

void score_hash_add(struct score_hash *h, uint32_t sample, const struct score *x, double adm)
{
    uint8_t *at = h->at;

    at = put_u32(at, sample);
    at = put_f64(at, x->loss);
    at = put_f64(at, x->adv_loss);
    at = put_f64(at, adm);
    at = put_f64(at, x->grad_norm);
    at = put_f64(at, x->el2n);
    at = put_u32(at, (uint32_t)x->predicted);
    at = put_u32(at, x->flags);
    h->at = at;
    if (at == h->rows + sizeof(h->rows)) {
        sha256_add(&h->hash, h->rows, sizeof(h->rows));
        h->at = h->rows;
    }
}

void score_hash_end(struct score_hash *h, char ret[SHA256_HEX])
{
    uint8_t digest[SHA256_BYTES];

    sha256_add(&h->hash, h->rows, (size_t)(h->at - h->rows));
    sha256_end(&h->hash, digest);
    text_hex(digest, sizeof(digest), ret);
}
