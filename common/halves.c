#include "common/halves.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/floats.h"

#define STRIDE 64 /* entries: the halves meet between two lines of the cache */

struct halves {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool work, stop; /* under lock: there is a half to do; no more comes */
    halves_fn fn;
    void *arg;
    size_t first, end;
};

static void *thread_main(void *arg)
{
    struct halves *h = arg;

    pthread_mutex_lock(&h->lock);
    while (!h->stop) {
        if (!h->work) {
            pthread_cond_wait(&h->changed, &h->lock);
            continue;
        }
        pthread_mutex_unlock(&h->lock);
        h->fn(h->arg, h->first, h->end);
        pthread_mutex_lock(&h->lock);
        h->work = false;
        pthread_cond_broadcast(&h->changed);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

struct halves *halves_create(void)
{
    struct halves *h;

    if (sysconf(_SC_NPROCESSORS_ONLN) < 2 || !(h = calloc(1, sizeof(*h))))
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

void halves_run(struct halves *h, size_t count, halves_fn fn, void *arg)
{
    if (!h || count < HALVES_MIN) {
        fn(arg, 0, count);
        return;
    }
    const size_t middle = count / 2 / STRIDE * STRIDE;
    pthread_mutex_lock(&h->lock);
    h->fn = fn;
    h->arg = arg;
    h->first = middle;
    h->end = count;
    h->work = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    fn(arg, 0, middle);
    pthread_mutex_lock(&h->lock);
    while (h->work)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

struct copy {
    float *out;
    const unsigned char *in;
    atomic_bool bad;
};

static void copy_part(void *arg, size_t first, size_t end)
{
    struct copy *c = arg;

    if (!floats_copy_finite(c->out + first, c->in + first * sizeof(float), end - first))
        atomic_store(&c->bad, true);
}

bool halves_copy_finite(struct halves *h, float *out, const void *in, size_t n)
{
    struct copy c = {.out = out, .in = in};

    halves_run(h, n, copy_part, &c);
    return !atomic_load(&c.bad);
}
