/* The server: puts the rooms together on one libuv loop. Handlers run on the loop; SQLite and fsync
 * run on the store's lane, people's queries on the query lane, files of datasets on the data
 * lane. */
#ifndef STEPPE_SERVER_SERVER_H
#define STEPPE_SERVER_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/bounds.h"
#include "common/err.h"
#include "server/jobs/service.h"
#include "server/net/loop_busy.h"
#include "server/net/net.h"
#include "server/net/socket.h"
#include "server/store/store_upkeep.h"

struct server_options {
    const char *state; /* folder of the databases, datasets and checkpoints */
    const char
        *listen; /* URLs, comma separated, beside the socket in the state folder; NULL: none */
    const char *groups;  /* GROUP=ROLE, comma separated; NULL: none */
    const char *key;     /* file of cluster keys; NULL: none */
    const char *http;    /* address of the dashboard; NULL: the usual one, if it is free */
    const char *decoder; /* the program that decodes pictures for the dashboard; NULL: unknown */
    const char *config;
    int64_t memory_bytes; /* of the jobs that run */
    int64_t max_running;
    int64_t checkpoint_s;   /* between two checkpoints inside an epoch */
    int64_t uploads_bytes;  /* that nothing has taken over yet, of all senders */
    int64_t combine_floats; /* workers combine gradients that are longer; 0: than a message holds */
    struct retention retention;
    const char *cell_program; /* from which cells are made: the server's own; NULL: no SQL */
    int log_level;
    bool insecure_loopback; /* plain tcp on loopback, where every local user is an administrator */
    bool help, version, print_config;
};

struct server {
    struct net net;
    struct service service;
    struct locals *locals;
    struct socket plain, sealed; /* ipc, and loopback where that was asked for, take plain ones */
    struct http *http;           /* NULL: there is no dashboard */
    uv_timer_t tick;
    struct loop_busy busy;
    uv_signal_t sigint, sigterm, sighup;
    bool ran;        /* a job ran at the last tick */
    int64_t trim_ms; /* when memory is given back, while no job runs */
};

/* Judges the options before anything is touched. -EINVAL: an address, a group or the folder is
 * malformed; -ENOENT: there is no such group; -EPERM: the address may not be served. */
int server_check(const struct server_options *options, struct errbuf *why);
/* Takes the state folder, recovers what was running and binds the addresses. On failure everything
 * is closed again and the sentence says why. 0 or -errno. */
int server_open(struct server *s, const struct server_options *options, struct errbuf *why);
/* Serves until SIGINT or SIGTERM. */
void server_run(struct server *s);
void server_close(struct server *s);

#endif
