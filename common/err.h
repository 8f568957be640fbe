/* Errors: 0 or negative errno between functions; struct errbuf carries the human sentence. */
#ifndef STEPPE_COMMON_ERR_H
#define STEPPE_COMMON_ERR_H

#include <stdarg.h>
#include <stddef.h>

struct errbuf {
    char text[512]; /* one sentence, no newline; "" when nothing went wrong */
};

/* Writes the sentence into why (NULL is allowed) and returns code, so that a check reads
 * `return err_set(why, -EINVAL, "batch is %d, allowed is 1 to %d", ...)`. A sentence that is too
 * long is cut. */
__attribute__((format(printf, 3, 4))) int err_set(struct errbuf *why, int code, const char *fmt,
                                                  ...);

/* The same with a va_list. */
__attribute__((format(printf, 2, 0))) void err_vset(struct errbuf *why, const char *fmt,
                                                    va_list ap);

/* Puts "prefix: " before the sentence that is already in why; returns code. */
__attribute__((format(printf, 3, 4))) int err_prefix(struct errbuf *why, int code, const char *fmt,
                                                     ...);

/* The sentence for a negative errno ("no space left on the device"); never NULL. */
const char *err_text(int code);

#endif
