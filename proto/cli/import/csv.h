/* Tables as text: fields with commas between them, in quotes where they hold a comma, a quote or a
 * line break (RFC 4180). Read are those with semicolons or tabs, too, if the first line has no
 * comma. */
#ifndef STEPPE_PROTO_CLI_IMPORT_CSV_H
#define STEPPE_PROTO_CLI_IMPORT_CSV_H

#include <stddef.h>
#include <stdio.h>

#include "common/err.h"

#define CSV_FIELDS_MAX 64

struct csv {
    char *text; /* owned; fields point into it */
    char *at;   /* the next record */
    size_t line;
    char separator;
};

struct csv_record {
    size_t line; /* of the file, from 1, where it begins */
    int count;
    char *fields[CSV_FIELDS_MAX];
};

/* Reads the file (plain_text_read) as text in UTF-8. */
int csv_open(const char *path, const char *wanted, struct csv *ret, struct errbuf *why);
void csv_close(struct csv *c); /* a zeroed struct is fine */
/* The next record that is not empty: 1; 0: there is none. -EINVAL: it is broken, and the sentence
 * says how; what follows can be read unless a quote is open. */
int csv_next(struct csv *c, struct csv_record *ret, struct errbuf *why);
/* Cuts the blanks around a field off. */
char *csv_trim(char *field);
/* Writes a field, in quotes where it needs them. */
void csv_write(const char *text, FILE *out);

#endif
