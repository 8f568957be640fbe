#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "tests/harness.h"

/* Sends stderr to a file from here on; log_text reads what came. */
static void log_to_file(void)
{
    int fd = open(test_path("log"), O_RDWR | O_CREAT | O_TRUNC, 0600);

    ASSERT(fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    close(fd);
}

static const char *log_text(void)
{
    static char text[16384];
    ssize_t n = pread(STDERR_FILENO, text, sizeof(text) - 1, 0);

    text[n < 0 ? 0 : n] = '\0';
    return text;
}

TEST(a_line_holds_time_level_event_and_pairs)
{
    int year, month, day, hour, minute, second, ms, end = 0;

    log_to_file();
    log_info("job.state", "job=%d from=%s to=%s", 7, "queued", "running");
    ASSERT_EQ(7, sscanf(log_text(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour,
                        &minute, &second, &ms, &end));
    ASSERT_EQ(24, end);
    ASSERT_STR(" info job.state job=7 from=queued to=running\n", log_text() + end);
}

TEST(control_bytes_do_not_forge_a_line)
{
    log_to_file();
    log_info("job.name", "name=%s", "a\n2026 error b\r\x1b[2J");
    ASSERT_HAS("name=\"a\\n2026 error b??[2J\"\n", log_text());
}

TEST(a_value_does_not_end_its_quotes)
{
    log_to_file();
    log_info("job.fail", "job=%d reason=\"%s\" node=%u", 3, "no \"x\" job=9 \\ end", 7u);
    ASSERT_HAS("job=3 reason=\"no \\\"x\\\" job=9 \\\\ end\" node=7\n", log_text());
}

TEST(a_value_that_needs_quotes_gets_them)
{
    log_to_file();
    log_info("server.start", "state=%s name=%s none=%s token=%s/%s", "/my state", "plain", "",
             "/a b", "c");
    ASSERT_HAS("state=\"/my state\" name=plain none=\"\" token=/a b/c\n", log_text());
    log_info("forged", "name=%s", "w1 job=9");
    ASSERT_HAS("name=\"w1 job=9\"\n", log_text());
}

TEST(direction_marks_and_c1_do_not_reach_the_log)
{
    log_to_file();
    log_info("a.name", "a=%s b=\"%s\"", "x\xe2\x80\xaey",
             "\xc2\x9b"
             "31m \xff \xc3\xa9");
    ASSERT_HAS("a=x?y b=\"?31m ? \xc3\xa9\"\n", log_text());
}

TEST(every_kind_of_number_is_as_printf_has_it)
{
    char want[256];

#define NUMBERS                                                                                    \
    "%d %5d %-4d| %u %lld %llu %ld %zu %" PRId64 " %" PRIu64 " %x %.1f %g %e %.3s %%", -1, 42, 7,  \
        4000000000u, -9000000000000000000LL, 18000000000000000000ULL, -5L, (size_t)-1, INT64_MIN,  \
        UINT64_MAX, 0xdeadbeefu, 2.25, 1e-9, 12345.0, "abcdef"
    snprintf(want, sizeof(want), NUMBERS);
    log_to_file();
    log_info("numbers", NUMBERS);
    ASSERT_HAS(want, log_text());
}

TEST(levels_above_the_chosen_one_are_silent)
{
    log_to_file();
    log_debug("a.debug", "x=1");
    log_set_level(LOG_ERROR);
    log_warn("a.warn", "x=1");
    ASSERT_STR("", log_text());
    log_error("an.error", "x=1");
    ASSERT_HAS(" error an.error x=1\n", log_text());
    ASSERT_STR("debug", log_level_names[LOG_DEBUG]);
    ASSERT(log_level_names[LOG_DEBUG + 1] == NULL);
}

TEST(a_long_line_is_cut_and_ends)
{
    static char text[10000];

    memset(text, 'x', sizeof(text) - 1);
    log_to_file();
    log_info("a.long", "text=%s", text);
    size_t n = strlen(log_text());
    ASSERT_EQ(4095, n);
    ASSERT_EQ('\n', log_text()[n - 1]);
    ASSERT_EQ(n - 1, strcspn(log_text(), "\n"));
}

TEST(a_cut_value_still_ends_its_quotes)
{
    static char text[10000];

    for (size_t i = 0; i + 1 < sizeof(text); i++)
        text[i] = i % 2 ? '"' : 'x';
    log_to_file();
    log_info("a.long", "text=\"%s\" more=%d", text, 1);
    size_t n = strlen(log_text());
    ASSERT(n >= 4093 && n <= 4096);
    ASSERT_STR("x\\\"x\"\n", log_text() + n - 6);
}

TEST(a_log_that_cannot_be_written_stops_nobody)
{
    int full = open("/dev/full", O_WRONLY);

    ASSERT(full >= 0 && dup2(full, STDERR_FILENO) >= 0);
    log_info("lost", "x=1");
    close(STDERR_FILENO);
    log_info("lost", "x=2");
}

TEST(errno_is_kept)
{
    log_to_file();
    errno = ENOSPC;
    log_info("some.event", "%s", "");
    ASSERT_EQ(ENOSPC, errno);
    ASSERT_HAS("some.event\n", log_text());
}
