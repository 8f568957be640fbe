#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "server/store/data_file.h"
#include "tests/harness.h"

#define BYTES (5 * DATA_PIECE_BYTES / 2)
#define PATH test_path("file")

static uint8_t content[BYTES];

static void write_file(void)
{
    const struct file_part part = {content, BYTES};
    struct errbuf why;

    for (size_t i = 0; i < BYTES; i++)
        content[i] = (uint8_t)(i * 31 + i / 257);
    ASSERT_OK(file_write_atomic(PATH, 0600, &part, 1, &why), why);
}

/* The file with the hashes of its pieces, which free() releases. */
static struct data_file fixture(void)
{
    struct data_file f = {.bytes = BYTES};
    struct data_hash *h;
    struct errbuf why;
    char text[SHA256_HEX], want[SHA256_HEX];
    int rc;

    snprintf(f.path, sizeof(f.path), "%s", PATH);
    write_file();
    ASSERT_OK(data_hash_open(PATH, &h, &why), why);
    while ((rc = data_hash_step(h, &why)) == 1)
        continue;
    ASSERT_OK(rc, why);
    data_hash_text(h, text);
    sha256_hex_of(content, BYTES, want);
    ASSERT_STR(want, text);
    ASSERT_EQ(BYTES, data_hash_bytes(h));
    f.hashes = (const uint8_t(*)[BLAKE2B_BYTES])data_hash_pieces(h);
    data_hash_free(h);
    return f;
}

static void change(long at)
{
    FILE *file = fopen(PATH, "r+");

    ASSERT(file);
    fseek(file, at, SEEK_SET);
    fputc(content[at] ^ 1, file);
    fclose(file);
}

/* Of a file of the largest size only its end is written; the rest takes no room. */
TEST(the_end_of_the_largest_file_is_found)
{
    const int64_t bytes = (int64_t)DATASET_BYTES_MAX;
    const uint64_t last = DATASET_BYTES_MAX - DATA_PIECE_BYTES;
    struct data_file f = {.bytes = bytes};
    FILE *file = fopen(PATH, "w+");
    struct errbuf why;
    int64_t bad;

    ASSERT_EQ(INT64_C(1) << 22, data_pieces(bytes));
    ASSERT(file);
    if (ftruncate(fileno(file), bytes) < 0) {
        fclose(file);
        SKIP("this file system has no files of 1 TiB");
    }
    uint8_t(*hashes)[BLAKE2B_BYTES] = calloc(data_pieces(bytes), sizeof(*hashes));
    uint8_t *piece = calloc(2, DATA_PIECE_BYTES), out[200];
    ASSERT(hashes && piece);
    memset(piece + 2 * DATA_PIECE_BYTES - 100, 7, 100);
    fseeko(file, bytes - 100, SEEK_SET);
    ASSERT_EQ(100, fwrite(piece + 2 * DATA_PIECE_BYTES - 100, 1, 100, file));
    ASSERT_EQ(0, fclose(file));
    for (int i = 0; i < 2; i++)
        blake2b_of(piece + (size_t)i * DATA_PIECE_BYTES, DATA_PIECE_BYTES,
                   hashes[data_pieces(bytes) - 2 + (size_t)i]);
    snprintf(f.path, sizeof(f.path), "%s", PATH);
    f.hashes = (const uint8_t(*)[BLAKE2B_BYTES])hashes;
    ASSERT_OK(data_file_read(&f, (uint64_t)bytes - 200, 200, out, &bad, &why), why);
    ASSERT(out[99] == 0 && out[100] == 7 && out[199] == 7);
    ASSERT_OK(data_file_read(&f, last - 100, 200, out, &bad, &why), why); /* over an edge */
    hashes[data_pieces(bytes) - 1][0] ^= 1;
    ASSERT_EQ(-EUCLEAN, data_file_read(&f, (uint64_t)bytes - 200, 200, out, &bad, &why));
    ASSERT_EQ((int64_t)last, bad);
    free(hashes);
    free(piece);
}

TEST(any_range_reads_as_it_was_written)
{
    static const size_t edges[] = {0,
                                   1,
                                   DATA_PIECE_BYTES - 1,
                                   DATA_PIECE_BYTES,
                                   DATA_PIECE_BYTES + 1,
                                   2 * DATA_PIECE_BYTES,
                                   BYTES - 1,
                                   BYTES};
    struct data_file f = fixture();
    uint8_t *out = malloc(BYTES);
    struct errbuf why;
    int64_t bad;

    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
        for (size_t j = i; j < sizeof(edges) / sizeof(edges[0]); j++) {
            size_t n = edges[j] - edges[i];
            ASSERT_OK(data_file_read(&f, edges[i], n, out, &bad, &why), why);
            ASSERT_MEM(content + edges[i], out, n);
        }
    free(out);
    free((void *)f.hashes);
}

TEST(a_changed_byte_is_found_where_it_is_and_nowhere_else)
{
    struct data_file f = fixture();
    uint8_t byte;
    struct errbuf why;
    int64_t bad;

    change(DATA_PIECE_BYTES + 17);
    ASSERT_OK(data_file_read(&f, DATA_PIECE_BYTES - 1, 1, &byte, &bad, &why), why);
    ASSERT_EQ(-EUCLEAN, data_file_read(&f, DATA_PIECE_BYTES, 1, &byte, &bad, &why));
    ASSERT_EQ(DATA_PIECE_BYTES, bad);
    ASSERT_HAS("its bytes 262144 to 524287 are not what they were", why.text);
    ASSERT_OK(data_file_read(&f, 2 * DATA_PIECE_BYTES, 1, &byte, &bad, &why), why);
    write_file();
    ASSERT_OK(data_file_read(&f, DATA_PIECE_BYTES, 1, &byte, &bad, &why), why);
    free((void *)f.hashes);
}

TEST(a_file_that_is_cut_or_gone_or_none_is_an_error_and_no_signal)
{
    struct data_file f = fixture();
    uint8_t byte;
    struct errbuf why;
    int64_t bad;

    ASSERT_EQ(0, truncate(PATH, BYTES - 1));
    ASSERT_EQ(-EUCLEAN, data_file_read(&f, 0, 1, &byte, &bad, &why));
    ASSERT_HAS("it has 655359 bytes instead of 655360", why.text);
    unlink(PATH);
    int rc = data_file_read(&f, 0, 1, &byte, &bad, &why);
    ASSERT_EQ(-ENOENT, rc);
    ASSERT(data_file_is_damage(rc));
    mkdir(PATH, 0700);
    ASSERT_EQ(-EUCLEAN, data_file_read(&f, 0, 1, &byte, &bad, &why));
    ASSERT(!data_file_is_damage(-ENOMEM) && !data_file_is_damage(-EMFILE));
    free((void *)f.hashes);
}
