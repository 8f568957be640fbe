#include "proto/cli/command.h"

#include <errno.h>
#include <time.h>

#include "common/text.h"

#define JOB_MAX (INT64_C(1) << 53) /* a whole number in JSON */

int command_sleep(const struct cli *cli, int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (!*cli->stop && nanosleep(&t, &t) != 0)
        continue;
    return *cli->stop ? -EINTR : 0;
}

int command_job(const struct cli *cli, int64_t *ret, struct errbuf *why)
{
    if (text_i64(cli->words[0], 1, JOB_MAX, ret))
        return 0;
    return err_set(why, EXIT_USAGE, "\"%.60s\" is not the number of a job; steppe jobs lists them",
                   cli->words[0]);
}

int command_job_request(const struct cli *cli, cJSON **ret, struct errbuf *why)
{
    int64_t job;
    int rc = command_job(cli, &job, why);

    if (rc == 0) {
        *ret = cJSON_CreateObject();
        cJSON_AddNumberToObject(*ret, "job", (double)job);
    }
    return rc;
}
