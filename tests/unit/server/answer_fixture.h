/* Requests without a socket: what they are answered is kept. The monotonic clock is what the test
 * says; the linker takes both from here (--wrap, see the Makefile). */
#ifndef STEPPE_TESTS_ANSWER_FIXTURE_H
#define STEPPE_TESTS_ANSWER_FIXTURE_H

#include <cjson/cJSON.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "server/server.h"
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

void __wrap_http_answer(struct http_exchange *x, const cJSON *json, char *text);
void __wrap_http_answer(struct http_exchange *x, const cJSON *json, char *text)
{
    struct told *told = (struct told *)x;

    told->json = cJSON_Duplicate(json, true);
    told->answers++;
    free(text);
}

void __wrap_http_drop(struct http_exchange *x);
void __wrap_http_drop(struct http_exchange *x)
{
    ((struct told *)x)->drops++;
}

/* A request as the gate lets it in; json is its message, NULL for one without. */
__attribute__((unused)) static struct request *request_of(struct server *s, enum message_type type,
                                                          const char *sender, const char *json,
                                                          struct told **ret)
{
    struct request *rq = xcalloc(1, sizeof(*rq));

    ASSERT(told_count < TOLD_MAX);
    *ret = &all_told[told_count++];
    rq->server = s;
    rq->http = (struct http_exchange *)*ret;
    rq->type = type;
    rq->id = -1;
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
