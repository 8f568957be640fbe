#define _GNU_SOURCE
#include "proto/cli/print.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

/* cJSON does not escape characters beyond ASCII that steer a terminal. They stand only inside
 * strings, where an escape means the same. Frees text. */
static void print_json_text(char *text)
{
    size_t left = text ? strlen(text) : 0;

    for (size_t at = 0, n; at < left; at += n) {
        uint32_t code;
        bool shown;
        n = text_next(text + at, left - at, &code, &shown);
        if (shown || code == '\n' || code == '\t')
            fwrite(text + at, 1, n, stdout);
        else
            printf("\\u%04x", code == TEXT_NO_CHARACTER ? 0xfffdu : (unsigned)code);
    }
    putchar('\n');
    cJSON_free(text);
}

void print_json(const cJSON *value)
{
    print_json_text(cJSON_Print(value));
}

void print_json_line(const cJSON *value)
{
    print_json_text(cJSON_PrintUnformatted(value));
}

static void print_to(FILE *to, const char *fmt, va_list ap)
{
    char *text;

    if (vasprintf(&text, fmt, ap) < 0)
        return;
    text_make_printable(text);
    fprintf(to, "%s\n", text);
    free(text);
}

void print_text(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    print_to(stdout, fmt, ap);
    va_end(ap);
}

void print_note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    print_to(stderr, fmt, ap);
    va_end(ap);
}

void print_reply(const struct message *reply, const char *only)
{
    static const char *const envelope[] = {"type", "id", "ok", "tensors", NULL};

    if (only) {
        print_json(cJSON_GetObjectItemCaseSensitive(reply->json, only));
        return;
    }
    for (int i = 0; envelope[i]; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(reply->json, envelope[i]);
    print_json(reply->json);
}
