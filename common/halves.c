#include "common/halves.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/floats.h"
#include "common/machine.h"

#define PIECE ((size_t)1 << 15) /* entries of a turn */
#define SPINS 4000    /* some 50 us: the last piece ends soon, and waking up would take longer */
#define HELPERS_MAX 7 /* more do not get more out of a memory */

struct halves {
    pthread_t threads[HELPERS_MAX];
    unsigned helpers;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned wanted;        /* under lock: helpers that a run still has room for */
    _Atomic unsigned at_it; /* helpers in a run; written under lock */
    bool stop;              /* under lock: no more comes */
    halves_fn fn;
    void *arg;
    size_t count;
    atomic_size_t next; /* first entry that nobody has taken */
};

static void take_pieces(struct halves *h)
{
    size_t first;

    while ((first = atomic_fetch_add(&h->next, PIECE)) < h->count)
        h->fn(h->arg, first, h->count - first < PIECE ? h->count : first + PIECE);
}

static void *thread_main(void *arg)
{
    struct halves *h = arg;

    pthread_mutex_lock(&h->lock);
    while (!h->stop) {
        if (h->wanted == 0) {
            pthread_cond_wait(&h->changed, &h->lock);
            continue;
        }
        h->wanted--;
        h->at_it++;
        pthread_mutex_unlock(&h->lock);
        take_pieces(h);
        pthread_mutex_lock(&h->lock);
        h->wanted = 0; /* nothing is left to be taken */
        if (--h->at_it == 0)
            pthread_cond_broadcast(&h->changed);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

struct halves *halves_create(void)
{
    struct machine machine;
    struct halves *h;

    machine_here(&machine);
    const unsigned most = machine_processors(&machine) - 1;
    if (most < 1 || !(h = calloc(1, sizeof(*h))))
        return NULL;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    while (h->helpers < HELPERS_MAX && h->helpers < most &&
           pthread_create(&h->threads[h->helpers], NULL, thread_main, h) == 0)
        h->helpers++;
    if (h->helpers > 0)
        return h;
    halves_free(h);
    return NULL;
}

void halves_free(struct halves *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    for (unsigned i = 0; i < h->helpers; i++)
        pthread_join(h->threads[i], NULL);
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static void pause_briefly(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

/* How many to wake: each is to have work that is worth it. */
static unsigned helpers_for(const struct halves *h, size_t count)
{
    const size_t worth = count / HALVES_MIN;

    return worth < h->helpers ? (unsigned)worth : h->helpers;
}

void halves_run(struct halves *h, size_t count, halves_fn fn, void *arg)
{
    if (!h || count < HALVES_MIN) {
        fn(arg, 0, count);
        return;
    }
    pthread_mutex_lock(&h->lock);
    h->fn = fn;
    h->arg = arg;
    h->count = count;
    h->next = 0;
    h->wanted = helpers_for(h, count);
    pthread_mutex_unlock(&h->lock);
    pthread_cond_broadcast(&h->changed);
    take_pieces(h);
    for (int i = 0; i < SPINS && h->at_it > 0; i++)
        pause_briefly();
    pthread_mutex_lock(&h->lock);
    h->wanted = 0; /* who wakes now comes too late */
    while (h->at_it > 0)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

struct copy {
    void *out; /* NULL: nothing is copied */
    const unsigned char *in;
    atomic_bool bad;
};

/* Entries are floats here and below. */
static void copy_part(void *arg, size_t first, size_t end)
{
    struct copy *c = arg;

    memcpy((float *)c->out + first, c->in + first * sizeof(float), (end - first) * sizeof(float));
}

void halves_copy(struct halves *h, void *out, const void *in, size_t bytes)
{
    struct copy c = {.out = out, .in = in};
    const size_t n = bytes / sizeof(float), rest = bytes % sizeof(float);

    halves_run(h, n, copy_part, &c);
    memcpy((unsigned char *)out + bytes - rest, c.in + bytes - rest, rest);
}

static void finite_part(void *arg, size_t first, size_t end)
{
    struct copy *c = arg;

    if (!floats_finite((const float *)c->in + first, end - first))
        atomic_store(&c->bad, true);
}

bool halves_finite(struct halves *h, const float *a, size_t n)
{
    struct copy c = {.in = (const unsigned char *)a};

    halves_run(h, n, finite_part, &c);
    return !atomic_load(&c.bad);
}

static void copy_finite_part(void *arg, size_t first, size_t end)
{
    struct copy *c = arg;

    if (!floats_copy_finite((float *)c->out + first, c->in + first * sizeof(float), end - first))
        atomic_store(&c->bad, true);
}

bool halves_copy_finite(struct halves *h, float *out, const void *in, size_t n)
{
    struct copy c = {.out = out, .in = in};

    halves_run(h, n, copy_finite_part, &c);
    return !atomic_load(&c.bad);
}
