#include "proto/cli/command.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "proto/address.h"
#include "proto/cli/resolve.h"

#define ARG(field) offsetof(struct args, field)
const struct option global_options[] = {
    {"server", OPT_STR, ARG(server), .arg = "URL",
     .help = "address of the server (default $STEPPE_SERVER, or of your own server on this "
             "machine: " ADDRESS_SOCKET " in $XDG_STATE_HOME/steppe or ~/.local/state/steppe)"},
    {"key", OPT_STR, ARG(key), .arg = "FILE",
     .help = "seal messages to a tcp address with the key in this file (default $STEPPE_KEY)"},
    {"json", OPT_FLAG, ARG(json), .help = "print JSON for programs"},
    {"help", OPT_FLAG, ARG(help), .help = "show this help"},
    {"version", OPT_FLAG, ARG(version), .help = "show the version"},
    {NULL},
};

void command_options(const struct command *c, struct option table[COMMAND_OPTIONS_MAX])
{
    const struct option *parts[] = {c ? c->options : NULL, global_options};
    int n = 0;

    for (size_t i = 0; i < 2; i++)
        for (const struct option *o = parts[i]; o && o->name && n < COMMAND_OPTIONS_MAX - 1; o++)
            table[n++] = *o;
    table[n] = (struct option){NULL};
}

bool command_in_group(const struct command *c, const char *group)
{
    size_t bytes = strlen(group);

    return strncmp(c->name, group, bytes) == 0 && c->name[bytes] == ' ';
}

const struct command *command_first_of(const struct command *commands, const char *group)
{
    for (; commands->name; commands++)
        if (command_in_group(commands, group))
            return commands;
    return NULL;
}

const struct command *command_find(const struct command *commands, const char *name)
{
    for (; commands->name; commands++)
        if (strcmp(commands->name, name) == 0)
            return commands;
    return NULL;
}

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
