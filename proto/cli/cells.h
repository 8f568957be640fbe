/* Cells of tables, each from a key of a reply's object; an absent key is TABLE_NONE. */
#ifndef STEPPE_PROTO_CLI_CELLS_H
#define STEPPE_PROTO_CLI_CELLS_H

#include <cjson/cJSON.h>

#include "proto/cli/table.h"

void cell_text(struct table *t, const cJSON *obj, const char *name);
void cell_i64(struct table *t, const cJSON *obj, const char *name);
void cell_epoch(struct table *t, const cJSON *obj, const char *name); /* as people count, from 1 */
void cell_f64(struct table *t, const cJSON *obj, const char *name);   /* as cell_number */
void cell_share(struct table *t, const cJSON *obj, const char *name); /* 91.32% */
void cell_age(struct table *t, const cJSON *obj, const char *name);   /* of a time: "3 s ago" */
/* A number as all tables have it: four significant digits, without zeros at the end; NAN:
 * TABLE_NONE. Shares in percent have two decimals instead. */
void cell_number(struct table *t, double value);
/* The state of a job or worker, in its colour. */
void cell_state(struct table *t, const cJSON *obj, const char *name);
enum paint cell_state_paint(const char *state);

#endif
