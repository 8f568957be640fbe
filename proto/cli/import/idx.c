/* IDX files (the format of MNIST and its family), plain or .gz: which files of a folder belong
 * together, and what dataset they make.
 *
 * A folder has train-images-idx3-ubyte, train-labels-idx1-ubyte and, optionally,
 * t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (each plain or with .gz behind it, in any case;
 * also with '.' before idx, or another word for the split: test, val). One images file with its
 * labels file beside it ("images" and "idx3" in the name become "labels" and "idx1") makes a
 * dataset without test samples. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "proto/cli/import/idx_file.h"
#include "proto/cli/import/import.h"
#include "proto/cli/import/pair.h"

/* One pair of images and labels; arrays are owned. */
struct part {
    struct idx_images images;
    uint16_t *labels;
};

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* WORD-images-idx3-ubyte and WORD-labels-idx1-ubyte, perhaps with .gz behind it. */
static bool idx_parse(const char *name, struct pair_name *ret)
{
    static const char *const kinds[] = {"images", "labels"};
    size_t bytes = strlen(name);

    if (bytes > 3 && strcasecmp(name + bytes - 3, ".gz") == 0)
        bytes -= 3;
    for (int kind = 0; kind < 2; kind++)
        for (const char *joint = "-."; *joint; joint++) {
            char ending[32];
            int n = snprintf(ending, sizeof(ending), "-%s%cidx%d-ubyte", kinds[kind], *joint,
                             kind ? 1 : 3);
            if (bytes > (size_t)n && strncasecmp(name + bytes - n, ending, (size_t)n) == 0) {
                *ret = (struct pair_name){0, bytes - (size_t)n, kind == 1};
                return true;
            }
        }
    return false;
}

static char *idx_partner(const char *name)
{
    struct pair_name parts;

    idx_parse(name, &parts);
    return xasprintf("%.*s-%s-ubyte, neither plain nor .gz", (int)parts.word_bytes, name,
                     parts.is_labels ? "images-idx3" : "labels-idx1");
}

static const struct pair_scheme idx_scheme = {
    .train = "train-images-idx3-ubyte, neither plain nor .gz",
    .sure = true,
    .parse = idx_parse,
    .partner = idx_partner,
};

/* The path with the first `from` in its last component replaced; NULL when there is none. */
static char *renamed(const char *path, const char *from, const char *to)
{
    const char *slash = strrchr(path, '/');
    const char *at = strstr(slash ? slash + 1 : path, from);

    if (!at)
        return NULL;
    return xasprintf("%.*s%s%s", (int)(at - path), path, to, at + strlen(from));
}

/* The labels file that belongs to an images file, whether it exists or not; NULL when the name does
 * not tell. */
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
                     "%s lacks \"images\" in its name, so its labels cannot be found; expected a "
                     "name such as train-images-idx3-ubyte, or a folder",
                     path);
    else if (!is_there(labels))
        rc = err_set(why, -ENOENT, "%s has no labels beside it, expected %s", path, labels);
    else
        rc = idx_file_labels(labels, path, part->images.samples, &part->labels, why);
    free(labels);
    return rc;
}

/* Reads a pair of the folder; *ret_images is its path, to be freed. */
static int pair_import(const char *folder, const struct pair *pair, struct part *part,
                       char **ret_images, struct errbuf *why)
{
    char *images = import_path(folder, pair->images), *labels = import_path(folder, pair->labels);
    int rc = idx_file_images(images, &part->images, why);

    if (!rc)
        rc = idx_file_labels(labels, images, part->images.samples, &part->labels, why);
    free(labels);
    *ret_images = images;
    return rc;
}

/* Reads the training and the test part of a folder. */
static int folder_import(const struct import_request *r, struct part *train, struct part *test,
                         char **ret_images, char **ret_test_images, struct errbuf *why)
{
    struct pairs pairs = {0};
    int rc = pairs_read(r, &idx_scheme, &pairs, why);

    if (!rc)
        rc = pairs_choose(r, &idx_scheme, &pairs, why);
    if (!rc)
        rc = pair_import(r->path, pairs.train, train, ret_images, why);
    if (!rc && pairs.test)
        rc = pair_import(r->path, pairs.test, test, ret_test_images, why);
    pairs_done(&pairs);
    return rc;
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

/* No other format is a single file. */
static bool idx_detect(const char *path, bool is_folder)
{
    return !is_folder || pairs_detect(path, &idx_scheme);
}

static char *idx_test_labels(const struct import_request *r)
{
    return pairs_test_labels(r, &idx_scheme);
}

static int idx_import(const struct import_request *r, struct dataset_draft *ret, struct errbuf *why)
{
    struct part train = {0}, test = {0};
    char *images = NULL, *test_images = NULL;
    struct stat st;
    int rc = 0;

    if (stat(r->path, &st) != 0)
        return err_set(why, -errno, "cannot open %s: %s", r->path, err_text(-errno));
    if (S_ISDIR(st.st_mode)) {
        rc = folder_import(r, &train, &test, &images, &test_images, why);
    } else {
        rc = file_import(r->path, &train, why);
        images = xstrdup(r->path);
    }
    if (!rc)
        rc = parts_check(images, &train.images, test_images, &test.images, why);
    struct dataset_draft d = draft_make(&train, &test);
    if (!rc)
        rc = import_uris(r, images, d.samples, &d.uris, why);
    if (!rc && test_images)
        rc = import_uris(r, test_images, d.test_samples, &d.test_uris, why);
    if (rc)
        dataset_draft_done(&d);
    else
        *ret = d;
    free(images);
    free(test_images);
    return rc;
}

const struct import_format idx_format = {.name = "IDX",
                                         .needs = "a folder with train-images-idx3-ubyte (IDX)",
                                         .detect = idx_detect,
                                         .import = idx_import,
                                         .test_labels = idx_test_labels};
