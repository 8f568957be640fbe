/* SQLite's locks are bytes of its files. In the file itself: 512 from PENDING_BYTE on. In the
 * shared memory of the log (the -shm file, whose format SQLite documents): 120 to write, 121 to
 * move the log, 122 to recover it, and 123 to 127, one for each mark up to which a reader reads. */
#include "server/store/db_locks.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "common/text.h"
#include "server/store/state_dir.h"

#define PENDING_BYTE 0x40000000
#define FILE_LOCKS 512
#define WRITE_BYTE 120
#define MARKS_BYTE 123
#define MARKS 5
/* Where the shared memory keeps the number of frames in the log, and the marks. */
#define FRAMES_AT 16
#define MARKS_AT 100

#define HOLDERS_MAX 4
struct holders {
    pid_t pids[HOLDERS_MAX]; /* 0: of another container, or unknown */
    int count;
};

/* A descriptor that this process has open for dir/name + suffix; -1: none. */
static int find_descriptor(const char *dir, const char *name, const char *suffix)
{
    char path[STATE_PATH_BYTES];
    struct stat want, have;
    struct dirent *entry;
    int64_t fd;
    int found = -1;

    state_dir_db(path, dir, name, suffix);
    if (stat(path, &want) != 0)
        return -1;
    DIR *all = opendir("/proc/self/fd");
    while (all && found < 0 && (entry = readdir(all)) != NULL)
        if (text_i64(entry->d_name, 0, INT32_MAX, &fd) && fstat((int)fd, &have) == 0 &&
            have.st_ino == want.st_ino && have.st_dev == want.st_dev)
            found = (int)fd;
    if (all)
        closedir(all);
    return found;
}

/* Adds the holder of a lock that conflicts with `type` there; true: somebody holds one. */
static bool ask(int fd, short type, off_t from, off_t bytes, struct holders *h)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = bytes};

    if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
        return false;
    pid_t pid = lock.l_pid > 0 ? lock.l_pid : 0;
    for (int i = 0; i < h->count; i++)
        if (h->pids[i] == pid)
            return true;
    if (h->count < HOLDERS_MAX)
        h->pids[h->count++] = pid;
    return true;
}

/* The kernel's name for a process; characters that may not be shown become '?'.
 */
static void name_process(pid_t pid, char *out, size_t bytes)
{
    char path[64];
    size_t n = 0;

    snprintf(path, sizeof(path), "/proc/%ld/comm", (long)pid);
    FILE *file = fopen(path, "re");
    if (file) {
        n = fread(out, 1, bytes - 1, file);
        fclose(file);
    }
    out[n] = 0;
    out[strcspn(out, "\n")] = 0;
    for (char *p = out; *p; p++)
        if (*p < ' ' || *p > '~' || *p == '"')
            *p = '?';
}

static bool tell(const struct holders *h, char ret[DB_HOLDER_BYTES])
{
    char name[24];
    int used = 0;

    for (int i = 0; i < h->count && used < DB_HOLDER_BYTES; i++) {
        const char *comma = i ? ", " : "";
        size_t room = DB_HOLDER_BYTES - (size_t)used;
        name_process(h->pids[i], name, sizeof(name));
        if (h->pids[i])
            used += snprintf(ret + used, room, "%s%s (pid %ld)", comma,
                             name[0] ? name : "a program", (long)h->pids[i]);
        else
            used += snprintf(ret + used, room, "%sa process outside of this container", comma);
    }
    return h->count > 0;
}

bool db_locked_by(const char *dir, const char *name, char ret[DB_HOLDER_BYTES])
{
    int shared = find_descriptor(dir, name, "-shm"), file = find_descriptor(dir, name, "");
    struct holders h = {.count = 0};

    /* A read lock conflicts with the locks that keep everybody out. */
    ask(shared, F_RDLCK, WRITE_BYTE, MARKS_BYTE - WRITE_BYTE, &h);
    ask(shared, F_RDLCK, MARKS_BYTE, MARKS, &h);
    ask(file, F_RDLCK, PENDING_BYTE, FILE_LOCKS, &h);
    return tell(&h, ret);
}

bool db_read_by(const char *dir, const char *name, char ret[DB_HOLDER_BYTES])
{
    int shared = find_descriptor(dir, name, "-shm");
    struct holders h = {.count = 0};
    uint32_t frames = 0, marks[MARKS] = {0};

    if (shared < 0 || pread(shared, &frames, sizeof(frames), FRAMES_AT) != sizeof(frames) ||
        pread(shared, marks, sizeof(marks), MARKS_AT) != sizeof(marks))
        return false;
    /* A reader at mark 0 reads the file without the log, so the file must not change. */
    for (int i = 0; i < MARKS; i++)
        if (i == 0 || marks[i] < frames)
            ask(shared, F_WRLCK, MARKS_BYTE + i, 1, &h);
    return tell(&h, ret);
}
