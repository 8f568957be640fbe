/* Names and units follow Prometheus' customs: base units, _total for what only grows, no label that
 * grows with jobs or samples. */
#include "server/net/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "server/server.h"

/* Of the buckets, in seconds; the last one has none. */
static const double bounds_s[TIMES_BUCKETS - 1] = {
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30};

void metrics_time(struct times *t, double seconds)
{
    int i = 0;

    while (i < TIMES_BUCKETS - 1 && seconds > bounds_s[i])
        i++;
    t->buckets[i]++;
    t->count++;
    t->sum_s += seconds;
}

void metrics_lane(struct metrics *m, bool is_store, double seconds)
{
    metrics_time(is_store ? &m->commit : &m->query, seconds);
}

void metrics_step(struct metrics *m, struct step_time *last, uint64_t step, double now_s)
{
    if (last->s > 0 && last->number + 1 == step)
        metrics_time(&m->step, now_s - last->s);
    *last = (struct step_time){step, now_s};
}

void metrics_tick(struct metrics *m, int64_t now_ms, int64_t period_ms)
{
    int64_t late_ms = m->tick_ms ? now_ms - m->tick_ms - period_ms : 0;

    m->lag_s = late_ms > 0 ? (double)late_ms / 1000 : 0;
    m->tick_ms = now_ms;
}

/* --- text --- */

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP steppe_%s %s\n# TYPE steppe_%s %s\n", name, help, name, type);
}

static void number(FILE *out, const char *name, const char *type, const char *help, double value)
{
    head(out, name, type, help);
    fprintf(out, "steppe_%s %.17g\n", name, value);
}

static void labelled(FILE *out, const char *name, const char *label, const char *value, double n)
{
    fprintf(out, "steppe_%s{%s=\"%s\"} %.17g\n", name, label, value, n);
}

static void histogram(FILE *out, const char *name, const char *help, const struct times *t)
{
    uint64_t sum = 0;

    head(out, name, "histogram", help);
    for (int i = 0; i < TIMES_BUCKETS - 1; i++) {
        sum += t->buckets[i];
        fprintf(out, "steppe_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, bounds_s[i], sum);
    }
    fprintf(out, "steppe_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, t->count);
    fprintf(out, "steppe_%s_sum %.9g\nsteppe_%s_count %" PRIu64 "\n", name, t->sum_s, name,
            t->count);
}

static void print_counts(struct server *s, FILE *out)
{
    struct metrics *m = &s->metrics;
    struct job *job;
    double retry = (double)m->counts[COUNT_SHARDS_RETRY], images_per_s = 0;
    char waiting[80];
    static const char *const results[] = {"ok", "retry", "fenced", "buried"};
    static const char *const classes[] = {"2xx", "4xx", "5xx"};

    for (size_t i = 0; (job = jobs_running(s->jobs, i)) != NULL; i++)
        if (job->run) {
            retry += (double)run_reissued(job->run);
            if (!workers_waiting(s->workers, job, waiting, sizeof(waiting)))
                images_per_s += run_progress(job->run).images_per_s;
        }
    head(out, "shards_total", "counter", "Shards by what became of their result.");
    for (int i = 0; i < 4; i++)
        labelled(out, "shards_total", "result", results[i],
                 i == COUNT_SHARDS_RETRY ? retry : (double)m->counts[COUNT_SHARDS_OK + i]);
    number(out, "recomputed_shards_total", "counter", "Shards that were leased again.", retry);
    number(out, "images_per_second", "gauge", "Images trained a second by the jobs that run.",
           images_per_s);
    number(out, "leases_expired_total", "counter", "Leases whose worker did not answer in time.",
           (double)m->counts[COUNT_LEASES_EXPIRED]);
    head(out, "frames_rejected_total", "counter", "Messages answered with an error, by its code.");
    for (int i = 0; i < ERR_COUNT; i++)
        labelled(out, "frames_rejected_total", "reason", error_names[i],
                 (double)m->counts[COUNT_REJECTED + i]);
    head(out, "messages_refused_total", "counter", "Messages turned away unopened, by why.");
    for (int i = 0; gate_reason_names[i]; i++)
        labelled(out, "messages_refused_total", "reason", gate_reason_names[i],
                 (double)gate_count(s->gate, i));
    head(out, "http_responses_total", "counter", "Answers to browsers by class of status.");
    for (int i = 0; i < 3; i++)
        labelled(out, "http_responses_total", "class", classes[i],
                 (double)m->counts[COUNT_HTTP_OK + i]);
}

static void print_states(struct server *s, FILE *out)
{
    unsigned workers[WORKER_STATES] = {0}, jobs[JOB_STATES] = {0};

    workers_count(s->workers, workers);
    head(out, "workers", "gauge", "Workers by state.");
    for (int i = 0; worker_state_names[i]; i++)
        labelled(out, "workers", "state", worker_state_names[i], workers[i]);
    for (struct job *job = jobs_first(s->jobs); job; job = job->next)
        jobs[job->rec.state]++;
    head(out, "jobs", "gauge", "Jobs by state.");
    for (int i = 0; i < JOB_STATES; i++)
        labelled(out, "jobs", "state", job_state_names[i], jobs[i]);
    number(out, "leases_inflight", "gauge", "Leases that workers hold.", workers[0]);
}

static double file_bytes(const struct server *s, const char *name)
{
    char path[sizeof(s->dir) + 32];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", s->dir, name);
    return stat(path, &st) == 0 ? (double)st.st_size : 0;
}

static void print_store(struct server *s, FILE *out)
{
    const struct metrics *m = &s->metrics;
    static const char *const files[] = {"difficulty.db", "state.db", NULL};
    char log[32];

    number(out, "db_queue_items", "gauge", "Units of work that wait for the store.",
           lane_pending(s->store_lane));
    number(out, "query_queue_items", "gauge", "Questions that wait for a reader.",
           lane_pending(s->query_lane));
    number(out, "data_queue_items", "gauge", "Pieces of datasets that wait to be read.",
           lane_pending(s->data_lane));
    number(out, "uploads_bytes", "gauge", "Uploads that nothing took over yet.",
           (double)incoming_bytes(s->incoming));
    head(out, "db_bytes", "gauge", "Size of a database file.");
    for (int i = 0; files[i]; i++)
        labelled(out, "db_bytes", "file", files[i], file_bytes(s, files[i]));
    head(out, "db_wal_bytes", "gauge", "Size of its write-ahead log.");
    for (int i = 0; files[i]; i++) {
        snprintf(log, sizeof(log), "%s-wal", files[i]);
        labelled(out, "db_wal_bytes", "file", files[i], file_bytes(s, log));
    }
    const struct db_log_keeper *logs = upkeep_logs(s->upkeep);
    head(out, "db_wal_held_bytes", "gauge",
         "Of a large log, what cannot be moved into its file because somebody reads an older "
         "state.");
    for (int i = 0; i < DB_LOG_FILES; i++)
        labelled(out, "db_wal_held_bytes", "file", db_log_files[i],
                 logs->held_ms[i] ? (double)logs->logs[i].held_bytes : 0);
    head(out, "db_wal_held_seconds", "gauge", "For how long it has been.");
    for (int i = 0; i < DB_LOG_FILES; i++)
        labelled(out, "db_wal_held_seconds", "file", db_log_files[i],
                 logs->held_ms[i] ? (double)(clock_mono_ms() - logs->held_ms[i]) / 1000 : 0);
    number(out, "db_memory_bytes", "gauge",
           "What SQLite holds in memory, its page caches above all.",
           (double)sqlite3_memory_used());
    if (m->checkpoint_ms)
        number(out, "checkpoint_age_seconds", "gauge", "Since the last checkpoint was durable.",
               (double)(clock_mono_ms() - m->checkpoint_ms) / 1000);
    number(out, "event_loop_lag_seconds", "gauge", "How late the loop's last tick was.", m->lag_s);
}

/* Under the names that every client library of Prometheus uses. */
static void print_process(struct server *s, FILE *out)
{
    struct rusage usage = {0};
    long pages = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");

    if (statm && fscanf(statm, "%ld %ld", &pages, &resident) != 2)
        pages = resident = 0;
    if (statm)
        fclose(statm);
    getrusage(RUSAGE_SELF, &usage);
    double cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    double age_s = (double)(clock_mono_ms() - s->start_ms) / 1000;
    double page_bytes = (double)sysconf(_SC_PAGESIZE);
    fprintf(out,
            "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n"
            "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %.0f\n"
            "# TYPE process_virtual_memory_bytes gauge\nprocess_virtual_memory_bytes %.0f\n"
            "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %.3f\n",
            cpu_s, (double)resident * page_bytes, (double)pages * page_bytes,
            (double)clock_unix_ms() / 1000 - age_s);
}

int metrics_print(struct server *s, FILE *out)
{
    const struct metrics *m = &s->metrics;

    head(out, "build_info", "gauge", "The version that runs.");
    labelled(out, "build_info", "version", STEPPE_VERSION, 1);
    print_states(s, out);
    print_counts(s, out);
    histogram(out, "step_duration_seconds", "From one update of a job to the next.", &m->step);
    histogram(out, "shard_duration_seconds", "A lease's time by its shards.", &m->shard);
    histogram(out, "db_commit_seconds", "A unit of work of the store, until it is durable.",
              &m->commit);
    histogram(out, "query_duration_seconds", "A question to the databases.", &m->query);
    print_store(s, out);
    print_process(s, out);
    return ferror(out) ? -EIO : 0;
}
