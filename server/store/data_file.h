/* A dataset's file on the server's disk. Every byte that is handed out was checked against the hash
 * of its piece; a file that has changed is reported, never used. Nothing here maps a file, so a
 * file that becomes shorter, or a disk that fails, is an error and not a signal. */
#ifndef STEPPE_SERVER_STORE_DATA_FILE_H
#define STEPPE_SERVER_STORE_DATA_FILE_H

#include <stdbool.h>

#include "common/bounds.h"
#include "common/err.h"
#include "common/file.h"
#include "common/hash.h"

/* One image costs the hash of one piece, and a file of 1 TiB 128 MiB of hashes. */
#define DATA_PIECE_BYTES (256u << 10)

/* Copied freely; hashes are borrowed from the dataset, which is held meanwhile. */
struct data_file {
    char path[STATE_PATH_BYTES];
    int64_t bytes;
    const uint8_t (*hashes)[BLAKE2B_BYTES]; /* [data_pieces(bytes)]; NULL: not known yet */
};

size_t data_pieces(int64_t bytes);

/* Copies `bytes` bytes from `offset` on, which must lie inside. -EUCLEAN: they have changed, or the
 * file has another size; else -errno of the disk. *ret_bad: where, on failure. */
int data_file_read(const struct data_file *f, uint64_t offset, size_t bytes, void *out,
                   int64_t *ret_bad, struct errbuf *why);
/* Does this error mean that the file is damaged, gone or unreadable? */
bool data_file_is_damage(int rc);

/* As a file_source; bad is where reading failed, -1: nowhere. */
struct data_view {
    struct data_file file;
    int64_t bad;
};
struct file_source data_view_source(struct data_view *v);

/* The SHA-256 of a whole file and the hashes of its pieces, a slice at a time: it may have 1 TiB,
 * and others wait for the same thread. */
struct data_hash;
int data_hash_open(const char *path, struct data_hash **ret, struct errbuf *why);
/* 1: there is more, 0: all of it was read. */
int data_hash_step(struct data_hash *h, struct errbuf *why);
/* Once all of it was read. */
void data_hash_text(const struct data_hash *h, char ret_sha256[SHA256_HEX]);
int64_t data_hash_bytes(const struct data_hash *h);
/* The hashes of the pieces; free() is the caller's. */
uint8_t (*data_hash_pieces(struct data_hash *h))[BLAKE2B_BYTES];
void data_hash_free(struct data_hash *h); /* NULL is fine */
/* All at once; gives up (-EINTR) when *stop is set. stop may be NULL. */
int data_hash_file(const char *path, const _Atomic bool *stop, char ret_sha256[SHA256_HEX],
                   struct errbuf *why);

#endif
