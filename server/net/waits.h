/* Where requests wait before their handler is called: a line for each kind of work that people and
 * workers ask for, each with a bound and served in turns (line.h). What the server does for itself
 * waits nowhere.
 *
 * A request keeps its place at work until it ends. So of what is asked for little is on a lane at
 * any time, a lane's own work (commits) passes the rest, and what waits can be dropped when its
 * connection leaves. */
#ifndef STEPPE_SERVER_NET_WAITS_H
#define STEPPE_SERVER_NET_WAITS_H

#include "server/net/line.h"

struct net;
struct request;

enum wait_line {
    WAIT_NONE,   /* answered on the loop, or held there */
    WAIT_ASK,    /* the databases, for people: the query lane */
    WAIT_SCAN,   /* the same, where it takes long: the scan lane */
    WAIT_REPLAY, /* all scores of a job, for people: the replay lane */
    WAIT_MODEL,  /* checkpoints, for people: the read lane */
    WAIT_WRITE,  /* commands that are durable before the reply: the store lane */
    WAIT_UPLOAD, /* pieces of uploads: the upload lane */
    WAIT_DATA,   /* pieces of datasets: the data lane */
    WAIT_COMMIT, /* whole datasets: the data lane, slice by slice */
    WAIT_RANKS,  /* orders and reports of training programs: the loop, one at a time */
    WAIT_COUNT
};
extern const char *const wait_names[]; /* NULL-terminated; that of WAIT_NONE is "" */

/* When whoever found no room should ask again. */
#define WAIT_RETRY_MS 500

void waits_open(struct net *net);
void waits_close(struct net *net);
/* Puts rq in line; net->handle gets it, now or later. No room: rq is answered `unavailable`. */
void waits_put(struct request *rq, enum wait_line wait);
/* rq ends, or its connection has left: its place is another's. Fine where it has none. */
void waits_end(struct request *rq);
/* Does rq wait for its handler? */
bool waits_is_waiting(const struct request *rq);

#endif
