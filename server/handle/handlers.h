/* The handlers, one a message type; dispatch.c holds the table. Each answers its request exactly
 * once, now or later. The envelope was checked. */
#ifndef STEPPE_SERVER_HANDLE_HANDLERS_H
#define STEPPE_SERVER_HANDLE_HANDLERS_H

#include "server/jobs/incoming.h"
#include "server/net/request.h"

void handle_ping(struct request *rq);
void handle_server_dashboard(struct request *rq);
void handle_server_limits(struct request *rq);

void handle_predict_open(struct request *rq);
void handle_predict_put(struct request *rq);
void handle_predict_get(struct request *rq);
void handle_predict_close(struct request *rq);
void handle_predict_load(struct request *rq);
void handle_predict_result(struct request *rq);
void handle_predict_fail(struct request *rq);

void handle_job_submit(struct request *rq);
void handle_job_list(struct request *rq);
void handle_job_show(struct request *rq);
void handle_job_log(struct request *rq);
void handle_job_pause(struct request *rq);
void handle_job_resume(struct request *rq);
void handle_job_unpin(struct request *rq);
void handle_job_cancel(struct request *rq);
void handle_job_rm(struct request *rq);
void handle_job_flatness(struct request *rq);
void handle_job_metrics(struct request *rq);
void handle_job_schedule(struct request *rq);
void handle_study_submit(struct request *rq);
void handle_study_list(struct request *rq);
void handle_study_show(struct request *rq);
void handle_study_curves(struct request *rq);
void handle_study_pause(struct request *rq);
void handle_study_resume(struct request *rq);
void handle_study_cancel(struct request *rq);
void handle_study_rm(struct request *rq);
void handle_model_get(struct request *rq);

void handle_dataset_list(struct request *rq);
void handle_dataset_show(struct request *rq);
void handle_dataset_offer(struct request *rq);
void handle_dataset_put(struct request *rq);
void handle_dataset_commit(struct request *rq);
void handle_dataset_name(struct request *rq);
void handle_dataset_rm(struct request *rq);
void handle_dataset_get(struct request *rq);

void handle_dataset_revise(struct request *rq);
void handle_external_open(struct request *rq);
void handle_external_join(struct request *rq);
void handle_external_order(struct request *rq);
void handle_external_report(struct request *rq);
void handle_external_close(struct request *rq);

/* The job that rq names; NULL: rq was answered. */
struct job *handle_job_of(struct request *rq);
/* The uuid that rq must have; *ret lives as long as rq. 0 or -EINVAL. */
int handle_uuid_of(const struct request *rq, const char **ret, struct errbuf *why);
void handle_job_apply(struct request *rq);
void handle_verdict_put(struct request *rq);
void handle_verdict_list(struct request *rq);

void handle_upload_list(struct request *rq);
void handle_upload_rm(struct request *rq);
/* Who sends this. */
struct incoming_from incoming_from(const struct request *rq);

void handle_sample_images(struct request *rq);
void handle_sample_find(struct request *rq);
void handle_sample_uris(struct request *rq);

void handle_score_top(struct request *rq);
void handle_score_histogram(struct request *rq);
void handle_score_trajectory(struct request *rq);
void handle_score_planted(struct request *rq);
void handle_score_ask(struct request *rq); /* classes, risers, suspects, compare, map */
void handle_score_confusion(struct request *rq);
void handle_score_rows(struct request *rq);
void handle_score_probabilities(struct request *rq);
void handle_score_sql(struct request *rq);
void handle_score_heatmap(struct request *rq);

void handle_db_backup(struct request *rq);
void handle_db_check(struct request *rq);
void handle_db_compact(struct request *rq);
void handle_audit_list(struct request *rq);
void handle_key_list(struct request *rq);
void handle_key_revoke(struct request *rq);
void handle_key_renew(struct request *rq);

void handle_worker_list(struct request *rq);
void handle_worker_trust(struct request *rq);
void handle_worker_hello(struct request *rq);
void handle_worker_bye(struct request *rq);
void handle_worker_note(struct request *rq);
void handle_task_next(struct request *rq);
void handle_task_result(struct request *rq);
void handle_task_fail(struct request *rq);
void handle_task_refuse(struct request *rq);
void handle_task_share(struct request *rq);
void handle_task_job(struct request *rq);

void handle_params_get(struct request *rq);
void handle_result_offer(struct request *rq);
void handle_result_put(struct request *rq);

#endif
