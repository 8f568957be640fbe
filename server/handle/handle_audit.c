/* audit.list: which commands changed something. */
#include <stdlib.h>

#include "common/alloc.h"
#include "common/field.h"
#include "server/handle/handlers.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

static void list_work(struct op *op)
{
    struct audit_ask *a = op->arg;

    op->rc = query_audit(op->service->query, a, &op->out, &op->why);
    free(a);
}

/* The texts stay the request's. */
static int read_ask(const struct request *rq, struct audit_ask *a, struct errbuf *why)
{
    const int64_t most = INT64_C(1) << 50;
    const cJSON *json = rq->message.json;
    const char *where = message_names[rq->type];
    int rc = field_i64(json, where, "before", false, 1, most, &a->before, why);

    if (rc == 0)
        rc = field_i64(json, where, "since", false, 0, most, &a->since, why);
    if (rc == 0)
        rc = field_i64(json, where, "until", false, 0, most, &a->until, why);
    if (rc == 0)
        rc = field_i64(json, where, "limit", false, 1, ROWS_MAX, &a->limit, why);
    if (rc == 0)
        rc = field_str(json, where, "key", false, NAME_MAX_BYTES, &a->key, why);
    if (rc == 0)
        rc = field_str(json, where, "command", false, NAME_MAX_BYTES, &a->command, why);
    if (rc == 0)
        rc = field_str(json, where, "about", false, AUDIT_TEXT_BYTES, &a->about, why);
    return rc == 0 ? field_str(json, where, "result", false, NAME_MAX_BYTES, &a->result, why) : rc;
}

void handle_audit_list(struct request *rq)
{
    struct audit_ask a = {.before = INT64_MAX, .until = INT64_MAX, .limit = 100};
    struct errbuf why;
    int rc = read_ask(rq, &a, &why);

    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    struct audit_ask *copy = xmalloc(sizeof(*copy));
    *copy = a;
    op_run(rq->service->net->query_lane,
           (struct op){.rq = rq, .service = rq->service, .arg = copy, .work = list_work});
}
