#include "proto/cli/import/pair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/alloc.h"
#include "proto/cli/import/split.h"

static struct pair *pair_find(struct pairs *p, const char *word, size_t bytes)
{
    for (int i = 0; i < p->count; i++)
        if (strncmp(p->at[i].word, word, bytes) == 0 && !p->at[i].word[bytes])
            return &p->at[i];
    p->at = xrealloc(p->at, ((size_t)p->count + 1) * sizeof(*p->at));
    p->at[p->count] = (struct pair){.word = xasprintf("%.*s", (int)bytes, word)};
    return &p->at[p->count++];
}

/* Is `zipped` the other with .gz behind it? */
static bool is_zipped(const char *zipped, const char *plain)
{
    size_t bytes = strlen(plain);

    return strncmp(zipped, plain, bytes) == 0 && strcmp(zipped + bytes, ".gz") == 0;
}

/* Entries are sorted, so a file comes before its packed form, which is left out; so is a folder
 * named like a file. */
static void pair_put(struct pairs *p, const struct entry *e, const struct pair_name *parts)
{
    struct pair *pair = pair_find(p, e->name + parts->word_at, parts->word_bytes);
    char **slot = parts->is_labels ? &pair->labels : &pair->images;

    if (!*slot)
        *slot = xstrdup(e->name);
    else if (!e->is_folder && !is_zipped(e->name, *slot) && !pair->twin)
        pair->twin = xstrdup(e->name);
}

static void pair_done(struct pair *pair)
{
    free(pair->word);
    free(pair->images);
    free(pair->labels);
    free(pair->twin);
}

/* X_Train.npy and y_train.npy are one pair. */
static void halves_join(struct pairs *p)
{
    for (int i = 0; i < p->count; i++)
        for (int k = p->count - 1; k > i; k--) {
            struct pair *a = &p->at[i], *b = &p->at[k];
            bool halves = !a->images != !a->labels && !a->images == !b->labels &&
                          !a->labels == !b->images && !a->twin && !b->twin;
            if (!halves || strcasecmp(a->word, b->word) != 0)
                continue;
            char **from = a->images ? &b->labels : &b->images;
            *(a->images ? &a->labels : &a->images) = *from;
            *from = NULL;
            pair_done(b);
            *b = p->at[--p->count];
        }
}

int pairs_read(const struct import_request *r, const struct pair_scheme *scheme, struct pairs *ret,
               struct errbuf *why)
{
    struct pairs p = {0};
    struct pair_name parts;
    int rc = entries_read(r->path, &p.entries, why);

    if (rc)
        return rc;
    for (int folders = 0; folders < 2; folders++)
        for (size_t i = 0; i < p.entries.count; i++)
            if (p.entries.at[i].is_folder == folders && scheme->parse(p.entries.at[i].name, &parts))
                pair_put(&p, &p.entries.at[i], &parts);
    halves_join(&p);
    *ret = p;
    return 0;
}

void pairs_done(struct pairs *p)
{
    for (int i = 0; i < p->count; i++)
        pair_done(&p->at[i]);
    free(p->at);
    entries_done(&p->entries);
    *p = (struct pairs){0};
}

static int pair_check(const struct import_request *r, const struct pair_scheme *scheme,
                      const struct pair *pair, struct errbuf *why)
{
    int rc = 0;

    if (!pair->images || !pair->labels) {
        char *partner = scheme->partner(pair->images ? pair->images : pair->labels);
        rc = err_set(why, -ENOENT, "%s has no %s, which belongs to %s", r->path, partner,
                     pair->images ? pair->images : pair->labels);
        free(partner);
    } else if (pair->twin) {
        rc = err_set(why, -EINVAL,
                     "%s has more than one file for the same images or labels: %s beside %s and %s",
                     r->path, pair->twin, pair->images, pair->labels);
    }
    return rc;
}

static bool is_used(const struct pair *pair, const char *name)
{
    return pair && ((pair->images && strcmp(pair->images, name) == 0) ||
                    (pair->labels && strcmp(pair->labels, name) == 0));
}

static int words_choose(const struct import_request *r, const struct pair_scheme *scheme,
                        struct pairs *p, struct errbuf *why)
{
    const char **words = xcalloc((size_t)p->count + 1, sizeof(*words));
    struct split_choice c = {r->path, words, p->count, -1, -1};
    char list[SPLIT_NAMES_BYTES];

    for (int i = 0; i < p->count; i++)
        words[i] = p->at[i].word;
    int rc = split_choose_train(&c, r->train, why);
    if (!rc && c.train < 0)
        rc = err_set(why, -ENOENT, "%s has no %s; choose with --train NAME from %s", r->path,
                     scheme->train, split_names(&c, SPLIT_NONE, list));
    if (!rc)
        rc = split_choose_test(&c, r->test, why);
    if (!rc) {
        p->train = &p->at[c.train];
        p->test = c.test < 0 ? NULL : &p->at[c.test];
    }
    free(words);
    return rc;
}

int pairs_choose(const struct import_request *r, const struct pair_scheme *scheme, struct pairs *p,
                 struct errbuf *why)
{
    int rc = words_choose(r, scheme, p, why);

    if (!rc)
        rc = pair_check(r, scheme, p->train, why);
    if (!rc && p->test)
        rc = pair_check(r, scheme, p->test, why);
    if (rc)
        return rc;
    if (p->test && !r->test && split_kind_of(p->test->word) == SPLIT_VAL)
        import_note(r->notes, "%s is taken for the test set", p->test->images);
    for (size_t i = 0; i < p->entries.count; i++) {
        const struct entry *e = &p->entries.at[i];
        if (!is_used(p->train, e->name) && !is_used(p->test, e->name))
            import_note_left(r->notes, r->path, "", e->name, e->is_folder);
    }
    return 0;
}

bool pairs_detect(const char *folder, const struct pair_scheme *scheme)
{
    const struct import_request r = {.path = folder};
    struct pairs p = {0};
    bool found = false;

    if (pairs_read(&r, scheme, &p, NULL) != 0)
        return false;
    for (int i = 0; i < p.count; i++)
        found = found || scheme->sure || split_kind_of(p.at[i].word);
    pairs_done(&p);
    return found;
}

char *pairs_test_labels(const struct import_request *r, const struct pair_scheme *scheme)
{
    struct import_request quiet = *r;
    struct pairs p = {0};
    char *path = NULL;

    quiet.notes = NULL;
    if (pairs_read(&quiet, scheme, &p, NULL) == 0 && pairs_choose(&quiet, scheme, &p, NULL) == 0 &&
        p.test)
        path = import_path(r->path, p.test->labels);
    pairs_done(&p);
    return path;
}
