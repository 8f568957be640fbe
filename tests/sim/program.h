/* Somebody's own training program and its external job: it opens the job, asks for the order of
 * each epoch for one to three ranks, reports, closes. It dies and comes back, from whatever epoch
 * its own checkpoint has, sometimes while the older process still speaks. */
#ifndef STEPPE_TESTS_SIM_PROGRAM_H
#define STEPPE_TESTS_SIM_PROGRAM_H

#include <stdint.h>

/* The person has submitted the job of that number, made like that job file. */
void program_begin(int64_t job, int spec);

#endif
