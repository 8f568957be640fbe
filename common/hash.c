#include "common/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium/core.h>
#include <sodium/crypto_generichash.h>
#include <unistd.h>

#include "common/sha256.h"
#include "common/text.h"

#define CHUNK_BYTES (64u << 10)

void sha256_init(struct sha256 *h)
{
    crypto_hash_sha256_init(&h->state);
}

/* Whole blocks go to the processor's own instructions where it has them. libsodium keeps the start
 * of a block that is not yet full; its state counts bits. */
void sha256_add(struct sha256 *h, const void *data, size_t bytes)
{
    const size_t kept = h->state.count / 8 % SHA256_BLOCK_BYTES;
    const uint8_t *at = data;
    size_t first = kept ? SHA256_BLOCK_BYTES - kept : 0;

    if (bytes >= first + SHA256_BLOCK_BYTES && sha256_is_native()) {
        crypto_hash_sha256_update(&h->state, at, first);
        size_t blocks = (bytes - first) / SHA256_BLOCK_BYTES;
        sha256_compress(h->state.state, at + first, blocks);
        h->state.count += (uint64_t)blocks * SHA256_BLOCK_BYTES * 8;
        at += first + blocks * SHA256_BLOCK_BYTES;
        bytes -= first + blocks * SHA256_BLOCK_BYTES;
    }
    if (bytes > 0)
        crypto_hash_sha256_update(&h->state, at, bytes);
}

void sha256_end(struct sha256 *h, uint8_t out[SHA256_BYTES])
{
    crypto_hash_sha256_final(&h->state, out);
}

void sha256_of(const void *data, size_t bytes, uint8_t out[SHA256_BYTES])
{
    struct sha256 h;

    sha256_init(&h);
    sha256_add(&h, data, bytes);
    sha256_end(&h, out);
}

void sha256_hex_of(const void *data, size_t bytes, char out[SHA256_HEX])
{
    uint8_t digest[SHA256_BYTES];

    sha256_of(data, bytes, digest);
    text_hex(digest, sizeof(digest), out);
}

void blake2b_of(const void *data, size_t bytes, uint8_t out[BLAKE2B_BYTES])
{
    static const uint8_t nothing[1];

    /* Chooses the code for this processor, once; without that it is the portable one. */
    int rc = sodium_init();
    (void)rc;
    crypto_generichash(out, BLAKE2B_BYTES, data ? data : nothing, bytes, NULL, 0);
}

int sha256_file_until(const char *path, const _Atomic bool *stop, uint8_t out[SHA256_BYTES],
                      struct errbuf *why)
{
    unsigned char chunk[CHUNK_BYTES];
    struct sha256 h;
    ssize_t n;
    int rc = 0;

    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        rc = -errno;
        return err_set(why, rc, "cannot open %s: %s", path, err_text(rc));
    }
    sha256_init(&h);
    while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = -errno;
            err_set(why, rc, "cannot read %s: %s", path, err_text(rc));
            goto out;
        }
        sha256_add(&h, chunk, (size_t)n);
        if (stop && *stop) {
            rc = err_set(why, -EINTR, "%s was not read to its end", path);
            goto out;
        }
    }
    sha256_end(&h, out);
out:
    close(fd);
    return rc;
}

int sha256_file(const char *path, uint8_t out[SHA256_BYTES], struct errbuf *why)
{
    return sha256_file_until(path, NULL, out, why);
}
