/* plan: how fast a job would go on more workers, and what would hold it back (common/capacity.h).
 */
#include "proto/cli/command.h"

#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/capacity.h"
#include "common/field.h"
#include "common/jobspec.h"
#include "common/model.h"
#include "common/text.h"
#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/resolve.h"
#include "proto/cli/table.h"

#define FILE_ENDING ".json"
#define ROWS_MOST 16 /* powers of two up to WORKERS_MAX, and the number that was asked for */
#define REPLY_ROW "the server's reply"
/* Passes of a training step in forward passes: a backward pass is two. */
#define PASSES_PLAIN 3
#define PASSES_SAM 6
#define PASSES_FUSED 7

const struct option plan_options[] = {
    {"workers", OPT_INT, offsetof(struct args, workers), .def = "16", .arg = "W", .min = 1,
     .max = WORKERS_MAX, .help = "how many workers there may be"},
    {"threads", OPT_INT, offsetof(struct args, threads), .arg = "T", .min = 1, .max = THREADS_MAX,
     .help = "threads of each worker (default: as the job has now, else 1)"},
    {"network", OPT_STR, offsetof(struct args, network), .arg = "RATE",
     .help = "the server's link in bits per second, such as 1G, 10G or 25G (default: workers are "
             "on the server's machine)"},
    {"processors", OPT_INT, offsetof(struct args, processors), .def = "2", .arg = "P", .min = 1,
     .max = 1024, .help = "processors of the server that workers do not use"},
    {"shard-ms", OPT_F64, offsetof(struct args, shard_ms), .arg = "MS", .fmin = 0.001, .fmax = 1e7,
     .help = "how long a thread computes a shard (default: as the job does now, else estimated "
             "from its model)"},
    {NULL},
};

enum source { SOURCE_GIVEN, SOURCE_MEASURED, SOURCE_ESTIMATED };
static const char *const source_names[] = {"given", "measured", "estimated"};

struct plan {
    struct jobspec spec;
    struct model model;
    struct capacity_job job;
    struct capacity_site site;
    enum source source;
    int64_t number; /* of the job; 0: a file */
};

/* --- what is known --- */

/* The image size and the classes of the job's dataset. */
static int read_dataset(struct cli *cli, struct plan *p, struct errbuf *why)
{
    static const float zero[CHANNELS_MAX], one[CHANNELS_MAX] = {[0 ... CHANNELS_MAX - 1] = 1};
    cJSON *request = cJSON_CreateObject();
    struct message reply;
    const cJSON *row, *input = NULL;
    uint32_t sides[3] = {0};
    int64_t classes = 0;
    int i = 0;

    cJSON_AddStringToObject(request, "name", p->spec.dataset);
    int rc = connection_call(cli, MSG_DATASET_SHOW, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "dataset", &row, why);
    if (rc == 0)
        rc = field_i64(row, REPLY_ROW, "classes", true, 1, CLASSES_MAX, &classes, why);
    if (rc == 0)
        input = cJSON_GetObjectItemCaseSensitive(row, "input");
    const cJSON *entry;
    cJSON_ArrayForEach(entry, input) if (cJSON_IsNumber(entry) && entry->valuedouble >= 1 &&
                                         entry->valuedouble <= IMAGE_SIDE_MAX && i < 3) sides[i++] =
        (uint32_t)entry->valuedouble;
    if (rc == 0 && i != 3)
        rc = err_set(why, -EINVAL, "dataset %s has no pictures to train on", p->spec.dataset);
    if (rc == 0)
        rc = model_parse(p->spec.model, (struct dims){sides[0], sides[1], sides[2]},
                         (uint32_t)classes, zero, one, &p->model, why);
    message_done(&reply);
    return rc;
}

/* Threads of the workers that compute for the job now; *ret_workers is how many workers. */
static int64_t threads_now(struct cli *cli, int64_t job, int64_t *ret_workers)
{
    struct message reply;
    struct errbuf why;
    const cJSON *list = NULL, *row;
    int64_t threads = 0;

    *ret_workers = 0;
    if (connection_call(cli, MSG_WORKER_LIST, NULL, &reply, &why) != 0)
        return 0;
    if (reply_array(reply.json, "workers", &list, &why) == 0)
        cJSON_ArrayForEach(row, list)
        {
            int64_t its = 0, of = 0;
            if (!reply_i64(row, "job", &its) || its != job || !reply_i64(row, "threads", &of))
                continue;
            threads += of;
            ++*ret_workers;
        }
    message_done(&reply);
    return threads;
}

/* The time of a shard that explains the speed of the job now, with the workers it has. A step that
 * is faster than the network allows was not made over it. */
static void measure(struct cli *cli, const cJSON *row, struct plan *p)
{
    int64_t workers;
    const int64_t threads = threads_now(cli, p->number, &workers);
    double rate;

    if (workers == 0 || !reply_f64(row, "images_per_s", &rate) || !(rate > 0))
        return;
    const double step_s = (double)p->job.batch / rate;
    struct capacity_site now = {.workers = workers,
                                .threads = threads > workers ? threads / workers : 1,
                                .processors = p->site.processors,
                                .bits_per_s = p->site.bits_per_s,
                                .trees = p->site.trees};
    if (capacity_of(&capacity_costs, &p->job, &now).step_s >= step_s)
        now.bits_per_s = 0;
    p->job.shard_s = capacity_shard(&capacity_costs, &p->job, &now, step_s);
    p->source = SOURCE_MEASURED;
    if (p->site.threads == 0)
        p->site.threads = now.threads;
}

static void estimate(struct plan *p)
{
    const bool fused = p->spec.score_source == SOURCE_TRAIN, sam = p->spec.rho > 0;
    const double passes = fused ? PASSES_FUSED : sam ? PASSES_SAM : PASSES_PLAIN;

    p->job.shard_s =
        2.0 * passes * (double)model_macs(&p->model) * (double)p->job.shard / capacity_costs.flops;
    p->source = SOURCE_ESTIMATED;
}

/* The spec of a job, or of a file, whose JSON this is (borrowed), and what follows from it. row: of
 * the job; NULL: a file. */
static int learn(struct cli *cli, const cJSON *spec, const cJSON *row, struct plan *p,
                 struct errbuf *why)
{
    int rc = jobspec_parse(spec, &p->spec, why);

    if (rc == 0 && jobspec_external(&p->spec))
        rc = err_set(why, -EINVAL, "a program of its own trains this job, without workers");
    if (rc == 0)
        rc = read_dataset(cli, p, why);
    if (rc != 0)
        return rc;
    p->job = (struct capacity_job){
        .floats = p->model.floats,
        .batch = p->spec.batch,
        .shard = p->spec.shard,
        .trips = p->spec.sam_scope == SCOPE_BATCH && p->spec.rho > 0 ? 2 : 1,
        .state_vectors = p->spec.optimizer.kind == OPTIMIZER_ADAMW ? 2
                         : p->spec.optimizer.momentum > 0          ? 1
                                                                   : 0,
        .shard_s = cli->args->shard_ms / 1000,
    };
    p->site.trees = p->spec.verify == 0; /* as the server has it */
    if (cli->args->shard_ms == 0 && row)
        measure(cli, row, p);
    if (p->job.shard_s == 0)
        estimate(p);
    p->site.threads = p->site.threads > 0 ? p->site.threads : 1;
    return 0;
}

static bool is_file(const char *word)
{
    const size_t n = strlen(word), ending = strlen(FILE_ENDING);

    return n > ending && strcmp(word + n - ending, FILE_ENDING) == 0;
}

static int learn_job(struct cli *cli, struct plan *p, struct errbuf *why)
{
    const cJSON *spec = NULL, *row = NULL;
    struct message reply;
    cJSON *request;

    int rc = command_job(cli, &p->number, why);
    if (rc != 0)
        return rc;
    request = cJSON_CreateObject();
    cJSON_AddNumberToObject(request, "job", (double)p->number);
    rc = connection_call(cli, MSG_JOB_SHOW, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "spec", &spec, why);
    if (rc == 0)
        rc = reply_object(reply.json, "job", &row, why);
    if (rc == 0)
        rc = learn(cli, spec, row, p, why);
    message_done(&reply);
    return rc;
}

static int learn_file(struct cli *cli, struct plan *p, struct errbuf *why)
{
    cJSON *json = NULL;
    int rc = field_parse_file(cli->words[0], JSON_REQUEST_BYTES_MAX, &json, why);

    if (rc == 0)
        rc = learn(cli, json, NULL, p, why);
    cJSON_Delete(json);
    return rc;
}

/* --- what is said --- */

/* Numbers of workers, rising: powers of two, then the one that was asked for. */
static int worker_counts(int64_t most, int64_t ret[ROWS_MOST])
{
    int n = 0;

    for (int64_t w = 1; w < most && n < ROWS_MOST - 1; w *= 2)
        ret[n++] = w;
    ret[n++] = most;
    return n;
}

static struct capacity row_of(const struct plan *p, int64_t workers)
{
    struct capacity_site site = p->site;

    site.workers = workers;
    return capacity_of(&capacity_costs, &p->job, &site);
}

/* What to do, by limit. */
static const char *const advice[] = {
    [LIMIT_COMPUTE] = "the workers compute for most of the time: more of them make it faster",
    [LIMIT_SHARDS] = "there are more threads than shards in a batch: a smaller shard or a larger "
                     "batch gives more workers something to do",
    [LIMIT_SERVER] =
        "the server's processors are busy with vectors: fewer workers with more threads each send "
        "fewer of them, and a larger batch makes fewer steps of an epoch",
    [LIMIT_NETWORK] =
        "the server's link is full of vectors: fewer workers with more threads each send fewer of "
        "them, and a larger batch makes fewer steps of an epoch",
    [LIMIT_WORKER] =
        "a worker's vectors are on their way for longer than it computes: more shards for each "
        "worker, by a larger batch or fewer workers with more threads, make that up",
};

static void print_head(const struct plan *p)
{
    char vector[DRAW_TEXT_BYTES], memory[DRAW_TEXT_BYTES];
    const int64_t shards = p->job.batch / p->job.shard;

    print_text("%s: %zu parameters (%s), batch %lld in %lld shard%s of %lld", p->model.name,
               p->model.param_total, draw_bytes(p->job.floats * sizeof(float), vector),
               (long long)p->job.batch, (long long)shards, text_s((double)shards),
               (long long)p->job.shard);
    print_text("a thread computes a shard in %.4g ms (%s); workers of %lld thread%s",
               1000 * p->job.shard_s, source_names[p->source], (long long)p->site.threads,
               text_s((double)p->site.threads));
    print_text("the server holds %s for the job's vectors",
               draw_bytes((uint64_t)capacity_memory(&p->job), memory));
    if (row_of(p, p->site.workers).trees)
        print_text("three workers or more add their sums up among themselves: two vectors a step "
                   "in all");
}

static void print_table(const struct cli *cli, const struct plan *p)
{
    static const struct column columns[] = {
        {.title = "workers", .right = true},
        {"steps/s", .right = true},
        {"images/s", .right = true},
        {"computing", .right = true},
        {"server CPU a step", .right = true},
        {"vectors a step", .right = true},
        {.title = "limit"},
        {NULL},
    };
    struct table *t = table_create(columns);
    int64_t counts[ROWS_MOST];
    char text[DRAW_TEXT_BYTES], share[TEXT_F64_BYTES];

    for (int i = 0, n = worker_counts(p->site.workers, counts); i < n; i++) {
        const struct capacity c = row_of(p, counts[i]);
        table_add(t, "%lld", (long long)counts[i]);
        table_add(t, "%.3g", 1 / c.step_s);
        table_add(t, "%.4g", (double)p->job.batch / c.step_s);
        table_add(t, "%s", text_of_share(c.compute_s / c.step_s, share));
        table_add(t, "%.3g ms", 1000 * c.server_cpu_s);
        table_add(t, "%s", draw_bytes((uint64_t)c.vector_bytes, text));
        table_add(t, "%s", capacity_limit_names[c.limit]);
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

static void print_advice(const struct plan *p)
{
    const struct capacity_best best = capacity_best(&capacity_costs, &p->job, &p->site);
    const struct capacity c = row_of(p, p->site.workers);

    print_text("fastest with %lld worker%s, %.4g images/s; up to %lld bring at least half of what "
               "one alone does",
               (long long)best.fastest, text_s((double)best.fastest),
               (double)p->job.batch / row_of(p, best.fastest).step_s, (long long)best.useful);
    print_text("with %lld: %s", (long long)p->site.workers, advice[c.limit]);
    print_text("this is a model of the step; deploy/docs/SCALE.md says what it was fitted to");
}

static void print_plan_json(const struct plan *p)
{
    const struct capacity_best best = capacity_best(&capacity_costs, &p->job, &p->site);
    cJSON *out = cJSON_CreateObject(), *rows = cJSON_CreateArray();
    int64_t counts[ROWS_MOST];

    cJSON_AddNumberToObject(out, "parameters", (double)p->model.param_total);
    cJSON_AddNumberToObject(out, "vector_bytes", (double)(p->job.floats * sizeof(float)));
    cJSON_AddNumberToObject(out, "shards", (double)(p->job.batch / p->job.shard));
    cJSON_AddNumberToObject(out, "shard_s", p->job.shard_s);
    cJSON_AddStringToObject(out, "shard_source", source_names[p->source]);
    cJSON_AddNumberToObject(out, "threads", (double)p->site.threads);
    cJSON_AddNumberToObject(out, "server_memory_bytes", capacity_memory(&p->job));
    cJSON_AddNumberToObject(out, "workers_fastest", (double)best.fastest);
    cJSON_AddNumberToObject(out, "workers_useful", (double)best.useful);
    cJSON_AddItemToObject(out, "rows", rows);
    for (int i = 0, n = worker_counts(p->site.workers, counts); i < n; i++) {
        const struct capacity c = row_of(p, counts[i]);
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "workers", (double)counts[i]);
        cJSON_AddNumberToObject(row, "steps_per_s", 1 / c.step_s);
        cJSON_AddNumberToObject(row, "images_per_s", (double)p->job.batch / c.step_s);
        cJSON_AddNumberToObject(row, "compute_s", c.compute_s);
        cJSON_AddNumberToObject(row, "server_s", c.server_s);
        cJSON_AddNumberToObject(row, "server_cpu_s", c.server_cpu_s);
        cJSON_AddNumberToObject(row, "network_s", c.network_s);
        cJSON_AddNumberToObject(row, "way_s", c.way_s);
        cJSON_AddNumberToObject(row, "vector_bytes", c.vector_bytes);
        cJSON_AddStringToObject(row, "limit", capacity_limit_names[c.limit]);
        cJSON_AddStringToObject(row, "advice", advice[c.limit]);
        cJSON_AddItemToArray(rows, row);
    }
    print_json(out);
    cJSON_Delete(out);
}

int cmd_plan(struct cli *cli, struct errbuf *why)
{
    struct plan p = {.site = {.workers = cli->args->workers,
                              .threads = cli->args->threads,
                              .processors = cli->args->processors}};

    if (cli->args->network && capacity_rate(cli->args->network, &p.site.bits_per_s, why) < 0)
        return err_prefix(why, EXIT_USAGE, "--network");
    int rc = is_file(cli->words[0]) ? learn_file(cli, &p, why) : learn_job(cli, &p, why);
    if (rc == 0 && cli->args->json) {
        print_plan_json(&p);
    } else if (rc == 0) {
        print_head(&p);
        print_table(cli, &p);
        print_advice(&p);
    }
    model_done(&p.model);
    jobspec_done(&p.spec);
    return rc;
}
