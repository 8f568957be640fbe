/* CIFAR-10 and CIFAR-100 in their binary form, as their archives unpack.
 *
 * A file is records of one label byte (CIFAR-100: a coarse one, which is skipped, and a fine one)
 * and 3072 pixels: a plane of 32 x 32 for each of red, green and blue, which become one 32 x 32 x 3
 * image. Samples are numbered as they stand in the files, batch after batch. The names of the
 * classes come from the text file beside them, and their count limits the labels. The case of file
 * names does not matter, and the test set may have another name (val.bin, valid_batch.bin).
 *
 * The archives for Python are pickles, which are programs, and are not read: the refusal says where
 * the binary form is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/text.h"
#include "proto/cli/import/entries.h"
#include "proto/cli/import/import.h"
#include "proto/cli/import/plain_text.h"
#include "proto/cli/import/split.h"

#define SIDE 32
#define PLANE_BYTES (SIDE * SIDE)
#define CHANNELS 3
#define PIXEL_BYTES (CHANNELS * PLANE_BYTES)
#define FILE_BYTES_MAX (1u << 30) /* the largest of the archives is 154 MB */
#define FILES_MAX 6

struct kind {
    const char *name, *archive_folder;
    const char *files[FILES_MAX + 1]; /* the last one is the test split */
    const char *test_ending;          /* behind its word: "test" */
    const char *names;
    const char *others[2]; /* come with the archive, but are not needed */
    uint32_t label_bytes;  /* before the pixels; the last of them is the label */
};

static const struct kind kinds[] = {
    {"CIFAR-10",
     "cifar-10-batches-bin",
     {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
      "data_batch_5.bin", "test_batch.bin"},
     "_batch.bin",
     "batches.meta.txt",
     {"readme.html"},
     1},
    {"CIFAR-100",
     "cifar-100-binary",
     {"train.bin", "test.bin"},
     ".bin",
     "fine_label_names.txt",
     {"coarse_label_names.txt", "readme.html"},
     2},
};
#define KINDS_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* The archives for Python: the name of their folder, and two files that identify it. */
static const struct {
    const char *archive_folder, *files[2], *binary;
} pickles[] = {
    {"cifar-10-batches-py", {"data_batch_1", "batches.meta"}, "cifar-10-binary.tar.gz"},
    {"cifar-100-python", {"train", "meta"}, "cifar-100-binary.tar.gz"},
};
#define PICKLES_COUNT (sizeof(pickles) / sizeof(pickles[0]))

struct split {
    uint32_t samples;
    uint8_t *images;
    uint16_t *labels;
    struct uris uris;
};

/* The name in the folder that equals `wanted` but for case; `wanted` if there is none. */
static const char *name_find(const struct entries *e, const char *wanted)
{
    if (entries_find(e, wanted))
        return wanted;
    for (size_t i = 0; i < e->count; i++)
        if (strcasecmp(e->at[i].name, wanted) == 0)
            return e->at[i].name;
    return wanted;
}

/* The kind whose first file is in the folder or in the archive's folder inside; *ret_folder is
 * where, to be freed. */
static const struct kind *kind_find(const char *path, char **ret_folder)
{
    for (size_t i = 0; i < KINDS_COUNT; i++)
        for (int inside = 0; inside < 2; inside++) {
            char *folder = inside ? import_path(path, kinds[i].archive_folder) : xstrdup(path);
            struct entries e = {0};
            bool found = entries_read(folder, &e, NULL) == 0 &&
                         entries_find(&e, name_find(&e, kinds[i].files[0]));
            entries_done(&e);
            if (found) {
                *ret_folder = folder;
                return &kinds[i];
            }
            free(folder);
        }
    return NULL;
}

static bool is_file(const char *folder, const char *name)
{
    char *path = import_path(folder, name);
    struct stat st;
    bool is = stat(path, &st) == 0 && S_ISREG(st.st_mode);

    free(path);
    return is;
}

/* Which of the archives for Python is in the folder, or in the archive's folder inside; -1: none.
 */
static int pickles_find(const char *path)
{
    for (size_t i = 0; i < PICKLES_COUNT; i++)
        for (int inside = 0; inside < 2; inside++) {
            char *folder = inside ? import_path(path, pickles[i].archive_folder) : xstrdup(path);
            bool found =
                is_file(folder, pickles[i].files[0]) && is_file(folder, pickles[i].files[1]);
            free(folder);
            if (found)
                return (int)i;
        }
    return -1;
}

/* One name a line; empty lines only at the end, or the names below them would belong to other
 * labels.
 */
static int names_read(const char *path, struct dataset_draft *d, struct errbuf *why)
{
    char *text, *rest, *name;
    uint32_t line = 0;
    int rc = plain_text_read(path, "text with the name of a class a line", &text, why);

    if (rc)
        return rc;
    d->class_names = xcalloc(CLASSES_MAX, sizeof(*d->class_names));
    for (rest = text; rc == 0 && (name = strsep(&rest, "\n")) != NULL;) {
        name[strcspn(name, "\r")] = '\0';
        line++;
        if (!*name)
            continue;
        if (line > d->classes + 1)
            rc = err_set(why, -EINVAL, "%s: line %u is empty, expected the name of class %u", path,
                         d->classes + 1, d->classes);
        else if (d->classes == CLASSES_MAX)
            rc = err_set(why, -EINVAL, "%s has more than %d class names", path, CLASSES_MAX);
        else
            rc = import_name_check("class", path, name, why);
        if (rc == 0) {
            text_make_printable(name);
            d->class_names[d->classes++] = xstrdup(name);
        }
    }
    free(text);
    if (!rc && d->classes < 2)
        rc = err_set(why, -EINVAL, "%s has %u class names, expected at least 2, one a line", path,
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

/* Makes room for count more samples. */
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
                     "%s is %s: it has %zu bytes, expected a whole number of %s records of %zu "
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

/* The names of the files of a kind, borrowed from the entries or the table. */
struct files {
    const char *names[FILES_MAX];
    int count;
    bool test; /* the last one is the test set */
};

/* The test set: a file WORD_batch.bin (CIFAR-100: WORD.bin) with the word of a test or validation
 * set. If there is none, reading fails for lack of the archive's own. */
static int test_choose(const struct import_request *r, const struct kind *kind,
                       const struct entries *e, struct files *io_files, struct errbuf *why)
{
    const char **words = xcalloc(e->count + 1, sizeof(*words));
    const char **names = xcalloc(e->count + 1, sizeof(*names));
    size_t ending = strlen(kind->test_ending);
    struct split_choice c = {r->path, words, 0, -1, -1};

    for (size_t i = 0; i < e->count; i++) {
        const char *name = e->at[i].name;
        size_t bytes = strlen(name);
        if (bytes <= ending || strcasecmp(name + bytes - ending, kind->test_ending) != 0)
            continue;
        char *word = xasprintf("%.*s", (int)(bytes - ending), name);
        if (split_kind_of(word) > SPLIT_TRAIN) {
            names[c.count] = name;
            words[c.count++] = word;
        } else {
            free(word);
        }
    }
    int rc = split_choose_test(&c, r->test, why);
    io_files->test = !r->test || c.test >= 0;
    if (!rc && c.test >= 0)
        io_files->names[io_files->count - 1] = names[c.test];
    if (!rc && c.test >= 0 && !r->test && split_kind_of(words[c.test]) == SPLIT_VAL)
        import_note(r->notes, "%s is taken for the test set", names[c.test]);
    io_files->count -= !io_files->test;
    for (int i = 0; i < c.count; i++)
        free((char *)words[i]);
    free(words);
    free(names);
    return rc;
}

static int files_find(const struct import_request *r, const struct kind *kind, const char *folder,
                      const struct entries *e, struct files *ret, struct errbuf *why)
{
    struct files f = {.count = 0};

    if (r->train)
        return err_set(why, -EINVAL, "--train is for pictures, .npy and IDX files, but %s is %s",
                       r->path, kind->name);
    while (kind->files[f.count]) {
        f.names[f.count] = name_find(e, kind->files[f.count]);
        f.count++;
    }
    int rc = test_choose(r, kind, e, &f, why);
    if (rc)
        return rc;
    for (size_t i = 0; i < e->count; i++) {
        bool known = strcasecmp(e->at[i].name, kind->names) == 0;
        for (int k = 0; k < 2; k++)
            known = known || (kind->others[k] && strcasecmp(e->at[i].name, kind->others[k]) == 0);
        for (int k = 0; k < f.count; k++)
            known = known || strcmp(e->at[i].name, f.names[k]) == 0;
        if (!known)
            import_note_left(r->notes, folder, "", e->at[i].name, e->at[i].is_folder);
    }
    *ret = f;
    return 0;
}

/* Notes that the archive's folder is read, and what lies beside it. */
static int beside_note(const struct import_request *r, const struct kind *kind, struct errbuf *why)
{
    struct entries e = {0};
    int rc = entries_read(r->path, &e, why);

    import_note(r->notes, "%s in %s is read", kind->archive_folder, r->path);
    for (size_t i = 0; !rc && i < e.count; i++)
        if (strcmp(e.at[i].name, kind->archive_folder) != 0)
            import_note_left(r->notes, r->path, "", e.at[i].name, e.at[i].is_folder);
    entries_done(&e);
    return rc;
}

static bool cifar_detect(const char *path, bool is_folder)
{
    char *folder = NULL;
    bool found = is_folder && (kind_find(path, &folder) || pickles_find(path) >= 0);

    free(folder);
    return found;
}

static int records_import(const struct import_request *r, const struct kind *kind,
                          const char *folder, const struct entries *e, struct dataset_draft *d,
                          struct errbuf *why)
{
    struct split train = {0}, test = {0};
    struct files files = {.count = 0};
    char *names = import_path(folder, name_find(e, kind->names));
    int rc = files_find(r, kind, folder, e, &files, why);

    if (!rc)
        rc = names_read(names, d, why);
    for (int i = 0; !rc && i < files.count; i++) {
        struct split *s = files.test && i == files.count - 1 ? &test : &train;
        char *path = import_path(folder, files.names[i]);
        uint32_t before = s->samples;
        rc = import_stopped(r, why);
        if (!rc)
            rc = records_read(kind, d->classes, path, s, why);
        if (!rc)
            rc = import_uris(r, path, s->samples - before, &s->uris, why);
        free(path);
    }
    d->samples = train.samples;
    d->images = train.images;
    d->labels = train.labels;
    d->uris = train.uris;
    d->test_samples = test.samples;
    d->test_images = test.images;
    d->test_labels = test.labels;
    d->test_uris = test.uris;
    free(names);
    return rc;
}

static int cifar_import(const struct import_request *r, struct dataset_draft *ret,
                        struct errbuf *why)
{
    struct dataset_draft d = {.dims = {SIDE, SIDE, CHANNELS}};
    struct entries e = {0};
    char *folder = NULL;
    const struct kind *kind = kind_find(r->path, &folder);
    int pickle = kind ? -1 : pickles_find(r->path);

    if (pickle >= 0)
        return err_set(why, -EINVAL,
                       "%s holds CIFAR as Python pickles, which are not read; expected the binary "
                       "version, %s of https://www.cs.toronto.edu/~kriz/cifar.html, unpacked",
                       r->path, pickles[pickle].binary);
    if (!kind)
        return err_set(why, -ENOENT, "%s no longer has %s or %s", r->path, kinds[0].files[0],
                       kinds[1].files[0]);
    int rc = entries_read(folder, &e, why);
    if (!rc && strcmp(folder, r->path) != 0)
        rc = beside_note(r, kind, why);
    if (!rc)
        rc = records_import(r, kind, folder, &e, &d, why);
    memcpy(d.source, kind->name, strlen(kind->name));
    if (rc)
        dataset_draft_done(&d);
    else
        *ret = d;
    entries_done(&e);
    free(folder);
    return rc;
}

const struct import_format cifar_format = {.name = "CIFAR",
                                           .needs = "data_batch_1.bin or train.bin (CIFAR)",
                                           .detect = cifar_detect,
                                           .import = cifar_import};
