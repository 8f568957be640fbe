/* The simulated network between the server and its clients: every message may be late, lost or
 * doubled, overtake others, be cut off by a partition (either way), and come again much later,
 * when its sender and even that life of the server are long gone. */
#ifndef STEPPE_TESTS_SIM_NET_H
#define STEPPE_TESTS_SIM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bounds.h"
#include "proto/frame.h"

#define CLIENTS_MAX 34
#define CLIENT_NAMER (CLIENTS_MAX - 2)
#define CLIENT_PROGRAM (CLIENTS_MAX - 4) /* and the one behind it */

struct client;

/* A reply came in; m is released by the network afterwards. */
typedef void (*client_reply)(void *arg, const struct message *m);
/* Something came from another client. */
typedef void (*client_hear)(void *arg, const void *bytes, size_t count);

/* A client with one request outstanding at a time, sent again until it is answered. */
struct client {
    int number; /* 0: a person; else a worker, or one of those above */
    char sender[UUID_BYTES];
    int64_t id; /* of the outstanding request, 0: none */
    const char *type;
    void *body;
    size_t bytes;
    char what[200]; /* the request in words, for the journal */
    client_reply reply;
    client_hear hear; /* NULL: other clients do not reach it */
    void *arg;
    bool stalled; /* hears and says nothing */
};

void net_add(struct client *c);
/* Sends {type, v, id, sender, fields...} with tensors, and again every now and then until net_stop
 * or the reply. fields is owned. what: words for the journal behind the type. */
void net_ask(struct client *c, const char *type, cJSON *fields, const struct tensor *tensors,
             int count, const char *what);
/* Forgets the outstanding request. */
void net_stop(struct client *c);
/* Sends the outstanding request once more, now. */
void net_again(struct client *c);

/* Sends something to another client, once. */
void net_pass(const struct client *from, int to, const void *bytes, size_t count);

/* Cuts client `number` (-1: all) off for so long. up: what it sends is lost; down: what it gets. */
void net_cut(int number, bool up, bool down, int64_t us);
/* An old message comes once more. */
void net_replay(void);
void net_server_gone(void);

#endif
