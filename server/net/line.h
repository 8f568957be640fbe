/* Turns: who may use a lane next. What waits has a bound, and whoever waits is served in turns, by
 * owner (a key, or without one an address) and within one in the order of coming: as each
 * connection has one request in the server, an owner's connections are served in turns as well.
 * Pure: no lane, no clock. */
#ifndef STEPPE_SERVER_NET_LINE_H
#define STEPPE_SERVER_NET_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/bounds.h"

/* All at least 1; "of one" is of an owner. */
struct line_limits {
    unsigned at_work, at_work_of_one;
    unsigned waiting, waiting_of_one;
    size_t bytes, bytes_of_one; /* of what waits */
};

struct owner_line;
/* One that waits or is at work; zeroed before. Owned by whoever asks, in its place until the end.
 */
struct turn {
    struct turn *next;
    struct owner_line *line; /* NULL: it does neither */
    bool at_work;
    size_t bytes;
};

struct line {
    struct line_limits limits;
    struct owner_line *first, **end; /* owners; the next one to be served is in front */
    unsigned at_work, waiting;
    size_t bytes;
    bool serving; /* somebody is in the loop that serves; the user's */
};

void line_open(struct line *t, const struct line_limits *limits);
/* Frees the lines; nothing may wait or be at work. */
void line_close(struct line *t);

enum line_answer {
    LINE_WAIT,       /* line_next will return it */
    LINE_FULL,       /* too many wait */
    LINE_FULL_OF_ONE /* too many of this owner wait */
};
/* Puts it in line. */
enum line_answer line_ask(struct line *t, struct turn *turn, const char *owner, size_t bytes);
/* The next one that may begin, from now on at work; NULL: none may. */
struct turn *line_next(struct line *t);
/* It waits or works no longer; fine for one that does neither. */
void line_end(struct line *t, struct turn *turn);

/* Of an owner, how many wait and work. */
unsigned line_of(const struct line *t, const char *owner);

#endif
