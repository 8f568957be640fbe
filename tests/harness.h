/* The test harness: TEST(name) { ... } registers itself; every test runs in its own process, in its
 * own empty folder, with a time limit; its output is shown only when it fails. A test that returns
 * passes; a failed ASSERT ends it. SKIP("why") ends it as skipped.
 *
 *   TEST(shares_add_up_to_one)
 *   {
 *       ASSERT_EQ(4, share_count());
 *   }
 *
 * A binary takes test names as arguments (none: all) and prints "N passed, N failed, N skipped". */
#ifndef STEPPE_TESTS_HARNESS_H
#define STEPPE_TESTS_HARNESS_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

void test_register(struct test *t);
__attribute__((noreturn, format(printf, 3, 4))) void test_fail(const char *file, int line,
                                                               const char *fmt, ...);
__attribute__((noreturn)) void test_skip(const char *why);
/* To who runs the program, also of a test that passes. */
__attribute__((format(printf, 1, 2))) void test_say(const char *fmt, ...);
/* Folder of this test, empty at its start, removed after it. */
const char *test_dir(void);
/* test_dir()/name in a static buffer (four are kept in turn). */
const char *test_path(const char *name);

#define TEST(id)                                                                                   \
    static void test_##id(void);                                                                   \
    static struct test test_entry_##id = {#id, test_##id, NULL};                                   \
    __attribute__((constructor)) static void test_add_##id(void)                                   \
    {                                                                                              \
        test_register(&test_entry_##id);                                                           \
    }                                                                                              \
    static void test_##id(void)

#define SKIP(why) test_skip(why)
#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define ASSERT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond))                                                                               \
            FAIL("not true: %s", #cond);                                                           \
    } while (0)
/* Integers of any width. */
#define ASSERT_EQ(want, got)                                                                       \
    do {                                                                                           \
        long long w_ = (long long)(want), g_ = (long long)(got);                                   \
        if (w_ != g_)                                                                              \
            FAIL("%s is %lld, wanted %s = %lld", #got, g_, #want, w_);                             \
    } while (0)
#define ASSERT_STR(want, got)                                                                      \
    do {                                                                                           \
        const char *w_ = (want), *g_ = (got);                                                      \
        if (!g_ || strcmp(w_, g_) != 0)                                                            \
            FAIL("%s is \"%s\", wanted \"%s\"", #got, g_ ? g_ : "(null)", w_);                     \
    } while (0)
/* got contains part. */
#define ASSERT_HAS(part, got)                                                                      \
    do {                                                                                           \
        const char *w_ = (part), *g_ = (got);                                                      \
        if (!g_ || !strstr(g_, w_))                                                                \
            FAIL("%s is \"%s\", which lacks \"%s\"", #got, g_ ? g_ : "(null)", w_);                \
    } while (0)
#define ASSERT_MEM(want, got, n)                                                                   \
    do {                                                                                           \
        if (memcmp((want), (got), (n)) != 0)                                                       \
            FAIL("%s differs from %s", #got, #want);                                               \
    } while (0)
#define ASSERT_NEAR(want, got, tol)                                                                \
    do {                                                                                           \
        double w_ = (want), g_ = (got), t_ = (tol);                                                \
        if (!(fabs(w_ - g_) <= t_))                                                                \
            FAIL("%s is %.17g, wanted %s = %.17g within %g", #got, g_, #want, w_, t_);             \
    } while (0)
/* A call that returns 0 and otherwise fills why (struct errbuf). */
#define ASSERT_OK(call, why)                                                                       \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_ != 0)                                                                              \
            FAIL("%s returned %d: %s", #call, rc_, (why).text);                                    \
    } while (0)

#endif
