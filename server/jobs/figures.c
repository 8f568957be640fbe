#include "server/jobs/figures.h"

#include <sqlite3.h>

#include "common/clock.h"
#include "server/jobs/disk_share.h"
#include "server/jobs/predictions.h"
#include "server/jobs/service.h"
#include "server/net/gate.h"
#include "server/net/holders.h"
#include "server/net/lane.h"
#include "server/net/net.h"
#include "server/store/db_log.h"

_Static_assert(WORKER_STATES <= FIGURE_KINDS_MAX && JOB_STATES <= FIGURE_KINDS_MAX &&
                   GATE_REASONS <= FIGURE_KINDS_MAX && DB_LOG_FILES == FIGURE_DATABASES,
               "figures have room for each kind");

/* Whoever adds workers wants to know how many could have work. A step's shards are what they share;
 * a sweep has more for a moment, after which they would be idle again. */
static uint64_t wanted_by_job(const struct job *job)
{
    return job->external || job->hold[0] ? 0 : (uint64_t)(job->spec.batch / job->spec.shard);
}

static void take_wanted(struct service *s, struct figures *ret)
{
    const struct prediction *p;
    const struct job *job;

    for (size_t i = 0; (job = jobs_running(s->jobs, i)) != NULL; i++)
        ret->threads_wanted += wanted_by_job(job);
    for (size_t i = 0; (p = predictions_at(s->predictions, i)) != NULL; i++)
        if (prediction_works(p))
            ret->threads_wanted += (p->count + p->shard - 1) / p->shard;
}

static void take_jobs(struct service *s, struct figures *ret)
{
    struct job *job;
    int64_t now_ms = clock_mono_ms();
    char waiting[80];

    ret->jobs.names = job_state_names;
    for (job = jobs_first(s->jobs); job; job = job->next)
        ret->jobs.counts[job->rec.state]++;
    for (size_t i = 0; (job = jobs_running(s->jobs, i)) != NULL; i++)
        if (job->away.run) {
            ret->reissued_shards += job->away.reissued;
            ret->images_per_s += job->away.progress.images_per_s;
        } else if (job->run) {
            ret->reissued_shards += run_reissued(job->run);
            if (workers_waiting(s->workers, job, waiting, sizeof(waiting)) ||
                workers_hold_up(s->workers, job, now_ms, waiting, sizeof(waiting)))
                ret->waiting_jobs++;
            else
                ret->images_per_s += run_progress(job->run).images_per_s;
        } else if (job->hold[0]) {
            ret->waiting_jobs++;
        }
}

static void take_workers(struct service *s, struct figures *ret)
{
    unsigned counts[WORKER_STATES] = {0};

    workers_count(s->workers, counts);
    ret->workers.names = worker_state_names;
    for (int i = 0; i < WORKER_STATES; i++)
        ret->workers.counts[i] = counts[i];
    ret->leases = counts[0];
}

static void take_databases(struct service *s, struct figures *ret)
{
    const struct log_keeper *keeper = upkeep_logs(s->upkeep);

    for (int i = 0; i < DB_LOG_FILES; i++) {
        struct database_figures *d = &ret->databases[i];
        d->name = db_log_files[i];
        d->bytes = (double)db_file_bytes(s->dir, d->name, "");
        d->log_bytes = (double)db_file_bytes(s->dir, d->name, "-wal");
        if (keeper->held_ms[i]) {
            d->log_held_bytes = (double)keeper->logs[i].held_bytes;
            d->held_s = (double)(clock_mono_ms() - keeper->held_ms[i]) / 1000;
        }
    }
    ret->sqlite_bytes = sqlite3_memory_used();
}

void figures_take(struct service *s, struct figures *ret)
{
    *ret = (struct figures){
        .refused.names = gate_reason_names,
        .store_items = lane_pending(s->net->store_lane),
        .query_items = lane_pending(s->net->query_lane) + lane_pending(s->net->scan_lane) +
                       lane_pending(s->net->replay_lane) + questions_waiting(s->questions),
        .data_items = lane_pending(s->net->data_lane),
        .uploads_bytes = incoming_bytes(s->incoming),
        .datasets_bytes = datasets_bytes(s->datasets),
        .largest_bytes = disk_share_largest(s),
        .share_bytes = disk_share_most(s),
        .free_bytes = s->disk.free_bytes,
        .disk_alarm = s->disk.alarm,
        .keys_to_renew = holders_to_renew(gate_holders(s->net->gate), clock_unix_ms())};
    for (int i = 0; i < GATE_REASONS; i++)
        ret->refused.counts[i] = gate_count(s->net->gate, i);
    take_jobs(s, ret);
    take_wanted(s, ret);
    take_workers(s, ret);
    take_databases(s, ret);
}
