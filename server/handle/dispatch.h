/* From a request to its handler. */
#ifndef STEPPE_SERVER_HANDLE_DISPATCH_H
#define STEPPE_SERVER_HANDLE_DISPATCH_H

#include "proto/messages.h"

struct request;

/* Judges the envelope, the keys and the tensors of the message in rq, and hands it to its handler
 * when its turn comes; rq->id is -1 before. */
void dispatch(struct request *rq);
/* Its turn has come. */
void dispatch_handle(struct request *rq);
/* The key of a request, or of its reply, that names what it changes ("": none does); NULL: it only
 * looks, or is of a worker, and is not recorded. */
const char *dispatch_changes(enum message_type type);

#endif
