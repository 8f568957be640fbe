/* The dataset cache of a host: files by SHA-256, shared by its workers (one download a dataset).
 *
 * A file's name is trusted once its content has that hash. The whole file is read when it is opened
 * (a second for 1 to 2 GB on a processor with SHA instructions), and again only when it has changed
 * since. A damaged file or unfinished download is removed and fetched again. Files and folders of
 * other users, and links, are neither used nor touched. */
#ifndef STEPPE_WORKER_CACHE_H
#define STEPPE_WORKER_CACHE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/dataset.h"
#include "common/err.h"
#include "proto/client.h"

#define CACHE_CHECKED 16 /* jobs that take turns have a few datasets */

/* Tells whether a file was changed since it was read. */
struct cache_mark {
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec modified, changed; /* changed: also by a rename */
};

struct cache {
    const char *dir;
    struct {
        char sha256[SHA256_HEX]; /* "": none */
        struct cache_mark mark;
    } checked[CACHE_CHECKED]; /* by this process */
    unsigned next;            /* of checked to be overwritten */
};

/* A dataset that is in use. */
struct cached {
    int fd; /* 0: none; never standard input */
    struct cache_mark mark;
    struct dataset dataset;
};

/* Where the pieces of a dataset come from. */
struct cache_source {
    /* `bytes` bytes from `offset` on: *ret is valid until the next call. 0 or -errno with a
     * sentence. */
    int (*get)(struct cache_source *s, uint64_t offset, uint64_t bytes, const void **ret,
               struct errbuf *why);
    bool anywhere; /* it gives any piece at any time; else only all of them, once, in their order */
};

/* Could dir hold a cache? Makes it when it is missing. 0 or -errno with a sentence. */
int cache_check(const char *dir, struct errbuf *why);

/* Opens the dataset with this hash and size; first pulls what is missing from the server in pieces
 * (continues an earlier download), checks the hash and renames. Waits while another worker of this
 * host downloads it. note: "", or a sentence about a damaged file that was removed. 0; -EINTR when
 * stop was set; -EPERM: a file there is not ours; -EUCLEAN: the server's copy is damaged; else
 * -errno; with a sentence. */
int cache_open(struct cache *c, struct client *client, const char *sha256, uint64_t bytes,
               const _Atomic sig_atomic_t *stop, struct cached *ret, struct errbuf *note,
               struct errbuf *why);
/* The same, from any source. With one that does not give pieces anywhere, a download of another
 * process is not waited for: -EWOULDBLOCK. */
int cache_open_from(struct cache *c, struct cache_source *source, const char *sha256,
                    uint64_t bytes, const _Atomic sig_atomic_t *stop, struct cached *ret,
                    struct errbuf *note, struct errbuf *why);
/* Shows the server that a worker without a result is at work, by asking it for a byte. */
void cache_beat(struct client *client, const char *sha256);

/* Is the file as it was when it was checked? If not, what was computed meanwhile is worthless.
 */
bool cache_unchanged(const struct cached *d);
void cache_close(struct cached *d); /* a zeroed struct is fine */

#endif
