#include "server/net/socket.h"

#include <errno.h>
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

static void reply(struct request *rq, struct answer *answer)
{
    struct errbuf why;
    void *body;
    size_t bytes;

    if (answer->code != ERR_COUNT)
        metrics_count(&rq->net->metrics, COUNT_REJECTED + answer->code);
    int rc = message_encode(answer->json, answer->tensors, answer->tensor_count, rq->net->halves,
                            rq->session ? alloc_sealed : transport_alloc, &body, &bytes, &why);
    if (rc < 0) {
        log_error("request.reply", "type=%s error=\"%s\"", message_names[rq->type], why.text);
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

static void drop(struct request *rq)
{
    (void)rq; /* a client that hears nothing asks again */
}

static void name_peer(const struct request *rq, char ret[PEER_BYTES])
{
    transport_peer(rq->transport, &rq->token, ret);
}

static const struct carrier socket_carrier = {.reply = reply, .drop = drop, .peer = name_peer};

void socket_message(void *arg, const struct token *from, void *body, size_t bytes)
{
    struct socket *socket = arg;
    uint8_t *message = body;
    struct request *rq = request_new(socket->net, &socket_carrier, socket);
    struct errbuf why = {""};

    rq->transport = socket->transport;
    rq->token = *from;
    if (!gate_enter(socket->net->gate, rq, socket->sealed_only, &message, &bytes)) {
        transport_release(body);
        return;
    }
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
