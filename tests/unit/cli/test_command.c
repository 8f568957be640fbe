#include "proto/cli/command.h"

#include "tests/harness.h"

TEST(a_job_is_a_positive_number)
{
    static char *const good[] = {"1", "9007199254740992"};
    static char *const bad[] = {"0", "-1", "a b", "9007199254740993", ""}; /* no names either */
    struct cli cli = {.word_count = 1};
    struct errbuf why;
    int64_t job;

    for (size_t i = 0; i < 2; i++) {
        cli.words = (char **)&good[i];
        ASSERT_OK(command_job(&cli, &job, &why), why);
    }
    for (size_t i = 0; i < 5; i++) {
        cli.words = (char **)&bad[i];
        ASSERT_EQ(EXIT_USAGE, command_job(&cli, &job, &why));
        ASSERT_HAS(bad[i], why.text);
    }
}
