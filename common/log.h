/* The log: one line an event on stderr, `time level event key=value ...`. Leaf modules return
 * errors, only main-level code logs them, once, with ids. */
#ifndef STEPPE_COMMON_LOG_H
#define STEPPE_COMMON_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

extern const char *const log_level_names[]; /* "error", ..., NULL-terminated */

void log_set_level(enum log_level level);

/* `event` is a dotted name (job.state); fmt gives key=value pairs, or key=\"...\" where blanks may
 * come. Conversions: s d i u x f e g, with flags, width, precision and length as in printf, no '*'.
 * Of a value between quotes, '"', '\' and newlines are escaped; "key=%s" gets quotes where it needs
 * them; characters that may not be shown (text_next) become '?'. Thread-safe, one write(2). A line
 * that cannot be written (a full disk, a closed stream) is lost; nothing stops because of it. */
__attribute__((format(printf, 3, 4))) void log_event(enum log_level level, const char *event,
                                                     const char *fmt, ...);

#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_event(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_event(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)

#endif
