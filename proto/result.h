/* The tensors of a task.result: packed by workers, judged and unpacked by the server. The only
 * place that knows their names, types, shapes and order; proto/PROTOCOL.md says what the numbers
 * mean. */
#ifndef STEPPE_PROTO_RESULT_H
#define STEPPE_PROTO_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/phase.h"
#include "common/score.h"
#include "common/sums.h"
#include "common/tensor.h"

struct message;

/* In the order in which they are sent. */
enum result_part {
    RESULT_GRAD,
    RESULT_SUMS,
    RESULT_SCORES,
    RESULT_CLASSES,
    RESULT_FLAGS,
    RESULT_PROBABILITIES,
    RESULT_PARTS
};

/* Which tensors a result has, and how long they are. */
struct result_shape {
    size_t floats;    /* entries of the gradient; 0: none comes with the result */
    bool ahead;       /* the gradient goes ahead of the result, in pieces */
    bool sums;        /* [SUM_COUNT] */
    uint32_t samples; /* that were scored; 0: none */
    uint32_t classes; /* whose probabilities come with the scores; 0: none do */
};

/* The shape of a result of `samples` samples. fused: as phase_scores has it; floats: of the job's
 * model; classes: of it, in a job with score.probabilities, else 0. A gradient, or a product of the
 * Hessian, that is longer than a message takes goes ahead in pieces. */
struct result_shape result_shape(enum phase phase, bool fused, size_t floats, uint32_t samples,
                                 uint32_t classes);

/* Bytes that each sample takes in it. */
size_t result_row_bytes(const struct result_shape *shape);

/* What a result says; of what its shape leaves out, nothing is set. */
struct result {
    const void *grad;           /* F32 [floats]; unpacked: in the message, maybe unaligned */
    const double *sums;         /* [SUM_COUNT]; unpacked: in the room */
    const struct score *scores; /* [samples]; unpacked: in the room */
    const void
        *probabilities; /* F32 [samples, classes]; unpacked: in the message, maybe unaligned */
};

/* Memory for one result at a time, packed or unpacked. It grows to the largest and is used again.
 * A zeroed one is fine. */
struct result_room {
    double sums[SUM_COUNT];
    void *rows;      /* owned */
    size_t capacity; /* samples that rows has room for */
};
/* Makes room for so many samples; what lay there is gone. 0 or -ENOMEM. */
int result_room(struct result_room *room, uint32_t samples, struct errbuf *why);
void result_room_done(struct result_room *room);

/* The tensors of a result, how many there are is returned. Gradient, sums and probabilities are
 * views of *r, scores are copied into the room, which must be large enough for them. */
int result_pack(const struct result_shape *shape, const struct result *r, struct result_room *room,
                struct tensor ret[RESULT_PARTS]);

/* Finds and judges the tensors that a result of this shape must have; any others are not looked at.
 * *ret is valid as long as the message is and the room is not used again. The numbers are as they
 * came: they may be anything. 0; -EINVAL: the sentence names the tensor and what differs;
 * -ENOMEM. */
int result_unpack(const struct message *m, const struct result_shape *shape,
                  struct result_room *room, struct result *ret, struct errbuf *why);

#endif
