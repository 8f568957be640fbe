#include "common/clock.h"

#include <time.h>

static struct timespec now(clockid_t id)
{
    struct timespec ts = {0};

    clock_gettime(id, &ts); /* cannot fail for these clocks */
    return ts;
}

static int64_t in_ms(struct timespec ts)
{
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_mono_ms(void)
{
    return in_ms(now(CLOCK_MONOTONIC));
}

double clock_mono_s(void)
{
    struct timespec ts = now(CLOCK_MONOTONIC);

    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

double clock_thread_s(void)
{
    struct timespec ts = now(CLOCK_THREAD_CPUTIME_ID);

    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

int64_t clock_unix_ms(void)
{
    return in_ms(now(CLOCK_REALTIME));
}
