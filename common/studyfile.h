/* A study file: a job file, and above it what is varied. It is expanded into jobs that train for
 * the same epochs on the same samples with the same seeds, and differ by their arm only.
 *
 *   "name"      of the study
 *   "seeds"     [1, 2, 3]; default: the job file's seed alone
 *   "arms"      {"sgd": {"sam.rho": 0}, "sam": {}}: overrides, with dotted keys or nested
 *   "control"   the arm with which the others are compared
 *   "grid"      {"sam.rho": [0.05, 0.1], "dataset": ["a", "b"]}: values for every arm that does not
 *               set the key itself; or a range: {"uniform": [lo, hi]}, {"log_uniform": [lo, hi]},
 *               {"int_uniform": [lo, hi]}, both ends included
 *   "trials"    how many points are drawn from the ranges
 *   "halving"   true: the worse half of the arms stops after a quarter and after half of the
 * epochs, by validation accuracy
 *
 * Values of `dataset` (and of other keys that say on what is trained and tested) are columns of the
 * study's table; all others become part of the arm's name: "sam rho=0.05". A range's value in trial
 * t is a pure function of the job file's seed, the key and t, with four significant digits, so that
 * the name has all of it and more trials add to those that there are. */
#ifndef STEPPE_COMMON_STUDYFILE_H
#define STEPPE_COMMON_STUDYFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/err.h"

struct cJSON;

typedef char study_text[STUDY_ARM_BYTES];

struct studyfile_job {
    int arm, data; /* indices */
    uint64_t seed;
    struct cJSON *spec; /* its job file, owned */
    char *described;    /* jobspec_json of it without the name, as text, owned */
};

struct studyfile {
    char name[NAME_MAX_BYTES];
    int control; /* index of the arm */
    bool control_given;
    bool halving;
    int arm_count, data_count, seed_count, job_count;
    study_text *arms, *data; /* data: columns, by the name of the dataset */
    uint64_t seeds[STUDY_SEEDS_MAX];
    struct studyfile_job *jobs; /* [job_count] by seed, then data, then arm */
};

/* Has it a key that study files have and job files lack? */
bool studyfile_is(const struct cJSON *json);

/* Reads and expands a study file, and judges every job of it (jobspec_parse). -EINVAL with a
 * sentence that names the key, or the arms; -ERANGE: more of something than bounds.h allows;
 * -ENOMEM. ret is released with studyfile_done. */
int studyfile_parse(const struct cJSON *json, struct studyfile *ret, struct errbuf *why);
void studyfile_done(struct studyfile *f);

/* The first key in which two descriptions (studyfile_job.described) differ, with both values, as in
 * "sam.rho was 0.05 and is 0.1 now"; -EEXIST then, 0 when they mean the same. A description of an
 * older Steppe, which lacks newer keys, has their defaults. */
int studyfile_compare(const char *was, const char *is, struct errbuf *why);

#endif
