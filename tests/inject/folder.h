/* A folder that every run of a sweep finds as it was. */
#ifndef STEPPE_TESTS_INJECT_FOLDER_H
#define STEPPE_TESTS_INJECT_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "tests/harness.h"

static const char *folder_from, *folder_to;

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

#endif
