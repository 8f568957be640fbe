/* One table drives command-line flags, the config file and --help.
 *
 *   static const struct option table[] = {
 *       { "listen", OPT_STR, offsetof(struct cfg, listen), .def = "tcp://127.0.0.1:7500",
 *         .arg = "URL", .help = "address to serve" },
 *       ... { 0 } };
 */
#ifndef STEPPE_COMMON_OPTIONS_H
#define STEPPE_COMMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

enum option_type {
    OPT_STR,   /* field is const char *; borrowed from argv or kept for the process (config) */
    OPT_INT,   /* field is int64_t, min..max */
    OPT_BYTES, /* the same, written as "4096", "512K", "300M" or "4G" */
    OPT_F64,   /* field is double, fmin..fmax */
    OPT_FLAG,  /* field is bool; takes no argument */
    OPT_ENUM,  /* field is int, index into names */
    OPT_MANY,  /* field is struct option_values: every value that is given; of commands only */
};

#define OPTION_VALUES_MAX 64 /* a job file has about as many keys */
struct option_values {
    int count;
    const char *at[OPTION_VALUES_MAX]; /* borrowed from argv, in their order */
};

struct option {
    const char *name; /* long name without dashes; NULL ends the table */
    enum option_type type;
    size_t offset;            /* of the field in the target struct */
    const char *def;          /* default as text; NULL leaves the field as it is */
    const char *arg;          /* word for the argument in --help */
    const char *help;         /* one line */
    char letter;              /* of OPT_FLAG: the option is also -L; 0: it is not */
    bool typed;               /* on the command line only, not in a file */
    int64_t min, max;         /* OPT_INT, OPT_BYTES; both 0: any */
    double fmin, fmax;        /* OPT_F64; both 0: any */
    const char *const *names; /* OPT_ENUM, NULL-terminated */
};

/* Sets every field of target to its default. 0 or -EINVAL for a bad default. */
int options_defaults(const struct option *table, void *target, struct errbuf *why);

/* Reads "name = value" lines from the file. A '#' at the start of a line or after a blank begins a
 * comment; a flag's value is true or false; a name is given once, but for OPT_MANY. A byte order
 * mark at the beginning is passed over. The sentence names file, line, option, value and range. */
int options_file(const struct option *table, const char *path, void *target, struct errbuf *why);

/* For a value that is refused later, in a sentence that begins with "--name": puts file and line
 * before it where they are what set the option, and not argv. config may be NULL. */
void options_blame(const char *config, int argc, char **argv, struct errbuf *why);

/* Reads argv[1..]: --name VALUE, --name=VALUE, --flag or its letter (-h is --help). Everything else
 * ("-" too), and all after "--", goes to rest (caller's array of argc entries), counted in
 * ret_rest. With rest NULL a positional is an error. A VALUE that begins with "--" must be written
 * with "=". An unknown option names the nearest valid one. 0 or -EINVAL. */
int options_args(const struct option *table, int argc, char **argv, void *target, char **rest,
                 int *ret_rest, struct errbuf *why);

/* For the daemons. Applies the defaults, then the flags. When the flags name a config file
 * (*config, a field of target), applies the file and then the flags again: flags win. Positionals
 * are an error. 0 or -errno. */
int options_read(const struct option *table, int argc, char **argv, void *target,
                 const char *const *config, struct errbuf *why);

/* What the option takes, as in "allowed is 1 to 256"; "" when it takes any text. Into buf,
 * returned.
 */
#define OPTION_RANGE_BYTES 256
const char *option_range(const struct option *o, char buf[OPTION_RANGE_BYTES]);

/* The first lines of such a file. */
#define OPTIONS_HEAD(program)                                                                      \
    "# Options of " program                                                                        \
    " (--config FILE), lines of \"name = value\". What stands behind a #\n"                        \
    "# is the default; what is given on the command line wins."

/* Prints a file for options_file (options_write.c): of every option what it is, its range, and its
 * value; behind a '#', if that is the default. initial: target as options_defaults left it. An
 * option whose default the program makes up later has the word for its argument there. */
void options_write(const struct option *table, const void *target, const void *initial, FILE *out);

/* What a value may be, and what it is where none is given: "1 to 256; default 4". Returns buf,
 * which holds "" for an option of which there is nothing to say. */
#define OPTION_LIMITS_BYTES 384
const char *option_limits(const struct option *o, char buf[OPTION_LIMITS_BYTES]);

/* The option with this name of `bytes` bytes, or NULL. */
const struct option *option_find(const struct option *table, const char *name, size_t bytes);

/* Prints a line an option with its limits, for --help. manual.h has the same for manual pages. */
void options_help(const struct option *table, FILE *out);

#endif
