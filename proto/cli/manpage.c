#include "proto/cli/manpage.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/jobspec_help.h"
#include "common/manual.h"

/* The name of the page about a command: steppe-dataset-import. */
static void page_name(const char *command, FILE *out)
{
    char *name = xasprintf("steppe-%s", command);

    for (char *blank = strchr(name, ' '); blank; blank = strchr(blank, ' '))
        *blank = '-';
    manual_text(name, out);
    free(name);
}

/* The first word of a group's command, to be freed; NULL: it is of no group. */
static char *group_of(const struct command *c)
{
    const char *blank = strchr(c->name, ' ');

    return blank ? xasprintf("%.*s", (int)(blank - c->name), c->name) : NULL;
}

/* "JOB" in italics; what is no word in capitals as it is. */
static void write_words(const char *words, FILE *out)
{
    while (*words) {
        const size_t other = strcspn(words, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        char *plain = xasprintf("%.*s", (int)other, words);
        const size_t n = strcspn(words + other, " |[]");
        char *stands = xasprintf("%.*s", (int)n, words + other);
        manual_text(plain, out);
        if (n > 0) {
            fputs("\\fI", out);
            manual_text(stands, out);
            fputs("\\fR", out);
        }
        words += other + n;
        free(plain);
        free(stands);
    }
}

static void write_synopsis(const struct command *c, FILE *out)
{
    fputs("\\fBsteppe ", out);
    manual_text(c->name, out);
    fputs("\\fR", out);
    if (*c->words)
        fputc(' ', out);
    write_words(c->words, out);
}

static void write_entries(const struct command *commands, const char *group, FILE *out)
{
    for (const struct command *c = commands; c->name; c++) {
        if (group && !command_in_group(c, group))
            continue;
        fputs(".TP\n", out);
        write_synopsis(c, out);
        fputc('\n', out);
        manual_line(c->summary, out);
    }
}

static void write_head(const char *name, const char *summary, FILE *out)
{
    fputs(".SH NAME\n", out);
    page_name(name, out);
    fputs(" \\- ", out);
    manual_line(summary, out);
    fputs(".SH SYNOPSIS\n", out);
}

static void write_command(const struct command *commands, const struct command *c, FILE *out)
{
    write_head(c->name, c->summary, out);
    write_synopsis(c, out);
    fputs(" [\\fIOPTIONS\\fR]\n", out);
    if (command_first_of(commands, c->name)) {
        fprintf(out, ".br\n\\fBsteppe %s\\fR \\fICOMMAND\\fR\n", c->name);
    }
    fputs(".SH DESCRIPTION\n@text\n", out);
    if (command_first_of(commands, c->name)) {
        fputs(".SH COMMANDS\n", out);
        write_entries(commands, c->name, out);
    }
    fputs(".SH OPTIONS\n", out);
    if (c->options)
        manual_options(c->options, out);
    fputs(".SS Options of every command\n", out);
    manual_options(global_options, out);
}

static void write_group(const struct command *commands, const char *group, FILE *out)
{
    char *summary = xasprintf("commands of steppe: %s", group);

    write_head(group, summary, out);
    fprintf(out, "\\fBsteppe %s\\fR \\fICOMMAND\\fR [\\fIARGUMENTS\\fR] [\\fIOPTIONS\\fR]\n",
            group);
    fputs(".SH DESCRIPTION\n@text\n.SH COMMANDS\n", out);
    write_entries(commands, group, out);
    free(summary);
}

/* All pages. Groups that are no command beside their second words have one of their own. */
static void write_pages(const struct command *commands, FILE *out)
{
    for (const struct command *c = commands; c->name; c++) {
        char *group = group_of(c);
        if (group && command_first_of(commands, group) == c && !command_find(commands, group)) {
            fprintf(out, "@page %s\n", group);
            write_group(commands, group, out);
        }
        fprintf(out, "@page %s\n", c->name);
        write_command(commands, c, out);
        free(group);
    }
}

int manpage_write(const struct command *commands, int count, char **words, FILE *out,
                  struct errbuf *why)
{
    const char *what = count == 1 ? words[0] : "";

    if (strcmp(what, "pages") == 0)
        write_pages(commands, out);
    else if (strcmp(what, "commands") == 0)
        write_entries(commands, NULL, out);
    else if (strcmp(what, "options") == 0)
        manual_options(global_options, out);
    else if (strcmp(what, "job") == 0)
        jobspec_manual(out);
    else
        return err_set(why, EXIT_USAGE, "%s: pages, commands, options or job", MANUAL_ARG);
    return 0;
}
