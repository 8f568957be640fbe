#define _GNU_SOURCE
#include "proto/cli/when.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/text.h"
#include "proto/cli/command.h"

#define SPAN_MAX 1000000 /* of any unit */

static bool read_span(const char *text, int64_t *ret_ms)
{
    static const struct {
        char letter;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    size_t bytes = strlen(text);
    char number[16];
    int64_t n;

    if (bytes < 2 || bytes >= sizeof(number))
        return false;
    memcpy(number, text, bytes - 1);
    number[bytes - 1] = 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (text[bytes - 1] == units[i].letter && text_i64(number, 0, SPAN_MAX, &n)) {
            *ret_ms = n * units[i].ms;
            return true;
        }
    return false;
}

int when_span(const char *text, const char *option, int64_t *ret_ms, struct errbuf *why)
{
    if (read_span(text, ret_ms))
        return 0;
    return err_set(why, EXIT_USAGE,
                   "%s is \"%.60s\", allowed is a span: 90d, 12h, 30m, 45s (up to %d of a unit)",
                   option, text, SPAN_MAX);
}

static bool read_time(const char *text, int64_t *ret_ms)
{
    static const char *const forms[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M",
                                        "%Y-%m-%dT%H:%M", "%Y-%m-%d"};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *end = strptime(text, forms[i], &tm);
        if (!end || *end)
            continue;
        time_t at = mktime(&tm);
        if (at < 0)
            return false;
        *ret_ms = (int64_t)at * 1000;
        return true;
    }
    return false;
}

int when_time(const char *text, const char *option, int64_t now_ms, int64_t *ret_ms,
              struct errbuf *why)
{
    int64_t span;

    if (read_span(text, &span)) {
        *ret_ms = now_ms > span ? now_ms - span : 0;
        return 0;
    }
    if (read_time(text, ret_ms))
        return 0;
    return err_set(why, EXIT_USAGE,
                   "%s is \"%.60s\", allowed is a time (2026-11-30, \"2026-11-30 14:05\") or how "
                   "long ago it was (90d, 12h, 30m, 45s)",
                   option, text);
}

char *when_text(int64_t unix_ms, char buf[WHEN_BYTES])
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;

    if (!localtime_r(&seconds, &tm) || strftime(buf, WHEN_BYTES, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        snprintf(buf, WHEN_BYTES, "-");
    return buf;
}
