/* Replies come from a server of the same version, but they are read as anything from outside: a key
 * that is absent or of another type is shown as "no value" or ends the command with a sentence. */
#define _GNU_SOURCE
#include "proto/cli/session.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/text.h"
#include "proto/address.h"
#include "proto/cli/command.h"
#include "proto/cli/draw.h"

#define HELLO_DEADLINE_MS 5000       /* a server that is there answers a ping at once */
#define EXACT_MAX 9007199254740992.0 /* 2^53: whole numbers are exact up to here */

static int open_client(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    int rc;

    if (address_check(cli->args->server, why) != 0)
        return EXIT_USAGE;
    rc = client_open(cli->args->server, NULL, cli->stop, &cli->client, why);
    if (rc == 0 && cli->args->key)
        rc = client_use_key(cli->client, cli->args->key, why);
    if (rc != 0)
        return rc;
    cJSON *ping = cJSON_CreateObject();
    rc = client_call(cli->client, MSG_PING, ping, NULL, 0, HELLO_DEADLINE_MS, 0, &reply, NULL, why);
    cJSON_Delete(ping);
    if (rc == 0)
        message_done(&reply);
    else if (rc == -ETIMEDOUT)
        err_set(why, rc,
                "no server answers at %s; start one with steppe-server, or name its address with "
                "--server",
                cli->args->server);
    return rc;
}

int cli_call_tensors(struct cli *cli, enum message_type type, cJSON *request,
                     const struct tensor *tensors, int tensor_count, int64_t deadline_ms,
                     struct message *ret, enum error_code *ret_code, struct errbuf *why)
{
    cJSON *json = request ? request : cJSON_CreateObject();
    int rc = json ? 0 : err_set(why, -ENOMEM, "out of memory");

    if (rc == 0 && !cli->client)
        rc = open_client(cli, why);
    if (rc == 0)
        rc = client_call(cli->client, type, json, tensors, tensor_count, deadline_ms, CALL_RETRY_MS,
                         ret, ret_code, why);
    cJSON_Delete(json);
    return rc;
}

int cli_call(struct cli *cli, enum message_type type, cJSON *request, struct message *ret,
             struct errbuf *why)
{
    return cli_call_tensors(cli, type, request, NULL, 0, CALL_DEADLINE_MS, ret, NULL, why);
}

void cli_close(struct cli *cli)
{
    client_close(cli->client);
    cli->client = NULL;
}

int cli_sleep(const struct cli *cli, int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (!*cli->stop && nanosleep(&t, &t) != 0)
        continue;
    return *cli->stop ? -EINTR : 0;
}

int cli_job(const struct cli *cli, int64_t *ret, struct errbuf *why)
{
    if (text_i64(cli->words[0], 1, (int64_t)EXACT_MAX, ret))
        return 0;
    return err_set(why, EXIT_USAGE, "\"%.60s\" is not the number of a job; steppe jobs lists them",
                   cli->words[0]);
}

int cli_job_request(const struct cli *cli, cJSON **ret, struct errbuf *why)
{
    int64_t job;
    int rc = cli_job(cli, &job, why);

    if (rc == 0) {
        *ret = cJSON_CreateObject();
        cJSON_AddNumberToObject(*ret, "job", (double)job);
    }
    return rc;
}

/* cJSON leaves as they are the characters that steer a terminal and are no ASCII: they stand inside
 * of strings only, where an escape means the same. Frees text. */
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

void cli_print_value(const cJSON *value)
{
    print_json_text(cJSON_Print(value));
}

void cli_print_line(const cJSON *value)
{
    print_json_text(cJSON_PrintUnformatted(value));
}

static void print_line(FILE *to, const char *fmt, va_list ap)
{
    char *text;

    if (vasprintf(&text, fmt, ap) < 0)
        return;
    text_make_printable(text);
    fprintf(to, "%s\n", text);
    free(text);
}

void cli_print_text(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    print_line(stdout, fmt, ap);
    va_end(ap);
}

void cli_note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    print_line(stderr, fmt, ap);
    va_end(ap);
}

void cli_print_json(const struct message *reply, const char *only)
{
    static const char *const envelope[] = {"type", "id", "ok", "tensors", NULL};

    if (only) {
        cli_print_value(cJSON_GetObjectItemCaseSensitive(reply->json, only));
        return;
    }
    for (int i = 0; envelope[i]; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(reply->json, envelope[i]);
    cli_print_value(reply->json);
}

int reply_array(const cJSON *json, const char *name, const cJSON **ret, struct errbuf *why)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(json, name);

    if (!cJSON_IsArray(array))
        return err_set(why, -EBADMSG, "the server's reply has no list \"%s\"", name);
    *ret = array;
    return 0;
}

int reply_object(const cJSON *json, const char *name, const cJSON **ret, struct errbuf *why)
{
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(json, name);

    if (!cJSON_IsObject(object))
        return err_set(why, -EBADMSG, "the server's reply has no object \"%s\"", name);
    *ret = object;
    return 0;
}

bool value_f64(const cJSON *obj, const char *name, double *ret)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(obj, name);

    if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble))
        return false;
    *ret = value->valuedouble;
    return true;
}

bool value_i64(const cJSON *obj, const char *name, int64_t *ret)
{
    double value;

    if (!value_f64(obj, name, &value) || fabs(value) > EXACT_MAX || value != floor(value))
        return false;
    *ret = (int64_t)value;
    return true;
}

const char *value_text(const cJSON *obj, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(obj, name);

    return cJSON_IsString(value) ? value->valuestring : "";
}

void cell_text(struct table *t, const cJSON *obj, const char *name)
{
    table_add(t, "%s", value_text(obj, name));
}

void cell_i64(struct table *t, const cJSON *obj, const char *name)
{
    int64_t value;

    if (value_i64(obj, name, &value))
        table_add(t, "%lld", (long long)value);
    else
        table_add(t, TABLE_NONE);
}

void cell_f64(struct table *t, const cJSON *obj, const char *name)
{
    double value;

    if (value_f64(obj, name, &value))
        table_add(t, "%.4g", value);
    else
        table_add(t, TABLE_NONE);
}

void cell_share(struct table *t, const cJSON *obj, const char *name)
{
    double value;

    if (value_f64(obj, name, &value))
        table_add(t, "%.2f%%", 100 * value);
    else
        table_add(t, TABLE_NONE);
}

void cell_age(struct table *t, const cJSON *obj, const char *name)
{
    char text[DRAW_TEXT_BYTES];
    int64_t unix_ms;

    if (value_i64(obj, name, &unix_ms))
        table_add(t, "%s", draw_age(clock_unix_ms() - unix_ms, text));
    else
        table_add(t, TABLE_NONE);
}

enum paint state_paint(const char *state)
{
    static const struct {
        const char *name;
        enum paint paint;
    } paints[] = {
        {"running", PAINT_GOOD},   {"done", PAINT_BOLD},    {"failed", PAINT_BAD},
        {"cancelled", PAINT_DIM},  {"paused", PAINT_WAIT},  {"queued", PAINT_WAIT},
        {"computing", PAINT_GOOD}, {"waiting", PAINT_WAIT}, {"silent", PAINT_BAD},
        {"set aside", PAINT_BAD},
    };

    for (size_t i = 0; i < sizeof(paints) / sizeof(paints[0]); i++)
        if (strcmp(paints[i].name, state) == 0)
            return paints[i].paint;
    return PAINT_NONE;
}

void cell_state(struct table *t, const cJSON *obj, const char *name)
{
    const char *state = value_text(obj, name);

    table_add(t, "%s", state);
    table_paint(t, state_paint(state));
}
