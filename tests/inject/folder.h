/* A folder that every run of a sweep finds as it was, and a number for what it leaves there. */
#ifndef STEPPE_TESTS_INJECT_FOLDER_H
#define STEPPE_TESTS_INJECT_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/hash.h"
#include "tests/harness.h"

static const char *folder_from, *folder_to;
static uint64_t folder_sum;

static int folder_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int folder_copy_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    char *to = NULL, *data = NULL;
    size_t bytes;

    (void)type;
    (void)at;
    ASSERT(asprintf(&to, "%s%s", folder_to, path + strlen(folder_from)) > 0);
    if (S_ISDIR(st->st_mode)) {
        ASSERT_EQ(0, mkdir(to, 0700));
    } else if (S_ISREG(st->st_mode)) {
        ASSERT_EQ(0, file_read(path, 64 << 20, &data, &bytes, NULL));
        FILE *out = fopen(to, "w");
        ASSERT(out && fwrite(data, 1, bytes, out) == bytes && fclose(out) == 0);
    }
    free(data);
    free(to);
    return 0;
}

/* Of a folder that is not there nothing is removed or copied. */
static inline void folder_remove(const char *path)
{
    nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void folder_copy(const char *from, const char *to)
{
    folder_from = from;
    folder_to = to;
    nftw(from, folder_copy_one, 16, FTW_PHYS);
}

/* What nobody reads again: who has the lock, and an index that SQLite makes anew. */
static bool folder_is_of_process(const char *path)
{
    const size_t bytes = strlen(path);

    return strcmp(path + bytes - 4, "-shm") == 0 || strcmp(path + bytes - 5, "/lock") == 0;
}

static int folder_add_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    char *data = NULL;
    size_t bytes = 0;
    uint8_t name[BLAKE2B_BYTES], content[BLAKE2B_BYTES];
    uint64_t one, other;

    (void)type;
    (void)at;
    if (S_ISREG(st->st_mode) && !folder_is_of_process(path))
        ASSERT_EQ(0, file_read(path, 64 << 20, &data, &bytes, NULL));
    blake2b_of(path, strlen(path), name);
    blake2b_of(data, bytes, content);
    memcpy(&one, name, sizeof(one));
    memcpy(&other, content, sizeof(other));
    folder_sum += (one ^ st->st_mode) * (other | 1); /* whatever their order */
    free(data);
    return 0;
}

/* The same for the same files with the same content. */
static inline uint64_t folder_number(const char *path)
{
    folder_sum = 0;
    nftw(path, folder_add_one, 16, FTW_PHYS);
    return folder_sum;
}

#endif
