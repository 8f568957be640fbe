/* Uploads: files that arrive in pieces, DIR/datasets/<sha256>.part, or <sha256>.<key>.part where
 * the sender has a key, until a dataset.commit or a job takes them over. Each key has its own: what
 * another one sends under the same hash neither spoils it nor helps it. How much of it has come and
 * when it last grew are kept in memory; after a restart they are taken from the files, as far as
 * possible.
 *
 * A complete one that nothing uses is dropped UPLOAD_IDLE_MS after its last piece, an
 * incomplete one after LEFTOVER_DAYS. Unfinished uploads of one sender (the name of a key;
 * everybody without one) may take a quarter of what all may take together, in bytes and in number.
 * Runs on the loop unless stated
 * otherwise; now_ms is monotonic time. */
#ifndef STEPPE_SERVER_JOBS_INCOMING_H
#define STEPPE_SERVER_JOBS_INCOMING_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "common/bounds.h"
#include "common/err.h"
#include "common/hash.h"

struct incoming;

struct incoming_from {
    const char *key, *sender; /* name of its key ("": none), UUID of the process */
    const char *what;         /* in the sender's words; "" */
    bool any;                 /* may remove others' uploads */
};

/* Finds the uploads in dir/datasets, which must exist. all_bytes: of all together.
 */
void incoming_open(const char *dir, int64_t all_bytes, int64_t now_ms, struct incoming **ret);
void incoming_close(struct incoming *in); /* NULL is fine */

/* How many bytes of an upload have come, after checking the quotas. -EFBIG: larger than a dataset
 * may be; -EEXIST: it is being sent with another size; -ERANGE: a quota, named in the sentence. */
int incoming_offer(struct incoming *in, const struct incoming_from *from, const char *sha256,
                   int64_t bytes, int64_t *ret_have, struct errbuf *why);

/* A piece of an upload: bytes that have already come are skipped. */
struct incoming_piece {
    char key[NAME_MAX_BYTES], sha256[SHA256_HEX]; /* key: by incoming_put_begin */
    int64_t bytes, offset;                        /* of the whole upload, of the piece in it */
    const void *data;                             /* [data_bytes], borrowed */
    size_t data_bytes;
    int64_t have; /* of the upload, with this piece */
    bool writes;  /* there is something new in it: incoming_put_write, then incoming_put_end */
};
/* Judges a piece. Errors as above; -EAGAIN: it is being taken over, or another piece of it is being
 * written. */
int incoming_put_begin(struct incoming *in, const struct incoming_from *from,
                       struct incoming_piece *io, int64_t now_ms, struct errbuf *why);
/* Appends it to the file; on a lane. */
int incoming_put_write(const char *dir, const struct incoming_piece *piece, struct errbuf *why);
/* rc is that of the writing. */
void incoming_put_end(struct incoming *in, const struct incoming_piece *piece, int rc,
                      int64_t now_ms);

/* The functions below are about the upload that came with this key; "": without one. */

/* -ENOENT: pieces of it are known to be missing. Then its hash must not be checked: it would be
 * dropped only for being incomplete. */
int incoming_whole(const struct incoming *in, const char *key, const char *sha256,
                   struct errbuf *why);
/* Between the two somebody takes the upload over, and it is not dropped. A missing upload is fine.
 * released checks what is left of it: a file that was put back counts as just completed. */
void incoming_hold(struct incoming *in, const char *key, const char *sha256);
void incoming_released(struct incoming *in, const char *key, const char *sha256, int64_t now_ms);

/* Turns an upload into the file `path` if it has that hash. On a lane. -ENOENT: it was not
 * uploaded; -EINVAL: it is another, and was dropped; -ESHUTDOWN: *stop was set. */
int incoming_take(const char *dir, const _Atomic bool *stop, const char *key, const char *sha256,
                  const char *path, struct errbuf *why);
/* The same when its hash is known to be right. */
int incoming_rename(const char *dir, const char *key, const char *sha256, const char *path,
                    struct errbuf *why);
/* Turns the file `path` into an upload again. On a lane; a failure is logged. */
void incoming_put_back(const char *dir, const char *key, const char *sha256, const char *path);

/* upload.list and upload.rm: one's own, or with from->any that of whoever sent it. -ENOENT, -EPERM
 * (somebody else's), -EAGAIN (it is being written or taken over). */
cJSON *incoming_rows(const struct incoming *in, int64_t now_ms);
int incoming_remove(struct incoming *in, const struct incoming_from *from, const char *sha256,
                    struct errbuf *why);

/* How much of an upload has come; 0: there is none. */
int64_t incoming_have(const struct incoming *in, const char *key, const char *sha256);
int64_t incoming_bytes(const struct incoming *in);
/* Of one key, or NULL: of all; of each upload. */
int64_t incoming_bytes_of(const struct incoming *in, const char *key);
void incoming_bytes_each(const struct incoming *in,
                         void (*each)(void *arg, const char *key, int64_t bytes), void *arg);
int64_t incoming_bytes_max_of_one(const struct incoming *in);
/* The uploads that did not grow for UPLOAD_IDLE_MS. */
int64_t incoming_idle_bytes(const struct incoming *in, int64_t now_ms);
/* Drops those; returns how many, and their bytes. */
int64_t incoming_drop_idle(struct incoming *in, int64_t now_ms, int64_t *ret_bytes);
/* Drops abandoned uploads. */
void incoming_expire(struct incoming *in, int64_t now_ms);
/* Have files lost their names since the last call? Then incoming_clear, on a lane, frees their
 * space: that of a large one takes a while. */
bool incoming_is_to_clear(struct incoming *in);
/* What is left when *stop is set, the next start removes. */
void incoming_clear(const char *dir, const _Atomic bool *stop);

#endif
