/* The connection of a command to its server: one, opened by the first request. */
#ifndef STEPPE_PROTO_CLI_CONNECTION_H
#define STEPPE_PROTO_CLI_CONNECTION_H

#include "proto/cli/command.h"

/* Sends a request and waits for its reply (message_done by the caller). Takes ownership of request;
 * NULL is a request without keys. The first call makes sure that a server answers. Errors as
 * client_call. */
int connection_call(struct cli *cli, enum message_type type, cJSON *request, struct message *ret,
                    struct errbuf *why);
/* As connection_call, with tensors, a deadline of its own and the code of a refusal (may be NULL).
 */
int connection_call_tensors(struct cli *cli, enum message_type type, cJSON *request,
                            const struct tensor *tensors, int tensor_count, int64_t deadline_ms,
                            struct message *ret, enum error_code *ret_code, struct errbuf *why);
/* Does nothing when there is none. */
void connection_close(struct cli *cli);

#endif
