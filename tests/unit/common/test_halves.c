#include "common/halves.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "tests/harness.h"

#define LONG (3 * HALVES_MIN + 7)

struct marks {
    unsigned char *seen; /* [count] how often an entry was visited */
    pthread_mutex_t lock;
    int calls;
    size_t longest;
};

static void mark(void *arg, size_t first, size_t end)
{
    struct marks *m = arg;

    for (size_t i = first; i < end; i++)
        m->seen[i]++;
    pthread_mutex_lock(&m->lock);
    m->calls++;
    m->longest = end - first > m->longest ? end - first : m->longest;
    pthread_mutex_unlock(&m->lock);
}

static struct marks run(struct halves *h, size_t count)
{
    struct marks m = {.seen = xcalloc(count + 1, 1), .lock = PTHREAD_MUTEX_INITIALIZER};

    halves_run(h, count, mark, &m);
    for (size_t i = 0; i < count; i++)
        ASSERT_EQ(1, m.seen[i]);
    ASSERT_EQ(0, m.seen[count]);
    free(m.seen);
    return m;
}

TEST(every_entry_is_visited_once_in_short_pieces)
{
    struct halves *h = halves_create();

    if (!h)
        SKIP("one processor");
    for (int i = 0; i < 200; i++) {
        const struct marks m = run(h, LONG);
        ASSERT(m.calls > 2);
        ASSERT(m.longest <= LONG / 4);
    }
    halves_free(h);
}

TEST(a_short_loop_stays_whole)
{
    struct halves *h = halves_create();

    ASSERT_EQ(1, run(h, HALVES_MIN - 1).calls);
    ASSERT_EQ(1, run(h, 0).calls);
    halves_free(h);
}

TEST(without_a_second_thread_all_runs_on_the_callers)
{
    ASSERT_EQ(1, run(NULL, LONG).calls);
    halves_free(NULL);
}

TEST(a_shared_copy_has_every_byte)
{
    struct halves *h = halves_create();
    const size_t bytes = LONG * sizeof(float) + 3;
    unsigned char *in = xmalloc(bytes), *out = xcalloc(bytes + 1, 1);

    for (size_t i = 0; i < bytes; i++)
        in[i] = (unsigned char)(i * 7 + 1);
    for (size_t part = bytes; part > 0; part /= 5) {
        memset(out, 0, bytes + 1);
        halves_copy(h, out, in, part);
        ASSERT_MEM(in, out, part);
        ASSERT_EQ(0, out[part]);
    }
    free(in);
    free(out);
    halves_free(h);
}

TEST(a_shared_pass_finds_what_is_not_finite_anywhere)
{
    struct halves *h = halves_create();
    float *in = xmalloc(LONG * sizeof(*in)), *out = xcalloc(LONG, sizeof(*out));
    const size_t places[] = {0, LONG / 2 - 1, LONG / 2 + 200, LONG - 1};

    for (size_t i = 0; i < LONG; i++)
        in[i] = (float)i;
    ASSERT(halves_copy_finite(h, out, in, LONG));
    ASSERT_MEM(in, out, LONG * sizeof(*in));
    ASSERT(halves_finite(h, in, LONG));
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        in[places[i]] = i % 2 ? NAN : INFINITY;
        ASSERT(!halves_copy_finite(h, out, in, LONG));
        ASSERT(!halves_finite(h, in, LONG));
        in[places[i]] = 1;
    }
    free(in);
    free(out);
    halves_free(h);
}
