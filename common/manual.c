#include "common/manual.h"

#include <string.h>

/* What the language would take for something else, and how the character itself is written. */
static const struct {
    char character;
    const char *written;
} specials[] = {
    {'\\', "\\e"}, {'-', "\\-"}, {'\'', "\\(aq"}, {'`', "\\(ga"}, {'^', "\\(ha"}, {'~', "\\(ti"},
};

static const char *written(char c)
{
    for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++)
        if (specials[i].character == c)
            return specials[i].written;
    return NULL;
}

void manual_text(const char *text, FILE *out)
{
    if (*text == '.')
        fputs("\\&", out); /* else it is a request */
    for (; *text; text++) {
        const char *as = written(*text);
        if (as)
            fputs(as, out);
        else
            fputc(*text, out);
    }
}

void manual_line(const char *text, FILE *out)
{
    manual_text(text, out);
    fputc('\n', out);
}

/* What an option means, and its limits, below the line that names it. */
static void meaning(const struct option *o, FILE *out)
{
    char limits[OPTION_LIMITS_BYTES];

    manual_line(o->help ? o->help : "", out);
    if (*option_limits(o, limits)) {
        fputc('(', out);
        manual_text(limits, out);
        fputs(")\n", out);
    }
}

static void bold(const char *text, FILE *out)
{
    fputs("\\fB", out);
    manual_text(text, out);
    fputs("\\fR", out);
}

static void argument(const char *text, FILE *out)
{
    fputs("\\fI", out);
    manual_text(text, out);
    fputs("\\fR", out);
}

void manual_options(const struct option *table, FILE *out)
{
    for (const struct option *o = table; o->name; o++) {
        fputs(".TP\n", out);
        if (o->letter)
            fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
        fputs("\\fB\\-\\-", out);
        manual_text(o->name, out);
        fputs("\\fR", out);
        if (o->arg) {
            fputc(' ', out);
            argument(o->arg, out);
        }
        fputc('\n', out);
        meaning(o, out);
    }
}

void manual_settings(const struct option *table, FILE *out)
{
    for (const struct option *o = table; o->name; o++) {
        if (o->typed)
            continue;
        fputs(".TP\n", out);
        bold(o->name, out);
        fputs(" = ", out);
        argument(o->type == OPT_FLAG ? "true|false" : o->arg ? o->arg : "VALUE", out);
        fputc('\n', out);
        meaning(o, out);
    }
}

bool manual_asked(const struct option *table, int argc, char **argv, FILE *out)
{
    static const struct {
        const char *what;
        void (*write)(const struct option *table, FILE *out);
    } parts[] = {{"options", manual_options}, {"settings", manual_settings}};

    if (argc != 3 || strcmp(argv[1], MANUAL_ARG) != 0)
        return false;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcmp(argv[2], parts[i].what) == 0) {
            parts[i].write(table, out);
            return true;
        }
    }
    return false;
}
