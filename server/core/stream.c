/* The schedule of an epoch as a stream of permutations, of all samples or of each class. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/rng.h"
#include "server/core/curriculum.h"

/* Sorts the places in the schedule by class; the groups are the classes that it has. */
static int group(struct stream *s, const uint16_t *labels, uint32_t classes)
{
    const struct schedule *schedule = s->schedule;
    uint32_t *counts = alloc_bytes((size_t)classes + 1, sizeof(*counts)), at = 0;

    s->places = alloc_bytes(schedule->count, sizeof(*s->places));
    s->groups = alloc_bytes(classes, sizeof(*s->groups));
    s->turn = alloc_bytes(classes, sizeof(*s->turn));
    if (!counts || !s->places || !s->groups || !s->turn) {
        free(counts);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < schedule->count; i++)
        counts[labels[schedule->ids[i]] + 1]++;
    for (uint32_t c = 0; c < classes; c++) {
        if (counts[c + 1])
            s->groups[s->group_count++] = (struct stream_group){at, counts[c + 1], -1};
        at += counts[c + 1];
        counts[c + 1] = at;
    }
    for (uint32_t i = 0; i < schedule->count; i++)
        s->places[counts[labels[schedule->ids[i]]]++] = i;
    free(counts);
    return 0;
}

int stream_init(struct stream *s, const struct schedule *schedule, uint64_t seed, int64_t epoch,
                const uint16_t *labels, uint32_t classes)
{
    assert(schedule->count >= 1);
    *s = (struct stream){
        .schedule = schedule, .seed = seed, .epoch = epoch, .pass = -1, .round = -1};
    s->order = alloc_bytes(schedule->count, sizeof(*s->order));
    int rc = !s->order ? -ENOMEM : labels ? group(s, labels, classes) : 0;
    if (rc < 0)
        stream_done(s);
    return rc;
}

void stream_done(struct stream *s)
{
    free(s->order);
    free(s->places);
    free(s->groups);
    free(s->turn);
    *s = (struct stream){0};
}

/* Holds the permutation of this pass. */
static void turn_to(struct stream *s, int64_t pass)
{
    if (s->pass == pass)
        return;
    struct rng rng = rng_at(s->seed, RNG_PERMUTATION, (uint32_t)s->epoch, (uint32_t)pass);
    for (uint32_t i = 0; i < s->schedule->count; i++)
        s->order[i] = i;
    rng_shuffle(&rng, s->order, s->schedule->count);
    s->pass = pass;
}

/* The same, of a group. The key is its own: there are no more passes of all groups than samples. */
static void turn_group(struct stream *s, uint32_t number, int64_t pass)
{
    struct stream_group *g = &s->groups[number];

    if (g->pass == pass)
        return;
    struct rng rng = rng_at(s->seed, RNG_CLASS_STREAM, (uint32_t)s->epoch,
                            (uint32_t)pass * s->group_count + number);
    for (uint32_t i = 0; i < g->count; i++)
        s->order[g->first + i] = s->places[g->first + i];
    rng_shuffle(&rng, s->order + g->first, g->count);
    g->pass = pass;
}

/* The order of the groups in this round. */
static void turn_round(struct stream *s, int64_t round)
{
    if (s->round == round)
        return;
    struct rng rng = rng_at(s->seed, RNG_CLASS_ORDER, (uint32_t)s->epoch, (uint32_t)round);
    for (uint32_t i = 0; i < s->group_count; i++)
        s->turn[i] = i;
    rng_shuffle(&rng, s->turn, s->group_count);
    s->round = round;
}

static uint32_t place_at(struct stream *s, uint64_t at)
{
    if (!s->groups) {
        turn_to(s, (int64_t)(at / s->schedule->count));
        return s->order[at % s->schedule->count];
    }
    const int64_t round = (int64_t)(at / s->group_count);
    turn_round(s, round);
    const uint32_t number = s->turn[at % s->group_count];
    const struct stream_group *g = &s->groups[number];
    turn_group(s, number, round / g->count);
    return s->order[g->first + (uint64_t)round % g->count];
}

bool stream_turns(const struct stream *s, uint32_t step, uint32_t batch)
{
    const uint64_t last = (uint64_t)step * batch + batch - 1;

    return !s->groups && (int64_t)(last / s->schedule->count) != s->pass;
}

void stream_batch(struct stream *s, uint32_t step, uint32_t batch, uint32_t *ids, float *weights)
{
    uint64_t at = (uint64_t)step * batch;

    for (uint32_t i = 0; i < batch; i++, at++) {
        const uint32_t index = place_at(s, at);
        ids[i] = s->schedule->ids[index];
        weights[i] = s->schedule->weights[index];
    }
}
