/* Which keys have names for data, and what that takes on the disk: its file, and the one that names
 * its samples. They count once for each key that has a name for the data: they stay as long as one
 * of them does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "server/jobs/datasets_internal.h"
#include "server/store/state_dir.h"

struct owner {
    char key[NAME_MAX_BYTES];
    unsigned names;
    int64_t bytes;
    struct owner *next;
};

static struct owner *find(const struct datasets *d, const char *key)
{
    struct owner *o = d->owners;

    while (o && strcmp(o->key, key) != 0)
        o = o->next;
    return o;
}

bool datasets_owned_by(const struct datasets *d, const char *key, const char *sha256)
{
    const struct entry *e = d->entries;

    while (e && (strcmp(e->rec.key_name, key) != 0 || strcmp(e->rec.sha256, sha256) != 0))
        e = e->next;
    return e != NULL;
}

static int64_t takes(const struct datasets *d, const struct dataset_record *rec)
{
    const struct stored *st = datasets_stored(d, rec->sha256);

    return rec->bytes + (st ? st->uris_bytes : 0);
}

void owner_gets(struct datasets *d, const struct dataset_record *rec)
{
    struct owner *o = find(d, rec->key_name);

    if (!rec->key_name[0])
        return;
    if (!o) {
        o = xcalloc(1, sizeof(*o));
        snprintf(o->key, sizeof(o->key), "%s", rec->key_name);
        o->next = d->owners;
        d->owners = o;
    }
    o->names++;
    if (!datasets_owned_by(d, rec->key_name, rec->sha256))
        o->bytes += takes(d, rec);
}

void owner_loses(struct datasets *d, const struct dataset_record *rec)
{
    struct owner *o = find(d, rec->key_name), **at = &d->owners;

    if (!rec->key_name[0])
        return;
    if (!datasets_owned_by(d, rec->key_name, rec->sha256))
        o->bytes -= takes(d, rec);
    if (--o->names > 0)
        return;
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    free(o);
}

void stored_weigh_names(struct datasets *d, struct stored *st)
{
    char path[STATE_PATH_BYTES];
    struct stat file;

    state_dir_names(path, d->dir, st->uris);
    const int64_t bytes = stat(path, &file) == 0 ? file.st_size : 0;
    for (struct owner *o = d->owners; o; o = o->next)
        if (datasets_owned_by(d, o->key, st->sha256))
            o->bytes += bytes - st->uris_bytes;
    st->uris_bytes = bytes;
}

int64_t datasets_bytes(const struct datasets *d)
{
    int64_t bytes = 0;

    for (const struct stored *st = d->stored; st; st = st->next)
        bytes += st->file.bytes + st->uris_bytes;
    return bytes;
}

int64_t datasets_bytes_of(const struct datasets *d, const char *key)
{
    const struct owner *o = find(d, key);

    return o ? o->bytes : 0;
}

void datasets_bytes_each(const struct datasets *d,
                         void (*each)(void *arg, const char *key, int64_t bytes), void *arg)
{
    for (const struct owner *o = d->owners; o; o = o->next)
        each(arg, o->key, o->bytes);
}

int64_t datasets_size(const struct datasets *d, const char *sha256)
{
    const struct stored *st = datasets_stored(d, sha256);

    return st ? st->file.bytes + st->uris_bytes : -1;
}
