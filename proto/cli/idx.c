/* Which files of a folder belong together, and what dataset they make. */
#include "proto/cli/idx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/text.h"
#include "proto/cli/idx_file.h"

/* One pair of images and labels; arrays are owned. */
struct part {
    struct idx_images images;
    uint16_t *labels;
};

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* The first of the names that a part's file may have in the folder, to be freed; NULL: none. */
static char *part_path(const char *folder, const char *split, const char *kind, int dims)
{
    static const char *const endings[] = {"", ".gz"};
    size_t bytes = strlen(folder);
    const char *slash = bytes && folder[bytes - 1] == '/' ? "" : "/";

    for (const char *joint = "-."; *joint; joint++)
        for (int i = 0; i < 2; i++) {
            char *path = xasprintf("%s%s%s-%s%cidx%d-ubyte%s", folder, slash, split, kind, *joint,
                                   dims, endings[i]);
            if (is_there(path))
                return path;
            free(path);
        }
    return NULL;
}

/* `from` in the last component of path replaced, where it is first; NULL when it is not there. */
static char *renamed(const char *path, const char *from, const char *to)
{
    const char *slash = strrchr(path, '/');
    const char *at = strstr(slash ? slash + 1 : path, from);

    if (!at)
        return NULL;
    return xasprintf("%.*s%s%s", (int)(at - path), path, to, at + strlen(from));
}

/* The labels file that belongs to an images file, there or not; NULL when the name says nothing. */
static char *labels_beside(const char *images_path)
{
    char *labels = renamed(images_path, "images", "labels");

    if (!labels)
        return NULL;
    char *other = renamed(labels, "idx3", "idx1");
    if (other) {
        free(labels);
        labels = other;
    }
    if (is_there(labels))
        return labels;
    /* One of the two may be unpacked. */
    size_t bytes = strlen(labels);
    bool zipped = bytes > 3 && strcmp(labels + bytes - 3, ".gz") == 0;
    other = zipped ? xasprintf("%.*s", (int)bytes - 3, labels) : xasprintf("%s.gz", labels);
    if (is_there(other)) {
        free(labels);
        return other;
    }
    free(other);
    return labels;
}

static int file_import(const char *path, struct part *part, struct errbuf *why)
{
    int rc = idx_file_images(path, &part->images, why);

    if (rc)
        return rc;
    char *labels = labels_beside(path);
    if (!labels)
        rc = err_set(why, -EINVAL,
                     "%s lacks \"images\" in its name, so its labels cannot be found; needed is a "
                     "name such as train-images-idx3-ubyte, or a folder",
                     path);
    else if (!is_there(labels))
        rc = err_set(why, -ENOENT, "%s has no labels beside it, needed is %s", path, labels);
    else
        rc = idx_file_labels(labels, path, part->images.samples, false, &part->labels, why);
    free(labels);
    return rc;
}

/* Reads one split of a folder; paths are those of its images and labels, to be freed. A test split
 * that is not there at all is empty and has none. */
static int folder_import(const char *folder, const char *split, bool optional, struct part *part,
                         char *ret_paths[2], struct errbuf *why)
{
    char *images = part_path(folder, split, "images", 3);
    char *labels = part_path(folder, split, "labels", 1);
    int rc = 0;

    if (!images && !labels && optional)
        return 0;
    if (!images)
        rc = err_set(why, -ENOENT, "%s has no %s-images-idx3-ubyte, neither plain nor .gz", folder,
                     split);
    else if (!labels)
        rc = err_set(why, -ENOENT, "%s has no %s-labels-idx1-ubyte, neither plain nor .gz", folder,
                     split);
    if (!rc)
        rc = idx_file_images(images, &part->images, why);
    if (!rc)
        rc = idx_file_labels(labels, images, part->images.samples, false, &part->labels, why);
    ret_paths[0] = images;
    ret_paths[1] = labels;
    return rc;
}

static uint32_t classes_count(const uint16_t *labels, uint32_t n, uint32_t classes)
{
    for (uint32_t i = 0; labels && i < n; i++)
        if (labels[i] >= classes)
            classes = labels[i] + 1u;
    return classes;
}

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

/* Names of files may hold any bytes, the file's metadata may not. */
static void source_set(const char *path, const char *labels_path, char *source, size_t bytes)
{
    char *whole = realpath(path, NULL); /* "." has a name as well */

    snprintf(source, bytes, "IDX %s", last_component(whole ? whole : path));
    size_t used = strlen(source);
    if (labels_path)
        snprintf(source + used, bytes - used, ", labels of %s", last_component(labels_path));
    free(whole);
    used = strlen(source);
    for (size_t i = 0; i < used; i++)
        if ((unsigned char)source[i] < 0x20 || source[i] == 0x7f)
            source[i] = '?';
    for (size_t i = 0; (i += text_utf8_bytes(source + i, used - i)) < used;)
        source[i] = '?';
}

/* Moves both parts into a draft. */
static struct dataset_draft draft_make(struct part *train, struct part *test)
{
    struct dataset_draft d = {.samples = train->images.samples,
                              .test_samples = test->images.samples,
                              .dims = train->images.dims,
                              .images = train->images.data,
                              .test_images = test->images.data,
                              .labels = train->labels,
                              .test_labels = test->labels};

    *train = *test = (struct part){0};
    return d;
}

static int relabel(struct dataset_draft *d, const char *labels_path, const char *images_path,
                   struct errbuf *why)
{
    uint16_t *labels;
    int rc = idx_file_labels(labels_path, images_path, d->samples, true, &labels, why);

    if (rc)
        return rc;
    d->truth = d->labels;
    d->labels = labels;
    return 0;
}

static int parts_check(const char *images_path, const struct idx_images *train,
                       const char *test_path, const struct idx_images *test, struct errbuf *why)
{
    if (!train->samples)
        return err_set(why, -EINVAL, "%s has 0 images, allowed is 1 to %u", images_path,
                       SAMPLES_MAX);
    if (test->data && (test->dims.h != train->dims.h || test->dims.w != train->dims.w))
        return err_set(why, -EINVAL, "%s has images of %u x %u, but %s of %u x %u", test_path,
                       test->dims.h, test->dims.w, images_path, train->dims.h, train->dims.w);
    return 0;
}

/* What a training image never shows cannot be tested for. */
static int test_labels_check(const struct dataset_draft *d, const char *path, struct errbuf *why)
{
    for (uint32_t i = 0; i < d->test_samples; i++)
        if (d->test_labels[i] >= d->classes)
            return err_set(
                why, -EINVAL,
                "%s: the label of image %u is %u, allowed is 0 to %u, the classes of the "
                "training labels",
                path, i, d->test_labels[i], d->classes - 1);
    return 0;
}

int idx_import(const char *path, const char *labels_path, struct dataset_draft *ret,
               struct errbuf *why)
{
    struct part train = {0}, test = {0};
    struct dataset_draft d = {0};
    char *train_paths[2] = {NULL}, *test_paths[2] = {NULL};
    struct stat st;
    int rc = 0;

    if (stat(path, &st) != 0)
        return err_set(why, -errno, "cannot open %s: %s", path, err_text(-errno));
    if (S_ISDIR(st.st_mode)) {
        rc = folder_import(path, "train", false, &train, train_paths, why);
        if (!rc)
            rc = folder_import(path, "t10k", true, &test, test_paths, why);
    } else {
        rc = file_import(path, &train, why);
        train_paths[0] = xstrdup(path);
    }
    if (!rc)
        rc = parts_check(train_paths[0], &train.images, test_paths[0], &test.images, why);
    d = draft_make(&train, &test);
    if (!rc && labels_path)
        rc = relabel(&d, labels_path, train_paths[0], why);
    if (rc)
        goto out;
    d.classes = classes_count(d.labels, d.samples, 2);
    d.classes = classes_count(d.truth, d.samples, d.classes);
    rc = test_labels_check(&d, test_paths[1], why);
    if (rc)
        goto out;
    source_set(path, labels_path, d.source, sizeof(d.source));
    *ret = d;
    d = (struct dataset_draft){0};
out:
    for (int i = 0; i < 2; i++) {
        free(train_paths[i]);
        free(test_paths[i]);
    }
    dataset_draft_done(&d);
    return rc;
}
