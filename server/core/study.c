#include "server/core/study.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

struct study *study_create(const char *name)
{
    struct study *s = xcalloc(1, sizeof(*s));

    snprintf(s->name, sizeof(s->name), "%s", name);
    s->control = -1;
    return s;
}

/* A copy of count things of `bytes`; NULL when there are none. */
static void *copy_of(const void *from, int count, size_t bytes)
{
    void *to = count > 0 ? xmalloc((size_t)count * bytes) : NULL;

    if (to)
        memcpy(to, from, (size_t)count * bytes);
    return to;
}

struct study *study_copy(const struct study *s)
{
    struct study *c = copy_of(s, 1, sizeof(*s));

    c->arms = copy_of(s->arms, s->arm_count, sizeof(*s->arms));
    c->data = copy_of(s->data, s->data_count, sizeof(*s->data));
    c->jobs = copy_of(s->jobs, s->job_count, sizeof(*s->jobs));
    c->passed = copy_of(s->passed, s->passed ? s->data_count : 0, sizeof(*s->passed));
    c->uuids = copy_of(s->uuids, s->uuid_count, sizeof(*s->uuids));
    for (int i = 0; i < c->job_count; i++)
        c->jobs[i].described = s->jobs[i].described ? xstrdup(s->jobs[i].described) : NULL;
    return c;
}

void study_free(struct study *s)
{
    for (int i = 0; s && i < s->job_count; i++)
        free(s->jobs[i].described);
    if (s) {
        free(s->arms);
        free(s->data);
        free(s->jobs);
        free(s->passed);
        free(s->uuids);
    }
    free(s);
}

void study_begin_halving(struct study *s)
{
    free(s->passed);
    s->passed = xcalloc((size_t)s->data_count + 1, sizeof(*s->passed));
}

static int find_or_add(study_name **names, int *count, const char *name)
{
    for (int i = 0; i < *count; i++)
        if (strcmp((*names)[i], name) == 0)
            return i;
    *names = xrealloc(*names, (size_t)(*count + 1) * sizeof(**names));
    snprintf((*names)[*count], sizeof(**names), "%s", name);
    return (*count)++;
}

int study_arm(struct study *s, const char *name)
{
    return find_or_add(&s->arms, &s->arm_count, name);
}

int study_data(struct study *s, const char *name)
{
    return find_or_add(&s->data, &s->data_count, name);
}

static int order(const struct study_job *j, int arm, int data, uint64_t seed)
{
    if (j->arm != arm)
        return j->arm < arm ? -1 : 1;
    if (j->data != data)
        return j->data < data ? -1 : 1;
    return (j->seed > seed) - (j->seed < seed);
}

/* Where it is, or would be. */
static int place_of(const struct study *s, int arm, int data, uint64_t seed)
{
    int lo = 0, hi = s->job_count;

    while (lo < hi) {
        int middle = (lo + hi) / 2;
        if (order(&s->jobs[middle], arm, data, seed) < 0)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

struct study_job *study_find(const struct study *s, int arm, int data, uint64_t seed)
{
    int at = place_of(s, arm, data, seed);

    return at < s->job_count && order(&s->jobs[at], arm, data, seed) == 0 ? &s->jobs[at] : NULL;
}

struct study_job *study_add(struct study *s, int arm, int data, uint64_t seed,
                            const char *described)
{
    int at = place_of(s, arm, data, seed);

    s->jobs = xrealloc(s->jobs, (size_t)(s->job_count + 1) * sizeof(*s->jobs));
    memmove(&s->jobs[at + 1], &s->jobs[at], (size_t)(s->job_count - at) * sizeof(*s->jobs));
    s->job_count++;
    s->jobs[at] =
        (struct study_job){.arm = arm, .data = data, .seed = seed, .described = xstrdup(described)};
    return &s->jobs[at];
}

static bool runs_before(const struct study_job *a, const struct study_job *b)
{
    if (a->seed != b->seed)
        return a->seed < b->seed;
    return a->data != b->data ? a->data < b->data : a->arm < b->arm;
}

void study_order(const struct study *s, int *ret)
{
    for (int i = 0; i < s->job_count; i++) {
        int at = i;
        for (; at > 0 && runs_before(&s->jobs[i], &s->jobs[ret[at - 1]]); at--)
            ret[at] = ret[at - 1];
        ret[at] = i;
    }
}

void study_add_uuid(struct study *s, const char *uuid)
{
    s->uuids = xrealloc(s->uuids, (size_t)(s->uuid_count + 1) * sizeof(*s->uuids));
    snprintf(s->uuids[s->uuid_count++], UUID_BYTES, "%s", uuid);
}

bool study_has_uuid(const struct study *s, const char *uuid)
{
    for (int i = 0; i < s->uuid_count; i++)
        if (strcmp(s->uuids[i], uuid) == 0)
            return true;
    return false;
}

const struct study_job *study_by_job(const struct study *s, int64_t job)
{
    for (int i = 0; i < s->job_count; i++)
        if (s->jobs[i].job == job)
            return &s->jobs[i];
    return NULL;
}
