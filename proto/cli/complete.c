#include "proto/cli/complete.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/completion.h"
#include "common/jobspec_help.h"
#include "proto/address.h"
#include "proto/cli/connection.h"
#include "proto/cli/offers.h"

#define STANDS_BYTES 64
#define GROUP_BYTES 128

/* A command line whose command is known. */
struct line {
    struct cli cli;
    const struct command *command;
    const char *job; /* the first word behind the command; NULL: it is not there yet */
    struct completion at;
};

/* --- commands --- */

/* The second words of a group's commands; "" when there is no such group. */
static const char *group_words(const struct command *commands, const char *group,
                               char buf[GROUP_BYTES])
{
    size_t used = 0;

    buf[0] = '\0';
    for (const struct command *c = commands; c->name; c++)
        if (command_in_group(c, group) && used < GROUP_BYTES)
            used += (size_t)snprintf(buf + used, GROUP_BYTES - used, "%s%s", used ? ", " : "",
                                     c->name + strlen(group) + 1);
    return buf;
}

/* Offers the first words of all commands. */
static void offer_commands(const struct completion *at, const struct command *commands, FILE *out)
{
    char words[GROUP_BYTES];

    for (const struct command *c = commands; c->name; c++) {
        char *first = xasprintf("%.*s", (int)strcspn(c->name, " "), c->name);
        if (!strchr(c->name, ' '))
            completion_offer(at, first, c->summary, out);
        else if (command_first_of(commands, first) == c && !command_find(commands, first))
            completion_offer(at, first, group_words(commands, first, words), out);
        free(first);
    }
}

static void offer_second_words(const struct completion *at, const struct command *commands,
                               const char *group, FILE *out)
{
    for (const struct command *c = commands; c->name; c++)
        if (command_in_group(c, group))
            completion_offer(at, c->name + strlen(group) + 1, c->summary, out);
}

/* --- words and values of a command --- */

/* Offers the keys of a job file, to be given a value: "sam.rho=". */
static void offer_keys(const struct completion *at, FILE *out)
{
    const char *path, *help;
    bool section;

    for (int i = 0; (path = jobspec_key_at(i, &help, &section)); i++) {
        char *word = xasprintf("%s=", path);
        if (!section)
            completion_offer(at, word, help, out);
        free(word);
    }
}

/* Offers what a word may be that --help calls `stands`: of a word in small letters itself. */
static void offer_standing(struct line *l, const char *stands, FILE *out)
{
    if (stands[0] >= 'a' && stands[0] <= 'z')
        completion_offer(&l->at, stands, NULL, out);
    else if (strcmp(stands, "REVISION") == 0)
        offers_of_revisions(&l->cli, &l->at, l->job, out);
    else if (!completion_offer_files(stands, out))
        offers_of_word(&l->cli, &l->at, l->command, stands, out);
}

/* The part of "JOB PATH..." that stands for the index-th word; "" behind the last. */
static const char *standing_at(const char *words, int index)
{
    for (; index > 0 && strchr(words, ' '); index--)
        words = strchr(words, ' ') + 1;
    return index == 0 || strstr(words, "...") ? words : "";
}

/* Offers what the next word behind the command may be: one of "PATH|glyphs", perhaps in brackets.
 */
static void offer_word(struct line *l, FILE *out)
{
    const char *words = standing_at(l->command->words, l->at.before);
    char stands[STANDS_BYTES];

    words += strspn(words, "[");
    while (*words && *words != ' ' && *words != ']') {
        const size_t n = strcspn(words, "|] ");
        snprintf(stands, sizeof(stands), "%.*s", (int)n, words);
        offer_standing(l, stands, out);
        words += words[n] == '|' ? n + 1 : n;
    }
}

static void offer_value(struct line *l, FILE *out)
{
    const struct option *o = l->at.option;

    if (completion_offer_value(&l->at, out))
        return;
    if (o->type == OPT_MANY)
        offer_keys(&l->at, out);
    else if (strcmp(o->name, "class") == 0)
        offers_of_classes(&l->cli, &l->at, l->job, out);
    else if (o->arg)
        offers_of_word(&l->cli, &l->at, l->command, o->arg, out);
}

/* --- the line --- */

/* The value of --name among the words before the last, or NULL. */
static const char *given(const char *name, int count, char **words)
{
    const size_t n = strlen(name);
    const char *value = NULL;

    for (int i = 0; i < count - 1; i++) {
        if (strncmp(words[i], name, n) != 0)
            continue;
        if (words[i][n] == '=')
            value = words[i] + n + 1;
        else if (!words[i][n] && i + 2 < count)
            value = words[i + 1];
    }
    return value;
}

/* Answers for a line whose command is words[0] or words[0] and words[1]. */
static void complete_command(const struct command *commands, const struct args *args, int count,
                             char **words, FILE *out)
{
    struct line l = {.cli = {.args = args}};
    struct option table[COMMAND_OPTIONS_MAX];
    char group[GROUP_BYTES];
    int named = 1;

    if (*group_words(commands, words[0], group) && count == 2) {
        completion_look(global_options, 1, words + 1, &l.at);
        offer_second_words(&l.at, commands, words[0], out);
    }
    l.command = command_find(commands, words[0]);
    if (*group && count > 2) {
        char *both = xasprintf("%s %s", words[0], words[1]);
        const struct command *second = command_find(commands, both);
        l.command = second ? second : l.command;
        named = second ? 2 : 1;
        free(both);
    }
    if (!l.command)
        return;
    command_options(l.command, table);
    completion_look(table, count - named, words + named, &l.at);
    l.job = l.at.before > 0 ? words[named + l.at.first] : NULL;
    if (l.at.option)
        offer_value(&l, out);
    else if (l.at.dashed)
        completion_offer_options(&l.at, table, out);
    else
        offer_word(&l, out);
    connection_close(&l.cli);
}

void complete_words(const struct command *commands, struct args *args, int count, char **words,
                    FILE *out)
{
    const char *server = given("--server", count, words), *key = given("--key", count, words);
    char *own = NULL;
    struct completion at;

    if (count == 0)
        return;
    args->server = server ? server : args->server;
    args->key = key ? key : args->key;
    if (!args->server)
        args->server = own = address_default();
    completion_look(global_options, count, words, &at);
    if (at.before > 0 && strcmp(words[at.first], "help") == 0) {
        count -= at.first + 1;
        words += at.first + 1;
        completion_look(global_options, count, words, &at);
    }
    if (at.before > 0)
        complete_command(commands, args, count - at.first, words + at.first, out);
    else if (at.option)
        completion_offer_value(&at, out);
    else if (at.dashed)
        completion_offer_options(&at, global_options, out);
    else
        offer_commands(&at, commands, out);
    free(own);
}
