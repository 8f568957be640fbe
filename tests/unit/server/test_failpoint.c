#include "server/store/failpoint.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

/* How many hits of `name` a process survives under this STEPPE_FAILPOINT; -1: all ten. */
static int survived_hits(const char *value, const char *name)
{
    int hits[2], status, count = 0;
    char byte;

    ASSERT_EQ(0, pipe(hits));
    pid_t pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0) {
        struct failpoint f;
        value ? setenv("STEPPE_FAILPOINT", value, 1) : unsetenv("STEPPE_FAILPOINT");
        failpoint_init(&f);
        for (int i = 0; i < 10; i++) {
            failpoint_hit(&f, name);
            if (write(hits[1], "x", 1) != 1)
                _exit(2);
        }
        _exit(0);
    }
    close(hits[1]);
    while (read(hits[0], &byte, 1) == 1)
        count++;
    close(hits[0]);
    ASSERT_EQ(pid, waitpid(pid, &status, 0));
    if (WIFSIGNALED(status)) {
        ASSERT_EQ(SIGKILL, WTERMSIG(status));
        return count;
    }
    ASSERT_EQ(10, count);
    return -1;
}

TEST(a_failpoint_kills_at_its_hit)
{
    ASSERT_EQ(0, survived_hits("fold", "fold"));
    ASSERT_EQ(0, survived_hits("fold:1", "fold"));
    ASSERT_EQ(2, survived_hits("fold:3", "fold"));
}

TEST(other_names_and_no_name_do_nothing)
{
    ASSERT_EQ(-1, survived_hits(NULL, "fold"));
    ASSERT_EQ(-1, survived_hits("", "fold"));
    ASSERT_EQ(-1, survived_hits("fold", "checkpoint"));
    ASSERT_EQ(-1, survived_hits("fold", "fol"));
    ASSERT_EQ(-1, survived_hits("fold", ""));
    ASSERT_EQ(-1, survived_hits("fold:11", "fold"));
}

TEST(a_count_that_is_none_turns_it_off)
{
    ASSERT_EQ(-1, survived_hits("fold:0", "fold"));
    ASSERT_EQ(-1, survived_hits("fold:x", "fold"));
    ASSERT_EQ(-1, survived_hits("fold:", "fold"));
    ASSERT_EQ(-1, survived_hits(":1", ""));
}
