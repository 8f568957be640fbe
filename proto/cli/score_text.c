/* Some of these exports have a thousand million numbers: rows are put together in a buffer, without
 * printf. */
#include "proto/cli/score_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/decimal.h"

#define KEY_BYTES 32 /* of a column's name with what stands before its value */
#define ROW_BYTES ((SCORE_INTS + SCORE_REALS) * (KEY_BYTES + DECIMAL_BYTES) + 64)
#define NAME_BYTES (6 * URI_BYTES_MAX + 16) /* JSON takes six for a character that it escapes */

void score_text_header(FILE *out)
{
    for (int k = 0; k < SCORE_INTS; k++)
        fprintf(out, "%s%s", k ? "," : "", score_int_names[k]);
    for (int k = 0; k < SCORE_REALS; k++)
        fprintf(out, ",%s", score_real_names[k]);
    fputs(",uri\n", out);
}

static char *put(char *at, const char *text)
{
    const size_t bytes = strlen(text);

    memcpy(at, text, bytes);
    return at + bytes;
}

/* A field of csv, in quotes where it needs them (RFC 4180). */
static char *put_field(char *at, const char *text, size_t bytes)
{
    bool quoted = false;

    for (size_t i = 0; i < bytes; i++)
        quoted = quoted || strchr(",\"\r\n", text[i]);
    if (quoted)
        *at++ = '"';
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '"')
            *at++ = '"';
        *at++ = text[i];
    }
    if (quoted)
        *at++ = '"';
    return at;
}

/* The name of a sample, at the end of its row. */
static char *put_name(char *at, const struct sample_names *names, int64_t sample, bool csv)
{
    size_t bytes;
    const char *uri = sample_names_at(names, sample, &bytes);

    bytes = bytes < URI_BYTES_MAX ? bytes : URI_BYTES_MAX;
    if (csv) {
        *at++ = ',';
        return put_field(at, uri, bytes);
    }
    if (bytes == 0)
        return at;
    char *text = xasprintf("%.*s", (int)bytes, uri);
    cJSON *string = cJSON_CreateString(text);
    char *quoted = cJSON_PrintUnformatted(string);
    at = put(at, ", \"uri\": ");
    at = put(at, quoted);
    cJSON_free(quoted);
    cJSON_Delete(string);
    free(text);
    return at;
}

/* What stands before the value of each column. */
struct keys {
    char before[SCORE_INTS + SCORE_REALS][KEY_BYTES];
    size_t bytes[SCORE_INTS + SCORE_REALS];
};

static void make_keys(struct keys *keys, bool csv)
{
    for (int k = 0; k < SCORE_INTS + SCORE_REALS; k++) {
        const char *name = k < SCORE_INTS ? score_int_names[k] : score_real_names[k - SCORE_INTS];
        if (csv)
            snprintf(keys->before[k], KEY_BYTES, "%s", k ? "," : "");
        else
            snprintf(keys->before[k], KEY_BYTES, "%s\"%s\": ", k ? ", " : "{", name);
        keys->bytes[k] = strlen(keys->before[k]);
    }
}

/* The copy's size is known when this is compiled; what is beyond the key is written over. */
static char *put_key(char *at, const struct keys *keys, int k)
{
    memcpy(at, keys->before[k], KEY_BYTES);
    return at + keys->bytes[k];
}

static char *put_row(char *at, const struct score_columns *s, const struct keys *keys, size_t i,
                     bool csv)
{
    for (int k = 0; k < SCORE_INTS; k++) {
        at = put_key(at, keys, k);
        at += decimal_of_i64(s->ints[k][i], at);
    }
    for (int k = 0; k < SCORE_REALS; k++) {
        at = put_key(at, keys, SCORE_INTS + k);
        if (!isnan(s->reals[k][i]))
            at += decimal_of_f64(s->reals[k][i], at);
        else if (!csv) /* its program did not report it */
            at = put(at, "null");
    }
    return at;
}

void score_text_rows(const struct score_columns *s, const struct sample_names *names, bool csv,
                     FILE *out)
{
    char text[ROW_BYTES + NAME_BYTES];
    struct keys keys;

    make_keys(&keys, csv);
    for (size_t i = 0; i < s->count && !ferror(out); i++) {
        char *end = put_row(text, s, &keys, i, csv);
        end = put_name(end, names, s->ints[ROW_SAMPLE][i], csv);
        end = put(end, csv ? "\n" : "}\n");
        fwrite(text, 1, (size_t)(end - text), out);
    }
}
