/* How an upload becomes a dataset, and how a damaged one becomes whole again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/text.h"
#include "server/jobs/datasets_internal.h"
#include "server/jobs/incoming.h"
#include "server/store/state_dir.h"

static int no_upload(struct dataset_commit *c, struct errbuf *why)
{
    if (c->bad.text[0])
        return err_set(why, -ENODATA,
                       "the file of this data on the server's disk is damaged (%.100s); send its "
                       "pieces again",
                       c->bad.text);
    if (c->missing.text[0])
        return err_set(why, -ENOENT, "%s", c->missing.text);
    return err_set(why, -ENOENT, "no upload with sha256 %s; send its pieces first", c->rec.sha256);
}

/* The file with the name is not it, or is missing (rc): check the upload instead. */
static int look_at_upload(const char *dir, struct dataset_commit *c, int rc,
                          const struct errbuf *found, struct errbuf *why)
{
    char part[STATE_PATH_BYTES];

    if (rc != -ENOENT)
        c->bad = *found;
    if (c->hash) {
        c->bad_bytes = data_hash_bytes(c->hash);
        c->bad_hashes = rc == -EUCLEAN ? data_hash_pieces(c->hash) : NULL;
        data_hash_free(c->hash);
        c->hash = NULL;
    }
    c->upload = true;
    if (c->missing.text[0])
        return no_upload(c, why);
    state_dir_upload(part, dir, c->rec.key_name, c->rec.sha256);
    rc = data_hash_open(part, &c->hash, why);
    if (rc == -ENOENT)
        return no_upload(c, why);
    return rc < 0 ? err_prefix(why, rc, "the upload") : 1;
}

/* It has the right hash: is it a dataset? */
static int read_content(const char *path, struct dataset_commit *c, struct errbuf *why)
{
    struct data_view view = {.file = {.bytes = data_hash_bytes(c->hash)}};

    c->rec.bytes = view.file.bytes;
    if (!c->hashes)
        c->hashes = data_hash_pieces(c->hash);
    view.file.hashes = (const uint8_t(*)[BLAKE2B_BYTES])c->hashes;
    snprintf(view.file.path, sizeof(view.file.path), "%s", path);
    const struct file_source from = data_view_source(&view);
    return dataset_read(&from, &c->dataset, why);
}

static int take_upload(const char *dir, const char *part, const char *path,
                       struct dataset_commit *c, struct errbuf *why)
{
    int rc = read_content(part, c, why);

    if (rc == -ENOENT && access(path, F_OK) == 0) /* another commit was faster */
        rc = read_content(path, c, why);
    if (rc == -EINVAL || rc == -EMSGSIZE)
        unlink(part);
    if (rc < 0)
        return err_prefix(why, rc, "dataset %s", c->rec.name);
    rc = incoming_rename(dir, c->rec.key_name, c->rec.sha256, path, why);
    if (rc == -ENOENT && access(path, F_OK) == 0) /* another commit was faster */
        rc = 0;
    c->replaced = rc == 0;
    return rc;
}

static int compare(const char *dir, struct dataset_commit *c, struct errbuf *why)
{
    char path[STATE_PATH_BYTES], part[STATE_PATH_BYTES], hex[SHA256_HEX];
    struct errbuf found;

    state_dir_dataset(path, dir, c->rec.sha256);
    state_dir_upload(part, dir, c->rec.key_name, c->rec.sha256);
    data_hash_text(c->hash, hex);
    bool same = strcmp(hex, c->rec.sha256) == 0;
    if (same && !c->upload)
        return read_content(path, c, why);
    if (same)
        return take_upload(dir, part, path, c, why);
    if (!c->upload) {
        err_set(&found, -EUCLEAN, "its SHA-256 is %.16s...", hex);
        return look_at_upload(dir, c, -EUCLEAN, &found, why);
    }
    unlink(part);
    return err_set(why, -EINVAL,
                   "the upload's SHA-256 is %.16s..., not %.16s...; it was dropped, send it again",
                   hex, c->rec.sha256);
}

int dataset_commit_read(const char *dir, struct dataset_commit *c, struct errbuf *why)
{
    char path[STATE_PATH_BYTES];
    struct errbuf found;
    int rc;

    state_dir_dataset(path, dir, c->rec.sha256);
    if (!c->hash) {
        rc = data_hash_open(path, &c->hash, &found);
        return rc < 0 ? look_at_upload(dir, c, rc, &found, why) : 1;
    }
    rc = data_hash_step(c->hash, &found);
    if (rc == 1)
        return 1;
    if (rc == 0)
        return compare(dir, c, why);
    return c->upload ? err_set(why, rc, "the upload: %s", found.text)
                     : look_at_upload(dir, c, rc, &found, why);
}

int dataset_commit_store(const char *dir, struct store *store, struct dataset_commit *c,
                         struct errbuf *why)
{
    char path[STATE_PATH_BYTES];
    struct stat st;
    int64_t names = 0;
    int rc = 0;

    state_dir_dataset(path, dir, c->rec.sha256);
    if (stat(path, &st) < 0 || st.st_size != c->rec.bytes) /* its last name was removed meanwhile */
        return err_set(why, -ENODATA, "the file of this data is gone; send its pieces again");
    /* The process that gave it its name may have died before that was on the disk. */
    rc = file_sync_parent(path, why);
    if (rc == 0)
        rc = store_pieces_put(store, c->rec.sha256, DATA_PIECE_BYTES,
                              (const uint8_t(*)[BLAKE2B_BYTES])c->hashes, data_pieces(c->rec.bytes),
                              why);
    if (rc == 0)
        rc = store_dataset_add(store, &c->rec, &c->dataset, why);
    /* Data that nobody can name is still an upload. */
    if (rc < 0 && store_dataset_names(store, c->rec.sha256, &names, NULL) == 0 && names == 0)
        incoming_put_back(dir, c->rec.key_name, c->rec.sha256, path);
    return rc;
}

/* Where a file has changed; -1: not known. */
static int64_t first_bad(const struct stored *st, const struct dataset_commit *c)
{
    if (!st->hashes)
        return -1;
    if (c->bad_hashes && c->bad_bytes == st->file.bytes)
        for (size_t i = 0; i < data_pieces(st->file.bytes); i++)
            if (memcmp(c->bad_hashes[i], st->hashes[i], BLAKE2B_BYTES) != 0)
                return (int64_t)i * DATA_PIECE_BYTES;
    return 0;
}

void dataset_commit_done(struct datasets *d, struct dataset_commit *c, int rc)
{
    struct stored *st;

    if (rc == 0 && !datasets_named(d, c->rec.name))
        datasets_add(d, &c->rec);
    st = datasets_stored(d, c->rec.sha256);
    if (!st)
        return;
    if (c->replaced || (rc == 0 && !c->bad.text[0])) {
        stored_take_hashes(st, c->hashes);
        c->hashes = NULL;
        stored_heal(st);
    } else if (c->bad.text[0]) {
        stored_note(st, -EUCLEAN, first_bad(st, c), &c->bad);
    } else if (rc == -ENODATA || rc == -ENOENT) {
        struct errbuf gone;

        err_set(&gone, -ENOENT, "it cannot be opened: %s", err_text(-ENOENT));
        stored_note(st, -ENOENT, first_bad(st, c), &gone);
    }
}

void dataset_commit_free(struct dataset_commit *c)
{
    data_hash_free(c->hash);
    dataset_close(&c->dataset);
    free(c->hashes);
    free(c->bad_hashes);
    free(c);
}
