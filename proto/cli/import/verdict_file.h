/* Reads verdicts on labels from a CSV file: one that `steppe verdicts export` wrote, a person's
 * spreadsheet, or the table of label issues that cleanlab writes. Every line is judged, and every
 * bad one is told, before anything is done. */
#ifndef STEPPE_PROTO_CLI_IMPORT_VERDICT_FILE_H
#define STEPPE_PROTO_CLI_IMPORT_VERDICT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/verdict.h"

struct verdict_line {
    size_t line; /* of the file */
    struct verdict verdict;
    int32_t given; /* the label that the file says the dataset has; -1: it does not say */
};

struct verdict_file {
    struct verdict_line *lines; /* [count], owned */
    size_t count, bad; /* a line on a sample that an earlier line is about counts in both */
    size_t all;        /* lines below the first, those that say nothing too */
};

struct verdict_ask {
    const char *const *classes; /* names, [class_count], NULL-terminated */
    int class_count;
    const char *dataset;      /* its name, for sentences */
    enum verdict_kind issues; /* what an issue of cleanlab becomes */
    bool labels_only;         /* no other verdicts than right and wrong */
    /* Finds a sample by the path of its file; NULL: the dataset has no names. 0 or -errno. */
    int (*find)(void *arg, const char *path, uint32_t *ret, struct errbuf *why);
    /* Tells a line that cannot be taken, or a column that is not read (line 0). */
    void (*tell)(void *arg, size_t line, const char *text);
    void *arg;
};

/* Columns, by their names in the first line, in any order:
 * - sample (or id, index, or without a name in front of all others): its number; or path (or uri,
 *   file): of its file, below the folder that was imported. Where both are there they agree, or the
 *   path is of no sample (any more);
 * - verdict: right, wrong, exclude, unsure or none; label: the right one, by name or number; note;
 *   given: the label that the dataset has, which is then compared. Without a column of verdicts
 *   a label is the right one, and a line without one says nothing;
 * - cleanlab's is_label_issue, given_label, predicted_label, label_quality or label_score: an issue
 *   becomes a verdict, the other lines none.
 * A column of another name is told and not read. *ret has the good lines and how many are bad. 0,
 * or -EINVAL, -EFBIG, -ENOMEM or -errno when the file as a whole cannot be read. */
int verdict_file_read(const char *path, const struct verdict_ask *ask, struct verdict_file *ret,
                      struct errbuf *why);
void verdict_file_done(struct verdict_file *f); /* a zeroed struct is fine */

/* The number of a class by its name or number; -1: there is none. A name counts first. */
int32_t verdict_class(const char *text, const struct verdict_ask *ask);

#endif
