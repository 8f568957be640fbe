/* Reads a list of numbers: one a sample, or of the samples that it names. */
#ifndef STEPPE_PROTO_CLI_NUMBERS_H
#define STEPPE_PROTO_CLI_NUMBERS_H

#include <stdint.h>

#include "common/err.h"

struct numbers {
    uint32_t count;   /* at least 1 */
    uint32_t *sample; /* NULL: 0, 1, 2 ..; else ascending, each once */
    double *value;    /* finite */
};

/* A .npy file of shape [N]; a JSON list; or text with one number a line or "sample,value" lines,
 * perhaps with names above them; lines that begin with # are skipped. The sentence names the file
 * and the line or entry. 0, -EINVAL, -EFBIG or -errno. */
int numbers_read(const char *path, struct numbers *ret, struct errbuf *why);
void numbers_done(struct numbers *n); /* a zeroed struct is fine */

#endif
