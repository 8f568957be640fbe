/* The table of formats, and the work that all of them share. */
#include "proto/cli/import/import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/text.h"
#include "proto/cli/import/entries.h"
#include "proto/cli/import/idx_file.h"
#include "proto/cli/import/numbers.h"
#include "proto/cli/import/split.h"

/* The first that detects the path reads it. Pictures are last: any folder with folders in it. */
static const struct import_format *const formats[] = {&idx_format, &cifar_format, &npy_format,
                                                      &picture_format};
#define FORMATS_COUNT (sizeof(formats) / sizeof(formats[0]))
#define WRAPPED_MAX 8 /* folders around a dataset; a download has two or three */

const char *const labels_are_names[] = {[LABELS_NOISY] = "noisy", [LABELS_TRUE] = "true", NULL};

char *import_path(const char *folder, const char *name)
{
    size_t bytes = strlen(folder);

    return xasprintf("%s%s%s", folder, bytes && folder[bytes - 1] == '/' ? "" : "/", name);
}

int import_name_check(const char *what, const char *place, const char *name, struct errbuf *why)
{
    if (strlen(name) <= CLASS_NAME_BYTES_MAX)
        return 0;
    return err_set(why, -EINVAL, "%s has a %s name of %zu bytes, allowed is up to %d: %.60s...",
                   place, what, strlen(name), CLASS_NAME_BYTES_MAX, name);
}

/* What people call a file that lies below the folder that they named, or that they named. */
static const char *path_below(const struct import_request *r, const char *path)
{
    const char *root = r->root ? r->root : r->path, *slash = strrchr(path, '/');
    size_t bytes = strlen(root);
    const char *below = strncmp(path, root, bytes) == 0 ? path + bytes : path;

    if (!*below)
        return slash ? slash + 1 : path;
    while (*below == '/')
        below++;
    return below;
}

int import_uri(const struct import_request *r, const char *path, struct uris *u, struct errbuf *why)
{
    return uris_add(u, path_below(r, path), why);
}

int import_uris(const struct import_request *r, const char *path, uint32_t count, struct uris *u,
                struct errbuf *why)
{
    const char *below = path_below(r, path);
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        char *name = xasprintf("%s[%u]", below, i);
        rc = uris_add(u, name, why);
        free(name);
    }
    return rc;
}

int import_stopped(const struct import_request *r, struct errbuf *why)
{
    return r->stop && *r->stop ? err_set(why, -EINTR, "stopped; nothing was sent") : 0;
}

static int format_find(const char *path, const struct import_format **ret, struct errbuf *why)
{
    struct stat st;
    struct entries e = {0};
    char needs[400];
    size_t used = 0;

    if (stat(path, &st) != 0)
        return err_set(why, -errno, "cannot open %s: %s", path, err_text(-errno));
    /* No format detects a path that cannot be read; but then the sentence must not say that nothing
     * is there. */
    int rc = S_ISDIR(st.st_mode) ? entries_read(path, &e, why) : 0;
    entries_done(&e);
    if (rc)
        return rc;
    for (size_t i = 0; i < FORMATS_COUNT; i++)
        if (formats[i]->detect(path, S_ISDIR(st.st_mode))) {
            *ret = formats[i];
            return 0;
        }
    for (size_t i = 0; i < FORMATS_COUNT && used < sizeof(needs); i++)
        used += (size_t)snprintf(needs + used, sizeof(needs) - used, "%s%s",
                                 i == 0                   ? ""
                                 : i == FORMATS_COUNT - 1 ? " or "
                                                          : ", ",
                                 formats[i]->needs);
    return err_set(why, -EINVAL, "%s holds no dataset, expected %s", path, needs);
}

/* The only folder in path, when all else are files that are not pictures, as archives unpack; to be
 * freed. NULL: there is none, or it has a meaning of its own: a part of a dataset, the one that the
 * request names, a class. */
static char *wrapped_folder(const struct import_request *r, const char *path)
{
    const struct import_format *format;
    struct entries e = {0};
    char *inner = NULL;
    int folders = 0;

    if ((r->train && strcmp(r->train, SPLIT_WHOLE) == 0) || entries_read(path, &e, NULL) != 0)
        return NULL;
    for (size_t i = 0; i < e.count; i++) {
        const char *name = e.at[i].name;
        bool meant = split_kind_of(name) || (r->train && strcmp(r->train, name) == 0) ||
                     (r->test && strcmp(r->test, name) == 0);
        folders += e.at[i].is_folder ? meant ? 2 : 1 : entries_is_picture(name) ? 2 : 0;
        if (e.at[i].is_folder && !inner)
            inner = import_path(path, name);
    }
    entries_done(&e);
    if (inner && (folders != 1 || format_find(inner, &format, NULL) != 0)) {
        free(inner);
        inner = NULL;
    }
    return inner;
}

/* Notes that inner is read, and what lies beside it. */
static void wrapper_note(const struct import_request *r, const char *path, const char *inner)
{
    struct entries e = {0};

    import_note(r->notes, "reading %s, the only folder in %s", inner, path);
    if (entries_read(path, &e, NULL) != 0)
        return;
    for (size_t i = 0; i < e.count; i++)
        if (!e.at[i].is_folder)
            import_note_left(r->notes, path, "", e.at[i].name, false);
    entries_done(&e);
}

/* Finds the format of r->path, or of the only folder in it, or in that: *io_path is where. */
static int folder_search(const struct import_request *r, char **io_path,
                         const struct import_format **ret, struct errbuf *why)
{
    int rc = format_find(*io_path, ret, why);

    for (int depth = 0; !rc && *ret == &picture_format && depth < WRAPPED_MAX; depth++) {
        char *inner = wrapped_folder(r, *io_path);
        if (!inner)
            break;
        wrapper_note(r, *io_path, inner);
        free(*io_path);
        *io_path = inner;
        rc = format_find(inner, ret, why);
    }
    return rc;
}

static bool is_csv(const char *path)
{
    const size_t n = strlen(path);

    return n > 4 && strcasecmp(path + n - 4, ".csv") == 0;
}

/* A manifest is of pictures or of a table. */
static int format_search(const struct import_request *r, char **io_path,
                         const struct import_format **ret, struct errbuf *why)
{
    struct stat st;
    const bool file = stat(*io_path, &st) == 0 && !S_ISDIR(st.st_mode);

    if (file && r->manifest) {
        *ret = &table_format;
        return 0;
    }
    if (file && is_csv(*io_path))
        return err_set(why, -EINVAL,
                       "%s is a CSV file; --manifest makes a dataset without pictures of its lines",
                       *io_path);
    int rc = folder_search(r, io_path, ret, why);
    if (!rc && r->manifest && *ret != &picture_format)
        rc = err_set(why, -EINVAL,
                     "--manifest is for a folder of pictures or a CSV file, but %s is %s", *io_path,
                     (*ret)->name);
    return rc;
}

static uint32_t classes_count(const uint16_t *labels, uint32_t n, uint32_t classes)
{
    for (uint32_t i = 0; labels && i < n; i++)
        if (labels[i] >= classes)
            classes = labels[i] + 1u;
    return classes;
}

/* The labels of labels_path, read in the file's own format. */
static int labels_read(const struct import_request *r, uint32_t samples, uint16_t **ret,
                       struct errbuf *why)
{
    const struct numbers_ask ask = {NUMBERS_LABELS, samples, r->path};
    struct numbers n;

    if (idx_file_is(r->labels_path))
        return idx_file_labels(r->labels_path, r->path, samples, ret, why);
    int rc = numbers_read(r->labels_path, &ask, &n, why);
    if (rc)
        return rc;
    uint16_t *labels = alloc_bytes(n.count, sizeof(*labels));
    if (!labels)
        rc = err_set(why, -ENOMEM, "no memory for the labels of %s", r->labels_path);
    for (uint32_t i = 0; !rc && i < n.count; i++)
        labels[i] = (uint16_t)n.value[i];
    if (!rc)
        *ret = labels;
    numbers_done(&n);
    return rc;
}

/* The old labels are the truth, or they were wrong and are dropped. */
static int relabel(const struct import_request *r, struct dataset_draft *d, struct errbuf *why)
{
    uint16_t *labels;
    int rc = labels_read(r, d->samples, &labels, why);

    if (rc)
        return rc;
    for (uint32_t i = 0; !rc && d->class_names && i < d->samples; i++)
        if (labels[i] >= d->classes)
            rc = err_set(why, -EINVAL, "label %u of %s is %u, allowed is 0 to %u (%u classes)", i,
                         r->labels_path, labels[i], d->classes - 1, d->classes);
    if (rc) {
        free(labels);
        return rc;
    }
    for (uint32_t i = 0; i < d->samples; i++)
        d->relabelled += labels[i] != d->labels[i];
    if (r->labels_are == LABELS_TRUE)
        free(d->labels);
    else
        d->truth = d->labels;
    d->labels = labels;
    return 0;
}

/* A class without training images cannot be tested. */
static int test_labels_check(const struct import_format *format, const struct import_request *r,
                             const struct dataset_draft *d, struct errbuf *why)
{
    for (uint32_t i = 0; i < d->test_samples; i++)
        if (d->test_labels[i] >= d->classes) {
            char *path = format->test_labels ? format->test_labels(r) : NULL;
            int rc = err_set(why, -EINVAL,
                             "%s: the label of image %u is %u, allowed is 0 to %u, the classes of "
                             "the training labels",
                             path ? path : r->path, i, d->test_labels[i], d->classes - 1);
            free(path);
            return rc;
        }
    return 0;
}

/* For a format without names. */
static int classes_set(const struct import_format *format, const struct import_request *r,
                       struct dataset_draft *d, struct errbuf *why)
{
    d->classes = classes_count(d->labels, d->samples, 2);
    d->classes = classes_count(d->truth, d->samples, d->classes);
    return test_labels_check(format, r, d, why);
}

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

/* "FORMAT NAME", with the labels' file; "manifest" of a manifest, as the same samples are the same
 * manifest, wherever they lie. Names of files may hold any bytes, metadata may not. */
static void source_set(const struct import_request *r, const char *format, struct dataset_draft *d)
{
    char *whole = realpath(r->path, NULL); /* "." has a name as well */
    char scaled[48] = "";

    if (r->size)
        snprintf(scaled, sizeof(scaled), ", scaled to %u x %u", r->size, r->size);
    char *origin =
        r->manifest ? xstrdup("manifest")
                    : xasprintf("%s %s%s", format, last_component(whole ? whole : r->path), scaled);
    char *source = xasprintf("%s%s%s", origin,
                             !r->labels_path                ? ""
                             : r->labels_are == LABELS_TRUE ? ", corrected by "
                                                            : ", labels of ",
                             r->labels_path ? last_component(r->labels_path) : "");
    snprintf(d->source, sizeof(d->source), "%s", source);
    text_make_printable(d->source);
    free(source);
    free(origin);
    free(whole);
}

/* Options that mean nothing for the format are refused. */
static int options_check(const struct import_request *r, const struct import_format *format,
                         struct errbuf *why)
{
    struct stat st;

    if ((r->size || r->stored || r->skip_bad) && !format->pictures)
        return err_set(why, -EINVAL, "--%s is for folders of pictures, but %s is %s",
                       r->size     ? r->manifest ? "thumbnails" : "size"
                       : r->stored ? "no-exif"
                                   : "skip-bad",
                       r->path, format->name);
    if (r->labels_path && format == &table_format)
        return err_set(why, -EINVAL,
                       "--labels is for folders, but %s is %s, which has a column for "
                       "them",
                       r->path, format->name);
    if (r->layout != NPY_LAYOUT_JUDGE && !format->lays_out)
        return err_set(why, -EINVAL, "--layout is for numpy's arrays, but %s is %s", r->path,
                       format->name);
    if ((r->train || r->test) && stat(r->path, &st) == 0 && !S_ISDIR(st.st_mode))
        return err_set(why, -EINVAL, "%s is for folders, but %s is a file",
                       r->train ? "--train" : "--test", r->path);
    return 0;
}

bool import_scales(const struct import_request *r)
{
    const struct import_format *format = NULL;
    struct import_request quiet = *r;
    char *path = xstrdup(r->path);

    quiet.notes = NULL;
    bool scales = format_search(&quiet, &path, &format, NULL) == 0 && format->pictures;
    free(path);
    return scales;
}

int import_files(const struct import_request *r, struct dataset_draft *ret, struct errbuf *why)
{
    const struct import_format *format = NULL;
    struct import_request inner = *r;
    struct dataset_draft d = {0};
    char *path = xstrdup(r->path);
    int rc = format_search(r, &path, &format, why);

    inner.path = path;
    inner.root = r->path;
    if (!rc)
        rc = options_check(&inner, format, why);
    if (!rc)
        rc = format->import(&inner, &d, why);
    if (!rc && r->labels_path)
        rc = relabel(&inner, &d, why);
    if (!rc && !d.class_names && format != &table_format)
        rc = classes_set(format, &inner, &d, why);
    free(path);
    if (rc) {
        dataset_draft_done(&d);
        return rc;
    }
    source_set(r, *d.source ? d.source : format->name, &d);
    *ret = d;
    return 0;
}
