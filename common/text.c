#include "common/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/decimal.h"

#define NUMBER_CHARS "0123456789.eE+-"
#define RATIO_PART_MAX 64    /* characters of the numerator, with the closing 0 */
#define BEGUN_BYTES_MIN 4    /* a beginning that is shorter says nothing */
#define NEAREST_BYTES_MAX 64 /* a longer word is not a misspelt name of ours */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool text_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = *s == '-';
    int64_t value = 0;

    s += negative;
    if (!*s)
        return false;
    for (; *s; s++) {
        if (!is_digit(*s))
            return false;
        int digit = negative ? -(*s - '0') : *s - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    if (value < min || value > max)
        return false;
    *ret = value;
    return true;
}

bool text_bytes(const char *s, int64_t min, int64_t max, int64_t *ret)
{
    static const char units[] = "KMGT";
    char digits[24];
    size_t n = strlen(s);
    const char *unit = n > 0 ? strchr(units, s[n - 1]) : NULL;
    int64_t value;

    if (unit && *unit)
        n--;
    else
        unit = NULL;
    if (n >= sizeof(digits))
        return false;
    memcpy(digits, s, n);
    digits[n] = '\0';
    if (!text_i64(digits, 0, INT64_MAX, &value))
        return false;
    for (const char *u = units; unit && u <= unit; u++)
        if (__builtin_mul_overflow(value, 1024, &value))
            return false;
    if (value < min || value > max)
        return false;
    *ret = value;
    return true;
}

const char *text_of_bytes(int64_t bytes, char buf[TEXT_F64_BYTES])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t i = 0;

    if (bytes < 1024) {
        snprintf(buf, TEXT_F64_BYTES, "%d bytes", (int)bytes);
        return buf;
    }
    for (value /= 1024; value >= 1024 && i < 3; value /= 1024)
        i++;
    if (value < 100)
        value = ceil(value * 10) / 10;
    else
        value = ceil(value);
    snprintf(buf, TEXT_F64_BYTES, "%.*f %s", value < 100 && value != floor(value) ? 1 : 0, value,
             units[i]);
    return buf;
}

const char *text_of_share(double share, char buf[TEXT_F64_BYTES])
{
    snprintf(buf, TEXT_F64_BYTES, "%.2f%%", 100 * share);
    return buf;
}

bool text_f64(const char *s, double min, double max, double *ret)
{
    char *end;

    /* strtod also takes blanks, "inf", "nan" and hexadecimal, which are not decimal numbers. */
    if (*s == '\0' || *s == '+' || s[strspn(s, NUMBER_CHARS)] != '\0')
        return false;
    double value = strtod(s, &end);
    if (end == s || *end != '\0' || !isfinite(value) || !(value >= min && value <= max))
        return false;
    *ret = value;
    return true;
}

bool text_ratio(const char *s, double min, double max, double *ret)
{
    const char *slash = strchr(s, '/');
    char upper_text[RATIO_PART_MAX];
    double upper, lower;

    if (!slash)
        return text_f64(s, min, max, ret);
    size_t n = (size_t)(slash - s);
    if (n >= sizeof(upper_text))
        return false;
    memcpy(upper_text, s, n);
    upper_text[n] = '\0';
    if (!text_f64(upper_text, -HUGE_VAL, HUGE_VAL, &upper) ||
        !text_f64(slash + 1, -HUGE_VAL, HUGE_VAL, &lower) || lower == 0)
        return false;
    double value = upper / lower;
    if (!isfinite(value) || !(value >= min && value <= max))
        return false;
    *ret = value;
    return true;
}

const char *text_of_f64(double v, char buf[TEXT_F64_BYTES])
{
    buf[decimal_of_f64(v, buf)] = '\0';
    return buf;
}

/* Bytes of the character that starts at s, 0 when it is not UTF-8 (overlong, a surrogate, beyond
 * U+10FFFF or cut short). */
static size_t utf8_char_bytes(const uint8_t *s, size_t left)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (n == 0 || n > left || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
        return 0;
    return n;
}

size_t text_utf8_bytes(const char *s, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        size_t n = utf8_char_bytes((const uint8_t *)s + done, bytes - done);
        if (n == 0)
            break;
        done += n;
    }
    return done;
}

/* Characters that steer a terminal or change the order in which the others of a line are read: C1,
 * the bidirectional marks, embeddings, overrides and isolates, and the separators of lines. */
static bool steers(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0x00, 0x1f},     {0x7f, 0x9f},     {0x61c, 0x61c},
                  {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}};

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

/* Characters that take no place, or look like none: what stands in a table shifts, and two names
 * that look alike are not. Some languages and pictures need a few of them, so that they are no
 * fault of a text; a name of a machine needs none. U+FFFD stands for what could not be read. */
static bool hides(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0xad, 0xad},     {0x34f, 0x34f},     {0x115f, 0x1160},   {0x17b4, 0x17b5},
                  {0x180b, 0x180f}, {0x200b, 0x200d},   {0x2060, 0x206f},   {0x3164, 0x3164},
                  {0xfe00, 0xfe0f}, {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff9, 0xfffb},
                  {0xfffd, 0xfffd}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff}};

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

size_t text_next(const char *s, size_t bytes, uint32_t *ret_code, bool *ret_shown)
{
    static const uint8_t first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const uint8_t *at = (const uint8_t *)s;
    size_t n = utf8_char_bytes(at, bytes);
    uint32_t code = at[0] & first_bits[n];

    for (size_t i = 1; i < n; i++)
        code = code << 6 | (at[i] & 0x3f);
    *ret_code = n > 0 ? code : TEXT_NO_CHARACTER;
    *ret_shown = n > 0 && !steers(code);
    return n > 0 ? n : 1;
}

bool text_is_visible(const char *s)
{
    size_t left = strlen(s);

    for (size_t n; left > 0; s += n, left -= n) {
        uint32_t code;
        bool shown;
        n = text_next(s, left, &code, &shown);
        if (!shown || hides(code))
            return false;
    }
    return true;
}

void text_make_printable(char *s)
{
    size_t bytes = strlen(s), to = 0;

    for (size_t i = 0, n; i < bytes; i += n) {
        uint32_t code;
        bool shown;
        n = text_next(s + i, bytes - i, &code, &shown);
        shown = shown && !hides(code);
        if (shown)
            memmove(s + to, s + i, n);
        else
            s[to] = '?';
        to += shown ? n : 1;
    }
    s[to] = '\0';
}

static int min3(int a, int b, int c)
{
    int m = a < b ? a : b;

    return m < c ? m : c;
}

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Optimal string alignment: insertions, deletions, replacements and swaps of two neighbours, the
 * common typing errors, cost 1 each. Both words are shorter than NEAREST_BYTES_MAX. */
static int edit_distance(const char *s, int s_len, const char *t, int t_len)
{
    int rows[3][NEAREST_BYTES_MAX];
    int *before = rows[0], *above = rows[1], *row = rows[2];

    for (int j = 0; j <= t_len; j++)
        above[j] = j;
    for (int i = 1; i <= s_len; i++) {
        row[0] = i;
        for (int j = 1; j <= t_len; j++) {
            int differs = fold(s[i - 1]) != fold(t[j - 1]);
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + differs);
            if (i > 1 && j > 1 && fold(s[i - 1]) == fold(t[j - 2]) &&
                fold(s[i - 2]) == fold(t[j - 1]))
                row[j] = min3(row[j], before[j - 2] + 1, row[j]);
        }
        int *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[t_len];
}

const char *text_nearest(const char *s, const char *const *names)
{
    const char *nearest = NULL;
    size_t s_len = strnlen(s, NEAREST_BYTES_MAX);
    int allowed = s_len / 3 > 2 ? (int)(s_len / 3) : 2, least = allowed + 1;

    if (s_len == 0 || s_len == NEAREST_BYTES_MAX)
        return NULL;
    for (; *names; names++) {
        size_t len = strnlen(*names, NEAREST_BYTES_MAX);
        if (len == NEAREST_BYTES_MAX)
            continue;
        if (strcasecmp(s, *names) == 0)
            return *names;
        /* What is only begun ("resnet" of resnet20) is nearer than another word. */
        int distance = s_len >= BEGUN_BYTES_MIN && strncasecmp(s, *names, s_len) == 0
                           ? 0
                           : edit_distance(s, (int)s_len, *names, (int)len);
        /* Words that share no letter are not near, however short they are. */
        if (distance < least && distance < (int)(s_len > len ? s_len : len)) {
            least = distance;
            nearest = *names;
        }
    }
    return nearest;
}

int text_index(const char *s, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(s, names[i]) == 0)
            return i;
    return -1;
}

const char *text_list(const char *const *names, char *buf, size_t bytes)
{
    size_t used = 0;

    if (bytes == 0)
        return buf;
    buf[0] = '\0';
    for (int i = 0; names[i] && used < bytes; i++) {
        const char *joint = i == 0 ? "" : names[i + 1] ? ", " : " or ";
        int n = snprintf(buf + used, bytes - used, "%s%s", joint, names[i]);
        used += n < 0 ? 0 : (size_t)n;
    }
    if (used >= bytes && bytes > 4)
        memcpy(buf + bytes - 4, "...", 4);
    return buf;
}

void text_hex(const void *data, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = data;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[from[i] >> 4];
        out[2 * i + 1] = digits[from[i] & 15];
    }
    out[2 * n] = '\0';
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool text_unhex(const char *s, void *out, size_t n)
{
    uint8_t *to = out;

    if (strnlen(s, 2 * n + 1) != 2 * n)
        return false;
    for (size_t i = 0; i < 2 * n; i++)
        if (hex_value(s[i]) < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)(16 * hex_value(s[2 * i]) + hex_value(s[2 * i + 1]));
    return true;
}

bool text_is_name(const char *s)
{
    size_t n = strnlen(s, NAME_MAX_BYTES);

    if (n == 0 || n == NAME_MAX_BYTES || *s == '.' || *s == '-')
        return false;
    for (; *s; s++)
        if (!is_alnum(*s) && *s != '.' && *s != '_' && *s != '-')
            return false;
    return true;
}

void text_uuid(char out[UUID_BYTES])
{
    static const uint8_t group_bytes[] = {4, 2, 2, 2, 6};
    uint8_t bytes[16], *from = bytes;

    /* Up to 256 bytes come whole or not at all; they fail to come only while the machine starts. */
    while (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        if (errno != EINTR) {
            fprintf(stderr, "the kernel gives no random bytes\n");
            abort();
        }
    }
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40); /* version 4 */
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80); /* variant of RFC 4122 */
    for (size_t i = 0; i < sizeof(group_bytes); i++) {
        if (i > 0)
            *out++ = '-';
        text_hex(from, group_bytes[i], out);
        from += group_bytes[i];
        out += 2 * group_bytes[i];
    }
}

bool text_is_uuid(const char *s)
{
    if (strnlen(s, 37) != 36)
        return false;
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? s[i] != '-' : hex_value(s[i]) < 0)
            return false;
    }
    return true;
}

char *text_shell(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+,:@%";
    size_t quotes = 0, n = 0;

    if (*word && word[strspn(word, plain)] == '\0')
        return xstrdup(word);
    for (const char *c = word; *c; c++)
        quotes += *c == '\'';
    char *out = xmalloc(strlen(word) + 3 * quotes + 3);
    out[n++] = '\'';
    for (const char *c = word; *c; c++) {
        if (*c == '\'') { /* the quotes end, one stands by itself, they begin again */
            memcpy(out + n, "'\\'", 3);
            n += 3;
        }
        out[n++] = *c;
    }
    memcpy(out + n, "'", 2);
    return out;
}
