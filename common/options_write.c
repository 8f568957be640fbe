/* The reverse of options_file: what it prints is read back to the same values. */
#include "common/options.h"

#include <inttypes.h>
#include <string.h>

#include "common/text.h"

#define COLUMNS 100

static size_t field_bytes(const struct option *o)
{
    static const size_t bytes[] = {
        [OPT_STR] = sizeof(const char *),
        [OPT_INT] = sizeof(int64_t),
        [OPT_BYTES] = sizeof(int64_t),
        [OPT_F64] = sizeof(double),
        [OPT_FLAG] = sizeof(bool),
        [OPT_ENUM] = sizeof(int),
        [OPT_MANY] = sizeof(struct option_values),
    };
    return bytes[o->type];
}

/* In the largest unit that leaves a whole number. */
static void print_bytes(int64_t bytes, FILE *out)
{
    static const char units[] = "KMGT";
    int unit = -1;

    for (; bytes && bytes % 1024 == 0 && units[unit + 1]; unit++)
        bytes /= 1024;
    fprintf(out, "%" PRId64 "%.*s", bytes, unit >= 0, unit >= 0 ? &units[unit] : "");
}

/* The value of the field, or the word for it where the program has none yet. */
static void print_value(const struct option *o, const void *target, FILE *out)
{
    const char *field = (const char *)target + o->offset, *text;
    char number[TEXT_F64_BYTES];
    int64_t i64;
    double f64;
    int index;

    switch (o->type) {
    case OPT_STR:
        memcpy(&text, field, sizeof(text));
        fputs(text ? text : o->arg, out);
        break;
    case OPT_INT:
    case OPT_BYTES:
        memcpy(&i64, field, sizeof(i64));
        if (o->min > 0 && i64 < o->min)
            fputs(o->arg, out);
        else if (o->type == OPT_BYTES)
            print_bytes(i64, out);
        else
            fprintf(out, "%" PRId64, i64);
        break;
    case OPT_F64:
        memcpy(&f64, field, sizeof(f64));
        fputs(text_of_f64(f64, number), out);
        break;
    case OPT_FLAG:
        fputs(*(const bool *)field ? "true" : "false", out);
        break;
    case OPT_ENUM:
        memcpy(&index, field, sizeof(index));
        fputs(o->names[index], out);
        break;
    case OPT_MANY: /* of commands only, which read no file */
        break;
    }
}

/* A comment, broken between words. */
static void print_comment(const char *text, FILE *out)
{
    size_t column = 1;

    fputc('#', out);
    while (*text) {
        const size_t word = strcspn(text, " ");
        if (column > 1 && column + 1 + word > COLUMNS) {
            fputs("\n#", out);
            column = 1;
        }
        fprintf(out, " %.*s", (int)word, text);
        column += 1 + word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

void options_write(const struct option *table, const void *target, const void *initial, FILE *out)
{
    char range[OPTION_RANGE_BYTES];

    for (const struct option *o = table; o->name; o++) {
        if (o->typed || o->type == OPT_MANY)
            continue;
        const bool same = memcmp((const char *)target + o->offset,
                                 (const char *)initial + o->offset, field_bytes(o)) == 0;
        fputc('\n', out);
        print_comment(o->help, out);
        if (*option_range(o, range) && o->type != OPT_FLAG)
            fprintf(out, "# %s\n", range);
        fprintf(out, "%s%s = ", same ? "#" : "", o->name);
        print_value(o, target, out);
        fputc('\n', out);
    }
}
