/* What comes with a job from outside its file: scores that order its samples (curriculum.measure),
 * samples that it leaves out (exclude), weights from which it starts (enum attached_kind). Each is
 * one file, whose name has the job's UUID and its SHA-256; it is durable before the job exists, and
 * the job file has the SHA-256. It is removed with the job. Runs on a lane. */
#ifndef STEPPE_SERVER_JOBS_ATTACHED_H
#define STEPPE_SERVER_JOBS_ATTACHED_H

#include "common/jobspec.h"
#include "common/model.h"
#include "server/core/run.h"

/* Takes over the files that the spec names (GIVEN_FILE) and that came with this key ("": without
 * one), unless an earlier attempt already did. -ENOENT: a file was not uploaded; -EINVAL: it is
 * another; -ESHUTDOWN: *stop was set. *io_new has a bit for each kind that is new. */
int attached_adopt(const char *dir, const _Atomic bool *stop, const char *key, const char *uuid,
                   struct jobspec *spec, unsigned *io_new, struct errbuf *why);
/* The job was refused: of the kinds in `new`, uploaded files become uploads again, and made files
 * are removed. */
void attached_undo(const char *dir, const char *key, const char *uuid, struct jobspec *spec,
                   unsigned new);
/* Writes the order of a job by the key[n] of its samples (NAN: none) and notes its hash in given;
 * a hash that given already has must be the same: else -EINVAL. */
int attached_write_order(const char *dir, const char *uuid, struct given *given, const double *key,
                         uint32_t n, unsigned *io_new, struct errbuf *why);
/* The same for the weights to start from, and what their file says about them. */
int attached_write_weights(const char *dir, const char *uuid, struct given *given,
                           const struct model *m, const float *theta,
                           const struct weights_said *said, unsigned *io_new, struct errbuf *why);

/* Reads and judges all files of a job with `samples` samples; notes in spec how many samples a file
 * excludes. m NULL: without the weights. -EINVAL: a file is not of its kind or does not fit;
 * -EUCLEAN: it is not the one that the spec names; -ESHUTDOWN: *stop was set. */
struct attached {
    double *order; /* [samples] */
    uint32_t *excluded;
    uint32_t excluded_count;
    float *theta;             /* [floats] */
    struct weights_said said; /* with theta */
};
int attached_load(const char *dir, const _Atomic bool *stop, const char *uuid, struct jobspec *spec,
                  const struct model *m, uint32_t samples, struct attached *ret,
                  struct errbuf *why);
/* Only the samples that a file excludes (exclude.from), whatever the number of the others. */
int attached_load_excluded(const char *dir, const char *uuid, const struct given *from,
                           struct attached *ret, struct errbuf *why);
/* Repairs files of the job that are damaged or gone, from an upload or another job's file with the
 * same content. Returns how many. */
int attached_mend(const char *dir, const char *uuid, struct jobspec *spec);
void attached_done(struct attached *a); /* a zeroed struct is fine */
struct run_inputs attached_inputs(const struct attached *a);

/* What the files of a job take on the disk. */
int64_t attached_bytes(const char *dir, const char *uuid, struct jobspec *spec);
/* Removes the files of a job. */
void attached_remove(const char *dir, const char *uuid, struct jobspec *spec);
/* Removes files without a job: of an interrupted submission. Before the loop starts. */
void attached_sweep(const char *dir, bool (*is_job)(void *arg, const char *uuid), void *arg);

#endif
