/* A folder with numpy's arrays: images and labels of a training split and, optionally, of a test
 * split, under one of two sets of names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/cli/import.h"
#include "proto/cli/npy_file.h"

static const struct names {
    const char *train_images, *train_labels, *test_images, *test_labels;
} sets[] = {
    {"train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy"},
    {"x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy"},
};
#define SETS_COUNT (sizeof(sets) / sizeof(sets[0]))

/* The set with a file in the folder; NULL: none. */
static const struct names *set_find(const char *folder)
{
    for (size_t i = 0; i < SETS_COUNT; i++)
        if (import_has(folder, sets[i].train_images) || import_has(folder, sets[i].train_labels))
            return &sets[i];
    return NULL;
}

/* Reads one split; *ret_labels belongs to the caller as images->data does, also on an error. */
static int pair_read(const char *folder, const char *images_name, const char *labels_name,
                     struct npy_images *images, uint16_t **ret_labels, struct errbuf *why)
{
    char *images_path = import_path(folder, images_name);
    char *labels_path = import_path(folder, labels_name);
    int rc = npy_file_images(images_path, images, why);

    if (!rc)
        rc = npy_file_labels(labels_path, images_path, images->samples, ret_labels, why);
    free(images_path);
    free(labels_path);
    return rc;
}

static bool npy_detect(const char *path, bool is_folder)
{
    return is_folder && set_find(path);
}

static int npy_import(const struct import_request *r, struct dataset_draft *ret, struct errbuf *why)
{
    struct npy_images train = {0}, test = {0};
    struct dataset_draft d = {0};
    const struct names *set = set_find(r->path);

    if (!set)
        return err_set(why, -ENOENT, "%s has no %s any more", r->path, sets[0].train_images);
    int rc = pair_read(r->path, set->train_images, set->train_labels, &train, &d.labels, why);
    if (!rc && (import_has(r->path, set->test_images) || import_has(r->path, set->test_labels)))
        rc = pair_read(r->path, set->test_images, set->test_labels, &test, &d.test_labels, why);
    if (!rc && test.data && memcmp(&test.dims, &train.dims, sizeof(test.dims)) != 0)
        rc = err_set(why, -EINVAL, "%s has images of %u x %u x %u, but %s of %u x %u x %u",
                     set->test_images, test.dims.h, test.dims.w, test.dims.c, set->train_images,
                     train.dims.h, train.dims.w, train.dims.c);
    d.samples = train.samples;
    d.dims = train.dims;
    d.images = train.data;
    d.test_samples = test.samples;
    d.test_images = test.data;
    if (rc)
        dataset_draft_done(&d);
    else
        *ret = d;
    return rc;
}

static char *npy_test_labels(const char *path)
{
    const struct names *set = set_find(path);

    return set ? import_path(path, set->test_labels) : NULL;
}

const struct import_format npy_format = {.name = "npy",
                                         .needs = "train_images.npy or x_train.npy",
                                         .detect = npy_detect,
                                         .import = npy_import,
                                         .test_labels = npy_test_labels};
