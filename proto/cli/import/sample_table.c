/* A manifest from a CSV file: a sample a line, with its path and perhaps its label, its class and
 * its domain. Where the first line names no column `path`, the columns are path, label or class,
 * and domain, in this order.
 *
 * Numbers in the column `label` are labels, names are classes; the column `class` has names.
 * Classes are numbered as those of folders are, sorted bytewise, unless there are numbers too. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/alloc.h"
#include "common/text.h"
#include "proto/cli/import/csv.h"
#include "proto/cli/import/import.h"
#include "proto/cli/import/words.h"

#define WANTED "a CSV file of samples"

enum column { COLUMN_PATH, COLUMN_LABEL, COLUMN_CLASS, COLUMN_DOMAIN, COLUMNS };

static const struct {
    const char *name;
    enum column column;
} names[] = {
    {"path", COLUMN_PATH},     {"uri", COLUMN_PATH},    {"file", COLUMN_PATH},
    {"label", COLUMN_LABEL},   {"class", COLUMN_CLASS}, {"class_name", COLUMN_CLASS},
    {"domain", COLUMN_DOMAIN},
};

struct reading {
    const struct import_request *request;
    struct csv csv;
    int at[COLUMNS]; /* where a column is; -1: not there */
    int width;
    bool named; /* the column label has names: they are classes */
    uint32_t count, room;
    uint16_t *labels, *classes, *domains; /* [count], as far as their column is there */
    uint32_t *lines;                      /* of the file, from 1 */
    struct words class_words, domain_words;
    struct uris uris;
};

static enum column column_of(const char *name)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(name, names[i].name) == 0)
            return names[i].column;
    return COLUMNS;
}

static bool is_header(const struct csv_record *record)
{
    for (int i = 0; i < record->count; i++)
        if (column_of(csv_trim(record->fields[i])) == COLUMN_PATH)
            return true;
    return false;
}

/* Numbers in the second column are labels, names are classes. */
static int read_unnamed(struct reading *r, const struct csv_record *record, struct errbuf *why)
{
    static const enum column order[] = {COLUMN_PATH, COLUMN_LABEL, COLUMN_DOMAIN};

    if (record->count > 3)
        return err_set(why, -EINVAL,
                       "%s: line %zu has %d columns and names none of them \"path\"; without names "
                       "they are path, label and domain",
                       r->request->path, record->line, record->count);
    for (int i = 0; i < record->count; i++)
        r->at[order[i]] = i;
    return 0;
}

static int read_named(struct reading *r, const struct csv_record *record, struct errbuf *why)
{
    for (int i = 0; i < record->count; i++) {
        enum column column = column_of(csv_trim(record->fields[i]));
        if (column == COLUMNS) {
            import_note(r->request->notes, "column \"%.60s\" is not read",
                        csv_trim(record->fields[i]));
            continue;
        }
        if (r->at[column] >= 0)
            return err_set(why, -EINVAL, "%s has the column \"%s\" twice, as \"%s\" too",
                           r->request->path, csv_trim(record->fields[r->at[column]]),
                           csv_trim(record->fields[i]));
        r->at[column] = i;
    }
    return 0;
}

static void grow(struct reading *r)
{
    r->room = 2 * r->room + 4096;
    r->lines = xrealloc(r->lines, r->room * sizeof(*r->lines));
    r->labels = xrealloc(r->labels, r->room * sizeof(*r->labels));
    r->classes = xrealloc(r->classes, r->room * sizeof(*r->classes));
    r->domains = xrealloc(r->domains, r->room * sizeof(*r->domains));
}

static char *field(const struct reading *r, const struct csv_record *record, enum column column)
{
    return r->at[column] < 0 ? NULL : record->fields[r->at[column]];
}

static int read_label(struct reading *r, char *text, uint32_t i, struct errbuf *why)
{
    int64_t number;
    bool is = text_i64(csv_trim(text), 0, CLASSES_MAX - 1, &number);

    if (i == 0)
        r->named = !is && !text_i64(csv_trim(text), INT64_MIN, INT64_MAX, &number) &&
                   r->at[COLUMN_CLASS] < 0;
    if (r->named && !is)
        return words_find(&r->class_words, "class", CLASSES_MAX, csv_trim(text), &r->classes[i],
                          why);
    if (!r->named && is) {
        r->labels[i] = (uint16_t)number;
        return 0;
    }
    if (r->named)
        return err_set(why, -EINVAL,
                       "the label is \"%.60s\", but names stand above it; a column that is called "
                       "class may have any names",
                       csv_trim(text));
    return err_set(why, -EINVAL, "the label is \"%.60s\", allowed is 0 to %d", csv_trim(text),
                   CLASSES_MAX - 1);
}

static int read_sample(struct reading *r, const struct csv_record *record, uint32_t i,
                       struct errbuf *why)
{
    char *label = field(r, record, COLUMN_LABEL), *class = field(r, record, COLUMN_CLASS);
    char *domain = field(r, record, COLUMN_DOMAIN);
    int rc = uris_add(&r->uris, field(r, record, COLUMN_PATH), why);

    if (rc == 0 && label)
        rc = read_label(r, label, i, why);
    if (rc == 0 && class)
        rc =
            words_find(&r->class_words, "class", CLASSES_MAX, csv_trim(class), &r->classes[i], why);
    if (rc == 0 && domain)
        rc = words_find(&r->domain_words, "domain", DOMAINS_MAX, csv_trim(domain), &r->domains[i],
                        why);
    return rc;
}

static int read_line(struct reading *r, const struct csv_record *record, struct errbuf *why)
{
    if (record->count != r->width)
        return err_set(why, -EINVAL, "it has %d column%s, the first line has %d", record->count,
                       text_s(record->count), r->width);
    if (r->count == SAMPLES_MAX)
        return err_set(why, -EFBIG, "there are more than %u samples", SAMPLES_MAX);
    if (r->count == r->room)
        grow(r);
    r->lines[r->count] = (uint32_t)record->line;
    int rc = read_sample(r, record, r->count, why);
    r->count += rc == 0;
    return rc;
}

static int read_lines(struct reading *r, struct errbuf *why)
{
    struct csv_record record;
    struct errbuf line_why = {""};
    int rc = csv_next(&r->csv, &record, &line_why), broken = 0;

    for (int i = 0; i < COLUMNS; i++)
        r->at[i] = -1;
    if (rc > 0) {
        const bool header = is_header(&record);
        r->width = record.count;
        broken = (header ? read_named : read_unnamed)(r, &record, why);
        if (broken < 0)
            return broken;
        rc = header ? csv_next(&r->csv, &record, &line_why) : rc;
    }
    while (rc > 0 && broken == 0) {
        broken = read_line(r, &record, &line_why);
        if (broken == 0 && r->count % 4096 == 0)
            broken = import_stopped(r->request, &line_why);
        if (broken == 0)
            rc = csv_next(&r->csv, &record, &line_why);
    }
    if (broken == -EINTR)
        return err_set(why, broken, "%s", line_why.text);
    if (broken < 0 || rc < 0)
        return err_set(why, broken < 0 ? broken : rc, "%s: line %zu: %s", r->request->path,
                       record.line, line_why.text);
    return r->count
               ? 0
               : err_set(why, -EINVAL, "%s has no samples, expected " WANTED, r->request->path);
}

/* --- what all lines say together --- */

struct place {
    const char *uri;
    size_t bytes;
    uint32_t sample;
};

static int compare_places(const void *pa, const void *pb)
{
    const struct place *a = pa, *b = pb;
    const int order = memcmp(a->uri, b->uri, a->bytes < b->bytes ? a->bytes : b->bytes);

    if (order || a->bytes != b->bytes)
        return order ? order : a->bytes < b->bytes ? -1 : 1;
    return (a->sample > b->sample) - (a->sample < b->sample);
}

/* A path names one sample. */
static int check_twice(const struct reading *r, struct errbuf *why)
{
    struct place *places = alloc_bytes(r->count, sizeof(*places));
    int rc = 0;

    if (!places)
        return err_set(why, -ENOMEM, "no memory for %u paths", r->count);
    for (uint32_t i = 0; i < r->count; i++) {
        places[i].uri = uris_at(&r->uris, i, &places[i].bytes);
        places[i].sample = i;
    }
    qsort(places, r->count, sizeof(*places), compare_places);
    for (uint32_t i = 1; rc == 0 && i < r->count; i++) {
        const struct place *a = &places[i - 1], *b = &places[i];
        if (a->bytes == b->bytes && memcmp(a->uri, b->uri, a->bytes) == 0)
            rc = err_set(why, -EINVAL, "%s: line %u: \"%.*s\" is in line %u already",
                         r->request->path, r->lines[b->sample],
                         (int)(b->bytes < 150 ? b->bytes : 150), b->uri, r->lines[a->sample]);
    }
    free(places);
    return rc;
}

/* The names of numbered labels: each has one, and no two the same. */
static int labels_name(const struct reading *r, struct dataset_draft *d, struct errbuf *why)
{
    uint32_t *first = xcalloc(2 * (size_t)CLASSES_MAX, sizeof(*first));
    uint32_t *label_of = first + CLASSES_MAX;
    char number[12];
    int rc = 0;

    for (uint32_t i = 0; i < CLASSES_MAX; i++)
        first[i] = label_of[i] = UINT32_MAX;
    for (uint32_t i = 0; rc == 0 && i < r->count; i++) {
        const uint16_t label = r->labels[i], class = r->classes[i];
        if (first[label] == UINT32_MAX)
            first[label] = i;
        if (label_of[class] == UINT32_MAX)
            label_of[class] = label;
        const uint16_t other = r->classes[first[label]];
        if (other != class)
            rc = err_set(why, -EINVAL,
                         "%s: line %u: label %u is called \"%s\", but \"%s\" in line %u",
                         r->request->path, r->lines[i], label, r->class_words.at[class],
                         r->class_words.at[other], r->lines[first[label]]);
        else if (label_of[class] != label)
            rc = err_set(why, -EINVAL, "%s: line %u: \"%s\" is class %u, but %u in line %u",
                         r->request->path, r->lines[i], r->class_words.at[class], label,
                         label_of[class], r->lines[first[label_of[class]]]);
    }
    if (rc < 0) {
        free(first);
        return rc;
    }
    d->class_names = xcalloc(d->classes, sizeof(*d->class_names));
    for (uint32_t i = 0; i < d->classes; i++) {
        snprintf(number, sizeof(number), "%u", i);
        d->class_names[i] =
            xstrdup(first[i] == UINT32_MAX ? number : r->class_words.at[r->classes[first[i]]]);
    }
    free(first);
    return 0;
}

static int classes_make(struct reading *r, struct dataset_draft *d, struct errbuf *why)
{
    const bool numbers = r->at[COLUMN_LABEL] >= 0 && !r->named;

    if (r->class_words.count && !numbers) {
        d->classes = r->class_words.count;
        d->class_names = words_sort(&r->class_words, r->classes, r->count);
        memcpy(d->labels, r->classes, r->count * sizeof(*d->labels));
        return 0;
    }
    if (!numbers)
        return 0;
    memcpy(d->labels, r->labels, r->count * sizeof(*d->labels));
    for (uint32_t i = 0; i < r->count; i++)
        if (d->labels[i] >= d->classes)
            d->classes = d->labels[i] + 1u;
    return r->class_words.count ? labels_name(r, d, why) : 0;
}

static int draft_make(struct reading *r, struct dataset_draft *ret, struct errbuf *why)
{
    struct dataset_draft d = {.manifest = true, .samples = r->count};

    d.labels = xcalloc(r->count, sizeof(*d.labels));
    d.test_labels = xcalloc(1, sizeof(*d.test_labels));
    int rc = classes_make(r, &d, why);
    if (rc < 0) {
        dataset_draft_done(&d);
        return rc;
    }
    if (r->domain_words.count) {
        d.domain_count = r->domain_words.count;
        d.domain_names = words_sort(&r->domain_words, r->domains, r->count);
        d.domains = r->domains;
        r->domains = NULL;
    }
    d.uris = r->uris;
    r->uris = (struct uris){0};
    *ret = d;
    return 0;
}

static int table_import(const struct import_request *request, struct dataset_draft *ret,
                        struct errbuf *why)
{
    struct reading r = {.request = request};
    int rc = csv_open(request->path, WANTED, &r.csv, why);

    if (rc == 0)
        rc = read_lines(&r, why);
    if (rc == 0)
        rc = check_twice(&r, why);
    if (rc == 0)
        rc = draft_make(&r, ret, why);
    csv_close(&r.csv);
    words_done(&r.class_words);
    words_done(&r.domain_words);
    uris_done(&r.uris);
    free(r.lines);
    free(r.labels);
    free(r.classes);
    free(r.domains);
    return rc;
}

const struct import_format table_format = {
    .name = "a table of samples", .needs = "a CSV file", .import = table_import};
