#include "server/store/data_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/text.h"

#define SLICE_BYTES (16u << 20) /* some tens of milliseconds */

size_t data_pieces(int64_t bytes)
{
    return (size_t)((bytes + DATA_PIECE_BYTES - 1) / DATA_PIECE_BYTES);
}

bool data_file_is_damage(int rc)
{
    static const int damages[] = {EUCLEAN, ENOENT, EACCES, EPERM, EIO, ELOOP, ENOTDIR, EISDIR};

    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++)
        if (rc == -damages[i])
            return true;
    return false;
}

/* A regular file; its size goes to ret_bytes. The descriptor or -errno. */
static int open_regular(const char *path, int64_t *ret_bytes, struct errbuf *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;

    if (fd < 0 || fstat(fd, &st) < 0)
        rc = err_set(why, -errno, "it cannot be opened: %s", err_text(-errno));
    else if (!S_ISREG(st.st_mode))
        rc = err_set(why, -EUCLEAN, "it is not a regular file");
    else
        rc = 0;
    if (rc == 0) {
        *ret_bytes = st.st_size;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Exactly so many bytes. */
static int read_at(int fd, uint64_t offset, size_t bytes, void *out, struct errbuf *why)
{
    for (char *at = out; bytes > 0;) {
        ssize_t n = pread(fd, at, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(why, -errno, "it cannot be read: %s", err_text(-errno));
        if (n == 0)
            return err_set(why, -EUCLEAN, "it became shorter");
        at += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* The piece that begins at `at`, into buf. */
static int read_piece(const struct data_file *f, int fd, uint64_t at, size_t bytes, uint8_t *buf,
                      struct errbuf *why)
{
    uint8_t hash[BLAKE2B_BYTES];
    int rc = read_at(fd, at, bytes, buf, why);

    if (rc < 0 || !f->hashes)
        return rc;
    blake2b_of(buf, bytes, hash);
    if (memcmp(hash, f->hashes[at / DATA_PIECE_BYTES], sizeof(hash)) == 0)
        return 0;
    return err_set(why, -EUCLEAN, "its bytes %llu to %llu are not what they were",
                   (unsigned long long)at, (unsigned long long)(at + bytes - 1));
}

static size_t least(uint64_t a, uint64_t b)
{
    return (size_t)(a < b ? a : b);
}

static int read_pieces(const struct data_file *f, int fd, uint64_t offset, size_t bytes, char *out,
                       int64_t *ret_bad, struct errbuf *why)
{
    uint8_t *buf = alloc_bytes(DATA_PIECE_BYTES, 1);
    int rc = buf ? 0 : err_set(why, -ENOMEM, "no memory for a piece of it");

    while (rc == 0 && bytes > 0) {
        uint64_t at = offset - offset % DATA_PIECE_BYTES;
        size_t piece = least(DATA_PIECE_BYTES, (uint64_t)f->bytes - at);
        size_t skip = (size_t)(offset - at), n = least(bytes, piece - skip);
        /* Whole pieces go straight to their place. */
        uint8_t *to = n == piece ? (uint8_t *)out : buf;

        *ret_bad = (int64_t)at;
        rc = read_piece(f, fd, at, piece, to, why);
        if (rc == 0 && to == buf)
            memcpy(out, buf + skip, n);
        offset += n;
        out += n;
        bytes -= n;
    }
    free(buf);
    return rc;
}

int data_file_read(const struct data_file *f, uint64_t offset, size_t bytes, void *out,
                   int64_t *ret_bad, struct errbuf *why)
{
    int64_t size = 0;
    int fd = open_regular(f->path, &size, why), rc = fd < 0 ? fd : 0;

    *ret_bad = (int64_t)offset;
    if (rc == 0 && size != f->bytes)
        rc = err_set(why, -EUCLEAN, "it has %lld bytes instead of %lld", (long long)size,
                     (long long)f->bytes);
    if (rc == 0)
        rc = read_pieces(f, fd, offset, bytes, out, ret_bad, why);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int view_read(void *arg, uint64_t offset, size_t count, void *out, struct errbuf *why)
{
    struct data_view *v = arg;
    int64_t bad;
    int rc = data_file_read(&v->file, offset, count, out, &bad, why);

    if (rc < 0)
        v->bad = bad;
    return rc;
}

struct file_source data_view_source(struct data_view *v)
{
    v->bad = -1;
    return (struct file_source){.bytes = (uint64_t)v->file.bytes, .read = view_read, .arg = v};
}

/* --- the whole file --- */

struct data_hash {
    int fd;
    int64_t bytes, at;
    struct sha256 sha256;
    uint8_t digest[SHA256_BYTES];
    uint8_t (*hashes)[BLAKE2B_BYTES];
    uint8_t *buf; /* [DATA_PIECE_BYTES] */
};

int data_hash_open(const char *path, struct data_hash **ret, struct errbuf *why)
{
    int64_t bytes = 0;
    int fd = open_regular(path, &bytes, why);

    if (fd < 0)
        return fd;
    struct data_hash *h = xcalloc(1, sizeof(*h));
    h->fd = fd;
    h->bytes = bytes;
    h->buf = alloc_bytes(DATA_PIECE_BYTES, 1);
    h->hashes = alloc_bytes(data_pieces(bytes) + 1, BLAKE2B_BYTES);
    sha256_init(&h->sha256);
    if ((uint64_t)bytes <= DATASET_BYTES_MAX && h->buf && h->hashes) {
        *ret = h;
        return 0;
    }
    data_hash_free(h);
    return (uint64_t)bytes > DATASET_BYTES_MAX
               ? err_set(why, -EUCLEAN, "it has %lld bytes, allowed is at most %llu",
                         (long long)bytes, (unsigned long long)DATASET_BYTES_MAX)
               : err_set(why, -ENOMEM, "no memory for its hashes");
}

int data_hash_step(struct data_hash *h, struct errbuf *why)
{
    int64_t end = h->at + SLICE_BYTES < h->bytes ? h->at + SLICE_BYTES : h->bytes;

    while (h->at < end) {
        size_t n = least(DATA_PIECE_BYTES, (uint64_t)(h->bytes - h->at));
        int rc = read_at(h->fd, (uint64_t)h->at, n, h->buf, why);

        if (rc < 0)
            return rc;
        sha256_add(&h->sha256, h->buf, n);
        blake2b_of(h->buf, n, h->hashes[h->at / DATA_PIECE_BYTES]);
        h->at += (int64_t)n;
    }
    if (h->at < h->bytes)
        return 1;
    sha256_end(&h->sha256, h->digest);
    return 0;
}

void data_hash_text(const struct data_hash *h, char ret_sha256[SHA256_HEX])
{
    text_hex(h->digest, sizeof(h->digest), ret_sha256);
}

int64_t data_hash_bytes(const struct data_hash *h)
{
    return h->bytes;
}

uint8_t (*data_hash_pieces(struct data_hash *h))[BLAKE2B_BYTES]
{
    uint8_t(*hashes)[BLAKE2B_BYTES] = h->hashes;

    h->hashes = NULL;
    return hashes;
}

void data_hash_free(struct data_hash *h)
{
    if (!h)
        return;
    close(h->fd);
    free(h->buf);
    free(h->hashes);
    free(h);
}

int data_hash_file(const char *path, const _Atomic bool *stop, char ret_sha256[SHA256_HEX],
                   struct errbuf *why)
{
    struct data_hash *h = NULL;
    int rc = data_hash_open(path, &h, why);

    if (rc == 0)
        while ((rc = data_hash_step(h, why)) == 1)
            if (stop && *stop) {
                rc = -EINTR;
                break;
            }
    if (rc == 0)
        data_hash_text(h, ret_sha256);
    data_hash_free(h);
    return rc;
}
