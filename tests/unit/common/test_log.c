#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
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
    ASSERT_HAS("name=a?2026 error b??[2J\n", log_text());
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

TEST(errno_is_kept)
{
    log_to_file();
    errno = ENOSPC;
    log_info("some.event", "%s", "");
    ASSERT_EQ(ENOSPC, errno);
    ASSERT_HAS("some.event\n", log_text());
}
