#include "proto/cli/predict_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/text.h"
#include "proto/cli/import/entries.h"
#include "proto/cli/import/import.h"
#include "proto/cli/import/picture.h"

#define DEPTH_MAX 8 /* folders in folders; a link to a folder above would go on for ever */

void predict_source_done(struct predict_source *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        free(s->items[i].path);
    for (int i = 0; i < s->array_count; i++)
        free(s->arrays[i].data);
    import_notes_done(&s->notes);
    free(s->items);
    free(s->arrays);
    s->items = NULL;
    s->arrays = NULL;
    s->count = 0;
    s->array_count = 0;
}

/* Takes path. */
static int add_item(struct predict_source *s, char *path, int npy, uint32_t index, int32_t label,
                    struct errbuf *why)
{
    if (s->count == SAMPLES_MAX) {
        free(path);
        return err_set(why, -EINVAL, "there are more than %u pictures", SAMPLES_MAX);
    }
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 256;
        s->items = xrealloc(s->items, s->room * sizeof(*s->items));
    }
    s->items[s->count++] = (struct predict_item){path, npy, index, label};
    s->labelled += label >= 0;
    return 0;
}

static int add_array(struct predict_source *s, const char *path, struct errbuf *why)
{
    struct npy_images a;
    int rc = npy_file_images(path, NPY_LAYOUT_JUDGE, &a, why);

    if (rc < 0)
        return rc;
    if (memcmp(&a.dims, &s->dims, sizeof(a.dims)) != 0) {
        free(a.data);
        return err_set(why, -EINVAL,
                       "%s has images of %u x %u x %u, the model takes %u x %u x %u; pictures are "
                       "scaled, arrays are taken as they are",
                       path, a.dims.h, a.dims.w, a.dims.c, s->dims.h, s->dims.w, s->dims.c);
    }
    s->arrays = xrealloc(s->arrays, ((size_t)s->array_count + 1) * sizeof(*s->arrays));
    s->arrays[s->array_count++] = a;
    for (uint32_t i = 0; rc == 0 && i < a.samples; i++)
        rc = add_item(s, xasprintf("%s[%u]", path, i), s->array_count - 1, i, NO_LABEL, why);
    return rc;
}

/* The class that a folder is named as; the names of others are kept for a note. */
static int32_t label_of(struct predict_source *s, const char *folder)
{
    char *name = xstrdup(folder);
    int32_t label = UNKNOWN_LABEL;
    size_t used = strlen(s->unknown);

    text_make_printable(name); /* as the names of classes are */
    for (uint32_t i = 0; label < 0 && i < s->classes; i++)
        if (strcmp(s->class_names[i], name) == 0)
            label = (int32_t)i;
    if (label < 0 && used < sizeof(s->unknown) - 1)
        snprintf(s->unknown + used, sizeof(s->unknown) - used, "%s%s", used ? ", " : "", name);
    free(name);
    return label;
}

static bool is_npy(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot && strcasecmp(dot, ".npy") == 0;
}

static int add_folder(struct predict_source *s, const char *folder, int32_t label, int depth,
                      struct errbuf *why)
{
    struct entries e = {0};
    int rc = depth < DEPTH_MAX ? entries_read(folder, &e, why)
                               : err_set(why, -EINVAL, "%s lies %d folders deep, allowed is %d",
                                         folder, depth, DEPTH_MAX);

    for (size_t i = 0; rc == 0 && i < e.count; i++) {
        const struct entry *at = &e.at[i];
        char *path = import_path(folder, at->name);
        bool has_pictures = at->is_folder && !entries_have_folders(path);
        if (at->is_folder)
            rc = add_folder(s, path, has_pictures ? label_of(s, at->name) : NO_LABEL, depth + 1,
                            why);
        else if (entries_is_picture(at->name))
            rc = add_item(s, xstrdup(path), -1, 0, label, why);
        else
            s->left_out++;
        free(path);
    }
    entries_done(&e);
    return rc;
}

int predict_source_add(struct predict_source *s, const char *path, struct errbuf *why)
{
    const uint32_t before = s->count;
    struct stat st;

    if (stat(path, &st) != 0)
        return err_set(why, -errno, "cannot open %s: %s", path, err_text(-errno));
    if (!S_ISDIR(st.st_mode))
        return is_npy(path) ? add_array(s, path, why)
                            : add_item(s, xstrdup(path), -1, 0, NO_LABEL, why);
    int rc = add_folder(s, path, NO_LABEL, 0, why);
    if (rc == 0 && s->count == before)
        rc = err_set(why, -EINVAL, "%s has no pictures, expected " PICTURE_ENDINGS " files in it",
                     path);
    return rc;
}

/* --- pixels --- */

static int read_picture(struct predict_source *s, const char *path, uint8_t *out,
                        struct errbuf *why)
{
    struct picture p;
    int rc = picture_read(path, PICTURE_SIDE_MAX, s->stored, &p, why);

    if (rc < 0)
        return rc;
    s->scaled += p.dims.h != s->dims.h || p.dims.w != s->dims.w;
    return picture_fit(path, &p, &s->dims, out, why);
}

static int read_item(struct predict_source *s, const struct predict_item *item, uint8_t *out,
                     struct errbuf *why)
{
    const size_t bytes = (size_t)s->dims.h * s->dims.w * s->dims.c;

    if (item->npy < 0)
        return read_picture(s, item->path, out, why);
    memcpy(out, s->arrays[item->npy].data + item->index * bytes, bytes);
    return 0;
}

static void take_out(struct predict_source *s, uint32_t i)
{
    s->labelled -= s->items[i].label >= 0;
    free(s->items[i].path);
    s->count--;
    memmove(&s->items[i], &s->items[i + 1], (s->count - i) * sizeof(*s->items));
}

/* What becomes of the pictures that cannot be read; last: the sentence about one of them. */
static int judge_bad(const struct predict_source *s, uint32_t all, const struct errbuf *last,
                     struct errbuf *why)
{
    const size_t bad = s->notes.bad_count;

    if (bad == 0 || (s->skip_bad && s->count > 0))
        return 0;
    if (bad == 1 && !s->skip_bad)
        return err_set(why, -EINVAL, "%s; --skip-bad leaves it out", last->text);
    return err_set(why, -EINVAL, "%zu of %u picture%s cannot be read%s", bad, all, text_s(all),
                   s->skip_bad ? ", none is left" : "; --skip-bad leaves them out");
}

int predict_source_read(struct predict_source *s, uint32_t first, uint32_t most,
                        const _Atomic sig_atomic_t *stop, uint8_t *out, uint32_t *ret,
                        struct errbuf *why)
{
    const size_t bytes = (size_t)s->dims.h * s->dims.w * s->dims.c;
    const uint32_t all = s->count + (uint32_t)s->notes.bad_count;
    struct errbuf sentence = {""}, last = {""};
    uint32_t n = 0;

    while (first + n < s->count && (n < most || (!s->skip_bad && s->notes.bad_count))) {
        /* Once there is a bad one that may not be left out, nothing is sent any more. */
        const uint32_t at = n < most ? n : most - 1;
        if (*stop)
            return err_set(why, -EINTR, "stopped");
        int rc = read_item(s, &s->items[first + n], out + at * bytes, &sentence);
        if (rc < 0 && !import_is_of_file(rc))
            return err_set(why, rc, "%s", sentence.text);
        if (rc == 0) {
            n++;
            continue;
        }
        import_note_bad(&s->notes, sentence.text);
        last = sentence;
        take_out(s, first + n);
    }
    *ret = n;
    return judge_bad(s, all, &last, why);
}
