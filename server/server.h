/* The server: one libuv loop that owns everything below. Handlers run on the loop; SQLite and fsync
 * on the store's lane; queries for people on the query lane; files of datasets on the data lane. */
#ifndef STEPPE_SERVER_SERVER_H
#define STEPPE_SERVER_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/bounds.h"
#include "common/err.h"
#include "common/halves.h"
#include "proto/result.h"
#include "server/http/http.h"
#include "server/jobs/datasets.h"
#include "server/jobs/incoming.h"
#include "server/jobs/jobs.h"
#include "server/jobs/upkeep.h"
#include "server/jobs/workers.h"
#include "server/net/gate.h"
#include "server/net/lane.h"
#include "server/net/metrics.h"
#include "server/net/transport.h"
#include "server/query/query.h"
#include "server/store/store.h"

struct server_options {
    const char *state;  /* folder of the databases, datasets and checkpoints */
    const char *listen; /* URLs, comma separated */
    const char *key;    /* file of cluster keys; NULL: none */
    const char *http;   /* address of the dashboard; NULL: the usual one, if it is free */
    const char *config;
    int64_t memory_bytes; /* of the jobs that run */
    int64_t max_running;
    int64_t checkpoint_s;  /* between two checkpoints inside an epoch */
    int64_t uploads_bytes; /* that nothing took over yet, of all senders */
    struct retention retention;
    int log_level;
    bool help, version;
};

/* A socket and what it takes: ipc and, without a key, loopback take plain messages. */
struct edge {
    struct server *server;
    struct transport *transport; /* NULL: it has no address */
    bool sealed_only;
};

struct server {
    uv_loop_t loop;
    uv_timer_t tick;
    uv_signal_t sigint, sigterm, sighup;
    struct gate *gate;
    struct edge plain, sealed;
    struct store *store;
    struct query *query;
    struct lane *store_lane, *query_lane, *data_lane;
    struct halves *halves;      /* of the runs; NULL: none */
    struct result_room results; /* for the one that is being judged */
    struct datasets *datasets;
    struct incoming *incoming;
    struct jobs *jobs;
    struct workers *workers;
    struct upkeep *upkeep;
    struct http *http; /* NULL: there is no dashboard */
    struct metrics metrics;
    bool ran;                   /* a job ran at the last tick */
    int64_t trim_ms;            /* memory is given back then, while no job runs */
    struct failpoint failpoint; /* those on the loop's thread */
    char dir[STATE_DIR_BYTES];  /* of the state, absolute */
    int64_t memory_bytes, max_running, checkpoint_s;
    int64_t start_ms;
    bool stopping;
};

/* Judges the options before anything is touched. -EINVAL: an address or the folder is malformed;
 * -EPERM: the address may not be served. */
int server_check(const struct server_options *options, struct errbuf *why);
/* Takes the state folder, recovers what was running and binds the addresses. On failure everything
 * is closed again and the sentence says why. 0 or -errno. */
int server_open(struct server *s, const struct server_options *options, struct errbuf *why);
/* Serves until SIGINT or SIGTERM. */
void server_run(struct server *s);
void server_close(struct server *s);

/* A message came in; dispatch.c. arg is its edge, body is owned. */
void server_message(void *arg, const struct token *from, void *body, size_t bytes);

#endif
