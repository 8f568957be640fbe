/* Predictions: batches, leases, bounds and what becomes of them in time, with a clock that the test
 * sets. */
#include <errno.h>

#include "tests/unit/server/service_fixture.h"

#define JOB_SPEC "{\"shard\": 2}"
#define PICTURES 5u /* three shards, of which the last is short */
#define LOGITS 3u

static void open_world(void)
{
    service_make(1, PLENTY);
    predictions_open(&service, &service.predictions);
}

static void end(void)
{
    predictions_close(service.predictions);
    service.predictions = NULL;
    service_end();
}

static void tick(int64_t ms)
{
    tick_workers(ms);
    predictions_tick(service.predictions, now_ms);
}

static struct worker *able_by(const char *key, const char *name, int64_t threads, const char *class)
{
    struct worker *worker = hello_by(key, name, threads, class);

    workers_know_predictions(worker, true);
    return worker;
}

static struct worker *able(const char *name, int64_t threads, const char *class)
{
    return able_by("", name, threads, class);
}

static struct prediction *opened(int number, const char *class)
{
    const float mean[] = {0}, std[] = {1};
    struct prediction_source source = {.job = 1, .adversarial = true};
    struct prediction *p;
    struct errbuf why;
    char uuid[UUID_BYTES];
    cJSON *desc = cJSON_Parse("{\"layers\": [{\"type\": \"flatten\"}, {\"type\": \"dense\"}]}");

    snprintf(uuid, sizeof(uuid), "00000000-0000-4000-8000-%012d", number);
    ASSERT_OK(model_parse(desc, (struct dims){2, 2, 1}, LOGITS, mean, std, &source.model, &why),
              why);
    cJSON_Delete(desc);
    snprintf(source.class, sizeof(source.class), "%s", class);
    source.spec_json = xstrdup(JOB_SPEC);
    source.theta = xcalloc(source.model.floats, sizeof(float));
    ASSERT_OK(predictions_check(service.predictions, "", source.model.floats, &why), why);
    ASSERT_OK(predictions_add(service.predictions, uuid, "", &source, &p, &why), why);
    return p;
}

static void put(struct prediction *p, int64_t batch, uint32_t count)
{
    const uint8_t images[4 * PICTURES] = {7};
    struct errbuf why;

    ASSERT_OK(prediction_put(service.predictions, p, batch, images, count, &why), why);
}

static struct told *get(struct prediction *p)
{
    struct told *told;

    prediction_get(service.predictions, p, request_of(&net, MSG_PREDICT_GET, "me", NULL, &told));
    return told;
}

/* The worker's result of the task that it was told: logits say which picture they are of. */
static void hand_in(struct prediction *p, struct worker *worker, const struct told *told)
{
    const struct node node = node_of(told);
    float logits[PICTURES * LOGITS];
    int32_t twins[PICTURES] = {0};
    uint32_t first, count = prediction_samples(p, node, &first);

    for (uint32_t i = 0; i < count * LOGITS; i++)
        logits[i] = (float)(first * LOGITS + i);
    ASSERT_STR("predict", told_text(told, "task"));
    ASSERT_EQ(count, told_number(told, "count"));
    ASSERT(round_wants(p->round, node));
    workers_predicted(worker, p, node);
    prediction_take(p, node, logits, twins);
}

static bool is_done(const struct told *told)
{
    return told->answers == 1 && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(told->json, "done"));
}

TEST(a_batch_is_computed_shard_by_shard_and_waits_for_its_client)
{
    open_world();
    struct worker *ann = able("ann", 1, "a"), *ben = able("ben", 2, "a");
    struct told *a = next(ann), *b = next(ben);
    struct prediction *p = opened(1, "a");
    ASSERT_EQ(2, p->shard);
    ASSERT_EQ(PREDICT_PICTURES_MAX, p->most);
    put(p, 0, PICTURES);
    struct told *got = get(p);
    hand_in(p, ben, b); /* two shards for two threads, or one */
    while (!is_done(got)) {
        hand_in(p, ann, a);
        a = next(ann);
    }
    for (uint32_t i = 0; i < PICTURES * LOGITS; i++)
        ASSERT_EQ((float)i, p->logits[i]);
    ASSERT(is_done(get(p))); /* once more */
    put(p, 0, PICTURES);     /* the same number again is the same batch */
    ASSERT(is_done(get(p)));
    end();
}

TEST(a_batch_comes_when_the_one_before_is_done)
{
    const uint8_t images[4 * PICTURES] = {0};
    struct errbuf why;

    open_world();
    struct worker *ann = able("ann", 8, "a");
    struct prediction *p = opened(1, "");
    ASSERT_EQ(-EPERM, prediction_put(service.predictions, p, 1, images, 1, &why));
    put(p, 0, 1);
    ASSERT_EQ(-EPERM, prediction_put(service.predictions, p, 1, images, 1, &why));
    ASSERT_HAS("batch 1 cannot come now: the last one is 0, which is being computed", why.text);
    hand_in(p, ann, next(ann));
    put(p, 1, 1);
    hand_in(p, ann, next(ann));
    ASSERT(is_done(get(p)));
    end();
}

TEST(jobs_and_predictions_take_turns)
{
    open_world();
    struct job *job = submit_running(1, RELAXED);
    struct worker *ann = able("ann", 1, "a");
    struct prediction *p = opened(1, "");
    put(p, 0, PICTURES);
    const char *kinds[4];
    struct told *told = NULL;
    for (int i = 0; i < 4; i++) {
        told = next(ann);
        kinds[i] = told_text(told, "task");
        if (strcmp(kinds[i], "predict") == 0)
            hand_in(p, ann, told);
    }
    ASSERT_STR("predict", kinds[0]);
    ASSERT_STR("train", kinds[1]);
    ASSERT_STR("predict", kinds[2]);
    ASSERT_STR("train", kinds[3]);
    ASSERT(job->run);
    end();
}

TEST(what_a_dead_worker_had_is_computed_by_another)
{
    open_world();
    struct worker *ann = able("ann", 1, "a"), *ben = able("ben", 1, "a");
    struct prediction *p = opened(1, "");
    put(p, 0, 1);
    struct told *got = get(p), *lost = next(ann);
    ASSERT_STR("predict", told_text(lost, "task"));
    struct told *told = next(ben);
    ASSERT_EQ(0, told->answers);
    for (int i = 0; i < 200 && told->answers == 0; i++)
        tick(100);
    hand_in(p, ben, told);
    ASSERT(is_done(got));
    end();
}

TEST(it_says_what_it_waits_for_and_fails_in_the_end)
{
    open_world();
    struct prediction *p = opened(1, "b");
    put(p, 0, 1);
    struct told *got = get(p);
    tick(100);
    tick(PREDICT_HOLD_MS);
    ASSERT_EQ(1, got->answers);
    ASSERT_STR("no worker is connected", told_text(got, "waiting"));
    got = get(p);
    next(able("ann", 1, "a")); /* of another class */
    tick(PREDICT_LONELY_MS - PREDICT_HOLD_MS - 1);
    ASSERT_EQ(0, got->answers);
    tick(1);
    ASSERT_REFUSED("unavailable", got);
    ASSERT_HAS("no worker could compute for 30 seconds: 1 worker is connected, 0 in numerics class "
               "b of the job; start one with --class b, or predict with --relaxed",
               told_text(got, "error"));
    ASSERT_REFUSED("unavailable", get(p));
    end();
}

TEST(workers_that_cannot_or_are_too_old_are_told_of)
{
    char why[300];

    open_world();
    struct prediction *p = opened(1, "");
    struct worker *ann = hello("ann", 1, "a");
    put(p, 0, 1);
    ASSERT_EQ(0, next(ann)->answers);
    ASSERT(workers_lacking(service.workers, p, why, sizeof(why)));
    ASSERT_STR("1 worker is too old to predict", why);
    struct worker *ben = able("ben", 1, "a");
    ASSERT(!workers_lacking(service.workers, p, why, sizeof(why)));
    prediction_refuse(service.predictions, p, ben, "it has 1 MiB of memory");
    ASSERT(workers_lacking(service.workers, p, why, sizeof(why)));
    ASSERT_STR("none of the 2 connected can; worker ben: it has 1 MiB of memory", why);
    ASSERT_EQ(0, next(ben)->answers);
    end();
}

static void fault(struct prediction *p, const struct worker *worker)
{
    prediction_fault(service.predictions, p, worker, "a logit is not finite");
}

TEST(the_third_fault_ends_it)
{
    open_world();
    struct worker *ann = able("ann", 1, "a"), *ben = able("ben", 1, "a");
    struct prediction *p = opened(1, "");
    put(p, 0, 1);
    struct told *got = get(p);
    fault(p, ann);
    fault(p, ann);
    ASSERT_EQ(0, got->answers);
    fault(p, ben); /* of the same key */
    ASSERT_REFUSED("unavailable", got);
    ASSERT_HAS("it failed 3 times; worker ben: a logit is not finite", told_text(got, "error"));
    end();
}

TEST(faults_of_one_key_end_none_that_another_may_do)
{
    open_world();
    struct worker *eve = able_by("eve", "eve", 1, "a"), *ben = able_by("ben", "ben", 1, "a");
    struct prediction *p = opened(1, "");
    put(p, 0, 1);
    struct told *got = get(p), *bens = next(ben);
    for (int i = 0; i < 5; i++)
        fault(p, eve);
    ASSERT_EQ(0, got->answers);
    ASSERT_EQ(0, next(eve)->answers); /* no more of it for her */
    hand_in(p, ben, bens);
    ASSERT(is_done(got));
    put(p, 1, 1);
    got = get(p);
    for (int i = 0; i < PREDICT_FAULTS_MAX; i++)
        fault(p, ben);
    ASSERT_REFUSED("unavailable", got); /* nobody else may try */
    ASSERT_HAS("it failed 8 times; worker ben", told_text(got, "error"));
    end();
}

TEST(whoever_refuses_again_and_again_ends_none_that_another_may_do)
{
    open_world();
    struct worker *eve = able_by("eve", "eve", 1, "a");
    able_by("ben", "ben", 1, "a");
    struct prediction *p = opened(1, "");
    put(p, 0, 1);
    struct told *got = get(p);
    for (int i = 0; i < 2 * PREDICT_REFUSALS_MAX; i++)
        prediction_refuse(service.predictions, p, eve, "no");
    ASSERT_EQ(0, got->answers);
    ASSERT(!p->failed[0]);
    end();
}

/* Workers of one key take it and are not heard of again; is it lost? */
static bool is_lost(bool another)
{
    const char *const names[] = {"eve-1", "eve-2", "eve-3"};
    struct prediction *p;
    bool lost;

    open_world();
    p = opened(1, "");
    put(p, 0, 1);
    for (int i = 0; i < 3; i++) {
        struct told *told = next(able_by("eve", names[i], 1, "a"));
        for (int k = 0; k < 50 && told->answers == 0; k++)
            tick(100);
        ASSERT_STR("predict", told_text(told, "task"));
    }
    for (int i = 0; i < 3000 && !p->failed[0]; i++) {
        p->touched_ms = now_ms; /* its client is there */
        if (another && i % 100 == 0)
            able_by("ben", "ben", 1, "a"); /* he says that he is there */
        tick(100);
    }
    lost = p->failed[0];
    end();
    return lost;
}

TEST(one_key_that_leaves_with_its_tasks_ends_none_that_another_may_do)
{
    ASSERT(is_lost(false));
    ASSERT(!is_lost(true));
}

TEST(a_prediction_goes_with_its_client)
{
    open_world();
    struct prediction *p = opened(1, "");
    char uuid[UUID_BYTES];

    memcpy(uuid, p->uuid, sizeof(uuid));
    tick(PREDICT_IDLE_MS - 1);
    ASSERT(predictions_find(service.predictions, uuid, "") == p); /* which is a sign of life */
    ASSERT(!predictions_find(service.predictions, uuid, "eve"));
    tick(PREDICT_IDLE_MS - 1);
    ASSERT(predictions_number(service.predictions, p->number) == p);
    tick(1);
    ASSERT(!predictions_find(service.predictions, uuid, ""));
    end();
}

TEST(there_are_at_most_so_many)
{
    struct errbuf why;

    open_world();
    for (int i = 0; i < PREDICTIONS_MAX / 4; i++)
        opened(i, "");
    ASSERT_EQ(-ERANGE, predictions_check(service.predictions, "", 10, &why));
    ASSERT_HAS("4 predictions of those without a key are open, allowed is 4", why.text);
    ASSERT_OK(predictions_check(service.predictions, "eve", 10, &why), why);
    ASSERT_EQ(-ERANGE, predictions_check(service.predictions, "eve", PARAM_FLOATS_MAX * 4, &why));
    ASSERT_HAS("a quarter of the server's --memory", why.text);
    end();
}

TEST(who_waits_is_told_that_the_server_stops)
{
    open_world();
    struct prediction *p = opened(1, "");
    put(p, 0, 1);
    struct told *got = get(p);
    predictions_dismiss(service.predictions);
    ASSERT_REFUSED("unavailable", got);
    end();
}
