#include "common/halves.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/floats.h"
#include "common/machine.h"

#define PIECE ((size_t)1 << 15) /* entries of a turn */
#define SPINS 4000 /* some 50 us: the last piece ends soon, and waking up would take longer */

enum offer { NONE, MADE, TAKEN };

struct halves {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic enum offer offer; /* of a share in a run to the thread; written under lock */
    bool stop;                /* under lock: no more comes */
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
        if (h->offer != MADE) {
            pthread_cond_wait(&h->changed, &h->lock);
            continue;
        }
        h->offer = TAKEN;
        pthread_mutex_unlock(&h->lock);
        take_pieces(h);
        pthread_mutex_lock(&h->lock);
        h->offer = NONE;
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
    if (machine_processors(&machine) < 2 || !(h = calloc(1, sizeof(*h))))
        return NULL;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    if (pthread_create(&h->thread, NULL, thread_main, h) == 0)
        return h;
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
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
    pthread_join(h->thread, NULL);
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
    h->offer = MADE;
    pthread_mutex_unlock(&h->lock);
    pthread_cond_broadcast(&h->changed);
    take_pieces(h);
    for (int i = 0; i < SPINS && h->offer == TAKEN; i++)
        pause_briefly();
    pthread_mutex_lock(&h->lock);
    if (h->offer == MADE) /* it comes too late */
        h->offer = NONE;
    while (h->offer != NONE)
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
