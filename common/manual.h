/* Parts of manual pages that are made of a program's own tables, in the language man(7). `make`
 * asks each program for them and puts them into its pages: what --help says is what the page says.
 */
#ifndef STEPPE_COMMON_MANUAL_H
#define STEPPE_COMMON_MANUAL_H

#include <stdbool.h>
#include <stdio.h>

#include "common/options.h"

/* The first argument of whoever asks; what it wants comes behind it. */
#define MANUAL_ARG "--manual"

/* The text with every character as it is meant, also at the start of a line and in an option. */
void manual_text(const char *text, FILE *out);
void manual_line(const char *text, FILE *out); /* the same as a line */

/* An entry for each option of the command line. */
void manual_options(const struct option *table, FILE *out);
/* An entry for each option as a line of a configuration file; those that only a command line can
 * have are left out. */
void manual_settings(const struct option *table, FILE *out);

/* For the daemons: answers `--manual options` and `--manual settings`; false when the arguments are
 * none of these. */
bool manual_asked(const struct option *table, int argc, char **argv, FILE *out);

#endif
