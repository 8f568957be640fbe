/* Checkpoints: one safetensors file with everything that a run needs to go on. Its metadata has
 * what belongs to theta: mean and std of the pixels, and the names of the classes. Taken on the
 * loop (a copy), written and read on the store's lane. */
#ifndef STEPPE_SERVER_STORE_CHECKPOINT_H
#define STEPPE_SERVER_STORE_CHECKPOINT_H

#include "common/err.h"
#include "common/hash.h"
#include "server/core/run.h"

struct checkpoint; /* an owned copy of a run's state at a step boundary */

/* NULL when memory is out. */
struct checkpoint *checkpoint_take(struct run *r, int64_t now_ms);
void checkpoint_free(struct checkpoint *c); /* NULL is fine */
int64_t checkpoint_epoch(const struct checkpoint *c);
uint64_t checkpoint_step(const struct checkpoint *c);
/* SHA-256 of checkpoint_model: the identity of a model. */
void checkpoint_model_hash(const struct checkpoint *c, char ret[SHA256_HEX]);

/* Atomic and durable; ret_sha256 is that of the file. -ESHUTDOWN soon after *stop (NULL: nothing
 * stops it) is set: the file may be there, or not. 0 or -errno. */
int checkpoint_write(const struct checkpoint *c, const char *path, const _Atomic bool *stop,
                     char ret_sha256[SHA256_HEX], struct errbuf *why);

/* What a job's checkpoints hold. */
struct checkpoint_shape {
    size_t floats; /* of theta and of each vector */
    uint32_t samples;
    const char *const *vectors; /* run_vectors */
    bool lapses;                /* curriculum_counts_lapses */
    bool scores;                /* inside an epoch: its steps measure (score.source train) */
    bool chosen;                /* keep is best */
    struct scaling scaling;     /* with which theta was trained; no channels: not compared */
};
/* Bytes of memory that a copy of this shape takes. */
size_t checkpoint_memory(const struct checkpoint_shape *shape);
/* Reads a file whose SHA-256 must be want_sha256: -EUCLEAN with a sentence when it differs, or when
 * the file is not a checkpoint of this shape; -ENOTSUP: a later version wrote it. stop: as above.
 */
int checkpoint_read(const char *path, const char *want_sha256, const struct checkpoint_shape *shape,
                    const _Atomic bool *stop, struct checkpoint **ret, struct errbuf *why);
/* Copies `bytes` bytes of checkpoint_model, from `offset` on, out of a file of this shape that was
 * read before: does not check its hash again. -EINVAL when theta does not have them, else as
 * checkpoint_read.
 */
int checkpoint_read_model(const char *path, const struct checkpoint_shape *shape, size_t offset,
                          size_t bytes, void *out, struct errbuf *why);
/* Puts the state into a run that was created but not started. */
void checkpoint_restore(const struct checkpoint *c, struct run *r);
/* The model that people get, as run_model. */
const float *checkpoint_model(const struct checkpoint *c, int64_t *ret_epochs);
/* As run_class_names of the run from which it was taken; NULL: not known. */
const char *checkpoint_class_names(const struct checkpoint *c);

#endif
