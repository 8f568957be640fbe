/* CIFAR-10 and CIFAR-100 in their binary form, as their archives unpack.
 *
 * A file is records of one label byte (CIFAR-100: a coarse one, which is skipped, and a fine one)
 * and 3072 pixels: a plane of 32 x 32 for each of red, green and blue, which become one 32 x 32 x 3
 * image. Samples are numbered as they stand in the files, batch after batch. The names of the
 * classes come from the text file beside them, and their count is what a label may be. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/text.h"
#include "proto/cli/import.h"

#define SIDE 32
#define PLANE_BYTES (SIDE * SIDE)
#define CHANNELS 3
#define PIXEL_BYTES (CHANNELS * PLANE_BYTES)
#define FILE_BYTES_MAX (1u << 30)    /* the largest of the archives is 154 MB */
#define NAMES_BYTES_MAX (256u << 10) /* as many as a dataset may have */
#define FILES_MAX 6

struct kind {
    const char *name, *archive_folder;
    const char *files[FILES_MAX + 1]; /* the last one is the test split */
    const char *names;
    uint32_t label_bytes; /* before the pixels; the last of them is the label */
};

static const struct kind kinds[] = {
    {"CIFAR-10",
     "cifar-10-batches-bin",
     {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
      "data_batch_5.bin", "test_batch.bin"},
     "batches.meta.txt",
     1},
    {"CIFAR-100", "cifar-100-binary", {"train.bin", "test.bin"}, "fine_label_names.txt", 2},
};
#define KINDS_COUNT (sizeof(kinds) / sizeof(kinds[0]))

struct split {
    uint32_t samples;
    uint8_t *images;
    uint16_t *labels;
};

/* The kind whose first file is in the folder or in the archive's folder inside; *ret_folder is
 * where, to be freed. */
static const struct kind *kind_find(const char *path, char **ret_folder)
{
    for (size_t i = 0; i < KINDS_COUNT; i++)
        for (int inside = 0; inside < 2; inside++) {
            char *folder = inside ? import_path(path, kinds[i].archive_folder) : xstrdup(path);
            if (import_has(folder, kinds[i].files[0])) {
                *ret_folder = folder;
                return &kinds[i];
            }
            free(folder);
        }
    return NULL;
}

/* One name a line, empty lines aside. */
static int names_read(const char *path, struct dataset_draft *d, struct errbuf *why)
{
    char *text, *rest, *name;
    size_t bytes;
    int rc = file_read(path, NAMES_BYTES_MAX, &text, &bytes, why);

    if (rc)
        return rc;
    d->class_names = xcalloc(CLASSES_MAX, sizeof(*d->class_names));
    for (name = strtok_r(text, "\r\n", &rest); name; name = strtok_r(NULL, "\r\n", &rest)) {
        if (d->classes == CLASSES_MAX) {
            rc = err_set(why, -EINVAL, "%s has more than %d class names", path, CLASSES_MAX);
            break;
        }
        text_make_printable(name);
        d->class_names[d->classes++] = xstrdup(name);
    }
    free(text);
    if (!rc && d->classes < 2)
        rc = err_set(why, -EINVAL, "%s has %u class names, needed are at least 2, one a line", path,
                     d->classes);
    return rc;
}

/* Planes to pixels. */
static void record_unpack(const uint8_t *planes, uint8_t *image)
{
    for (size_t p = 0; p < PLANE_BYTES; p++)
        for (size_t c = 0; c < CHANNELS; c++)
            image[p * CHANNELS + c] = planes[c * PLANE_BYTES + p];
}

/* Makes room for count samples more. */
static int split_grow(struct split *s, uint64_t count, const char *path, struct errbuf *why)
{
    uint64_t samples = s->samples + count;

    if (samples > SAMPLES_MAX)
        return err_set(why, -EINVAL, "with %s there are %llu images, allowed is up to %u", path,
                       (unsigned long long)samples, SAMPLES_MAX);
    uint8_t *images = realloc(s->images, samples * PIXEL_BYTES);
    if (images)
        s->images = images;
    uint16_t *labels = realloc(s->labels, samples * sizeof(*labels));
    if (labels)
        s->labels = labels;
    if (!images || !labels)
        return err_set(why, -ENOMEM, "no memory for the images of %s", path);
    return 0;
}

/* Adds the records of a file to the split. */
static int records_read(const struct kind *kind, uint32_t classes, const char *path,
                        struct split *s, struct errbuf *why)
{
    size_t record = kind->label_bytes + PIXEL_BYTES, bytes;
    char *data;
    int rc = file_read(path, FILE_BYTES_MAX, &data, &bytes, why);

    if (rc)
        return rc;
    if (bytes == 0 || bytes % record != 0)
        rc = err_set(why, -EINVAL,
                     "%s is %s: it has %zu bytes, needed is a whole number of %s records of %zu "
                     "bytes",
                     path, bytes ? "truncated" : "empty", bytes, kind->name, record);
    if (!rc)
        rc = split_grow(s, bytes / record, path, why);
    for (size_t i = 0; !rc && i < bytes / record; i++) {
        const uint8_t *at = (const uint8_t *)data + i * record;
        uint8_t label = at[kind->label_bytes - 1];
        if (label >= classes) {
            rc = err_set(why, -EINVAL, "record %zu of %s has label %u, allowed is 0 to %u", i, path,
                         label, classes - 1);
            break;
        }
        s->labels[s->samples] = label;
        record_unpack(at + kind->label_bytes, s->images + (size_t)s->samples * PIXEL_BYTES);
        s->samples++;
    }
    free(data);
    return rc;
}

static bool cifar_detect(const char *path, bool is_folder)
{
    char *folder = NULL;
    bool found = is_folder && kind_find(path, &folder);

    free(folder);
    return found;
}

static int cifar_import(const struct import_request *r, struct dataset_draft *ret,
                        struct errbuf *why)
{
    struct split train = {0}, test = {0};
    struct dataset_draft d = {.dims = {SIDE, SIDE, CHANNELS}};
    char *folder = NULL;
    const struct kind *kind = kind_find(r->path, &folder);

    if (!kind)
        return err_set(why, -ENOENT, "%s has neither %s nor %s any more", r->path,
                       kinds[0].files[0], kinds[1].files[0]);
    char *names = import_path(folder, kind->names);
    int rc = names_read(names, &d, why);
    for (int i = 0; !rc && kind->files[i]; i++) {
        char *path = import_path(folder, kind->files[i]);
        rc = import_stopped(r, why);
        if (!rc)
            rc = records_read(kind, d.classes, path, kind->files[i + 1] ? &train : &test, why);
        free(path);
    }
    d.samples = train.samples;
    d.images = train.images;
    d.labels = train.labels;
    d.test_samples = test.samples;
    d.test_images = test.images;
    d.test_labels = test.labels;
    memcpy(d.source, kind->name, strlen(kind->name));
    if (rc)
        dataset_draft_done(&d);
    else
        *ret = d;
    free(names);
    free(folder);
    return rc;
}

const struct import_format cifar_format = {.name = "CIFAR",
                                           .needs = "data_batch_1.bin or train.bin (CIFAR)",
                                           .detect = cifar_detect,
                                           .import = cifar_import};
