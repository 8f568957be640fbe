/* A revision of a dataset: what verdicts change of it. Labels that are others, and images that are
 * left out. It never changes; it is known by its number and by the SHA-256 of its text. */
#ifndef STEPPE_SERVER_CORE_OVERLAY_H
#define STEPPE_SERVER_CORE_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/hash.h"

#define OVERLAY_EXCLUDED (-1)

struct overlay_row {
    uint32_t sample;
    int32_t label; /* OVERLAY_EXCLUDED: left out */
};

struct overlay {
    int64_t number;           /* of the revision; 0: the data as imported, without rows */
    struct overlay_row *rows; /* [count] by sample, owned */
    uint32_t count, excluded; /* excluded: of those, left out */
};
void overlay_done(struct overlay *o); /* a zeroed struct is fine */
/* A copy; without rows when memory is out: then -ENOMEM. */
int overlay_copy(const struct overlay *from, struct overlay *ret);

/* What an epoch has under a revision, on top of what the job leaves out by itself (own[n]) and of
 * the labels as imported[n]: marks ranks of samples that are left out, and those that come back as
 * unranked, and sets labels. */
void overlay_apply(const struct overlay *o, const bool *own, const uint16_t *imported, uint32_t n,
                   double *rank, uint16_t *labels);

/* The text of a revision, by which it is known: a line "steppe-revision-1", the SHA-256 of the
 * data, then by sample "17 5" (the label is class 5) or "23 -" (left out). *ret is freed by the
 * caller; NULL when memory is out. */
char *overlay_text(const struct overlay *o, const char *data_sha256, size_t *ret_bytes);
/* Reads it again, for data of so many samples and classes. -EINVAL: it is not such a text. */
int overlay_parse(const char *text, size_t bytes, const char *data_sha256, uint32_t samples,
                  uint32_t classes, struct overlay *ret, struct errbuf *why);

#endif
