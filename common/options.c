/* One function judges a value, whether it comes from the table, a file or the command line. The
 * three readers differ only in how they split their input and what they call the option. */
#include "common/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/text.h"

#define FILE_BYTES_MAX (64u << 10)
#define SHOWN_MAX 60 /* characters of a value in a sentence */
/* What some editors put before a text in UTF-8. */
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static const char *const bool_names[] = {"false", "true", NULL};

/* Text into which values of a configuration file point. It is used until the process ends, so
 * nothing frees it; the list only keeps leak checkers from calling it lost. */
struct kept {
    struct kept *next;
    char text[];
};
static struct kept *kept_texts;

static const char *keep_text(const char *s)
{
    size_t bytes = strlen(s) + 1;
    struct kept *k = xmalloc(sizeof(*k) + bytes);

    memcpy(k->text, s, bytes);
    k->next = kept_texts;
    kept_texts = k;
    return k->text;
}

static void int_range(const struct option *o, int64_t *min, int64_t *max)
{
    bool any = o->min == 0 && o->max == 0;

    *min = any ? INT64_MIN : o->min;
    *max = any ? INT64_MAX : o->max;
}

static void f64_range(const struct option *o, double *min, double *max)
{
    bool any = o->fmin == 0 && o->fmax == 0;

    *min = any ? -HUGE_VAL : o->fmin;
    *max = any ? HUGE_VAL : o->fmax;
}

const char *option_range(const struct option *o, char buf[OPTION_RANGE_BYTES])
{
    const size_t bytes = OPTION_RANGE_BYTES;
    char low[TEXT_F64_BYTES], high[TEXT_F64_BYTES];

    buf[0] = '\0';
    switch (o->type) {
    case OPT_INT:
        if (o->min == 0 && o->max == 0)
            snprintf(buf, bytes, "a whole number");
        else if (o->max == INT64_MAX)
            snprintf(buf, bytes, "%lld or more", (long long)o->min);
        else
            snprintf(buf, bytes, "%lld to %lld", (long long)o->min, (long long)o->max);
        break;
    case OPT_BYTES:
        snprintf(buf, bytes, "%s or more, as 4096, 512K, 300M or 4G", text_of_bytes(o->min, low));
        break;
    case OPT_F64:
        if (o->fmin == 0 && o->fmax == 0)
            snprintf(buf, bytes, "a number");
        else
            snprintf(buf, bytes, "%s to %s", text_of_f64(o->fmin, low), text_of_f64(o->fmax, high));
        break;
    case OPT_ENUM:
        text_list(o->names, buf, bytes);
        break;
    case OPT_FLAG:
        snprintf(buf, bytes, "true or false");
        break;
    case OPT_STR:
        break;
    case OPT_MANY:
        snprintf(buf, bytes, "at most %d of them", OPTION_VALUES_MAX);
        break;
    }
    return buf;
}

static bool add_value(struct option_values *values, const char *value)
{
    if (values->count == OPTION_VALUES_MAX)
        return false;
    values->at[values->count++] = value;
    return true;
}

/* Reads value into the option's field; false when it is not allowed. */
static bool set_field(const struct option *o, const char *value, void *target)
{
    char *field = (char *)target + o->offset;
    double f64, fmin, fmax;
    int64_t i64, min, max;
    int index;

    switch (o->type) {
    case OPT_STR:
        memcpy(field, &value, sizeof(value));
        return true;
    case OPT_INT:
        int_range(o, &min, &max);
        if (!text_i64(value, min, max, &i64))
            return false;
        memcpy(field, &i64, sizeof(i64));
        return true;
    case OPT_BYTES:
        int_range(o, &min, &max);
        if (!text_bytes(value, min, max, &i64))
            return false;
        memcpy(field, &i64, sizeof(i64));
        return true;
    case OPT_F64:
        f64_range(o, &fmin, &fmax);
        if (!text_f64(value, fmin, fmax, &f64))
            return false;
        memcpy(field, &f64, sizeof(f64));
        return true;
    case OPT_FLAG:
        index = text_index(value, bool_names);
        if (index >= 0)
            *(bool *)field = index == 1;
        return index >= 0;
    case OPT_ENUM:
        index = text_index(value, o->names);
        if (index >= 0)
            memcpy(field, &index, sizeof(index));
        return index >= 0;
    case OPT_MANY:
        return add_value((struct option_values *)field, value);
    }
    return false;
}

/* As set_field, with a sentence. dashes is "--" or "", as the person wrote it. */
static int set_option(const struct option *o, const char *dashes, const char *value, void *target,
                      struct errbuf *why)
{
    char range[OPTION_RANGE_BYTES];

    if ((o->type == OPT_STR || o->type == OPT_MANY) && !*value)
        return err_set(why, -EINVAL, "%s%s is empty", dashes, o->name);
    if (set_field(o, value, target))
        return 0;
    const char *near = o->type == OPT_ENUM ? text_nearest(value, o->names) : NULL;
    return err_set(why, -EINVAL, "%s%s is \"%.*s\", allowed is %s%s%s%s", dashes, o->name,
                   SHOWN_MAX, value, option_range(o, range), near ? "; did you mean \"" : "",
                   near ? near : "", near ? "\"?" : "");
}

const struct option *option_find(const struct option *table, const char *name, size_t bytes)
{
    for (const struct option *o = table; o->name; o++)
        if (strlen(o->name) == bytes && memcmp(o->name, name, bytes) == 0)
            return o;
    return NULL;
}

/* The flag of "-0". */
static const struct option *find_letter(const struct option *table, const char *word)
{
    if (word[0] != '-' || !word[1] || word[2])
        return NULL;
    for (const struct option *o = table; o->name; o++)
        if (o->letter == word[1])
            return o;
    return NULL;
}

/* What people try for one another: where one word of a group is no option, another one is meant. */
#define ALIKE_MAX 10
static const char *const alike[][ALIKE_MAX] = {
    {"limit", "hardest", "number", "count", "rows", "head", "top", "max", "n"},
    {"out", "output", "file", "save", "to"},
    {"by", "measure", "metric", "sort", "order", "rank"},
    {"follow", "watch", "tail"},
    {"set", "override", "param", "config"},
    {"threads", "jobs", "cores", "cpus", "workers"},
    {"listen", "server", "connect", "address", "bind", "host", "url"},
    {"state", "dir", "folder", "path"},
};

/* The first of the names that is meant by a word of the same group; NULL: none is. */
static const char *meant_by(const char *word, const char *const *names)
{
    for (size_t g = 0; g < sizeof(alike) / sizeof(alike[0]); g++) {
        bool asked = false;
        for (int i = 0; i < ALIKE_MAX && alike[g][i]; i++)
            asked = asked || strcmp(alike[g][i], word) == 0;
        for (int i = 0; asked && i < ALIKE_MAX && alike[g][i]; i++) {
            int index = text_index(alike[g][i], names);
            if (index >= 0)
                return names[index];
        }
    }
    return NULL;
}

static size_t count_options(const struct option *table)
{
    size_t count = 0;

    while (table[count].name)
        count++;
    return count;
}

static int refuse_unknown(const struct option *table, const char *dashes, const char *name,
                          size_t bytes, struct errbuf *why)
{
    const size_t count = count_options(table);
    const char **names = xcalloc(count + 1, sizeof(*names));
    for (size_t i = 0; i < count; i++)
        names[i] = table[i].name;
    char *unknown = xasprintf("%.*s", (int)(bytes > SHOWN_MAX ? SHOWN_MAX : bytes), name);
    const char *near = text_nearest(unknown, names);
    near = near ? near : meant_by(unknown, names);
    int rc = err_set(why, -EINVAL, "there is no option %s%s%s%s%s%s", dashes, unknown,
                     near ? "; did you mean " : "", near ? dashes : "", near ? near : "",
                     near ? "?" : "");
    free(unknown);
    free(names);
    return rc;
}

int options_defaults(const struct option *table, void *target, struct errbuf *why)
{
    int rc = 0;

    for (const struct option *o = table; o->name && rc == 0; o++)
        if (o->def)
            rc = set_option(o, "", o->def, target, why);
    return rc;
}

static char *trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    size_t n = strlen(s);
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    s[n] = '\0';
    return s;
}

static void cut_comment(char *line)
{
    for (char *p = line; *p; p++) {
        if (*p == '#' && (p == line || isspace((unsigned char)p[-1]))) {
            *p = '\0';
            return;
        }
    }
}

/* One line of a file. first_lines has an entry an option: the line that gave it first, 0 for none.
 */
static int read_line(const struct option *table, char *line, int number, int *first_lines,
                     void *target, struct errbuf *why)
{
    cut_comment(line);
    line = trim(line);
    if (!*line)
        return 0;
    char *equals = strchr(line, '=');
    if (!equals || equals == line)
        return err_set(why, -EINVAL, "\"%.*s\" is not \"name = value\"", SHOWN_MAX, line);
    *equals = '\0';
    const char *name = trim(line), *value = trim(equals + 1);
    const struct option *o = option_find(table, name, strlen(name));
    if (!o)
        return refuse_unknown(table, "", name, strlen(name), why);
    const size_t bytes = strlen(value);
    if (bytes > 1 && (value[0] == '"' || value[0] == '\'') && value[bytes - 1] == value[0])
        return err_set(why, -EINVAL, "%s is %.*s, allowed is a value without quotes around it",
                       name, SHOWN_MAX, value);
    if (o->type == OPT_STR && strncmp(value, "~/", 2) == 0)
        return err_set(why, -EINVAL, "%s is %.*s, allowed is a whole path: only shells know ~",
                       name, SHOWN_MAX, value);
    if (o->typed)
        return err_set(why, -EINVAL, "%s belongs on the command line, not into a file", name);
    int *first = &first_lines[o - table];
    if (*first && o->type != OPT_MANY)
        return err_set(why, -EINVAL, "%s is given twice, first in line %d", name, *first);
    *first = number;
    return set_option(o, "", o->type == OPT_STR ? keep_text(value) : value, target, why);
}

static int count_lines(const char *text)
{
    int lines = 1;

    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

int options_file(const struct option *table, const char *path, void *target, struct errbuf *why)
{
    char *text = NULL;
    size_t bytes = 0;
    int number = 0;

    int rc = file_read(path, FILE_BYTES_MAX, &text, &bytes, why);
    if (rc != 0)
        return rc;
    int *first_lines = xcalloc(count_options(table) + 1, sizeof(*first_lines));
    if (strlen(text) != bytes)
        rc = err_set(why, -EINVAL, "%s line %d is not text: it holds a NUL byte", path,
                     count_lines(text));
    char *line, *rest = text;
    if (strncmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
        rest += strlen(BYTE_ORDER_MARK);
    while (rc == 0 && (line = strsep(&rest, "\n")) != NULL) {
        number++;
        rc = read_line(table, line, number, first_lines, target, why);
        if (rc != 0)
            err_prefix(why, rc, "%s line %d", path, number);
    }
    free(first_lines);
    free(text);
    return rc;
}

/* The line of the text that sets the option; 0: none does. Changes the text. */
static int line_of(char *text, const char *name)
{
    char *line;
    int number = 0;

    while ((line = strsep(&text, "\n")) != NULL) {
        number++;
        char *equals = strchr(line, '=');
        if (equals)
            *equals = '\0';
        if (equals && strcmp(trim(line), name) == 0)
            return number;
    }
    return 0;
}

void options_blame(const char *config, int argc, char **argv, struct errbuf *why)
{
    const size_t n = strncmp(why->text, "--", 2) == 0 ? strcspn(why->text + 2, " :") : 0;
    char name[64], *text = NULL;
    struct errbuf unused;
    size_t bytes;

    if (!config || n == 0 || n >= sizeof(name))
        return;
    snprintf(name, sizeof(name), "%.*s", (int)n, why->text + 2);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0 && strncmp(argv[i] + 2, name, n) == 0 &&
            (argv[i][2 + n] == '\0' || argv[i][2 + n] == '='))
            return;
    }
    if (file_read(config, FILE_BYTES_MAX, &text, &bytes, &unused) == 0) {
        const int line = line_of(text, name);
        if (line > 0)
            err_prefix(why, 0, "%s line %d", config, line);
    }
    free(text);
}

/* Reads argv[*at], which begins with "--", and its value; *at is left on the last word used. */
static int read_option(const struct option *table, int argc, char **argv, int *at, void *target,
                       struct errbuf *why)
{
    const char *name = strcmp(argv[*at], "-h") == 0 ? "help" : argv[*at] + 2;
    const char *equals = strchr(name, '=');
    size_t bytes = equals ? (size_t)(equals - name) : strlen(name);
    const char *value = equals ? equals + 1 : NULL;
    char range[OPTION_RANGE_BYTES];

    const struct option *o = option_find(table, name, bytes);
    if (!o)
        return refuse_unknown(table, "--", name, bytes, why);
    if (o->type == OPT_FLAG) {
        if (value)
            return err_set(why, -EINVAL, "--%s takes no value, but was given \"%.*s\"", o->name,
                           SHOWN_MAX, value);
        return set_option(o, "--", "true", target, why);
    }
    if (!value && *at + 1 < argc && strncmp(argv[*at + 1], "--", 2) != 0)
        value = argv[++*at];
    if (!value) {
        option_range(o, range);
        return err_set(why, -EINVAL, "--%s needs a value%s%s", o->name,
                       *range ? ", allowed is " : "", range);
    }
    return set_option(o, "--", value, target, why);
}

/* "-" alone is a positional (standard input by custom), and so is a negative number. */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && !isdigit((unsigned char)word[1]);
}

int options_args(const struct option *table, int argc, char **argv, void *target, char **rest,
                 int *ret_rest, struct errbuf *why)
{
    int rest_count = 0, rc = 0;
    bool only_rest = false;

    for (int i = 1; i < argc && rc == 0; i++) {
        if (!only_rest && strcmp(argv[i], "--") == 0)
            only_rest = true;
        else if (!only_rest && (strncmp(argv[i], "--", 2) == 0 || strcmp(argv[i], "-h") == 0))
            rc = read_option(table, argc, argv, &i, target, why);
        else if (!only_rest && find_letter(table, argv[i]))
            rc = set_option(find_letter(table, argv[i]), "-", "true", target, why);
        else if (!only_rest && is_option(argv[i]))
            rc = err_set(why, -EINVAL, "there is no option %.*s; options begin with --", SHOWN_MAX,
                         argv[i]);
        else if (rest)
            rest[rest_count++] = argv[i];
        else
            rc = err_set(why, -EINVAL, "\"%.*s\" is not expected here; options begin with --",
                         SHOWN_MAX, argv[i]);
    }
    if (rc == 0 && ret_rest)
        *ret_rest = rest_count;
    return rc;
}

static int label_width(const struct option *o)
{
    return (int)(strlen(o->name) + (o->arg ? 1 + strlen(o->arg) : 0));
}

int options_read(const struct option *table, int argc, char **argv, void *target,
                 const char *const *config, struct errbuf *why)
{
    int rc = options_args(table, argc, argv, target, NULL, NULL, why);

    if (rc == 0 && *config)
        rc = options_file(table, *config, target, why);
    if (rc == 0 && *config)
        rc = options_args(table, argc, argv, target, NULL, NULL, why);
    return rc;
}

const char *option_limits(const struct option *o, char buf[OPTION_LIMITS_BYTES])
{
    char range[OPTION_RANGE_BYTES];

    option_range(o, range);
    bool has_range = *range && o->type != OPT_FLAG && o->type != OPT_MANY;
    bool has_default = o->def && *o->def && o->type != OPT_FLAG;
    snprintf(buf, OPTION_LIMITS_BYTES, "%s%s%s%s", has_range ? range : "",
             has_range && has_default ? "; " : "", has_default ? "default " : "",
             has_default ? o->def : "");
    return buf;
}

void options_help(const struct option *table, FILE *out)
{
    char limits[OPTION_LIMITS_BYTES];
    int width = 0;

    for (const struct option *o = table; o->name; o++)
        if (label_width(o) > width)
            width = label_width(o);
    for (const struct option *o = table; o->name; o++) {
        option_limits(o, limits);
        fprintf(out, "  --%s%s%s%*s  %s%s%s%s\n", o->name, o->arg ? " " : "", o->arg ? o->arg : "",
                width - label_width(o), "", o->help ? o->help : "", *limits ? " (" : "", limits,
                *limits ? ")" : "");
    }
}
