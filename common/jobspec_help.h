/* What people are told of the keys of a job file: for --help-job, the manual page and completion.
 */
#ifndef STEPPE_COMMON_JOBSPEC_HELP_H
#define STEPPE_COMMON_JOBSPEC_HELP_H

#include <stdbool.h>
#include <stdio.h>

/* The path of the index-th key ("sam.rho"), in the order of the table, and in *help what it means;
 * NULL behind the last. *section: it is an object, whose keys come next. */
const char *jobspec_key_at(int index, const char **help, bool *section);
/* A line a key: name, type, default, allowed values, meaning. */
void jobspec_help(FILE *out);
/* The same as entries of a manual page (man(7)), a heading of its own for each section. */
void jobspec_manual(FILE *out);

#endif
