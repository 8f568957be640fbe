/* Budgets: how fast whoever asks may go on. Each name (an address before a key is seen, then a key)
 * has a bucket that fills steadily and that its requests empty. Nobody is refused: whoever took
 * more than there was is answered, and rests until the bucket is filled again. Pure; time is passed
 * in. */
#ifndef STEPPE_SERVER_NET_BUDGET_H
#define STEPPE_SERVER_NET_BUDGET_H

#include <stdint.h>

#include "common/bounds.h"

struct budget {
    double per_s, burst; /* what a bucket gets, and the most that it holds */
    double debt_s;       /* longest rest: what is owed beyond is forgiven */
};

struct bucket {
    double taken; /* above burst: there is a debt */
    int64_t at_ms;
};

/* Takes cost; returns for how many ms to rest now. */
int64_t budget_take(const struct budget *budget, struct bucket *b, double cost, int64_t now_ms);
/* How much is taken now, of burst. */
double budget_taken(const struct budget *budget, const struct bucket *b, int64_t now_ms);

/* Buckets by name. Names beyond the room take that of the one that was quiet longest, among a few
 * that their hash chooses. */
#define BUDGETS_WAYS 8
#define BUDGETS_SETS 128
struct budgets {
    struct named_bucket {
        char name[OWNER_BYTES];
        struct bucket bucket;
        int64_t used_ms;
    } buckets[BUDGETS_SETS][BUDGETS_WAYS];
};
/* That of the name; borrowed until the next call. */
struct bucket *budgets_of(struct budgets *p, const char *name, int64_t now_ms);

#endif
