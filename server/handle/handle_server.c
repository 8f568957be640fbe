/* ping and server.*: the server itself. */
#include "common/clock.h"
#include "server/handle/handlers.h"
#include "server/http/http.h"
#include "server/jobs/service.h"
#include "server/net/gate.h"

void handle_ping(struct request *rq)
{
    cJSON *out = cJSON_CreateObject();

    cJSON_AddStringToObject(out, "server", "steppe-server");
    cJSON_AddStringToObject(out, "version", STEPPE_VERSION);
    cJSON_AddNumberToObject(out, "v", PROTOCOL_VERSION);
    cJSON_AddNumberToObject(out, "uptime_ms", (double)(clock_mono_ms() - rq->net->start_ms));
    request_reply(rq, out, NULL, 0);
}

void handle_server_dashboard(struct request *rq)
{
    const struct service *s = rq->service;
    const enum role role = rq->role == ROLE_READ ? ROLE_READ : ROLE_SUBMIT;
    char token[HTTP_PASS_HEX];
    cJSON *out;

    if (!s->dashboard) {
        request_error(rq, ERR_UNAVAILABLE,
                      "this server has no dashboard; start it with --http " HTTP_DEFAULT);
        return;
    }
    out = cJSON_CreateObject();
    http_token(s->dashboard, role, rq->key_name, gate_key_end(rq->net->gate, rq), token);
    cJSON_AddStringToObject(out, "url", http_url(s->dashboard));
    cJSON_AddStringToObject(out, "token", token);
    request_reply(rq, out, NULL, 0);
}
