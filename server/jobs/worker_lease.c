/* Which worker gets which job and node, and for how long; and the nodes that kill workers. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/result.h"
#include "server/core/share.h"
#include "server/jobs/predictions.h"
#include "server/jobs/service.h"
#include "server/jobs/workers_internal.h"

#define PIECE_MS 10000     /* most time between two pieces, at least */
#define SCORE_SHARDS 8     /* most shards of a sweep or test per thread and trip */
#define MEASURED_MAX 65536 /* most samples of a trip that measures flatness: ids beside vectors */
#define POISON_LOST 3      /* workers that one node may kill */
#define HELP_MS 200        /* idle for this long it helps another job than the one it has loaded */
#define REPEAT_MS 300      /* no lease younger than this is repeated */
#define CREW_MS 5
#define PAIR_BYTES 8 /* of a sample with its label */
#define JSON_BYTES                                                                                 \
    (16 << 10) /* of a message, beside its tensors: more than a task or result takes */
#define NO_HAND UINT32_MAX
#define NO_JOB SIZE_MAX

/* Has it had its task of this job for so long that others repeat it? It fetches the dataset, it is
 * slow, or it does not mean to bring anything. */
static bool dawdles(const struct worker *worker, const struct job *job, int64_t now_ms)
{
    return worker->job == job->rec.job &&
           now_ms - worker->lease_start_ms > pace_patience_ms(&job->pace, run_phase(job->run),
                                                              worker->lease_shards,
                                                              worker->threads);
}

/* Is it free for this job, and not planned for another running one? */
static bool serves(const struct worker *worker, const struct job *job, int64_t now_ms)
{
    return worker_alive(worker, now_ms) && worker_fits(worker, job) && !worker->aside_until_ms &&
           (!worker->loaded || worker->loaded == job->rec.job) && !dawdles(worker, job, now_ms);
}

/* Who computes for the job. A thousand workers may ask at once, so they are counted only once in
 * CREW_MS. */
static const struct crew *crew_of(struct workers *w, struct job *job, int64_t now_ms)
{
    struct crew *crew = &job->crew;

    if (crew->counted_ms && now_ms - crew->counted_ms < CREW_MS)
        return crew;
    *crew = (struct crew){.counted_ms = now_ms, .hand = NO_HAND};
    for (const struct worker *o = w->list; o; o = o->next) {
        if (!serves(o, job, now_ms))
            continue;
        crew->mixed |= crew->hand != NO_HAND && crew->hand != o->hand;
        crew->hand = o->hand;
        crew->threads += o->threads;
    }
    return crew;
}

/* Shards whose samples fit a message beside vectors, in their task and in their result. */
static uint64_t message_shards(const struct job *job)
{
    const enum phase phase = run_phase(job->run);
    const size_t bytes = job->model.floats * sizeof(float), room = MESSAGE_BYTES_MAX - JSON_BYTES;
    const size_t vectors = bytes > PIECE_BYTES_MAX                                  ? 0
                           : phase == PHASE_PRODUCT && bytes <= PIECE_BYTES_MAX / 2 ? 2 * bytes
                                                                                    : bytes;
    const struct result_shape one =
        result_shape(phase, job->spec.score_source == SOURCE_TRAIN, job->model.floats, 1,
                     job->spec.score_probabilities ? job->model.classes : 0);
    const size_t sent = room - vectors, back = room - one.floats * sizeof(float);
    const size_t samples = sent / (PAIR_BYTES + sizeof(float)), row = result_row_bytes(&one);
    const size_t scored = row ? back / row : samples;

    return (scored < samples ? scored : samples) / (size_t)job->spec.shard;
}

/* Shards to ask for: its share of the round by threads, so that a step is one trip per worker. */
static uint32_t wanted_shards(struct workers *w, const struct worker *worker, struct job *job,
                              int64_t now_ms)
{
    uint64_t total = crew_of(w, job, now_ms)->threads, shards = run_shards(job->run);

    if (!serves(worker, job, now_ms) || total < worker->threads)
        total += worker->threads; /* it is about to hold it */
    uint64_t want = (shards * worker->threads + total - 1) / total;
    if (!phase_vector(run_phase(job->run)) && want > (uint64_t)SCORE_SHARDS * worker->threads)
        want = (uint64_t)SCORE_SHARDS * worker->threads;
    if (phase_measures(run_phase(job->run)) && want > MEASURED_MAX / (uint64_t)job->spec.shard)
        want = MEASURED_MAX / (uint64_t)job->spec.shard;
    const uint64_t most = message_shards(job);
    want = want < most ? want : most;
    return want ? (uint32_t)want : 1;
}

static int64_t lease_ms(const struct worker *worker, const struct job *job, uint32_t shards)
{
    return pace_lease_ms(&job->pace, run_phase(job->run), shards, worker->threads,
                         worker->proven != job->rec.job);
}

/* What moves before its result is there: theta and a vector beside it, the gradient, and the
 * dataset of a newcomer. */
static int64_t most_ms(const struct worker *worker, const struct job *job, int64_t ttl_ms)
{
    const struct dataset *d = job->data;
    uint64_t bytes = 3 * sizeof(float) * (uint64_t)job->model.floats;

    if (worker->proven != job->rec.job)
        bytes += d->image_bytes * ((uint64_t)d->samples + d->test_samples);
    return pace_most_ms(ttl_ms, bytes);
}

/* While workers of other keys compute for the job, they are the first to get what one key has had
 * and not brought. */
static struct taker taker_of(struct workers *w, const struct worker *worker, struct job *job,
                             uint32_t shards, int64_t now_ms)
{
    const struct crew *crew = crew_of(w, job, now_ms);
    bool others = crew->mixed || (crew->hand != NO_HAND && crew->hand != worker->hand);

    return (struct taker){
        .worker = worker->number,
        .hand = worker->hand,
        .group = worker_group(worker, job, now_ms),
        .others_ms =
            others ? pace_patience_ms(&job->pace, run_phase(job->run), shards, worker->threads) : 0,
        .most_ms = most_ms(worker, job, lease_ms(worker, job, shards))};
}

static void renew(struct worker *worker, struct job *job, int64_t ttl_ms)
{
    int64_t now_ms = clock_mono_ms();

    run_renew(job->run, worker->number, now_ms, ttl_ms);
    if (worker->job == job->rec.job)
        worker_prolong(worker, now_ms + ttl_ms);
}

void worker_prolong(struct worker *worker, int64_t until_ms)
{
    until_ms = until_ms < worker->lease_last_ms ? until_ms : worker->lease_last_ms;
    if (worker->lease_end_ms < until_ms)
        worker->lease_end_ms = until_ms;
}

void worker_lease(struct worker *worker, int64_t now_ms, int64_t ttl_ms, int64_t longest_ms,
                  uint32_t shards)
{
    worker->lease_start_ms = now_ms;
    worker->lease_end_ms = now_ms + ttl_ms;
    worker->lease_last_ms = now_ms + longest_ms;
    worker->lease_shards = shards;
    worker->lease_lost = false;
}

int64_t workers_renew(struct worker *worker, struct job *job)
{
    int64_t ttl_ms = lease_ms(worker, job, worker->lease_shards ? worker->lease_shards : 1);

    ttl_ms = ttl_ms < PIECE_MS ? PIECE_MS : ttl_ms;
    renew(worker, job, ttl_ms);
    return ttl_ms;
}

bool workers_has_task(const struct worker *worker, const struct job *job)
{
    return job->run && worker->job == job->rec.job;
}

void workers_fetches(struct workers *w, const char *sender)
{
    for (struct worker *worker = w->list; worker; worker = worker->next) {
        struct job *job;

        if (strcmp(worker->sender, sender) != 0)
            continue;
        if (worker->job && jobs_find(w->service->jobs, worker->job, &job, NULL) == 0 && job->run)
            workers_renew(worker, job);
        return;
    }
}

/* Its time since its last task counts as granted. */
static void charge(struct workers *w, const struct worker *worker)
{
    int64_t now_ms = clock_mono_ms();
    struct job *job;

    if (!worker->job || jobs_find(w->service->jobs, worker->job, &job, NULL) < 0)
        return;
    int64_t end_ms = now_ms < worker->lease_end_ms ? now_ms : worker->lease_end_ms;
    job->granted_ms += (double)(end_ms - worker->lease_start_ms) * worker->threads;
}

uint32_t worker_release(struct workers *w, struct worker *worker)
{
    int64_t now_ms = clock_mono_ms();
    uint32_t released = 0;
    struct job *job;

    charge(w, worker);
    worker->job = 0;
    worker->predicting = 0;
    for (size_t i = 0; (job = jobs_running(w->service->jobs, i)) != NULL; i++)
        if (job->run)
            released += run_release(job->run, worker->number, now_ms);
    return released + predictions_release(w->service->predictions, worker->number, now_ms);
}

/* --- the reply --- */

static cJSON *task_fields(const struct job *job, const struct run_task *task, int64_t ttl_ms)
{
    cJSON *out = cJSON_CreateObject();

    cJSON_AddStringToObject(out, "task", task_kind_names[task_kind_of_phase[task->phase]]);
    cJSON_AddNumberToObject(out, "job", (double)job->rec.job);
    cJSON_AddNumberToObject(out, "incarnation", (double)job->rec.incarnation);
    cJSON_AddNumberToObject(out, "step", (double)task->step);
    cJSON_AddNumberToObject(out, "phase", task->phase);
    if (task->turn)
        cJSON_AddNumberToObject(out, "turn", task->turn);
    cJSON_AddNumberToObject(out, "lo", task->node.lo);
    cJSON_AddNumberToObject(out, "hi", task->node.hi);
    cJSON_AddNumberToObject(out, "shard", (double)job->spec.shard);
    cJSON_AddNumberToObject(out, "count", task->count);
    cJSON_AddNumberToObject(out, "lease_ms", (double)ttl_ms);
    if (!task->ids)
        cJSON_AddNumberToObject(out, "first", task->first);
    return out;
}

static bool of_step(const struct have *have, const struct job *job, const struct run_task *task)
{
    return have->valid && have->job == job->rec.job && have->incarnation == job->rec.incarnation &&
           have->step == task->step;
}

/* Has it the vector at which the task is computed? */
static bool holds(const struct have *have, const struct job *job, const struct run_task *task)
{
    const bool moved = phase_moved(task->phase);

    return of_step(have, job, task) && phase_moved((enum phase)have->phase) == moved &&
           (!moved || (have->phase == (int64_t)task->phase && have->turn == task->turn));
}

/* Of the vectors of a step, those that the worker does not hold: as tensors, or how many bytes of
 * them there are to be fetched. Returns how many tensors there are then. */
static int add_vectors(const struct worker *worker, const struct job *job,
                       const struct run_task *task, struct tensor *tensors, int count, cJSON *out)
{
    const size_t floats = job->model.floats;
    const bool product = task->phase == PHASE_PRODUCT;
    const bool both = floats <= INLINE_FLOATS_MAX / 2; /* fit one message */
    const size_t inlined = (product ? 2 : 1) * floats * sizeof(float);

    if (worker_shares(worker, job)) {
        cJSON_AddNumberToObject(out, "theta_place", run_round_place(job->run));
    } else if (!holds(&worker->have, job, task)) {
        if (run_in_pieces(job->run) ||
            (task->labels && inlined + PAIR_BYTES * task->count > PIECE_BYTES_MAX))
            cJSON_AddNumberToObject(out, "theta_bytes", (double)(floats * sizeof(float)));
        else
            tensors[count++] = tensor_1d("theta", DTYPE_F32, floats, run_round_theta(job->run));
    }
    if (!product || (of_step(&worker->have, job, task) && worker->have.vector == task->turn))
        return count;
    if (both)
        tensors[count++] = tensor_1d("vector", DTYPE_F32, floats, run_vector(job->run));
    else
        cJSON_AddNumberToObject(out, "vector_bytes", (double)(floats * sizeof(float)));
    return count;
}

/* The samples of a task, each with its label: of a revision, which the worker does not know. */
static uint32_t *label_ids(const struct run_task *task)
{
    uint32_t *pairs = xcalloc(task->count, 2 * sizeof(*pairs));

    for (uint32_t i = 0; i < task->count; i++) {
        pairs[2 * (size_t)i] = task->ids[i];
        pairs[2 * (size_t)i + 1] = task->labels[task->ids[i]];
    }
    return pairs;
}

/* Answers the held request with this task, just leased. */
static void send_task(struct workers *w, struct worker *worker, const struct job *job,
                      const struct run_task *task, int64_t now_ms, int64_t ttl_ms)
{
    struct request *rq = worker->held;
    struct tensor tensors[4];
    int count = 0;

    uint32_t *pairs = task->labels ? label_ids(task) : NULL;
    if (pairs)
        tensors[count++] =
            tensor_make("ids", DTYPE_U32, 2, (const uint64_t[]){task->count, 2}, pairs);
    else if (task->ids)
        tensors[count++] = tensor_1d("ids", DTYPE_U32, task->count, task->ids);
    if (task->weights)
        tensors[count++] = tensor_1d("weights", DTYPE_F32, task->count, task->weights);
    worker->job = worker->loaded = job->rec.job;
    worker_lease(worker, now_ms, ttl_ms, most_ms(worker, job, ttl_ms), node_size(task->node));
    worker->held = NULL;
    cJSON *out = task_fields(job, task, ttl_ms);
    count = add_vectors(worker, job, task, tensors, count, out);
    worker_add_tree(w, worker, job, out);
    if (rq->result)
        cJSON_AddStringToObject(out, "result", rq->result);
    request_reply(rq, out, tensors, count);
    free(pairs);
}

/* --- the choice --- */

static bool take(struct workers *w, struct worker *worker, struct job *job, int64_t now_ms)
{
    struct run_task task;
    uint32_t want = wanted_shards(w, worker, job, now_ms);
    int64_t ttl_ms = lease_ms(worker, job, want);
    const struct taker by = taker_of(w, worker, job, want, now_ms);

    if (run_take(job->run, &by, want, now_ms, ttl_ms, &task) < 0)
        return false;
    if (node_size(task.node) > want) { /* issued again, unchanged */
        ttl_ms = lease_ms(worker, job, node_size(task.node));
        run_renew(job->run, worker->number, now_ms, ttl_ms);
    }
    send_task(w, worker, job, &task, now_ms, ttl_ms);
    return true;
}

/* A node that another key computes too, or has computed. */
static bool check(struct workers *w, struct worker *worker, struct job *job, int64_t now_ms)
{
    struct run_task task;
    uint32_t want = wanted_shards(w, worker, job, now_ms);
    int64_t ttl_ms = lease_ms(worker, job, want);

    if (run_check(job->run, worker->number, now_ms, ttl_ms,
                  pace_patience_ms(&job->pace, run_phase(job->run), want, worker->threads),
                  &task) < 0)
        return false;
    ttl_ms = lease_ms(worker, job, node_size(task.node));
    run_renew(job->run, worker->number, now_ms, ttl_ms);
    send_task(w, worker, job, &task, now_ms, ttl_ms);
    return true;
}

/* A node that another worker has held for too long. */
static bool repeat(struct workers *w, struct worker *worker, struct job *job, int64_t now_ms)
{
    const struct taker by = taker_of(w, worker, job, 1, now_ms);
    struct run_task task;
    struct node node;
    int64_t since_ms;

    if (run_oldest(job->run, &by, &node, &since_ms) < 0 ||
        now_ms - since_ms <
            pace_patience_ms(&job->pace, run_phase(job->run), node_size(node), worker->threads))
        return false;
    int64_t ttl_ms = lease_ms(worker, job, node_size(node));
    run_repeat(job->run, &by, node, now_ms, ttl_ms, &task);
    log_info("lease.repeat", "job=%" PRId64 " step=%" PRIu64 " lo=%u hi=%u worker=%u", job->rec.job,
             task.step, node.lo, node.hi, worker->number);
    send_task(w, worker, job, &task, now_ms, ttl_ms);
    return true;
}

static uint32_t cluster_threads(const struct workers *w, int64_t now_ms)
{
    uint32_t threads = 0;

    for (const struct worker *worker = w->list; worker; worker = worker->next)
        threads += worker_alive(worker, now_ms) ? worker->threads : 0;
    return threads;
}

/* A job whose dataset is damaged here goes on with the workers that already have it. */
static bool lacks_data(struct workers *w, const struct worker *worker, const struct job *job)
{
    char text[2];

    return worker_has_refused(worker, job->rec.job) &&
           datasets_damage(w->service->datasets, job->rec.dataset_sha256, text, sizeof(text));
}

/* The running jobs that may have work for this worker, in the order in which it tries them. Returns
 * how many. */
static size_t candidates(struct workers *w, const struct worker *worker, int64_t now_ms,
                         struct job *ret[RUNNING_MAX])
{
    struct job *jobs[RUNNING_MAX], *job;
    double granted_ms[RUNNING_MAX];
    size_t order[RUNNING_MAX], count = 0, loaded = NO_JOB;

    for (size_t i = 0; (job = jobs_running(w->service->jobs, i)) != NULL; i++)
        if (jobs_ready(job) && !job->class_pending && worker_fits(worker, job) &&
            !lacks_data(w, worker, job)) {
            loaded = job->rec.job == worker->loaded ? count : loaded;
            granted_ms[count] = job->granted_ms;
            jobs[count++] = job;
        }
    uint32_t threads = count > 1 ? cluster_threads(w, now_ms) : 0;
    for (size_t i = 0; count > 1 && i < count; i++)
        jobs[i]->granted_ms = granted_ms[i] =
            share_level(granted_ms[i], granted_ms, count, threads);
    share_order(granted_ms, count, loaded, worker->threads, order);
    for (size_t i = 0; i < count; i++)
        ret[i] = jobs[order[i]];
    return count;
}

static bool grant_job(struct workers *w, struct worker *worker, int64_t now_ms)
{
    struct job *jobs[RUNNING_MAX];
    size_t count = candidates(w, worker, now_ms, jobs);
    /* The job of the step that it just did will soon have more. */
    bool waits = worker->loaded && now_ms - worker->held_since_ms < HELP_MS;
    for (size_t i = 0; i < count; i++) {
        struct job *job = jobs[i];

        if (!job_verify_admits(w->service->jobs, job, worker->hand, worker->key_name))
            continue;
        if (take(w, worker, job, now_ms) || check(w, worker, job, now_ms))
            return true;
        if (waits && job->rec.job == worker->loaded)
            return false;
    }
    for (size_t i = 0; i < count; i++)
        if (job_verify_admits(w->service->jobs, jobs[i], worker->hand, worker->key_name) &&
            repeat(w, worker, jobs[i], now_ms))
            return true;
    return false;
}

/* Jobs and predictions take turns, where there are both. */
bool worker_grant(struct workers *w, struct worker *worker)
{
    const bool last = worker->turn;
    int64_t now_ms = clock_mono_ms();

    if (worker->aside_until_ms)
        return false;
    worker->turn = true;
    if (!last && worker_predict(w, worker, now_ms))
        return true;
    worker->turn = false;
    if (grant_job(w, worker, now_ms))
        return true;
    worker->turn = last && worker_predict(w, worker, now_ms);
    return worker->turn;
}

bool workers_may_help(struct workers *w, int64_t now_ms)
{
    static const struct taker anybody = {.hand = NO_HAND};
    struct job *job;
    struct node node;
    int64_t since_ms;

    for (size_t i = 0; (job = jobs_running(w->service->jobs, i)) != NULL; i++)
        if (i > 0 || (job->run && (run_unchecked(job->run) || run_is_open(job->run) ||
                                   (run_oldest(job->run, &anybody, &node, &since_ms) == 0 &&
                                    now_ms - since_ms >= REPEAT_MS))))
            return true;
    return false;
}

/* --- what goes wrong --- */

static bool lost_by_key(const struct workers *w, const struct job *job, struct node node,
                        const char *key)
{
    for (const struct worker *o = w->list; o; o = o->next)
        if (strcmp(o->key_name, key) == 0 && run_lost_by(job->run, o->number, node))
            return true;
    return false;
}

/* Is there a worker of a key, or of no key, none of whose workers lost the node? */
static bool another_key_may_try(const struct workers *w, const struct job *job, struct node node,
                                int64_t now_ms)
{
    for (const struct worker *o = w->list; o; o = o->next)
        if (worker_fits(o, job) && !o->left && !o->aside_until_ms && worker_alive(o, now_ms) &&
            !lost_by_key(w, job, node, o->key_name))
            return true;
    return false;
}

/* A node that killed several workers will kill the next one too. But one key could say so by taking
 * tasks and leaving: it ends no job that another key may do. */
static void check_poison(struct workers *w, struct job *job, int64_t now_ms)
{
    struct node node;
    uint32_t lost = run_lost(job->run, &node);
    char text[200];

    if (lost < POISON_LOST || another_key_may_try(w, job, node, now_ms))
        return;
    metrics_count_many(&w->service->net->metrics, COUNT_SHARDS_BURIED, node_size(node));
    workers_acquit_lost(w, job);
    snprintf(text, sizeof(text),
             "poison: %u workers in a row were lost with shards %u to %u of step %" PRIu64
             " and not heard of since",
             lost, node.lo, node.hi - 1, run_step(job->run));
    jobs_fail(w->service->jobs, job, text);
}

void workers_expire(struct workers *w, int64_t now_ms)
{
    struct job *job, *expired[RUNNING_MAX];
    size_t count = 0;

    for (size_t i = 0; (job = jobs_running(w->service->jobs, i)) != NULL; i++) {
        uint32_t leases = job->run ? run_expire(job->run, now_ms) : 0;

        if (!leases)
            continue;
        metrics_count_many(&w->service->net->metrics, COUNT_LEASES_EXPIRED, leases);
        log_warn("lease.expired", "job=%" PRId64 " step=%" PRIu64 " nodes=%u", job->rec.job,
                 run_step(job->run), leases);
        expired[count++] = job;
    }
    for (size_t i = 0; i < count; i++) /* a job that ends leaves the list of running ones */
        check_poison(w, expired[i], now_ms);
    if (count)
        workers_wake(w);
}
