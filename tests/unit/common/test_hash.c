#include "common/hash.h"

#include <errno.h>

#include "common/text.h"
#include "tests/harness.h"

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define MILLION_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

TEST(the_published_digests_come_out)
{
    char hex[SHA256_HEX];

    sha256_hex_of("abc", 3, hex);
    ASSERT_STR(ABC, hex);
    sha256_hex_of(NULL, 0, hex);
    ASSERT_STR(NOTHING, hex);
}

TEST(blake2b_is_that_of_its_specification)
{
    uint8_t digest[BLAKE2B_BYTES];
    char hex[2 * BLAKE2B_BYTES + 1];

    blake2b_of("abc", 3, digest);
    text_hex(digest, sizeof(digest), hex);
    ASSERT_STR("bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319", hex);
    blake2b_of(NULL, 0, digest);
    text_hex(digest, sizeof(digest), hex);
    ASSERT_STR("0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8", hex);
}

TEST(pieces_hash_as_the_whole)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX], piece[1000];
    struct sha256 h;

    memset(piece, 'a', sizeof(piece));
    sha256_init(&h);
    for (int i = 0; i < 1000; i++)
        sha256_add(&h, piece, sizeof(piece));
    sha256_end(&h, digest);
    text_hex(digest, sizeof(digest), hex);
    ASSERT_STR(MILLION_A, hex);
}

/* However a message is cut: into the processor's blocks, and into libsodium's alone. */
TEST(a_message_hashes_alike_however_it_is_cut)
{
    uint8_t data[700], want[SHA256_BYTES], got[SHA256_BYTES];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 167 + 13);
    for (size_t bytes = 0; bytes <= sizeof(data); bytes += 7) {
        crypto_hash_sha256(want, data, bytes);
        for (size_t cut = 0; cut <= bytes; cut += 3) {
            struct sha256 h;
            sha256_init(&h);
            sha256_add(&h, data, cut);
            sha256_add(&h, data + cut, bytes - cut);
            sha256_end(&h, got);
            ASSERT_MEM(want, got, sizeof(want));
        }
    }
}

TEST(a_file_hashes_as_its_bytes)
{
    uint8_t digest[SHA256_BYTES];
    struct errbuf why = {""};
    char hex[SHA256_HEX];

    FILE *f = fopen(test_path("million"), "w");
    for (int i = 0; i < 1000000; i++)
        fputc('a', f);
    fclose(f);
    ASSERT_OK(sha256_file(test_path("million"), digest, &why), why);
    text_hex(digest, sizeof(digest), hex);
    ASSERT_STR(MILLION_A, hex);
}

TEST(a_file_that_cannot_be_read_is_named)
{
    uint8_t digest[SHA256_BYTES];
    struct errbuf why = {""};

    ASSERT_EQ(-ENOENT, sha256_file(test_path("none"), digest, &why));
    ASSERT_HAS("/none: there is no such file", why.text);
    ASSERT_EQ(-EISDIR, sha256_file(test_dir(), digest, &why));
    ASSERT_HAS(test_dir(), why.text);
}
