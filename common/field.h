/* Typed access to JSON objects that names the field that is wrong.
 *
 * `where` is the dotted place of obj; sentences read "curriculum.full_at is 1.5, allowed is 0 to
 * 1". A where with a space in it names a document: "job file: epochs is 0, ...". Getters with
 * required=false leave *io as it is when the key is absent (null counts as wrong type, never as
 * absent). All return 0 or -EINVAL. */
#ifndef STEPPE_COMMON_FIELD_H
#define STEPPE_COMMON_FIELD_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* Parses text (not necessarily 0-terminated) that must be one JSON object: at most bytes_max long,
 * nested at most JSON_DEPTH_MAX deep, nothing after it, no NUL and no \u0000, no duplicate keys in
 * any object, finite numbers and UTF-8 only. *ret is freed with cJSON_Delete. 0, -EINVAL, -EMSGSIZE
 * or -ENOMEM. */
int field_parse(const char *text, size_t bytes, size_t bytes_max, const char *where, cJSON **ret,
                struct errbuf *why);
/* As field_parse, from a file. Also -errno of open and read. */
int field_parse_file(const char *path, size_t bytes_max, cJSON **ret, struct errbuf *why);

/* Whole numbers only, at most 2^53 - 1 in size: larger ones would be rounded on the way. */
int field_i64(const cJSON *obj, const char *where, const char *name, bool required, int64_t min,
              int64_t max, int64_t *io, struct errbuf *why);
int field_f64(const cJSON *obj, const char *where, const char *name, bool required, double min,
              double max, double *io, struct errbuf *why);
/* A number or a string such as "8/255". */
int field_ratio(const cJSON *obj, const char *where, const char *name, bool required, double min,
                double max, double *io, struct errbuf *why);
int field_bool(const cJSON *obj, const char *where, const char *name, bool required, bool *io,
               struct errbuf *why);
/* *io is borrowed from obj. bytes_max counts the closing 0. Length 0 is refused when required. */
int field_str(const cJSON *obj, const char *where, const char *name, bool required,
              size_t bytes_max, const char **io, struct errbuf *why);
/* *io is the index of the string in names (NULL-terminated). */
int field_enum(const cJSON *obj, const char *where, const char *name, bool required,
               const char *const *names, int *io, struct errbuf *why);
/* *io is borrowed from obj. */
int field_obj(const cJSON *obj, const char *where, const char *name, bool required,
              const cJSON **io, struct errbuf *why);
int field_arr(const cJSON *obj, const char *where, const char *name, bool required,
              size_t count_max, const cJSON **io, struct errbuf *why);
/* 64 hex digits into sha256[32]. */
int field_sha256(const cJSON *obj, const char *where, const char *name, uint8_t sha256[32],
                 struct errbuf *why);

/* Every key of obj must be in names (NULL-terminated); otherwise the sentence names the key, its
 * place and the nearest valid name. */
int field_known(const cJSON *obj, const char *where, const char *const *names, struct errbuf *why);

/* -EINVAL: item, which stands at where.name, is something else than what is allowed. */
int field_refuse(const cJSON *item, const char *where, const char *name, const char *allowed,
                 struct errbuf *why);

/* Makes cJSON allocate as xmalloc does: when memory is out, the process says so and ends instead of
 * silently dropping a value from a document. What a peer sends is bounded before it is parsed.
 * Called once, first thing in main. */
void field_own_memory(void);

#endif
