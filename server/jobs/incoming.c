/* A dropped file loses its name at once (<sha256>.gone) and its space later, on a lane. */
#define _GNU_SOURCE
#include "server/jobs/incoming.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/safetensors.h"
#include "common/text.h"
#include "server/store/state_dir.h"

#define DAY_MS INT64_C(86400000)
#define LOOK_MS 1000

struct upload {
    char sha256[SHA256_HEX];
    char key[NAME_MAX_BYTES], sender[UUID_BYTES], what[NAME_MAX_BYTES]; /* "" : not known */
    int64_t bytes, have;                                                /* bytes 0: not known */
    int64_t first_ms, last_ms;                                          /* of its pieces */
    unsigned held;
    bool writing; /* a piece, on a lane */
    struct upload *next;
};

struct incoming {
    char dir[STATE_DIR_BYTES];
    int64_t all_bytes, look_ms;
    struct upload *list;
    bool to_clear;
};

static int64_t size_of(const struct incoming *in, const char *key, const char *sha256)
{
    char path[STATE_PATH_BYTES];
    struct stat st;

    state_dir_upload(path, in->dir, key, sha256);
    return stat(path, &st) == 0 ? st.st_size : -1;
}

static struct upload *find(const struct incoming *in, const char *key, const char *sha256)
{
    struct upload *u = in->list;

    while (u && (strcmp(u->sha256, sha256) != 0 || strcmp(u->key, key) != 0))
        u = u->next;
    return u;
}

static struct upload *add(struct incoming *in, const char *key, const char *sha256, int64_t now_ms)
{
    struct upload *u = xcalloc(1, sizeof(*u));

    snprintf(u->key, sizeof(u->key), "%s", key);
    snprintf(u->sha256, sizeof(u->sha256), "%s", sha256);
    u->first_ms = u->last_ms = now_ms;
    u->next = in->list;
    in->list = u;
    return u;
}

static void forget(struct incoming *in, struct upload *u)
{
    struct upload **at = &in->list;

    while (*at != u)
        at = &(*at)->next;
    *at = u->next;
    free(u);
}

/* --- uploads in the folder --- */

static int plain_read(void *arg, uint64_t offset, size_t count, void *out, struct errbuf *why)
{
    ssize_t n = pread(*(int *)arg, out, count, (off_t)offset);

    return n == (ssize_t)count ? 0 : err_set(why, -EIO, "it cannot be read");
}

/* What a complete safetensors file says about itself. */
static bool is_complete(const char *path, int64_t bytes)
{
    struct safetensors st = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const struct file_source from = {
        .bytes = (uint64_t)bytes, .read = plain_read, .arg = (void *)&fd};
    bool complete = fd >= 0 && safetensors_read(&from, &st, NULL) == 0;

    safetensors_close(&st);
    if (fd >= 0)
        close(fd);
    return complete;
}

static void note_file(struct incoming *in, const char *name, int64_t now_ms)
{
    char path[STATE_PATH_BYTES], key[NAME_MAX_BYTES], sha256[SHA256_HEX];
    struct stat st;

    if (!state_dir_is_upload(name, key, sha256))
        return;
    state_dir_upload(path, in->dir, key, sha256);
    if (stat(path, &st) != 0)
        return;
    struct upload *u = add(in, key, sha256, now_ms);
    u->have = st.st_size;
    if (is_complete(path, u->have)) {
        u->bytes = u->have; /* a sender that waited for the server gets its full time from here */
        return;
    }
    int64_t idle_ms = clock_unix_ms() - (int64_t)st.st_mtim.tv_sec * 1000;
    u->first_ms = u->last_ms = now_ms - (idle_ms > 0 ? idle_ms : 0);
}

void incoming_open(const char *dir, int64_t all_bytes, int64_t now_ms, struct incoming **ret)
{
    struct incoming *in = xcalloc(1, sizeof(*in));
    char path[STATE_PATH_BYTES];
    struct dirent *entry;

    snprintf(in->dir, sizeof(in->dir), "%s", dir);
    in->all_bytes = all_bytes;
    in->to_clear = true; /* what the last run was about to do */
    state_dir_folder(path, dir, STATE_DATASETS);
    DIR *folder = opendir(path);
    while (folder && (entry = readdir(folder)) != NULL)
        note_file(in, entry->d_name, now_ms);
    if (folder)
        closedir(folder);
    *ret = in;
}

void incoming_close(struct incoming *in)
{
    if (!in)
        return;
    while (in->list)
        forget(in, in->list);
    free(in);
}

/* --- arriving --- */

static int check_size(int64_t bytes, struct errbuf *why)
{
    if (bytes < 1 || (uint64_t)bytes > DATASET_BYTES_MAX)
        return err_set(why, -EFBIG, "the dataset has %lld bytes, allowed is 1 to %llu",
                       (long long)bytes, (unsigned long long)DATASET_BYTES_MAX);
    return 0;
}

/* Would an upload of so many bytes exceed a quota? Others count with the bytes sent so far, this
 * one with its whole size: better to refuse it before it is sent than near its end. */
static int check_quotas(const struct incoming *in, const struct incoming_from *from,
                        const char *sha256, int64_t bytes, struct errbuf *why)
{
    char need[TEXT_F64_BYTES], has[TEXT_F64_BYTES], limit[TEXT_F64_BYTES];
    const struct upload *same = find(in, from->key, sha256);
    const char *key = from->key;
    int64_t own = 0, all = 0, own_max = in->all_bytes / 4, own_count = 0, count = 0;

    for (const struct upload *u = in->list; u; u = u->next) {
        if (u == same)
            continue;
        all += u->have;
        count++;
        if (strcmp(u->key, key) != 0)
            continue;
        own += u->have;
        own_count++;
    }
    if (count >= UPLOADS_KEPT_MAX)
        return err_set(why, -ERANGE,
                       "the server holds %lld unused uploads, allowed is %d; steppe uploads "
                       "lists and removes them",
                       (long long)count, UPLOADS_KEPT_MAX);
    if (own_count >= UPLOADS_KEPT_MAX / 4)
        return err_set(why, -ERANGE,
                       "the server holds %lld unused uploads of this sender, allowed is %d; "
                       "steppe uploads lists and removes them",
                       (long long)own_count, UPLOADS_KEPT_MAX / 4);
    text_of_bytes(bytes, need);
    if (bytes > own_max - own)
        return err_set(
            why, -ERANGE,
            "the upload has %s, this sender's other unused uploads have %s, and one sender's "
            "quota is %s (a quarter of the server's --max-uploads); steppe "
            "uploads lists and removes them",
            need, text_of_bytes(own, has), text_of_bytes(own_max, limit));
    if (bytes > in->all_bytes - all)
        return err_set(why, -ERANGE,
                       "the upload has %s, all other unused uploads have %s, and the quota "
                       "of all together is %s (the server's --max-uploads); steppe uploads "
                       "lists and removes them",
                       need, text_of_bytes(all, has), text_of_bytes(in->all_bytes, limit));
    return 0;
}

/* A hash stands for one content, so one of two sizes is wrong: the upload is not overwritten, and
 * does not count as complete sooner. */
static int check_claim(const struct incoming *in, const char *key, const char *sha256, int64_t size,
                       int64_t bytes, struct errbuf *why)
{
    const struct upload *u = find(in, key, sha256);
    int64_t known = u ? u->bytes : 0;

    if (!u || size < 1 || (known ? bytes == known : bytes >= size))
        return 0;
    return err_set(why, -EEXIST,
                   "upload %.16s... %s %lld bytes, not %lld, and a hash stands for one content; "
                   "steppe uploads lists it, and its sender or an administrator may remove it",
                   sha256, known ? "is to have" : "has", (long long)(known ? known : size),
                   (long long)bytes);
}

int incoming_offer(struct incoming *in, const struct incoming_from *from, const char *sha256,
                   int64_t bytes, int64_t *ret_have, struct errbuf *why)
{
    int64_t size = size_of(in, from->key, sha256);
    int rc = check_size(bytes, why);

    if (rc == 0)
        rc = check_claim(in, from->key, sha256, size, bytes, why);
    if (rc == 0)
        rc = check_quotas(in, from, sha256, bytes, why);
    if (rc < 0)
        return rc;
    *ret_have = size >= 0 && size <= bytes ? size : 0;
    return 0;
}

int incoming_put_write(const char *dir, const struct incoming_piece *piece, struct errbuf *why)
{
    char path[STATE_PATH_BYTES];

    state_dir_upload(path, dir, piece->key, piece->sha256);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    int rc = fd < 0 ? -errno
                    : file_write_at(fd, piece->data, piece->data_bytes, (uint64_t)piece->offset);
    /* Else the last fsync would wait for all that was sent. */
    if (rc == 0)
        sync_file_range(fd, piece->offset, (off64_t)piece->data_bytes, SYNC_FILE_RANGE_WRITE);
    if (fd >= 0)
        close(fd);
    return rc < 0 ? err_set(why, rc, "cannot keep the upload in %s: %s", path, err_text(rc)) : 0;
}

static int check_place(const struct incoming_piece *piece, int64_t have, struct errbuf *why)
{
    if (piece->offset > piece->bytes ||
        piece->data_bytes > (uint64_t)(piece->bytes - piece->offset))
        return err_set(why, -EINVAL,
                       "a piece of %zu bytes at %lld ends beyond the %lld bytes offered",
                       piece->data_bytes, (long long)piece->offset, (long long)piece->bytes);
    if (piece->offset > have)
        return err_set(why, -EINVAL, "the piece starts at %lld, but only %lld bytes are here",
                       (long long)piece->offset, (long long)have);
    return 0;
}

int incoming_put_begin(struct incoming *in, const struct incoming_from *from,
                       struct incoming_piece *io, int64_t now_ms, struct errbuf *why)
{
    struct upload *u = find(in, from->key, io->sha256);
    int64_t have;

    if (u && u->writing)
        return err_set(why, -EAGAIN,
                       "another piece of upload %.16s... is being written; try again in a moment",
                       io->sha256);
    int rc = incoming_offer(in, from, io->sha256, io->bytes, &have, why);
    if (rc == 0)
        rc = check_place(io, have, why);
    if (rc < 0)
        return rc;
    io->writes = io->offset + (int64_t)io->data_bytes > have;
    if (io->writes && u && u->held) /* it must not change while it is hashed */
        return err_set(why, -EAGAIN, "upload %.16s... is being taken over; try again in a moment",
                       io->sha256);
    if (io->writes) {
        io->data = (const char *)io->data + (have - io->offset);
        io->data_bytes -= (size_t)(have - io->offset);
        io->offset = have;
        have += (int64_t)io->data_bytes;
        u = u ? u : add(in, from->key, io->sha256, now_ms);
        u->writing = true;
        snprintf(io->key, sizeof(io->key), "%s", from->key);
    }
    io->have = have;
    if (u) {
        snprintf(u->sender, sizeof(u->sender), "%s", from->sender);
        if (from->what[0])
            snprintf(u->what, sizeof(u->what), "%s", from->what);
        u->bytes = io->bytes;
        u->last_ms = now_ms;
    }
    return 0;
}

void incoming_put_end(struct incoming *in, const struct incoming_piece *piece, int rc,
                      int64_t now_ms)
{
    struct upload *u = find(in, piece->key, piece->sha256);
    int64_t size = size_of(in, piece->key, piece->sha256); /* a part may have been written */

    u->writing = false;
    u->have = size > 0 ? size : 0;
    u->last_ms = now_ms;
    if (rc < 0 && size < 0 && !u->held)
        forget(in, u);
}

/* --- taken over --- */

int incoming_whole(const struct incoming *in, const char *key, const char *sha256,
                   struct errbuf *why)
{
    const struct upload *u = find(in, key, sha256);

    if (!u || u->have >= u->bytes)
        return 0;
    return err_set(why, -ENOENT,
                   "the upload with sha256 %s has %lld of %lld bytes; send its other pieces first",
                   sha256, (long long)u->have, (long long)u->bytes);
}

void incoming_hold(struct incoming *in, const char *key, const char *sha256)
{
    struct upload *u = find(in, key, sha256);

    if (!u)
        u = add(in, key, sha256, 0);
    u->held++;
}

void incoming_released(struct incoming *in, const char *key, const char *sha256, int64_t now_ms)
{
    struct upload *u = find(in, key, sha256);
    int64_t size = size_of(in, key, sha256);

    if (--u->held > 0 || u->writing)
        return;
    if (size < 0) {
        forget(in, u);
        return;
    }
    u->have = size;
    u->last_ms = now_ms;
    if (!u->first_ms)
        u->first_ms = now_ms;
    if (!u->bytes)
        u->bytes = size;
}

/* Does the upload exist, with the right hash? One with another is dropped. */
static int check_hash(const char *part, const _Atomic bool *stop, const char *sha256,
                      struct errbuf *why)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX];

    if (access(part, F_OK) != 0)
        return err_set(why, -ENOENT, "no upload with sha256 %s; send its pieces first", sha256);
    int rc = sha256_file_until(part, stop, digest, why);
    if (rc == -EINTR)
        return err_set(why, -ESHUTDOWN, "the server is stopping; try again in a moment");
    if (rc < 0)
        return rc;
    text_hex(digest, sizeof(digest), hex);
    if (strcmp(hex, sha256) == 0)
        return 0;
    unlink(part);
    return err_set(why, -EINVAL,
                   "the upload's SHA-256 is %.16s..., not %.16s...; it was dropped, send it again",
                   hex, sha256);
}

int incoming_rename(const char *dir, const char *key, const char *sha256, const char *path,
                    struct errbuf *why)
{
    char part[STATE_PATH_BYTES];

    state_dir_upload(part, dir, key, sha256);
    int fd = open(part, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc = fd < 0 || fsync(fd) < 0 || rename(part, path) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (rc < 0)
        return err_set(why, rc, "cannot keep the upload as %s: %s", path, err_text(rc));
    return file_sync_parent(path, why);
}

int incoming_take(const char *dir, const _Atomic bool *stop, const char *key, const char *sha256,
                  const char *path, struct errbuf *why)
{
    char part[STATE_PATH_BYTES];

    state_dir_upload(part, dir, key, sha256);
    int rc = check_hash(part, stop, sha256, why);
    return rc < 0 ? rc : incoming_rename(dir, key, sha256, path, why);
}

void incoming_put_back(const char *dir, const char *key, const char *sha256, const char *path)
{
    char part[STATE_PATH_BYTES];

    state_dir_upload(part, dir, key, sha256);
    if (rename(path, part) < 0 && errno != ENOENT)
        log_warn("upload.put_back", "file=%s error=\"%s\"", path, err_text(-errno));
}

/* --- going --- */

static bool is_idle(const struct upload *u, int64_t now_ms)
{
    return !u->held && !u->writing && now_ms - u->last_ms > UPLOAD_IDLE_MS;
}

/* How long it stays if nobody continues it. */
static int64_t goes_ms(const struct upload *u)
{
    bool complete = u->bytes > 0 && u->have >= u->bytes;

    return u->last_ms + (complete ? UPLOAD_IDLE_MS : LEFTOVER_DAYS * DAY_MS);
}

static void let_go(struct incoming *in, struct upload *u, const char *why)
{
    char path[STATE_PATH_BYTES], gone[STATE_PATH_BYTES];

    state_dir_upload(path, in->dir, u->key, u->sha256);
    state_dir_gone(gone, in->dir, u->key, u->sha256);
    if (rename(path, gone) < 0 && errno != ENOENT) {
        log_warn("upload.rm", "file=%s error=\"%s\"", path, err_text(-errno));
        u->last_ms += UPLOAD_IDLE_MS; /* not at once again */
        return;
    }
    log_info("upload.rm", "sha256=%s bytes=%lld reason=\"%s\"", u->sha256, (long long)u->have, why);
    in->to_clear = true;
    forget(in, u);
}

cJSON *incoming_rows(const struct incoming *in, int64_t now_ms)
{
    cJSON *rows = cJSON_CreateArray();

    for (const struct upload *u = in->list; u; u = u->next) {
        cJSON *row = cJSON_CreateObject();

        cJSON_AddStringToObject(row, "sha256", u->sha256);
        if (u->what[0])
            cJSON_AddStringToObject(row, "what", u->what);
        if (u->key[0])
            cJSON_AddStringToObject(row, "key", u->key);
        if (u->sender[0])
            cJSON_AddStringToObject(row, "sender", u->sender);
        cJSON_AddNumberToObject(row, "have", (double)u->have);
        if (u->bytes)
            cJSON_AddNumberToObject(row, "bytes", (double)u->bytes);
        cJSON_AddNumberToObject(row, "age_ms", (double)(now_ms - u->first_ms));
        cJSON_AddNumberToObject(row, "idle_ms", (double)(now_ms - u->last_ms));
        if (!u->held)
            cJSON_AddNumberToObject(row, "stays_ms",
                                    (double)(goes_ms(u) > now_ms ? goes_ms(u) - now_ms : 0));
        cJSON_AddItemToArray(rows, row);
    }
    return rows;
}

int incoming_remove(struct incoming *in, const struct incoming_from *from, const char *sha256,
                    struct errbuf *why)
{
    struct upload *u = find(in, from->key, sha256);

    for (struct upload *other = in->list; !u && other; other = other->next)
        u = strcmp(other->sha256, sha256) == 0 ? other : NULL;
    if (!u)
        return err_set(why, -ENOENT, "there is no upload %.16s...; steppe uploads lists them",
                       sha256);
    if (!from->any && strcmp(u->key, from->key) != 0)
        return err_set(why, -EPERM,
                       "upload %.16s... came with another key; an administrator may "
                       "remove it",
                       sha256);
    if (u->held || u->writing)
        return err_set(why, -EAGAIN, "upload %.16s... is being %s; try again in a moment", sha256,
                       u->held ? "taken over" : "written");
    let_go(in, u, "asked for");
    return 0;
}

int64_t incoming_have(const struct incoming *in, const char *key, const char *sha256)
{
    const struct upload *u = find(in, key, sha256);

    return u ? u->have : 0;
}

int64_t incoming_bytes(const struct incoming *in)
{
    return incoming_bytes_of(in, NULL);
}

int64_t incoming_bytes_of(const struct incoming *in, const char *key)
{
    int64_t bytes = 0;

    for (const struct upload *u = in->list; u; u = u->next)
        bytes += !key || strcmp(u->key, key) == 0 ? u->have : 0;
    return bytes;
}

void incoming_bytes_each(const struct incoming *in,
                         void (*each)(void *arg, const char *key, int64_t bytes), void *arg)
{
    for (const struct upload *u = in->list; u; u = u->next)
        each(arg, u->key, u->have);
}

int64_t incoming_bytes_max_of_one(const struct incoming *in)
{
    return in->all_bytes / 4;
}

int64_t incoming_idle_bytes(const struct incoming *in, int64_t now_ms)
{
    int64_t bytes = 0;

    for (const struct upload *u = in->list; u; u = u->next)
        bytes += is_idle(u, now_ms) ? u->have : 0;
    return bytes;
}

int64_t incoming_drop_idle(struct incoming *in, int64_t now_ms, int64_t *ret_bytes)
{
    int64_t count = 0;

    *ret_bytes = 0;
    for (struct upload *u = in->list, *next; u; u = next) {
        next = u->next;
        if (!is_idle(u, now_ms))
            continue;
        *ret_bytes += u->have;
        count++;
        let_go(in, u, "nobody continues it");
    }
    return count;
}

void incoming_expire(struct incoming *in, int64_t now_ms)
{
    if (now_ms < in->look_ms)
        return;
    in->look_ms = now_ms + LOOK_MS;
    for (struct upload *u = in->list, *next; u; u = next) {
        next = u->next;
        if (!u->held && !u->writing && now_ms > goes_ms(u))
            let_go(in, u, "nothing took it over");
    }
}

bool incoming_is_to_clear(struct incoming *in)
{
    bool clear = in->to_clear;

    in->to_clear = false;
    return clear;
}

void incoming_clear(const char *dir, const _Atomic bool *stop)
{
    char path[STATE_PATH_BYTES];
    struct dirent *entry;

    state_dir_folder(path, dir, STATE_DATASETS);
    DIR *folder = opendir(path);
    while (folder && !*stop && (entry = readdir(folder)) != NULL) {
        if (!state_dir_is_gone(entry->d_name))
            continue;
        state_dir_entry(path, dir, STATE_DATASETS, entry->d_name);
        unlink(path);
    }
    if (folder)
        closedir(folder);
}
