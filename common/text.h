/* Strict parsing and small text tools. */
#ifndef STEPPE_COMMON_TEXT_H
#define STEPPE_COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bounds.h"

/* The whole string must be a decimal number in the range; false otherwise, *ret untouched. */
bool text_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
bool text_f64(const char *s, double min, double max, double *ret); /* finite only */
/* As text_f64, and also "8/255". */
bool text_ratio(const char *s, double min, double max, double *ret);

/* A whole number of bytes, which may end with K, M, G or T (KiB to TiB). */
bool text_bytes(const char *s, int64_t min, int64_t max, int64_t *ret);

/* The shortest decimal that reads back as v, into buf; returns buf. */
#define TEXT_F64_BYTES 32
const char *text_of_f64(double v, char buf[TEXT_F64_BYTES]);

/* "512 bytes", "1.5 GiB": three or four digits, rounded up; into buf, returned. */
const char *text_of_bytes(int64_t bytes, char buf[TEXT_F64_BYTES]);

/* "91.32%" of 0.9132; into buf, returned. Every percentage that people read has this form; that of
 * the dashboard is share() of server/http/web/dom.js. */
const char *text_of_share(double share, char buf[TEXT_F64_BYTES]);

/* Returns the index of the first bytes of s that are not UTF-8; `bytes` when there are none. */
size_t text_utf8_bytes(const char *s, size_t bytes);
/* The character at s, with `bytes` (not 0) left: its length (1 with code TEXT_NO_CHARACTER: a byte
 * that is not UTF-8), and whether it may be shown. Control characters (C0, DEL, C1), line
 * separators and marks that change the direction of reading may not: they can steer a terminal,
 * forge a line of a log, or disguise a name. */
#define TEXT_NO_CHARACTER UINT32_MAX
size_t text_next(const char *s, size_t bytes, uint32_t *ret_code, bool *ret_shown);
/* Does every character show, and take a place? Those that join others or choose their form do not.
 */
bool text_is_visible(const char *s);
/* Replaces every character that does not, as text_is_visible has it, with '?'. All text from
 * outside goes through this before it reaches a terminal, a log or a sentence. */
void text_make_printable(char *s);

/* The word as a shell reads it: in quotes, unless it has only characters that mean nothing to one;
 * to be freed. */
char *text_shell(const char *word);

/* The name in names (NULL-terminated) closest to s by edit distance, capital letters being like
 * small ones, or NULL when none is near (distance above a third of the length, at least 2). A name
 * that begins with s is near. */
const char *text_nearest(const char *s, const char *const *names);

/* Index of s in names or -1. */
int text_index(const char *s, const char *const *names);

/* The end of a plural, as in "%u job%s": "" for one, else "s". */
static inline const char *text_s(double count)
{
    return count == 1 ? "" : "s";
}

/* "a, b or c" of names into buf; returns buf. */
const char *text_list(const char *const *names, char *buf, size_t bytes);

/* Lower-case hex of n bytes into out (2n+1 bytes). */
void text_hex(const void *data, size_t n, char *out);
/* Exactly 2n hex digits (either case) into out; false otherwise. */
bool text_unhex(const char *s, void *out, size_t n);

/* Name of a job or dataset: 1 to NAME_MAX_BYTES-1 of [A-Za-z0-9._-], not starting with '.' or '-'.
 */
bool text_is_name(const char *s);

/* Random version-4 UUID into out (37 bytes); from the kernel's generator. */
void text_uuid(char out[UUID_BYTES]);
bool text_is_uuid(const char *s);

#endif
