/* A folder of pictures (picture_tree.h) to a dataset.
 *
 * All pictures have the size of the first one, unless they are scaled. One colour picture makes all
 * of them RGB; until it comes, one channel is kept. All that cannot be read are told at once; the
 * request may leave them out. A manifest keeps none but small ones of its training pictures, or
 * reads none at all. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"
#include "proto/cli/import/picture.h"
#include "proto/cli/import/picture_tree.h"

/* The pixels of one split. */
struct split {
    struct picture_list *list;
    uint32_t count; /* files that are looked at: all, or none */
    uint8_t *images;
    uint32_t done; /* pictures in images */
    uint32_t kept; /* files that can be read, once they are looked at: the first of the list */
};

struct album {
    const struct import_request *request;
    struct picture_tree tree;
    struct split train, test;
    struct errbuf bad; /* the sentence about the last picture that cannot be read */
    uint32_t bad_count;
    struct dims dims;  /* h is 0 before the first picture */
    const char *first; /* the path that set them */
};

/* The size of pictures is a matter of all of them. */
static bool is_of_file(const struct album *a, int rc)
{
    return import_is_of_file(rc) && !(rc == -ERANGE && !a->request->size);
}

/* Reads and, if asked for, scales one picture. */
static int picture_load(const struct album *a, const char *path, struct picture *ret,
                        struct errbuf *why)
{
    uint32_t size = a->request->size;
    struct picture as_it_is, scaled;
    struct errbuf sentence = {""};
    int rc = picture_read(path, size ? PICTURE_SIDE_MAX : IMAGE_SIDE_MAX, a->request->stored,
                          &as_it_is, &sentence);

    if (rc)
        return err_set(why, rc, "%s%s", sentence.text,
                       rc == -ERANGE && !size ? "; --size N scales all pictures to N x N" : "");
    if (!size) {
        *ret = as_it_is;
        return 0;
    }
    rc = picture_scale(&as_it_is, size, size, &scaled);
    free(as_it_is.pixels);
    if (rc)
        return err_set(why, rc, "no memory to scale %s", path);
    *ret = scaled;
    return 0;
}

static size_t image_bytes(const struct album *a)
{
    return (size_t)a->dims.h * a->dims.w * a->dims.c;
}

static int splits_alloc(struct album *a, struct errbuf *why)
{
    struct split *splits[] = {&a->train, &a->test};
    uint64_t bytes = ((uint64_t)a->train.count + a->test.count) * image_bytes(a);

    if (bytes > DATASET_BYTES_MAX)
        return err_set(why, -EFBIG, "the pictures take %llu bytes, allowed is up to %llu",
                       (unsigned long long)bytes, DATASET_BYTES_MAX);
    for (int i = 0; i < 2; i++) {
        size_t needed = splits[i]->count * image_bytes(a);
        uint8_t *images = realloc(splits[i]->images, needed ? needed : 1);
        if (!images)
            return err_set(why, -ENOMEM, "no memory for the %u pictures of %s", splits[i]->count,
                           a->request->path);
        splits[i]->images = images;
    }
    return 0;
}

/* Repeats grey values, from the last one on so that it can be done in place. */
static void grey_to_rgb(const uint8_t *grey, uint8_t *rgb, size_t pixels)
{
    for (size_t i = pixels; i-- > 0;)
        rgb[3 * i] = rgb[3 * i + 1] = rgb[3 * i + 2] = grey[i];
}

static int album_colour(struct album *a, struct errbuf *why)
{
    struct split *splits[] = {&a->train, &a->test};
    size_t pixels = image_bytes(a);

    a->dims.c = 3;
    int rc = splits_alloc(a, why);
    for (int i = 0; !rc && i < 2; i++)
        grey_to_rgb(splits[i]->images, splits[i]->images, splits[i]->done * pixels);
    return rc;
}

/* Appends a picture. */
static int picture_put(struct album *a, struct split *s, const char *path, const struct picture *p,
                       struct errbuf *why)
{
    int rc = 0;

    if (!a->dims.h) {
        a->dims = p->dims;
        a->first = path;
        rc = splits_alloc(a, why);
    } else if (p->dims.h != a->dims.h || p->dims.w != a->dims.w) {
        rc = err_set(why, -EINVAL,
                     "%s is %u pixels high and %u wide, but %s is %u and %u; --size N scales all "
                     "pictures to N x N",
                     path, p->dims.h, p->dims.w, a->first, a->dims.h, a->dims.w);
    } else if (p->dims.c > a->dims.c) {
        rc = album_colour(a, why);
    }
    if (rc)
        return rc;
    uint8_t *to = s->images + s->done * image_bytes(a);
    if (p->dims.c == a->dims.c)
        memcpy(to, p->pixels, image_bytes(a));
    else
        grey_to_rgb(p->pixels, to, (size_t)a->dims.h * a->dims.w);
    s->done++;
    return 0;
}

/* Loads a picture; one that cannot be read is noted, and *ret_kept is false. Once there is a bad
 * one that may not be left out, the others are only looked at. */
static int file_load(struct album *a, struct split *s, const char *path, bool *ret_kept,
                     struct errbuf *why)
{
    struct picture p = {0};
    struct errbuf sentence = {""};
    int rc = import_stopped(a->request, why);

    if (rc)
        return rc;
    rc = picture_load(a, path, &p, &sentence);
    *ret_kept = rc == 0;
    if (is_of_file(a, rc)) {
        a->bad_count++;
        a->bad = sentence;
        import_note_bad(a->request->notes, sentence.text);
        return 0;
    }
    if (rc)
        return err_set(why, rc, "%s", sentence.text);
    if (!a->bad_count || a->request->skip_bad)
        rc = picture_put(a, s, path, &p, why);
    free(p.pixels);
    return rc;
}

static int split_load(struct album *a, struct split *s, struct errbuf *why)
{
    uint32_t kept = 0;
    int rc = 0;

    for (uint32_t i = 0; !rc && i < s->count; i++) {
        bool keep = false;
        rc = file_load(a, s, s->list->files[i].path, &keep, why);
        if (keep) {
            struct picture_file file = s->list->files[kept];
            s->list->files[kept++] = s->list->files[i]; /* what is left out goes behind them */
            s->list->files[i] = file;
        }
    }
    s->kept = kept;
    return rc;
}

/* Only the files that can be read are left, and so are their names. */
static int split_cut(const struct album *a, struct split *s, struct errbuf *why)
{
    struct picture_list *list = s->list;
    int rc = 0;

    if (!s->count)
        return 0;
    list->count = s->kept;
    uris_done(&list->uris);
    for (uint32_t i = 0; !rc && i < list->count; i++)
        rc = import_uri(a->request, list->files[i].path, &list->uris, why);
    return rc;
}

/* What becomes of the pictures that cannot be read. */
static int judge_bad(struct album *a, struct errbuf *why)
{
    uint32_t all = a->train.count + a->test.count;

    if (!a->bad_count)
        return 0;
    if (!a->request->skip_bad && a->bad_count == 1)
        return err_set(why, -EINVAL, "%s; --skip-bad leaves it out", a->bad.text);
    if (!a->request->skip_bad || !a->train.kept)
        return err_set(why, -EINVAL, "%u of %u pictures of %s cannot be read%s", a->bad_count, all,
                       a->request->path,
                       a->request->skip_bad ? ", no training picture is left"
                                            : "; --skip-bad leaves them out");
    import_note(a->request->notes, "%u of %u pictures cannot be read and %s left out", a->bad_count,
                all, a->bad_count == 1 ? "is" : "are");
    int rc = split_cut(a, &a->train, why);
    return rc ? rc : split_cut(a, &a->test, why);
}

/* The label of each file, or its domain. */
static int numbers_make(const struct picture_list *s, bool domains, uint16_t **ret,
                        struct errbuf *why)
{
    uint16_t *numbers = malloc((s->count ? s->count : 1) * sizeof(*numbers));

    if (!numbers)
        return err_set(why, -ENOMEM, "no memory for %u labels", s->count);
    for (uint32_t i = 0; i < s->count; i++)
        numbers[i] = domains ? s->files[i].domain : s->files[i].label;
    *ret = numbers;
    return 0;
}

static char **names_take(struct entries *e)
{
    char **names = xcalloc(e->count, sizeof(*names));

    for (size_t i = 0; i < e->count; i++) {
        names[i] = e->at[i].name;
        e->at[i].name = NULL;
        text_make_printable(names[i]);
    }
    return names;
}

/* Moves the album into a draft. */
static int draft_make(struct album *a, struct dataset_draft *ret, struct errbuf *why)
{
    struct picture_tree *t = &a->tree;
    struct dataset_draft d = {.manifest = a->request->manifest,
                              .samples = t->train.count,
                              .test_samples = t->test.count,
                              .classes = (uint32_t)t->classes.count,
                              .dims = a->dims};
    int rc = numbers_make(&t->train, false, &d.labels, why);

    if (!rc)
        rc = numbers_make(&t->test, false, &d.test_labels, why);
    if (!rc && t->domains.count)
        rc = numbers_make(&t->train, true, &d.domains, why);
    if (rc) {
        free(d.labels);
        free(d.test_labels);
        return rc;
    }
    d.class_names = names_take(&t->classes);
    if (t->domains.count) {
        d.domain_count = (uint32_t)t->domains.count;
        d.domain_names = names_take(&t->domains);
    }
    d.images = a->train.images;
    d.test_images = a->test.images;
    a->train.images = a->test.images = NULL;
    d.uris = t->train.uris;
    d.test_uris = t->test.uris;
    t->train.uris = t->test.uris = (struct uris){0};
    *ret = d;
    return 0;
}

static bool picture_detect(const char *path, bool is_folder)
{
    return is_folder && entries_have_folders(path);
}

/* A manifest shows its training pictures, small, or none. */
static void splits_choose(struct album *a)
{
    const bool manifest = a->request->manifest;

    a->train.list = &a->tree.train;
    a->test.list = &a->tree.test;
    a->train.count = manifest && !a->request->size ? 0 : a->tree.train.count;
    a->test.count = manifest ? 0 : a->tree.test.count;
}

static int picture_import(const struct import_request *r, struct dataset_draft *ret,
                          struct errbuf *why)
{
    struct album a = {.request = r};
    int rc = picture_tree_read(r, &a.tree, why);

    if (rc)
        return rc;
    splits_choose(&a);
    rc = split_load(&a, &a.train, why);
    if (!rc)
        rc = split_load(&a, &a.test, why);
    if (!rc)
        rc = judge_bad(&a, why);
    if (!rc)
        rc = draft_make(&a, ret, why);
    free(a.train.images);
    free(a.test.images);
    picture_tree_done(&a.tree);
    return rc;
}

const struct import_format picture_format = {.name = "pictures",
                                             .needs = "folders with the " PICTURE_ENDINGS
                                                      " files of a class each",
                                             .pictures = true,
                                             .detect = picture_detect,
                                             .import = picture_import};
