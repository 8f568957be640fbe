#include "tests/inject/sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/rng.h"

struct call {
    uint64_t number, n;
};

static int by_number(const void *a, const void *b)
{
    const struct call *x = a, *y = b;

    return x->number != y->number ? (x->number > y->number) - (x->number < y->number)
                                  : (x->n > y->n) - (x->n < y->n);
}

/* Marks the first and the last of each number but FAULT_OWN; returns how many numbers there are. */
static uint64_t mark_ends(struct call *calls, uint64_t count, bool *worth)
{
    uint64_t numbers = 0;

    qsort(calls, count, sizeof(*calls), by_number);
    for (uint64_t i = 0; i < count; i++) {
        const struct call *c = &calls[i];
        bool first = i == 0 || c[-1].number != c->number,
             last = i + 1 == count || c[1].number != c->number;
        worth[c->n] |= c->number != FAULT_OWN && (first || last);
        numbers += c->number != FAULT_OWN && first;
    }
    return numbers;
}

/* Marks those that are worth a try. */
static void mark(struct sweep_plan *p, const struct fault_record *seen, bool every, bool *worth)
{
    struct call *calls = xcalloc(p->calls + 1, sizeof(*calls));

    for (uint64_t i = 0; i < p->calls; i++) {
        bool own = seen->places[i].way == FAULT_OWN;
        p->own += own;
        worth[i + 1] = own || every;
        calls[i] = (struct call){seen->places[i].way, i + 1};
    }
    p->ways = mark_ends(calls, p->calls, worth);
    for (uint64_t i = 0; i < p->calls; i++)
        calls[i] = (struct call){seen->places[i].context, i + 1};
    p->contexts = mark_ends(calls, p->calls, worth);
    for (uint64_t n = 1; n <= p->calls; n++)
        p->worth += worth[n];
    free(calls);
}

void sweep_plan(struct sweep_plan *p, const struct fault_record *seen, uint64_t runs)
{
    const char *wanted = getenv("INJECT");
    const bool every = wanted && strcmp(wanted, "every") == 0;
    struct rng rng = rng_at(seen->calls, RNG_TEST, 0, 0);
    bool *worth = xcalloc(seen->calls + 1, sizeof(*worth));

    *p = (struct sweep_plan){.calls = seen->calls,
                             .numbers = xcalloc(seen->calls + 1, sizeof(*p->numbers))};
    mark(p, seen, every, worth);
#ifdef __SANITIZE_ADDRESS__
    runs /= 4; /* each ends with a look for leaks, which takes longer than the run */
#endif
    if (wanted && wanted[0])
        runs = every || strcmp(wanted, "all") == 0 ? p->worth : strtoull(wanted, NULL, 10);
    const uint64_t first = runs < p->worth ? runs / 2 : p->worth;
    uint64_t left = runs - first, rest = p->worth;

    for (uint64_t n = 1; n <= p->calls; n++) {
        if (!worth[n])
            continue;
        bool is_first = p->worth - rest < first;
        if (is_first || rng_below(&rng, rest) < left) {
            left -= !is_first;
            p->numbers[p->count++] = n;
        }
        rest--;
    }
    p->numbers[p->count++] = p->calls + 1;
    free(worth);
}

void sweep_plan_done(struct sweep_plan *p)
{
    free(p->numbers);
}

const char *sweep_say(const struct sweep_plan *p, uint64_t tried, char text[SWEEP_TEXT_BYTES])
{
    const uint64_t of_sqlite = p->calls - p->own;
    int bytes =
        snprintf(text, SWEEP_TEXT_BYTES, "%" PRIu64 " of %" PRIu64 " calls", tried, p->calls);

    if (of_sqlite > 0)
        snprintf(text + bytes, SWEEP_TEXT_BYTES - (size_t)bytes,
                 " (%" PRIu64 " of our own; %" PRIu64 " of SQLite's, by %" PRIu64
                 " ways from %" PRIu64 " contexts)",
                 p->own, of_sqlite, p->ways, p->contexts);
    return text;
}
