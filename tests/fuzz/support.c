#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "tests/fuzz/fuzz.h"

void fuzz_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
    fflush(stderr);
    abort();
}

const char *fuzz_file(const uint8_t *data, size_t bytes)
{
    static char path[64];
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("input", MFD_CLOEXEC);
    FUZZ_ASSERT(fd >= 0 && ftruncate(fd, 0) == 0);
    FUZZ_ASSERT(file_write_at(fd, data, bytes, 0) == 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return path;
}

static char folder[64];

static void remove_folder(void)
{
    char command[96];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    if (system(command) != 0)
        perror(folder);
}

const char *fuzz_folder(void)
{
    if (folder[0])
        return folder;
    snprintf(folder, sizeof(folder), "/dev/shm/steppe-fuzz-XXXXXX");
    if (!mkdtemp(folder)) {
        snprintf(folder, sizeof(folder), "/tmp/steppe-fuzz-XXXXXX");
        FUZZ_ASSERT(mkdtemp(folder));
    }
    atexit(remove_folder);
    return folder;
}

const char *fuzz_path(const char *name)
{
    static char paths[8][192];
    static int next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", fuzz_folder(), name);
    return path;
}

void fuzz_put(const char *name, const uint8_t *data, size_t bytes)
{
    FILE *f = fopen(fuzz_path(name), "wb");

    FUZZ_ASSERT(f && fwrite(data, 1, bytes, f) == bytes && fclose(f) == 0);
}

void fuzz_touch(const void *data, size_t bytes)
{
    static volatile uint8_t sink;
    const uint8_t *p = data;
    uint8_t all = 0;

    for (size_t i = 0; i < bytes; i++)
        all ^= p[i];
    sink = all;
    (void)sink;
}

size_t fuzz_part(const uint8_t *data, size_t bytes, size_t *ret_skip)
{
    static const char mark[] = "\n--\n";
    const uint8_t *at = memmem(data, bytes, mark, sizeof(mark) - 1);
    size_t part = at ? (size_t)(at - data) : bytes;

    *ret_skip = at ? part + sizeof(mark) - 1 : bytes;
    return part;
}

void fuzz_put_parts(const char *const *names, const uint8_t *data, size_t bytes)
{
    size_t skip;

    for (; *names; names++) {
        size_t part = fuzz_part(data, bytes, &skip);
        fuzz_put(*names, data, part);
        data += skip;
        bytes -= skip;
    }
}
