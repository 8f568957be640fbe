#include "common/completion.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"

/* The option that a word like --by or --by=adm names; *ret_bytes: of --by. */
static const struct option *named(const struct option *table, const char *word, size_t *ret_bytes)
{
    if (strncmp(word, "--", 2) != 0)
        return NULL;
    *ret_bytes = strcspn(word, "=");
    return option_find(table, word + 2, *ret_bytes - 2);
}

/* Does the word name an option whose value is the next word? */
static const struct option *awaits_value(const struct option *table, const char *word)
{
    size_t bytes = 0;
    const struct option *o = named(table, word, &bytes);

    return o && o->type != OPT_FLAG && word[bytes] == '\0' ? o : NULL;
}

void completion_look(const struct option *table, int count, char *const *words,
                     struct completion *ret)
{
    const int last = count - 1;
    bool only_words = false;
    size_t bytes = 0;

    *ret = (struct completion){.word = words[last], .first = last};
    for (int i = 0; i < last; i++) {
        const struct option *o = only_words ? NULL : awaits_value(table, words[i]);
        if (!only_words && strcmp(words[i], "--") == 0)
            only_words = true;
        else if (o && i + 1 == last)
            ret->option = o;
        else if (o)
            i++;
        else if (only_words || words[i][0] != '-' || !words[i][1]) {
            if (ret->before++ == 0)
                ret->first = i;
        }
    }
    if (ret->option || only_words)
        return;
    ret->dashed = ret->word[0] == '-';
    const struct option *o = named(table, ret->word, &bytes);
    if (o && o->type != OPT_FLAG && ret->word[bytes] == '=') {
        ret->option = o;
        ret->lead = bytes + 1;
    }
}

void completion_offer(const struct completion *c, const char *candidate, const char *about,
                      FILE *out)
{
    const char *written = c->word + c->lead;

    if (strncmp(candidate, written, strlen(written)) != 0 || !text_is_visible(candidate))
        return;
    char *shown = xasprintf("%s", about ? about : "");
    text_make_printable(shown);
    fprintf(out, "%.*s%s\t%s\n", (int)c->lead, c->word, candidate, shown);
    free(shown);
}

void completion_offer_options(const struct completion *c, const struct option *table, FILE *out)
{
    for (const struct option *o = table; o->name; o++) {
        char *name = xasprintf("--%s", o->name);
        completion_offer(c, name, o->help, out);
        free(name);
    }
}

bool completion_offer_files(const char *stands, FILE *out)
{
    static const char *const files[] = {"FILE", "PATH", "OUT", "PREFIX"};

    if (strcmp(stands, "DIR") == 0) {
        fputs(":folders\n", out);
        return true;
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (strncmp(stands, files[i], strlen(files[i])) == 0) {
            fputs(":files\n", out);
            return true;
        }
    }
    return false;
}

bool completion_offer_value(const struct completion *c, FILE *out)
{
    const struct option *o = c->option;

    if (o->type == OPT_STR && o->arg)
        return completion_offer_files(o->arg, out);
    if (o->type != OPT_ENUM)
        return false;
    for (int i = 0; o->names[i]; i++)
        completion_offer(c, o->names[i], NULL, out);
    return true;
}

bool completion_asked(const struct option *table, int argc, char **argv, FILE *out)
{
    struct completion c;

    if (argc < 2 || strcmp(argv[1], COMPLETION_ARG) != 0)
        return false;
    if (argc == 2)
        return true;
    completion_look(table, argc - 2, argv + 2, &c);
    if (c.option)
        completion_offer_value(&c, out);
    else
        completion_offer_options(&c, table, out);
    return true;
}
