#include "server/net/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/log.h"
#include "proto/seal.h"
#include "server/net/gate.h"
#include "server/net/net.h"
#include "server/net/request.h"

/* Memory for a message with room for its seal around it. */
static void *alloc_sealed(size_t bytes)
{
    uint8_t *frame = transport_alloc(bytes + SEAL_BYTES);

    return frame ? frame + SEAL_HEAD_BYTES : NULL;
}

/* False: the session is over. */
static bool send_sealed(const struct request *rq, uint8_t *message, size_t bytes)
{
    uint8_t *frame = message - SEAL_HEAD_BYTES;
    bool good = gate_seal(rq->net->gate, rq, frame, bytes);

    if (good)
        transport_reply(rq->transport, &rq->token, frame);
    else
        transport_release(frame);
    return good;
}

/* A client that hears nothing asks again. */
static void drop(struct request *rq)
{
    transport_drop(rq->transport, &rq->token);
}

static void reply(struct request *rq, struct answer *answer)
{
    struct errbuf why;
    void *body;
    size_t bytes;

    transport_of_people(rq->transport, &rq->token, request_is_of_people(rq));
    if (answer->code != ERR_COUNT)
        metrics_count(&rq->net->metrics, COUNT_REJECTED + answer->code);
    int rc = message_encode(answer->json, answer->tensors, answer->tensor_count, rq->net->halves,
                            rq->session ? alloc_sealed : transport_alloc, &body, &bytes, &why);
    if (rc < 0) {
        log_error("request.reply", "type=%s error=\"%s\"", message_names[rq->type], why.text);
        drop(rq);
    } else if (answer->file_count > 0) {
        transport_reply_files(rq->transport, &rq->token, body, answer->files, answer->file_count);
    } else if (!rq->session) {
        transport_reply(rq->transport, &rq->token, body);
    } else if (!send_sealed(rq, body, bytes)) {
        /* Its client asks again at once in a new session, instead of waiting for its timeout. */
        struct answer over = {
            .json = request_error_json(rq, ERR_NO_SESSION, "the session is over; say hello again"),
            .code = ERR_NO_SESSION};
        rq->session = 0;
        reply(rq, &over);
        cJSON_Delete(over.json);
    }
}

static void name_peer(const struct request *rq, char ret[PEER_BYTES])
{
    transport_peer(rq->transport, &rq->token, ret);
}

static const struct carrier socket_carrier = {.reply = reply, .drop = drop, .peer = name_peer};

/* A parser takes forty times the text's bytes for what is small in it. */
static size_t weight_of(const uint8_t *message, size_t bytes)
{
    const size_t parsed = 40;

    return bytes + parsed * message_json_bytes(message, bytes);
}

int64_t socket_newcomer(void *arg, const char *peer)
{
    const struct socket *socket = arg;

    return gate_newcomer(socket->net->gate, peer);
}

void socket_gone(void *arg, void *what)
{
    (void)arg;
    request_orphan(what);
}

void socket_message(void *arg, const struct token *from, void *body, size_t bytes)
{
    struct socket *socket = arg;
    uint8_t *message = body;
    struct request *rq = request_new(socket->net, &socket_carrier, socket);
    struct errbuf why = {""};

    rq->transport = socket->transport;
    rq->token = *from;
    const struct local *local = transport_local(rq->transport, from);
    struct caller caller = {.sealed_only = socket->sealed_only,
                            .plain = socket->plain,
                            .local = local,
                            .peer = transport_address(rq->transport, from),
                            .bucket = transport_bucket(rq->transport, from)};
    transport_tie(rq->transport, from, rq);
    if (!gate_enter(socket->net->gate, rq, &caller, &message, &bytes)) {
        transport_release(body);
        transport_rest(socket->transport, from, caller.rest_ms);
        return;
    }
    if (rq->session)
        snprintf(rq->owner, sizeof(rq->owner), "key %s", rq->key_name);
    else
        snprintf(rq->owner, sizeof(rq->owner), "%s", transport_address(rq->transport, from));
    if (!transport_known(rq->transport, from, rq->owner,
                         rq->key_name[0] ? CONNECTIONS_OF_ONE_MAX : CONNECTIONS_MAX)) {
        transport_release(body);
        request_error(rq, ERR_LIMIT, "%d connections of the %s are open, allowed is %d of one",
                      CONNECTIONS_OF_ONE_MAX, rq->owner, CONNECTIONS_OF_ONE_MAX);
        return;
    }
    rq->weight = weight_of(message, bytes);
    int rc = message_decode(message, bytes, JSON_REQUEST_BYTES_MAX, &rq->message, &why);
    if (rc < 0) {
        transport_release(body);
        request_error(rq, request_unread(rc), "%s", why.text);
        return;
    }
    rq->message.body = body;
    rq->message.release = transport_release;
    socket->net->dispatch(rq);
}
