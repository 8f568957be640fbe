/* The names of samples: any path there and back, and their file. */
#include "common/uris.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bounds.h"
#include "tests/harness.h"

static const char data[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

static void assert_round_trip(const char *path)
{
    char uri[URI_BYTES_MAX + 1], back[URI_BYTES_MAX + 1];
    struct errbuf why;

    ASSERT_OK(uri_of_path(path, uri, &why), why);
    ASSERT_OK(uri_check("it", uri, strlen(uri), &why), why);
    ASSERT_EQ(strlen(path), uri_path(uri, strlen(uri), back));
    ASSERT_STR(path, back);
}

TEST(a_path_of_plain_characters_is_its_own_uri)
{
    static const char *const paths[] = {"dog/1.jpg", "a b/'\"`$(x).png", "line\nline\t.png",
                                        "caf\xc3\xa9/\xe7\x8a\xac.jpg", "\x01\x7f"};
    char uri[URI_BYTES_MAX + 1];
    struct errbuf why;

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        ASSERT_OK(uri_of_path(paths[i], uri, &why), why);
        ASSERT_STR(paths[i], uri);
        assert_round_trip(paths[i]);
    }
}

TEST(bytes_that_are_not_utf8_are_characters_of_their_own)
{
    char uri[URI_BYTES_MAX + 1];
    struct errbuf why;

    ASSERT_OK(uri_of_path("caf\xe9.jpg", uri, &why), why);
    ASSERT_STR("caf\xee\xbf\xa9.jpg", uri); /* U+EFE9 */
    assert_round_trip("caf\xe9.jpg");
    assert_round_trip("\x80\xff\xc3");
    /* A cut or a surrogate is none either; what stands for a byte can itself be in a path. */
    assert_round_trip("\xed\xa0\x80 \xf0\x9f\x90");
    assert_round_trip("caf\xee\xbf\xa9.jpg");
    ASSERT_OK(uri_of_path("caf\xee\xbf\xa9.jpg", uri, &why), why);
    ASSERT(strcmp("caf\xee\xbf\xa9.jpg", uri) != 0);
}

TEST(a_uri_has_1_to_512_bytes)
{
    char path[URI_BYTES_MAX + 2], uri[URI_BYTES_MAX + 1];
    struct errbuf why;

    ASSERT_EQ(-EINVAL, uri_of_path("", uri, &why));
    memset(path, 'x', sizeof(path));
    path[URI_BYTES_MAX] = 0;
    ASSERT_OK(uri_of_path(path, uri, &why), why);
    path[0] = (char)0xe9; /* takes three */
    ASSERT_EQ(-EINVAL, uri_of_path(path, uri, &why));
    ASSERT_HAS("more than 512 bytes", why.text);
    ASSERT_HAS("...xxx", why.text);
    path[0] = path[URI_BYTES_MAX] = 'x';
    path[URI_BYTES_MAX + 1] = 0;
    ASSERT_EQ(-EINVAL, uri_of_path(path, uri, &why));
    ASSERT_EQ(-EINVAL, uri_check("it", path, strlen(path), &why));
    ASSERT_HAS("it has 513 bytes, allowed is 1 to 512", why.text);
    ASSERT_EQ(-EINVAL, uri_check("it", "\xff", 1, &why));
    ASSERT_EQ(-EINVAL, uri_check("it", "a\0b", 3, &why));
}

/* --- the file --- */

static int memory_read(void *arg, uint64_t offset, size_t count, void *out, struct errbuf *why)
{
    const struct file_part *part = arg;

    if (offset > part->bytes || count > part->bytes - offset)
        return err_set(why, -EIO, "read beyond the end");
    memcpy(out, (const char *)part->data + offset, count);
    return 0;
}

static struct file_part file;

static struct file_source source(void)
{
    return (struct file_source){.bytes = file.bytes, .read = memory_read, .arg = &file};
}

static void write_file(const struct uris *train, const struct uris *test)
{
    char sha256[SHA256_HEX], *bytes, path[300];
    struct errbuf why;

    snprintf(path, sizeof(path), "%s/names", test_dir());
    ASSERT_OK(uris_write(path, data, train, test, sha256, &why), why);
    ASSERT_EQ(64, strlen(sha256));
    ASSERT_OK(file_read(path, 1 << 20, &bytes, &file.bytes, &why), why);
    file.data = bytes;
}

static void add(struct uris *u, const char *path)
{
    struct errbuf why;

    ASSERT_OK(uris_add(u, path, &why), why);
}

static void assert_name(const struct uris *u, uint32_t i, const char *name)
{
    size_t bytes;
    const char *uri = uris_at(u, i, &bytes);

    ASSERT_EQ(strlen(name), bytes);
    ASSERT(memcmp(uri, name, bytes) == 0);
}

TEST(a_names_file_is_read_slice_by_slice)
{
    struct uris train = {0}, test = {0}, slice;
    struct uris_file f;
    struct errbuf why;
    char name[32];

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "train[%d]", i);
        add(&train, name);
    }
    add(&test, "line\nline");
    write_file(&train, &test);
    struct file_source from = source();
    ASSERT_OK(uris_open(&from, &f, &why), why);
    ASSERT_STR(data, f.dataset_sha256);
    ASSERT_EQ(1000, f.splits[0].count);
    ASSERT_EQ(1, f.splits[1].count);
    for (uint32_t first = 0; first < 1000; first += 300) {
        uint32_t count = first + 300 > 1000 ? 1000 - first : 300;
        ASSERT_OK(uris_read(&f, 0, first, count, &slice, &why), why);
        ASSERT_EQ(count, slice.count);
        for (uint32_t i = 0; i < count; i++) {
            snprintf(name, sizeof(name), "train[%u]", first + i);
            assert_name(&slice, i, name);
        }
        uris_done(&slice);
    }
    ASSERT_OK(uris_read(&f, 1, 0, 1, &slice, &why), why);
    assert_name(&slice, 0, "line\nline");
    uris_done(&slice);
    ASSERT_OK(uris_read(&f, 1, 1, 0, &slice, &why), why);
    ASSERT_EQ(0, slice.count);
    uris_close(&f);
    uris_done(&train);
    uris_done(&test);
    free((void *)file.data);
}

/* The place of a value in the file, which is to be changed. */
static char *place(const struct uris_file *f, uint64_t offset)
{
    (void)f;
    return (char *)file.data + offset;
}

static void refuses(const struct uris_file *f, const char *sentence)
{
    struct uris slice;
    struct errbuf why;

    ASSERT_EQ(-EINVAL, uris_read(f, 0, 0, 3, &slice, &why));
    ASSERT_HAS(sentence, why.text);
    ASSERT_EQ(0, slice.count);
}

TEST(a_damaged_names_file_is_refused)
{
    struct uris train = {0}, test = {0};
    struct uris_file f;
    struct errbuf why;

    add(&train, "a");
    add(&train, "bc");
    add(&train, "d");
    write_file(&train, &test);
    struct file_source from = source();
    ASSERT_OK(uris_open(&from, &f, &why), why);
    static const uint64_t wrong[] = {0, 1, 5, UINT64_MAX};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char *at = place(&f, f.splits[0].ends_at + 8);
        memcpy(at, &wrong[i], 8);
        refuses(&f, "ends[1] is");
    }
    memcpy(place(&f, f.splits[0].ends_at + 8), &(uint64_t){3}, 8);
    *place(&f, f.splits[0].bytes_at) = (char)0xff;
    refuses(&f, "name 0 of bytes is not UTF-8");
    uris_close(&f);
    file.bytes -= 1;
    from = source();
    ASSERT_EQ(-EINVAL, uris_open(&from, &f, &why));
    uris_done(&train);
    uris_done(&test);
    free((void *)file.data);
}

TEST(a_file_of_another_kind_is_no_names_file)
{
    const struct safetensors_meta meta[] = {{"format", "steppe-order-1"}};
    char path[300], *bytes;
    struct uris_file f;
    struct errbuf why;

    snprintf(path, sizeof(path), "%s/other", test_dir());
    ASSERT_OK(safetensors_write(path, NULL, 0, meta, 1, &why), why);
    ASSERT_OK(file_read(path, 1 << 20, &bytes, &file.bytes, &why), why);
    file.data = bytes;
    struct file_source from = source();
    ASSERT_EQ(-EINVAL, uris_open(&from, &f, &why));
    ASSERT_HAS("steppe-names-1", why.text);
    free(bytes);
}
