#include "server/net/budget.h"

#include <stdio.h>
#include <string.h>

double budget_taken(const struct budget *budget, const struct bucket *b, int64_t now_ms)
{
    double taken = b->taken - (double)(now_ms - b->at_ms) / 1000 * budget->per_s;

    return taken > 0 ? taken : 0;
}

int64_t budget_take(const struct budget *budget, struct bucket *b, double cost, int64_t now_ms)
{
    const double most = budget->burst + budget->debt_s * budget->per_s;
    double taken = budget_taken(budget, b, now_ms) + cost;

    taken = taken < most ? taken : most;
    *b = (struct bucket){taken, now_ms};
    return taken > budget->burst ? (int64_t)((taken - budget->burst) / budget->per_s * 1000) + 1
                                 : 0;
}

/* FNV-1a. */
static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261u;

    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash ^ hash >> 16;
}

struct bucket *budgets_of(struct budgets *p, const char *name, int64_t now_ms)
{
    struct named_bucket *set = p->buckets[hash_of(name) % BUDGETS_SETS], *found = set;

    for (int i = 0; i < BUDGETS_WAYS; i++) {
        if (strcmp(set[i].name, name) == 0) {
            found = &set[i];
            break;
        }
        if (set[i].used_ms < found->used_ms)
            found = &set[i];
    }
    if (strcmp(found->name, name) != 0) {
        *found = (struct named_bucket){.bucket = {0, now_ms}};
        snprintf(found->name, sizeof(found->name), "%s", name);
    }
    found->used_ms = now_ms;
    return &found->bucket;
}
