/* A folder with numpy's arrays: images and labels of a training split and, optionally, of a test
 * split. A pair is WORD_images.npy and WORD_labels.npy, or x_WORD.npy and y_WORD.npy, in any case;
 * WORD is train, test or another name of a split. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/alloc.h"
#include "proto/cli/import/import.h"
#include "proto/cli/import/npy_file.h"
#include "proto/cli/import/pair.h"

#define ENDING ".npy"

/* The names of images and labels, before or after the word of the split. */
static const struct {
    const char *images, *labels;
} parts[] = {{"images", "labels"}, {"x", "y"}, {"data", "targets"}};
#define PARTS_COUNT (sizeof(parts) / sizeof(parts[0]))

/* Is the part at one end of the `bytes` of name, with a gap beside it? *ret gets the rest. */
static bool part_is(const char *name, size_t bytes, const char *part, struct pair_name *ret)
{
    size_t n = strlen(part);

    if (bytes < n + 2)
        return false;
    size_t word = bytes - n - 1;
    bool before = strncasecmp(name, part, n) == 0 && strchr("_-.", name[n]);
    bool behind = strncasecmp(name + word + 1, part, n) == 0 && strchr("_-.", name[word]);
    if (before || behind)
        *ret = (struct pair_name){.word_at = behind ? 0 : n + 1, .word_bytes = word};
    return before || behind;
}

static bool npy_parse(const char *name, struct pair_name *ret)
{
    size_t bytes = strlen(name), end = strlen(ENDING);

    if (bytes <= end || strcasecmp(name + bytes - end, ENDING) != 0)
        return false;
    for (size_t i = 0; i < PARTS_COUNT; i++)
        for (int labels = 0; labels < 2; labels++)
            if (part_is(name, bytes - end, labels ? parts[i].labels : parts[i].images, ret)) {
                ret->is_labels = labels;
                return true;
            }
    return false;
}

static char *npy_partner(const char *name)
{
    struct pair_name found;

    if (!npy_parse(name, &found))
        return xstrdup(name);
    for (size_t i = 0; i < PARTS_COUNT; i++) {
        const char *from = found.is_labels ? parts[i].labels : parts[i].images;
        const char *to = found.is_labels ? parts[i].images : parts[i].labels;
        size_t bytes = strlen(name), n = strlen(from);
        if (!part_is(name, bytes - strlen(ENDING), from, &found))
            continue;
        return found.word_at ? xasprintf("%s%s", to, name + n)
                             : xasprintf("%.*s%s" ENDING, (int)found.word_bytes + 1, name, to);
    }
    return xstrdup(name);
}

static const struct pair_scheme npy_scheme = {
    .train = "train_images.npy or x_train.npy", .parse = npy_parse, .partner = npy_partner};

/* Reads one split; *ret_labels and *uris belong to the caller as images->data does, also on an
 * error. */
static int pair_read(const struct import_request *r, const struct pair *pair,
                     struct npy_images *images, uint16_t **ret_labels, struct uris *uris,
                     struct errbuf *why)
{
    char *images_path = import_path(r->path, pair->images);
    char *labels_path = import_path(r->path, pair->labels);
    int rc = npy_file_images(images_path, r->layout, images, why);

    if (!rc)
        rc = npy_file_labels(labels_path, images_path, images->samples, ret_labels, why);
    if (!rc)
        rc = import_uris(r, images_path, images->samples, uris, why);
    if (!rc && r->layout == NPY_LAYOUT_JUDGE && images->layout == NPY_LAYOUT_NCHW)
        import_note(r->notes, "%s is read as [N,C,H,W]: images of %u x %u with %u channels",
                    pair->images, images->dims.h, images->dims.w, images->dims.c);
    free(images_path);
    free(labels_path);
    return rc;
}

static bool npy_detect(const char *path, bool is_folder)
{
    return is_folder && pairs_detect(path, &npy_scheme);
}

static int npy_import(const struct import_request *r, struct dataset_draft *ret, struct errbuf *why)
{
    struct npy_images train = {0}, test = {0};
    struct dataset_draft d = {0};
    struct pairs pairs = {0};
    int rc = pairs_read(r, &npy_scheme, &pairs, why);

    if (!rc)
        rc = pairs_choose(r, &npy_scheme, &pairs, why);
    if (!rc)
        rc = pair_read(r, pairs.train, &train, &d.labels, &d.uris, why);
    if (!rc && pairs.test)
        rc = pair_read(r, pairs.test, &test, &d.test_labels, &d.test_uris, why);
    if (!rc && test.data && memcmp(&test.dims, &train.dims, sizeof(test.dims)) != 0)
        rc = err_set(why, -EINVAL, "%s has images of %u x %u x %u, but %s of %u x %u x %u",
                     pairs.test->images, test.dims.h, test.dims.w, test.dims.c, pairs.train->images,
                     train.dims.h, train.dims.w, train.dims.c);
    d.samples = train.samples;
    d.dims = train.dims;
    d.images = train.data;
    d.test_samples = test.samples;
    d.test_images = test.data;
    pairs_done(&pairs);
    if (rc)
        dataset_draft_done(&d);
    else
        *ret = d;
    return rc;
}

static char *npy_test_labels(const struct import_request *r)
{
    return pairs_test_labels(r, &npy_scheme);
}

const struct import_format npy_format = {.name = "npy",
                                         .needs = "train_images.npy or x_train.npy",
                                         .lays_out = true,
                                         .detect = npy_detect,
                                         .import = npy_import,
                                         .test_labels = npy_test_labels};
