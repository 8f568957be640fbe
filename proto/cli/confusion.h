/* What samples of each class are taken for, as a table, csv or JSON. */
#ifndef STEPPE_PROTO_CLI_CONFUSION_H
#define STEPPE_PROTO_CLI_CONFUSION_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct confusion {
    uint32_t classes;
    char *const *names;     /* [classes] */
    const uint32_t *counts; /* [classes, classes]: row: of the class, column: taken for */
    const char *title;      /* of what a row is named after: "label", "folder" */
};

uint64_t confusion_all(const struct confusion *c);
uint64_t confusion_right(const struct confusion *c);
/* All counts where the classes fit a screen, else the pairs that are confused most often. */
void confusion_print(const struct confusion *c, bool colour, FILE *out);
/* A line of names, then a line for each class. */
void confusion_print_csv(const struct confusion *c, FILE *out);
/* right, accuracy (unless there is nothing) and confusion: an array of rows. */
void confusion_add_json(const struct confusion *c, cJSON *out);

#endif
