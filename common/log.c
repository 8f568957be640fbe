#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define LINE_BYTES 4096 /* PIPE_BUF: lines of two processes never mix in one pipe */

const char *const log_level_names[] = {"error", "warn", "info", "debug", NULL};

static atomic_int level_shown = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store(&level_shown, level);
}

/* "2026-11-23T18:00:00.123Z info job.state "; returns the length. */
static size_t put_head(char *line, size_t bytes, enum log_level level, const char *event)
{
    int64_t unix_ms = clock_unix_ms();
    time_t seconds = unix_ms / 1000;
    struct tm tm = {0};

    gmtime_r(&seconds, &tm);
    size_t n = strftime(line, bytes, "%Y-%m-%dT%H:%M:%S", &tm);
    int more = snprintf(line + n, bytes - n, ".%03dZ %s %s ", (int)(unix_ms % 1000),
                        log_level_names[level], event);
    size_t left = bytes - n - 1;
    return n + (more < 0 ? 0 : (size_t)more < left ? (size_t)more : left);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    char line[LINE_BYTES];
    size_t room = sizeof(line) - 1; /* the newline */
    int errno_before = errno;
    va_list ap;

    if ((int)level > atomic_load(&level_shown))
        return;
    size_t n = put_head(line, room, level, event);
    va_start(ap, fmt);
    int more = vsnprintf(line + n, room - n, fmt, ap);
    va_end(ap);
    size_t left = room - n - 1;
    n += more < 0 ? 0 : (size_t)more < left ? (size_t)more : left;
    while (n > 0 && line[n - 1] == ' ')
        n--;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[n++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written; /* there is nowhere to report a log that cannot be written */
    errno = errno_before;
}
