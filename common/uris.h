/* The names of the samples of a dataset: the uri of each, what people know it by. For a picture the
 * path of its file below the imported folder, "dog/1.jpg"; for an image in a file with many
 * FILE[index], "train-images-idx3-ubyte[17]".
 *
 * A uri is 1 to URI_BYTES_MAX bytes of UTF-8 without a 0, and otherwise as the file system has it,
 * control characters and all. A path may have bytes that are not UTF-8: byte b of them, 0x80 to
 * 0xff, is kept as the character U+EF00 + b. So are the bytes of those characters themselves, so
 * that uri_path gives back the bytes of any path.
 *
 * Names are not part of a dataset's file, and its SHA-256 does not depend on them, but for that of
 * a manifest, which has no pixels that tell samples apart: it says what hash they have. They have a
 * file of their own, safetensors again: U64 ends [N] and U8 bytes, where uri i ends at ends[i] and
 * begins where the one before it ends; test_ends and test_bytes likewise. Metadata: format =
 * "steppe-names-1", dataset = the SHA-256 of the dataset's file. */
#ifndef STEPPE_COMMON_URIS_H
#define STEPPE_COMMON_URIS_H

#include <stddef.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/err.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/safetensors.h"

/* In sample order; a zeroed struct is empty. */
struct uris {
    char *bytes;
    uint64_t *ends; /* [count] */
    uint64_t used, room;
    uint32_t count, ends_room;
};

/* Appends the uri of a path of any bytes. -EINVAL: it is empty or becomes longer than
 * URI_BYTES_MAX. */
int uris_add(struct uris *u, const char *path, struct errbuf *why);
/* Borrowed and not 0-terminated; i < count. */
const char *uris_at(const struct uris *u, uint32_t i, size_t *ret_bytes);
void uris_done(struct uris *u);
/* What a manifest says of the names of its samples: the SHA-256, in hex, of each uri with a 0
 * behind it, those of the training samples first. */
void uris_digest(const struct uris *train, const struct uris *test, char ret[SHA256_HEX]);
/* The same in parts: all of u, in order. */
void uris_hash(const struct uris *u, struct sha256 *io_hash);

/* The uri of a path, 0-terminated. -EINVAL. */
int uri_of_path(const char *path, char ret[URI_BYTES_MAX + 1], struct errbuf *why);
/* The path of a uri: at most as many bytes as it has, and a 0. Returns how many. */
size_t uri_path(const char *uri, size_t bytes, char *ret);
/* Is it one? 0 or -EINVAL; the sentence calls it `called`. */
int uri_check(const char *called, const char *uri, size_t bytes, struct errbuf *why);

/* Writes the names file of the dataset with this SHA-256; its own goes to ret_sha256. 0 or
 * -errno. */
int uris_write(const char *path, const char *dataset_sha256, const struct uris *train,
               const struct uris *test, char ret_sha256[SHA256_HEX], struct errbuf *why);

/* A names file that somebody else reads, piece by piece. */
struct uris_file {
    struct safetensors file;
    const struct file_source *from; /* borrowed */
    char dataset_sha256[SHA256_HEX];
    struct {
        uint32_t count;
        uint64_t bytes, ends_at, bytes_at; /* offsets in the file */
    } splits[2];                           /* training and test */
};
/* Reads and checks everything but the names. 0, -EINVAL, -ENOMEM or as from->read. */
int uris_open(const struct file_source *from, struct uris_file *ret, struct errbuf *why);
/* The uris [first, first + count) of a split, checked; released with uris_done. Errors as above. */
int uris_read(const struct uris_file *f, int split, uint32_t first, uint32_t count,
              struct uris *ret, struct errbuf *why);
void uris_close(struct uris_file *f); /* a zeroed struct is fine */

#endif
