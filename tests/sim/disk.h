/* The simulated disk: a tree of files and folders of which the process sees the present state and a
 * power failure leaves what was synced. A file is a memfd, so that read, pread, mmap and fstat of
 * the product work on it as they are; what changes names or makes durable comes here
 * (disk_posix.c, and disk_vfs.c for SQLite).
 *
 * Power failure: of each file every sector that was not synced is, by chance, old or new, and so is
 * its size; of each folder the first so many changes since its last sync survive, by chance. A
 * file's sync does not make its name durable, nor a folder's that of the folder. */
#ifndef STEPPE_TESTS_SIM_DISK_H
#define STEPPE_TESTS_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISK_ROOT "/sim"
#define DISK_FILE_BYTES_MAX (32u << 20)

struct vfs_file;
struct inode;

/* Locks and shared memory that SQLite's connections have on a file; gone with the process. */
#define SHM_REGIONS 16
#define SHM_LOCKS 8
struct vfs_locks {
    int shared;
    struct vfs_file *reserved, *pending, *exclusive;
    void *regions[SHM_REGIONS];
    int users; /* of the regions */
    int shm_shared[SHM_LOCKS];
    struct vfs_file *shm_exclusive[SHM_LOCKS];
};

struct inode {
    bool folder;
    int fd;        /* memfd of the present content, -1: a folder */
    uint8_t *live; /* the same, mapped */
    size_t bytes;  /* of it */
    size_t room;   /* of the memfd, which SQLite's writes make grow in larger steps */
    uint8_t *safe; /* what was synced */
    size_t safe_bytes, safe_cap;
    size_t dirty_from, dirty_to; /* may differ from safe */
    struct entry *entries;       /* of a folder, as the process sees it */
    struct entry *safe_entries;
    struct change *changes; /* of the names since its last sync */
    bool locked;            /* flock */
    struct vfs_locks locks;
    struct inode *next; /* all there are */
};

/* The disk with an empty folder DISK_ROOT. */
void disk_init(void);
/* The file or folder of an absolute path below DISK_ROOT; NULL: there is none. */
struct inode *disk_find(const char *path);
/* 0, -EEXIST, -ENOENT (no such folder). */
int disk_create(const char *path, bool folder, struct inode **ret);
struct inode *disk_anonymous(void);
int disk_rename(const char *from, const char *to);
int disk_remove(const char *path);
int disk_remove_in(struct inode *folder, const char *name);
struct inode *disk_folder_of(const char *path); /* NULL: there is none */
/* The i-th name of a folder, NULL behind the last. */
const char *disk_name(const struct inode *folder, int i);

static inline size_t disk_bytes(const struct inode *f)
{
    return f->bytes;
}
void disk_resize(struct inode *f, size_t bytes);
/* Bytes [from, to) are about to change. */
void disk_touch(struct inode *f, size_t from, size_t to);
void disk_sync(struct inode *f);

/* The memfd becomes as long as the file, for those that go round disk_bytes. */
void disk_settle(struct inode *f);
/* The product wrote it through a descriptor: looks how long it is. */
void disk_look(struct inode *f);

/* The whole tree as bytes (malloc, in ret), and back onto an empty disk, synced. */
size_t disk_save(uint8_t **ret);
void disk_load(const uint8_t *data, size_t bytes);

/* The process died. power: and the machine with it. */
void disk_crash(bool power);
/* Changes a byte of a file, present and synced. */
void disk_damage(struct inode *f, size_t at);
/* Takes away what is behind `bytes`, likewise. */
void disk_cut(struct inode *f, size_t bytes);

/* --- what goes wrong; counted at every operation that changes the disk --- */

/* The process dies in the n-th such operation from now; 0: in none. */
void disk_crash_in(uint64_t n);
/* No byte more is taken until told otherwise, for this errno (0: all is well). */
void disk_set_error(int error);
/* Counts an operation; may not return (life.h). The errno that it fails with, 0: none. */
int disk_operation(void);
int disk_error(void);
/* From now on each operation of the server's code asks this one what it fails with. */
void disk_ask(int (*strike)(void));

#endif
