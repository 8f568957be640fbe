#include "proto/cli/import/verdict_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/alloc.h"
#include "common/text.h"
#include "proto/cli/import/csv.h"

#define WANTED "a CSV file of verdicts"
#define CLASSES_BYTES 200 /* of names in a sentence */

enum column {
    COLUMN_SAMPLE,
    COLUMN_PATH,
    COLUMN_VERDICT,
    COLUMN_LABEL,
    COLUMN_NOTE,
    COLUMN_GIVEN,
    COLUMN_ISSUE,
    COLUMN_PREDICTED,
    COLUMN_QUALITY,
    COLUMNS
};
#define COLUMN_UNREAD COLUMNS
#define BATCH 100 /* lines that are read before the samples of their paths are asked for */

/* What export writes and import has no use for is unread without a word. */
static const struct {
    const char *name;
    enum column column;
} names[] = {
    {"sample", COLUMN_SAMPLE},
    {"id", COLUMN_SAMPLE},
    {"index", COLUMN_SAMPLE},
    {"path", COLUMN_PATH},
    {"uri", COLUMN_PATH},
    {"file", COLUMN_PATH},
    {"verdict", COLUMN_VERDICT},
    {"label", COLUMN_LABEL},
    {"note", COLUMN_NOTE},
    {"given", COLUMN_GIVEN},
    {"given_label", COLUMN_GIVEN},
    {"is_label_issue", COLUMN_ISSUE},
    {"predicted_label", COLUMN_PREDICTED},
    {"label_quality", COLUMN_QUALITY},
    {"label_score", COLUMN_QUALITY},
    {"number", COLUMN_UNREAD},
    {"who", COLUMN_UNREAD},
    {"unix_ms", COLUMN_UNREAD},
    {"sample_weight", COLUMN_UNREAD},
};

/* A line, and what its path is. */
struct row {
    struct csv_record record;
    int rc; /* of csv_next */
    struct errbuf why;
    const struct verdict_path *path; /* NULL: there is none, or no names */
};

struct batch {
    int count, path_count;
    struct row rows[BATCH];
    struct verdict_path paths[BATCH];
};

struct reading {
    const char *path;
    const struct verdict_ask *ask;
    struct csv csv;
    int at[COLUMNS]; /* where a column is; -1: not there */
    int width;
    struct verdict_file file;
    size_t room;
};

int verdict_class(const char *text, const struct verdict_ask *ask, int32_t *ret, struct errbuf *why)
{
    char list[CLASSES_BYTES];
    int64_t number;
    int index = text_index(text, ask->classes);

    if (index >= 0 || text_i64(text, 0, ask->class_count - 1, &number)) {
        *ret = index >= 0 ? index : (int32_t)number;
        return 0;
    }
    const char *near = text_nearest(text, ask->classes);
    return err_set(why, -EINVAL, "dataset %s has no class \"%.80s\"; %s%.200s%s", ask->dataset,
                   text, near ? "did you mean \"" : "its classes are ",
                   near ? near : text_list(ask->classes, list, sizeof(list)), near ? "\"?" : "");
}

static enum column column_of(const char *name, bool first, bool *ret_known)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(name, names[i].name) == 0) {
            *ret_known = true;
            return names[i].column;
        }
    *ret_known = first && !name[0];
    return *ret_known ? COLUMN_SAMPLE : COLUMN_UNREAD;
}

static int check_header(const struct reading *r, struct errbuf *why)
{
    const bool issues = r->at[COLUMN_ISSUE] >= 0, verdicts = r->at[COLUMN_VERDICT] >= 0;

    if (r->at[COLUMN_SAMPLE] < 0 && r->at[COLUMN_PATH] < 0)
        return err_set(why, -EINVAL,
                       "%s has no column \"sample\" with the numbers of the samples, and no column "
                       "\"path\"; its first line names the columns",
                       r->path);
    if (issues && verdicts)
        return err_set(why, -EINVAL,
                       "%s has the columns verdict and is_label_issue; keep one of them", r->path);
    if (issues && r->at[COLUMN_PREDICTED] < 0 && r->ask->issues == VERDICT_WRONG)
        return err_set(why, -EINVAL,
                       "%s has is_label_issue, but no predicted_label; --issues-are unsure or "
                       "exclude needs none",
                       r->path);
    if (!issues && !verdicts && r->at[COLUMN_LABEL] < 0)
        return err_set(why, -EINVAL,
                       "%s has no column \"verdict\", \"label\" or \"is_label_issue\": it says "
                       "nothing about its samples",
                       r->path);
    return 0;
}

static int read_header(struct reading *r, struct errbuf *why)
{
    struct csv_record record;
    struct errbuf line_why, text;
    int rc = csv_next(&r->csv, &record, &line_why);

    for (int i = 0; i < COLUMNS; i++)
        r->at[i] = -1;
    if (rc == 0)
        return err_set(why, -EINVAL, "%s is empty, expected " WANTED, r->path);
    if (rc < 0)
        return err_set(why, rc, "%s: line %zu: %s", r->path, record.line, line_why.text);
    r->width = record.count;
    for (int i = 0; i < record.count; i++) {
        bool known;
        record.fields[i] = csv_trim(record.fields[i]);
        enum column column = column_of(record.fields[i], i == 0, &known);
        if (!known) {
            err_set(&text, 0, "column \"%.60s\" is not read", record.fields[i]);
            r->ask->tell(r->ask->arg, 0, text.text);
        }
        if (column == COLUMN_UNREAD)
            continue;
        if (r->at[column] >= 0)
            return err_set(why, -EINVAL, "%s has the column \"%s\" twice, as \"%s\" too", r->path,
                           record.fields[r->at[column]], record.fields[i]);
        r->at[column] = i;
    }
    return check_header(r, why);
}

/* The field, or "" without the column. */
static const char *field(const struct reading *r, const struct csv_record *record, enum column c)
{
    return r->at[c] < 0 ? "" : record->fields[r->at[c]];
}

/* Likewise, of what has no blanks around it. */
static const char *word(const struct reading *r, const struct csv_record *record, enum column c)
{
    return r->at[c] < 0 ? "" : csv_trim(record->fields[r->at[c]]);
}

static int read_class(const struct reading *r, const char *text, int32_t *ret, struct errbuf *why)
{
    *ret = -1;
    return text[0] ? verdict_class(text, r->ask, ret, why) : 0;
}

/* What a line of cleanlab's says; *ret_says: it says anything. */
static int read_issue(const struct reading *r, const struct csv_record *record, struct verdict *v,
                      bool *ret_says, struct errbuf *why)
{
    static const char *const yes[] = {"true", "1", NULL}, *const no[] = {"false", "0", NULL};
    const char *issue = word(r, record, COLUMN_ISSUE), *quality = field(r, record, COLUMN_QUALITY);
    bool is = false, is_not = false;

    for (int i = 0; yes[i]; i++) {
        is = is || strcasecmp(issue, yes[i]) == 0;
        is_not = is_not || strcasecmp(issue, no[i]) == 0;
    }
    if (!is && !is_not)
        return err_set(why, -EINVAL, "is_label_issue is \"%.40s\", allowed is True or False",
                       issue);
    *ret_says = is;
    v->kind = r->ask->issues;
    snprintf(v->note, sizeof(v->note), "cleanlab%s%.40s", quality[0] ? ", label quality " : "",
             quality);
    return is && v->kind == VERDICT_WRONG
               ? read_class(r, field(r, record, COLUMN_PREDICTED), &v->label, why)
               : 0;
}

static int read_said(const struct reading *r, const struct csv_record *record, struct verdict *v,
                     bool *ret_says, struct errbuf *why)
{
    const char *text = word(r, record, COLUMN_VERDICT), *note = field(r, record, COLUMN_NOTE);
    char list[100];
    int kind = text_index(text, verdict_names);
    int rc = read_class(r, field(r, record, COLUMN_LABEL), &v->label, why);

    if (r->at[COLUMN_VERDICT] < 0) {
        kind = VERDICT_RIGHT;
        *ret_says = v->label >= 0;
    }
    if (rc == 0 && kind < 0)
        rc = err_set(why, -EINVAL, "the verdict is \"%.40s\", allowed is %s", text,
                     text_list(verdict_names, list, sizeof(list)));
    if (rc == 0 && strlen(note) >= sizeof(v->note))
        rc = err_set(why, -EINVAL, "the note is %zu bytes, allowed is up to %zu", strlen(note),
                     sizeof(v->note) - 1);
    if (rc < 0)
        return rc;
    v->kind = (enum verdict_kind)kind;
    snprintf(v->note, sizeof(v->note), "%s", note);
    return 0;
}

/* A column that was sorted by itself gives each number the path of another. One that nobody has,
 * any more, says nothing. */
static int check_path(const struct verdict_path *path, uint32_t sample, struct errbuf *why)
{
    if (!path || path->rc != 0 || path->sample == sample)
        return 0;
    return err_set(why, -EINVAL,
                   "its sample is %u, but \"%.150s\" is sample %u; one of the two is wrong", sample,
                   path->path, path->sample);
}

/* By number, or where that is empty by path. */
static int read_sample(const struct reading *r, const struct row *row, uint32_t *ret,
                       struct errbuf *why)
{
    const char *sample = word(r, &row->record, COLUMN_SAMPLE);
    int64_t number;

    if (!sample[0] && row->path) {
        *ret = row->path->sample;
        return row->path->rc == 0 ? 0 : err_set(why, row->path->rc, "%s", row->path->why.text);
    }
    if (!text_i64(sample, 0, SAMPLES_MAX - 1, &number))
        return err_set(why, -EINVAL, "the sample is \"%.60s\", allowed is its number, 0 and up",
                       sample);
    *ret = (uint32_t)number;
    return check_path(row->path, *ret, why);
}

static int read_line(const struct reading *r, const struct row *row, struct verdict_line *ret,
                     bool *ret_says, struct errbuf *why)
{
    const struct csv_record *record = &row->record;
    int rc;

    *ret = (struct verdict_line){.line = record->line, .verdict = {.label = -1}};
    *ret_says = true;
    if (record->count != r->width)
        return err_set(why, -EINVAL, "it has %d column%s, the first line names %d", record->count,
                       record->count == 1 ? "" : "s", r->width);
    rc = read_sample(r, row, &ret->verdict.sample, why);
    if (rc == 0)
        rc = read_class(r, field(r, record, COLUMN_GIVEN), &ret->given, why);
    if (rc == 0)
        rc = (r->at[COLUMN_ISSUE] >= 0 ? read_issue : read_said)(r, record, &ret->verdict, ret_says,
                                                                 why);
    if (rc == 0 && *ret_says && r->ask->labels_only && ret->verdict.kind != VERDICT_RIGHT &&
        ret->verdict.kind != VERDICT_WRONG)
        rc = err_set(why, -EINVAL,
                     "the verdict is %s, this command takes labels only (steppe verdicts import "
                     "takes all)",
                     verdict_names[ret->verdict.kind]);
    return rc;
}

static void keep(struct reading *r, const struct verdict_line *line)
{
    if (r->file.count == r->room) {
        r->room = r->room ? 2 * r->room : 256;
        r->file.lines = xrealloc(r->file.lines, r->room * sizeof(*r->file.lines));
    }
    r->file.lines[r->file.count++] = *line;
}

static int compare_samples(const void *pa, const void *pb)
{
    const struct verdict_line *a = pa, *b = pb;

    if (a->verdict.sample != b->verdict.sample)
        return a->verdict.sample < b->verdict.sample ? -1 : 1;
    return (a->line > b->line) - (a->line < b->line);
}

/* Which of two lines on a sample counts cannot be known. */
static void find_twice(struct reading *r)
{
    struct errbuf text;

    qsort(r->file.lines, r->file.count, sizeof(*r->file.lines), compare_samples);
    for (size_t i = 1; i < r->file.count; i++) {
        const struct verdict_line *a = &r->file.lines[i - 1], *b = &r->file.lines[i];
        if (a->verdict.sample != b->verdict.sample)
            continue;
        err_set(&text, 0, "sample %u is in line %zu already", b->verdict.sample, a->line);
        r->ask->tell(r->ask->arg, b->line, text.text);
        r->file.bad++;
    }
}

/* The next lines, with the samples of their paths. How many; 0: there are none. */
static int read_batch(struct reading *r, struct batch *b)
{
    b->count = b->path_count = 0;
    while (b->count < BATCH) {
        struct row *row = &b->rows[b->count];
        row->path = NULL;
        row->rc = csv_next(&r->csv, &row->record, &row->why);
        if (row->rc == 0)
            break;
        b->count++;
        const bool whole = row->rc > 0 && row->record.count == r->width;
        const char *path = whole ? field(r, &row->record, COLUMN_PATH) : "";
        if (!path[0] || !r->ask->find)
            continue;
        row->path = &b->paths[b->path_count];
        b->paths[b->path_count++] = (struct verdict_path){.path = path};
    }
    if (b->path_count > 0)
        r->ask->find(r->ask->arg, b->paths, b->path_count);
    return b->count;
}

static void take_row(struct reading *r, const struct row *row)
{
    struct verdict_line line;
    struct errbuf why = row->why;
    bool says = false;
    int rc = row->rc > 0 ? read_line(r, row, &line, &says, &why) : row->rc;

    r->file.all++;
    if (rc < 0) {
        r->ask->tell(r->ask->arg, row->record.line, why.text);
        r->file.bad++;
    } else if (says) {
        keep(r, &line);
    }
}

int verdict_file_read(const char *path, const struct verdict_ask *ask, struct verdict_file *ret,
                      struct errbuf *why)
{
    struct reading r = {.path = path, .ask = ask};
    int rc = csv_open(path, WANTED, &r.csv, why);

    if (rc < 0)
        return rc;
    struct batch *b = xcalloc(1, sizeof(*b));
    rc = read_header(&r, why);
    while (rc == 0 && read_batch(&r, b) > 0) {
        for (int i = 0; i < b->count; i++)
            take_row(&r, &b->rows[i]);
        if (r.file.count > VERDICTS_MAX)
            rc = err_set(why, -EFBIG, "%s has more than %d verdicts", path, VERDICTS_MAX);
    }
    free(b);
    csv_close(&r.csv);
    if (rc < 0) {
        free(r.file.lines);
        return rc;
    }
    find_twice(&r);
    *ret = r.file;
    return 0;
}

void verdict_file_done(struct verdict_file *f)
{
    free(f->lines);
    *f = (struct verdict_file){NULL};
}
