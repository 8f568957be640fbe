/* What may come next on a command line, from the table that reads it. The shells' completion
 * (deploy/completion) asks the program itself, so it knows what the program knows.
 *
 * An answer is a line a candidate: the word, a tab, what it means. A line that begins with ':' asks
 * the shell for names: ":files" or ":folders". */
#ifndef STEPPE_COMMON_COMPLETION_H
#define STEPPE_COMMON_COMPLETION_H

#include <stdbool.h>
#include <stdio.h>

#include "common/options.h"

/* The first argument of whoever asks; behind it the words after the program's name, up to the one
 * that is being written, which may be empty. */
#define COMPLETION_ARG "--complete"

/* What the last of the words is. */
struct completion {
    const char *word;            /* all of it */
    size_t lead;                 /* its bytes before what is being written: "--by=" */
    const struct option *option; /* of which it is the value; NULL: it is none */
    bool dashed;                 /* it begins like an option */
    int before;                  /* how many words before it are no options and no values */
    int first;                   /* the index of the first of these, or count - 1 */
};

/* Looks at the words (one at least). Options that are not in the table are taken for flags. */
void completion_look(const struct option *table, int count, char *const *words,
                     struct completion *ret);

/* Writes a candidate if it goes on from what is written. `about` may be NULL; what could steer a
 * terminal becomes '?'. */
void completion_offer(const struct completion *c, const char *candidate, const char *about,
                      FILE *out);
/* Offers the options of the table. */
void completion_offer_options(const struct completion *c, const struct option *table, FILE *out);
/* Offers what the option's own row says of its values: words, files, folders. False: it does not
 * say. */
bool completion_offer_value(const struct completion *c, FILE *out);
/* Asks for the files or folders that a word in capitals stands for ("FILE.csv", "DIR", "PATH").
 * False: it stands for none. */
bool completion_offer_files(const char *stands, FILE *out);

/* For the daemons, which take options only: answers; false when nobody asks. */
bool completion_asked(const struct option *table, int argc, char **argv, FILE *out);

#endif
