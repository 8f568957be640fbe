#include "proto/cli/suspects.h"

#include "proto/cli/out_of_sample.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"

const char *const suspect_names[] = {"suspicion", "loss",        "loss_mean",  "el2n",
                                     "margin",    "margin_mean", "confidence", "forgetting",
                                     "adm",       "adm_sample",  "grad_norm",  NULL};

/* Names the study that leaves out one fold after the other. */
static int add_study(struct cli *cli, cJSON *request, bool *ret_done, struct errbuf *why)
{
    const int64_t folds = cli->args->out_of_sample;
    char study[NAME_MAX_BYTES];
    int64_t job = 0;

    *ret_done = true;
    if (folds == NOT_GIVEN)
        return cli->args->wait
                   ? err_set(why, EXIT_USAGE, "--wait waits for the jobs of --out-of-sample K")
                   : 0;
    reply_i64(request, "job", &job);
    int rc = out_of_sample(cli, job, folds, cli->args->wait, study, ret_done, why);
    if (rc == 0 && *ret_done)
        cJSON_AddStringToObject(request, "study", study);
    else if (rc == 0)
        print_note("the same command prints the list when they are; --wait waits for them");
    return rc;
}

int suspects_request(struct cli *cli, cJSON **ret, bool *ret_done, struct errbuf *why)
{
    cJSON *request = NULL;
    int rc = command_job_request(cli, &request, why);

    if (rc != 0)
        return rc;
    rc = add_study(cli, request, ret_done, why);
    if (rc == 0 && *ret_done) {
        cJSON_AddStringToObject(request, "by", suspect_names[cli->args->by]);
        request_epoch(cli, request);
        rc = request_class(cli, request, why);
    }
    if (rc != 0 || !*ret_done) {
        cJSON_Delete(request);
        return rc;
    }
    cJSON_AddNumberToObject(request, "first", (double)cli->args->first);
    cJSON_AddNumberToObject(request, "limit", (double)cli->args->limit);
    *ret = request;
    return 0;
}
