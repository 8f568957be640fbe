#include "proto/cli/connection.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "proto/address.h"

/* Where the packaged service listens. It is named, not taken: a command is for the server that its
 * user means. */
#define SERVICE_SOCKET "/run/steppe/socket"
#define HELLO_DEADLINE_MS 5000 /* a running server answers a ping at once */

/* So long, or what is left until the command gives up. */
static int64_t limited(const struct cli *cli, int64_t deadline_ms)
{
    const int64_t left_ms = cli->until_ms - clock_mono_ms();

    if (!cli->until_ms || left_ms > deadline_ms)
        return deadline_ms;
    return left_ms > 1 ? left_ms : 1;
}

static int refuse_silence(const char *server, struct errbuf *why)
{
    const bool service = access(SERVICE_SOCKET, F_OK) == 0 && !strstr(server, SERVICE_SOCKET);

    return err_set(why, -ETIMEDOUT,
                   "no server answers at %s; start one with steppe-server, or name its address "
                   "with --server%s",
                   server, service ? " (this machine's service: ipc://" SERVICE_SOCKET ")" : "");
}

static int open_client(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    int rc;

    if (!cli->args->server)
        return err_set(why, EXIT_USAGE,
                       "HOME is not set, so the server's socket has no default; name the server's "
                       "address with --server or in $STEPPE_SERVER");
    if (address_check(cli->args->server, why) != 0)
        return EXIT_USAGE;
    rc = client_open(cli->args->server, NULL, cli->stop, &cli->client, why);
    if (rc == 0 && cli->args->key)
        rc = client_use_key(cli->client, cli->args->key, why);
    if (rc != 0)
        return rc;
    cJSON *ping = cJSON_CreateObject();
    rc = client_call(cli->client, MSG_PING, ping, NULL, 0, limited(cli, HELLO_DEADLINE_MS), 0,
                     &reply, NULL, why);
    cJSON_Delete(ping);
    if (rc == 0)
        message_done(&reply);
    else if (rc == -ETIMEDOUT)
        rc = refuse_silence(cli->args->server, why);
    return rc;
}

/* Does its answer need all scores of an epoch, or of all epochs? */
static bool is_scan(enum message_type type)
{
    static const enum message_type scans[] = {
        MSG_SCORE_TOP,      MSG_SCORE_HISTOGRAM, MSG_SCORE_HEATMAP,   MSG_SCORE_PLANTED,
        MSG_SCORE_CLASSES,  MSG_SCORE_DOMAINS,   MSG_SCORE_CONFUSION, MSG_SCORE_RISERS,
        MSG_SCORE_SUSPECTS, MSG_SCORE_COMPARE,   MSG_SCORE_MAP,       MSG_JOB_SCHEDULE,
    };

    for (size_t i = 0; i < sizeof(scans) / sizeof(scans[0]); i++)
        if (scans[i] == type)
            return true;
    return false;
}

int connection_call_tensors(struct cli *cli, enum message_type type, cJSON *request,
                            const struct tensor *tensors, int tensor_count, int64_t deadline_ms,
                            struct message *ret, enum error_code *ret_code, struct errbuf *why)
{
    cJSON *json = request ? request : cJSON_CreateObject();
    int rc = json ? 0 : err_set(why, -ENOMEM, "out of memory");

    if (rc == 0 && !cli->client)
        rc = open_client(cli, why);
    if (rc == 0)
        rc = client_call(cli->client, type, json, tensors, tensor_count, limited(cli, deadline_ms),
                         is_scan(type) ? 0 : CALL_RETRY_MS, ret, ret_code, why);
    cJSON_Delete(json);
    return rc;
}

int connection_call(struct cli *cli, enum message_type type, cJSON *request, struct message *ret,
                    struct errbuf *why)
{
    return connection_call_tensors(cli, type, request, NULL, 0,
                                   is_scan(type) ? SCAN_DEADLINE_MS : CALL_DEADLINE_MS, ret, NULL,
                                   why);
}

void connection_close(struct cli *cli)
{
    client_close(cli->client);
    cli->client = NULL;
}
