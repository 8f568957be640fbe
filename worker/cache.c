/* A worker that downloads a file or removes a damaged one holds the lock of SHA.part; the others
 * wait and look again. A removed file only loses its name: workers that have mapped it and found it
 * whole keep it. */
#include "worker/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/own.h"
#include "common/text.h"
#include "worker/talk.h"

#define PIECE_MS 30000
#define READ_BYTES ((size_t)1 << 20)
#define BEAT_MS 5000 /* the server gives a node to another worker when this one is silent */

/* One call of cache_open. */
struct search {
    struct cache *cache;
    struct cache_source *source;
    const _Atomic sig_atomic_t *stop;
    const char *sha256;
    uint64_t bytes;
    int dir;
    char name[SHA256_HEX + 16], part[SHA256_HEX + 16];
    struct cache_mark mark; /* of the file that was checked last, before the check */
    struct cache_mark bad;  /* of a file of that name that was found damaged */
    char what[300];         /* is wrong with it */
    struct errbuf *note;
};

static struct cache_mark mark_of(const struct stat *st)
{
    return (struct cache_mark){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_content(const struct cache_mark *a, const struct cache_mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
           same_time(&a->modified, &b->modified);
}

static bool same_mark(const struct cache_mark *a, const struct cache_mark *b)
{
    return same_content(a, b) && same_time(&a->changed, &b->changed);
}

/* --- does the content match the name? --- */

static bool is_checked(const struct search *s, const struct cache_mark *mark)
{
    for (int i = 0; i < CACHE_CHECKED; i++)
        if (strcmp(s->cache->checked[i].sha256, s->sha256) == 0 &&
            same_mark(&s->cache->checked[i].mark, mark))
            return true;
    return false;
}

static void note_checked(struct search *s, const struct cache_mark *mark)
{
    if (is_checked(s, mark))
        return;
    unsigned at = s->cache->next++ % CACHE_CHECKED;

    snprintf(s->cache->checked[at].sha256, SHA256_HEX, "%s", s->sha256);
    s->cache->checked[at].mark = *mark;
}

static int get_piece(const struct search *s, uint64_t offset, uint64_t bytes, const void **ret,
                     struct errbuf *why)
{
    return s->source->get(s->source, offset, bytes, ret, why);
}

/* A large file takes longer to read, or to come, than a lease lasts: one byte shows that we are
 * still at work. */
static void beat(const struct search *s, int64_t *io_ms)
{
    const void *byte;

    if (!s->source->anywhere || clock_mono_ms() - *io_ms < BEAT_MS)
        return;
    get_piece(s, 0, 1, &byte, NULL);
    *io_ms = clock_mono_ms();
}

/* The file's hash. 0, -EINTR, or -errno of read. */
static int read_through(const struct search *s, int fd, char hex[SHA256_HEX])
{
    int64_t heard_ms = clock_mono_ms();
    uint8_t digest[SHA256_BYTES];
    struct sha256 h;
    uint64_t at = 0;
    int rc = 0;
    char *chunk = xmalloc(READ_BYTES);

    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    sha256_init(&h);
    for (;;) {
        ssize_t n = pread(fd, chunk, READ_BYTES, (off_t)at);

        if (n < 0 && errno == EINTR && !(s->stop && *s->stop))
            continue;
        if (n < 0)
            rc = -errno;
        if (n <= 0)
            break;
        sha256_add(&h, chunk, (size_t)n);
        at += (uint64_t)n;
        if (s->stop && *s->stop) {
            rc = -EINTR;
            break;
        }
        beat(s, &heard_ms);
    }
    free(chunk);
    sha256_end(&h, digest);
    text_hex(digest, sizeof(digest), hex);
    return rc;
}

/* 0; -EUCLEAN: it does not match, and s->what says why; -EINTR. */
static int check(struct search *s, int fd, const struct stat *st)
{
    char hex[SHA256_HEX];

    s->mark = mark_of(st);
    if (st->st_mode & (S_IWGRP | S_IWOTH)) {
        snprintf(s->what, sizeof(s->what), "may be written by others (mode %03o)",
                 (unsigned)(st->st_mode & 0777));
        return -EUCLEAN;
    }
    if ((uint64_t)st->st_size != s->bytes) {
        snprintf(s->what, sizeof(s->what), "has %lld bytes instead of %llu", (long long)st->st_size,
                 (unsigned long long)s->bytes);
        return -EUCLEAN;
    }
    if (is_checked(s, &s->mark))
        return 0;
    int rc = read_through(s, fd, hex);
    if (rc == -EINTR)
        return rc;
    if (rc < 0) {
        snprintf(s->what, sizeof(s->what), "cannot be read (%s)", err_text(rc));
        return -EUCLEAN;
    }
    if (strcmp(hex, s->sha256) == 0)
        return 0;
    snprintf(s->what, sizeof(s->what), "has SHA-256 %.16s... instead", hex);
    return -EUCLEAN;
}

/* Opens the file if it exists and is whole. 0; -ENOENT; -EUCLEAN: it is damaged, as s->bad and
 * s->what say; -EINTR, or -errno with a sentence. */
static int find(struct search *s, int *ret_fd, struct errbuf *why)
{
    struct stat st;
    int rc, fd = own_file(s->dir, s->cache->dir, s->name, O_RDONLY, &st, why);

    if (fd < 0)
        return fd;
    const struct cache_mark mark = mark_of(&st);
    rc = same_mark(&mark, &s->bad) ? -EUCLEAN : check(s, fd, &st);
    if (rc == 0) {
        note_checked(s, &mark);
        *ret_fd = fd;
        return 0;
    }
    if (rc == -EUCLEAN)
        s->bad = mark;
    close(fd);
    return rc;
}

/* Said once, in the log and to the owner of the job. */
static void tell(const struct search *s, const char *file, const char *then)
{
    log_warn("cache.damaged", "file=%s/%s what=\"%s\" then=\"%s\"", s->cache->dir, file, s->what,
             then);
    err_set(s->note, 0, "%s/%s %s: %s", s->cache->dir, file, s->what, then);
}

/* --- downloads --- */

static int pull_piece(const struct search *s, uint64_t offset, uint64_t bytes, int fd,
                      struct errbuf *why)
{
    const void *piece;
    int rc = get_piece(s, offset, bytes, &piece, why);

    if (rc < 0)
        return rc;
    rc = file_write_at(fd, piece, bytes, offset);
    return rc < 0 ? err_set(why, rc, "cannot keep a piece of dataset %.16s...: %s", s->sha256,
                            err_text(rc))
                  : 0;
}

/* Fetches everything from `have` on, where the file ends. */
static int pull_rest(const struct search *s, uint64_t have, int fd, struct errbuf *why)
{
    int rc = 0;

    log_info("dataset.pull", "sha256=%s have=%llu bytes=%llu", s->sha256, (unsigned long long)have,
             (unsigned long long)s->bytes);
    while (rc == 0 && have < s->bytes) {
        uint64_t n = s->bytes - have < PIECE_BYTES_MAX ? s->bytes - have : PIECE_BYTES_MAX;

        rc = pull_piece(s, have, n, fd, why);
        have += n;
    }
    if (rc == 0 && fsync(fd) < 0)
        rc = err_set(why, -errno, "cannot keep dataset %.16s...: %s", s->sha256, err_text(-errno));
    return rc;
}

/* Fills the part file; begins anew when its old content was damaged. -EUCLEAN: what came is
 * damaged. */
static int download(struct search *s, int fd, struct errbuf *why)
{
    struct stat st;
    uint64_t have;
    int rc;

    do {
        if (fstat(fd, &st) < 0)
            return err_set(why, -errno, "cannot look at a download: %s", err_text(-errno));
        have = s->source->anywhere && (uint64_t)st.st_size <= s->bytes ? (uint64_t)st.st_size : 0;
        if (have == 0 && ftruncate(fd, 0) < 0)
            return err_set(why, -errno, "cannot empty a download: %s", err_text(-errno));
        rc = pull_rest(s, have, fd, why);
        if (rc < 0)
            return rc;
        if (fstat(fd, &st) < 0)
            return err_set(why, -errno, "cannot look at a download: %s", err_text(-errno));
        rc = check(s, fd, &st);
        if (rc != -EUCLEAN)
            return rc;
        if (have > 0) {
            tell(s, s->part, "this download starts anew");
            rc = ftruncate(fd, 0) < 0 ? -errno : 0;
        }
    } while (have > 0 && rc == 0);
    if (rc == -EUCLEAN)
        err_set(why, rc, "what the server sent as dataset %.16s... %s: its copy is damaged",
                s->sha256, s->what);
    return rc;
}

/* Waits for the lock of the part file, so that one worker of a host downloads. */
static int lock_file(const struct search *s, int fd, struct errbuf *why)
{
    const struct timespec pause = {.tv_nsec = 200000000};
    int64_t heard_ms = clock_mono_ms();

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK && !s->source->anywhere)
            return -EWOULDBLOCK;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_set(why, -errno, "cannot lock %s/%s: %s", s->cache->dir, s->part,
                           err_text(-errno));
        if (s->stop && *s->stop)
            return -EINTR;
        beat(s, &heard_ms);
        nanosleep(&pause, NULL);
    }
    return 0;
}

/* Is the part file still this one? The last owner of its lock may have given it its final name, or
 * removed it: then the lock is not for this one. */
static bool is_part(const struct search *s, const struct stat *st)
{
    struct stat now;

    return fstatat(s->dir, s->part, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == st->st_ino &&
           now.st_dev == st->st_dev;
}

/* The part file, locked; made when it is missing. A file that has a second name, or that others may
 * write, is not written to: it loses this name. */
static int lock_part(const struct search *s, struct errbuf *why)
{
    for (;;) {
        struct stat st;
        int rc, fd = own_file(s->dir, s->cache->dir, s->part, O_RDWR | O_CREAT, &st, why);

        if (fd < 0)
            return fd;
        rc = lock_file(s, fd, why);
        if (rc == 0 && is_part(s, &st)) {
            if (st.st_nlink == 1 && !(st.st_mode & (S_IWGRP | S_IWOTH)))
                return fd;
            if (unlinkat(s->dir, s->part, 0) < 0)
                rc = err_set(why, -errno, "cannot remove %s/%s: %s", s->cache->dir, s->part,
                             err_text(-errno));
        }
        close(fd);
        if (rc < 0)
            return rc;
    }
}

/* With the lock: looks for the file again, removes a damaged one, fetches a missing one. part:
 * closed, or returned as *ret_fd. */
static int fetch(struct search *s, int part, int *ret_fd, struct errbuf *why)
{
    struct stat st;
    int rc = find(s, ret_fd, why);

    if (rc == -EUCLEAN) {
        tell(s, s->name, "it is removed and fetched again");
        rc = unlinkat(s->dir, s->name, 0) < 0 ? -errno : -ENOENT;
        if (rc != -ENOENT)
            err_set(why, rc, "cannot remove the damaged %s/%s: %s", s->cache->dir, s->name,
                    err_text(rc));
    }
    if (rc != -ENOENT) { /* another worker was faster, or it failed */
        if (rc == 0)
            unlinkat(s->dir, s->part, 0);
        close(part);
        return rc;
    }
    rc = download(s, part, why);
    if (rc == 0 && (renameat(s->dir, s->part, s->dir, s->name) < 0 || fstat(part, &st) < 0))
        rc = err_set(why, -errno, "cannot rename %s/%s: %s", s->cache->dir, s->part,
                     err_text(-errno));
    if (rc < 0) {
        if (rc == -EUCLEAN)
            unlinkat(s->dir, s->part, 0);
        close(part);
        return rc;
    }
    const struct cache_mark mark = mark_of(&st); /* the rename has changed it */
    if (same_content(&mark, &s->mark))
        note_checked(s, &mark);
    flock(part, LOCK_UN); /* a map would hold it */
    *ret_fd = part;
    return 0;
}

int cache_check(const char *dir, struct errbuf *why)
{
    int fd = own_folder(dir, why);

    if (fd >= 0)
        close(fd);
    return fd < 0 ? fd : 0;
}

int cache_open_from(struct cache *c, struct cache_source *source, const char *sha256,
                    uint64_t bytes, const _Atomic sig_atomic_t *stop, struct cached *ret,
                    struct errbuf *note, struct errbuf *why)
{
    struct search s = {.cache = c,
                       .source = source,
                       .stop = stop,
                       .sha256 = sha256,
                       .bytes = bytes,
                       .dir = own_folder(c->dir, why),
                       .note = note};
    struct cached d = {0};
    int fd = -1, rc;

    note->text[0] = '\0';
    if (s.dir < 0)
        return s.dir;
    snprintf(s.name, sizeof(s.name), "%s.safetensors", sha256);
    snprintf(s.part, sizeof(s.part), "%s.part", sha256);
    rc = find(&s, &fd, why);
    if (rc == -ENOENT || rc == -EUCLEAN) {
        rc = lock_part(&s, why);
        if (rc >= 0)
            rc = fetch(&s, rc, &fd, why);
    }
    close(s.dir);
    if (rc < 0)
        return rc;
    char *path = xasprintf("%s/%s", c->dir, s.name);
    rc = dataset_map(fd, path, &d.dataset, why);
    if (rc == 0 && d.dataset.manifest) {
        dataset_close(&d.dataset);
        rc = err_set(why, -EINVAL, "%s is a manifest, which has no pictures", path);
    }
    free(path);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    d.fd = fd;
    d.mark = s.mark; /* a change during the read counts as a change */
    *ret = d;
    return 0;
}

/* --- the server --- */

struct served {
    struct cache_source source;
    struct client *client;
    const char *sha256;
    struct message last; /* holds the piece that was got */
};

static int get_served(struct cache_source *source, uint64_t offset, uint64_t bytes,
                      const void **ret, struct errbuf *why)
{
    struct served *s = (struct served *)source;
    cJSON *request = cJSON_CreateObject();
    enum error_code code = ERR_INTERNAL;
    const uint64_t shape[1] = {bytes};
    const struct tensor *piece;

    message_done(&s->last);
    s->last = (struct message){0};
    cJSON_AddStringToObject(request, "sha256", s->sha256);
    cJSON_AddNumberToObject(request, "offset", (double)offset);
    cJSON_AddNumberToObject(request, "bytes", (double)bytes);
    int rc = client_call(s->client, MSG_DATASET_GET, request, NULL, 0, PIECE_MS, 0, &s->last, &code,
                         why);
    cJSON_Delete(request);
    if (rc < 0)
        return talk_refusal(rc, code);
    rc = message_tensor(&s->last, "piece", DTYPE_U8, 1, shape, &piece, why);
    if (rc == 0)
        *ret = piece->data;
    return rc;
}

static struct served serve(struct client *client, const char *sha256)
{
    return (struct served){
        .source = {.get = get_served, .anywhere = true}, .client = client, .sha256 = sha256};
}

int cache_open(struct cache *c, struct client *client, const char *sha256, uint64_t bytes,
               const _Atomic sig_atomic_t *stop, struct cached *ret, struct errbuf *note,
               struct errbuf *why)
{
    struct served s = serve(client, sha256);
    int rc = cache_open_from(c, &s.source, sha256, bytes, stop, ret, note, why);

    message_done(&s.last);
    return rc;
}

void cache_beat(struct client *client, const char *sha256)
{
    struct served s = serve(client, sha256);
    const void *byte;

    s.source.get(&s.source, 0, 1, &byte, NULL);
    message_done(&s.last);
}

bool cache_unchanged(const struct cached *d)
{
    struct stat st;

    if (fstat(d->fd, &st) < 0)
        return false;
    const struct cache_mark mark = mark_of(&st);
    return same_content(&mark, &d->mark);
}

void cache_close(struct cached *d)
{
    dataset_close(&d->dataset);
    if (d->fd > 0)
        close(d->fd);
    *d = (struct cached){0};
}
