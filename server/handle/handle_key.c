/* key.*: who holds keys, and until when. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/field.h"
#include "common/log.h"
#include "common/text.h"
#include "proto/key.h"
#include "server/handle/handlers.h"
#include "server/jobs/service.h"
#include "server/net/gate.h"
#include "server/net/holders.h"
#include "server/net/op.h"

static cJSON *holder_row(struct gate *g, const struct holder *h)
{
    cJSON *row = cJSON_CreateObject();
    const int64_t revoked_ms = holders_revoked(gate_holders(g), h->name);
    int64_t used_ms;
    const int sessions = gate_sessions_of(g, h->name, h->role, &used_ms);
    const int64_t last_ms = used_ms < 0 ? 0 : clock_unix_ms() - (clock_mono_ms() - used_ms);
    char id[17];

    snprintf(id, sizeof(id), "%016llx", (unsigned long long)h->id);
    cJSON_AddStringToObject(row, "name", h->name);
    cJSON_AddStringToObject(row, "role", h->role);
    cJSON_AddStringToObject(row, "id", id);
    cJSON_AddNumberToObject(row, "issued_ms", (double)h->issued_ms);
    cJSON_AddNumberToObject(row, "expires_ms", (double)h->expires_ms);
    cJSON_AddNumberToObject(row, "first_ms", (double)h->first_ms);
    cJSON_AddNumberToObject(row, "last_ms", (double)(last_ms > h->last_ms ? last_ms : h->last_ms));
    cJSON_AddStringToObject(row, "address", h->address);
    cJSON_AddNumberToObject(row, "sessions", sessions);
    if (h->issued_ms <= revoked_ms)
        cJSON_AddNumberToObject(row, "revoked_ms", (double)revoked_ms);
    return row;
}

static bool is_known(const struct holders *holders, const char *name)
{
    for (size_t i = 0; i < holders_count(holders); i++)
        if (strcmp(holders_at(holders, i)->name, name) == 0)
            return true;
    return false;
}

void handle_key_list(struct request *rq)
{
    struct gate *g = rq->net->gate;
    const struct holders *holders = gate_holders(g);
    cJSON *out = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(out, "keys");

    for (size_t i = 0; i < holders_count(holders); i++)
        cJSON_AddItemToArray(rows, holder_row(g, holders_at(holders, i)));
    for (size_t i = 0; i < holders_revoked_count(holders); i++) {
        const struct revoked *r = holders_revoked_at(holders, i);
        if (is_known(holders, r->name))
            continue;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", r->name);
        cJSON_AddNumberToObject(row, "revoked_ms", (double)r->unix_ms);
        cJSON_AddItemToArray(rows, row);
    }
    request_reply(rq, out, NULL, 0);
}

/* --- key.revoke --- */

static void revoke_work(struct op *op)
{
    const struct revoked *r = op->arg;

    op->rc = store_key_revoke(op->service->store, r->name, r->unix_ms, &op->why);
}

/* From here on no message of the key is heard; what its workers had goes back. */
static void revoke_done(struct op *op)
{
    struct revoked *r = op->arg;
    struct gate *g = op->service->net->gate;
    int ended = 0;

    if (op->rc == 0)
        op->rc = gate_revoke(g, r->name, r->unix_ms, &ended, &op->why);
    if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
    } else {
        uint32_t workers = workers_revoke(op->service->workers, r->name);
        cJSON *out = cJSON_CreateObject();
        cJSON_AddStringToObject(out, "name", r->name);
        cJSON_AddNumberToObject(out, "revoked_ms", (double)r->unix_ms);
        cJSON_AddBoolToObject(out, "known", is_known(gate_holders(g), r->name));
        cJSON_AddNumberToObject(out, "sessions", ended);
        cJSON_AddNumberToObject(out, "workers", workers);
        log_info("key.revoke", "name=%s sessions=%d workers=%u by=\"%s\"", r->name, ended, workers,
                 request_who(op->rq));
        request_reply(op->rq, out, NULL, 0);
    }
    free(r);
}

void handle_key_revoke(struct request *rq)
{
    struct revoked r = {.unix_ms = clock_unix_ms()};
    const char *name = NULL;
    struct errbuf why;
    int rc = field_str(rq->message.json, "key.revoke", "name", true, NAME_MAX_BYTES, &name, &why);

    if (rc == 0 && !text_is_name(name))
        rc = err_set(&why, -EINVAL,
                     "key.revoke.name is \"%s\", allowed are 1 to %d of A-Z a-z 0-9 . _ -", name,
                     NAME_MAX_BYTES - 1);
    if (rc == 0 && strcmp(name, KEY_CLUSTER_NAME) == 0)
        rc = err_set(&why, -EPERM,
                     "who has a cluster key can make any key: it is not revoked, but taken out of "
                     "the server's key file (steppe key add)");
    if (rc == 0)
        rc = holders_may_revoke(gate_holders(rq->net->gate), name, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    struct revoked *copy = xmalloc(sizeof(*copy));
    snprintf(r.name, sizeof(r.name), "%s", name);
    *copy = r;
    op_run(rq->service->net->store_lane, (struct op){.rq = rq,
                                                     .service = rq->service,
                                                     .arg = copy,
                                                     .work = revoke_work,
                                                     .done = revoke_done});
}

/* --- key.renew --- */

void handle_key_renew(struct request *rq)
{
    char text[2 * CERT_BYTES + 1], cluster[2 * KEY_BYTES + 1];
    uint8_t key[KEY_BYTES], trusted[KEY_BYTES];
    const char *hex = NULL;
    struct cert cert;
    struct errbuf why;
    int rc = field_str(rq->message.json, "key.renew", "key", true, 2 * KEY_BYTES + 1, &hex, &why);

    if (rc == 0 && !text_unhex(hex, key, KEY_BYTES))
        rc = err_set(&why, -EINVAL, "key.renew.key is \"%s\", allowed are %d hex digits", hex,
                     2 * KEY_BYTES);
    if (rc == 0)
        rc = gate_renew(rq->net->gate, rq, key, clock_unix_ms(), &cert, trusted, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    text_hex(cert.bytes, CERT_BYTES, text);
    text_hex(trusted, KEY_BYTES, cluster);
    cJSON *out = cJSON_CreateObject();
    cJSON_AddStringToObject(out, "certificate", text);
    cJSON_AddStringToObject(out, "cluster", cluster);
    log_info("key.renew", "name=%s role=%s", cert.name, role_name(cert.role));
    request_reply(rq, out, NULL, 0);
}
