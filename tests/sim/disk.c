#define _GNU_SOURCE
#include "tests/sim/disk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "tests/sim/disk_vfs.h"
#include "tests/sim/life.h"
#include "tests/sim/own.h"
#include "tests/sim/world.h"

#define SECTOR 512
#define GROW ((size_t)64 << 10)

struct entry {
    char *name;
    struct inode *to;
    struct entry *next;
};

/* A name that came, went, or both (rename); happens whole or not at all. Between two folders one
 * half of it may be lost. */
struct change {
    char *gone, *come; /* NULL: none */
    struct inode *to;
    struct change *next;
};

static struct {
    struct inode *root, *all;
    uint64_t crash_in;
    int error; /* why it takes nothing */
    int (*strike)(void);
} disk;

static struct inode *inode_new(bool folder)
{
    struct inode *f = own_calloc(1, sizeof(*f));

    f->folder = folder;
    f->fd = -1;
    f->next = disk.all;
    disk.all = f;
    if (folder)
        return f;
    f->fd = memfd_create("sim", MFD_CLOEXEC);
    f->live = mmap(NULL, DISK_FILE_BYTES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                   f->fd, 0);
    assert(f->fd >= 0 && f->live != MAP_FAILED);
    return f;
}

void disk_init(void)
{
    disk.root = inode_new(true);
}

static struct entry **entry_at(struct entry **list, const char *name)
{
    while (*list && strcmp((*list)->name, name) != 0)
        list = &(*list)->next;
    return list;
}

/* Points name to an inode; NULL: to none. New names come last. */
static void entry_set(struct entry **list, const char *name, struct inode *to)
{
    struct entry **at = entry_at(list, name), *e = *at;

    if (e && to) {
        e->to = to;
    } else if (e) {
        *at = e->next;
        free(e->name);
        free(e);
    } else if (to) {
        *at = own_calloc(1, sizeof(**at));
        (*at)->name = own_strdup(name);
        (*at)->to = to;
    }
}

static void apply(struct entry **list, const struct change *c)
{
    if (c->gone)
        entry_set(list, c->gone, NULL);
    if (c->come)
        entry_set(list, c->come, c->to);
}

/* Splits off the last part of a path below the root; the folder that has it, NULL: there is none.
 */
static struct inode *walk(const char *path, char name[256])
{
    struct inode *at = disk.root;
    const char *p = strlen(path) < strlen(DISK_ROOT) ? "" : path + strlen(DISK_ROOT);

    name[0] = 0;
    while (*p) {
        p += strspn(p, "/");
        size_t n = strcspn(p, "/");
        if (n == 0)
            break;
        if (name[0]) { /* the part before was a folder on the way */
            struct entry *e = at ? *entry_at(&at->entries, name) : NULL;
            at = e && e->to->folder ? e->to : NULL;
        }
        assert(n < 256);
        memcpy(name, p, n);
        name[n] = 0;
        p += n;
    }
    return at;
}

struct inode *disk_find(const char *path)
{
    char name[256];
    struct inode *folder = walk(path, name);

    if (!folder || !name[0])
        return folder;
    struct entry *e = *entry_at(&folder->entries, name);
    return e ? e->to : NULL;
}

struct inode *disk_folder_of(const char *path)
{
    char name[256];

    return walk(path, name);
}

const char *disk_name(const struct inode *folder, int i)
{
    const struct entry *e = folder->entries;

    while (e && i-- > 0)
        e = e->next;
    return e ? e->name : NULL;
}

static void change(struct inode *folder, const char *gone, const char *come, struct inode *to)
{
    struct change **end = &folder->changes, *c = own_calloc(1, sizeof(*c));

    while (*end)
        end = &(*end)->next;
    c->gone = gone ? own_strdup(gone) : NULL;
    c->come = come ? own_strdup(come) : NULL;
    c->to = to;
    *end = c;
    apply(&folder->entries, c);
}

int disk_create(const char *path, bool is_folder, struct inode **ret)
{
    char name[256];
    struct inode *folder = walk(path, name);

    if (!folder)
        return -ENOENT;
    if (!name[0] || *entry_at(&folder->entries, name))
        return -EEXIST;
    *ret = inode_new(is_folder);
    change(folder, NULL, name, *ret);
    return 0;
}

struct inode *disk_anonymous(void)
{
    return inode_new(false);
}

int disk_rename(const char *from, const char *to)
{
    char old[256], new[256];
    struct inode *folder = walk(from, old), *other = walk(to, new), *f = disk_find(from);

    if (!f || !other)
        return -ENOENT;
    if (other == folder) {
        change(folder, old, new, f);
        return 0;
    }
    change(other, NULL, new, f);
    change(folder, old, NULL, NULL);
    return 0;
}

int disk_remove_in(struct inode *folder, const char *name)
{
    struct entry *e = folder ? *entry_at(&folder->entries, name) : NULL;

    if (!e)
        return -ENOENT;
    if (e->to->folder && e->to->entries)
        return -ENOTEMPTY;
    change(folder, name, NULL, NULL);
    return 0;
}

int disk_remove(const char *path)
{
    char name[256];

    return disk_remove_in(walk(path, name), name);
}

void disk_look(struct inode *f)
{
    struct stat st;

    if (fstat(f->fd, &st) != 0)
        abort();
    f->bytes = f->room = (size_t)st.st_size;
}

static void set_room(struct inode *f, size_t bytes)
{
    if (bytes == f->room)
        return;
    assert(bytes <= DISK_FILE_BYTES_MAX);
    if (ftruncate(f->fd, (off_t)bytes) != 0)
        abort();
    f->room = bytes;
}

void disk_settle(struct inode *f)
{
    set_room(f, f->bytes);
}

void disk_resize(struct inode *f, size_t bytes)
{
    if (bytes > f->room)
        set_room(f, (bytes + GROW - 1) / GROW * GROW);
    else if (bytes < f->bytes)
        memset(f->live + bytes, 0, f->bytes - bytes);
    f->bytes = bytes;
}

void disk_touch(struct inode *f, size_t from, size_t to)
{
    if (f->dirty_to == 0 || from < f->dirty_from)
        f->dirty_from = from;
    if (to > f->dirty_to)
        f->dirty_to = to;
}

static void sync_names(struct inode *f)
{
    for (struct change *c = f->changes, *next; c; c = next) {
        next = c->next;
        apply(&f->safe_entries, c);
        free(c->gone);
        free(c->come);
        free(c);
    }
    f->changes = NULL;
}

void disk_sync(struct inode *f)
{
    if (f->folder) {
        sync_names(f);
        return;
    }
    size_t bytes = disk_bytes(f), from = f->dirty_from, to = f->dirty_to;

    if (bytes > f->safe_cap) {
        f->safe_cap = 2 * bytes;
        f->safe = own_realloc(f->safe, f->safe_cap);
    }
    if (bytes > f->safe_bytes) {
        from = from < f->safe_bytes ? from : f->safe_bytes;
        to = bytes;
    }
    f->safe_bytes = bytes;
    if (to > bytes)
        to = bytes;
    if (from < to)
        memcpy(f->safe + from, f->live + from, to - from);
    f->dirty_from = f->dirty_to = 0;
}

/* --- as bytes --- */

/* Before each path and content; a folder has no content and comes before what is in it. */
struct record {
    uint32_t path_bytes, bytes, folder;
};

struct image {
    uint8_t *data;
    size_t bytes;
};

static void append(struct image *image, const void *data, size_t bytes)
{
    image->data = xrealloc(image->data, image->bytes + bytes + 1);
    memcpy(image->data + image->bytes, data, bytes);
    image->bytes += bytes;
}

static void save(struct image *image, const struct inode *folder, const char *path)
{
    for (const struct entry *e = folder->entries; e; e = e->next) {
        char *name = xasprintf("%s/%s", path, e->name);
        const struct record r = {(uint32_t)strlen(name), (uint32_t)e->to->bytes, e->to->folder};
        append(image, &r, sizeof(r));
        append(image, name, r.path_bytes);
        append(image, e->to->live, r.bytes);
        if (e->to->folder)
            save(image, e->to, name);
        free(name);
    }
}

size_t disk_save(uint8_t **ret)
{
    struct image image = {NULL, 0};

    save(&image, disk.root, DISK_ROOT);
    *ret = image.data;
    return image.bytes;
}

void disk_load(const uint8_t *data, size_t bytes)
{
    const uint8_t *end = data + bytes;
    char path[256];

    while (data < end) {
        struct record r;
        struct inode *f;
        memcpy(&r, data, sizeof(r));
        data += sizeof(r);
        assert(r.path_bytes < sizeof(path));
        memcpy(path, data, r.path_bytes);
        path[r.path_bytes] = 0;
        data += r.path_bytes;
        if (disk_create(path, r.folder, &f) < 0)
            abort();
        if (!r.folder) {
            disk_resize(f, r.bytes);
            memcpy(f->live, data, r.bytes);
            disk_touch(f, 0, r.bytes);
        }
        data += r.bytes;
    }
    for (struct inode *f = disk.all; f; f = f->next)
        disk_sync(f);
}

/* --- crashes --- */

/* What the platter holds becomes what the next process sees. */
static void lose_content(struct inode *f)
{
    size_t live_bytes = disk_bytes(f), bytes = f->safe_bytes;
    unsigned new_permille = (unsigned)world_draw(3) * 500; /* all old, by chance, all new */

    if (f->dirty_to == 0 && live_bytes == bytes)
        return;
    if (live_bytes != bytes && world_draw(1000) < new_permille)
        bytes = live_bytes;
    for (size_t at = 0; at < live_bytes; at += SECTOR) {
        size_t n = live_bytes - at < SECTOR ? live_bytes - at : SECTOR;
        size_t old = f->safe_bytes <= at ? 0 : f->safe_bytes - at < n ? f->safe_bytes - at : n;
        if (old == n && memcmp(f->live + at, f->safe + at, n) == 0)
            continue;
        if (world_draw(1000) < new_permille)
            continue;
        memset(f->live + at, 0, n);
        if (old)
            memcpy(f->live + at, f->safe + at, old);
    }
    disk_resize(f, bytes);
    if (bytes > live_bytes)
        memcpy(f->live + live_bytes, f->safe + live_bytes, bytes - live_bytes);
    disk_touch(f, 0, bytes);
    disk_sync(f);
}

/* The first so many changes of a folder's names survive. */
static void lose_names(struct inode *f)
{
    uint64_t count = 0;

    for (const struct change *c = f->changes; c; c = c->next)
        count++;
    uint64_t kept = count ? world_draw(count + 1) : 0;
    struct change *c = f->changes;
    for (; kept > 0; kept--, c = c->next)
        apply(&f->safe_entries, c);
    f->changes = NULL;
    f->entries = NULL;
    for (const struct entry *e = f->safe_entries; e; e = e->next)
        entry_set(&f->entries, e->name, e->to);
}

void disk_crash(bool power)
{
    disk.crash_in = 0;
    if (power)
        disk_vfs_crash();
    for (struct inode *f = disk.all; f; f = f->next) {
        f->locked = false;
        struct vfs_locks left = {0};
        if (!power && disk_vfs_locked(f))
            memcpy(left.regions, f->locks.regions, sizeof(left.regions));
        f->locks = left;
        if (!power)
            continue;
        if (f->folder)
            lose_names(f);
        else
            lose_content(f);
    }
}

void disk_damage(struct inode *f, size_t at)
{
    f->live[at] ^= 0x10;
    if (at < f->safe_bytes)
        f->safe[at] ^= 0x10;
}

void disk_cut(struct inode *f, size_t bytes)
{
    disk_resize(f, bytes);
    disk_settle(f);
    if (f->safe_bytes > bytes)
        f->safe_bytes = bytes;
}

void disk_crash_in(uint64_t n)
{
    disk.crash_in = n;
}

void disk_set_error(int error)
{
    disk.error = error;
}

int disk_error(void)
{
    return disk.error;
}

void disk_ask(int (*strike)(void))
{
    disk.strike = strike;
}

int disk_operation(void)
{
    if (!life_inside())
        return 0;
    if (disk.crash_in > 0 && --disk.crash_in == 0)
        life_crash("disk operation");
    return disk.strike ? disk.strike() : 0;
}
