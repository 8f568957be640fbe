/* scores_sha256: the hash of an epoch's scores, see definition.scores_sha256 in table meta. */
#ifndef STEPPE_SERVER_CORE_SCORE_HASH_H
#define STEPPE_SERVER_CORE_SCORE_HASH_H

#include "common/hash.h"
#include "common/score.h"

#define SCORE_HASH_ROW_BYTES 52
#define SCORE_HASH_ROWS 64

struct score_hash {
    struct sha256 hash;
    uint8_t rows[SCORE_HASH_ROWS * SCORE_HASH_ROW_BYTES], *at;
};

void score_hash_init(struct score_hash *h);
/* Rows come in sample order. */
void score_hash_add(struct score_hash *h, uint32_t sample, const struct score *x, double adm);
void score_hash_end(struct score_hash *h, char ret[SHA256_HEX]);

#endif
