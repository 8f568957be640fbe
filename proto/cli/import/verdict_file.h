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

/* The path of a file, and which sample that is. */
struct verdict_path {
    const char *path;
    int rc;          /* 0, or -errno with a sentence in why: no sample is known by it */
    uint32_t sample; /* with rc 0 */
    struct errbuf why;
};

struct verdict_ask {
    const char *const *classes; /* names, [class_count], NULL-terminated */
    int class_count;
    const char *dataset;      /* its name, for sentences */
    enum verdict_kind issues; /* what an issue of cleanlab becomes */
    bool labels_only;         /* no other verdicts than right and wrong */
    /* Finds samples by the paths of their files; NULL: the dataset has no names. */
    void (*find)(void *arg, struct verdict_path *paths, int count);
    /* Tells a line that cannot be taken, or a column that is not read (line 0). */
    void (*tell)(void *arg, size_t line, const char *text);
    void *arg;
};

/* Columns, by their names in the first line (blanks around them are nothing), in any order:
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

/* The number of a class by its name or number; a name counts first. -EINVAL: there is none; the
 * sentence has the nearest name, or all of them. */
int verdict_class(const char *text, const struct verdict_ask *ask, int32_t *ret,
                  struct errbuf *why);

#endif
