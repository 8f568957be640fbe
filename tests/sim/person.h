/* The person at the other end: imports the dataset, submits the jobs and perhaps a study, pauses,
 * resumes, cancels and removes some, asks again until there is an answer, resumes what the server
 * paused, brings again what is damaged there, and when all jobs have ended pulls the plug once more
 * and looks at what is left. */
#ifndef STEPPE_TESTS_SIM_PERSON_H
#define STEPPE_TESTS_SIM_PERSON_H

#include <stddef.h>

#include <stdint.h>

#include "common/hash.h"

/* A file that the person has. */
struct person_file {
    char *data;
    size_t bytes;
    char sha256[SHA256_HEX];
};

/* The dataset, and a list of samples to leave out, whose content is borrowed. Call it when the
 * scenario is made. */
void person_begin(const struct person_file *dataset, const struct person_file *list);

struct message;
/* Of person.c: writes down what job.show says of a job that was made like that job file and
 * of which a revision from epoch `from` on was acknowledged (-1: none was). */
void person_show(int64_t job, int like, int64_t from, const struct message *m);

#endif
