#include "proto/cli/import/split.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "common/text.h"

static const struct {
    const char *word;
    enum split_kind kind;
} words[] = {
    {"train", SPLIT_TRAIN},     {"training", SPLIT_TRAIN}, {"trn", SPLIT_TRAIN},
    {"trainval", SPLIT_TRAIN},  {"val", SPLIT_VAL},        {"valid", SPLIT_VAL},
    {"validate", SPLIT_VAL},    {"validation", SPLIT_VAL}, {"dev", SPLIT_VAL},
    {"development", SPLIT_VAL}, {"eval", SPLIT_VAL},       {"evaluation", SPLIT_VAL},
    {"test", SPLIT_TEST},       {"tests", SPLIT_TEST},     {"testing", SPLIT_TEST},
    {"tst", SPLIT_TEST},        {"holdout", SPLIT_HELD},   {"heldout", SPLIT_HELD},
};

/* Words beside it that mean nothing; also directly behind it ("trainset"). */
static const char *const fillers[] = {"set",  "sets",  "data",     "dataset", "images", "image",
                                      "imgs", "img",   "pictures", "picture", "split",  "folder",
                                      "seg",  "batch", "the",      "my",      NULL};

static bool same(const char *a, size_t bytes, const char *b)
{
    return strlen(b) == bytes && strncasecmp(a, b, bytes) == 0;
}

static bool is_filler(const char *at, size_t bytes)
{
    for (size_t i = 0; fillers[i]; i++)
        if (same(at, bytes, fillers[i]))
            return true;
    return false;
}

/* The kind of one word, or of one with a filler behind it. */
static enum split_kind word_kind(const char *at, size_t bytes)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t n = strlen(words[i].word);
        if (n <= bytes && same(at, n, words[i].word) &&
            (n == bytes || is_filler(at + n, bytes - n)))
            return words[i].kind;
    }
    return SPLIT_NONE;
}

enum split_kind split_kind_of(const char *name)
{
    enum split_kind kind = SPLIT_NONE;

    if (strcasecmp(name, "t10k") == 0)
        return SPLIT_TEST;
    for (const char *at = name; *at;) {
        size_t bytes = 0;
        while (isalpha((unsigned char)at[bytes]) || (unsigned char)at[bytes] >= 0x80)
            bytes++;
        enum split_kind found = word_kind(at, bytes);
        if (bytes && ((found && kind) || (!found && !is_filler(at, bytes))))
            return SPLIT_NONE;
        kind = found ? found : kind;
        at += bytes ? bytes : 1;
    }
    return kind;
}

enum split_kind split_word_in(const char *name)
{
    enum split_kind kind = SPLIT_NONE;

    for (const char *at = name; *at && !kind;) {
        size_t bytes = 0;
        while (isalpha((unsigned char)at[bytes]) || (unsigned char)at[bytes] >= 0x80)
            bytes++;
        kind = word_kind(at, bytes);
        at += bytes ? bytes : 1;
    }
    return kind;
}

/* Does `held` equal the name but for the word of n bytes at `at`? */
static bool is_other_half(const char *name, size_t at, size_t n, const char *held)
{
    if (strncasecmp(name, held, at) != 0)
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t bytes = strlen(words[i].word);
        if (words[i].kind > SPLIT_TRAIN && strncasecmp(held + at, words[i].word, bytes) == 0 &&
            strcasecmp(held + at + bytes, name + at + n) == 0)
            return true;
    }
    return false;
}

bool split_is_pair(const char *train, const char *held)
{
    for (size_t at = 0; train[at]; at++)
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            size_t n = strlen(words[i].word);
            if (words[i].kind == SPLIT_TRAIN && strncasecmp(train + at, words[i].word, n) == 0 &&
                is_other_half(train, at, n, held))
                return true;
        }
    return false;
}

const char *split_names(const struct split_choice *c, enum split_kind kind,
                        char buf[SPLIT_NAMES_BYTES])
{
    const char *list[9];
    int count = 0;

    for (int i = 0; i < c->count && count < 8; i++)
        if (!kind || split_kind_of(c->names[i]) == kind)
            list[count++] = c->names[i];
    list[count] = NULL;
    text_list(list, buf, SPLIT_NAMES_BYTES);
    text_make_printable(buf);
    return buf;
}

/* The exact name, else the only one that differs only in case. */
static int given_find(const struct split_choice *c, const char *option, const char *given, int *ret,
                      struct errbuf *why)
{
    char list[SPLIT_NAMES_BYTES];
    size_t bytes = strlen(given);
    int found = -1, count = 0;

    while (bytes > 1 && given[bytes - 1] == '/') /* as a shell completes it */
        bytes--;
    for (int i = 0; i < c->count; i++) {
        if (!same(given, bytes, c->names[i]))
            continue;
        count++;
        found = i;
        if (strncmp(given, c->names[i], bytes) == 0) {
            *ret = i;
            return 0;
        }
    }
    if (count != 1)
        return err_set(why, -EINVAL, "%s is \"%.60s\", but %s has no such part; it has %s", option,
                       given, c->where, c->count ? split_names(c, SPLIT_NONE, list) : "none");
    *ret = found;
    return 0;
}

/* The only name of the kind; -1: there is none. */
static int kind_find(const struct split_choice *c, enum split_kind kind, const char *option,
                     int *ret, struct errbuf *why)
{
    char list[SPLIT_NAMES_BYTES];
    int count = 0;

    *ret = -1;
    for (int i = c->count; i-- > 0;)
        if (split_kind_of(c->names[i]) == kind) {
            *ret = i;
            count++;
        }
    if (count > 1)
        return err_set(why, -EINVAL, "%s has %d %s sets, %s; %s NAME says which is meant", c->where,
                       count,
                       kind == SPLIT_TRAIN ? "training"
                       : kind == SPLIT_VAL ? "validation"
                                           : "test",
                       split_names(c, kind, list), option);
    return 0;
}

int split_choose_train(struct split_choice *c, const char *given, struct errbuf *why)
{
    return given ? given_find(c, "--train", given, &c->train, why)
                 : kind_find(c, SPLIT_TRAIN, "--train", &c->train, why);
}

int split_choose_test(struct split_choice *c, const char *given, struct errbuf *why)
{
    int rc = 0;

    c->test = -1;
    if (given && strcmp(given, SPLIT_NO) == 0)
        return 0;
    if (given)
        rc = given_find(c, "--test", given, &c->test, why);
    else
        rc = kind_find(c, SPLIT_TEST, "--test", &c->test, why);
    if (!rc && !given && (c->test < 0 || c->test == c->train))
        rc = kind_find(c, SPLIT_VAL, "--test", &c->test, why);
    if (!rc && !given && c->test == c->train)
        c->test = -1;
    if (!rc && c->test >= 0 && c->test == c->train)
        rc = err_set(why, -EINVAL, "%s of %s cannot be both the training and the test set",
                     c->names[c->test], c->where);
    return rc;
}
