/* What a folder holds, sorted by name, without the junk that systems leave everywhere. */
#ifndef STEPPE_PROTO_CLI_IMPORT_ENTRIES_H
#define STEPPE_PROTO_CLI_IMPORT_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

struct entry {
    char *name;
    bool is_folder;
};

struct entries {
    struct entry *at;
    size_t count, capacity;
};

/* Everything in the folder, except names that begin with '.' and those of systems (Thumbs.db,
 * __MACOSX). 0, -EINVAL (more than SAMPLES_MAX) or -errno. */
int entries_read(const char *folder, struct entries *ret, struct errbuf *why);
void entries_add(struct entries *e, const char *name, bool is_folder);
void entries_done(struct entries *e); /* a zeroed struct is fine */

/* Sorted bytewise, the order of samples. */
int entries_compare(const void *a, const void *b);
void entries_sort(struct entries *e);
/* NULL: no entry has the name. e is sorted. */
const struct entry *entries_find(const struct entries *e, const char *name);

/* Is path a folder? Also false when it cannot be read. */
bool entries_have_folders(const char *folder);
/* Does the name end as a picture's? As sentences say it: */
#define PICTURE_ENDINGS ".png, .jpg, .jpeg or .webp"
bool entries_is_picture(const char *name);
/* Likewise, as a file that torchvision's ImageFolder lists: also .ppm, .pgm, .bmp, .tif and .tiff.
 */
bool entries_is_image_file(const char *name);
/* How many files below the folder are named like pictures. */
size_t entries_pictures(const char *folder);
/* Names are kept in the form that may be shown, and must still differ in it: control characters and
 * bytes that are not UTF-8 all become '?'. Do the folders (`what`: of which kind) in root? -EINVAL.
 */
int entries_shown_check(const char *what, const char *root, const struct entries *folders,
                        struct errbuf *why);

#endif
