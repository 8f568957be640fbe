/* The envelope, the common checks, one table. */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/field.h"
#include "common/text.h"
#include "server/handle/ask.h"
#include "server/handle/dispatch.h"
#include "server/handle/handlers.h"
#include "server/net/gate.h"
#include "server/net/net.h"

#define KEYS_MAX 16

/* keys: what the request may have beside the envelope. changes: the key of the request, or of its
 * reply, that names what it changes ("": none does); NULL: it only looks, or is of a worker. */
static const struct row {
    void (*handle)(struct request *rq);
    const char *keys[KEYS_MAX];
    const char *changes;
    enum wait_line wait; /* the line for its handler */
} table[MSG_COUNT] = {
    [MSG_PING] = {handle_ping, {NULL}},
    [MSG_JOB_SUBMIT] = {handle_job_submit, {"uuid", "spec"}, "job", WAIT_WRITE},
    [MSG_JOB_LIST] = {handle_job_list, {"before", "limit", "name"}},
    [MSG_JOB_SHOW] = {handle_job_show, {"job", "epochs_from"}, NULL, WAIT_ASK},
    [MSG_JOB_LOG] = {handle_job_log, {"job", "after", "limit"}, NULL, WAIT_ASK},
    [MSG_JOB_PAUSE] = {handle_job_pause, {"job"}, "job", WAIT_WRITE},
    [MSG_JOB_RESUME] = {handle_job_resume, {"job", "relaxed"}, "job", WAIT_WRITE},
    [MSG_JOB_UNPIN] = {handle_job_unpin, {"job", "class"}, "job", WAIT_WRITE},
    [MSG_JOB_CANCEL] = {handle_job_cancel, {"job"}, "job", WAIT_WRITE},
    [MSG_JOB_RM] = {handle_job_rm, {"job"}, "job", WAIT_WRITE},
    [MSG_JOB_SCHEDULE] = {handle_job_schedule,
                          {"job", "epoch", "first", "limit"},
                          NULL,
                          WAIT_REPLAY},
    [MSG_EXTERNAL_OPEN] = {handle_external_open,
                           {"job", "epoch", "dataset_sha256", "program", "uuid"},
                           "job",
                           WAIT_WRITE},
    [MSG_EXTERNAL_JOIN] = {handle_external_join, {"job", "incarnation"}},
    [MSG_EXTERNAL_ORDER] = {handle_external_order,
                            {"job", "incarnation", "epoch", "first", "count", "rank", "world"},
                            NULL,
                            WAIT_RANKS},
    [MSG_EXTERNAL_REPORT] = {handle_external_report,
                             {"job", "incarnation", "epoch", "split", "tensors"},
                             NULL,
                             WAIT_RANKS},
    [MSG_EXTERNAL_CLOSE] = {handle_external_close,
                            {"job", "incarnation", "epoch", "rank", "world", "life", "metrics"},
                            NULL,
                            WAIT_WRITE},
    [MSG_STUDY_SUBMIT] = {handle_study_submit, {"uuid", "spec"}, "study", WAIT_WRITE},
    [MSG_STUDY_LIST] = {handle_study_list, {NULL}},
    [MSG_STUDY_SHOW] = {handle_study_show, {"study"}, NULL, WAIT_ASK},
    [MSG_STUDY_CURVES] = {handle_study_curves, {"study", "by", "dataset"}, NULL, WAIT_ASK},
    [MSG_STUDY_PAUSE] = {handle_study_pause, {"study"}, "study", WAIT_WRITE},
    [MSG_STUDY_RESUME] = {handle_study_resume, {"study"}, "study", WAIT_WRITE},
    [MSG_STUDY_CANCEL] = {handle_study_cancel, {"study"}, "study", WAIT_WRITE},
    [MSG_STUDY_RM] = {handle_study_rm, {"study"}, "study", WAIT_WRITE},
    [MSG_JOB_FLATNESS] = {handle_job_flatness, {"job", "epochs_from", "limit"}, NULL, WAIT_ASK},
    [MSG_JOB_METRICS] = {handle_job_metrics, {"job", "epochs_from", "limit"}, NULL, WAIT_ASK},
    [MSG_MODEL_GET] = {handle_model_get, {"job", "step", "offset", "bytes"}, NULL, WAIT_MODEL},
    [MSG_PREDICT_OPEN] = {handle_predict_open,
                          {"uuid", "job", "adversarial", "relaxed"},
                          NULL,
                          WAIT_MODEL},
    [MSG_PREDICT_PUT] = {handle_predict_put, {"uuid", "batch", "tensors"}},
    [MSG_PREDICT_GET] = {handle_predict_get, {"uuid", "batch"}},
    [MSG_PREDICT_CLOSE] = {handle_predict_close, {"uuid"}},
    [MSG_DATASET_LIST] = {handle_dataset_list, {NULL}},
    [MSG_DATASET_SHOW] = {handle_dataset_show, {"name"}},
    [MSG_DATASET_OFFER] = {handle_dataset_offer, {"sha256", "bytes", "what", "name"}, "sha256"},
    [MSG_DATASET_PUT] = {handle_dataset_put,
                         {"sha256", "bytes", "offset", "what", "tensors"},
                         NULL,
                         WAIT_UPLOAD},
    [MSG_DATASET_COMMIT] = {handle_dataset_commit, {"name", "sha256"}, "name", WAIT_COMMIT},
    [MSG_DATASET_NAME] = {handle_dataset_name, {"name", "sha256", "replace"}, "name", WAIT_WRITE},
    [MSG_DATASET_RM] = {handle_dataset_rm, {"name"}, "name", WAIT_WRITE},
    [MSG_DATASET_GET] = {handle_dataset_get, {"sha256", "offset", "bytes"}, NULL, WAIT_DATA},
    [MSG_DATASET_REVISE] = {handle_dataset_revise, {"name"}, "name", WAIT_WRITE},
    [MSG_JOB_APPLY] = {handle_job_apply, {"job", "revision"}, "job", WAIT_WRITE},
    [MSG_VERDICT_PUT] = {handle_verdict_put,
                         {"dataset", "uuid", "rows", "check"},
                         "dataset",
                         WAIT_WRITE},
    [MSG_VERDICT_LIST] = {handle_verdict_list,
                          {"dataset", "sample", "history", "after", "limit"},
                          NULL,
                          WAIT_ASK},
    [MSG_UPLOAD_LIST] = {handle_upload_list, {NULL}},
    [MSG_UPLOAD_RM] = {handle_upload_rm, {"sha256"}, "sha256"},
    [MSG_SAMPLE_IMAGES] = {handle_sample_images, {"job", "samples"}, NULL, WAIT_ASK},
    [MSG_SAMPLE_FIND] = {handle_sample_find, {"job", "dataset", "split", "uris"}, NULL, WAIT_ASK},
    [MSG_SAMPLE_URIS] = {handle_sample_uris,
                         {"job", "dataset", "split", "first", "limit"},
                         NULL,
                         WAIT_ASK},
    [MSG_SCORE_TOP] = {handle_score_top,
                       {"job", "by", "order", "split", "epoch", "class", "first", "limit"},
                       NULL,
                       WAIT_ASK},
    [MSG_SCORE_HISTOGRAM] = {handle_score_histogram,
                             {"job", "by", "epoch", "bins", "log"},
                             NULL,
                             WAIT_ASK},
    [MSG_SCORE_TRAJECTORY] = {handle_score_trajectory,
                              {"job", "sample", "epochs_from", "limit"},
                              NULL,
                              WAIT_ASK},
    [MSG_SCORE_PLANTED] = {handle_score_planted, {"job", "epoch"}, NULL, WAIT_ASK},
    [MSG_SCORE_CLASSES] = {handle_score_ask,
                           {"job", "by", "split", "epoch", "class", "first", "limit"},
                           NULL,
                           WAIT_ASK},
    [MSG_SCORE_DOMAINS] = {handle_score_ask,
                           {"job", "by", "split", "epoch", "class", "first", "limit"},
                           NULL,
                           WAIT_ASK},
    [MSG_SCORE_CONFUSION] = {handle_score_confusion, {"job", "split", "epoch"}, NULL, WAIT_ASK},
    [MSG_SCORE_RISERS] = {handle_score_ask,
                          {"job", "by", "from", "epoch", "order", "class", "first", "limit"},
                          NULL,
                          WAIT_ASK},
    [MSG_SCORE_SUSPECTS] = {handle_score_ask,
                            {"job", "by", "epoch", "class", "study", "first", "limit"},
                            NULL,
                            WAIT_ASK},
    [MSG_SCORE_COMPARE] = {handle_score_ask,
                           {"job", "other", "by", "epoch", "other_epoch", "class", "first",
                            "limit"},
                           NULL,
                           WAIT_ASK},
    [MSG_SCORE_MAP] = {handle_score_ask,
                       {"job", "by", "epoch", "class", "first", "limit"},
                       NULL,
                       WAIT_ASK},
    [MSG_SCORE_ROWS] = {handle_score_rows,
                        {"job", "epoch", "from", "first", "limit"},
                        NULL,
                        WAIT_ASK},
    [MSG_SCORE_PROBABILITIES] = {handle_score_probabilities,
                                 {"job", "from", "limit"},
                                 NULL,
                                 WAIT_ASK},
    [MSG_SCORE_SQL] = {handle_score_sql, {"job", "sql", "limit"}},
    [MSG_SCORE_HEATMAP] = {handle_score_heatmap,
                           {"job", "by", "bins", "epochs_from", "limit"},
                           NULL,
                           WAIT_ASK},
    [MSG_DB_BACKUP] = {handle_db_backup, {"keep"}, ""},
    [MSG_DB_CHECK] = {handle_db_check, {NULL}},
    [MSG_DB_COMPACT] = {handle_db_compact, {NULL}, ""},
    [MSG_AUDIT_LIST] = {handle_audit_list,
                        {"before", "since", "until", "limit", "key", "command", "about", "result"},
                        NULL,
                        WAIT_ASK},
    [MSG_KEY_LIST] = {handle_key_list, {NULL}},
    [MSG_KEY_REVOKE] = {handle_key_revoke, {"name"}, "name", WAIT_WRITE},
    [MSG_KEY_RENEW] = {handle_key_renew, {"key"}, ""},
    [MSG_SERVER_DASHBOARD] = {handle_server_dashboard, {NULL}, ""},
    [MSG_SERVER_LIMITS] = {handle_server_limits, {NULL}},
    [MSG_WORKER_LIST] = {handle_worker_list, {NULL}},
    [MSG_WORKER_TRUST] = {handle_worker_trust, {"key"}, "key"},
    [MSG_WORKER_HELLO] = {handle_worker_hello,
                          {"name", "threads", "ranks", "class", "predicts", "memory", "address"}},
    [MSG_WORKER_BYE] = {handle_worker_bye, {NULL}},
    [MSG_WORKER_NOTE] = {handle_worker_note, {"job", "text"}},
    [MSG_TASK_NEXT] = {handle_task_next, {"have"}},
    [MSG_TASK_RESULT] = {handle_task_result,
                         {"job", "incarnation", "step", "phase", "turn", "lo", "hi", "have",
                          "leaving", "shared", "to", "tensors"}},
    [MSG_TASK_FAIL] = {handle_task_fail,
                       {"job", "incarnation", "step", "phase", "turn", "lo", "hi", "have",
                        "leaving", "reason"}},
    [MSG_TASK_REFUSE] = {handle_task_refuse, {"job", "cause", "reason", "have", "leaving"}},
    [MSG_TASK_SHARE] = {handle_task_share, {"job"}},
    [MSG_TASK_JOB] = {handle_task_job, {"job"}},
    [MSG_PREDICT_LOAD] = {handle_predict_load, {"prediction", "offset", "bytes"}},
    [MSG_PREDICT_RESULT] = {handle_predict_result,
                            {"prediction", "batch", "lo", "hi", "have", "leaving", "tensors"}},
    [MSG_PREDICT_FAIL] = {handle_predict_fail,
                          {"prediction", "batch", "lo", "hi", "have", "leaving", "reason",
                           "cause"}},
    [MSG_PARAMS_GET] = {handle_params_get,
                        {"job", "incarnation", "step", "phase", "turn", "offset", "bytes",
                         "vector"}},
    [MSG_RESULT_OFFER] = {handle_result_offer,
                          {"job", "incarnation", "step", "phase", "turn", "lo", "hi", "bytes",
                           "end", "alone"}},
    [MSG_RESULT_PUT] = {handle_result_put,
                        {"job", "incarnation", "step", "phase", "turn", "lo", "hi", "piece",
                         "blake2b", "tensors"}},
};

const char *dispatch_changes(enum message_type type)
{
    return table[type].changes;
}

static const char *const envelope[] = {"type", "v", "id", "sender", NULL};

static int check_keys(const struct request *rq, struct errbuf *why)
{
    const char *all[KEYS_MAX + 5];
    int n = 0;

    for (int i = 0; table[rq->type].keys[i]; i++)
        all[n++] = table[rq->type].keys[i];
    for (int i = 0; envelope[i]; i++)
        all[n++] = envelope[i];
    all[n] = NULL;
    int rc = field_known(rq->message.json, message_names[rq->type], all, why);
    if (rc == 0)
        return 0;
    /* The envelope is not for people, and a browser may not write it: the sentence is without. */
    for (int i = 0; envelope[i]; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(rq->message.json, envelope[i]);
    return field_known(rq->message.json, message_names[rq->type], table[rq->type].keys, why);
}

/* Reads the envelope. 0, or the error's code with a sentence. */
static int read_envelope(struct request *rq, enum error_code *ret_code, struct errbuf *why)
{
    const cJSON *json = rq->message.json;
    const char *type = NULL, *sender = NULL;
    int64_t v = PROTOCOL_VERSION;

    *ret_code = ERR_BAD_FIELD;
    if (field_i64(json, "request", "id", false, 0, INT64_C(1) << 53, &rq->id, why) < 0 ||
        field_str(json, "request", "type", true, 64, &type, why) < 0)
        return -EINVAL;
    int index = text_index(type, message_names);
    if (index < 0) {
        const char *near = text_nearest(type, message_names);

        *ret_code = ERR_UNKNOWN_TYPE;
        return err_set(why, -EINVAL, "there is no request \"%.64s\"%s%s%s", type,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    rq->type = (enum message_type)index;
    if (table[index].changes && rq->net->record)
        request_record(rq, table[index].changes);
    bool need = rq->type != MSG_PING;
    if (field_i64(json, "request", "v", need, 0, INT32_MAX, &v, why) < 0)
        return -EINVAL;
    if (v != PROTOCOL_VERSION) {
        *ret_code = ERR_UNSUPPORTED_VERSION;
        return err_set(why, -EINVAL,
                       "protocol version %lld is not spoken here; this server speaks %d",
                       (long long)v, PROTOCOL_VERSION);
    }
    if (need && !cJSON_GetObjectItemCaseSensitive(json, "id"))
        return err_set(why, -EINVAL, "request.id is missing");
    if (field_str(json, "request", "sender", need, UUID_BYTES, &sender, why) < 0)
        return -EINVAL;
    if (sender && !text_is_uuid(sender))
        return err_set(why, -EINVAL, "request.sender is \"%.40s\", allowed is a UUID", sender);
    if (sender)
        memcpy(rq->sender, sender, sizeof(rq->sender));
    if (gate_judge(rq, why) < 0) {
        *ret_code = ERR_FORBIDDEN;
        return -EACCES;
    }
    if (rq->message.tensor_count > message_tensors_max(rq->type)) {
        *ret_code = ERR_BAD_TENSOR;
        return err_set(why, -EINVAL, "%s has %d tensors, allowed is at most %d", type,
                       rq->message.tensor_count, message_tensors_max(rq->type));
    }
    return check_keys(rq, why);
}

void dispatch(struct request *rq)
{
    enum error_code code;
    struct errbuf why = {""};

    if (read_envelope(rq, &code, &why) < 0)
        request_error(rq, code, "%s", why.text);
    else if (rq->net->stopping)
        request_error(rq, ERR_UNAVAILABLE, "the server is stopping; try again in a moment");
    else
        waits_put(rq, table[rq->type].wait == WAIT_ASK ? ask_line(rq) : table[rq->type].wait);
}

/* The handler, and what it took of the loop. */
static void handle_counted(struct request *rq)
{
    struct gate *gate = rq->net->gate;
    struct transport *transport = rq->transport;
    const struct token token = rq->token;
    char owner[OWNER_BYTES];
    const double start_s = clock_thread_s();

    memcpy(owner, rq->owner, sizeof(owner));
    table[rq->type].handle(rq);
    transport_rest(transport, &token, gate_spend(gate, owner, (clock_thread_s() - start_s) * 1000));
}

void dispatch_handle(struct request *rq)
{
    if (rq->net->stopping)
        request_error(rq, ERR_UNAVAILABLE, "the server is stopping; try again in a moment");
    else if (rq->transport && request_is_of_people(rq))
        handle_counted(rq);
    else
        table[rq->type].handle(rq);
}
