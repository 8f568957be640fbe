/* Requests that the test brings itself: what they are answered is kept. The monotonic clock is what
 * the test says; the linker takes it from here (--wrap, see the Makefile). */
#ifndef STEPPE_TESTS_ANSWER_FIXTURE_H
#define STEPPE_TESTS_ANSWER_FIXTURE_H

#include <cjson/cJSON.h>
#include <stdatomic.h>

#include "server/net/net.h"
#include "server/net/request.h"
#include "tests/harness.h"

static _Atomic int64_t now_ms = 1000000;

int64_t __wrap_clock_mono_ms(void);
int64_t __wrap_clock_mono_ms(void)
{
    return now_ms;
}

/* What became of a request. */
struct told {
    cJSON *json; /* its answer; NULL: none */
    int answers, drops;
};

#define TOLD_MAX 64
static struct told all_told[TOLD_MAX];
static int told_count;

static void keep_answer(struct request *rq, struct answer *answer)
{
    struct told *told = rq->from;

    told->json = cJSON_Duplicate(answer->json, true);
    told->answers++;
}

static void keep_drop(struct request *rq)
{
    struct told *told = rq->from;

    told->drops++;
}

/* A request as the gate lets it in; json is its message, NULL for one without. */
__attribute__((unused)) static struct request *request_of(struct net *net, enum message_type type,
                                                          const char *sender, const char *json,
                                                          struct told **ret)
{
    static const struct carrier keeper = {.reply = keep_answer, .drop = keep_drop};

    ASSERT(told_count < TOLD_MAX);
    *ret = &all_told[told_count++];
    struct request *rq = request_new(net, &keeper, *ret);
    rq->type = type;
    snprintf(rq->sender, sizeof(rq->sender), "%s", sender);
    rq->message.json = cJSON_Parse(json ? json : "{}");
    ASSERT(rq->message.json);
    return rq;
}

__attribute__((unused)) static const char *told_text(const struct told *told, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(told->json, key);

    return cJSON_IsString(item) ? item->valuestring : "";
}

/* -1: it was not told. */
__attribute__((unused)) static double told_number(const struct told *told, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(told->json, key);

    return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

#define ASSERT_REFUSED(code, told)                                                                 \
    do {                                                                                           \
        ASSERT_EQ(1, (told)->answers);                                                             \
        ASSERT_STR("error", told_text(told, "type"));                                              \
        ASSERT_STR(code, told_text(told, "code"));                                                 \
    } while (0)

__attribute__((unused)) static void told_forget(void)
{
    for (int i = 0; i < told_count; i++)
        cJSON_Delete(all_told[i].json);
    told_count = 0;
    memset(all_told, 0, sizeof(all_told));
}

#endif
