/* Predictions: new pictures through a trained model. What a task needs of its prediction, model and
 * parameters, is fetched once and kept beside the job that is loaded, until another kind of task
 * comes. It needs no dataset. */
#ifndef STEPPE_WORKER_PREDICT_H
#define STEPPE_WORKER_PREDICT_H

#include "proto/messages.h"
#include "worker/duty.h"
#include "worker/talk.h"

struct predict;

/* A zeroed pointer is none; NULL is fine. */
void predict_free(struct predict *p);

/* The answer to a task. */
struct predict_answer {
    enum message_type type;
    cJSON *request; /* owned by the caller then */
    struct tensor tensors[2];
    int tensor_count; /* views of *io, valid until the next call */
};

/* Does the task in m. *io: what is loaded, kept for the next task. 0; -EINTR: it was given up;
 * -ESTALE: the prediction is over; -EINVAL and others of talk_call: the server is not understood.
 * What this worker cannot do is an answer too. */
int predict_task(struct predict **io, const struct duty_options *options, const struct talk *talk,
                 const struct message *m, struct predict_answer *ret, struct errbuf *why);

#endif
