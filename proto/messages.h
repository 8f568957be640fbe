/* The message table and the closed list of errors, as PROTOCOL.md has them. */
#ifndef STEPPE_PROTO_MESSAGES_H
#define STEPPE_PROTO_MESSAGES_H

#include <stdbool.h>

#include "common/phase.h"
#include "proto/role.h"

#define PROTOCOL_VERSION 1

/* Who may send a message; an admin may send all. */
#define BY_ADMIN ROLE_BIT(ROLE_ADMIN)
#define BY_SUBMIT (BY_ADMIN | ROLE_BIT(ROLE_SUBMIT))
#define BY_READ (BY_SUBMIT | ROLE_BIT(ROLE_READ))
#define BY_WORKER (BY_ADMIN | ROLE_BIT(ROLE_WORKER))
#define BY_TRAIN (BY_SUBMIT | ROLE_BIT(ROLE_TRAINER))
#define BY_WORK_OR_READ (BY_READ | BY_WORKER)
#define BY_ALL (BY_WORK_OR_READ | ROLE_BIT(ROLE_TRAINER))

/* MESSAGE(id, wire name, most tensors in the request, roles that may send it, how a browser may) */
#define MESSAGE_TABLE(MESSAGE)                                                                     \
    MESSAGE(PING, "ping", 0, BY_ALL, WEB_GET)                                                      \
    MESSAGE(JOB_SUBMIT, "job.submit", 0, BY_SUBMIT, WEB_POST)                                      \
    MESSAGE(JOB_LIST, "job.list", 0, BY_READ, WEB_GET)                                             \
    MESSAGE(JOB_SHOW, "job.show", 0, BY_READ, WEB_GET)                                             \
    MESSAGE(JOB_LOG, "job.log", 0, BY_READ, WEB_GET)                                               \
    MESSAGE(JOB_PAUSE, "job.pause", 0, BY_SUBMIT, WEB_POST)                                        \
    MESSAGE(JOB_RESUME, "job.resume", 0, BY_SUBMIT, WEB_POST)                                      \
    MESSAGE(JOB_UNPIN, "job.unpin", 0, BY_ADMIN, WEB_NONE)                                         \
    MESSAGE(JOB_CANCEL, "job.cancel", 0, BY_SUBMIT, WEB_POST)                                      \
    MESSAGE(JOB_RM, "job.rm", 0, BY_ADMIN, WEB_NONE)                                               \
    MESSAGE(JOB_SCHEDULE, "job.schedule", 0, BY_READ, WEB_NONE)                                    \
    MESSAGE(EXTERNAL_OPEN, "external.open", 0, BY_TRAIN, WEB_NONE)                                 \
    MESSAGE(EXTERNAL_JOIN, "external.join", 0, BY_TRAIN, WEB_NONE)                                 \
    MESSAGE(EXTERNAL_ORDER, "external.order", 0, BY_TRAIN, WEB_NONE)                               \
    MESSAGE(EXTERNAL_REPORT, "external.report", 9, BY_TRAIN, WEB_NONE)                             \
    MESSAGE(EXTERNAL_CLOSE, "external.close", 0, BY_TRAIN, WEB_NONE)                               \
    MESSAGE(STUDY_SUBMIT, "study.submit", 0, BY_SUBMIT, WEB_POST)                                  \
    MESSAGE(STUDY_LIST, "study.list", 0, BY_READ, WEB_GET)                                         \
    MESSAGE(STUDY_SHOW, "study.show", 0, BY_READ, WEB_GET)                                         \
    MESSAGE(STUDY_CURVES, "study.curves", 0, BY_READ, WEB_GET)                                     \
    MESSAGE(STUDY_PAUSE, "study.pause", 0, BY_SUBMIT, WEB_POST)                                    \
    MESSAGE(STUDY_RESUME, "study.resume", 0, BY_SUBMIT, WEB_POST)                                  \
    MESSAGE(STUDY_CANCEL, "study.cancel", 0, BY_SUBMIT, WEB_POST)                                  \
    MESSAGE(STUDY_RM, "study.rm", 0, BY_ADMIN, WEB_NONE)                                           \
    MESSAGE(JOB_FLATNESS, "job.flatness", 0, BY_READ, WEB_GET)                                     \
    MESSAGE(JOB_METRICS, "job.metrics", 0, BY_READ, WEB_GET)                                       \
    MESSAGE(MODEL_GET, "model.get", 0, BY_READ, WEB_NONE)                                          \
    MESSAGE(PREDICT_OPEN, "predict.open", 0, BY_SUBMIT, WEB_POST)                                  \
    MESSAGE(PREDICT_PUT, "predict.put", 1, BY_SUBMIT, WEB_NONE)                                    \
    MESSAGE(PREDICT_GET, "predict.get", 0, BY_SUBMIT, WEB_POST)                                    \
    MESSAGE(PREDICT_CLOSE, "predict.close", 0, BY_SUBMIT, WEB_POST)                                \
    MESSAGE(DATASET_LIST, "dataset.list", 0, BY_READ, WEB_GET)                                     \
    MESSAGE(DATASET_SHOW, "dataset.show", 0, BY_READ, WEB_GET)                                     \
    MESSAGE(DATASET_OFFER, "dataset.offer", 0, BY_SUBMIT, WEB_NONE)                                \
    MESSAGE(DATASET_PUT, "dataset.put", 1, BY_SUBMIT, WEB_NONE)                                    \
    MESSAGE(DATASET_COMMIT, "dataset.commit", 0, BY_SUBMIT, WEB_NONE)                              \
    MESSAGE(DATASET_NAME, "dataset.name", 0, BY_SUBMIT, WEB_NONE)                                  \
    MESSAGE(DATASET_RM, "dataset.rm", 0, BY_SUBMIT, WEB_NONE)                                      \
    MESSAGE(DATASET_GET, "dataset.get", 0, BY_WORK_OR_READ, WEB_NONE)                              \
    MESSAGE(DATASET_REVISE, "dataset.revise", 0, BY_SUBMIT, WEB_POST)                              \
    MESSAGE(JOB_APPLY, "job.apply", 0, BY_SUBMIT, WEB_POST)                                        \
    MESSAGE(VERDICT_PUT, "verdict.put", 0, BY_SUBMIT, WEB_POST)                                    \
    MESSAGE(VERDICT_LIST, "verdict.list", 0, BY_READ, WEB_GET)                                     \
    MESSAGE(UPLOAD_LIST, "upload.list", 0, BY_READ, WEB_NONE)                                      \
    MESSAGE(UPLOAD_RM, "upload.rm", 0, BY_SUBMIT, WEB_NONE)                                        \
    MESSAGE(SAMPLE_IMAGES, "sample.images", 0, BY_READ, WEB_PICTURE)                               \
    MESSAGE(SAMPLE_FIND, "sample.find", 0, BY_READ, WEB_GET)                                       \
    MESSAGE(SAMPLE_URIS, "sample.uris", 0, BY_READ, WEB_NONE)                                      \
    MESSAGE(SCORE_TOP, "score.top", 0, BY_READ, WEB_GET)                                           \
    MESSAGE(SCORE_HISTOGRAM, "score.histogram", 0, BY_READ, WEB_GET)                               \
    MESSAGE(SCORE_TRAJECTORY, "score.trajectory", 0, BY_READ, WEB_GET)                             \
    MESSAGE(SCORE_PLANTED, "score.planted", 0, BY_READ, WEB_GET)                                   \
    MESSAGE(SCORE_CLASSES, "score.classes", 0, BY_READ, WEB_GET)                                   \
    MESSAGE(SCORE_DOMAINS, "score.domains", 0, BY_READ, WEB_GET)                                   \
    MESSAGE(SCORE_CONFUSION, "score.confusion", 0, BY_READ, WEB_NONE)                              \
    MESSAGE(SCORE_RISERS, "score.risers", 0, BY_READ, WEB_GET)                                     \
    MESSAGE(SCORE_SUSPECTS, "score.suspects", 0, BY_READ, WEB_GET)                                 \
    MESSAGE(SCORE_COMPARE, "score.compare", 0, BY_READ, WEB_GET)                                   \
    MESSAGE(SCORE_MAP, "score.map", 0, BY_READ, WEB_GET)                                           \
    MESSAGE(SCORE_ROWS, "score.rows", 0, BY_READ, WEB_NONE)                                        \
    MESSAGE(SCORE_PROBABILITIES, "score.probabilities", 0, BY_READ, WEB_NONE)                      \
    MESSAGE(SCORE_SQL, "score.sql", 0, BY_READ, WEB_GET)                                           \
    MESSAGE(SCORE_HEATMAP, "score.heatmap", 0, BY_READ, WEB_GET)                                   \
    MESSAGE(DB_BACKUP, "db.backup", 0, BY_ADMIN, WEB_NONE)                                         \
    MESSAGE(DB_CHECK, "db.check", 0, BY_ADMIN, WEB_NONE)                                           \
    MESSAGE(DB_COMPACT, "db.compact", 0, BY_ADMIN, WEB_NONE)                                       \
    MESSAGE(AUDIT_LIST, "audit.list", 0, BY_ADMIN, WEB_NONE)                                       \
    MESSAGE(KEY_LIST, "key.list", 0, BY_ADMIN, WEB_NONE)                                           \
    MESSAGE(KEY_REVOKE, "key.revoke", 0, BY_ADMIN, WEB_NONE)                                       \
    MESSAGE(KEY_RENEW, "key.renew", 0, BY_ALL, WEB_NONE)                                           \
    MESSAGE(SERVER_DASHBOARD, "server.dashboard", 0, BY_READ, WEB_NONE)                            \
    MESSAGE(SERVER_LIMITS, "server.limits", 0, BY_READ, WEB_GET)                                   \
    MESSAGE(WORKER_LIST, "worker.list", 0, BY_READ, WEB_GET)                                       \
    MESSAGE(WORKER_TRUST, "worker.trust", 0, BY_ADMIN, WEB_NONE)                                   \
    MESSAGE(WORKER_HELLO, "worker.hello", 0, BY_WORKER, WEB_NONE)                                  \
    MESSAGE(WORKER_BYE, "worker.bye", 0, BY_WORKER, WEB_NONE)                                      \
    MESSAGE(WORKER_NOTE, "worker.note", 0, BY_WORKER, WEB_NONE)                                    \
    MESSAGE(TASK_NEXT, "task.next", 0, BY_WORKER, WEB_NONE)                                        \
    MESSAGE(TASK_RESULT, "task.result", RESULT_PARTS, BY_WORKER, WEB_NONE)                         \
    MESSAGE(TASK_FAIL, "task.fail", 0, BY_WORKER, WEB_NONE)                                        \
    MESSAGE(TASK_REFUSE, "task.refuse", 0, BY_WORKER, WEB_NONE)                                    \
    MESSAGE(TASK_SHARE, "task.share", 0, BY_WORKER, WEB_NONE)                                      \
    MESSAGE(TASK_JOB, "task.job", 0, BY_WORKER, WEB_NONE)                                          \
    MESSAGE(PREDICT_LOAD, "predict.load", 0, BY_WORKER, WEB_NONE)                                  \
    MESSAGE(PREDICT_RESULT, "predict.result", 2, BY_WORKER, WEB_NONE)                              \
    MESSAGE(PREDICT_FAIL, "predict.fail", 0, BY_WORKER, WEB_NONE)                                  \
    MESSAGE(PARAMS_GET, "params.get", 0, BY_WORKER, WEB_NONE)                                      \
    MESSAGE(RESULT_OFFER, "result.offer", 0, BY_WORKER, WEB_NONE)                                  \
    MESSAGE(RESULT_PUT, "result.put", 1, BY_WORKER, WEB_NONE)

#define ERROR_TABLE(ERROR)                                                                         \
    ERROR(BAD_MESSAGE, "bad_message")                                                              \
    ERROR(UNKNOWN_TYPE, "unknown_type")                                                            \
    ERROR(UNSUPPORTED_VERSION, "unsupported_version")                                              \
    ERROR(BAD_FIELD, "bad_field")                                                                  \
    ERROR(BAD_TENSOR, "bad_tensor")                                                                \
    ERROR(TOO_LARGE, "too_large")                                                                  \
    ERROR(NOT_FOUND, "not_found")                                                                  \
    ERROR(EXISTS, "exists")                                                                        \
    ERROR(NOT_ALLOWED, "not_allowed")                                                              \
    ERROR(UNKNOWN_WORKER, "unknown_worker")                                                        \
    ERROR(GONE, "gone")                                                                            \
    ERROR(LIMIT, "limit")                                                                          \
    ERROR(UNAVAILABLE, "unavailable")                                                              \
    ERROR(TIMEOUT, "timeout")                                                                      \
    ERROR(INTERNAL, "internal")                                                                    \
    ERROR(FORBIDDEN, "forbidden")                                                                  \
    ERROR(KEY_NEEDED, "key_needed")                                                                \
    ERROR(WRONG_KEY, "wrong_key")                                                                  \
    ERROR(NO_SESSION, "no_session")

/* May a browser send a message, and how? */
enum message_web {
    WEB_NONE,
    WEB_GET,    /* it only looks */
    WEB_POST,   /* it changes something */
    WEB_PICTURE /* a GET of another name, which answers with a picture */
};

enum message_type {
#define MESSAGE(id, name, tensors, roles, web) MSG_##id,
    MESSAGE_TABLE(MESSAGE)
#undef MESSAGE
        MSG_COUNT
};

enum error_code {
#define ERROR(id, name) ERR_##id,
    ERROR_TABLE(ERROR)
#undef ERROR
        ERR_COUNT
};

extern const char *const message_names[]; /* indexed by message_type, NULL-terminated */
extern const char *const error_names[];   /* indexed by error_code, NULL-terminated */
int message_tensors_max(enum message_type type);
unsigned message_roles(enum message_type type); /* ROLE_BITs that may send it */
enum message_web message_web(enum message_type type);

/* Why a worker cannot do a job: `cause` of task.refuse. REFUSAL(id, wire name) */
#define REFUSAL_TABLE(REFUSAL)                                                                     \
    REFUSAL(MEMORY, "memory")           /* it cannot hold what the job needs */                    \
    REFUSAL(UNSUPPORTED, "unsupported") /* it does not know what the job asks for */               \
    REFUSAL(DISK, "disk")               /* it cannot keep the dataset in its cache */              \
    REFUSAL(DATASET, "dataset")         /* the dataset that it got does not have the right hash */ \
    REFUSAL(OTHER, "other")

enum refusal_cause {
#define REFUSAL(id, name) REFUSAL_##id,
    REFUSAL_TABLE(REFUSAL)
#undef REFUSAL
        REFUSAL_COUNT
};

extern const char *const refusal_names[]; /* indexed by refusal_cause, NULL-terminated */

/* What a worker is to do: `task` of a task. */
enum task_kind {
    TASK_NONE,
    TASK_TRAIN,
    TASK_SCORE,
    TASK_TEST,
    TASK_FLATNESS,
    TASK_PREDICT,
    TASK_KINDS
};
extern const char *const task_kind_names[];             /* by kind, NULL-terminated */
extern const enum task_kind task_kind_of_phase[PHASES]; /* of a round of a job */

#endif
