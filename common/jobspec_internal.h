/* Shared by the files of the job description only. */
#ifndef STEPPE_COMMON_JOBSPEC_INTERNAL_H
#define STEPPE_COMMON_JOBSPEC_INTERNAL_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "common/jobspec.h"

enum row_type {
    ROW_SECTION,       /* an object; the rows "section.key" below it are its keys */
    ROW_NAME,          /* char[NAME_MAX_BYTES], as text_is_name */
    ROW_MODEL,         /* struct cJSON *, owned */
    ROW_INT,           /* int64_t */
    ROW_SEED,          /* uint64_t */
    ROW_F64,           /* double */
    ROW_RATIO,         /* double, also written "8/255" */
    ROW_SHARES,        /* struct shares, a list of numbers */
    ROW_BOOL,          /* bool */
    ROW_ENUM,          /* int, index into names */
    ROW_MEASURE,       /* a word of names, or something given instead (jobspec_given.c) */
    ROW_EXCLUDE,       /* struct exclude */
    ROW_WEIGHTS,       /* struct given */
    ROW_CHANNELS,      /* struct channels, a number a channel */
    ROW_NAMES,         /* struct names */
    ROW_DATASET,       /* char[NAME_MAX_BYTES], perhaps with a revision: jobspec_revisions.c */
    ROW_REVISIONS,     /* struct revisions */
    ROW_CLASS_WEIGHTS, /* struct class_weights: a word of names, or a list */
    ROW_CONFIG         /* struct cJSON *, owned: any object */
};

/* A choice of a word: "optimizer.name" is "adamw". */
struct choice {
    const char *path, *word;
};

struct row {
    const char *path; /* "epochs", "optimizer.lr"; NULL ends the table */
    enum row_type type;
    size_t offset;              /* of the field in struct jobspec */
    const char *def;            /* as a person would write it; NULL: the key is required */
    double min, max;            /* of a number */
    bool above_min, below_max;  /* the end itself is not allowed */
    const char *const *names;   /* ROW_ENUM */
    const struct choice *only;  /* the choice to which the key belongs; NULL: all */
    const struct choice *other; /* the choice for which the default differs, or NULL */
    const char *other_def;
    const char *help;
    bool external; /* jobs of engine external have the key */
};

extern const struct row jobspec_rows[]; /* the last has no path */

/* Has a number of it a range? And that range: "0 to 1", "above 0 to 1", "0 to below 1". */
#define RANGE_BYTES 128
bool row_ranged(const struct row *row);
const char *row_range(const struct row *row, char buf[RANGE_BYTES]);

/* Fills in the defaults that follow from other keys; json is the job file. */
void jobspec_settle(const struct cJSON *json, struct jobspec *spec);
/* Judges keys that depend on each other. 0 or -EINVAL with a sentence that has both values. */
int jobspec_check(const struct jobspec *spec, struct errbuf *why);

/* jobspec_given.c: reading and writing of what comes from outside; section or
 * root is the object that has the key. */
int given_read_measure(const cJSON *section, struct jobspec *spec, struct errbuf *why);
int given_read_exclude(const cJSON *root, struct jobspec *spec, struct errbuf *why);
int given_read_weights(const cJSON *root, struct jobspec *spec, struct errbuf *why);
cJSON *given_measure_json(const struct jobspec *spec);
cJSON *given_exclude_json(const struct jobspec *spec);
cJSON *given_weights_json(const struct jobspec *spec);

/* jobspec_channels.c: `path` is the key as the sentences call it, its last part the key of obj.
 * Without the key *ret stays as it is. */
int channels_read(const cJSON *obj, const char *where, const char *path, struct channels *ret,
                  struct errbuf *why);
cJSON *channels_json(const struct channels *c);
/* jobspec_names.c: likewise; also *ret of a refused list is released with names_done. */
int names_read(const cJSON *obj, const char *where, const char *path, struct names *ret,
               struct errbuf *why);
cJSON *names_json(const struct names *n);
void names_done(struct names *n);
/* jobspec_classes.c: likewise. */
int class_weights_read(const cJSON *obj, const char *path, struct class_weights *ret,
                       struct errbuf *why);
cJSON *class_weights_json(const struct class_weights *w);
/* jobspec_revisions.c: the keys `dataset` and, behind it, `revisions`. */
int revisions_read_dataset(const cJSON *root, struct jobspec *spec, struct errbuf *why);
int revisions_read(const cJSON *root, struct jobspec *spec, struct errbuf *why);
/* A number whose printed form reads back as the same double. NULL when memory is out. */
cJSON *jobspec_number_json(double v);
/* Is there something to write for a row of this type? */
bool given_used(const struct jobspec *spec, enum row_type type);

#endif
