/* A folder of pictures: CLASS/FILE.png, .jpg, .jpeg or .webp (any case), or DOMAIN/CLASS/FILE; or
 * both below train/, with the test split in test/, else in val/, or as picture_split.h says.
 *
 * Domains are where pictures come from (photo, sketch, a hospital). The depth of the tree shows
 * them, and a tree of both depths is refused. Test pictures may have other domains, which are not
 * kept: a dataset has those of its training pictures.
 *
 * Classes are the class folders of the training split, sorted bytewise, and so are the files in
 * each; samples are numbered in this order, domain by domain and class by class, so that the same
 * files make the same dataset everywhere. Files beside the class folders that are not pictures are
 * left out, and named. Everything else that does not fit is refused: leaving out a picture silently
 * would be worse. All that cannot be read are told at once; the request may leave them out.
 *
 * All pictures have the size of the first one, unless they are scaled. One colour picture makes all
 * of them RGB; until it comes, one channel is kept. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"
#include "proto/cli/import/entries.h"
#include "proto/cli/import/import.h"
#include "proto/cli/import/picture.h"
#include "proto/cli/import/picture_split.h"

/* The files of one split in the order of their samples, then their pixels. */
struct split {
    struct file {
        char *path;
        uint16_t label, domain;
    } * files;
    uint32_t count, listed, capacity; /* listed: those left out too */
    struct uris uris;
    uint8_t *images;
    uint32_t done; /* pictures in images */
    uint32_t kept; /* files that can be read, once they are looked at: the first of files */
};

struct album {
    const struct import_request *request;
    struct picture_split split;
    struct entries classes; /* folders only */
    struct entries domains; /* folders only; none: the tree has no domains */
    struct split train, test;
    struct errbuf bad; /* the sentence about the last picture that cannot be read */
    uint32_t bad_count;
    struct dims dims;  /* h is 0 before the first picture */
    const char *first; /* the path that set them */
};

/* The caller's name for root: without the path of the request, with a '/' behind it. */
static char *root_below(const struct album *a, const char *root)
{
    size_t bytes = strlen(a->request->path);
    const char *below = strncmp(root, a->request->path, bytes) == 0 ? root + bytes : root;

    while (*below == '/')
        below++;
    return xasprintf("%s%s", below, *below ? "/" : "");
}

/* Keeps the class or domain folders (`what`) among the entries of a split; a picture beside them
 * has no class. Notes what is left out if `tell` is set. */
static int class_folders(const struct album *a, const char *root, const char *what, bool tell,
                         struct entries *e, struct errbuf *why)
{
    size_t kept = 0;
    int rc = entries_read(root, e, why);

    for (size_t i = 0; !rc && i < e->count; i++)
        if (e->at[i].is_folder)
            rc = import_name_check(what, root, e->at[i].name, why);
        else if (entries_is_picture(e->at[i].name))
            rc = err_set(why, -EINVAL, "%s/%s is not in a class folder, expected %s/CLASS/%s%s",
                         root, e->at[i].name, root, e->at[i].name,
                         a->split.test && strcmp(root, a->split.test) == 0
                             ? "; --test none leaves out the test set"
                             : "");
    if (rc)
        return rc;
    char *below = root_below(a, root);
    bool whole = strcmp(root, a->split.train) == 0;
    for (size_t i = 0; i < e->count; i++) {
        bool outside = whole && entries_find(&a->split.outside, e->at[i].name);
        if (!e->at[i].is_folder && tell)
            import_note_left(a->request->notes, root, below, e->at[i].name, false);
        if (e->at[i].is_folder && !outside)
            e->at[kept++] = e->at[i];
        else
            free(e->at[i].name);
    }
    e->count = kept;
    free(below);
    return 0;
}

/* Adds the files of one class folder; takes folder. */
static int class_files(const struct album *a, char *folder, uint16_t label, uint16_t domain,
                       struct split *s, struct errbuf *why)
{
    struct entries e = {0};
    int rc = entries_read(folder, &e, why);

    if (!rc && e.count == 0)
        rc =
            err_set(why, -EINVAL,
                    "%s is empty, expected " PICTURE_ENDINGS " files in each class folder", folder);
    if (!rc && s->count + e.count > SAMPLES_MAX)
        rc = err_set(why, -EINVAL, "with %s there are more than %u pictures", folder, SAMPLES_MAX);
    for (size_t i = 0; !rc && i < e.count; i++) {
        if (e.at[i].is_folder || !entries_is_picture(e.at[i].name)) {
            rc = err_set(why, -EINVAL, "%s/%s is %s, allowed are " PICTURE_ENDINGS " files", folder,
                         e.at[i].name,
                         e.at[i].is_folder ? "a folder in a class folder" : "no picture");
            break;
        }
        if (s->count == s->capacity) {
            s->capacity = s->capacity ? s->capacity * 2 : 1024;
            s->files = xrealloc(s->files, s->capacity * sizeof(*s->files));
        }
        char *path = import_path(folder, e.at[i].name);
        rc = import_uri(a->request, path, &s->uris, why);
        s->files[s->count++] = (struct file){path, label, domain};
        s->listed = s->count;
    }
    entries_done(&e);
    free(folder);
    return rc;
}

/* Do the folders of a split hold folders, all of them or none? */
static int has_domains(const char *root, const struct entries *folders, bool *ret,
                       struct errbuf *why)
{
    bool first = false;

    for (size_t i = 0; i < folders->count; i++) {
        char *path = import_path(root, folders->at[i].name);
        struct entries e = {0};
        bool deep = false;
        int rc = entries_read(path, &e, why);
        for (size_t k = 0; k < e.count && !deep; k++)
            deep = e.at[k].is_folder;
        entries_done(&e);
        if (i == 0)
            first = deep;
        else if (!rc && deep != first)
            rc = err_set(
                why, -EINVAL,
                "%s holds %s, but %s/%s holds %s; use CLASS/FILE or DOMAIN/CLASS/FILE everywhere",
                path, deep ? "folders" : "no folders", root, folders->at[0].name,
                first ? "folders" : "none");
        free(path);
        if (rc)
            return rc;
    }
    *ret = first;
    return 0;
}

/* Adds the pictures below root, which holds class folders. */
static int classes_list(struct album *a, const char *root, uint16_t domain, struct split *s,
                        struct errbuf *why)
{
    struct entries folders = {0};
    int rc = class_folders(a, root, "class", true, &folders, why);

    if (!rc && folders.count == 0)
        rc = err_set(why, -EINVAL, "%s has no class folders", root);
    for (size_t i = 0; !rc && i < folders.count; i++) {
        const struct entry *class = bsearch(&folders.at[i], a->classes.at, a->classes.count,
                                            sizeof(*class), entries_compare);
        if (!class)
            rc = err_set(why, -EINVAL, "%s/%s is not a class of the training pictures", root,
                         folders.at[i].name);
        else
            rc = class_files(a, import_path(root, class->name), (uint16_t)(class - a->classes.at),
                             domain, s, why);
    }
    entries_done(&folders);
    return rc;
}

/* Adds the pictures below each of the folders of a split. */
static int domains_list(struct album *a, const char *root, const struct entries *domains,
                        struct split *s, struct errbuf *why)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < domains->count; i++) {
        char *path = import_path(root, domains->at[i].name);
        rc = classes_list(a, path, (uint16_t)i, s, why);
        free(path);
    }
    return rc;
}

/* Each class folder of any domain, once. */
static int classes_gather(struct album *a, const char *root, struct errbuf *why)
{
    struct entries *all = &a->classes;
    size_t kept = 0;
    int rc = 0;

    for (size_t i = 0; !rc && i < a->domains.count; i++) {
        struct entries folders = {0};
        char *path = import_path(root, a->domains.at[i].name);
        rc = class_folders(a, path, "class", false, &folders, why);
        for (size_t k = 0; !rc && k < folders.count; k++)
            entries_add(all, folders.at[k].name, true);
        entries_done(&folders);
        free(path);
    }
    if (all->count)
        qsort(all->at, all->count, sizeof(*all->at), entries_compare);
    for (size_t i = 0; i < all->count; i++) {
        if (kept && strcmp(all->at[kept - 1].name, all->at[i].name) == 0)
            free(all->at[i].name);
        else
            all->at[kept++] = all->at[i];
    }
    all->count = kept;
    return rc;
}

/* The class folders of a split, or its domain folders. */
static int top_folders(const struct album *a, const char *root, struct entries *top,
                       bool *ret_domains, struct errbuf *why)
{
    int rc = class_folders(a, root, "class or domain", false, top, why);

    if (!rc)
        rc = has_domains(root, top, ret_domains, why);
    if (!rc && *ret_domains) {
        entries_done(top);
        rc = class_folders(a, root, "domain", true, top, why);
    }
    return rc;
}

/* Which folders are domains; none of them may be meant as something else. */
static void domains_note(const struct album *a)
{
    char list[200] = "";
    size_t used = 0;

    for (size_t i = 0; i < a->domains.count && used < sizeof(list); i++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "",
                                 a->domains.at[i].name);
    import_note(a->request->notes, "%zu domain%s: %s%s", a->domains.count,
                a->domains.count == 1 ? "" : "s", list, used < sizeof(list) ? "" : "...");
}

static int train_list(struct album *a, const char *root, struct errbuf *why)
{
    struct entries top = {0};
    bool domains = false;
    int rc = top_folders(a, root, &top, &domains, why);

    *(domains ? &a->domains : &a->classes) = top;
    if (!rc && a->domains.count > DOMAINS_MAX)
        rc = err_set(why, -EINVAL, "%s has %zu domain folders, allowed is 1 to %d", root,
                     a->domains.count, DOMAINS_MAX);
    if (!rc && domains)
        rc = classes_gather(a, root, why);
    if (!rc)
        rc = picture_split_check(a->request, root, &a->domains, why);
    if (!rc)
        rc = picture_split_check(a->request, root, &a->classes, why);
    if (!rc && (a->classes.count < 2 || a->classes.count > CLASSES_MAX))
        rc = err_set(why, -EINVAL, "%s has %zu class folder%s, allowed is 2 to %d", root,
                     a->classes.count, a->classes.count == 1 ? "" : "s", CLASSES_MAX);
    if (!rc)
        rc = entries_shown_check("class", root, &a->classes, why);
    if (!rc)
        rc = entries_shown_check("domain", root, &a->domains, why);
    if (rc)
        return rc;
    if (domains)
        domains_note(a);
    return domains ? domains_list(a, root, &a->domains, &a->train, why)
                   : classes_list(a, root, 0, &a->train, why);
}

/* The test split has classes of the training split, perhaps not all. If it was found by its name,
 * it has the same depth: --test may leave out a domain. */
static int test_list(struct album *a, const char *root, struct errbuf *why)
{
    struct entries top = {0};
    bool domains = false;
    int rc = top_folders(a, root, &top, &domains, why);

    if (!rc && !a->request->test && top.count && domains != (a->domains.count > 0))
        rc = err_set(why, -EINVAL,
                     "%s holds %s/FILE, but the training pictures are %s/FILE; --test %s takes it "
                     "as it is",
                     root, domains ? "DOMAIN/CLASS" : "CLASS",
                     a->domains.count ? "DOMAIN/CLASS" : "CLASS", a->split.test_name);
    if (!rc)
        rc = domains ? domains_list(a, root, &top, &a->test, why)
                     : classes_list(a, root, 0, &a->test, why);
    entries_done(&top);
    return rc;
}

static int files_list(struct album *a, struct errbuf *why)
{
    int rc = picture_split_find(a->request, &a->split, why);

    if (!rc)
        rc = train_list(a, a->split.train, why);
    if (!rc && a->split.test)
        rc = test_list(a, a->split.test, why);
    return rc;
}

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
        rc = file_load(a, s, s->files[i].path, &keep, why);
        if (keep) {
            struct file file = s->files[kept];
            s->files[kept++] = s->files[i]; /* what is left out goes behind them */
            s->files[i] = file;
        }
    }
    s->kept = kept;
    return rc;
}

/* Only the files that can be read are left, and so are their names. */
static int split_cut(const struct album *a, struct split *s, struct errbuf *why)
{
    int rc = 0;

    s->count = s->kept;
    uris_done(&s->uris);
    for (uint32_t i = 0; !rc && i < s->count; i++)
        rc = import_uri(a->request, s->files[i].path, &s->uris, why);
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
static int numbers_make(const struct split *s, bool domains, uint16_t **ret, struct errbuf *why)
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

static void split_done(struct split *s)
{
    for (uint32_t i = 0; i < s->listed; i++)
        free(s->files[i].path);
    free(s->files);
    free(s->images);
    uris_done(&s->uris);
}

/* Moves the album into a draft. */
static int draft_make(struct album *a, struct dataset_draft *ret, struct errbuf *why)
{
    struct dataset_draft d = {.samples = a->train.count,
                              .test_samples = a->test.count,
                              .classes = (uint32_t)a->classes.count,
                              .dims = a->dims};
    int rc = numbers_make(&a->train, false, &d.labels, why);

    if (!rc)
        rc = numbers_make(&a->test, false, &d.test_labels, why);
    if (!rc && a->domains.count)
        rc = numbers_make(&a->train, true, &d.domains, why);
    if (rc) {
        free(d.labels);
        free(d.test_labels);
        return rc;
    }
    d.class_names = names_take(&a->classes);
    if (a->domains.count) {
        d.domain_count = (uint32_t)a->domains.count;
        d.domain_names = names_take(&a->domains);
    }
    d.images = a->train.images;
    d.test_images = a->test.images;
    a->train.images = a->test.images = NULL;
    d.uris = a->train.uris;
    d.test_uris = a->test.uris;
    a->train.uris = a->test.uris = (struct uris){0};
    *ret = d;
    return 0;
}

static bool picture_detect(const char *path, bool is_folder)
{
    return is_folder && entries_have_folders(path);
}

static int picture_import(const struct import_request *r, struct dataset_draft *ret,
                          struct errbuf *why)
{
    struct album a = {.request = r};
    int rc = files_list(&a, why);

    if (!rc)
        rc = split_load(&a, &a.train, why);
    if (!rc)
        rc = split_load(&a, &a.test, why);
    if (!rc)
        rc = judge_bad(&a, why);
    if (!rc)
        rc = draft_make(&a, ret, why);
    split_done(&a.train);
    split_done(&a.test);
    entries_done(&a.classes);
    entries_done(&a.domains);
    picture_split_done(&a.split);
    return rc;
}

const struct import_format picture_format = {.name = "pictures",
                                             .needs = "folders with the " PICTURE_ENDINGS
                                                      " files of a class each",
                                             .pictures = true,
                                             .detect = picture_detect,
                                             .import = picture_import};
