/* The line is put together here and not by one vsnprintf: only so can it tell the format's own
 * quotes from those of a value. Inside quotes, a value's quotes, backslashes and newlines are
 * escaped; a "%s" that is a whole unquoted value gets quotes when it needs them; no value brings
 * control characters. So a program can read `key=value` and `key="value"` whatever a peer's or
 * file's name holds. */
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/text.h"

#define LINE_BYTES 4096 /* PIPE_BUF: lines of two processes never mix in one pipe */
#define CLOSING_BYTES 2 /* the closing quote of a value that was cut, and the newline */
#define SPEC_BYTES 16   /* of a conversion, "%-12.5lld" */

const char *const log_level_names[] = {"error", "warn", "info", "debug", NULL};

static atomic_int level_shown = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store(&level_shown, level);
}

struct line {
    char text[LINE_BYTES];
    size_t used;
    bool full;   /* something was cut; nothing is added any more */
    bool quoted; /* inside of quotes */
};

/* All of the bytes or none: neither a character nor an escape is cut in two. */
static void put(struct line *l, const char *bytes, size_t n)
{
    if (l->full || n > sizeof(l->text) - CLOSING_BYTES - l->used) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->used, bytes, n);
    l->used += n;
}

static void put_quote(struct line *l)
{
    put(l, "\"", 1);
    l->quoted = l->quoted != !l->full;
}

static bool needs_quotes(const char *s)
{
    return !*s || s[strcspn(s, " \"=\\\n")] != '\0';
}

static void put_text(struct line *l, const char *s)
{
    size_t left = strlen(s);

    for (size_t n; left > 0; s += n, left -= n) {
        uint32_t code;
        bool shown;
        n = text_next(s, left, &code, &shown);
        if (l->quoted && (code == '"' || code == '\\'))
            put(l, code == '"' ? "\\\"" : "\\\\", 2);
        else if (l->quoted && code == '\n')
            put(l, "\\n", 2);
        else
            put(l, shown ? s : "?", shown ? n : 1);
    }
}

/* all: it is the whole value of a key. */
static void put_string(struct line *l, const char *s, bool all)
{
    bool quotes = all && !l->quoted && needs_quotes(s);

    if (quotes)
        put_quote(l);
    put_text(l, s);
    if (quotes)
        put_quote(l);
}

struct values {
    va_list list;
};

/* The list is begun by who fills the struct. NOLINTBEGIN(clang-analyzer-valist.Uninitialized) */

/* An integer of the length that `spec` names, as 64 bits. */
static long long next_integer(const char *length, struct values *v)
{
    switch (length[0] == 'l' && length[1] == 'l' ? 'q' : *length) {
    case 'l':
        return va_arg(v->list, long);
    case 'q':
    case 'j':
        return va_arg(v->list, long long);
    case 'z':
    case 't':
        return va_arg(v->list, ptrdiff_t);
    default:
        return va_arg(v->list, int);
    }
}

/* One conversion that begins at fmt; returns what follows it. all: as in put_string. */
static const char *put_value(struct line *l, const char *fmt, bool all, struct values *v)
{
    size_t flags = 1 + strspn(fmt + 1, "-+ #0123456789.");
    size_t length = strspn(fmt + flags, "hljzt");
    const char kind = fmt[flags + length], *end = fmt + flags + length + 1;
    char spec[SPEC_BYTES], text[LINE_BYTES];

    assert(kind && flags + 3 < sizeof(spec));
    memcpy(spec, fmt, flags);
    if (kind == 's') {
        snprintf(spec + flags, sizeof(spec) - flags, "s");
        snprintf(text, sizeof(text), spec, va_arg(v->list, const char *));
        put_string(l, text, all && (*end == ' ' || !*end));
        return end;
    }
    if (strchr("diuxX", kind)) {
        long long value = next_integer(fmt + flags, v);
        if (kind != 'd' && kind != 'i' && length == 0)
            value = (unsigned)value;
        snprintf(spec + flags, sizeof(spec) - flags, "ll%c", kind);
        snprintf(text, sizeof(text), spec, value);
    } else {
        assert(strchr("feg", kind) && length == 0);
        snprintf(spec + flags, sizeof(spec) - flags, "%c", kind);
        snprintf(text, sizeof(text), spec, va_arg(v->list, double));
    }
    put_text(l, text);
    return end;
}

/* NOLINTEND(clang-analyzer-valist.Uninitialized) */

/* "2026-11-23T18:00:00.123Z info job.state ". */
static void put_head(struct line *l, enum log_level level, const char *event)
{
    int64_t unix_ms = clock_unix_ms();
    time_t seconds = unix_ms / 1000;
    struct tm tm = {0};
    char head[160];

    gmtime_r(&seconds, &tm);
    size_t n = strftime(head, sizeof(head), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(head + n, sizeof(head) - n, ".%03dZ %s %s ", (int)(unix_ms % 1000),
             log_level_names[level], event);
    put_text(l, head);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    struct line l = {.used = 0};
    int errno_before = errno;
    struct values v;

    if ((int)level > atomic_load(&level_shown))
        return;
    put_head(&l, level, event);
    va_start(v.list, fmt);
    for (const char *p = fmt; *p && !l.full;) {
        if (*p == '%' && p[1] != '%') {
            p = put_value(&l, p, p > fmt && p[-1] == '=', &v);
            continue;
        }
        if (*p == '"')
            put_quote(&l);
        else
            put(&l, p, 1);
        p += *p == '%' ? 2 : 1;
    }
    va_end(v.list);
    while (l.used > 0 && l.text[l.used - 1] == ' ')
        l.used--;
    if (l.quoted)
        l.text[l.used++] = '"';
    l.text[l.used++] = '\n';
    ssize_t written = write(STDERR_FILENO, l.text, l.used);
    (void)written; /* there is nowhere to report a log that cannot be written */
    errno = errno_before;
}
