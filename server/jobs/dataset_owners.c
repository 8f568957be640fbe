/* Which keys have names for data, and what that takes on the disk. A file counts once for each key
 * that has a name for it: it stays as long as one of them does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/jobs/datasets_internal.h"

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
        o->bytes += rec->bytes;
}

void owner_loses(struct datasets *d, const struct dataset_record *rec)
{
    struct owner *o = find(d, rec->key_name), **at = &d->owners;

    if (!rec->key_name[0])
        return;
    if (!datasets_owned_by(d, rec->key_name, rec->sha256))
        o->bytes -= rec->bytes;
    if (--o->names > 0)
        return;
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    free(o);
}

int64_t datasets_bytes(const struct datasets *d)
{
    int64_t bytes = 0;

    for (const struct stored *st = d->stored; st; st = st->next)
        bytes += st->file.bytes;
    return bytes;
}

int64_t datasets_bytes_of(const struct datasets *d, const char *key)
{
    const struct owner *o = find(d, key);

    return o ? o->bytes : 0;
}

int64_t datasets_bytes_of_largest(const struct datasets *d)
{
    int64_t bytes = 0;

    for (const struct owner *o = d->owners; o; o = o->next)
        bytes = o->bytes > bytes ? o->bytes : bytes;
    return bytes;
}

int64_t datasets_size(const struct datasets *d, const char *sha256)
{
    const struct stored *st = datasets_stored(d, sha256);

    return st ? st->file.bytes : -1;
}
