/* Each item belongs to a round: that behind the last one of its asker, or, for an asker who has
 * nothing here, the round of whoever got a place last. The lowest round is next. So nothing has to
 * be known of askers who are gone, and nobody saves turns by not asking. */
#include "server/core/turns.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

struct entry {
    char asker[TURNS_ASKER_BYTES];
    uint64_t round;
    void *item;
};

/* In order of arrival. */
struct list {
    struct entry *at;
    int count;
};

struct turns {
    struct turns_limits limits;
    struct list waiting, placed;
    uint64_t round; /* of the last that got a place */
};

struct turns *turns_create(const struct turns_limits *limits)
{
    struct turns *t = xcalloc(1, sizeof(*t));

    t->limits = *limits;
    t->waiting.at = xcalloc((size_t)limits->waiting, sizeof(*t->waiting.at));
    t->placed.at = xcalloc((size_t)limits->at_once, sizeof(*t->placed.at));
    return t;
}

void turns_free(struct turns *t)
{
    if (!t)
        return;
    free(t->waiting.at);
    free(t->placed.at);
    free(t);
}

/* How many of an asker there are; *io_round: the largest of their rounds and what it was. */
static int count_of(const struct list *l, const char *asker, uint64_t *io_round)
{
    int count = 0;

    for (int i = 0; i < l->count; i++) {
        if (strcmp(l->at[i].asker, asker) != 0)
            continue;
        count++;
        if (io_round && l->at[i].round > *io_round)
            *io_round = l->at[i].round;
    }
    return count;
}

static struct entry take_out(struct list *l, int index)
{
    const struct entry out = l->at[index];

    l->count--;
    memmove(l->at + index, l->at + index + 1, (size_t)(l->count - index) * sizeof(*l->at));
    return out;
}

int turns_add(struct turns *t, const char *asker, void *item)
{
    uint64_t last = 0;
    int waiting = count_of(&t->waiting, asker, &last);
    int placed = count_of(&t->placed, asker, &last);

    if (waiting >= t->limits.waiting_each)
        return -EDQUOT;
    if (t->waiting.count >= t->limits.waiting)
        return -ENOBUFS;
    struct entry *e = &t->waiting.at[t->waiting.count++];
    *e = (struct entry){.item = item, .round = waiting + placed > 0 ? last + 1 : t->round};
    strncpy(e->asker, asker, sizeof(e->asker) - 1);
    return 0;
}

void *turns_next(struct turns *t)
{
    int best = -1;

    if (t->placed.count >= t->limits.at_once)
        return NULL;
    for (int i = 0; i < t->waiting.count; i++) {
        const struct entry *e = &t->waiting.at[i];
        if (count_of(&t->placed, e->asker, NULL) < t->limits.at_once_each &&
            (best < 0 || e->round < t->waiting.at[best].round))
            best = i;
    }
    if (best < 0)
        return NULL;
    struct entry *e = &t->placed.at[t->placed.count++];
    *e = take_out(&t->waiting, best);
    if (e->round > t->round)
        t->round = e->round;
    return e->item;
}

void turns_done(struct turns *t, const void *item)
{
    for (int i = 0; i < t->placed.count; i++)
        if (t->placed.at[i].item == item) {
            take_out(&t->placed, i);
            return;
        }
}

void *turns_drop(struct turns *t)
{
    return t->waiting.count > 0 ? take_out(&t->waiting, 0).item : NULL;
}

int turns_waiting(const struct turns *t)
{
    return t->waiting.count;
}
