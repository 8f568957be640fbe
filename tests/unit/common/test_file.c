#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness.h"

static int write_text(const char *path, const char *text, struct errbuf *why)
{
    const struct file_part part = {text, strlen(text)};

    return file_write_atomic(path, 0600, &part, 1, why);
}

/* Files of the test's folder that begin with prefix. */
static int count_files(const char *prefix)
{
    DIR *dir = opendir(test_dir());
    int count = 0;

    ASSERT(dir != NULL);
    for (struct dirent *e; (e = readdir(dir));)
        count += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    closedir(dir);
    return count;
}

TEST(what_is_written_is_read)
{
    const struct file_part parts[] = {{"ab\0", 3}, {NULL, 0}, {"cd", 2}};
    struct errbuf why = {""};
    size_t bytes = 0;
    struct stat st;
    char *data = NULL;

    ASSERT_OK(file_write_atomic(test_path("f"), 0640, parts, 3, &why), why);
    ASSERT_OK(file_read(test_path("f"), 5, &data, &bytes, &why), why);
    ASSERT_EQ(5, bytes);
    ASSERT_MEM("ab\0cd", data, 6);
    free(data);
    ASSERT(stat(test_path("f"), &st) == 0);
    ASSERT_EQ(0, st.st_mode & 0137 & 0777);
    ASSERT_EQ(1, count_files("f"));
}

TEST(an_empty_file_is_read)
{
    struct errbuf why = {""};
    size_t bytes = 9;
    char *data = NULL;

    ASSERT_OK(file_write_atomic(test_path("f"), 0600, NULL, 0, &why), why);
    ASSERT_OK(file_read(test_path("f"), 0, &data, &bytes, &why), why);
    ASSERT_EQ(0, bytes);
    ASSERT_STR("", data);
    free(data);
}

TEST(a_file_is_replaced_whole)
{
    struct errbuf why = {""};
    size_t bytes;
    char *data = NULL;

    ASSERT_OK(write_text(test_path("f"), "a long first text", &why), why);
    ASSERT_OK(write_text(test_path("f"), "second", &why), why);
    ASSERT_OK(file_read(test_path("f"), 100, &data, &bytes, &why), why);
    ASSERT_STR("second", data);
    free(data);
    ASSERT_EQ(1, count_files("f"));
}

TEST(more_than_the_limit_is_refused)
{
    struct errbuf why = {""};
    size_t bytes = 9;
    char *data = NULL;

    ASSERT_OK(write_text(test_path("f"), "12345", &why), why);
    ASSERT_EQ(-EFBIG, file_read(test_path("f"), 4, &data, &bytes, &why));
    ASSERT_HAS("/f is 5 bytes, allowed is at most 4", why.text);
    ASSERT(data == NULL && bytes == 9);
}

TEST(what_is_no_regular_file_is_refused)
{
    struct errbuf why = {""};
    size_t bytes;
    char *data = NULL;

    ASSERT_EQ(-ENOENT, file_read(test_path("none"), 10, &data, &bytes, &why));
    ASSERT_HAS("/none: there is no such file", why.text);
    ASSERT_EQ(-EISDIR, file_read(test_dir(), 10, &data, &bytes, &why));
    ASSERT_HAS("is a folder", why.text);
    ASSERT(mkfifo(test_path("pipe"), 0600) == 0);
    ASSERT_EQ(-EINVAL, file_read(test_path("pipe"), 10, &data, &bytes, &why));
    ASSERT_HAS("/pipe is not a file", why.text);
}

TEST(a_write_below_a_file_names_the_path)
{
    struct errbuf why = {""};

    ASSERT_OK(write_text(test_path("f"), "x", &why), why);
    ASSERT_EQ(-ENOTDIR, write_text(test_path("f/g"), "y", &why));
    ASSERT_HAS(test_path("f/g"), why.text);
    ASSERT_HAS("not a folder", why.text);
}

TEST(a_failed_replace_leaves_no_temporary_file)
{
    struct errbuf why = {""};

    ASSERT(mkdir(test_path("folder"), 0700) == 0);
    ASSERT_EQ(-EISDIR, write_text(test_path("folder"), "x", &why));
    ASSERT_HAS("cannot replace", why.text);
    ASSERT_EQ(1, count_files("folder"));
}

TEST(a_write_replaces_no_pipe_and_follows_a_link)
{
    struct errbuf why = {""};
    struct stat st;

    ASSERT(mkfifo(test_path("pipe"), 0600) == 0);
    ASSERT_EQ(-EINVAL, write_text(test_path("pipe"), "x", &why));
    ASSERT_HAS("/pipe: it is not a regular file", why.text);
    ASSERT(stat(test_path("pipe"), &st) == 0 && S_ISFIFO(st.st_mode));
    ASSERT_OK(write_text(test_path("file"), "old", &why), why);
    ASSERT(symlink("file", test_path("link")) == 0);
    ASSERT_OK(write_text(test_path("link"), "longer", &why), why);
    ASSERT(lstat(test_path("link"), &st) == 0 && S_ISLNK(st.st_mode));
    ASSERT(stat(test_path("file"), &st) == 0 && st.st_size == 6);
    ASSERT_EQ(1, count_files("file"));
}

TEST(a_file_in_the_working_folder_is_written)
{
    struct errbuf why = {""};

    ASSERT(chdir(test_dir()) == 0);
    ASSERT_OK(write_text("bare", "x", &why), why);
    ASSERT(access(test_path("bare"), R_OK) == 0);
    ASSERT_OK(file_sync_parent("/top", &why), why);
}

TEST(mkdirs_makes_all_parents_and_is_idempotent)
{
    struct errbuf why = {""};
    struct stat st;

    for (int i = 0; i < 2; i++)
        ASSERT_OK(file_mkdirs(test_path("a/b//c/"), 0700, &why), why);
    ASSERT(stat(test_path("a/b/c"), &st) == 0 && S_ISDIR(st.st_mode));
    ASSERT_OK(file_mkdirs("/", 0700, &why), why);
}

TEST(mkdirs_through_a_file_names_it)
{
    struct errbuf why = {""};

    ASSERT_OK(write_text(test_path("f"), "x", &why), why);
    ASSERT_EQ(-ENOTDIR, file_mkdirs(test_path("f/g/h"), 0700, &why));
    ASSERT_HAS("cannot create the folder", why.text);
    ASSERT_HAS(test_path("f"), why.text);
    ASSERT_EQ(-ENOTDIR, file_mkdirs(test_path("f"), 0700, &why));
}

TEST(a_missing_parent_is_named_by_sync)
{
    struct errbuf why = {""};

    ASSERT_EQ(-ENOENT, file_sync_parent(test_path("none/f"), &why));
    ASSERT_HAS("/none: there is no such", why.text);
}

TEST(pieces_are_written_at_their_offsets)
{
    const char *path = test_path("pieces");
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    char *text;
    size_t bytes;
    struct errbuf why;

    ASSERT_EQ(0, file_write_at(fd, "steppe", 6, 2));
    ASSERT_EQ(0, file_write_at(fd, "of", 2, 0));
    close(fd);
    ASSERT_OK(file_read(path, 100, &text, &bytes, &why), why);
    ASSERT_STR("ofsteppe", text);
    free(text);
    ASSERT_EQ(-EBADF, file_write_at(-1, "x", 1, 0));
}

TEST(a_folder_goes_with_its_files)
{
    struct errbuf why;

    ASSERT_OK(file_mkdirs(test_path("a/b"), 0700, &why), why);
    ASSERT_OK(file_write_atomic(test_path("a/one"), 0600, NULL, 0, &why), why);
    ASSERT_OK(file_write_atomic(test_path("a/b/.two"), 0600, NULL, 0, &why), why);
    ASSERT(file_remove_folder(test_path("a"), &why) < 0); /* there is a folder in it */
    ASSERT_HAS(test_path("a"), why.text);
    ASSERT_OK(file_remove_folder(test_path("a/b"), &why), why);
    ASSERT_OK(file_remove_folder(test_path("a"), &why), why);
    ASSERT(access(test_path("a"), F_OK) < 0);
    ASSERT_OK(file_remove_folder(test_path("a"), &why), why);
    ASSERT_EQ(-ENOTDIR, file_remove_folder("/dev/null", &why));
}

TEST(a_folder_is_asked_for_room)
{
    const struct rlimit none = {1 << 16, RLIM_INFINITY};

    ASSERT_EQ(0, file_probe_room(test_path("."), 1 << 16));
    ASSERT_EQ(-ENOENT, file_probe_room(test_path("none"), 1));
    signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &none));
    ASSERT_EQ(-EFBIG, file_probe_room(test_path("."), (1 << 16) + 1));
    ASSERT_EQ(0, file_probe_room(test_path("."), 1 << 16));
    ASSERT(access(test_path("room.tmp"), F_OK) < 0);
}

TEST(a_draft_takes_the_place_of_a_file_when_it_is_whole)
{
    struct errbuf why = {""};
    struct file_draft d;
    size_t bytes;
    char *data = NULL;

    ASSERT_OK(write_text(test_path("f"), "before", &why), why);
    ASSERT_OK(file_draft_open(test_path("f"), 0600, &d, &why), why);
    fprintf(d.out, "after");
    fflush(d.out);
    ASSERT_OK(file_read(test_path("f"), 99, &data, &bytes, &why), why);
    ASSERT_STR("before", data);
    free(data);
    ASSERT_OK(file_draft_close(&d, 0, &why), why);
    ASSERT_OK(file_read(test_path("f"), 99, &data, &bytes, &why), why);
    ASSERT_STR("after", data);
    free(data);
    ASSERT_EQ(1, count_files("f"));
}

TEST(a_draft_that_failed_leaves_all_as_it_was)
{
    const struct rlimit little = {1 << 16, RLIM_INFINITY};
    struct errbuf why = {""};
    struct file_draft d;
    size_t bytes;
    char *data = NULL;

    ASSERT_OK(write_text(test_path("f"), "before", &why), why);
    ASSERT_OK(file_draft_open(test_path("f"), 0600, &d, &why), why);
    fprintf(d.out, "half");
    ASSERT_EQ(-ECANCELED, file_draft_close(&d, -ECANCELED, &why));
    ASSERT_OK(file_draft_open(test_path("f"), 0600, &d, &why), why);
    signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &little));
    for (int i = 0; i < 20000; i++)
        fprintf(d.out, "line %d\n", i);
    ASSERT(file_draft_close(&d, 0, &why) < 0);
    ASSERT_HAS("cannot write", why.text);
    ASSERT_OK(file_read(test_path("f"), 99, &data, &bytes, &why), why);
    ASSERT_STR("before", data);
    free(data);
    ASSERT_EQ(1, count_files("f"));
    ASSERT_EQ(-EISDIR, file_draft_open(test_dir(), 0600, &d, &why));
    ASSERT_EQ(-ENOENT, file_draft_open(test_path("none/f"), 0600, &d, &why));
}

TEST(a_draft_for_a_device_goes_there)
{
    struct errbuf why = {""};
    struct file_draft d;

    ASSERT_OK(file_draft_open("/dev/null", 0600, &d, &why), why);
    fprintf(d.out, "x");
    ASSERT_OK(file_draft_close(&d, 0, &why), why);
    ASSERT_OK(file_draft_open("/dev/full", 0600, &d, &why), why);
    fprintf(d.out, "x");
    ASSERT_EQ(-ENOSPC, file_draft_close(&d, 0, &why));
    ASSERT_HAS("no space left", why.text);
}

TEST(a_relative_xdg_folder_is_ignored)
{
    setenv("HOME", "/somewhere", 1);
    setenv("XDG_STATE_HOME", "relative", 1);
    char *ignored = file_xdg("XDG_STATE_HOME", ".local/state");
    setenv("XDG_STATE_HOME", "/absolute", 1);
    char *taken = file_xdg("XDG_STATE_HOME", ".local/state");

    ASSERT_STR("/somewhere/.local/state/steppe", ignored);
    ASSERT_STR("/absolute/steppe", taken);
    free(ignored);
    free(taken);
}

TEST(without_a_home_there_is_no_folder)
{
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOME");
    ASSERT(file_xdg("XDG_STATE_HOME", ".local/state") == NULL);
    setenv("HOME", "", 1);
    ASSERT(file_xdg("XDG_STATE_HOME", ".local/state") == NULL);
}
