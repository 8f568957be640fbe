/* A file with its final name, <sha256>.safetensors, was whole when it got it: it is renamed after
 * its hash and content were checked. Later changes show when it is read. */
#include "server/jobs/datasets.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/log.h"
#include "common/text.h"
#include "server/jobs/datasets_internal.h"
#include "server/jobs/incoming.h"
#include "server/store/state_dir.h"

struct stored *datasets_stored(const struct datasets *d, const char *sha256)
{
    struct stored *st = d->stored;

    while (st && strcmp(st->sha256, sha256) != 0)
        st = st->next;
    return st;
}

static struct stored *add_stored(struct datasets *d, const struct dataset_record *rec)
{
    struct stored *st = xcalloc(1, sizeof(*st));

    memcpy(st->sha256, rec->sha256, sizeof(st->sha256));
    state_dir_dataset(st->file.path, d->dir, st->sha256);
    st->file.bytes = rec->bytes;
    st->told = true;
    st->next = d->stored;
    d->stored = st;
    return st;
}

static void free_stored(struct datasets *d, struct stored *st)
{
    struct stored **at = &d->stored;

    while (*at != st)
        at = &(*at)->next;
    *at = st->next;
    dataset_close(&st->dataset);
    free(st->hashes);
    free(st);
}

void datasets_add(struct datasets *d, const struct dataset_record *rec)
{
    struct entry **at = &d->entries, *e = xcalloc(1, sizeof(*e));

    owner_gets(d, rec);
    while (*at && strcmp((*at)->rec.name, rec->name) < 0)
        at = &(*at)->next;
    e->rec = *rec;
    e->stored = datasets_stored(d, rec->sha256);
    if (!e->stored)
        e->stored = add_stored(d, rec);
    e->stored->names++;
    e->next = *at;
    *at = e;
    d->count++;
}

static void drop_entry(struct datasets *d, struct entry **at)
{
    struct entry *e = *at;

    *at = e->next;
    owner_loses(d, &e->rec);
    d->count--;
    if (--e->stored->names == 0)
        free_stored(d, e->stored);
    free(e);
}

static void load_one(void *arg, const struct dataset_record *rec)
{
    datasets_add(arg, rec);
}

static void load_hashes(void *arg, const char *sha256, const void *hashes, size_t count)
{
    struct stored *st = datasets_stored(arg, sha256);
    uint8_t(*copy)[BLAKE2B_BYTES];

    if (!st || count != data_pieces(st->file.bytes))
        return;
    copy = xmalloc(count * sizeof(*copy));
    memcpy(copy, hashes, count * sizeof(*copy));
    stored_take_hashes(st, copy);
}

static void load_names(void *arg, const char *sha256, const char *names_sha256, bool shown)
{
    struct stored *st = datasets_stored(arg, sha256);

    if (!st)
        return;
    snprintf(st->uris, sizeof(st->uris), "%s", names_sha256);
    st->uris_shown = shown;
    stored_weigh_names(arg, st);
}

static bool has_names(const struct datasets *d, const char *names_sha256)
{
    const struct stored *st = d->stored;

    while (st && strcmp(st->uris, names_sha256) != 0)
        st = st->next;
    return st != NULL;
}

/* Files that nothing in the store stands for, as a crash prevented or removed that: they stay as
 * uploads. */
static void put_back_unnamed(struct datasets *d)
{
    char path[STATE_PATH_BYTES], sha256[SHA256_HEX];
    struct dirent *file;

    state_dir_folder(path, d->dir, STATE_DATASETS);
    DIR *folder = opendir(path);
    while (folder && (file = readdir(folder)) != NULL) {
        if (state_dir_is_dataset(file->d_name, sha256) && !datasets_stored(d, sha256))
            state_dir_dataset(path, d->dir, sha256);
        else if (state_dir_is_names(file->d_name, sha256) && !has_names(d, sha256))
            state_dir_names(path, d->dir, sha256);
        else
            continue;
        log_info("dataset.unnamed", "file=%s", path);
        incoming_put_back(d->dir, "", sha256, path);
    }
    if (folder)
        closedir(folder);
}

int datasets_open(const char *dir, struct store *store, struct datasets **ret, struct errbuf *why)
{
    struct datasets *d = xcalloc(1, sizeof(*d));
    char path[STATE_PATH_BYTES];

    snprintf(d->dir, sizeof(d->dir), "%s", dir);
    state_dir_folder(path, dir, STATE_DATASETS);
    int rc = file_mkdirs(path, 0700, why);
    if (rc == 0)
        rc = store_datasets_load(store, load_one, d, why);
    if (rc == 0)
        rc = store_pieces_load(store, DATA_PIECE_BYTES, load_hashes, d, why);
    if (rc == 0)
        rc = store_names_load(store, load_names, d, why);
    if (rc == 0)
        rc = store_revisions_load(store, revisions_add_one, d, why);
    if (rc < 0) {
        datasets_close(d);
        return rc;
    }
    put_back_unnamed(d);
    *ret = d;
    return 0;
}

void datasets_close(struct datasets *d)
{
    if (!d)
        return;
    while (d->entries)
        drop_entry(d, &d->entries);
    revisions_free(d);
    free(d);
}

/* --- damage --- */

void stored_take_hashes(struct stored *st, uint8_t (*hashes)[BLAKE2B_BYTES])
{
    if (st->hashes) {
        free(hashes);
        return;
    }
    st->hashes = hashes;
    st->file.hashes = (const uint8_t(*)[BLAKE2B_BYTES])hashes;
}

void stored_note(struct stored *st, int rc, int64_t bad, const struct errbuf *why)
{
    if (!data_file_is_damage(rc))
        return;
    if (!st->damage[0]) {
        st->told = false;
        log_error("dataset.damaged", "file=%s error=\"%s\"", st->file.path, why->text);
    }
    snprintf(st->damage, sizeof(st->damage), "%.150s", why->text);
    st->bad = bad;
}

void stored_heal(struct stored *st)
{
    if (st->damage[0]) {
        st->told = false;
        log_info("dataset.whole", "file=%s", st->file.path);
    }
    st->damage[0] = 0;
}

bool stored_stays(const struct datasets *d, const struct stored *st)
{
    const struct entry *e = d->entries;

    while (e && (e->stored != st || e->going))
        e = e->next;
    return e != NULL;
}

static const char *name_of(const struct datasets *d, const struct stored *st)
{
    const struct entry *e = d->entries;

    while (e && e->stored != st)
        e = e->next;
    return e ? e->rec.name : "";
}

static void damage_text(const struct datasets *d, const struct stored *st, const char *damage,
                        char *out, size_t bytes)
{
    snprintf(
        out, bytes,
        "the file of dataset %s on the server's disk is damaged (%.100s); import the same data "
        "again, or put the file back",
        name_of(d, st), damage);
}

bool datasets_damage(const struct datasets *d, const char *sha256, char *out, size_t bytes)
{
    const struct stored *st = datasets_stored(d, sha256);

    if (!st || !st->damage[0])
        return false;
    damage_text(d, st, st->damage, out, bytes);
    return true;
}

/* The error of reading a file, for the caller: damage as a sentence that names the dataset. */
static int fail_reading(struct datasets *d, struct stored *st, int rc, int64_t bad,
                        struct errbuf *io_why)
{
    char text[sizeof(io_why->text)];

    stored_note(st, rc, bad, io_why);
    if (!data_file_is_damage(rc))
        return err_prefix(io_why, rc, "%s", st->file.path);
    damage_text(d, st, st->damage, text, sizeof(text));
    return err_set(io_why, -EUCLEAN, "%s", text);
}

void datasets_note(struct datasets *d, const char *sha256, const struct errbuf *why)
{
    struct stored *st = datasets_stored(d, sha256);

    if (st)
        stored_note(st, -EUCLEAN, -1, why);
}

static struct entry *by_name(const struct datasets *d, const char *name)
{
    for (struct entry *e = d->entries; e; e = e->next)
        if (strcmp(e->rec.name, name) == 0)
            return e;
    return NULL;
}

bool datasets_named(const struct datasets *d, const char *name)
{
    return by_name(d, name) != NULL;
}

/* --- finding --- */

/* Every byte of it is checked, so that a job never has labels that are not its own. */
static int open_stored(struct datasets *d, struct stored *st, struct errbuf *why)
{
    struct errbuf text = {""};
    struct data_view view = {.file = st->file};

    if (st->open)
        return 0;
    const struct file_source from = data_view_source(&view);
    int rc = dataset_read(&from, &st->dataset, &text);
    st->open = rc == 0;
    if (rc == 0)
        return 0;
    if (rc == -EINVAL || rc == -EMSGSIZE) /* it was a dataset before */
        rc = -EUCLEAN;
    rc = fail_reading(d, st, rc, view.bad >= 0 ? view.bad : 0, &text);
    return err_set(why, rc, "%s", text.text);
}

static struct entry *by_hash(struct datasets *d, const char *sha256)
{
    for (struct entry *e = d->entries; e; e = e->next)
        if (!e->going && strcmp(e->rec.sha256, sha256) == 0)
            return e;
    return NULL;
}

static int give(struct datasets *d, struct entry *e, const struct dataset **ret,
                struct dataset_record *ret_record, struct errbuf *why)
{
    int rc = open_stored(d, e->stored, why);

    if (rc < 0)
        return rc;
    *ret = &e->stored->dataset;
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
                     n ? "known are " : "none has been imported yet (steppe dataset import)",
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

static int no_such_hash(const char *sha256, struct errbuf *why)
{
    return err_set(why, -ENOENT, "there is no dataset with sha256 %s", sha256);
}

int datasets_find_hash(struct datasets *d, const char *sha256, const struct dataset **ret,
                       struct dataset_record *ret_record, struct errbuf *why)
{
    struct entry *e = by_hash(d, sha256);

    return e ? give(d, e, ret, ret_record, why) : no_such_hash(sha256, why);
}

static struct stored *by_data(struct datasets *d, const struct dataset *data)
{
    struct stored *st = d->stored;

    while (st && &st->dataset != data)
        st = st->next;
    return st;
}

void datasets_hold(struct datasets *d, const struct dataset *data)
{
    by_data(d, data)->held++;
}

void datasets_release(struct datasets *d, const struct dataset *data)
{
    by_data(d, data)->held--;
}

int datasets_lend(struct datasets *d, const char *sha256, struct data_file *ret, struct errbuf *why)
{
    struct entry *e = by_hash(d, sha256);

    if (!e)
        return no_such_hash(sha256, why);
    e->stored->held++;
    *ret = e->stored->file;
    return 0;
}

void datasets_give_back(struct datasets *d, const char *sha256, int rc, int64_t bad,
                        struct errbuf *io_why)
{
    struct stored *st = datasets_stored(d, sha256);

    st->held--;
    if (rc < 0)
        fail_reading(d, st, rc, bad, io_why);
}

const char *datasets_name(struct datasets *d, const char *sha256, const char *name)
{
    const struct entry *e = by_name(d, name);

    if (!e || e->going || strcmp(e->rec.sha256, sha256) != 0)
        e = by_hash(d, sha256);
    return e ? e->rec.name : name;
}

/* --- rows --- */

cJSON *datasets_row(struct datasets *d, const struct dataset_record *rec)
{
    struct entry *e = by_name(d, rec->name);
    cJSON *row = cJSON_CreateObject();
    char damage[300];

    cJSON_AddStringToObject(row, "name", rec->name);
    cJSON_AddStringToObject(row, "sha256", rec->sha256);
    cJSON_AddNumberToObject(row, "bytes", (double)rec->bytes);
    if (e && e->rec.key_name[0])
        cJSON_AddStringToObject(row, "key", e->rec.key_name);
    bool open = e && open_stored(d, e->stored, NULL) == 0;
    if (e && datasets_damage(d, rec->sha256, damage, sizeof(damage)))
        cJSON_AddStringToObject(row, "damaged", damage);
    if (e && e->stored->uris_shown)
        cJSON_AddBoolToObject(row, "named", true);
    const struct revision_record *newest = datasets_newest(d, rec->sha256);
    if (newest)
        cJSON_AddNumberToObject(row, "revision", (double)newest->number);
    if (!open)
        return row;
    const struct dataset *s = &e->stored->dataset;
    const double dims[] = {s->dims.h, s->dims.w, s->dims.c};
    cJSON_AddNumberToObject(row, "samples", s->samples);
    cJSON_AddNumberToObject(row, "test_samples", s->test_samples);
    cJSON_AddNumberToObject(row, "classes", s->classes);
    if (s->manifest)
        cJSON_AddBoolToObject(row, "manifest", true);
    if (!s->labelled)
        cJSON_AddBoolToObject(row, "unlabelled", true);
    if (s->dims.h)
        cJSON_AddItemToObject(row, s->manifest ? "thumbnails" : "input",
                              cJSON_CreateDoubleArray(dims, 3));
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

int datasets_room(const struct datasets *d, const char *name, const char *sha256,
                  struct errbuf *why)
{
    const struct entry *e = by_name(d, name);

    if (e && !e->going && strcmp(e->rec.sha256, sha256) != 0)
        return store_dataset_other(name, e->rec.sha256, sha256, why);
    if (e)
        return 0;
    if (d->count < DATASETS_MAX)
        return 0;
    return err_set(why, -ERANGE, "there are %d datasets already, allowed is %d", d->count,
                   DATASETS_MAX);
}

bool datasets_has(const struct datasets *d, const char *sha256, int64_t bytes)
{
    const struct stored *st = datasets_stored(d, sha256);
    struct stat file;

    return st && !st->damage[0] && stat(st->file.path, &file) == 0 && file.st_size == bytes;
}

/* --- removal --- */

int datasets_remove_begin(struct datasets *d, const char *name, struct dataset_removal *ret,
                          struct errbuf *why)
{
    struct entry *e = by_name(d, name);

    if (!e)
        return no_such_name(d, name, why);
    if (e->going)
        return err_set(why, -EAGAIN, "dataset %s is being removed; try again in a moment", name);
    e->going = true;
    ret->last = !stored_stays(d, e->stored);
    if (ret->last && e->stored->held) {
        e->going = false;
        return err_set(why, -EAGAIN, "dataset %s is in use; try again in a moment", name);
    }
    memcpy(ret->name, e->rec.name, sizeof(ret->name));
    memcpy(ret->sha256, e->rec.sha256, sizeof(ret->sha256));
    memcpy(ret->names, e->stored->uris, sizeof(ret->names));
    memcpy(ret->key_name, e->rec.key_name, sizeof(ret->key_name));
    return 0;
}

int datasets_remove_work(const char *dir, struct store *store, const struct dataset_removal *r,
                         struct errbuf *why)
{
    char path[STATE_PATH_BYTES];
    bool last;
    int rc = store_dataset_remove(store, r->name, &last, why);

    if (rc < 0 || !last)
        return rc;
    state_dir_dataset(path, dir, r->sha256);
    if (unlink(path) < 0 && errno != ENOENT)
        log_warn("dataset.rm", "name=%s error=\"cannot remove %s: %s\"", r->name, path,
                 err_text(-errno));
    if (r->names[0]) {
        state_dir_names(path, dir, r->names);
        unlink(path);
    }
    return 0;
}

void datasets_remove_done(struct datasets *d, const struct dataset_removal *r, int rc)
{
    struct entry **at = &d->entries;

    while (strcmp((*at)->rec.name, r->name) != 0)
        at = &(*at)->next;
    (*at)->going = false;
    if (rc == 0)
        drop_entry(d, at);
}
