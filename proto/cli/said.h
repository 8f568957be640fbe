/* One verdict at a time, of a review: what counts for a sample, and saying something of it. */
#ifndef STEPPE_PROTO_CLI_SAID_H
#define STEPPE_PROTO_CLI_SAID_H

#include "proto/cli/command.h"
#include "proto/cli/review.h"

#define SAID_BYTES 256

/* Marks the items whose samples (samples[r->count]) have a verdict. */
int said_mark(struct cli *cli, const char *dataset, const int64_t *samples, struct review *r,
              struct errbuf *why);
/* What counts for a sample now, in words too: "wrong, it is 3 (three), said ann"; "" for nothing.
 */
int said_newest(struct cli *cli, const char *dataset, int64_t sample, struct review_said *ret,
                char words[SAID_BYTES], struct errbuf *why);
/* Says v. given: what the dataset's own label must be; -1: anything. before: the number of what
 * counted. *ret_number: that of the new verdict; 0: the same counted already. */
int said_put(struct cli *cli, const char *dataset, const struct verdict *v, int64_t given,
             int64_t before, int64_t *ret_number, struct errbuf *why);

#endif
