#include "proto/cli/import/picture_tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

/* A manifest lists whatever loaders read; the import itself reads some. */
static bool is_picture(const struct import_request *r, const char *name)
{
    return entries_is_picture(name) || (r->manifest && !r->size && entries_is_image_file(name));
}

/* The caller's name for root: without the path of the request, with a '/' behind it. */
static char *root_below(const struct picture_tree *t, const char *root)
{
    size_t bytes = strlen(t->request->path);
    const char *below = strncmp(root, t->request->path, bytes) == 0 ? root + bytes : root;

    while (*below == '/')
        below++;
    return xasprintf("%s%s", below, *below ? "/" : "");
}

/* Keeps the class or domain folders (`what`) among the entries of a split; a picture beside them
 * has no class. Notes what is left out if `tell` is set. */
static int class_folders(const struct picture_tree *t, const char *root, const char *what,
                         bool tell, struct entries *e, struct errbuf *why)
{
    size_t kept = 0;
    int rc = entries_read(root, e, why);

    for (size_t i = 0; !rc && i < e->count; i++)
        if (e->at[i].is_folder)
            rc = import_name_check(what, root, e->at[i].name, why);
        else if (is_picture(t->request, e->at[i].name))
            rc = err_set(why, -EINVAL, "%s/%s is not in a class folder, expected %s/CLASS/%s%s",
                         root, e->at[i].name, root, e->at[i].name,
                         t->split.test && strcmp(root, t->split.test) == 0
                             ? "; --test none leaves out the test set"
                             : "");
    if (rc)
        return rc;
    char *below = root_below(t, root);
    bool whole = strcmp(root, t->split.train) == 0;
    for (size_t i = 0; i < e->count; i++) {
        bool outside = whole && entries_find(&t->split.outside, e->at[i].name);
        if (!e->at[i].is_folder && tell)
            import_note_left(t->request->notes, root, below, e->at[i].name, false);
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
static int class_files(const struct picture_tree *t, char *folder, uint16_t label, uint16_t domain,
                       struct picture_list *s, struct errbuf *why)
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
        if (e.at[i].is_folder || !is_picture(t->request, e.at[i].name)) {
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
        rc = import_uri(t->request, path, &s->uris, why);
        s->files[s->count++] = (struct picture_file){path, label, domain};
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
static int classes_list(struct picture_tree *t, const char *root, uint16_t domain,
                        struct picture_list *s, struct errbuf *why)
{
    struct entries folders = {0};
    int rc = class_folders(t, root, "class", true, &folders, why);

    if (!rc && folders.count == 0)
        rc = err_set(why, -EINVAL, "%s has no class folders", root);
    for (size_t i = 0; !rc && i < folders.count; i++) {
        const struct entry *class = bsearch(&folders.at[i], t->classes.at, t->classes.count,
                                            sizeof(*class), entries_compare);
        if (!class)
            rc = err_set(why, -EINVAL, "%s/%s is not a class of the training pictures", root,
                         folders.at[i].name);
        else
            rc = class_files(t, import_path(root, class->name), (uint16_t)(class - t->classes.at),
                             domain, s, why);
    }
    entries_done(&folders);
    return rc;
}

/* Adds the pictures below each of the folders of a split. */
static int domains_list(struct picture_tree *t, const char *root, const struct entries *domains,
                        struct picture_list *s, struct errbuf *why)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < domains->count; i++) {
        char *path = import_path(root, domains->at[i].name);
        rc = classes_list(t, path, (uint16_t)i, s, why);
        free(path);
    }
    return rc;
}

/* Each class folder of any domain, once. */
static int classes_gather(struct picture_tree *t, const char *root, struct errbuf *why)
{
    struct entries *all = &t->classes;
    size_t kept = 0;
    int rc = 0;

    for (size_t i = 0; !rc && i < t->domains.count; i++) {
        struct entries folders = {0};
        char *path = import_path(root, t->domains.at[i].name);
        rc = class_folders(t, path, "class", false, &folders, why);
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
static int top_folders(const struct picture_tree *t, const char *root, struct entries *top,
                       bool *ret_domains, struct errbuf *why)
{
    int rc = class_folders(t, root, "class or domain", false, top, why);

    if (!rc)
        rc = has_domains(root, top, ret_domains, why);
    if (!rc && *ret_domains) {
        entries_done(top);
        rc = class_folders(t, root, "domain", true, top, why);
    }
    return rc;
}

/* Which folders are domains; none of them may be meant as something else. */
static void domains_note(const struct picture_tree *t)
{
    char list[200] = "";
    size_t used = 0;

    for (size_t i = 0; i < t->domains.count && used < sizeof(list); i++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "",
                                 t->domains.at[i].name);
    import_note(t->request->notes, "%zu domain%s: %s%s", t->domains.count,
                t->domains.count == 1 ? "" : "s", list, used < sizeof(list) ? "" : "...");
}

static int train_list(struct picture_tree *t, const char *root, struct errbuf *why)
{
    const size_t least = t->request->manifest ? 1 : 2;
    struct entries top = {0};
    bool domains = false;
    int rc = top_folders(t, root, &top, &domains, why);

    *(domains ? &t->domains : &t->classes) = top;
    if (!rc && t->domains.count > DOMAINS_MAX)
        rc = err_set(why, -EINVAL, "%s has %zu domain folders, allowed is 1 to %d", root,
                     t->domains.count, DOMAINS_MAX);
    if (!rc && domains)
        rc = classes_gather(t, root, why);
    if (!rc)
        rc = picture_split_check(t->request, root, &t->domains, why);
    if (!rc)
        rc = picture_split_check(t->request, root, &t->classes, why);
    if (!rc && (t->classes.count < least || t->classes.count > CLASSES_MAX))
        rc = err_set(why, -EINVAL, "%s has %zu class folder%s, allowed is %zu to %d", root,
                     t->classes.count, t->classes.count == 1 ? "" : "s", least, CLASSES_MAX);
    if (!rc)
        rc = entries_shown_check("class", root, &t->classes, why);
    if (!rc)
        rc = entries_shown_check("domain", root, &t->domains, why);
    if (rc)
        return rc;
    if (domains)
        domains_note(t);
    return domains ? domains_list(t, root, &t->domains, &t->train, why)
                   : classes_list(t, root, 0, &t->train, why);
}

/* The test split has classes of the training split, perhaps not all. If it was found by its name,
 * it has the same depth: --test may leave out a domain. */
static int test_list(struct picture_tree *t, const char *root, struct errbuf *why)
{
    struct entries top = {0};
    bool domains = false;
    int rc = top_folders(t, root, &top, &domains, why);

    if (!rc && !t->request->test && top.count && domains != (t->domains.count > 0))
        rc = err_set(why, -EINVAL,
                     "%s holds %s/FILE, but the training pictures are %s/FILE; --test %s takes it "
                     "as it is",
                     root, domains ? "DOMAIN/CLASS" : "CLASS",
                     t->domains.count ? "DOMAIN/CLASS" : "CLASS", t->split.test_name);
    if (!rc)
        rc = domains ? domains_list(t, root, &top, &t->test, why)
                     : classes_list(t, root, 0, &t->test, why);
    entries_done(&top);
    return rc;
}

static int files_list(struct picture_tree *t, struct errbuf *why)
{
    int rc = picture_split_find(t->request, &t->split, why);

    if (!rc)
        rc = train_list(t, t->split.train, why);
    if (!rc && t->split.test)
        rc = test_list(t, t->split.test, why);
    return rc;
}

int picture_tree_read(const struct import_request *r, struct picture_tree *ret, struct errbuf *why)
{
    *ret = (struct picture_tree){.request = r};
    int rc = files_list(ret, why);

    if (rc)
        picture_tree_done(ret);
    return rc;
}

static void list_done(struct picture_list *s)
{
    for (uint32_t i = 0; i < s->listed; i++)
        free(s->files[i].path);
    free(s->files);
    uris_done(&s->uris);
}

void picture_tree_done(struct picture_tree *t)
{
    list_done(&t->train);
    list_done(&t->test);
    entries_done(&t->classes);
    entries_done(&t->domains);
    picture_split_done(&t->split);
    *t = (struct picture_tree){.request = t->request};
}
