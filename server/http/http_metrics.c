/* /metrics, in Prometheus' text format 0.0.4. Names and units follow its customs: base units,
 * _total for what only grows, no label that grows with jobs or samples. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "server/http/http_internal.h"
#include "server/net/metrics.h"
#include "server/net/net.h"

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

static void kinds(FILE *out, const char *name, const char *type, const char *label,
                  const char *help, const struct kinds *k)
{
    head(out, name, type, help);
    for (int i = 0; k->names[i]; i++)
        labelled(out, name, label, k->names[i], (double)k->counts[i]);
}

static void histogram(FILE *out, const char *name, const char *help, const struct times *t)
{
    uint64_t sum = 0;

    head(out, name, "histogram", help);
    for (int i = 0; i < TIMES_BUCKETS - 1; i++) {
        sum += t->buckets[i];
        fprintf(out, "steppe_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, times_bounds_s[i], sum);
    }
    fprintf(out, "steppe_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, t->count);
    fprintf(out, "steppe_%s_sum %.9g\nsteppe_%s_count %" PRIu64 "\n", name, t->sum_s, name,
            t->count);
}

static void print_states(const struct figures *f, FILE *out)
{
    kinds(out, "workers", "gauge", "state", "Workers by state.", &f->workers);
    kinds(out, "jobs", "gauge", "state", "Jobs by state.", &f->jobs);
    number(out, "jobs_waiting", "gauge",
           "Jobs that run and are not computed, mostly for want of a worker or of its results.",
           f->waiting_jobs);
    number(out, "leases_inflight", "gauge", "Leases that workers hold.", (double)f->leases);
    number(out, "threads_wanted", "gauge",
           "Threads of workers that running jobs and predictions could keep at work at once.",
           (double)f->threads_wanted);
}

static void print_counts(const struct metrics *m, const struct figures *f, FILE *out)
{
    static const struct {
        const char *name;
        enum metric_count count;
    } results[] = {{"ok", COUNT_SHARDS_OK},
                   {"retry", COUNT_SHARDS_RETRY},
                   {"fenced", COUNT_SHARDS_FENCED},
                   {"buried", COUNT_SHARDS_BURIED}},
      answers[] = {{"2xx", COUNT_HTTP_OK}, {"4xx", COUNT_HTTP_REFUSED}, {"5xx", COUNT_HTTP_FAILED}};
    double retry = (double)(m->counts[COUNT_SHARDS_RETRY] + f->reissued_shards);

    head(out, "shards_total", "counter", "Shards by the fate of their result.");
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
        labelled(out, "shards_total", "result", results[i].name,
                 results[i].count == COUNT_SHARDS_RETRY ? retry
                                                        : (double)m->counts[results[i].count]);
    number(out, "recomputed_shards_total", "counter", "Shards that were leased again.", retry);
    number(out, "images_per_second", "gauge", "Images per second that the running jobs train on.",
           f->images_per_s);
    number(out, "leases_expired_total", "counter", "Leases whose worker did not answer in time.",
           (double)m->counts[COUNT_LEASES_EXPIRED]);
    number(out, "checked_nodes_total", "counter",
           "Results that were compared with one of another key.", (double)m->counts[COUNT_CHECKED]);
    number(out, "combined_sums_total", "counter",
           "Sums of gradients that one worker gave to another, not to the server.",
           (double)m->counts[COUNT_COMBINED]);
    number(out, "liars_total", "counter",
           "Keys that were set aside for another result than two others had.",
           (double)m->counts[COUNT_LIARS]);
    head(out, "frames_rejected_total", "counter", "Messages answered with an error, by its code.");
    for (int i = 0; i < ERR_COUNT; i++)
        labelled(out, "frames_rejected_total", "reason", error_names[i],
                 (double)m->counts[COUNT_REJECTED + i]);
    kinds(out, "messages_refused_total", "counter", "reason",
          "Messages refused unopened, by reason.", &f->refused);
    head(out, "http_responses_total", "counter", "Answers to browsers by class of status.");
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        labelled(out, "http_responses_total", "class", answers[i].name,
                 (double)m->counts[answers[i].count]);
}

static void print_databases(const struct figures *f, FILE *out)
{
    head(out, "db_bytes", "gauge", "Size of a database file.");
    for (int i = 0; i < FIGURE_DATABASES; i++)
        labelled(out, "db_bytes", "file", f->databases[i].name, f->databases[i].bytes);
    head(out, "db_wal_bytes", "gauge", "Size of its write-ahead log.");
    for (int i = 0; i < FIGURE_DATABASES; i++)
        labelled(out, "db_wal_bytes", "file", f->databases[i].name, f->databases[i].log_bytes);
    head(out, "db_wal_held_bytes", "gauge",
         "Part of a large log that cannot be moved into its file because somebody reads an older "
         "state.");
    for (int i = 0; i < FIGURE_DATABASES; i++)
        labelled(out, "db_wal_held_bytes", "file", f->databases[i].name,
                 f->databases[i].log_held_bytes);
    head(out, "db_wal_held_seconds", "gauge", "For how long that part has been held.");
    for (int i = 0; i < FIGURE_DATABASES; i++)
        labelled(out, "db_wal_held_seconds", "file", f->databases[i].name, f->databases[i].held_s);
    number(out, "db_memory_bytes", "gauge",
           "What SQLite holds in memory, its page caches above all.", (double)f->sqlite_bytes);
}

static void print_queues(const struct metrics *m, const struct figures *f, FILE *out)
{
    number(out, "db_queue_items", "gauge", "Units of work that wait for the store.",
           f->store_items);
    number(out, "query_queue_items", "gauge", "Questions that wait for a reader.", f->query_items);
    number(out, "data_queue_items", "gauge", "Pieces of datasets that wait to be read.",
           f->data_items);
    number(out, "uploads_bytes", "gauge", "Uploads that nothing has taken over yet.",
           (double)f->uploads_bytes);
    number(out, "datasets_bytes", "gauge", "Files of datasets, with the names of samples.",
           (double)f->datasets_bytes);
    number(out, "disk_largest_key_bytes", "gauge",
           "Datasets, uploads and files of jobs of the key that has most.",
           (double)f->largest_bytes);
    if (f->share_bytes >= 0)
        number(out, "disk_key_limit_bytes", "gauge",
               "What one key may take of the disk with its datasets, uploads and jobs.",
               (double)f->share_bytes);
    if (f->free_bytes >= 0)
        number(out, "disk_free_bytes", "gauge", "Free room of the disk of the state folder.",
               (double)f->free_bytes);
    number(out, "disk_alarm", "gauge",
           "1 while new jobs and uploads are refused because that disk is nearly full.",
           f->disk_alarm);
    number(out, "keys_to_renew", "gauge", "Keys in use of whose span less than a quarter is left.",
           (double)f->keys_to_renew);
    if (m->checkpoint_ms)
        number(out, "checkpoint_age_seconds", "gauge",
               "Time since the last checkpoint became durable.",
               (double)(clock_mono_ms() - m->checkpoint_ms) / 1000);
    number(out, "event_loop_lag_seconds", "gauge", "How late the loop's last tick was.", m->lag_s);
    number(out, "event_loop_longest_seconds", "gauge",
           "The longest time in which the loop served nobody else.", m->longest_s);
}

/* Under the names that every client library of Prometheus uses. */
static void print_process(int64_t start_ms, FILE *out)
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
    double age_s = (double)(clock_mono_ms() - start_ms) / 1000;
    double page_bytes = (double)sysconf(_SC_PAGESIZE);
    fprintf(out,
            "# HELP process_cpu_seconds_total Time of processors that the server took.\n"
            "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n"
            "# HELP process_resident_memory_bytes Its memory that is in the machine's.\n"
            "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %.0f\n"
            "# HELP process_virtual_memory_bytes Its addresses that are taken.\n"
            "# TYPE process_virtual_memory_bytes gauge\nprocess_virtual_memory_bytes %.0f\n"
            "# HELP process_start_time_seconds When it started, unix time.\n"
            "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %.3f\n",
            cpu_s, (double)resident * page_bytes, (double)pages * page_bytes,
            (double)clock_unix_ms() / 1000 - age_s);
}

int http_metrics_print(const struct net *net, const struct figures *f, FILE *out)
{
    const struct metrics *m = &net->metrics;

    head(out, "build_info", "gauge", "The running version.");
    labelled(out, "build_info", "version", STEPPE_VERSION, 1);
    print_states(f, out);
    print_counts(m, f, out);
    histogram(out, "step_duration_seconds", "From one update of a job to the next.", &m->step);
    histogram(out, "shard_duration_seconds", "Time of a lease divided by its shards.", &m->shard);
    histogram(out, "db_commit_seconds", "A unit of work of the store, until it is durable.",
              &m->commit);
    histogram(out, "query_duration_seconds", "A question to the databases.", &m->query);
    histogram(out, "epoch_commit_seconds",
              "The end of an epoch: its scores, its checkpoint and its rows, until durable.",
              &m->epoch);
    histogram(out, "event_loop_turn_seconds", "The loop at work, from one wait to the next.",
              &m->turn);
    print_queues(m, f, out);
    print_databases(f, out);
    print_process(net->start_ms, out);
    return ferror(out) ? -EIO : 0;
}
