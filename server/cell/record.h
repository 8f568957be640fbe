/* What a server and its cells say to each other: records on a socket that keeps their borders
 * (SOCK_SEQPACKET). The first byte is the kind; numbers are those of this machine, since both ends
 * are one program.
 *
 * A server hands a cell's end of a new socket to the keeper and asks at its own. The cell answers
 * with columns and rows, as text of JSON arrays in pieces, then the end; or with an error. When it
 * has ended, the keeper says how, on the same socket. A server that hangs up ends the cell. */
#ifndef STEPPE_SERVER_CELL_RECORD_H
#define STEPPE_SERVER_CELL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/bounds.h"

enum record_kind {
    RECORD_QUESTION = 'q', /* struct record_question, SQL */
    RECORD_FILTER = 'f',   /* int32: 0, or why the system calls are not filtered */
    RECORD_COLUMNS = 'c',
    RECORD_ROWS = 'r',
    RECORD_END = 'z',    /* int32: are there more rows? */
    RECORD_ERROR = 'e',  /* int32: negative errno, a sentence */
    RECORD_STATUS = 's', /* int32: of wait(2); RECORD_OVERDUE: the keeper ended it */
};
#define RECORD_OVERDUE (-1)

struct record_question {
    int64_t job, limit;
};

/* Of one record behind its kind: the longest statement. */
#define RECORD_BYTES_MAX (JSON_REQUEST_BYTES_MAX + 64)
struct record {
    char kind;
    char data[RECORD_BYTES_MAX];
    size_t bytes; /* of data */
};

/* Sends one record: a (may be NULL), then b. flags: of send(2). 0 or -errno. */
int record_send(int fd, enum record_kind kind, const void *a, size_t a_bytes, const void *b,
                size_t b_bytes, int flags);
/* Sends text in as many records as it needs. */
int record_send_text(int fd, enum record_kind kind, const char *text, size_t bytes);
/* Waits for the next one. 1, 0: the other end is closed, -EBADMSG: it is empty or too long, or
 * -errno. */
int record_receive(int fd, struct record *ret);
/* The number that a record begins with; false: it is shorter. */
bool record_number(const struct record *r, int32_t *ret);

#endif
