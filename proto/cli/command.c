#include "proto/cli/command.h"

#include <errno.h>
#include <time.h>

#include "proto/cli/resolve.h"

int command_sleep(const struct cli *cli, int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (!*cli->stop && nanosleep(&t, &t) != 0)
        continue;
    return *cli->stop ? -EINTR : 0;
}

int command_job(struct cli *cli, int64_t *ret, struct errbuf *why)
{
    return resolve_job(cli, cli->words[0], ret, why);
}

int command_job_request(struct cli *cli, cJSON **ret, struct errbuf *why)
{
    int64_t job;
    int rc = command_job(cli, &job, why);

    if (rc == 0) {
        *ret = cJSON_CreateObject();
        cJSON_AddNumberToObject(*ret, "job", (double)job);
    }
    return rc;
}

int command_job_request_by(struct cli *cli, const char *const *names, cJSON **ret,
                           struct errbuf *why)
{
    int rc = command_job_request(cli, ret, why);

    if (rc == 0)
        cJSON_AddStringToObject(*ret, "by", names[cli->args->by]);
    return rc;
}
