/* A file with the names of samples, and the same bytes as a path. */
#include <string.h>

#include "common/uris.h"
#include "tests/fuzz/fuzz.h"

struct bytes {
    const uint8_t *data;
    size_t count;
};

static int read_bytes(void *arg, uint64_t offset, size_t count, void *out, struct errbuf *why)
{
    const struct bytes *b = arg;

    FUZZ_ASSERT(offset <= b->count && count <= b->count - offset);
    (void)why;
    if (count)
        memcpy(out, b->data + offset, count);
    return 0;
}

static void check_uri(const char *uri, size_t bytes)
{
    char path[URI_BYTES_MAX + 1], again[URI_BYTES_MAX + 1];
    struct errbuf why;

    FUZZ_ASSERT(uri_check("it", uri, bytes, &why) == 0);
    FUZZ_ASSERT(uri_path(uri, bytes, path) == strlen(path) && strlen(path) <= bytes);
    /* What stands for a byte that needs nobody to stand for it is another uri of the same path. */
    if (uri_of_path(path, again, &why) == 0)
        FUZZ_ASSERT(uri_path(again, strlen(again), again) == strlen(path));
}

static void check_path(const uint8_t *data, size_t bytes)
{
    char path[600], uri[URI_BYTES_MAX + 1], back[URI_BYTES_MAX + 1];
    struct errbuf why = {""};

    if (bytes >= sizeof(path) || memchr(data, 0, bytes))
        return;
    memcpy(path, data, bytes);
    path[bytes] = 0;
    if (uri_of_path(path, uri, &why) < 0) {
        FUZZ_ASSERT(why.text[0]);
        return;
    }
    check_uri(uri, strlen(uri));
    FUZZ_ASSERT(uri_path(uri, strlen(uri), back) == bytes && memcmp(back, path, bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct bytes b = {data, bytes};
    const struct file_source from = {.bytes = bytes, .read = read_bytes, .arg = &b};
    struct errbuf why = {""};
    struct uris_file f;
    struct uris slice;
    size_t n;

    if (bytes)
        check_path(data, bytes);
    if (uris_open(&from, &f, &why) < 0) {
        FUZZ_ASSERT(why.text[0]);
        return 0;
    }
    for (int split = 0; split < 2; split++) {
        if (uris_read(&f, split, 0, f.splits[split].count, &slice, &why) < 0) {
            FUZZ_ASSERT(why.text[0]);
            continue;
        }
        for (uint32_t i = 0; i < slice.count; i++) {
            const char *uri = uris_at(&slice, i, &n);
            check_uri(uri, n);
        }
        uris_done(&slice);
    }
    uris_close(&f);
    return 0;
}
