#include "common/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"

/* fd goes to the file that path names. */
static void put_at(int fd, const char *path)
{
    int opened = open(path, O_RDWR | O_CREAT, 0600);

    ASSERT(opened >= 0 && dup2(opened, fd) == fd);
    close(opened);
}

static void print_much(void)
{
    for (int i = 0; i < 10000; i++)
        printf("line %d\n", i);
}

TEST(what_is_printed_arrives)
{
    struct errbuf why = {""};
    struct output out;
    char text[16] = "";

    put_at(STDOUT_FILENO, test_path("out"));
    output_open(&out);
    print_much();
    ASSERT_OK(output_close(&out, &why), why);
    ASSERT_EQ(98890, lseek(STDOUT_FILENO, 0, SEEK_END));
    ASSERT_EQ(10, pread(STDOUT_FILENO, text, 10, 98880));
    ASSERT_STR("line 9999\n", text);
}

/* Of what fills several buffers, only the first flush meets the full disk: the last one has nothing
 * to do with it. */
TEST(a_full_disk_is_told_however_early_it_was_met)
{
    static const int lines[] = {1, 10000};

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct errbuf why = {""};
        struct output out;
        put_at(STDOUT_FILENO, "/dev/full");
        output_open(&out);
        for (int k = 0; k < lines[i]; k++)
            printf("line %d\n", k);
        ASSERT_EQ(-ENOSPC, output_close(&out, &why));
        ASSERT_STR("the output cannot be written: no space left on the device", why.text);
    }
}

TEST(who_prints_much_may_stop)
{
    struct output out;

    put_at(STDOUT_FILENO, "/dev/full");
    output_open(&out);
    print_much();
    ASSERT(ferror(stdout));
}

TEST(a_reader_that_left_is_no_sentence)
{
    struct errbuf why = {""};
    struct output out;
    int ends[2];

    signal(SIGPIPE, SIG_IGN);
    ASSERT(pipe(ends) == 0 && dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    output_open(&out);
    print_much();
    ASSERT_EQ(-EPIPE, output_close(&out, &why));
    ASSERT_STR("", why.text);
}

TEST(a_closed_stdout_is_told_and_not_given_to_a_file)
{
    struct errbuf why = {""};
    struct output out;

    for (int fd = 0; fd < 2; fd++)
        close(fd);
    output_open(&out);
    int file = open(test_path("f"), O_RDWR | O_CREAT, 0600);
    ASSERT(file > STDERR_FILENO);
    ASSERT_OK(output_close(&out, &why), why); /* nothing was printed */
    printf("x\n");
    ASSERT_EQ(-EBADF, output_close(&out, &why));
    ASSERT_EQ(0, lseek(file, 0, SEEK_END));
}

TEST(a_closed_stderr_is_not_given_to_a_file)
{
    struct output out;

    close(STDERR_FILENO);
    output_open(&out);
    int file = open(test_path("f"), O_RDWR | O_CREAT, 0600);
    ASSERT(file > STDERR_FILENO);
    ASSERT_EQ(1, write(STDERR_FILENO, "x", 1));
    ASSERT_EQ(0, lseek(file, 0, SEEK_END));
}
