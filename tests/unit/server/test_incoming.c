#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bounds.h"
#include "common/file.h"
#include "server/jobs/incoming.h"
#include "server/store/state_dir.h"
#include "tests/harness.h"
#include "tests/unit/server/sha_fixture.h"

#define DAY_MS INT64_C(86400000)
#define MIB (INT64_C(1) << 20)

static const struct incoming_from anna = {.key = "anna", .sender = "s1", .what = "weights.pt"};
static const struct incoming_from ben = {.key = "ben", .sender = "s2", .what = ""};
static const struct incoming_from admin = {.key = "boss", .sender = "s3", .what = "", .any = true};
static char data[MIB];
static const _Atomic bool never;

static struct incoming *fixture(int64_t all_bytes, int64_t now_ms)
{
    struct incoming *in;
    struct errbuf why;

    ASSERT_OK(file_remove_folder(test_path("state/datasets"), &why), why);
    ASSERT_OK(file_mkdirs(test_path("state/datasets"), 0700, &why), why);
    incoming_open(test_path("state"), all_bytes, now_ms, &in);
    return in;
}

static struct incoming_piece piece_of(const char *sha256, int64_t bytes, int64_t offset, size_t n)
{
    struct incoming_piece piece = {.bytes = bytes, .offset = offset, .data = data, .data_bytes = n};

    snprintf(piece.sha256, sizeof(piece.sha256), "%s", sha256);
    return piece;
}

/* As the server does it, in three parts. */
static int put_named(struct incoming *in, const struct incoming_from *from, const char *sha256,
                     int64_t bytes, int64_t offset, size_t n, int64_t now_ms, int64_t *ret_have,
                     struct errbuf *why)
{
    struct incoming_piece piece = piece_of(sha256, bytes, offset, n);
    int rc = incoming_put_begin(in, from, &piece, now_ms, why);

    if (rc == 0 && piece.writes) {
        rc = incoming_put_write(test_path("state"), &piece, why);
        incoming_put_end(in, &piece, rc, now_ms);
    }
    *ret_have = piece.have;
    return rc;
}

static int put(struct incoming *in, const struct incoming_from *from, char c, int64_t bytes,
               int64_t offset, size_t n, int64_t now_ms, struct errbuf *why)
{
    int64_t have;

    return put_named(in, from, sha(c), bytes, offset, n, now_ms, &have, why);
}

static bool is_there(const char *key, char c)
{
    char path[STATE_PATH_BYTES];

    state_dir_upload(path, test_path("state"), key, sha(c));
    return access(path, F_OK) == 0;
}

static bool there(char c)
{
    return is_there("anna", c);
}

TEST(a_complete_upload_that_nothing_took_over_goes_after_minutes)
{
    struct incoming *in = fixture(1 << 30, 0);
    struct errbuf why;

    ASSERT_OK(put(in, &anna, 'a', 100, 0, 100, 1000, &why), why);
    incoming_expire(in, 1000 + UPLOAD_IDLE_MS);
    ASSERT(there('a'));
    incoming_expire(in, 1000 + UPLOAD_IDLE_MS + 2000);
    ASSERT(!there('a'));
    ASSERT_EQ(0, incoming_bytes(in));
    ASSERT(incoming_is_to_clear(in));
    incoming_clear(test_path("state"), &never);
    ASSERT_EQ(0, rmdir(test_path("state/datasets")));
    incoming_close(in);
}

TEST(one_that_is_still_being_sent_stays_however_slowly)
{
    struct incoming *in = fixture(1 << 30, 0);
    struct errbuf why;
    int64_t now_ms = 0;

    for (int i = 0; i < 50; i++, now_ms += UPLOAD_IDLE_MS * 2) {
        ASSERT_OK(put(in, &anna, 'a', 100, i, 1, now_ms, &why), why);
        incoming_expire(in, now_ms + UPLOAD_IDLE_MS * 2 - 1);
        ASSERT(there('a'));
    }
    incoming_expire(in, now_ms + 2 * DAY_MS);
    ASSERT(there('a'));
    incoming_expire(in, now_ms + LEFTOVER_DAYS * DAY_MS + 1);
    ASSERT(!there('a'));
    incoming_close(in);
}

TEST(what_is_being_taken_over_does_not_go)
{
    struct incoming *in = fixture(1 << 30, 0);
    struct errbuf why;

    ASSERT_OK(put(in, &anna, 'a', 100, 0, 100, 0, &why), why);
    incoming_hold(in, "anna", sha('a'));
    incoming_expire(in, DAY_MS);
    ASSERT(there('a'));
    ASSERT_EQ(-EAGAIN, incoming_remove(in, &anna, sha('a'), &why));
    incoming_released(in, "anna", sha('a'), DAY_MS);
    incoming_expire(in, DAY_MS + UPLOAD_IDLE_MS);
    ASSERT(there('a'));
    ASSERT_OK(incoming_rename(test_path("state"), "anna", sha('a'), test_path("state/taken"), &why),
              why);
    incoming_hold(in, "anna", sha('a'));
    incoming_released(in, "anna", sha('a'), DAY_MS);
    ASSERT_EQ(0, incoming_bytes(in));
    incoming_close(in);
}

TEST(what_was_put_back_is_an_upload_again)
{
    struct incoming *in = fixture(1 << 30, 0);
    struct errbuf why;
    int64_t dropped;

    ASSERT_OK(put(in, &anna, 'a', 100, 0, 100, 0, &why), why);
    incoming_hold(in, "anna", sha('a'));
    ASSERT_OK(incoming_rename(test_path("state"), "anna", sha('a'), test_path("state/taken"), &why),
              why);
    incoming_put_back(test_path("state"), "anna", sha('a'), test_path("state/taken"));
    incoming_released(in, "anna", sha('a'), 5000);
    ASSERT_EQ(100, incoming_bytes(in));
    ASSERT_EQ(0, incoming_idle_bytes(in, 5000 + UPLOAD_IDLE_MS));
    ASSERT_EQ(100, incoming_idle_bytes(in, 5001 + UPLOAD_IDLE_MS));
    ASSERT_EQ(1, incoming_drop_idle(in, 5001 + UPLOAD_IDLE_MS, &dropped));
    ASSERT_EQ(100, dropped);
    ASSERT(!there('a'));
    incoming_close(in);
}

TEST(the_quota_of_one_sender_and_of_all_is_named)
{
    struct incoming *in = fixture(8 * MIB, 0);
    struct errbuf why;
    int64_t have;

    ASSERT_EQ(-ERANGE, incoming_offer(in, &anna, sha('a'), 3 * MIB, &have, &why));
    ASSERT_HAS("one sender's quota is 2 MiB", why.text);
    ASSERT_OK(put(in, &anna, 'a', 2 * MIB, 0, MIB, 0, &why), why);
    ASSERT_OK(put(in, &anna, 'a', 2 * MIB, MIB, MIB, 0, &why), why);
    ASSERT_EQ(-ERANGE, put(in, &anna, 'b', 10, 0, 10, 0, &why));
    ASSERT_HAS("the upload has 10 bytes, this sender's other unused uploads have 2 MiB", why.text);
    ASSERT(!there('b'));
    ASSERT_OK(put(in, &ben, 'b', 10, 0, 10, 0, &why), why);
    ASSERT_OK(incoming_remove(in, &anna, sha('a'), &why), why);
    ASSERT_OK(put(in, &anna, 'c', 2 * MIB, 0, MIB, 0, &why), why);
    ASSERT_OK(put(in, &anna, 'c', 2 * MIB, MIB, MIB, 0, &why), why);
    for (int i = 0; i < 3; i++) {
        const struct incoming_from other = {
            .key = (const char *[]){"x", "y", "z"}[i], .sender = "s", .what = ""};
        int rc = put(in, &other, (char)('d' + i), 2 * MIB, 0, MIB, 0, &why);
        if (rc == 0)
            rc = put(in, &other, (char)('d' + i), 2 * MIB, MIB, MIB, 0, &why);
        ASSERT_EQ(i < 2 ? 0 : -ERANGE, rc);
    }
    ASSERT_HAS("the quota of all together is 8 MiB (the server's --max-uploads)", why.text);
    incoming_close(in);
}

TEST(an_upload_is_removed_by_its_key_or_an_admin)
{
    struct incoming *in = fixture(1 << 30, 0);
    struct errbuf why;

    ASSERT_OK(put(in, &anna, 'a', 100, 0, 50, 0, &why), why);
    ASSERT_EQ(-EPERM, incoming_remove(in, &ben, sha('a'), &why));
    ASSERT(there('a'));
    ASSERT_OK(incoming_remove(in, &admin, sha('a'), &why), why);
    ASSERT(!there('a'));
    ASSERT_EQ(-ENOENT, incoming_remove(in, &admin, sha('a'), &why));
    incoming_close(in);
}

TEST(what_lies_there_at_the_start_is_listed_and_goes_by_its_age)
{
    struct incoming *in = fixture(1 << 30, 0);
    struct errbuf why;
    char path[STATE_PATH_BYTES];

    ASSERT_OK(put(in, &anna, 'a', 100, 0, 50, 0, &why), why);
    ASSERT_OK(put(in, &anna, 'b', 100, 0, 60, 0, &why), why);
    incoming_close(in);
    state_dir_upload(path, test_path("state"), "anna", sha('a'));
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    ASSERT_EQ(0, utimensat(AT_FDCWD, path, old, 0));
    incoming_open(test_path("state"), 1 << 30, DAY_MS * 1000, &in);
    ASSERT_EQ(110, incoming_bytes(in));
    cJSON *rows = incoming_rows(in, DAY_MS * 1000);
    ASSERT_EQ(2, cJSON_GetArraySize(rows));
    cJSON_Delete(rows);
    incoming_expire(in, DAY_MS * 1000);
    ASSERT(!there('a'));
    ASSERT(there('b'));
    incoming_close(in);
}

TEST(what_is_being_taken_over_is_not_written_to)
{
    struct incoming *in = fixture(1 << 30, 0);
    struct errbuf why;
    int64_t have;

    ASSERT_OK(put(in, &anna, 'a', 100, 0, 60, 0, &why), why);
    incoming_hold(in, "anna", sha('a'));
    ASSERT_EQ(-EAGAIN, put(in, &anna, 'a', 100, 60, 40, 0, &why));
    ASSERT_HAS("is being taken over", why.text);
    ASSERT_EQ(60, incoming_bytes(in));
    /* Whoever sends again what is there is told so. */
    ASSERT_OK(put_named(in, &anna, sha('a'), 100, 0, 60, 0, &have, &why), why);
    ASSERT_EQ(60, have);
    incoming_released(in, "anna", sha('a'), 0);
    ASSERT_OK(put(in, &anna, 'a', 100, 60, 40, 0, &why), why);
    incoming_close(in);
}

static char first_byte(const char *key, char c, ssize_t want_bytes)
{
    char path[STATE_PATH_BYTES], got[200];

    state_dir_upload(path, test_path("state"), key, sha(c));
    int fd = open(path, O_RDONLY);
    ASSERT_EQ(want_bytes, read(fd, got, sizeof(got)));
    close(fd);
    return got[0];
}

TEST(what_one_sends_does_not_touch_what_another_does)
{
    struct incoming *in = fixture(1 << 30, 0);
    struct errbuf why;
    int64_t have;

    memset(data, 'A', 100);
    ASSERT_OK(put(in, &anna, 'a', 100, 0, 50, 0, &why), why);
    memset(data, 'B', 100);
    ASSERT_OK(incoming_offer(in, &ben, sha('a'), 60, &have, &why), why);
    ASSERT_EQ(0, have);
    ASSERT_OK(put(in, &ben, 'a', 60, 0, 60, 0, &why), why);
    ASSERT_OK(put(in, &anna, 'a', 100, 0, 60, 0, &why), why); /* skips what is there */
    ASSERT_EQ('A', first_byte("anna", 'a', 60));
    ASSERT_EQ('B', first_byte("ben", 'a', 60));
    ASSERT_EQ(60, incoming_bytes_of(in, "ben"));
    ASSERT_OK(incoming_whole(in, "ben", sha('a'), &why), why);
    ASSERT_EQ(-ENOENT, incoming_whole(in, "anna", sha('a'), &why));
    ASSERT_OK(incoming_remove(in, &ben, sha('a'), &why), why);
    ASSERT(!is_there("ben", 'a'));
    ASSERT(is_there("anna", 'a'));
    memset(data, 0, 100);
    incoming_close(in);
}

TEST(of_an_upload_one_piece_is_written_at_a_time)
{
    struct incoming *in = fixture(1 << 30, 0);
    struct incoming_piece first = piece_of(sha('a'), 100, 0, 60);
    struct errbuf why;

    ASSERT_OK(incoming_put_begin(in, &anna, &first, 0, &why), why);
    ASSERT(first.writes);
    ASSERT_EQ(-EAGAIN, put(in, &anna, 'a', 100, 0, 60, 0, &why));
    ASSERT_HAS("is being written", why.text);
    ASSERT_EQ(-EAGAIN, incoming_remove(in, &anna, sha('a'), &why));
    ASSERT_OK(put(in, &ben, 'a', 100, 0, 60, 0, &why), why);
    incoming_expire(in, LEFTOVER_DAYS * DAY_MS + 1);
    incoming_put_end(in, &first, -EIO, 5);
    ASSERT_EQ(0, incoming_bytes_of(in, "anna"));
    ASSERT_OK(put(in, &anna, 'a', 100, 0, 60, 0, &why), why);
    incoming_close(in);
}

TEST(an_upload_has_one_size)
{
    struct incoming *in = fixture(1 << 30, 0);
    struct errbuf why;
    int64_t have;

    ASSERT_OK(put(in, &anna, 'a', 100, 0, 50, 0, &why), why);
    ASSERT_EQ(-EEXIST, put(in, &anna, 'a', 10, 0, 10, 0, &why));
    ASSERT_HAS("is to have 100 bytes, not 10", why.text);
    ASSERT_EQ(-EEXIST, incoming_offer(in, &anna, sha('a'), 50, &have, &why));
    ASSERT_EQ(-EEXIST, put(in, &anna, 'a', 200, 50, 50, 0, &why));
    ASSERT_EQ(-ENOENT, incoming_whole(in, "anna", sha('a'), &why));
    ASSERT_HAS("has 50 of 100 bytes", why.text);
    incoming_expire(in, UPLOAD_IDLE_MS + 2000);
    ASSERT(there('a')); /* it did not become complete */
    incoming_close(in);
    /* What it is to have is not known any more, but not less than there is. */
    incoming_open(test_path("state"), 1 << 30, 0, &in);
    ASSERT_EQ(-EEXIST, put(in, &anna, 'a', 10, 0, 10, 0, &why));
    ASSERT_HAS("has 50 bytes, not 10", why.text);
    ASSERT_OK(incoming_whole(in, "anna", sha('a'), &why), why);
    ASSERT_OK(put(in, &anna, 'a', 100, 50, 50, 0, &why), why);
    ASSERT_OK(incoming_whole(in, "anna", sha('a'), &why), why);
    incoming_close(in);
}

TEST(one_sender_does_not_take_all_places)
{
    struct incoming *in = fixture(1 << 30, 0);
    char name[SHA256_HEX];
    struct errbuf why;
    int64_t have;

    for (int i = 0; i <= UPLOADS_KEPT_MAX / 4; i++) {
        snprintf(name, sizeof(name), "%064x", (unsigned)i);
        int rc = put_named(in, &anna, name, 10, 0, 1, 0, &have, &why);
        ASSERT_EQ(i < UPLOADS_KEPT_MAX / 4 ? 0 : -ERANGE, rc);
    }
    ASSERT_HAS("the server holds 250 unused uploads of this sender", why.text);
    ASSERT_OK(put(in, &ben, 'b', 10, 0, 10, 0, &why), why);
    incoming_close(in);
}

TEST(nobody_waits_for_the_writer_or_reader_of_a_pipe)
{
    struct incoming *in = fixture(1 << 30, 0);
    char path[STATE_PATH_BYTES];
    struct errbuf why;

    state_dir_upload(path, test_path("state"), "anna", sha('a'));
    ASSERT_EQ(0, mkfifo(path, 0600));
    ASSERT_EQ(-ENXIO, put(in, &anna, 'a', 100, 0, 50, 0, &why));
    ASSERT_EQ(-EINVAL, incoming_take(test_path("state"), &never, "anna", sha('a'),
                                     test_path("state/taken"), &why));
    incoming_close(in);
}
