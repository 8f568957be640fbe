/* Uploads: files that arrive in pieces, DIR/datasets/<sha256>.part, until a dataset.commit or a job
 * takes them over. Who sends one, how much of it is there and when it last grew is kept in memory;
 * after a restart the files themselves say it, as far as they can.
 *
 * A complete one that nothing took over goes UPLOAD_IDLE_MS after its last piece, an incomplete one
 * LEFTOVER_DAYS after it. Unfinished uploads of one sender (the name of a key; everybody without
 * one) may take a quarter of what all may take together, in bytes and in number. What one sender
 * brought no other overwrites, shortens or drops. Runs on the loop, but for what says
 * otherwise; now_ms is monotonic time. */
#ifndef STEPPE_SERVER_JOBS_INCOMING_H
#define STEPPE_SERVER_JOBS_INCOMING_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "common/err.h"
#include "common/hash.h"

struct incoming;

struct incoming_from {
    const char *key, *sender; /* name of its key ("": none), UUID of the process */
    const char *what;         /* in the sender's words; "" */
    bool any;                 /* may remove what others send */
};

/* Takes note of the uploads that lie in dir/datasets, which is there. all_bytes: of all together.
 */
void incoming_open(const char *dir, int64_t all_bytes, int64_t now_ms, struct incoming **ret);
void incoming_close(struct incoming *in); /* NULL is fine */

/* Bytes of an upload that are there, after a look at the quotas. -EFBIG: larger than a dataset may
 * be; -EEXIST: it is being sent with another size; -ERANGE: a quota, which the sentence names. */
int incoming_offer(struct incoming *in, const struct incoming_from *from, const char *sha256,
                   int64_t bytes, int64_t *ret_have, struct errbuf *why);
/* Appends a piece; bytes that are there already are skipped. Errors as above; -EAGAIN: it is being
 * taken over. */
int incoming_put(struct incoming *in, const struct incoming_from *from, const char *sha256,
                 int64_t bytes, int64_t offset, const void *piece, size_t piece_bytes,
                 int64_t now_ms, int64_t *ret_have, struct errbuf *why);

/* -ENOENT: it is known that pieces of it are missing. Then its hash is not looked at: it would be
 * dropped for what it is not yet. */
int incoming_whole(const struct incoming *in, const char *sha256, struct errbuf *why);
/* Somebody is about to take it over, or is through with it: meanwhile it does not go. An upload
 * that is not there is fine. released looks at what is left of it: a file that was put back is one
 * that was just complete. */
void incoming_hold(struct incoming *in, const char *sha256);
void incoming_released(struct incoming *in, const char *sha256, int64_t now_ms);

/* Makes an upload the file `path`, when it has that hash. On a lane. -ENOENT: it was not uploaded;
 * -EINVAL: it is another, and was dropped. */
int incoming_take(const char *dir, const char *sha256, const char *path, struct errbuf *why);
/* The same once its hash is known to be right. */
int incoming_rename(const char *dir, const char *sha256, const char *path, struct errbuf *why);
/* Makes the file `path` an upload again. On a lane; a failure is logged. */
void incoming_put_back(const char *dir, const char *sha256, const char *path);

/* upload.list and upload.rm. -ENOENT, -EPERM (somebody else's), -EAGAIN (it is being taken over).
 */
cJSON *incoming_rows(const struct incoming *in, int64_t now_ms);
int incoming_remove(struct incoming *in, const struct incoming_from *from, const char *sha256,
                    struct errbuf *why);

int64_t incoming_bytes(const struct incoming *in);
/* Of those that did not grow for UPLOAD_IDLE_MS. */
int64_t incoming_idle_bytes(const struct incoming *in, int64_t now_ms);
/* Lets those go; returns how many, and their bytes. */
int64_t incoming_drop_idle(struct incoming *in, int64_t now_ms, int64_t *ret_bytes);
/* Lets go of what nobody came back to. */
void incoming_expire(struct incoming *in, int64_t now_ms);
/* Have files lost their names since the last call? Then incoming_clear, on a lane, gives their room
 * back: that of a large one takes its time. */
bool incoming_is_to_clear(struct incoming *in);
void incoming_clear(const char *dir);

#endif
