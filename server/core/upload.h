/* Gradients that arrive in pieces: who may send now, and which pieces are there.
 *
 * At most UPLOADS_MAX are admitted at once, because each holds a buffer of the reduction; the
 * others wait, and a free place goes to the lowest node that still asks for one. A worker has at
 * most one upload, and a node at most one at a time; others that have the node wait until that one
 * is complete or dropped. An upload is dropped when its worker is silent for too long; and when no
 * new piece came of it for longer than one takes at 128 kB a second (and UPLOAD_SLOW_MS), as soon
 * as a worker of another key wants its node or its place. Pieces come in any order and any number
 * of times. Pure; time is passed in. */
#ifndef STEPPE_SERVER_CORE_UPLOAD_H
#define STEPPE_SERVER_CORE_UPLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/err.h"
#include "common/reduce.h"

/* A waiting worker asks again after the first; if it does not ask within the second, it leaves the
 * line. */
#define UPLOAD_WAIT_MS 100
#define UPLOAD_PATIENCE_MS 2000
#define UPLOAD_SLOW_MS 10000

struct uploads;

enum upload_answer { UPLOAD_SEND, UPLOAD_WAIT, UPLOAD_DROP };
extern const char *const upload_answer_names[]; /* indexed by upload_answer, NULL-terminated */

/* Buffers come from reduce (borrowed), whose vectors have `floats` entries; a piece has
 * piece_floats, the last one the rest; at most PIECES_MAX pieces. */
struct uploads *uploads_create(struct reduce *reduce, size_t floats, size_t piece_floats);
void uploads_free(struct uploads *u);             /* the buffers stay with reduce; NULL is fine */
uint32_t uploads_pieces(const struct uploads *u); /* of one vector */

/* The worker, whose key has this hand (core/check.h), has the gradient of an open node.
 * UPLOAD_SEND: it is admitted until now_ms + ttl_ms, *ret_have has a bit for every piece that is
 * there. UPLOAD_WAIT: ask again. -ENOMEM. */
int uploads_offer(struct uploads *u, uint32_t worker, uint32_t hand, struct node n, int64_t now_ms,
                  int64_t ttl_ms, uint64_t *ret_have);
/* Keeps a piece of `bytes` bytes (data may be unaligned) and renews the admission. 0; -ENOENT: not
 * admitted (any more); -EDOM: not finite; -EINVAL: there is no such piece, it has another length,
 * or it came before with other bytes; the sentence says which. */
int uploads_put(struct uploads *u, uint32_t worker, struct node n, int64_t piece, const void *data,
                size_t bytes, int64_t now_ms, int64_t ttl_ms, struct errbuf *why);
/* Hands the complete vector out: a buffer of reduce with its doubles, for reduce_add or
 * reduce_drop. 0; -ENOENT: not admitted; -ENODATA: pieces are missing, the upload stays. */
int uploads_take(struct uploads *u, uint32_t worker, struct node n, float **ret,
                 double **ret_doubles, struct errbuf *why);

void uploads_close(struct uploads *u, struct node n);       /* the node has its result */
void uploads_abandon(struct uploads *u, uint32_t worker);   /* the worker does something else */
uint32_t uploads_expire(struct uploads *u, int64_t now_ms); /* returns how many ran out */
void uploads_reset(struct uploads *u);                      /* the round is over */
uint32_t uploads_admitted(const struct uploads *u);

#endif
