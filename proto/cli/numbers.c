#include "proto/cli/numbers.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/file.h"
#include "common/text.h"
#include "proto/cli/npy_file.h"

#define TEXT_BYTES_MAX (2u << 30) /* 26 bytes a line for each of SAMPLES_MAX, and room */
#define BLANKS " \t\r\n"

struct reader {
    const char *path;
    struct numbers n;
    size_t room;
    int columns; /* of a line; 0: not seen yet */
};

static int make_room(struct reader *r, struct errbuf *why)
{
    if (r->n.count < r->room)
        return 0;
    if (r->n.count == SAMPLES_MAX)
        return err_set(why, -EFBIG, "%s has more than %u numbers", r->path, SAMPLES_MAX);
    r->room = r->room ? 2 * r->room : 1024;
    double *value = realloc(r->n.value, r->room * sizeof(*value));
    if (value)
        r->n.value = value;
    uint32_t *sample = value ? realloc(r->n.sample, r->room * sizeof(*sample)) : NULL;
    if (!sample)
        return err_set(why, -ENOMEM, "no memory for the numbers of %s", r->path);
    r->n.sample = sample;
    return 0;
}

static char *trim(char *s)
{
    s += strspn(s, BLANKS);
    for (size_t n = strlen(s); n > 0 && strchr(BLANKS, s[n - 1]); n--)
        s[n - 1] = '\0';
    return s;
}

static bool is_number(const char *s, double *ret)
{
    return text_f64(s, -HUGE_VAL, HUGE_VAL, ret);
}

/* "0.25" or "17,0.25". */
static int take_line(struct reader *r, char *line, size_t number, struct errbuf *why)
{
    char *value = line, *sample = strchr(line, ',') ? strsep(&value, ",") : NULL;
    int columns = sample ? 2 : 1, rc = make_room(r, why);
    int64_t id = 0;
    double v;

    if (rc < 0)
        return rc;
    value = trim(value);
    if (!is_number(value, &v))
        return err_set(why, -EINVAL, "%s: line %zu has \"%.40s\", needed is a number", r->path,
                       number, value);
    if (sample && !text_i64(trim(sample), 0, SAMPLES_MAX - 1, &id))
        return err_set(why, -EINVAL, "%s: line %zu has \"%.40s\", needed is the number of a sample",
                       r->path, number, trim(sample));
    if (r->columns && r->columns != columns)
        return err_set(why, -EINVAL, "%s: line %zu has %d columns, the ones before it %d", r->path,
                       number, columns, r->columns);
    r->columns = columns;
    r->n.sample[r->n.count] = (uint32_t)id;
    r->n.value[r->n.count++] = v;
    return 0;
}

/* Names of columns: the first line whose first word is no number. */
static bool is_header(const struct reader *r, const char *line)
{
    char word[40];
    double v;

    if (r->columns)
        return false;
    snprintf(word, sizeof(word), "%.*s", (int)strcspn(line, ","), line);
    return !is_number(trim(word), &v);
}

static int read_lines(struct reader *r, char *text, struct errbuf *why)
{
    bool header = false;
    size_t number = 0;
    int rc = 0;

    for (char *line; rc == 0 && (line = strsep(&text, "\n")) != NULL;) {
        number++;
        line = trim(line);
        if (!*line || *line == '#')
            continue;
        if (!header && is_header(r, line))
            header = true;
        else
            rc = take_line(r, line, number, why);
    }
    return rc;
}

static int read_json(struct reader *r, char *text, struct errbuf *why)
{
    char *end = strrchr(text, ']'), *item;
    int rc = 0;

    if (!end || *trim(end + 1))
        return err_set(why, -EINVAL, "%s begins with [ but is no JSON list of numbers", r->path);
    *end = '\0';
    text = trim(text + 1);
    while (rc == 0 && text && *text && (item = strsep(&text, ",")) != NULL) {
        rc = make_room(r, why);
        if (rc == 0 && !is_number(trim(item), &r->n.value[r->n.count]))
            rc = err_set(why, -EINVAL, "%s: entry %u is \"%.40s\", needed is a number", r->path,
                         r->n.count, trim(item));
        r->n.count += rc == 0;
    }
    return rc;
}

static int read_text(struct reader *r, struct errbuf *why)
{
    char *text = NULL;
    size_t bytes;
    int rc = file_read(r->path, TEXT_BYTES_MAX, &text, &bytes, why);

    if (rc == 0) {
        char *at = text + strspn(text, BLANKS);
        rc = *at == '[' ? read_json(r, at, why) : read_lines(r, at, why);
    }
    free(text);
    return rc;
}

struct pair {
    uint32_t sample;
    double value;
};

static int pair_compare(const void *pa, const void *pb)
{
    const struct pair *a = pa, *b = pb;

    return (a->sample > b->sample) - (a->sample < b->sample);
}

/* Orders the entries by the samples that they name. */
static int sort(struct reader *r, struct errbuf *why)
{
    struct pair *pairs = alloc_bytes(r->n.count, sizeof(*pairs));
    int rc = pairs ? 0 : err_set(why, -ENOMEM, "no memory for %u numbers", r->n.count);

    for (uint32_t i = 0; rc == 0 && i < r->n.count; i++)
        pairs[i] = (struct pair){r->n.sample[i], r->n.value[i]};
    if (rc == 0)
        qsort(pairs, r->n.count, sizeof(*pairs), pair_compare);
    for (uint32_t i = 0; rc == 0 && i < r->n.count; i++) {
        if (i > 0 && pairs[i].sample == pairs[i - 1].sample)
            rc = err_set(why, -EINVAL, "%s has sample %u twice", r->path, pairs[i].sample);
        r->n.sample[i] = pairs[i].sample;
        r->n.value[i] = pairs[i].value;
    }
    free(pairs);
    return rc;
}

static int check_finite(const struct reader *r, struct errbuf *why)
{
    for (uint32_t i = 0; i < r->n.count; i++)
        if (!isfinite(r->n.value[i]))
            return err_set(why, -EINVAL, "%s: entry %u is NaN or infinite", r->path, i);
    return 0;
}

int numbers_read(const char *path, struct numbers *ret, struct errbuf *why)
{
    struct reader r = {.path = path};
    int rc = npy_file_is(path) ? npy_file_numbers(path, &r.n.value, &r.n.count, why)
                               : read_text(&r, why);

    if (rc == 0 && r.n.count == 0)
        rc = err_set(why, -EINVAL, "%s holds no numbers", path);
    if (rc == 0)
        rc = check_finite(&r, why);
    if (rc == 0 && r.columns == 2) {
        rc = sort(&r, why);
    } else {
        free(r.n.sample);
        r.n.sample = NULL;
    }
    if (rc == 0)
        *ret = r.n;
    else
        numbers_done(&r.n);
    return rc;
}

void numbers_done(struct numbers *n)
{
    free(n->sample);
    free(n->value);
    *n = (struct numbers){0};
}
