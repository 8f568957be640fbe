#include "common/uris.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"

#define FORMAT "steppe-names-1"
#define ROOM_FIRST 4096

/* Bytes that are not UTF-8 become ESCAPE + byte, three bytes each. */
#define ESCAPE 0xef00u
#define ESCAPE_FIRST (ESCAPE + 0x80)
#define ESCAPE_LAST (ESCAPE + 0xff)

static void put_escape(uint8_t byte, char out[3])
{
    uint32_t code = ESCAPE + byte;

    out[0] = (char)(0xe0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3f));
    out[2] = (char)(0x80 | (code & 0x3f));
}

static bool is_escape(uint32_t code)
{
    return code >= ESCAPE_FIRST && code <= ESCAPE_LAST;
}

/* The path as a sentence may have it: its end tells more than its beginning. */
static void shorten(const char *path, size_t bytes, char ret[84])
{
    bool cut = bytes > 80;

    snprintf(ret, 84, "%s%s", cut ? "..." : "", path + (cut ? bytes - 77 : 0));
    text_make_printable(ret);
}

int uri_of_path(const char *path, char ret[URI_BYTES_MAX + 1], struct errbuf *why)
{
    size_t bytes = strlen(path), used = 0, n;
    char shown[84];
    uint32_t code;
    bool may;

    if (bytes == 0)
        return err_set(why, -EINVAL, "the name of a sample is empty");
    for (size_t i = 0; i < bytes; i += n) {
        n = text_next(path + i, bytes - i, &code, &may);
        bool escaped = code == TEXT_NO_CHARACTER || is_escape(code);
        size_t needed = escaped ? 3 * n : n;
        if (used + needed > URI_BYTES_MAX) {
            shorten(path, bytes, shown);
            return err_set(why, -EINVAL,
                           "the name of a sample has more than %d bytes, which is all it may have: "
                           "%s",
                           URI_BYTES_MAX, shown);
        }
        for (size_t k = 0; escaped && k < n; k++)
            put_escape((uint8_t)path[i + k], ret + used + 3 * k);
        if (!escaped)
            memcpy(ret + used, path + i, n);
        used += needed;
    }
    ret[used] = '\0';
    return 0;
}

size_t uri_path(const char *uri, size_t bytes, char *ret)
{
    size_t used = 0, n;
    uint32_t code;
    bool may;

    for (size_t i = 0; i < bytes; i += n) {
        n = text_next(uri + i, bytes - i, &code, &may);
        if (is_escape(code))
            ret[used++] = (char)(code - ESCAPE);
        else
            for (size_t k = 0; k < n; k++)
                ret[used++] = uri[i + k];
    }
    ret[used] = '\0';
    return used;
}

int uri_check(const char *called, const char *uri, size_t bytes, struct errbuf *why)
{
    if (bytes == 0 || bytes > URI_BYTES_MAX)
        return err_set(why, -EINVAL, "%s has %zu bytes, allowed is 1 to %d", called, bytes,
                       URI_BYTES_MAX);
    if (memchr(uri, 0, bytes) || text_utf8_bytes(uri, bytes) != bytes)
        return err_set(why, -EINVAL, "%s is not UTF-8", called);
    return 0;
}

static void append(struct uris *u, const char *uri, size_t bytes)
{
    if (u->used + bytes > u->room) {
        u->room = 2 * u->room + ROOM_FIRST + bytes;
        u->bytes = xrealloc(u->bytes, u->room);
    }
    if (u->count == u->ends_room) {
        u->ends_room = 2 * u->ends_room + ROOM_FIRST;
        u->ends = xrealloc(u->ends, u->ends_room * sizeof(*u->ends));
    }
    memcpy(u->bytes + u->used, uri, bytes);
    u->used += bytes;
    u->ends[u->count++] = u->used;
}

int uris_add(struct uris *u, const char *path, struct errbuf *why)
{
    char uri[URI_BYTES_MAX + 1];
    int rc = uri_of_path(path, uri, why);

    if (rc == 0)
        append(u, uri, strlen(uri));
    return rc;
}

const char *uris_at(const struct uris *u, uint32_t i, size_t *ret_bytes)
{
    uint64_t begin = i ? u->ends[i - 1] : 0;

    *ret_bytes = (size_t)(u->ends[i] - begin);
    return u->bytes + begin;
}

void uris_done(struct uris *u)
{
    free(u->bytes);
    free(u->ends);
    *u = (struct uris){0};
}

void uris_hash(const struct uris *u, struct sha256 *io_hash)
{
    size_t bytes;

    for (uint32_t i = 0; i < u->count; i++) {
        const char *uri = uris_at(u, i, &bytes);
        sha256_add(io_hash, uri, bytes);
        sha256_add(io_hash, "", 1);
    }
}

void uris_digest(const struct uris *train, const struct uris *test, char ret[SHA256_HEX])
{
    uint8_t digest[SHA256_BYTES];
    struct sha256 hash;

    sha256_init(&hash);
    uris_hash(train, &hash);
    uris_hash(test, &hash);
    sha256_end(&hash, digest);
    text_hex(digest, sizeof(digest), ret);
}

/* --- the file --- */

static const char *const ends_names[] = {"ends", "test_ends"};
static const char *const bytes_names[] = {"bytes", "test_bytes"};

int uris_write(const char *path, const char *dataset_sha256, const struct uris *train,
               const struct uris *test, char ret_sha256[SHA256_HEX], struct errbuf *why)
{
    const struct safetensors_meta meta[] = {{"format", FORMAT}, {"dataset", dataset_sha256}};
    const struct uris *splits[] = {train, test};
    struct tensor tensors[4];
    uint8_t sha256[SHA256_BYTES];

    for (int i = 0; i < 2; i++) {
        tensors[2 * i] = tensor_1d(ends_names[i], DTYPE_U64, splits[i]->count, splits[i]->ends);
        tensors[2 * i + 1] = tensor_1d(bytes_names[i], DTYPE_U8, splits[i]->used, splits[i]->bytes);
    }
    int rc = safetensors_write(path, tensors, 4, meta, 2, why);
    if (rc == 0)
        rc = sha256_file(path, sha256, why);
    if (rc == 0)
        text_hex(sha256, sizeof(sha256), ret_sha256);
    return rc;
}

static int meta_check(struct uris_file *f, struct errbuf *why)
{
    const char *format = safetensors_meta_get(&f->file, "format");
    const char *dataset = safetensors_meta_get(&f->file, "dataset");
    uint8_t digest[SHA256_BYTES];

    if (!format || strcmp(format, FORMAT) != 0)
        return err_set(why, -EINVAL, "metadata format is \"%.40s\", expected \"" FORMAT "\"",
                       format ? format : "");
    if (!dataset || !text_unhex(dataset, digest, sizeof(digest)))
        return err_set(why, -EINVAL, "metadata dataset is \"%.80s\", expected a SHA-256",
                       dataset ? dataset : "");
    text_hex(digest, sizeof(digest), f->dataset_sha256);
    return 0;
}

static int split_check(struct uris_file *f, int split, struct errbuf *why)
{
    const struct tensor *ends, *bytes;
    int rc = safetensors_need(&f->file, ends_names[split], DTYPE_U64, 1, &ends, why);

    if (rc == 0)
        rc = safetensors_need(&f->file, bytes_names[split], DTYPE_U8, 1, &bytes, why);
    if (rc != 0)
        return rc;
    if (ends->shape[0] > SAMPLES_MAX)
        return err_set(why, -EINVAL, "%s has %llu entries, allowed is up to %u", ends_names[split],
                       (unsigned long long)ends->shape[0], SAMPLES_MAX);
    f->splits[split].count = (uint32_t)ends->shape[0];
    f->splits[split].bytes = bytes->shape[0];
    f->splits[split].ends_at = safetensors_at(&f->file, ends);
    f->splits[split].bytes_at = safetensors_at(&f->file, bytes);
    return 0;
}

int uris_open(const struct file_source *from, struct uris_file *ret, struct errbuf *why)
{
    struct uris_file f = {.from = from};
    int rc = safetensors_read(from, &f.file, why);

    if (rc == 0)
        rc = meta_check(&f, why);
    for (int split = 0; rc == 0 && split < 2; split++)
        rc = split_check(&f, split, why);
    if (rc == 0)
        *ret = f;
    else
        uris_close(&f);
    return rc;
}

/* The ends, from the one before the first on; they rise and stay within the bytes. */
static int ends_read(const struct uris_file *f, int split, uint32_t first, uint32_t count,
                     struct uris *u, uint64_t *ret_begin, struct errbuf *why)
{
    uint64_t begin = 0, last;
    uint64_t at = f->splits[split].ends_at + 8 * (uint64_t)first;
    int rc = first ? f->from->read(f->from->arg, at - 8, 8, &begin, why) : 0;

    if (rc == 0)
        rc = f->from->read(f->from->arg, at, 8 * (size_t)count, u->ends, why);
    if (rc != 0)
        return rc;
    last = begin;
    for (uint32_t i = 0; i < count; i++) {
        if (u->ends[i] <= last || u->ends[i] - last > URI_BYTES_MAX ||
            u->ends[i] > f->splits[split].bytes)
            return err_set(why, -EINVAL,
                           "%s[%u] is %llu after %llu; a name has 1 to %d bytes, and all have %llu",
                           ends_names[split], first + i, (unsigned long long)u->ends[i],
                           (unsigned long long)last, URI_BYTES_MAX,
                           (unsigned long long)f->splits[split].bytes);
        last = u->ends[i];
    }
    *ret_begin = begin;
    return 0;
}

static int names_read(const struct uris_file *f, int split, uint32_t first, uint64_t begin,
                      struct uris *u, struct errbuf *why)
{
    char called[40];
    size_t bytes;

    u->used = u->ends[u->count - 1] - begin;
    u->bytes = alloc_bytes(u->used, 1);
    if (!u->bytes)
        return err_set(why, -ENOMEM, "no memory for %u names", u->count);
    int rc = f->from->read(f->from->arg, f->splits[split].bytes_at + begin, u->used, u->bytes, why);
    for (uint32_t i = 0; i < u->count; i++)
        u->ends[i] -= begin;
    for (uint32_t i = 0; rc == 0 && i < u->count; i++) {
        const char *uri = uris_at(u, i, &bytes);
        snprintf(called, sizeof(called), "name %u of %s", first + i, bytes_names[split]);
        rc = uri_check(called, uri, bytes, why);
    }
    return rc;
}

int uris_read(const struct uris_file *f, int split, uint32_t first, uint32_t count,
              struct uris *ret, struct errbuf *why)
{
    struct uris u = {.count = count};
    uint64_t begin = 0;

    *ret = (struct uris){0};
    if (count == 0)
        return 0;
    u.ends = alloc_bytes(count, sizeof(*u.ends));
    int rc = u.ends ? ends_read(f, split, first, count, &u, &begin, why)
                    : err_set(why, -ENOMEM, "no memory for %u names", count);
    if (rc == 0)
        rc = names_read(f, split, first, begin, &u, why);
    if (rc == 0)
        *ret = u;
    else
        uris_done(&u);
    return rc;
}

void uris_close(struct uris_file *f)
{
    safetensors_close(&f->file);
    *f = (struct uris_file){0};
}
