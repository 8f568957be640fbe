#include "proto/cli/when.h"

#include <stdlib.h>
#include <time.h>

#include "proto/cli/command.h"
#include "tests/harness.h"

TEST(spans_have_a_number_and_a_unit)
{
    int64_t ms;
    struct errbuf why;

    ASSERT_OK(when_span("45s", "--valid", &ms, &why), why);
    ASSERT_EQ(45000, ms);
    ASSERT_OK(when_span("30m", "--valid", &ms, &why), why);
    ASSERT_EQ(30 * 60000, ms);
    ASSERT_OK(when_span("12h", "--valid", &ms, &why), why);
    ASSERT_EQ(12 * 3600000, ms);
    ASSERT_OK(when_span("90d", "--valid", &ms, &why), why);
    ASSERT_EQ(90 * INT64_C(86400000), ms);
    for (const char *const *bad =
             (const char *const[]){"", "d", "5", "5w", "-1d", "1.5h", "1000001s", "5 d", NULL};
         *bad; bad++) {
        ASSERT_EQ(EXIT_USAGE, when_span(*bad, "--valid", &ms, &why));
        ASSERT_HAS("--valid is", why.text);
    }
}

TEST(times_are_of_this_clock_or_ago)
{
    int64_t ms;
    struct errbuf why;
    char text[WHEN_BYTES];

    setenv("TZ", "UTC", 1);
    tzset();
    ASSERT_OK(when_time("2h", "--since", 10000000, &ms, &why), why);
    ASSERT_EQ(10000000 - 7200000, ms);
    ASSERT_OK(when_time("2h", "--since", 5, &ms, &why), why);
    ASSERT_EQ(0, ms);
    ASSERT_OK(when_time("2026-11-30", "--since", 5, &ms, &why), why);
    ASSERT_EQ(INT64_C(1795996800000), ms);
    ASSERT_OK(when_time("2026-11-30 14:05", "--since", 5, &ms, &why), why);
    ASSERT_EQ(INT64_C(1795996800000) + (14 * 60 + 5) * 60000, ms);
    ASSERT_STR("2026-11-30 14:05:00", when_text(ms, text));
    ASSERT_OK(when_time("2026-11-30T14:05:07", "--since", 5, &ms, &why), why);
    ASSERT_STR("2026-11-30 14:05:07", when_text(ms, text));
    for (const char *const *bad = (const char *const[]){"", "now", "2026", "2026-13-01",
                                                        "2026-11-30 25:00", "2026-11-30x", NULL};
         *bad; bad++) {
        ASSERT_EQ(EXIT_USAGE, when_time(*bad, "--since", 5, &ms, &why));
        ASSERT_HAS("--since is", why.text);
    }
}
