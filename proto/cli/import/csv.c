#include "proto/cli/import/csv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "proto/cli/import/plain_text.h"

/* What stands between the columns of the first line. Spreadsheets write semicolons where the comma
 * is the decimal point. */
static char separator_of(const char *text)
{
    static const char others[] = ";\t";
    const size_t bytes = strcspn(text, "\r\n");

    for (const char *s = others; !memchr(text, ',', bytes) && *s; s++)
        if (memchr(text, *s, bytes))
            return *s;
    return ',';
}

int csv_open(const char *path, const char *wanted, struct csv *ret, struct errbuf *why)
{
    char *text;
    int rc = plain_text_read(path, wanted, &text, why);

    if (rc < 0)
        return rc;
    const size_t bytes = strlen(text), good = text_utf8_bytes(text, bytes);
    if (good < bytes) {
        size_t line = 1;
        for (size_t i = 0; i < good; i++)
            line += text[i] == '\n';
        free(text);
        return err_set(why, -EINVAL, "%s: line %zu is not UTF-8", path, line);
    }
    *ret = (struct csv){text, text, 1, separator_of(text)};
    return 0;
}

void csv_close(struct csv *c)
{
    free(c->text);
    *c = (struct csv){NULL};
}

static bool ends(const char *at)
{
    return *at == '\0' || *at == '\n' || (*at == '\r' && at[1] == '\n');
}

/* Behind the end of the line. */
static char *skip_end(struct csv *c, char *at)
{
    if (*at == '\r')
        at++;
    if (*at == '\n') {
        at++;
        c->line++;
    }
    return at;
}

/* A field in quotes, whose first one is at `at`: it is written to itself without them. Returns what
 * is behind the last quote; NULL: there is none. */
static char *take_quoted(struct csv *c, char *at, char **ret)
{
    char *to = at;

    *ret = to;
    for (at++; *at; at++) {
        if (*at == '"' && at[1] != '"') {
            at++;
            *to = '\0';
            return at;
        }
        if (*at == '"')
            at++;
        c->line += *at == '\n';
        *to++ = *at;
    }
    c->at = at;
    return NULL;
}

/* The next field; returns what is behind it, a separator or an end. */
static char *take_field(struct csv *c, char *at, char **ret)
{
    if (*at == '"')
        return take_quoted(c, at, ret);
    *ret = at;
    while (*at != c->separator && !ends(at))
        at++;
    return at;
}

static void skip_line(struct csv *c, char *at)
{
    while (!ends(at))
        at++;
    c->at = skip_end(c, at);
}

int csv_next(struct csv *c, struct csv_record *ret, struct errbuf *why)
{
    char *at = c->at;

    while (*at && ends(at))
        at = skip_end(c, at);
    *ret = (struct csv_record){.line = c->line};
    c->at = at;
    if (!*at)
        return 0;
    for (;;) {
        char *field;
        if (ret->count == CSV_FIELDS_MAX) {
            skip_line(c, at);
            return err_set(why, -EINVAL, "it has more than %d columns", CSV_FIELDS_MAX);
        }
        at = take_field(c, at, &field);
        if (!at)
            return err_set(why, -EINVAL, "a quote is opened and not closed");
        if (*at != c->separator && !ends(at)) {
            skip_line(c, at);
            return err_set(why, -EINVAL, "column %d goes on behind its closing quote",
                           ret->count + 1);
        }
        ret->fields[ret->count++] = field;
        if (ends(at)) {
            char *next = skip_end(c, at);
            *at = '\0';
            c->at = next;
            return 1;
        }
        *at++ = '\0';
    }
}

char *csv_trim(char *field)
{
    static const char blanks[] = " \t";

    field += strspn(field, blanks);
    for (size_t n = strlen(field); n > 0 && strchr(blanks, field[n - 1]); n--)
        field[n - 1] = '\0';
    return field;
}

void csv_write(const char *text, FILE *out)
{
    const size_t bytes = strlen(text);

    if (strcspn(text, ",\"\r\n") == bytes && (bytes == 0 || (text[0] != ' ' && text[0] != '#'))) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}
