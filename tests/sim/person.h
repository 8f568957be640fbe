/* The person at the other end: imports the dataset, submits the jobs, pauses, resumes, cancels and
 * removes some, asks again until there is an answer, resumes what the server paused, and when all
 * jobs have ended pulls the plug once more and looks at what is left. */
#ifndef STEPPE_TESTS_SIM_PERSON_H
#define STEPPE_TESTS_SIM_PERSON_H

#include <stddef.h>

/* data: the file of the dataset, borrowed; sha256 in hex. Call it when the plan is made. */
void person_begin(const void *data, size_t bytes, const char *sha256);

#endif
