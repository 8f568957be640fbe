/* What commands print: JSON, lines of text, notices. What came from a peer cannot steer the
 * terminal. */
#ifndef STEPPE_PROTO_CLI_PRINT_H
#define STEPPE_PROTO_CLI_PRINT_H

#include "proto/frame.h"

/* Prints the reply without its envelope as JSON: the key `only`, or all keys when that is NULL. */
void print_reply(const struct message *reply, const char *only);
void print_json(const cJSON *value);
void print_json_line(const cJSON *value); /* in one line */
/* Prints a line of text; characters that may not be shown become '?', so that text from a peer can
 * neither move the cursor nor turn the line. */
__attribute__((format(printf, 1, 2))) void print_text(const char *fmt, ...);
/* The same on stderr: a notice about progress. */
__attribute__((format(printf, 1, 2))) void print_note(const char *fmt, ...);

#endif
