/* The table of formats, and what is the same for all of them. */
#include "proto/cli/import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/text.h"
#include "proto/cli/idx_file.h"
#include "proto/cli/numbers.h"

/* The first that detects the path reads it. Pictures are last: any folder with folders in it. */
static const struct import_format *const formats[] = {&idx_format, &cifar_format, &npy_format,
                                                      &picture_format};
#define FORMATS_COUNT (sizeof(formats) / sizeof(formats[0]))

char *import_path(const char *folder, const char *name)
{
    size_t bytes = strlen(folder);

    return xasprintf("%s%s%s", folder, bytes && folder[bytes - 1] == '/' ? "" : "/", name);
}

bool import_has(const char *folder, const char *name)
{
    char *path = import_path(folder, name);
    bool there = access(path, F_OK) == 0;

    free(path);
    return there;
}

int import_stopped(const struct import_request *r, struct errbuf *why)
{
    return r->stop && *r->stop ? err_set(why, -EINTR, "stopped; nothing was sent") : 0;
}

static int format_find(const char *path, const struct import_format **ret, struct errbuf *why)
{
    struct stat st;
    char needs[400];
    size_t used = 0;

    if (stat(path, &st) != 0)
        return err_set(why, -errno, "cannot open %s: %s", path, err_text(-errno));
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
    return err_set(why, -EINVAL, "%s holds no dataset, needed is %s", path, needs);
}

static uint32_t classes_count(const uint16_t *labels, uint32_t n, uint32_t classes)
{
    for (uint32_t i = 0; labels && i < n; i++)
        if (labels[i] >= classes)
            classes = labels[i] + 1u;
    return classes;
}

/* The labels of labels_path, read as what the file is. */
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

/* The old labels are the truth, or what was wrong and is gone. */
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

/* What a training image never shows cannot be tested for. */
static int test_labels_check(const struct import_format *format, const struct import_request *r,
                             const struct dataset_draft *d, struct errbuf *why)
{
    for (uint32_t i = 0; i < d->test_samples; i++)
        if (d->test_labels[i] >= d->classes) {
            char *path = format->test_labels ? format->test_labels(r->path) : NULL;
            int rc = err_set(why, -EINVAL,
                             "%s: the label of image %u is %u, allowed is 0 to %u, the classes of "
                             "the training labels",
                             path ? path : r->path, i, d->test_labels[i], d->classes - 1);
            free(path);
            return rc;
        }
    return 0;
}

/* For a format that gives no names. */
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

/* "FORMAT NAME", with the labels' file. Names of files may hold any bytes, metadata may not. */
static void source_set(const struct import_request *r, const char *format, struct dataset_draft *d)
{
    char *whole = realpath(r->path, NULL); /* "." has a name as well */
    char scaled[48] = "";

    if (r->size)
        snprintf(scaled, sizeof(scaled), ", scaled to %u x %u", r->size, r->size);
    char *source = xasprintf("%s %s%s%s%s", format, last_component(whole ? whole : r->path), scaled,
                             !r->labels_path                ? ""
                             : r->labels_are == LABELS_TRUE ? ", corrected by "
                                                            : ", labels of ",
                             r->labels_path ? last_component(r->labels_path) : "");
    snprintf(d->source, sizeof(d->source), "%s", source);
    text_make_printable(d->source);
    free(source);
    free(whole);
}

int import_files(const struct import_request *r, struct dataset_draft *ret, struct errbuf *why)
{
    const struct import_format *format = NULL;
    struct dataset_draft d = {0};
    int rc = format_find(r->path, &format, why);

    if (rc)
        return rc;
    if (r->size && !format->scales)
        return err_set(why, -EINVAL, "--size is for folders of pictures, but %s is %s", r->path,
                       format->name);
    rc = format->import(r, &d, why);
    if (!rc && r->labels_path)
        rc = relabel(r, &d, why);
    if (!rc && !d.class_names)
        rc = classes_set(format, r, &d, why);
    if (rc) {
        dataset_draft_done(&d);
        return rc;
    }
    source_set(r, *d.source ? d.source : format->name, &d);
    *ret = d;
    return 0;
}
