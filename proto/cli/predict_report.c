#include "proto/cli/predict_report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/likely.h"
#include "common/text.h"
#include "proto/cli/cells.h"
#include "proto/cli/confusion.h"
#include "proto/cli/import/csv.h"
#include "proto/cli/import/npy.h"
#include "proto/cli/print.h"
#include "proto/cli/table.h"

static const float *logits_of(const struct predict_report *r, uint32_t i)
{
    return r->logits + (size_t)i * r->source->classes;
}

static struct likely likely_at(const struct predict_report *r, uint32_t i)
{
    return likely_of(logits_of(r, i), r->source->classes);
}

static const char *name_of(const struct predict_report *r, int32_t class)
{
    return class >= 0 ? r->source->class_names[class] : "";
}

/* --- rows --- */

static void print_table(const struct predict_report *r, bool colour, FILE *out)
{
    static const struct column columns[] = {
        {.title = "path"},
        {.title = "class"},
        {"prob", .right = true},
        {"second", .optional = true},
        {"prob", .right = true, .optional = true},
        {"third", .optional = true},
        {"prob", .right = true, .optional = true},
        {"margin", .right = true, .optional = true},
        {"twin", .optional = true},
        {"folder", .optional = true},
        {NULL},
    };
    struct table *t = table_create(columns);

    for (uint32_t i = 0; i < r->source->count; i++) {
        const struct likely v = likely_at(r, i);
        const int32_t label = r->source->items[i].label;

        table_add(t, "%s", r->source->items[i].path);
        for (uint32_t k = 0; k < LIKELY_TOP; k++) {
            table_add(t, "%s", k < v.shown ? name_of(r, (int32_t)v.class[k]) : "");
            if (k == 0 && label >= 0)
                table_paint(t, label == (int32_t)v.class[0] ? PAINT_GOOD : PAINT_BAD);
            cell_number(t, k < v.shown ? v.probability[k] : NAN);
        }
        cell_number(t, v.shown > 1 ? v.margin : NAN);
        const bool changed = r->twins && r->twins[i] != (int32_t)v.class[0];
        table_add(t, "%s", !r->twins ? "" : changed ? name_of(r, r->twins[i]) : "same");
        table_add(t, "%s", label >= 0 ? name_of(r, label) : "");
    }
    table_print(t, colour, out);
    table_free(t);
}

static void csv_class(const struct predict_report *r, int32_t class, FILE *out)
{
    fputc(',', out);
    if (class >= 0)
        csv_write(name_of(r, class), out);
}

static void print_csv(const struct predict_report *r, FILE *out)
{
    fputs("path,class,probability,second,second_probability,third,third_probability,margin", out);
    fprintf(out, "%s%s\n", r->twins ? ",twin,changed" : "", r->source->labelled ? ",folder" : "");
    for (uint32_t i = 0; i < r->source->count; i++) {
        const struct likely v = likely_at(r, i);

        csv_write(r->source->items[i].path, out);
        for (uint32_t k = 0; k < LIKELY_TOP; k++) {
            csv_class(r, k < v.shown ? (int32_t)v.class[k] : NO_LABEL, out);
            if (k < v.shown)
                fprintf(out, ",%.9g", v.probability[k]);
            else
                fputc(',', out);
        }
        if (v.shown > 1)
            fprintf(out, ",%.9g", v.margin);
        else
            fputc(',', out);
        if (r->twins) {
            csv_class(r, r->twins[i], out);
            fprintf(out, ",%d", r->twins[i] != (int32_t)v.class[0]);
        }
        if (r->source->labelled)
            csv_class(r, r->source->items[i].label, out);
        fputc('\n', out);
    }
}

cJSON *predict_row(const struct predict_report *r, uint32_t i)
{
    static const char *const names[LIKELY_TOP] = {"class", "second", "third"};
    static const char *const shares[LIKELY_TOP] = {"probability", "second_probability",
                                                   "third_probability"};
    const struct likely v = likely_at(r, i);
    const int32_t label = r->source->items[i].label;
    cJSON *row = cJSON_CreateObject();
    char *path = xstrdup(r->source->items[i].path);

    text_make_printable(path);
    cJSON_AddStringToObject(row, "path", path);
    free(path);
    for (uint32_t k = 0; k < v.shown; k++) {
        cJSON_AddStringToObject(row, names[k], name_of(r, (int32_t)v.class[k]));
        cJSON_AddNumberToObject(row, shares[k], v.probability[k]);
    }
    if (v.shown > 1)
        cJSON_AddNumberToObject(row, "margin", v.margin);
    if (r->twins) {
        cJSON_AddStringToObject(row, "twin", name_of(r, r->twins[i]));
        cJSON_AddBoolToObject(row, "changed", r->twins[i] != (int32_t)v.class[0]);
    }
    if (label >= 0)
        cJSON_AddStringToObject(row, "folder", name_of(r, label));
    return row;
}

static void print_jsonl(const struct predict_report *r, FILE *out)
{
    for (uint32_t i = 0; i < r->source->count; i++) {
        cJSON *row = predict_row(r, i);
        char *text = cJSON_PrintUnformatted(row);
        if (text)
            fprintf(out, "%s\n", text);
        cJSON_free(text);
        cJSON_Delete(row);
    }
}

void predict_print(const struct predict_report *r, enum predict_format format, bool colour,
                   FILE *out)
{
    if (format == PREDICT_CSV)
        print_csv(r, out);
    else if (format == PREDICT_JSONL)
        print_jsonl(r, out);
    else
        print_table(r, colour, out);
}

int predict_write_npy(const struct predict_report *r, const char *path, struct errbuf *why)
{
    const uint32_t count = r->source->count, classes = r->source->classes;
    float *all = alloc_bytes((size_t)count * classes, sizeof(*all));
    double *p = alloc_bytes(classes, sizeof(*p));

    if (!all || !p) {
        free(all);
        free(p);
        return err_set(why, -ENOMEM, "no memory for the probabilities of %u pictures", count);
    }
    for (uint32_t i = 0; i < count; i++) {
        likely_softmax(logits_of(r, i), classes, p);
        for (uint32_t j = 0; j < classes; j++)
            all[(size_t)i * classes + j] = (float)p[j];
    }
    free(p);
    int rc = npy_write_rows(path, DTYPE_F32, all, count, classes, why);
    free(all);
    return rc;
}

/* --- confusion --- */

/* Of the pictures whose folder is a class; counts is the caller's. */
static struct confusion counted(const struct predict_report *r, uint32_t **ret_counts)
{
    const uint32_t classes = r->source->classes;
    uint32_t *counts = xcalloc((size_t)classes * classes, sizeof(*counts));

    for (uint32_t i = 0; i < r->source->count; i++) {
        const int32_t label = r->source->items[i].label;
        if (label >= 0)
            counts[(size_t)label * classes + likely_at(r, i).class[0]]++;
    }
    *ret_counts = counts;
    return (struct confusion){classes, r->source->class_names, counts, "folder"};
}

static uint64_t right_ones(const struct predict_report *r)
{
    uint64_t right = 0;

    for (uint32_t i = 0; i < r->source->count; i++)
        right += r->source->items[i].label >= 0 &&
                 (uint32_t)r->source->items[i].label == likely_at(r, i).class[0];
    return right;
}

void predict_print_confusion(const struct predict_report *r, bool colour, FILE *out)
{
    const uint32_t all = r->source->labelled;
    char share[TEXT_F64_BYTES];
    uint32_t *counts;

    if (all == 0)
        return;
    const uint64_t right = right_ones(r);
    fprintf(out, "\n%llu of %u as their folders are named: %s\n", (unsigned long long)right, all,
            text_of_share((double)right / all, share));
    if (r->source->classes > CONFUSION_CLASSES_MAX)
        return;
    const struct confusion c = counted(r, &counts);
    confusion_print(&c, colour, out);
    free(counts);
}

void predict_add_confusion(const struct predict_report *r, cJSON *out)
{
    uint32_t *counts;

    if (r->source->labelled == 0)
        return;
    cJSON_AddNumberToObject(out, "labelled", r->source->labelled);
    if (r->source->classes > CONFUSION_CLASSES_MAX) {
        cJSON_AddNumberToObject(out, "right", (double)right_ones(r));
        return;
    }
    const struct confusion c = counted(r, &counts);
    confusion_add_json(&c, out);
    free(counts);
}
