/* The log: one line an event on stderr, `time level event key=value ...`. Leaf modules return
 * errors, only main-level code logs them, once, with ids. */
#ifndef STEPPE_COMMON_LOG_H
#define STEPPE_COMMON_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

extern const char *const log_level_names[]; /* "error", ..., NULL-terminated */

void log_set_level(enum log_level level);

/* `event` is a dotted name (job.state); fmt gives key=value pairs. Thread-safe, one write(2). */
__attribute__((format(printf, 3, 4))) void log_event(enum log_level level, const char *event,
                                                     const char *fmt, ...);

#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_event(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_event(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)

#endif
