/* One request over ipc whose reply brings descriptors, on a connection of its own: nanomsg passes
 * none. */
#ifndef STEPPE_PROTO_PASS_H
#define STEPPE_PROTO_PASS_H

#include "proto/frame.h"
#include "proto/messages.h"

/* Asks the server at url (ipc) as this sender; request (its keys; the envelope is added) passes.
 * Waits a few seconds. 0: *ret holds the reply, files[count] its descriptors, which are the
 * caller's. -EREMOTEIO: the server refused, why has its sentence; -EAGAIN: not now, likewise;
 * -EBADMSG: the reply is not one; -errno. */
int pass_call(const char *url, const char *sender, enum message_type type, cJSON *request,
              int *files, int count, struct message *ret, struct errbuf *why);

#endif
