/* What the server serves: the databases, datasets, jobs and workers, and the limits they have. One
 * a server; handlers reach it through their request. */
#ifndef STEPPE_SERVER_JOBS_SERVICE_H
#define STEPPE_SERVER_JOBS_SERVICE_H

#include <stdint.h>

#include "common/bounds.h"
#include "proto/result.h"
#include "server/jobs/audit.h"
#include "server/jobs/datasets.h"
#include "server/jobs/disk_watch.h"
#include "server/jobs/incoming.h"
#include "server/jobs/jobs.h"
#include "server/jobs/keys.h"
#include "server/jobs/predictions.h"
#include "server/jobs/questions.h"
#include "server/jobs/studies.h"
#include "server/jobs/upkeep.h"
#include "server/jobs/workers.h"
#include "server/net/net.h"
#include "server/query/query.h"
#include "server/store/db.h"
#include "server/store/store.h"

struct http;

struct service {
    struct net *net;
    struct store *store;
    struct db_ends ends; /* of the store's work, when the server stops */
    struct query *query;
    struct query *scans;   /* used on the scan lane */
    struct query *replays; /* used on the replay lane */
    struct questions *questions;
    struct query *reader; /* of the read lane */
    struct datasets *datasets;
    struct incoming *incoming;
    struct jobs *jobs;
    struct studies *studies;
    struct workers *workers;
    struct predictions *predictions;
    struct upkeep *upkeep;
    struct audit *audit;
    struct keys *keys;
    struct disk_watch disk;
    struct result_room results; /* for the job that is being judged */
    struct failpoint failpoint; /* those on the loop's thread */
    char dir[STATE_DIR_BYTES];  /* the state folder, absolute */
    int64_t memory_bytes, max_running, checkpoint_s;
    int64_t combine_floats;       /* workers combine gradients that are longer */
    const struct http *dashboard; /* NULL: there is none */
};

#endif
