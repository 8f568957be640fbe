#include "worker/greet.h"

#include <errno.h>
#include <stdio.h>

#include "common/field.h"
#include "common/log.h"

#define HELLO_MS 10000
#define HELLO_RETRY_MS 2000
#define BYE_MS 2000

int greet_open(const struct duty_options *options, const char *sender,
               const _Atomic sig_atomic_t *stop, struct client **ret, struct errbuf *why)
{
    struct client *c;
    int rc = client_open(options->server, sender, stop, &c, why);

    if (rc < 0)
        return rc;
    rc = options->key ? client_use_key(c, options->key, why) : 0;
    if (rc < 0)
        client_close(c);
    else
        *ret = c;
    return rc;
}

/* Refusals that waiting does not cure. Only the first refusal of a key is final: later the new key
 * may still be on its way, and somebody between us and the server can forge the refusal. */
static bool hopeless(bool known, enum error_code code)
{
    return code == ERR_UNSUPPORTED_VERSION || code == ERR_BAD_FIELD || code == ERR_UNKNOWN_TYPE ||
           code == ERR_FORBIDDEN || (!known && (code == ERR_WRONG_KEY || code == ERR_KEY_NEEDED));
}

void greet_read_class(const cJSON *json, char wanted[NUMERICS_CLASS_BYTES])
{
    const char *class = "";

    if (field_str(json, "the answer", "class", false, NUMERICS_CLASS_BYTES, &class, NULL) < 0 ||
        !class)
        class = "";
    snprintf(wanted, NUMERICS_CLASS_BYTES, "%s", class);
}

int greet_hello(const struct talk *t, const struct duty_options *options, const char *class,
                const char *address, bool *io_known, char wanted[NUMERICS_CLASS_BYTES],
                struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply = {0};
    enum error_code code = ERR_INTERNAL;
    int rc, wait_ms = 0;

    cJSON_AddStringToObject(request, "name", options->name);
    cJSON_AddNumberToObject(request, "threads", group_threads(options->group));
    if (group_ranks(options->group) > 1)
        cJSON_AddNumberToObject(request, "ranks", group_ranks(options->group));
    cJSON_AddStringToObject(request, "class", class);
    cJSON_AddTrueToObject(request, "predicts");
    cJSON_AddNumberToObject(request, "memory", (double)group_memory(options->group));
    if (address)
        cJSON_AddStringToObject(request, "address", address);
    for (;;) {
        rc = client_call(t->client, MSG_WORKER_HELLO, request, NULL, 0, HELLO_MS, HELLO_RETRY_MS,
                         &reply, &code, why);
        if (rc == 0 || rc == -EINTR || (rc == -EREMOTEIO && hopeless(*io_known, code)))
            break;
        log_warn("worker.wait", "error=\"%s\"", why->text);
        talk_backoff(t, &wait_ms);
        if (*t->stop) {
            rc = -EINTR;
            break;
        }
    }
    cJSON_Delete(request);
    greet_read_class(rc == 0 ? reply.json : NULL, wanted);
    if (rc == 0)
        log_info("worker.hello", "server=%s class=%s threads=%lld", options->server, class,
                 (long long)group_threads(options->group));
    if (rc == 0 && !*io_known)
        log_info("worker.machine", "%s", options->machine);
    *io_known = *io_known || rc == 0;
    message_done(&reply);
    return rc;
}

static void say(struct client *client, enum message_type type, cJSON *request,
                const struct tensor *tensors, int tensor_count)
{
    struct message reply = {0};
    struct errbuf why;

    if (client_call(client, type, request, tensors, tensor_count, BYE_MS, 0, &reply, NULL, &why) ==
        0)
        message_done(&reply);
    else
        log_warn("worker.bye", "error=\"%s\"", why.text);
}

void greet_bye(const struct duty_options *options, const char *sender, const struct last_word *last)
{
    static const _Atomic sig_atomic_t never;
    struct client *client;
    struct errbuf why;
    cJSON *request = cJSON_CreateObject();

    if (greet_open(options, sender, &never, &client, &why) == 0) {
        if (last) {
            cJSON_AddTrueToObject(last->request, "leaving");
            say(client, last->type, last->request, last->tensors, last->tensor_count);
        }
        say(client, MSG_WORKER_BYE, request, NULL, 0);
        client_close(client);
    }
    cJSON_Delete(request);
    log_info("worker.bye", "server=%s", options->server);
}
