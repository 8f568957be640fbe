/* The reading without options. One folder that is named like a training set and holds folders is
 * the training set; everything beside it but the test set is left out. Without such a folder all
 * folders are classes or domains. In unclear cases the user must say: a folder named like a test
 * set without a training set beside it; folders whose names differ only in "train" and "test"
 * (mnist_train, mnist_test); a training set with only folders of pictures beside it whose names do
 * not tell. */
#include "proto/cli/import/picture_split.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "proto/cli/import/split.h"

/* The folders of a tree; names are borrowed from entries. */
struct tree {
    const struct import_request *r;
    struct entries entries;
    const char **folders;
    struct split_choice choice;
};

static int tree_open(const struct import_request *r, struct tree *ret, struct errbuf *why)
{
    struct tree t = {.r = r};
    int rc = entries_read(r->path, &t.entries, why);

    if (rc)
        return rc;
    t.folders = xcalloc(t.entries.count + 1, sizeof(*t.folders));
    t.choice = (struct split_choice){.where = r->path, .names = t.folders, .train = -1, .test = -1};
    for (size_t i = 0; i < t.entries.count; i++)
        if (t.entries.at[i].is_folder)
            t.folders[t.choice.count++] = t.entries.at[i].name;
    *ret = t;
    return 0;
}

static void tree_close(struct tree *t)
{
    entries_done(&t->entries);
    free(t->folders);
}

static bool holds_folders(const struct tree *t, int folder)
{
    char *path = import_path(t->r->path, t->folders[folder]);
    bool holds = entries_have_folders(path);

    free(path);
    return holds;
}

/* The kind that a folder's name shows, without a folder of training pictures. If it holds folders,
 * one word among others is enough: then it is more likely a set (digits_test) than a domain. */
static enum split_kind kind_alone(const struct tree *t, int folder)
{
    enum split_kind kind = split_kind_of(t->folders[folder]);
    enum split_kind word = kind ? kind : split_word_in(t->folders[folder]);

    return word > SPLIT_TRAIN && !kind && holds_folders(t, folder) ? word : kind;
}

/* The first folder named like a test set, else like another set that is not trained on; -1:
 * none. */
static int evaluation_find(const struct tree *t)
{
    enum split_kind best = SPLIT_TRAIN;
    int found = -1;

    for (int i = 0; i < t->choice.count; i++) {
        enum split_kind kind = kind_alone(t, i);
        if (kind > best) {
            best = kind;
            found = i;
        }
    }
    return found;
}

/* Folders named like the halves of one set would become domains or classes. */
static int halves_check(const struct tree *t, int train, int held, struct errbuf *why)
{
    const char *a = t->folders[train], *b = t->folders[held];

    if (!split_is_pair(a, b))
        return 0;
    if (!holds_folders(t, train))
        return err_set(why, -EINVAL,
                       "%s has %s/ and %s/ without class folders: as two classes, --train . trains "
                       "on both; as training and test set they need %s/CLASS/FILE and "
                       "%s/CLASS/FILE",
                       t->r->path, a, b, a, b);
    if (t->r->test)
        return 0;
    return err_set(why, -EINVAL,
                   "%s has %s/ and %s/: --train %s --test %s takes them for the training and the "
                   "test set, --train . trains on all folders",
                   t->r->path, a, b, a, b);
}

static int pairs_check(const struct tree *t, struct errbuf *why)
{
    int rc = 0;

    for (int i = 0; i < t->choice.count && !rc; i++)
        for (int k = 0; k < t->choice.count && !rc; k++)
            rc = halves_check(t, i, k, why);
    return rc;
}

/* Without a folder of training pictures: is the whole tree one? */
static int whole_check(const struct tree *t, struct errbuf *why)
{
    const char *path = t->r->path;
    int test = evaluation_find(t), flat = -1;

    for (int i = 0; i < t->choice.count; i++)
        if (split_kind_of(t->folders[i]) == SPLIT_TRAIN)
            flat = i;
    if (flat < 0 || test < 0) {
        int rc = pairs_check(t, why);
        if (rc)
            return rc;
    }
    if (test < 0 || t->r->test)
        return 0;
    if (flat >= 0)
        return err_set(
            why, -EINVAL,
            "%s has %s/ and %s/ without class folders: as two classes, --train . trains "
            "on both; as training and test set they need %s/CLASS/FILE and %s/CLASS/FILE",
            path, t->folders[flat], t->folders[test], t->folders[flat], t->folders[test]);
    if (t->choice.count == 1)
        return err_set(why, -EINVAL,
                       "%s has %s/, but no train/ beside it; --train %s trains on its pictures",
                       path, t->folders[test], t->folders[test]);
    return err_set(why, -EINVAL,
                   "%s has %s/, but no train/ beside it: --test %s trains on the other folders and "
                   "tests on it, --test none leaves it out, --train . trains on all of them",
                   path, t->folders[test], t->folders[test]);
}

/* With a training set and no test set: is a folder beside it the test set? */
static int beside_check(const struct tree *t, struct errbuf *why)
{
    const struct split_choice *c = &t->choice;

    for (int i = 0; i < c->count && !t->r->train && !t->r->test && c->test < 0; i++) {
        char *path = import_path(t->r->path, t->folders[i]);
        size_t pictures = i == c->train ? 0 : entries_pictures(path);
        free(path);
        if (pictures)
            return err_set(
                why, -EINVAL,
                "%s has %s/ and %s/: --test %s takes the latter for the test set, --test "
                "none leaves it out, --train . trains on both",
                t->r->path, t->folders[c->train], t->folders[i], t->folders[i]);
    }
    return 0;
}

/* A training set is a folder of folders: train/ with pictures in it is a class. */
static int train_choose(struct tree *t, struct errbuf *why)
{
    struct split_choice *c = &t->choice;
    const char *given = t->r->train;
    const char **names = xcalloc((size_t)c->count + 1, sizeof(*names));
    struct split_choice deep = {.where = c->where, .names = names, .count = c->count, .train = -1};
    int rc = 0;

    for (int i = 0; i < c->count; i++) {
        bool flat = !given && split_kind_of(t->folders[i]) == SPLIT_TRAIN && !holds_folders(t, i);
        names[i] = flat ? "" : t->folders[i];
    }
    if (!given || strcmp(given, SPLIT_WHOLE) != 0)
        rc = split_choose_train(&deep, given, why);
    c->train = deep.train;
    free(names);
    return rc;
}

/* root/name, or the folder of the same kind that is its only content, as in some archives. */
static char *set_path(const char *root, const char *name)
{
    char *path = import_path(root, name);
    struct entries e = {0};

    if (entries_read(path, &e, NULL) == 0 && e.count == 1 && e.at[0].is_folder &&
        split_kind_of(name) && split_kind_of(e.at[0].name) == split_kind_of(name)) {
        char *inner = import_path(path, e.at[0].name);
        if (entries_have_folders(inner)) {
            free(path);
            path = xstrdup(inner);
        }
        free(inner);
    }
    entries_done(&e);
    return path;
}

/* Is this folder of the tree in neither set? Without a folder of training pictures, all but those
 * named like a test set are in the training set. */
static bool is_left(const struct tree *t, int folder)
{
    const struct split_choice *c = &t->choice;
    bool whole = t->r->train && strcmp(t->r->train, SPLIT_WHOLE) == 0;

    if (folder == c->test || folder == c->train || whole)
        return false;
    return c->train >= 0 || kind_alone(t, folder) > SPLIT_TRAIN;
}

static void left_note(const struct tree *t, struct picture_split *s)
{
    int folder = 0;

    for (size_t i = 0; i < t->entries.count; i++) {
        const struct entry *e = &t->entries.at[i];
        bool left = e->is_folder ? is_left(t, folder) : t->choice.train >= 0;
        if (left)
            import_note_left(t->r->notes, t->r->path, "", e->name, e->is_folder);
        if (e->is_folder && t->choice.train < 0 && (left || folder == t->choice.test))
            entries_add(&s->outside, e->name, true);
        folder += e->is_folder;
    }
}

int picture_split_find(const struct import_request *r, struct picture_split *ret,
                       struct errbuf *why)
{
    struct picture_split s = {0};
    struct tree t = {0};
    int rc = tree_open(r, &t, why);
    const struct split_choice *c = &t.choice;

    if (!rc)
        rc = train_choose(&t, why);
    if (!rc && c->train < 0 && !r->train)
        rc = whole_check(&t, why);
    if (!rc && (c->train >= 0 || r->test))
        rc = split_choose_test(&t.choice, r->test, why);
    if (!rc && c->train >= 0)
        rc = beside_check(&t, why);
    if (!rc) {
        left_note(&t, &s);
        s.train = c->train < 0 ? xstrdup(r->path) : set_path(r->path, t.folders[c->train]);
        s.test_name = c->test < 0 ? NULL : xstrdup(t.folders[c->test]);
        s.test = c->test < 0 ? NULL : set_path(r->path, t.folders[c->test]);
        if (c->test >= 0 && !r->test && split_kind_of(t.folders[c->test]) == SPLIT_VAL)
            import_note(r->notes, "%s is taken for the test set", t.folders[c->test]);
        *ret = s;
    }
    tree_close(&t);
    return rc;
}

void picture_split_done(struct picture_split *s)
{
    free(s->train);
    free(s->test);
    free(s->test_name);
    entries_done(&s->outside);
    *s = (struct picture_split){0};
}

int picture_split_check(const struct import_request *r, const char *root,
                        const struct entries *folders, struct errbuf *why)
{
    const char *name = strcmp(root, r->path) == 0 ? NULL : strrchr(root, '/');

    for (size_t i = 0; !r->train && i < folders->count; i++)
        if (split_kind_of(folders->at[i].name) > SPLIT_TRAIN)
            return err_set(why, -EINVAL,
                           "%s has training pictures in folders called %s: as a class or a domain, "
                           "--train %s trains on them; as a test set they belong in %s beside the "
                           "training set, as %s/CLASS/FILE",
                           root, folders->at[i].name, name ? name + 1 : SPLIT_WHOLE,
                           folders->at[i].name, folders->at[i].name);
    return 0;
}
