/* Names of files and folders, one a line, as an importer finds splits among them: those that end
 * in '/' are folders with a picture's name in them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/draft.h"

#define NAMES_MAX 12
#define NAME_BYTES_MAX 160

/* One grey pixel. */
static const uint8_t png[] = {
    137, 80, 78, 71, 13, 10, 26, 10,  0,   0,  0, 13, 73, 72, 68, 82, 0,  0,   0,   1,   0,  0,  0,
    1,   8,  0,  0,  0,  0,  58, 126, 155, 85, 0, 0,  0,  10, 73, 68, 65, 84,  120, 156, 99, 96, 7,
    0,   0,  9,  0,  8,  32, 35, 195, 140, 0,  0, 0,  0,  73, 69, 78, 68, 174, 66,  96,  130};

struct made {
    char paths[2 * NAMES_MAX][NAME_BYTES_MAX];
    int count;
};

static bool usable(const char *name)
{
    return *name && *name != '/' && !strstr(name, "..") && !strstr(name, "//") &&
           strlen(name) < NAME_BYTES_MAX - 10;
}

/* Makes what does not exist yet; links and parents that are missing are left out. */
static void make_one(struct made *m, const char *name, bool is_folder)
{
    const char *path = fuzz_path(name);

    if (is_folder) {
        if (mkdir(path, 0700) != 0)
            return;
    } else {
        FILE *f = fopen(path, "wx");
        if (!f)
            return;
        FUZZ_ASSERT(fwrite(png, 1, sizeof(png), f) == sizeof(png) && fclose(f) == 0);
    }
    snprintf(m->paths[m->count++], NAME_BYTES_MAX, "%s", name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct made *m = calloc(1, sizeof(*m));
    char *text = calloc(1, bytes + 1), *rest, *name;
    int names = 0;

    memcpy(text, data, bytes);
    for (name = strtok_r(text, "\n", &rest); name && names < NAMES_MAX;
         name = strtok_r(NULL, "\n", &rest), names++) {
        size_t n = strlen(name);
        char inside[NAME_BYTES_MAX];
        bool is_folder = n > 1 && name[n - 1] == '/';
        if (is_folder)
            name[n - 1] = 0;
        if (!usable(name))
            continue;
        make_one(m, name, is_folder);
        snprintf(inside, sizeof(inside), "%s/a.png", name);
        if (is_folder)
            make_one(m, inside, false);
    }
    fuzz_import(NULL, 0);
    while (m->count > 0)
        remove(fuzz_path(m->paths[--m->count]));
    free(text);
    free(m);
    return 0;
}
