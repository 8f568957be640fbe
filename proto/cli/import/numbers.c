#include "proto/cli/import/numbers.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/text.h"
#include "proto/cli/import/npy_file.h"
#include "proto/cli/import/plain_text.h"

#define BLANKS " \t\r\n"
#define CELLS_MAX 2 /* of a line: "sample,score" */
#define NAME_BYTES 40

struct entry {
    uint32_t sample, at; /* at: its line, or its place in a list */
    double value;
};

struct reader {
    const char *path;
    const struct numbers_ask *ask;
    struct entry *entries; /* [room] */
    uint32_t count, room;
    const char *at_word; /* what `at` counts */
    bool named;
    char header[NAME_BYTES]; /* of one column; "": no name */
};

static const struct kind {
    const char *what, *wanted, *header;
    unsigned npy_kinds;
    bool two_columns;
} kinds[] = {
    [NUMBERS_SCORES] = {"scores",
                        "text with a number or sample,score a line, a JSON list or a .npy file",
                        "the name of a column", NPY_INTEGERS | NPY_FLOATS, true},
    [NUMBERS_SAMPLES] = {"samples", "text with a sample a line, a JSON list or a .npy file",
                         "sample, id or index", NPY_INTEGERS | NPY_BOOLS, false},
    [NUMBERS_LABELS] = {"labels",
                        "IDX labels, text with a label a line, a JSON list or a .npy file",
                        "the name of a column", NPY_INTEGERS, false},
};

/* --- one value --- */

/* "the number of a sample, 0 to 399 (dataset g)". */
static const char *needed(const struct reader *r, enum numbers_kind kind, char *buf, size_t bytes)
{
    if (kind == NUMBERS_SCORES)
        snprintf(buf, bytes, "a number");
    else if (kind == NUMBERS_LABELS)
        snprintf(buf, bytes, "a label, 0 to %d", CLASSES_MAX - 1);
    else
        snprintf(buf, bytes, "the number of a sample, 0 to %u (%.300s)", r->ask->samples - 1,
                 r->ask->dataset);
    return buf;
}

static int refuse(const struct reader *r, uint32_t at, const char *found, enum numbers_kind kind,
                  struct errbuf *why)
{
    char text[400];

    needed(r, kind, text, sizeof(text));
    if (!*found)
        return err_set(why, -EINVAL, "%s: %s %u is empty, expected %s", r->path, r->at_word, at,
                       text);
    return err_set(why, -EINVAL, "%s: %s %u has \"%.40s\", expected %s", r->path, r->at_word, at,
                   found, text);
}

static int add(struct reader *r, struct entry e, struct errbuf *why)
{
    if (r->count == r->room) {
        if (r->count == SAMPLES_MAX)
            return err_set(why, -EFBIG, "%s has more than %u numbers", r->path, SAMPLES_MAX);
        uint32_t room = r->room ? 2 * r->room : 1024;
        struct entry *entries = realloc(r->entries, room * sizeof(*entries));
        if (!entries)
            return err_set(why, -ENOMEM, "no memory for the numbers of %s", r->path);
        r->entries = entries;
        r->room = room;
    }
    r->entries[r->count++] = e;
    return 0;
}

/* sample is NULL when the place in the file tells it. */
static int take(struct reader *r, uint32_t at, const char *sample, const char *value,
                struct errbuf *why)
{
    enum numbers_kind kind = r->ask->kind;
    struct entry e = {.sample = r->count, .at = at};
    int64_t number = 0, id = 0;

    if (sample && !text_i64(sample, 0, r->ask->samples - 1, &id))
        return refuse(r, at, sample, NUMBERS_SAMPLES, why);
    if (kind == NUMBERS_SCORES
            ? !text_f64(value, -HUGE_VAL, HUGE_VAL, &e.value)
            : !text_i64(value, 0, kind == NUMBERS_LABELS ? CLASSES_MAX - 1 : r->ask->samples - 1,
                        &number))
        return refuse(r, at, value, kind, why);
    if (kind == NUMBERS_LABELS)
        e.value = (double)number;
    if (sample || kind == NUMBERS_SAMPLES)
        e.sample = (uint32_t)(sample ? id : number);
    return add(r, e, why);
}

/* --- lines --- */

static char *trim(char *s)
{
    s += strspn(s, BLANKS);
    for (size_t n = strlen(s); n > 0 && strchr(BLANKS, s[n - 1]); n--)
        s[n - 1] = '\0';
    return s;
}

/* What programs and people write for a missing number. */
static bool is_missing(const char *s)
{
    static const char *const words[] = {"na",      "n/a",       "nan",   "nat",    "null",
                                        "none",    "nil",       "inf",   "true",   "infinity",
                                        "missing", "undefined", "false", "#n/a",   "#null!",
                                        "#div/0!", "#ref!",     "#num!", "#name?", "#value!"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(s, words[i]) == 0)
            return true;
    return false;
}

/* "# by hand", but not "#N/A,0.5" */
static bool is_comment(const char *line)
{
    char word[NAME_BYTES];

    snprintf(word, sizeof(word), "%.*s", (int)strcspn(line, ","), line);
    return *line == '#' && !is_missing(word);
}

static bool is_sample_word(const char *s)
{
    static const char *const words[] = {"sample", "samples", "sample_id", "id", "ids", "index"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(s, words[i]) == 0)
            return true;
    return false;
}

/* A cell without the quotes around it, cut to the size of buf. */
static const char *unquoted(const char *cell, char buf[NAME_BYTES])
{
    size_t n = strlen(cell);
    bool quoted = n > 1 && cell[0] == '"' && cell[n - 1] == '"';

    snprintf(buf, NAME_BYTES, "%.*s", (int)(quoted ? n - 2 : n), cell + quoted);
    return buf;
}

/* Begins with a letter (any character beyond ASCII may be one) and is not a word for "no
 * number". */
static bool is_name(const char *s)
{
    bool letter = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_' || *s & 0x80;

    return letter && !is_missing(s) && !strpbrk(s, "\t\r");
}

/* Cells of a line at its commas; *ret_count may be above CELLS_MAX. */
static void split(char *line, char *cells[CELLS_MAX], int *ret_count)
{
    *ret_count = 0;
    for (char *cell; (cell = strsep(&line, ",")) != NULL; ++*ret_count)
        if (*ret_count < CELLS_MAX)
            cells[*ret_count] = trim(cell);
}

/* Are these names of columns? pandas writes none for an index. */
static bool is_header(struct reader *r, char *cells[CELLS_MAX], int count)
{
    char first[NAME_BYTES], second[NAME_BYTES] = "";

    unquoted(cells[0], first);
    if (count == 2)
        return is_name(unquoted(cells[1], second)) && (!*first || is_name(first));
    if (r->ask->kind == NUMBERS_SAMPLES ? !is_sample_word(first) : !is_name(first))
        return false;
    memcpy(r->header, first, sizeof(first));
    return true;
}

/* Names that show the columns in the wrong order. */
static int check_header(const struct reader *r, char *cells[CELLS_MAX], int count, uint32_t at,
                        struct errbuf *why)
{
    char first[NAME_BYTES], second[NAME_BYTES];

    if (count == 2 && !is_sample_word(unquoted(cells[0], first)) &&
        is_sample_word(unquoted(cells[1], second)))
        return err_set(why, -EINVAL, "%s: line %u has \"%s,%s\", expected the sample first",
                       r->path, at, first, second);
    return 0;
}

static int take_line(struct reader *r, char *line, uint32_t at, bool *header, struct errbuf *why)
{
    int columns = kinds[r->ask->kind].two_columns ? 2 : 1, count;
    char *cells[CELLS_MAX];

    split(line, cells, &count);
    if (count > columns)
        return err_set(why, -EINVAL, "%s: line %u has %d columns, expected %s", r->path, at, count,
                       kinds[r->ask->kind].wanted);
    if (!*header && r->count == 0 && is_header(r, cells, count)) {
        *header = true;
        r->named = count == 2;
        return check_header(r, cells, count, at, why);
    }
    if ((*header || r->count) && r->named != (count == 2))
        return err_set(why, -EINVAL, "%s: line %u has %d column%s, the lines before it %d", r->path,
                       at, count, count == 1 ? "" : "s", 3 - count);
    r->named = count == 2;
    return take(r, at, count == 2 ? cells[0] : NULL, cells[count - 1], why);
}

static int take_lines(struct reader *r, char *text, struct errbuf *why)
{
    uint32_t at = 0, empty = 0; /* empty: the first of the latest run of empty lines */
    bool header = false;
    int rc = 0;

    r->at_word = "line";
    for (char *line; rc == 0 && (line = strsep(&text, "\n")) != NULL;) {
        at++;
        line = trim(line);
        bool begun = header || r->count > 0;
        if (!*line)
            empty = empty ? empty : at;
        else if (empty)
            rc = refuse(r, empty, "", r->ask->kind, why);
        else if (begun && *line == '#')
            rc = refuse(r, at, line, r->ask->kind, why);
        else if (!is_comment(line))
            rc = take_line(r, line, at, &header, why);
    }
    return rc;
}

/* --- a JSON list --- */

/* The text of the next entry, which ends at a comma or at the end of the list: *ret_end. */
static char *list_entry(char **at, char *ret_end)
{
    char *begin = *at, *end = begin + strcspn(begin, ",]");

    *ret_end = *end;
    *at = *end ? end + 1 : end;
    *end = '\0';
    return trim(begin);
}

static int take_list(struct reader *r, char *text, struct errbuf *why)
{
    char end = ',';
    int rc = 0;

    r->at_word = "entry";
    for (uint32_t i = 0; rc == 0 && end == ','; i++) {
        char *entry = list_entry(&text, &end);
        if (i == 0 && !*entry && end == ']')
            break;
        if (!end)
            rc =
                err_set(why, -EINVAL,
                        "%s begins with [ but is not a JSON list of numbers: it has no ]", r->path);
        else
            rc = take(r, i, NULL, entry, why);
    }
    if (rc == 0 && *trim(text))
        rc = err_set(why, -EINVAL, "%s goes on after the ] of its JSON list", r->path);
    return rc;
}

static int take_text(struct reader *r, struct errbuf *why)
{
    char *text = NULL;
    int rc = plain_text_read(r->path, kinds[r->ask->kind].wanted, &text, why);

    if (rc == 0) {
        char *at = text + strspn(text, BLANKS);
        if (*at == '{')
            rc = err_set(why, -EINVAL, "%s is a JSON object, expected %s", r->path,
                         kinds[r->ask->kind].wanted);
        else
            rc = *at == '[' ? take_list(r, at + 1, why) : take_lines(r, text, why);
    }
    free(text);
    return rc;
}

/* --- arrays --- */

/* The end of the numbers that a kind allows. */
static double limit(const struct reader *r)
{
    return r->ask->kind == NUMBERS_SCORES   ? HUGE_VAL
           : r->ask->kind == NUMBERS_LABELS ? CLASSES_MAX
                                            : r->ask->samples;
}

static int take_array_entry(struct reader *r, const struct npy_values *v, uint32_t i,
                            struct errbuf *why)
{
    struct entry e = {.sample = i, .at = i, .value = v->value[i]};
    char text[TEXT_F64_BYTES];

    if (v->kind == NPY_BOOLS)
        return e.value != 0 ? add(r, e, why) : 0;
    if (r->ask->kind != NUMBERS_SCORES && !(e.value >= 0 && e.value < limit(r)))
        return refuse(r, i, text_of_f64(e.value, text), r->ask->kind, why);
    if (r->ask->kind == NUMBERS_SAMPLES)
        e.sample = (uint32_t)e.value;
    return add(r, e, why);
}

static int take_array(struct reader *r, struct errbuf *why)
{
    const struct kind *kind = &kinds[r->ask->kind];
    struct npy_values v;
    int rc = npy_file_values(r->path, kind->npy_kinds, kind->what, &v, why);

    if (rc)
        return rc;
    r->at_word = "entry";
    if (v.kind == NPY_BOOLS && v.count != r->ask->samples)
        rc = err_set(why, -EINVAL, "%s is a mask of %u entries, but %s has %u samples", r->path,
                     v.count, r->ask->dataset, r->ask->samples);
    for (uint32_t i = 0; rc == 0 && i < v.count; i++)
        rc = take_array_entry(r, &v, i, why);
    free(v.value);
    return rc;
}

/* --- all of them --- */

static int entries_compare(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;

    if (a->sample != b->sample)
        return a->sample < b->sample ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

/* Sorts the entries by the samples that they name. */
static int sort(struct reader *r, struct errbuf *why)
{
    struct entry *e = r->entries;

    qsort(e, r->count, sizeof(*e), entries_compare);
    for (uint32_t i = 1; i < r->count; i++)
        if (e[i].sample == e[i - 1].sample)
            return err_set(why, -EINVAL, "%s: %s %u and %u both name sample %u", r->path,
                           strcmp(r->at_word, "line") == 0 ? "lines" : "entries", e[i - 1].at,
                           e[i].at, e[i].sample);
    return 0;
}

static int check_count(const struct reader *r, struct errbuf *why)
{
    char header[NAME_BYTES + 40] = "";
    bool labels = r->ask->kind == NUMBERS_LABELS;

    if (r->count == r->ask->samples)
        return 0;
    if (*r->header)
        snprintf(header, sizeof(header), " below the name \"%s\"", r->header);
    return err_set(why, -EINVAL, "%s has %u %s%s, but %s has %u %s%s", r->path, r->count,
                   kinds[r->ask->kind].what, header, r->ask->dataset, r->ask->samples,
                   labels ? "images" : "samples", labels ? "" : "; expected one for each");
}

static int check(struct reader *r, struct errbuf *why)
{
    if (r->count == 0 && r->ask->kind == NUMBERS_SAMPLES)
        return err_set(why, -EINVAL, "%s names no sample", r->path);
    if (r->count == 0 && r->ask->kind == NUMBERS_SCORES)
        return err_set(why, -EINVAL, "%s holds no numbers", r->path);
    return r->named || r->ask->kind == NUMBERS_SAMPLES ? sort(r, why) : check_count(r, why);
}

static int hand_over(const struct reader *r, struct numbers *ret, struct errbuf *why)
{
    struct numbers n = {.count = r->count, .named = r->named};

    n.sample = alloc_bytes(n.count, sizeof(*n.sample));
    n.value = alloc_bytes(n.count, sizeof(*n.value));
    if (!n.sample || !n.value) {
        numbers_done(&n);
        return err_set(why, -ENOMEM, "no memory for the numbers of %s", r->path);
    }
    for (uint32_t i = 0; i < n.count; i++) {
        n.sample[i] = r->entries[i].sample;
        n.value[i] = r->entries[i].value;
    }
    *ret = n;
    return 0;
}

int numbers_read(const char *path, const struct numbers_ask *ask, struct numbers *ret,
                 struct errbuf *why)
{
    struct reader r = {.path = path, .ask = ask};
    int rc = npy_file_is(path) ? take_array(&r, why) : take_text(&r, why);

    if (rc == 0)
        rc = check(&r, why);
    if (rc == 0)
        rc = hand_over(&r, ret, why);
    free(r.entries);
    return rc;
}

void numbers_done(struct numbers *n)
{
    free(n->sample);
    free(n->value);
    *n = (struct numbers){0};
}
