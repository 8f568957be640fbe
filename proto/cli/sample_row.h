/* What every table of samples shows: label, truth, what was planted, its name; and the options that
 * choose samples, or print their names alone. */
#ifndef STEPPE_PROTO_CLI_SAMPLE_ROW_H
#define STEPPE_PROTO_CLI_SAMPLE_ROW_H

#include "proto/cli/command.h"
#include "proto/cli/table.h"

#define LABEL_BYTES 128 /* of a label with its name */

/* Of score.top and its relatives, NULL-terminated. */
extern const char *const measure_by_names[];
extern const char *const sample_split_names[]; /* train, test, NULL */

#define ARG(field) offsetof(struct args, field)
#define BY_OPTION                                                                                  \
    {                                                                                              \
        "by", OPT_ENUM, ARG(by), .def = "adm", .arg = "MEASURE", .names = measure_by_names,        \
                                 .help = "how difficulty is measured"                              \
    }
#define EPOCH_OPTION                                                                               \
    {                                                                                              \
        "epoch", OPT_INT, ARG(epoch),                                                              \
            .arg = "E", .min = 1, .max = EPOCHS_MAX,                                               \
            .help = "epoch, counted from 1 (default: the last scored one)"                         \
    }
#define CLASS_OPTION                                                                               \
    {                                                                                              \
        "class", OPT_STR, ARG(class_word), .arg = "C",                                             \
                                           .help = "only this class, by number or name"            \
    }
/* Where a page of a list begins. */
#define FIRST_OPTION                                                                               \
    {                                                                                              \
        "first", OPT_INT, ARG(first), .def = "0", .arg = "N", .max = SAMPLES_MAX,                  \
                                      .help = "skip the first N rows, as for the next page"        \
    }
#define SPLIT_OPTION                                                                               \
    {                                                                                              \
        "split", OPT_ENUM, ARG(split), .def = "train", .arg = "SPLIT",                             \
                                       .names = sample_split_names,                                \
                                       .help = "which samples; test needs a job with score.splits" \
                                               " both"                                             \
    }
#define LIMIT_OPTION                                                                               \
    {                                                                                              \
        "limit", OPT_INT, ARG(limit), .def = "20", .arg = "N", .min = 1, .max = ROWS_MAX,          \
                                      .help = "show at most N rows"                                \
    }

/* Names instead of a table. */
#define PATHS_OPTIONS                                                                              \
    {"paths", OPT_FLAG, ARG(paths), .help = "print only the paths of the samples, one a line"},    \
    {                                                                                              \
        "zero", OPT_FLAG, ARG(zero), .letter = '0',                                                \
                                     .help = "the same, each ended by a zero byte, for xargs -0 "  \
                                             "(also -0)"                                           \
    }
bool paths_wanted(const struct cli *cli);
/* The path of each row's sample in the bytes that its file system has. -ENOENT: one has no name. */
int paths_print(const struct cli *cli, const cJSON *rows, struct errbuf *why);

/* "3" or "3 (trouser)", from the number under `label` and the name under `label_name`; the name
 * only if it says more than the number. */
char *label_text(const cJSON *row, const char *label, const char *label_name,
                 char buf[LABEL_BYTES]);
/* The truth of a sample if its label differs. */
bool truth_differs(const cJSON *row, int64_t *ret);

/* Rows that are ordered by the measure `by` have it under `key`, those without it come last.
 * -ENOENT, with a measure that there is, when not even the first of all rows has it. */
int rows_measured(const struct cli *cli, const cJSON *rows, const char *key, const char *by,
                  struct errbuf *why);

void cell_label(struct table *t, const cJSON *row);
/* The class under `label`, with its name. */
void cell_class(struct table *t, const cJSON *row, const char *label, const char *label_name);
/* Three cells: planted, the truth where it differs, the name. Their columns end the table:
 * KNOWN_COLUMNS. */
void cells_known(struct table *t, const cJSON *row);
#define KNOWN_COLUMNS                                                                              \
    {"planted", .optional = true}, {"truth", .right = true, .optional = true},                     \
        {"uri", .optional = true, .tail = true},                                                   \
    {                                                                                              \
        NULL                                                                                       \
    }

/* "1 to 20 of 12000 samples (--first 20 goes on)": the places of a reply's rows, and how to see the
 * others. Returns buf. */
#define PLACES_BYTES 128
char *places_text(const struct cli *cli, const cJSON *json, const cJSON *rows, const char *what,
                  char buf[PLACES_BYTES]);

/* Prints the table so that it fits the terminal, and frees it. */
void table_end(const struct cli *cli, struct table *t);

/* The epoch as given. */
void request_epoch(const struct cli *cli, cJSON *request);
/* An epoch as people gave it, counted from 1, as JSON counts; NOT_GIVEN: nothing. */
void request_add_epoch(cJSON *request, const char *name, int64_t epoch);
/* The class as given, of the dataset of the request's job. Errors as resolve_class. */
int request_class(struct cli *cli, cJSON *request, struct errbuf *why);

#endif
