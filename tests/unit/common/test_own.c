#include "common/own.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/harness.h"

#define NOBODY 65534

static void make_file(const char *name)
{
    int fd = open(test_path(name), O_WRONLY | O_CREAT, 0600);

    ASSERT(fd >= 0);
    ASSERT_EQ(3, write(fd, "abc", 3));
    close(fd);
}

static int try_file(const char *name, struct errbuf *why)
{
    struct stat st;
    int dir = own_folder(test_dir(), why);

    ASSERT(dir >= 0);
    int fd = own_file(dir, "F", name, O_RDONLY, &st, why);
    close(dir);
    if (fd < 0)
        return fd;
    ASSERT_EQ(3, st.st_size);
    close(fd);
    return 0;
}

TEST(a_folder_is_made_for_its_owner_alone)
{
    struct errbuf why = {""};
    struct stat st;
    int fd = own_folder(test_path("a/b//"), &why);

    ASSERT(fd >= 0);
    ASSERT_EQ(0, fstat(fd, &st));
    ASSERT_EQ(0700, st.st_mode & 0777);
    close(fd);
    ASSERT(own_folder(test_path("a/b"), &why) >= 0);
}

TEST(a_folder_that_others_may_write_is_refused)
{
    struct errbuf why = {""};

    ASSERT_EQ(0, mkdir(test_path("d"), 0700));
    for (mode_t mode = 0720; mode != 0; mode = mode == 0720 ? 0702 : 0) {
        ASSERT_EQ(0, chmod(test_path("d"), mode));
        ASSERT_EQ(-EPERM, own_folder(test_path("d"), &why));
        ASSERT_HAS("forbid that (chmod go-w) or name another folder", why.text);
        ASSERT_EQ(0, chmod(test_path("d"), mode | S_ISVTX));
        ASSERT(own_folder(test_path("d"), &why) >= 0);
    }
}

TEST(a_link_is_no_folder_wherever_it_leads)
{
    struct errbuf why = {""};

    ASSERT_EQ(0, mkdir(test_path("d"), 0700));
    ASSERT_EQ(0, symlink("d", test_path("l")));
    ASSERT_EQ(0, symlink("nothing", test_path("m")));
    ASSERT_EQ(-EPERM, own_folder(test_path("l"), &why));
    ASSERT_HAS("is a link; name the folder that it points to", why.text);
    ASSERT_EQ(-EPERM, own_folder(test_path("l//"), &why));
    ASSERT_EQ(-EPERM, own_folder(test_path("m"), &why));
    ASSERT_EQ(-1, access(test_path("nothing"), F_OK));
    make_file("f");
    ASSERT_EQ(-ENOTDIR, own_folder(test_path("f"), &why));
    ASSERT_HAS("cannot open the folder", why.text);
}

TEST(a_file_is_ours_a_link_a_folder_and_a_pipe_are_not)
{
    struct errbuf why = {""};

    make_file("f");
    ASSERT_OK(try_file("f", &why), why);
    ASSERT_EQ(-ENOENT, try_file("g", &why));
    ASSERT_EQ(0, symlink("f", test_path("l")));
    ASSERT_EQ(-EPERM, try_file("l", &why));
    ASSERT_STR("F/l is a link and is not used; remove it", why.text);
    ASSERT_EQ(0, mkdir(test_path("d"), 0700));
    ASSERT_EQ(-EPERM, try_file("d", &why));
    ASSERT_STR("F/d is a folder, expected a file; remove it", why.text);
    ASSERT_EQ(0, mkfifo(test_path("p"), 0600));
    ASSERT_EQ(-EPERM, try_file("p", &why));
    ASSERT_STR("F/p is not a regular file, expected a file; remove it", why.text);
}

TEST(what_belongs_to_another_user_is_refused)
{
    struct errbuf why = {""};

    make_file("f");
    ASSERT_EQ(0, mkdir(test_path("d"), 0700));
    if (chown(test_path("f"), NOBODY, NOBODY) < 0)
        SKIP("only root may give files away");
    ASSERT_EQ(0, chown(test_path("d"), NOBODY, NOBODY));
    ASSERT_EQ(-EPERM, try_file("f", &why));
    ASSERT_HAS("F/f belongs to user 65534, not to user 0 who runs this, and is not used", why.text);
    ASSERT_EQ(-EPERM, own_folder(test_path("d"), &why));
    ASSERT_HAS("name a folder of your own", why.text);
}

static mode_t mode_of(const char *name)
{
    struct stat st;

    ASSERT_EQ(0, lstat(test_path(name), &st));
    return st.st_mode & 07777;
}

TEST(a_folder_that_is_open_in_any_way_gets_the_command_that_closes_it)
{
    struct errbuf why = {""};

    ASSERT_EQ(0, mkdir(test_path("d"), 0700));
    ASSERT_EQ(0, own_closed(test_path("d"), &why));
    for (mode_t bit = 01; bit < 0100; bit <<= 1) {
        ASSERT_EQ(0, chmod(test_path("d"), 0700 | bit));
        ASSERT_EQ(-EPERM, own_closed(test_path("d"), &why));
        ASSERT_HAS("close it with chmod 700 ", why.text);
    }
    ASSERT_EQ(-ENOENT, own_closed(test_path("none"), &why));
}

TEST(a_folder_of_somebody_else_is_none_of_ours)
{
    struct errbuf why = {""};

    ASSERT_EQ(0, mkdir(test_path("d"), 0700));
    if (chown(test_path("d"), geteuid() + 1, (gid_t)-1) < 0)
        SKIP("only root can give a folder away");
    ASSERT_EQ(-EPERM, own_closed(test_path("d"), &why));
    ASSERT_HAS("who may change what is in it", why.text);
}

TEST(what_lies_in_a_folder_is_closed_but_for_links)
{
    struct errbuf why = {""};
    uint64_t count = 0;

    ASSERT_EQ(0, mkdir(test_path("s"), 0700));
    ASSERT_EQ(0, mkdir(test_path("s/a"), 0700));
    ASSERT_EQ(0, mkdir(test_path("s/a/b"), 0700));
    ASSERT_EQ(0, mkdir(test_path("s/a/b/c"), 0700));
    for (const char *const *at =
             (const char *const[]){"out", "s/1", "s/a/2", "s/a/b/3", "s/a/b/c/4", NULL};
         *at; at++) {
        make_file(*at);
        ASSERT_EQ(0, chmod(test_path(*at), 0644));
    }
    ASSERT_EQ(0, chmod(test_path("s/a/b"), 0755));
    ASSERT_EQ(0, symlink("../out", test_path("s/link")));
    ASSERT_EQ(0, own_close(test_path("s"), 2, &count, &why));
    ASSERT_EQ(4, count);
    ASSERT_EQ(0600, mode_of("s/1"));
    ASSERT_EQ(0600, mode_of("s/a/2"));
    ASSERT_EQ(0600, mode_of("s/a/b/3"));
    ASSERT_EQ(0700, mode_of("s/a/b"));
    ASSERT_EQ(0644, mode_of("s/a/b/c/4")); /* deeper than asked */
    ASSERT_EQ(0644, mode_of("out"));
    ASSERT_EQ(0, own_close(test_path("s"), 2, &count, &why));
    ASSERT_EQ(0, count);
}
