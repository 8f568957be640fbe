/* Uploads lie beside the datasets as <sha256>.part and become <sha256>.safetensors by rename, after
 * hash and content were checked; so a file with its final name is always whole. A file
 * that has no name in the store and was not touched for LEFTOVER_DAYS is removed at the start. */
#include "server/datasets.h"

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
#include "common/text.h"

struct entry {
    struct dataset_record rec;
    struct dataset dataset; /* mapped when first asked for */
    bool mapped;
    int fd; /* for dataset.get, -1 until then */
    unsigned held;
    bool going; /* is being removed: found no more, but its name is not free yet */
    struct entry *next;
};

struct datasets {
    char dir[512];
    struct entry *entries; /* by name */
    int count;
};

static void make_path(char *out, size_t bytes, const char *dir, const char *sha256,
                      const char *suffix)
{
    snprintf(out, bytes, "%s/datasets/%s%s", dir, sha256, suffix);
}

static struct entry *add_entry(struct datasets *d, const struct dataset_record *rec)
{
    struct entry **at = &d->entries, *e = xcalloc(1, sizeof(*e));

    while (*at && strcmp((*at)->rec.name, rec->name) < 0)
        at = &(*at)->next;
    e->rec = *rec;
    e->fd = -1;
    e->next = *at;
    *at = e;
    d->count++;
    return e;
}

static void load_one(void *arg, const struct dataset_record *rec)
{
    add_entry(arg, rec);
}

static struct entry *by_hash(struct datasets *d, const char *sha256)
{
    for (struct entry *e = d->entries; e; e = e->next)
        if (!e->going && strcmp(e->rec.sha256, sha256) == 0)
            return e;
    return NULL;
}

static bool is_old(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 &&
           clock_unix_ms() / 1000 - st.st_mtim.tv_sec > LEFTOVER_DAYS * 86400;
}

/* Uploads that nobody went on with, and files whose name a crash prevented or removed. */
static void sweep(struct datasets *d)
{
    char path[800], sha256[SHA256_HEX];
    struct dirent *file;

    snprintf(path, sizeof(path), "%s/datasets", d->dir);
    DIR *folder = opendir(path);
    while (folder && (file = readdir(folder)) != NULL) {
        snprintf(sha256, sizeof(sha256), "%.*s", SHA256_HEX - 1, file->d_name);
        const char *suffix = file->d_name + strlen(sha256);
        bool named = strcmp(suffix, ".part") != 0 && by_hash(d, sha256);
        if (strlen(sha256) != SHA256_HEX - 1 || suffix[0] != '.' || named)
            continue;
        snprintf(path, sizeof(path), "%s/datasets/%.100s", d->dir, file->d_name);
        if (is_old(path) && unlink(path) == 0)
            log_info("dataset.leftover", "removed=%.100s", file->d_name);
    }
    if (folder)
        closedir(folder);
}

static void free_entry(struct entry *e)
{
    if (e->fd >= 0)
        close(e->fd);
    dataset_close(&e->dataset);
    free(e);
}

int datasets_open(const char *dir, struct store *store, struct datasets **ret, struct errbuf *why)
{
    struct datasets *d = xcalloc(1, sizeof(*d));
    char path[600];

    snprintf(d->dir, sizeof(d->dir), "%s", dir);
    snprintf(path, sizeof(path), "%s/datasets", dir);
    int rc = file_mkdirs(path, 0700, why);
    if (rc == 0)
        rc = store_datasets_load(store, load_one, d, why);
    if (rc < 0) {
        datasets_close(d);
        return rc;
    }
    sweep(d);
    *ret = d;
    return 0;
}

void datasets_close(struct datasets *d)
{
    if (!d)
        return;
    while (d->entries) {
        struct entry *e = d->entries;

        d->entries = e->next;
        free_entry(e);
    }
    free(d);
}

static int map_entry(struct datasets *d, struct entry *e, struct errbuf *why)
{
    char path[700];

    if (e->mapped)
        return 0;
    make_path(path, sizeof(path), d->dir, e->rec.sha256, ".safetensors");
    int rc = dataset_open(path, &e->dataset, why);
    if (rc == 0)
        e->mapped = true;
    return rc;
}

static struct entry *by_name(struct datasets *d, const char *name)
{
    for (struct entry *e = d->entries; e; e = e->next)
        if (strcmp(e->rec.name, name) == 0)
            return e;
    return NULL;
}

static int give(struct datasets *d, struct entry *e, const struct dataset **ret,
                struct dataset_record *ret_record, struct errbuf *why)
{
    int rc = map_entry(d, e, why);

    if (rc < 0)
        return rc;
    *ret = &e->dataset;
    if (ret_record)
        *ret_record = e->rec;
    return 0;
}

static int no_such_name(struct datasets *d, const char *name, struct errbuf *why)
{
    const char **names = xcalloc((size_t)d->count + 1, sizeof(*names));
    char list[300];
    int n = 0;

    for (struct entry *e = d->entries; e; e = e->next)
        if (!e->going)
            names[n++] = e->rec.name;
    const char *near = text_nearest(name, names);
    int rc = err_set(why, -ENOENT, "there is no dataset \"%s\"; %s%s%s%s%s", name,
                     n ? "known are " : "none was imported yet (steppe dataset import)",
                     n ? text_list(names, list, sizeof(list)) : "", near ? "; did you mean \"" : "",
                     near ? near : "", near ? "\"?" : "");
    free(names);
    return rc;
}

int datasets_find(struct datasets *d, const char *name, const struct dataset **ret,
                  struct dataset_record *ret_record, struct errbuf *why)
{
    struct entry *e = by_name(d, name);

    return e && !e->going ? give(d, e, ret, ret_record, why) : no_such_name(d, name, why);
}

int datasets_find_hash(struct datasets *d, const char *sha256, const struct dataset **ret,
                       struct dataset_record *ret_record, struct errbuf *why)
{
    struct entry *e = by_hash(d, sha256);

    if (!e)
        return err_set(why, -ENOENT, "there is no dataset with sha256 %s", sha256);
    return give(d, e, ret, ret_record, why);
}

static struct entry *by_data(struct datasets *d, const struct dataset *data)
{
    struct entry *e = d->entries;

    while (e && &e->dataset != data)
        e = e->next;
    return e;
}

void datasets_hold(struct datasets *d, const struct dataset *data)
{
    by_data(d, data)->held++;
}

void datasets_release(struct datasets *d, const struct dataset *data)
{
    by_data(d, data)->held--;
}

cJSON *datasets_row(struct datasets *d, const struct dataset_record *rec)
{
    struct entry *e = by_name(d, rec->name);
    cJSON *row = cJSON_CreateObject();

    cJSON_AddStringToObject(row, "name", rec->name);
    cJSON_AddStringToObject(row, "sha256", rec->sha256);
    cJSON_AddNumberToObject(row, "bytes", (double)rec->bytes);
    if (!e || map_entry(d, e, NULL) < 0)
        return row;
    const struct dataset *s = &e->dataset;
    const double dims[] = {s->dims.h, s->dims.w, s->dims.c};
    cJSON_AddNumberToObject(row, "samples", s->samples);
    cJSON_AddNumberToObject(row, "test_samples", s->test_samples);
    cJSON_AddNumberToObject(row, "classes", s->classes);
    cJSON_AddItemToObject(row, "input", cJSON_CreateDoubleArray(dims, 3));
    cJSON_AddStringToObject(row, "source", s->source ? s->source : "");
    return row;
}

cJSON *datasets_rows(struct datasets *d)
{
    cJSON *rows = cJSON_CreateArray();

    for (struct entry *e = d->entries; e; e = e->next)
        if (!e->going)
            cJSON_AddItemToArray(rows, datasets_row(d, &e->rec));
    return rows;
}

static int check_size(int64_t bytes, struct errbuf *why)
{
    if (bytes < 1 || (uint64_t)bytes > DATASET_BYTES_MAX)
        return err_set(why, -EFBIG, "the dataset has %lld bytes, allowed is 1 to %llu",
                       (long long)bytes, (unsigned long long)DATASET_BYTES_MAX);
    return 0;
}

int datasets_room(const struct datasets *d, const char *name, struct errbuf *why)
{
    for (const struct entry *e = d->entries; e; e = e->next)
        if (strcmp(e->rec.name, name) == 0)
            return 0;
    if (d->count < DATASETS_MAX)
        return 0;
    return err_set(why, -ERANGE, "there are %d datasets already, allowed is %d", d->count,
                   DATASETS_MAX);
}

int datasets_offer(struct datasets *d, const char *sha256, int64_t bytes, int64_t *ret_have,
                   bool *ret_complete, struct errbuf *why)
{
    char path[700];
    struct stat st;
    int rc = check_size(bytes, why);

    if (rc < 0)
        return rc;
    make_path(path, sizeof(path), d->dir, sha256, ".safetensors");
    *ret_complete = stat(path, &st) == 0 && st.st_size == bytes;
    if (*ret_complete) {
        *ret_have = bytes;
        return 0;
    }
    rc = datasets_room(d, "", why);
    if (rc < 0)
        return rc;
    make_path(path, sizeof(path), d->dir, sha256, ".part");
    *ret_have = stat(path, &st) == 0 && st.st_size <= bytes ? st.st_size : 0;
    return 0;
}

int datasets_put(struct datasets *d, const char *sha256, int64_t bytes, int64_t offset,
                 const void *piece, size_t piece_bytes, int64_t *ret_have, struct errbuf *why)
{
    char path[700];
    bool complete;
    int64_t have;
    int rc = datasets_offer(d, sha256, bytes, &have, &complete, why);

    if (rc < 0)
        return rc;
    if (offset > bytes || piece_bytes > (uint64_t)(bytes - offset))
        return err_set(why, -EINVAL,
                       "a piece of %zu bytes at %lld ends behind the %lld bytes offered",
                       piece_bytes, (long long)offset, (long long)bytes);
    if (offset > have)
        return err_set(why, -EINVAL, "the piece starts at %lld, but only %lld bytes are here",
                       (long long)offset, (long long)have);
    if (!complete && offset + (int64_t)piece_bytes > have) {
        make_path(path, sizeof(path), d->dir, sha256, ".part");
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        rc = fd < 0 ? -errno : file_write_at(fd, piece, piece_bytes, (uint64_t)offset);
        if (fd >= 0)
            close(fd);
        if (rc < 0)
            return err_set(why, rc, "cannot keep the upload in %s: %s", path, err_text(rc));
        have = offset + (int64_t)piece_bytes;
    }
    *ret_have = have;
    return 0;
}

int datasets_get(struct datasets *d, const char *sha256, int64_t offset, int64_t bytes, void *out,
                 struct errbuf *why)
{
    struct entry *e = by_hash(d, sha256);
    char path[700];

    if (!e)
        return err_set(why, -ENOENT, "there is no dataset with sha256 %s", sha256);
    if (offset > e->rec.bytes || bytes > e->rec.bytes - offset)
        return err_set(why, -EINVAL, "bytes %lld to %lld are asked for, the dataset has %lld",
                       (long long)offset, (long long)(offset + bytes), (long long)e->rec.bytes);
    make_path(path, sizeof(path), d->dir, sha256, ".safetensors");
    if (e->fd < 0)
        e->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (e->fd < 0)
        return err_set(why, -errno, "cannot read %s: %s", path, err_text(-errno));
    for (char *p = out; bytes > 0;) {
        ssize_t n = pread(e->fd, p, (size_t)bytes, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(why, -EIO, "cannot read %s: %s", path,
                           n < 0 ? err_text(-errno) : "it became shorter");
        p += n;
        offset += n;
        bytes -= n;
    }
    return 0;
}

/* Is the upload there, with the hash it should have? One that has another is dropped. */
static int check_upload(const char *part, const char *sha256, struct errbuf *why)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX];
    int rc;

    if (access(part, F_OK) != 0)
        return err_set(why, -ENOENT, "no upload with sha256 %s; send its pieces first", sha256);
    rc = sha256_file(part, digest, why);
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

static int keep_upload(const char *part, const char *path, struct errbuf *why)
{
    int fd = open(part, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) < 0 || rename(part, path) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (rc < 0)
        return err_set(why, rc, "cannot keep the upload as %s: %s", path, err_text(rc));
    return file_sync_parent(path, why);
}

int datasets_take_upload(const char *dir, const char *sha256, const char *path, struct errbuf *why)
{
    char part[700];

    make_path(part, sizeof(part), dir, sha256, ".part");
    int rc = check_upload(part, sha256, why);
    return rc < 0 ? rc : keep_upload(part, path, why);
}

/* Gives the uploaded dataset its final name when it is one. */
static int adopt_upload(const char *part, const char *path, const struct dataset_record *rec,
                        struct errbuf *why)
{
    char called[NAME_MAX_BYTES + 8];
    struct dataset probe = {0};
    int rc = check_upload(part, rec->sha256, why);

    if (rc < 0)
        return rc;
    snprintf(called, sizeof(called), "dataset %s", rec->name);
    rc = dataset_open_as(part, called, &probe, why);
    dataset_close(&probe);
    if (rc == 0)
        return keep_upload(part, path, why);
    unlink(part);
    return rc;
}

int datasets_commit_work(const char *dir, struct store *store, struct dataset_commit *c,
                         struct errbuf *why)
{
    char path[700], part[700];
    struct stat st;
    int rc = 0;

    make_path(path, sizeof(path), dir, c->rec.sha256, ".safetensors");
    make_path(part, sizeof(part), dir, c->rec.sha256, ".part");
    if (access(path, F_OK) != 0)
        rc = adopt_upload(part, path, &c->rec, why);
    else /* whoever gave it its name may have died before that was on the disk */
        rc = file_sync_parent(path, why);
    if (rc == 0)
        rc = dataset_open(path, &c->dataset, why);
    if (rc < 0)
        return rc;
    if (stat(path, &st) < 0)
        rc = err_set(why, -errno, "cannot look at %s: %s", path, err_text(-errno));
    if (rc == 0) {
        c->rec.bytes = st.st_size;
        rc = store_dataset_add(store, &c->rec, &c->dataset, why);
    }
    dataset_close(&c->dataset);
    c->dataset = (struct dataset){0};
    return rc;
}

void datasets_commit_done(struct datasets *d, struct dataset_commit *c)
{
    if (!by_name(d, c->rec.name))
        add_entry(d, &c->rec);
}

int datasets_remove_begin(struct datasets *d, const char *name, struct dataset_removal *ret,
                          struct errbuf *why)
{
    struct entry *e = by_name(d, name);

    if (!e)
        return no_such_name(d, name, why);
    if (e->held || e->going)
        return err_set(why, -EAGAIN, "dataset %s is %s; try again in a moment", name,
                       e->going ? "being removed" : "in use");
    e->going = true;
    memcpy(ret->name, e->rec.name, sizeof(ret->name));
    memcpy(ret->sha256, e->rec.sha256, sizeof(ret->sha256));
    return 0;
}

int datasets_remove_work(const char *dir, struct store *store, const struct dataset_removal *r,
                         struct errbuf *why)
{
    char path[700];
    bool last;
    int rc = store_dataset_remove(store, r->name, &last, why);

    if (rc < 0 || !last)
        return rc;
    make_path(path, sizeof(path), dir, r->sha256, ".safetensors");
    if (unlink(path) < 0)
        log_warn("dataset.rm", "name=%s error=\"cannot remove %s: %s\"", r->name, path,
                 err_text(-errno));
    return 0;
}

void datasets_remove_done(struct datasets *d, const struct dataset_removal *r, int rc)
{
    struct entry **at = &d->entries, *e;

    while (strcmp((*at)->rec.name, r->name) != 0)
        at = &(*at)->next;
    e = *at;
    e->going = false;
    if (rc < 0)
        return;
    *at = e->next;
    d->count--;
    free_entry(e);
}
