#include "proto/cli/out_of_sample.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "proto/cli/connection.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"

#define LOOK_MS 500 /* between two looks at the study */

/* The job's description as a study file; *ret is the caller's. */
static int make_file(struct cli *cli, int64_t job, int64_t folds, const char *study, cJSON **ret,
                     struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject(), *file, *leave, *seeds;
    const cJSON *spec;
    struct message reply;
    double of = 0;

    cJSON_AddNumberToObject(request, "job", (double)job);
    int rc = connection_call(cli, MSG_JOB_SHOW, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "spec", &spec, why);
    if (rc == 0 && reply_f64(cJSON_GetObjectItemCaseSensitive(spec, "fold"), "of", &of) && of > 0)
        rc = err_set(why, -EINVAL,
                     "job %lld leaves out a fold itself; give the job whose labels it is about",
                     (long long)job);
    if (rc == 0) {
        file = cJSON_Duplicate(spec, true);
        cJSON_DeleteItemFromObjectCaseSensitive(file, "name");
        cJSON_DeleteItemFromObjectCaseSensitive(file, "fold");
        seeds = cJSON_CreateArray();
        cJSON_AddItemToArray(seeds, cJSON_DetachItemFromObjectCaseSensitive(file, "seed"));
        cJSON_AddItemToObject(file, "seeds", seeds);
        cJSON_AddStringToObject(file, "name", study);
        cJSON_AddNumberToObject(cJSON_AddObjectToObject(file, "fold"), "of", (double)folds);
        leave = cJSON_AddArrayToObject(cJSON_AddObjectToObject(file, "grid"), "fold.leave");
        for (int64_t i = 0; i < folds; i++)
            cJSON_AddItemToArray(leave, cJSON_CreateNumber((double)i));
        cJSON_AddObjectToObject(cJSON_AddObjectToObject(file, "arms"), "out of sample");
        *ret = file;
    }
    message_done(&reply);
    return rc;
}

/* How many jobs of the study are in a state. */
static int64_t count_of(const cJSON *row, const char *state)
{
    int64_t count = 0;

    reply_i64(cJSON_GetObjectItemCaseSensitive(row, "states"), state, &count);
    return count;
}

/* Looks at the study: how many jobs are done, and says which they are if `tell`. */
static int look(struct cli *cli, const char *study, bool tell, int64_t *ret_done,
                struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;
    const cJSON *row, *rows, *cell, *job;
    int64_t number, jobs = 0;

    cJSON_AddStringToObject(request, "study", study);
    int rc = connection_call(cli, MSG_STUDY_SHOW, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "study", &row, why);
    if (rc == 0)
        rc = reply_array(reply.json, "rows", &rows, why);
    if (rc == 0) {
        reply_i64(row, "jobs", &jobs);
        *ret_done = count_of(row, "done");
        if (tell) {
            char text[FOLDS_MAX * 12 + 1] = "";
            size_t used = 0;
            cJSON_ArrayForEach(cell, rows)
            {
                job = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(cell, "jobs"), 0);
                if (reply_i64(job, "job", &number) && used < sizeof(text) - 12)
                    used += (size_t)snprintf(text + used, sizeof(text) - used, " %lld",
                                             (long long)number);
            }
            print_note("study %s: a job for each fold, jobs%s; %lld of %lld are done", study, text,
                       (long long)*ret_done, (long long)jobs);
        }
        if (*ret_done < jobs &&
            count_of(row, "failed") + count_of(row, "cancelled") + *ret_done == jobs)
            rc = err_set(why, -ECANCELED,
                         "%lld of the %lld jobs of study %s failed or were cancelled; the same "
                         "command submits them again",
                         (long long)(jobs - *ret_done), (long long)jobs, study);
    }
    message_done(&reply);
    return rc;
}

int out_of_sample(struct cli *cli, int64_t job, int64_t folds, bool wait,
                  char study[NAME_MAX_BYTES], bool *ret_done, struct errbuf *why)
{
    char uuid[UUID_BYTES];
    cJSON *file = NULL, *request;
    struct message reply;
    int64_t done = 0;

    snprintf(study, NAME_MAX_BYTES, "job%lld-folds%lld", (long long)job, (long long)folds);
    int rc = make_file(cli, job, folds, study, &file, why);
    if (rc != 0)
        return rc;
    request = cJSON_CreateObject();
    text_uuid(uuid);
    cJSON_AddStringToObject(request, "uuid", uuid);
    cJSON_AddItemToObject(request, "spec", file);
    rc = connection_call(cli, MSG_STUDY_SUBMIT, request, &reply, why);
    if (rc != 0)
        return rc;
    message_done(&reply);
    rc = look(cli, study, true, &done, why);
    while (rc == 0 && wait && done < folds) {
        if (*cli->stop)
            return err_set(why, -EINTR, "the jobs go on; the same command shows what they find");
        command_sleep(cli, LOOK_MS);
        rc = look(cli, study, false, &done, why);
    }
    *ret_done = done == folds;
    return rc;
}
