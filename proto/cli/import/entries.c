#include "proto/cli/import/entries.h"

#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/text.h"
#include "proto/cli/import/import.h"

static bool listed(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(name, *names) == 0)
            return true;
    return false;
}

/* What file managers, archivers and network disks leave in every folder. */
static bool is_junk(const char *name)
{
    static const char *const names[] = {"Thumbs.db",    "desktop.ini",
                                        "__MACOSX",     "@eaDir",
                                        "$RECYCLE.BIN", "System Volume Information",
                                        "lost+found",   NULL};

    return name[0] == '.' || listed(name, names);
}

void entries_done(struct entries *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->at[i].name);
    free(e->at);
    *e = (struct entries){0};
}

int entries_compare(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

void entries_sort(struct entries *e)
{
    if (e->count)
        qsort(e->at, e->count, sizeof(*e->at), entries_compare);
}

const struct entry *entries_find(const struct entries *e, const char *name)
{
    const struct entry wanted = {(char *)name, false};

    return e->count ? bsearch(&wanted, e->at, e->count, sizeof(*e->at), entries_compare) : NULL;
}

void entries_add(struct entries *e, const char *name, bool is_folder)
{
    if (e->count == e->capacity) {
        e->capacity = e->capacity ? e->capacity * 2 : 64;
        e->at = xrealloc(e->at, e->capacity * sizeof(*e->at));
    }
    e->at[e->count++] = (struct entry){xstrdup(name), is_folder};
}

int entries_read(const char *folder, struct entries *ret, struct errbuf *why)
{
    struct entries e = {0};
    struct dirent *found;
    int rc = 0;
    DIR *dir = opendir(folder);

    if (!dir)
        return err_set(why, -errno, "cannot open %s: %s", folder, err_text(-errno));
    while (!rc && (errno = 0, found = readdir(dir))) {
        char *path = import_path(folder, found->d_name);
        struct stat st;
        if (is_junk(found->d_name))
            ;
        else if (stat(path, &st) != 0)
            rc = err_set(why, -errno, "cannot open %s: %s", path, err_text(-errno));
        else if (e.count > SAMPLES_MAX)
            rc = err_set(why, -EINVAL, "%s has more than %u files", folder, SAMPLES_MAX);
        else
            entries_add(&e, found->d_name, S_ISDIR(st.st_mode));
        free(path);
    }
    if (!rc && errno)
        rc = err_set(why, -errno, "cannot read %s: %s", folder, err_text(-errno));
    closedir(dir);
    if (rc) {
        entries_done(&e);
        return rc;
    }
    entries_sort(&e);
    *ret = e;
    return 0;
}

bool entries_have_folders(const char *folder)
{
    struct entries e = {0};
    bool found = false;

    if (entries_read(folder, &e, NULL) != 0)
        return false;
    for (size_t i = 0; i < e.count && !found; i++)
        found = e.at[i].is_folder;
    entries_done(&e);
    return found;
}

bool entries_is_picture(const char *name)
{
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".webp", NULL};
    const char *dot = strrchr(name, '.');

    return dot && listed(dot, endings);
}

bool entries_is_image_file(const char *name)
{
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".webp", ".ppm",
                                          ".bmp", ".pgm", ".tif",  ".tiff", NULL};
    const char *dot = strrchr(name, '.');

    return dot && listed(dot, endings);
}

size_t entries_pictures(const char *folder)
{
    char *paths[] = {(char *)folder, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    size_t count = 0;

    for (FTSENT *at; tree && (at = fts_read(tree));) {
        if (at->fts_level > 0 && is_junk(at->fts_name))
            fts_set(tree, at, FTS_SKIP);
        else if (at->fts_info != FTS_D && at->fts_info != FTS_DP)
            count += entries_is_picture(at->fts_name);
    }
    if (tree)
        fts_close(tree);
    return count;
}

int entries_shown_check(const char *what, const char *root, const struct entries *folders,
                        struct errbuf *why)
{
    struct entries shown = {0};
    int rc = 0;

    for (size_t i = 0; i < folders->count; i++) {
        entries_add(&shown, folders->at[i].name, true);
        text_make_printable(shown.at[i].name);
    }
    entries_sort(&shown);
    for (size_t i = 1; i < shown.count && !rc; i++)
        if (strcmp(shown.at[i].name, shown.at[i - 1].name) == 0)
            rc = err_set(why, -EINVAL,
                         "%s has two %s folders that are both shown as \"%s\": they differ in "
                         "characters that no terminal can show or that are not UTF-8",
                         root, what, shown.at[i].name);
    entries_done(&shown);
    return rc;
}
