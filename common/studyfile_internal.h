/* Shared by the files of the study file only. */
#ifndef STEPPE_COMMON_STUDYFILE_INTERNAL_H
#define STEPPE_COMMON_STUDYFILE_INTERNAL_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "common/studyfile.h"

enum range { RANGE_NONE, RANGE_UNIFORM, RANGE_LOG, RANGE_INT };

/* A key of the grid. */
struct axis {
    const char *path;
    bool is_data;     /* of the columns, not of the arms */
    enum range range; /* RANGE_NONE: a list */
    double lo, hi;
    const cJSON *values; /* of a list; borrowed */
    int count;           /* of a list */
};

/* Overrides of an arm. */
struct override {
    char path[64];
    const cJSON *value; /* borrowed */
};

struct named_arm {
    const char *name; /* "" when the file has no arms */
    struct override *overrides;
    int count;
};

struct reading {
    const cJSON *json;
    uint64_t seed; /* of the ranges */
    int64_t trials;
    struct axis axes[STUDY_AXES_MAX];
    int axis_count;
    struct named_arm arms[STUDY_ARMS_MAX];
    int arm_count;
    const char *control; /* NULL: not given */
};

bool named_arm_sets(const struct named_arm *arm, const char *path);
/* studyfile.c: reads what is varied; released with reading_done. */
int reading_parse(const cJSON *json, struct reading *ret, struct studyfile *f, struct errbuf *why);
void reading_done(struct reading *r);
/* studyfile_expand.c: fills arms, data and jobs of f. */
int reading_expand(const struct reading *r, struct studyfile *f, struct errbuf *why);

extern const char *const studyfile_keys[]; /* beside those of a job file; NULL-terminated */

#endif
