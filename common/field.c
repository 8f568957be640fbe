/* The gate for JSON from outside: field_parse refuses what other readers would read differently
 * (NUL, control bytes, duplicate keys, trailing text, infinite numbers) and what would cost too
 * much (length, nesting), so that the getters only judge types and ranges. */
#include "common/field.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/text.h"

#define WHOLE_MAX                                                                                  \
    ((INT64_C(1) << 53) - 1) /* each whole number up to here has a double of its own */
#define PLACE_BYTES 192
#define SHOWN_BYTES 48 /* of a value in a sentence */
#define LIST_BYTES 400 /* of the allowed names in a sentence */

/* "curriculum.pacing", "job file: epochs", "job file: model.layers", "epochs". */
static const char *join_place(const char *where, const char *name, char buf[PLACE_BYTES])
{
    const char *last = where;

    for (const char *colon; (colon = strstr(last, ": "));)
        last = colon + 2;
    const char *joint = !*where ? "" : strchr(last, ' ') ? ": " : ".";
    snprintf(buf, PLACE_BYTES, "%s%s%s", where, joint, name);
    return buf;
}

/* The value as a sentence shows it; a long one is cut. */
static const char *show_value(const cJSON *item, char buf[SHOWN_BYTES])
{
    const size_t cut = SHOWN_BYTES - 6; /* two quotes, "..." and the closing 0 */

    if (cJSON_IsString(item) && strlen(item->valuestring) <= cut) {
        snprintf(buf, SHOWN_BYTES, "\"%s\"", item->valuestring);
    } else if (cJSON_IsString(item)) {
        size_t n = text_utf8_bytes(item->valuestring, cut);
        snprintf(buf, SHOWN_BYTES, "\"%.*s...\"", (int)n, item->valuestring);
    } else if (cJSON_IsNumber(item)) {
        text_of_f64(item->valuedouble, buf);
    } else {
        const char *word = cJSON_IsBool(item)     ? (cJSON_IsTrue(item) ? "true" : "false")
                           : cJSON_IsNull(item)   ? "null"
                           : cJSON_IsObject(item) ? "an object"
                                                  : "a list";
        snprintf(buf, SHOWN_BYTES, "%s", word);
    }
    return buf;
}

/* Length, nesting and bytes that must not reach the parser. */
static int scan_text(const char *text, size_t bytes, const char *where, struct errbuf *why)
{
    bool in_string = false;
    int depth = 0;

    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 && (in_string || (c != '\t' && c != '\n' && c != '\r')))
            return err_set(why, -EINVAL, "%s holds a control character at byte %zu", where, i);
        if (!in_string && (c == '[' || c == '{') && ++depth > JSON_DEPTH_MAX)
            return err_set(why, -EINVAL, "%s is nested deeper than %d levels", where,
                           JSON_DEPTH_MAX);
        if (!in_string && (c == ']' || c == '}'))
            depth--;
        if (c == '"')
            in_string = !in_string;
        if (in_string && c == '\\') {
            if (bytes - i > 5 && memcmp(text + i + 1, "u0000", 5) == 0)
                return err_set(why, -EINVAL, "%s holds \\u0000 at byte %zu", where, i);
            i++;
        }
    }
    size_t good = text_utf8_bytes(text, bytes);
    if (good < bytes)
        return err_set(why, -EINVAL, "%s is not UTF-8 at byte %zu", where, good);
    return 0;
}

static int parse_text(const char *text, size_t bytes, const char *where, cJSON **ret,
                      struct errbuf *why)
{
    const char *end = NULL;

    char *copy = alloc_bytes(bytes + 1, 1);
    if (!copy)
        return err_set(why, -ENOMEM, "%s: out of memory for %zu bytes", where, bytes);
    memcpy(copy, text, bytes);
    *ret = cJSON_ParseWithLengthOpts(copy, bytes + 1, &end, 1);
    if (!*ret) {
        size_t line = 1, column = 1;
        for (const char *p = copy; end && p < end; p++) {
            line += *p == '\n';
            column = *p == '\n' ? 1 : column + 1;
        }
        err_set(why, -EINVAL, "%s is not valid JSON at line %zu, column %zu", where, line, column);
    }
    free(copy);
    return *ret ? 0 : -EINVAL;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts the keys instead of comparing all pairs: a peer chooses how many there are. */
static int check_keys_differ(const cJSON *obj, const char *place, struct errbuf *why)
{
    size_t count = 0, n = 0;
    int rc = 0;

    for (const cJSON *item = obj->child; item; item = item->next)
        count++;
    const char **keys = alloc_bytes(count, sizeof(*keys));
    if (!keys)
        return err_set(why, -ENOMEM, "%s: out of memory for %zu keys", place, count);
    for (const cJSON *item = obj->child; item; item = item->next)
        keys[n++] = item->string;
    qsort(keys, count, sizeof(*keys), compare_keys);
    for (size_t i = 1; i < count && rc == 0; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            rc = err_set(why, -EINVAL, "%s has the key \"%.60s\" twice", place, keys[i]);
    free(keys);
    return rc;
}

/* Keys and numbers of node and of all below it. scan_text bounds the recursion. */
static int check_tree(const cJSON *node, const char *place, struct errbuf *why)
{
    char inner[PLACE_BYTES];
    int rc = 0;

    if (cJSON_IsNumber(node) && !isfinite(node->valuedouble))
        return err_set(why, -EINVAL, "%s is beyond the range of numbers", place);
    if (cJSON_IsObject(node))
        rc = check_keys_differ(node, place, why);
    for (const cJSON *item = node->child; item && rc == 0; item = item->next) {
        if (item->string)
            join_place(place, item->string, inner);
        rc = check_tree(item, item->string ? inner : place, why);
    }
    return rc;
}

int field_parse(const char *text, size_t bytes, size_t bytes_max, const char *where, cJSON **ret,
                struct errbuf *why)
{
    cJSON *root = NULL;
    char shown[SHOWN_BYTES];

    if (bytes > bytes_max)
        return err_set(why, -EMSGSIZE, "%s is %zu bytes, allowed is at most %zu", where, bytes,
                       bytes_max);
    if (bytes == 0)
        return err_set(why, -EINVAL, "%s is empty, expected a JSON object", where);
    int rc = scan_text(text, bytes, where, why);
    if (rc == 0)
        rc = parse_text(text, bytes, where, &root, why);
    if (rc == 0 && !cJSON_IsObject(root))
        rc = err_set(why, -EINVAL, "%s is %s, expected a JSON object", where,
                     show_value(root, shown));
    if (rc == 0)
        rc = check_tree(root, where, why);
    if (rc == 0)
        *ret = root;
    else
        cJSON_Delete(root);
    return rc;
}

int field_parse_file(const char *path, size_t bytes_max, cJSON **ret, struct errbuf *why)
{
    char *text = NULL;
    size_t bytes = 0;

    int rc = file_read(path, bytes_max, &text, &bytes, why);
    if (rc == 0)
        rc = field_parse(text, bytes, bytes_max, path, ret, why);
    free(text);
    return rc;
}

/* *ret is NULL when the key is absent and need not be there. */
static int find_item(const cJSON *obj, const char *where, const char *name, bool required,
                     const cJSON **ret, struct errbuf *why)
{
    char place[PLACE_BYTES];

    *ret = cJSON_GetObjectItemCaseSensitive(obj, name);
    if (!*ret && required)
        return err_set(why, -EINVAL, "%s is missing", join_place(where, name, place));
    return 0;
}

/* "place is value, allowed is ..."; returns -EINVAL. */
int field_refuse(const cJSON *item, const char *where, const char *name, const char *allowed,
                 struct errbuf *why)
{
    char place[PLACE_BYTES], shown[SHOWN_BYTES];

    return err_set(why, -EINVAL, "%s is %s, allowed is %s", join_place(where, name, place),
                   show_value(item, shown), allowed);
}

int field_i64(const cJSON *obj, const char *where, const char *name, bool required, int64_t min,
              int64_t max, int64_t *io, struct errbuf *why)
{
    char allowed[96];
    const cJSON *item;

    int rc = find_item(obj, where, name, required, &item, why);
    if (rc != 0 || !item)
        return rc;
    min = min < -WHOLE_MAX ? -WHOLE_MAX : min;
    max = max > WHOLE_MAX ? WHOLE_MAX : max;
    double value = item->valuedouble;
    bool whole = cJSON_IsNumber(item) && value == floor(value);
    if (!whole || !(value >= (double)min && value <= (double)max)) {
        snprintf(allowed, sizeof(allowed), "%s%lld to %lld", whole ? "" : "a whole number from ",
                 (long long)min, (long long)max);
        return field_refuse(item, where, name, allowed, why);
    }
    *io = (int64_t)value;
    return 0;
}

/* "0 to 1", "at least 0", "any number". */
static const char *show_range(double min, double max, char *buf, size_t bytes)
{
    char low[TEXT_F64_BYTES], high[TEXT_F64_BYTES];
    bool from = min > -1e300, to = max < 1e300;

    text_of_f64(min, low);
    text_of_f64(max, high);
    if (from && to)
        snprintf(buf, bytes, "%s to %s", low, high);
    else if (from || to)
        snprintf(buf, bytes, "at %s %s", from ? "least" : "most", from ? low : high);
    else
        snprintf(buf, bytes, "any number");
    return buf;
}

int field_f64(const cJSON *obj, const char *where, const char *name, bool required, double min,
              double max, double *io, struct errbuf *why)
{
    char allowed[96];
    const cJSON *item;

    int rc = find_item(obj, where, name, required, &item, why);
    if (rc != 0 || !item)
        return rc;
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble) ||
        !(item->valuedouble >= min && item->valuedouble <= max))
        return field_refuse(item, where, name, show_range(min, max, allowed, sizeof(allowed)), why);
    *io = item->valuedouble;
    return 0;
}

int field_ratio(const cJSON *obj, const char *where, const char *name, bool required, double min,
                double max, double *io, struct errbuf *why)
{
    char range[96], allowed[128];
    const cJSON *item;

    int rc = find_item(obj, where, name, required, &item, why);
    if (rc != 0 || !item)
        return rc;
    if (!cJSON_IsString(item))
        return field_f64(obj, where, name, required, min, max, io, why);
    if (!text_ratio(item->valuestring, min, max, io)) {
        snprintf(allowed, sizeof(allowed), "%s, or a ratio such as \"8/255\"",
                 show_range(min, max, range, sizeof(range)));
        return field_refuse(item, where, name, allowed, why);
    }
    return 0;
}

int field_bool(const cJSON *obj, const char *where, const char *name, bool required, bool *io,
               struct errbuf *why)
{
    const cJSON *item;

    int rc = find_item(obj, where, name, required, &item, why);
    if (rc != 0 || !item)
        return rc;
    if (!cJSON_IsBool(item))
        return field_refuse(item, where, name, "true or false", why);
    *io = cJSON_IsTrue(item);
    return 0;
}

int field_str(const cJSON *obj, const char *where, const char *name, bool required,
              size_t bytes_max, const char **io, struct errbuf *why)
{
    char place[PLACE_BYTES];
    const cJSON *item;

    int rc = find_item(obj, where, name, required, &item, why);
    if (rc != 0 || !item)
        return rc;
    if (!cJSON_IsString(item))
        return field_refuse(item, where, name, "a text in quotes", why);
    size_t bytes = strlen(item->valuestring);
    if (bytes == 0 && required)
        return err_set(why, -EINVAL, "%s is empty", join_place(where, name, place));
    if (bytes >= bytes_max)
        return err_set(why, -EINVAL, "%s is %zu bytes long, allowed is at most %zu",
                       join_place(where, name, place), bytes, bytes_max - (bytes_max > 0));
    *io = item->valuestring;
    return 0;
}

int field_enum(const cJSON *obj, const char *where, const char *name, bool required,
               const char *const *names, int *io, struct errbuf *why)
{
    char place[PLACE_BYTES], shown[SHOWN_BYTES], list[LIST_BYTES];
    const cJSON *item;

    int rc = find_item(obj, where, name, required, &item, why);
    if (rc != 0 || !item)
        return rc;
    int index = cJSON_IsString(item) ? text_index(item->valuestring, names) : -1;
    if (index < 0) {
        const char *near = cJSON_IsString(item) ? text_nearest(item->valuestring, names) : NULL;
        return err_set(why, -EINVAL, "%s is %s, allowed is %s%s%s%s",
                       join_place(where, name, place), show_value(item, shown),
                       text_list(names, list, sizeof(list)), near ? "; did you mean \"" : "",
                       near ? near : "", near ? "\"?" : "");
    }
    *io = index;
    return 0;
}

int field_obj(const cJSON *obj, const char *where, const char *name, bool required,
              const cJSON **io, struct errbuf *why)
{
    const cJSON *item;

    int rc = find_item(obj, where, name, required, &item, why);
    if (rc != 0 || !item)
        return rc;
    if (!cJSON_IsObject(item))
        return field_refuse(item, where, name, "an object in {}", why);
    *io = item;
    return 0;
}

int field_arr(const cJSON *obj, const char *where, const char *name, bool required,
              size_t count_max, const cJSON **io, struct errbuf *why)
{
    char place[PLACE_BYTES];
    const cJSON *item;
    size_t count = 0;

    int rc = find_item(obj, where, name, required, &item, why);
    if (rc != 0 || !item)
        return rc;
    if (!cJSON_IsArray(item))
        return field_refuse(item, where, name, "a list in []", why);
    for (const cJSON *entry = item->child; entry; entry = entry->next)
        count++;
    if (count > count_max)
        return err_set(why, -EINVAL, "%s has %zu entries, allowed is at most %zu",
                       join_place(where, name, place), count, count_max);
    *io = item;
    return 0;
}

int field_sha256(const cJSON *obj, const char *where, const char *name, uint8_t sha256[32],
                 struct errbuf *why)
{
    const cJSON *item;

    int rc = find_item(obj, where, name, true, &item, why);
    if (rc != 0)
        return rc;
    if (!cJSON_IsString(item) || !text_unhex(item->valuestring, sha256, SHA256_BYTES))
        return field_refuse(item, where, name, "64 hexadecimal digits", why);
    return 0;
}

int field_known(const cJSON *obj, const char *where, const char *const *names, struct errbuf *why)
{
    char list[LIST_BYTES];

    for (const cJSON *item = obj->child; item; item = item->next) {
        if (text_index(item->string, names) >= 0)
            continue;
        const char *near = text_nearest(item->string, names);
        return err_set(why, -EINVAL, "%s has no key \"%.60s\"%s%s%s Allowed: %s", where,
                       item->string, near ? "; did you mean \"" : ".", near ? near : "",
                       near ? "\"?" : "", text_list(names, list, sizeof(list)));
    }
    return 0;
}

void field_own_memory(void)
{
    cJSON_Hooks hooks = {.malloc_fn = xmalloc, .free_fn = free};

    cJSON_InitHooks(&hooks);
}
