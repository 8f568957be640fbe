/* Somebody who names the samples of the dataset, and names them anew, while everything else goes
 * on. */
#ifndef STEPPE_TESTS_SIM_NAMER_H
#define STEPPE_TESTS_SIM_NAMER_H

#include "tests/sim/person.h"

#define NAMER_FILES 2

/* The names that file `which` gives to the samples, written for the dataset with this SHA-256. */
int namer_write(const char *path, const char *dataset_sha256, int which, struct errbuf *why);

/* Brings one names file after the other until the world ends, and looks now and then what samples
 * are called. Once it was answered each has its name, whatever dies later; while newer ones come,
 * an earlier or a newer one. The files are borrowed. */
void namer_begin(const struct person_file files[NAMER_FILES]);

#endif
