/* What transport.c and connection.c share. */
#ifndef STEPPE_SERVER_NET_TRANSPORT_INTERNAL_H
#define STEPPE_SERVER_NET_TRANSPORT_INTERNAL_H

#include <poll.h>

#include "server/net/arrival.h"
#include "server/net/local.h"
#include "server/net/transport.h"

union io {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct listener {
    union io io;
    struct transport *transport;
    bool ipc;
};

struct connection {
    union io io;
    uv_write_t write;
    struct transport *transport;
    uint32_t slot, generation;
    char address[PEER_BYTES];
    struct arrival in;
    int64_t heard_ms;        /* the connection, its greeting or the end of its last message */
    int64_t arrives_ms;      /* start of the arriving message; 0: none */
    int64_t leaves_ms;       /* start of the leaving reply; 0: none */
    int64_t rest_ms;         /* nothing is read before */
    bool busy;               /* its request is in the server */
    bool asked_for_more;     /* libuv is about to ask, behind its message */
    bool stopped;            /* nothing is read now */
    bool known;              /* it has proved a key, or need not */
    char owner[OWNER_BYTES]; /* by transport_known; "": nobody yet */
    struct local local;      /* of ipc */
    struct bucket bucket;
    bool of_people; /* its request is: which of `leaving` its reply counts in */
    void *what;     /* tied to its request; NULL: nothing */
    void *leaving;  /* body of the leaving reply */
};

struct transport {
    uv_timer_t sweep, linger, rest;
    uv_idle_t turn; /* runs while large is set: at the beginning of the next turn of the loop */
    struct locals *locals; /* NULL: nobody is judged */
    struct listener *listeners;
    int listener_count, handles; /* of libuv that are not closed yet */
    struct connection **slots;   /* NULL: free */
    uint32_t slot_count;         /* most connections */
    uint32_t connection_count;
    size_t arriving;   /* bytes of incomplete messages */
    size_t leaving[2]; /* bytes of replies that have not left: to workers, to people */
    size_t leaving_max[2];
    uint64_t cut; /* connections that did not take theirs, since the last line about them */
    struct pollfd *watched; /* [slot_count] of the sweep */
    uint64_t refused;       /* connections, since the last line about them */
    int64_t logged_ms;
    int64_t reply_ms; /* time of the last reply */
    bool large;       /* a large message was handed over in this turn of the loop */
    bool closing;
    uint32_t generation; /* of the last connection */
    transport_message on_message;
    transport_gone on_gone;
    transport_new on_new; /* NULL: nobody is a stranger */
    void *arg;
};

/* Counts a closed handle; the last one frees t. */
void transport_let_go(struct transport *t);
void connection_closed(uv_handle_t *handle); /* a uv_close_cb that frees it */
/* Ends a connection; whoever has its request hears of it. */
void connection_hang_up(struct connection *c);
/* Its state has changed: reads again, if it is to. */
void connection_go_on(struct connection *c);
int connection_read_start(struct connection *c); /* 0 or -errno */
void transport_on_rest(uv_timer_t *timer);       /* reads again where the rest is over */
void transport_on_turn(uv_idle_t *idle);         /* another large message may come */

#endif
