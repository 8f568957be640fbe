/* Where a thread's time goes: by layer and pass, and by the parts of a step around the layers. When
 * something ends, a thread reads the clock and books the time since its last reading on it, so that
 * nothing is missed or counted twice. Profiled code has a pointer to one of these; NULL: the clock
 * is not read. */
#ifndef STEPPE_WORKER_NN_PROFILE_H
#define STEPPE_WORKER_NN_PROFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/model.h"

enum profile_pass {
    PASS_ASCENT,  /* at theta, before an ascent */
    PASS_TWIN,    /* of adversarial twins */
    PASS_DESCENT, /* whose gradient is the step's */
    PASS_SWEEP,   /* of a clean sample that is scored */
    PASSES
};

enum profile_part {
    PART_LOAD,   /* bytes to pixels, augmentation, normalisation */
    PART_HEAD,   /* losses */
    PART_ATTACK, /* twins from gradients of x */
    PART_ASCEND, /* theta hat */
    PART_REDUCE, /* sums along the tree */
    PART_UPDATE, /* the optimizer, where the same process has it */
    PART_WAIT,   /* for the other threads or the server */
    PARTS
};

struct profile;

/* m is borrowed until it is freed. NULL when memory is out. */
struct profile *profile_create(const struct model *m);
void profile_free(struct profile *p); /* NULL is fine */

/* These functions book time; p NULL: they do nothing. */
void profile_pass(struct profile *p, enum profile_pass pass); /* of the layers from now on */
void profile_layer(struct profile *p, int layer, bool backward);
void profile_part(struct profile *p, enum profile_part part);

/* Writes one table of the sums over `threads` profiles of one model: milliseconds of each layer in
 * each pass that was made, then of the parts; the share of all; and how long each thread waited. */
void profile_print(struct profile *const *profiles, unsigned threads, FILE *out);

#endif
