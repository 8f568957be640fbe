#include "tests/sim/worker.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/hash.h"
#include "common/jobspec.h"
#include "tests/sim/journal.h"
#include "tests/sim/scenario.h"
#include "tests/sim/worker_internal.h"
#include "tests/sim/world.h"

#define SHARD_US (40 * MS) /* of one thread */

static struct worker *workers[CLIENTS_MAX];

static void on_reply(void *arg, const struct message *m);

int workers_added(void)
{
    int count = 0;

    for (int i = 0; i < CLIENTS_MAX; i++)
        count += workers[i] != NULL;
    return count;
}

bool worker_hoards(int number)
{
    return workers[number] && workers[number]->traits.hoards;
}

/* --- words --- */

void worker_add_have(const struct worker *w, cJSON *fields)
{
    if (w->place.step < 0)
        return;
    cJSON *have = cJSON_AddObjectToObject(fields, "have");
    add_place(&w->place, have);
    if (w->vector_turn)
        cJSON_AddNumberToObject(have, "vector", (double)w->vector_turn);
}

void worker_add_key(const struct task *t, cJSON *fields)
{
    add_place(&(struct place){t->job, t->incarnation, t->step, t->phase, t->turn}, fields);
    cJSON_AddNumberToObject(fields, "lo", (double)t->lo);
    cJSON_AddNumberToObject(fields, "hi", (double)t->hi);
}

static void say_hello(struct worker *w)
{
    cJSON *fields = cJSON_CreateObject();
    char name[32];

    snprintf(name, sizeof(name), "class-%u", w->traits.class);
    cJSON_AddStringToObject(fields, "name", "w");
    cJSON_AddNumberToObject(fields, "threads", w->traits.threads);
    cJSON_AddStringToObject(fields, "class", name);
    cJSON_AddTrueToObject(fields, "predicts");
    worker_add_address(w, fields);
    net_ask(&w->client, "worker.hello", fields, NULL, 0, name);
}

void worker_ask_next(struct worker *w)
{
    cJSON *fields = cJSON_CreateObject();

    worker_add_have(w, fields);
    net_ask(&w->client, "task.next", fields, NULL, 0, "");
}

static void pause_over(void *arg, int64_t generation)
{
    struct worker *w = arg;

    if (w->generation == generation && !w->away && w->client.id == 0)
        worker_ask_next(w);
}

int worker_job_index(const struct worker *w, int64_t job)
{
    for (int i = 0; i < w->job_count; i++)
        if (w->jobs[i].job == job)
            return i;
    return -1;
}

/* The dataset is as it was when it was checked: else jobs are loaded anew. */
static bool is_ready(struct worker *w)
{
    if (cache_held_unchanged(&w->data))
        return true;
    note("dataset_changed worker=%d", w->client.number);
    w->data.file = NULL;
    w->job_count = 0;
    return false;
}

static void computed(void *arg, int64_t generation)
{
    struct worker *w = arg;

    if (w->generation != generation || w->away)
        return;
    if (w->client.stalled) /* its threads stand still as well */
        world_after(500 * MS, computed, w, generation);
    else if (w->guess.busy)
        guess_send(&w->guess, &w->client);
    else if (is_ready(w))
        worker_make_result(w);
    else
        worker_ask_next(w);
}

/* --- tasks --- */

static void compute_task(struct worker *w)
{
    const struct task *t = &w->task;
    int64_t shards = t->hi - t->lo, threads = w->traits.threads;
    int64_t us = (shards + threads - 1) / threads * SHARD_US * w->traits.slowness;

    if (!phase_trains((enum phase)t->phase))
        us /= 4;
    world_after(world_between(us / 2, us * 3 / 2), computed, w, w->generation);
}

static void ask_job(struct worker *w)
{
    cJSON *fields = cJSON_CreateObject();

    cJSON_AddNumberToObject(fields, "job", (double)w->task.job);
    net_ask(&w->client, "task.job", fields, NULL, 0, "");
}

/* One that hoards is at work for ever, but for when it takes something else. */
static void hoard(void *arg, int64_t generation)
{
    struct worker *w = arg;

    if (w->generation != generation || w->away || w->client.id != 0)
        return;
    if (world_chance(50))
        worker_ask_next(w);
    else
        ask_job(w);
}

static void take_task(struct worker *w, const struct message *m)
{
    struct task *t = &w->task;
    size_t bytes;

    free(t->ids);
    free(t->weights);
    *t = (struct task){.job = fields_number(m, "job", 0),
                       .incarnation = fields_number(m, "incarnation", 0),
                       .step = fields_number(m, "step", 0),
                       .phase = fields_number(m, "phase", 0),
                       .turn = fields_number(m, "turn", 0),
                       .lo = fields_number(m, "lo", 0),
                       .hi = fields_number(m, "hi", 0),
                       .shard = fields_number(m, "shard", 0),
                       .count = fields_number(m, "count", 0),
                       .first = fields_number(m, "first", 0)};
    fields_text(m, "token", t->token, sizeof(t->token));
    t->ids = fields_ids(m, SCENARIO_SAMPLES);
    t->weights = fields_copy(m, "weights", NULL);
    float *theta = fields_copy(m, "theta", &bytes);
    const bool moved = phase_moved((enum phase)t->phase);
    const struct place at = {t->job, t->incarnation, t->step, moved ? t->phase : 0,
                             moved ? t->turn : 0};
    if (theta) {
        if (memcmp(&w->place, &at, offsetof(struct place, phase)) != 0)
            w->vector_turn = 0;
        free(w->theta);
        w->theta = theta;
        w->floats = bytes / sizeof(float);
        w->place = at;
    }
    float *vector = fields_copy(m, "vector", NULL);
    if (vector) {
        free(w->vector);
        w->vector = vector;
        w->vector_turn = t->turn;
    }
    if (memcmp(&w->place, &at, sizeof(at)) != 0 ||
        (t->phase == PHASE_PRODUCT && w->vector_turn != t->turn))
        note("violation what=\"a task came without its theta\" worker=%d", w->client.number);
    else if (w->traits.hoards)
        world_after(world_between(100 * MS, 3 * SECOND), hoard, w, w->generation);
    else if (worker_job_index(w, t->job) < 0)
        ask_job(w);
    else if (is_ready(w))
        compute_task(w);
    else
        worker_ask_next(w);
}

static void take_answer(struct worker *w, const struct message *m, const char *kind)
{
    w->owes = w->guess.busy = false;
    worker_forget_sum(w);
    w->task.token[0] = 0;
    if (strcmp(kind, "none") == 0)
        world_after(20 * MS, pause_over, w, w->generation);
    else if (strcmp(kind, "predict") != 0)
        take_task(w, m);
    else if (guess_take(&w->guess, m, &w->client))
        world_after(SHARD_US / 2, computed, w, w->generation);
}

static void come_again(void *arg, int64_t generation)
{
    struct worker *w = arg;

    if (w->generation == generation)
        worker_leave(w->client.number, 100 * MS);
}

/* It cannot do the job of its task. */
static void refuse(struct worker *w, const char *cause, const char *reason)
{
    cJSON *fields = cJSON_CreateObject();

    w->job_count--; /* it was not loaded */
    cJSON_AddNumberToObject(fields, "job", (double)w->task.job);
    cJSON_AddStringToObject(fields, "cause", cause);
    cJSON_AddStringToObject(fields, "reason", reason);
    worker_add_have(w, fields);
    net_ask(&w->client, "task.refuse", fields, NULL, 0, "");
}

/* What is for good is so until it says hello again. */
static void refuse_for_some_cause(struct worker *w)
{
    const char *cause = refusal_names[world_draw(REFUSAL_COUNT)];

    note("refuses worker=%d job=%" PRId64 " cause=%s", w->client.number, w->task.job, cause);
    refuse(w, cause, "it is too much");
    world_after(world_delay(SECOND, 60 * SECOND), come_again, w, w->generation);
}

/* --- the dataset --- */

static void refuse_dataset(struct worker *w, const char *reason)
{
    char text[REFUSAL_BYTES_MAX];

    note("no_dataset worker=%d job=%" PRId64 " reason=\"%.150s\"", w->client.number, w->task.job,
         reason);
    cache_let_go(w->traits.host, w->client.number);
    snprintf(text, sizeof(text), "%s", reason);
    refuse(w, refusal_names[REFUSAL_DATASET], text);
}

static void ask_piece(struct worker *w)
{
    cJSON *fields = cJSON_CreateObject();

    w->fetches = true;
    cJSON_AddStringToObject(fields, "sha256", w->sha256);
    cJSON_AddNumberToObject(fields, "offset", (double)w->wish.offset);
    cJSON_AddNumberToObject(fields, "bytes", (double)w->wish.bytes);
    net_ask(&w->client, "dataset.get", fields, NULL, 0, "");
}

static void look_again(void *arg, int64_t generation);

static void take_cache_answer(struct worker *w, enum cache_answer answer)
{
    if (answer == CACHE_READY)
        compute_task(w);
    else if (answer == CACHE_WAIT)
        world_after(200 * MS, look_again, w, w->generation);
    else if (answer == CACHE_FETCH)
        ask_piece(w);
    else
        refuse_dataset(w, "what the server sent is not the dataset");
}

static void look(struct worker *w)
{
    take_cache_answer(w, cache_look(w->traits.host, w->client.number, &w->wish, &w->data));
}

static void look_again(void *arg, int64_t generation)
{
    struct worker *w = arg;

    if (w->generation == generation && !w->away)
        look(w);
}

static void take_piece(struct worker *w, const struct message *m)
{
    const struct tensor *t = tensor_find(m->tensors, m->tensor_count, "piece");

    w->fetches = false;
    take_cache_answer(w, cache_take(w->traits.host, w->client.number, &w->wish, t ? t->data : "",
                                    t ? t->bytes : 0, &w->data));
}

static void take_no_piece(struct worker *w, const struct message *m)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(m->json, "error");

    w->fetches = false;
    refuse_dataset(w, cJSON_IsString(error) ? error->valuestring : "");
}

/* --- jobs --- */

static void take_job(struct worker *w, const struct message *m)
{
    const cJSON *spec_json = cJSON_GetObjectItemCaseSensitive(m->json, "spec");
    const cJSON *sha256 = cJSON_GetObjectItemCaseSensitive(m->json, "sha256");
    struct jobspec spec;
    struct errbuf why;

    if (w->job_count == JOBS_KNOWN || jobspec_parse(spec_json, &spec, &why) < 0)
        abort();
    w->jobs[w->job_count].job = w->task.job;
    w->jobs[w->job_count].source_train = spec.score_source == SOURCE_TRAIN;
    w->jobs[w->job_count].probabilities = spec.score_probabilities;
    w->jobs[w->job_count].online = jobspec_online(&spec);
    w->jobs[w->job_count].order =
        (struct shard_order){.measure = (enum measure)spec.curriculum.measure,
                             .normaliser = (enum normaliser)spec.normaliser,
                             .hard_first = spec.curriculum.order == ORDER_HARD_FIRST};
    w->jobs[w->job_count++].seed = spec.seed;
    jobspec_done(&spec);
    snprintf(w->sha256, sizeof(w->sha256), "%s", sha256 ? sha256->valuestring : "");
    w->wish = (struct cache_wish){.sha256 = w->sha256, .total = fields_number(m, "bytes", 0)};
    if (world_now_us() < scenario_get()->calm_us && world_chance(w->traits.refuse_permille))
        refuse_for_some_cause(w);
    else
        look(w);
}

static void on_error(struct worker *w, const char *code)
{
    note("refused worker=%d code=%s", w->client.number, code);
    if (!w->owes || strcmp(code, "unknown_worker") != 0)
        worker_forget_sum(w);
    if (strcmp(code, "unknown_worker") == 0) {
        say_hello(w); /* and then what it was saying */
        return;
    }
    w->owes = w->guess.busy = false;
    world_after(world_between(500 * MS, 2 * SECOND), pause_over, w, w->generation);
}

static void on_reply(void *arg, const struct message *m)
{
    struct worker *w = arg;
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(m->json, "code");
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(m->json, "type");
    const cJSON *task = cJSON_GetObjectItemCaseSensitive(m->json, "task");

    if (w->away)
        return;
    if (code && w->fetches)
        take_no_piece(w, m);
    else if (code)
        on_error(w, code->valuestring);
    else if (w->fetches)
        take_piece(w, m);
    else if (strcmp(type->valuestring, "worker.hello") == 0)
        w->owes ? worker_send_result(w) : worker_ask_next(w);
    else if (strcmp(type->valuestring, "task.job") == 0 && w->traits.hoards)
        world_after(world_between(100 * MS, 3 * SECOND), hoard, w, w->generation);
    else if (strcmp(type->valuestring, "task.job") == 0)
        take_job(w, m);
    else if (strcmp(type->valuestring, "result.offer") == 0)
        worker_take_word(w, m);
    else if (strcmp(type->valuestring, "predict.load") == 0)
        guess_load(&w->guess, m), world_after(SHARD_US / 2, computed, w, w->generation);
    else if (task)
        take_answer(w, m, task->valuestring);
    else
        world_after(20 * MS, pause_over, w, w->generation);
}

/* --- life --- */

static void start(void *arg, int64_t generation)
{
    struct worker *w = arg;

    if (w->generation != generation)
        return;
    w->away = w->owes = w->fetches = false;
    w->data.file = NULL;
    w->place.step = -1;
    w->vector_turn = 0;
    w->job_count = 0;
    guess_forget(&w->guess);
    worker_forget_sum(w);
    w->task.token[0] = 0;
    scenario_uuid(w->client.sender);
    say_hello(w);
}

void worker_add(int index, const struct worker_traits *traits, int64_t delay_us)
{
    struct worker *w = xcalloc(1, sizeof(*w));

    workers[index] = w;
    w->client = (struct client){.number = index, .reply = on_reply, .hear = worker_hear, .arg = w};
    w->traits = *traits;
    w->away = true;
    net_add(&w->client);
    world_after(delay_us, start, w, w->generation);
}

void worker_kill(int index, int64_t down_us)
{
    struct worker *w = workers[index];

    note("worker_killed worker=%d us=%" PRId64, index, down_us);
    net_stop(&w->client);
    w->client.stalled = false;
    w->away = true;
    w->generation++;
    cache_let_go(w->traits.host, index);
    world_after(down_us, start, w, w->generation);
}

static void go_on(void *arg, int64_t generation)
{
    struct worker *w = arg;

    (void)generation;
    w->client.stalled = false;
}

void worker_stall(int index, int64_t us)
{
    struct worker *w = workers[index];

    note("worker_stalled worker=%d us=%" PRId64, index, us);
    w->client.stalled = true;
    world_after(us, go_on, w, w->generation);
}

void worker_leave(int index, int64_t away_us)
{
    struct worker *w = workers[index];

    if (w->away)
        return;
    note("worker_left worker=%d us=%" PRId64, index, away_us);
    w->away = true;
    w->generation++;
    w->fetches = false;
    cache_let_go(w->traits.host, index);
    net_ask(&w->client, "worker.bye", cJSON_CreateObject(), NULL, 0, "");
    world_after(away_us, start, w, w->generation);
}
