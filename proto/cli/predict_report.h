/* What a model says of pictures, as a table, csv, JSON lines or numpy's file. */
#ifndef STEPPE_PROTO_CLI_PREDICT_REPORT_H
#define STEPPE_PROTO_CLI_PREDICT_REPORT_H

#include "proto/cli/command.h"
#include "proto/cli/predict_source.h"

struct predict_report {
    const struct predict_source *source;
    const float *logits; /* [source->count, source->classes] */
    const int32_t
        *twins; /* [source->count]: the class of the adversarial twin; NULL: not asked for */
};

enum predict_format { PREDICT_TABLE, PREDICT_CSV, PREDICT_JSONL };

void predict_print(const struct predict_report *r, enum predict_format format, bool colour,
                   FILE *out);
/* A line of the picture: path, class, probability, second, third, margin, twin, truth. */
cJSON *predict_row(const struct predict_report *r, uint32_t i);
/* The softmax of the logits, float32 [count, classes], to a file that numpy reads. */
int predict_write_npy(const struct predict_report *r, const char *path, struct errbuf *why);
/* Accuracy and confusion, of the pictures that have a label of the model: for people, and as JSON.
 */
void predict_print_confusion(const struct predict_report *r, bool colour, FILE *out);
void predict_add_confusion(const struct predict_report *r, cJSON *out);

#endif
