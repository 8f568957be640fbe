/* From a request to its handler. */
#ifndef STEPPE_SERVER_HANDLE_DISPATCH_H
#define STEPPE_SERVER_HANDLE_DISPATCH_H

struct request;

/* Judges the envelope, the keys and the tensors of the message in rq, and hands it to its handler;
 * rq->id is -1 before. */
void dispatch(struct request *rq);

#endif
