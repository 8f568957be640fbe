/* What every table of samples shows: label, truth, what was planted; and the options that choose
 * samples. */
#ifndef STEPPE_PROTO_CLI_SAMPLE_ROW_H
#define STEPPE_PROTO_CLI_SAMPLE_ROW_H

#include "proto/cli/command.h"
#include "proto/cli/table.h"

#define LABEL_BYTES 128 /* of a label with its name */

/* Of score.top and its relatives, NULL-terminated. */
extern const char *const measure_by_names[];

#define ARG(field) offsetof(struct args, field)
#define BY_OPTION                                                                                  \
    {                                                                                              \
        "by", OPT_ENUM, ARG(by), .def = "adm", .arg = "MEASURE", .names = measure_by_names,        \
                                 .help = "how difficulty is measured"                              \
    }
#define EPOCH_OPTION                                                                               \
    {                                                                                              \
        "epoch", OPT_INT, ARG(epoch),                                                              \
            .arg = "E", .max = EPOCHS_MAX - 1,                                                     \
            .help = "epoch, counted from 0 (default: the last scored one)"                         \
    }
#define CLASS_OPTION                                                                               \
    {                                                                                              \
        "class", OPT_INT, ARG(class_id), .arg = "C", .max = CLASSES_MAX - 1,                       \
                                         .help = "only this class, by number"                      \
    }
/* Where a page of a list begins. */
#define FIRST_OPTION                                                                               \
    {                                                                                              \
        "first", OPT_INT, ARG(first), .def = "0", .arg = "N", .max = SAMPLES_MAX,                  \
                                      .help = "skip the first N rows, as for the next page"        \
    }
#define LIMIT_OPTION                                                                               \
    {                                                                                              \
        "limit", OPT_INT, ARG(limit), .def = "20", .arg = "N", .min = 1, .max = ROWS_MAX,          \
                                      .help = "show at most N rows"                                \
    }

/* "3" or "3 (trouser)", from the number under `label` and the name under `label_name`; the name
 * only if it says more than the number. */
char *label_text(const cJSON *row, const char *label, const char *label_name,
                 char buf[LABEL_BYTES]);
/* The truth of a sample if its label differs. */
bool truth_differs(const cJSON *row, int64_t *ret);

void cell_label(struct table *t, const cJSON *row);
/* The class under `label`, with its name. */
void cell_class(struct table *t, const cJSON *row, const char *label, const char *label_name);
/* Two cells: planted, and the truth where it differs. Their columns end the table: KNOWN_COLUMNS.
 */
void cells_known(struct table *t, const cJSON *row);
#define KNOWN_COLUMNS                                                                              \
    {"planted", .optional = true}, {"truth", .right = true, .optional = true},                     \
    {                                                                                              \
        NULL                                                                                       \
    }

/* "1 to 20 of 12000 samples (--first 20 goes on)": the places of a reply's rows, and how to see the
 * others. Returns buf. */
#define PLACES_BYTES 128
char *places_text(const struct cli *cli, const cJSON *json, const cJSON *rows, const char *what,
                  char buf[PLACES_BYTES]);

/* epoch and class as given. */
void request_epoch(const struct cli *cli, cJSON *request);
void request_class(const struct cli *cli, cJSON *request);

#endif
