/* Scores as text, a row a line: csv, or an object of JSON. */
#ifndef STEPPE_PROTO_CLI_SCORE_TEXT_H
#define STEPPE_PROTO_CLI_SCORE_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "proto/cli/sample_names.h"
#include "proto/cli/score_columns.h"

/* The names of the columns, as the first line of csv. */
void score_text_header(FILE *out);
/* All rows. names: of the samples; csv has an empty field and JSON no key where one has none. */
void score_text_rows(const struct score_columns *s, const struct sample_names *names, bool csv,
                     FILE *out);

#endif
