/* The scores of one epoch of a job, fetched from the server piece by piece, in columns. */
#ifndef STEPPE_PROTO_CLI_SCORE_COLUMNS_H
#define STEPPE_PROTO_CLI_SCORE_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/cli/command.h"

enum score_int {
    ROW_EPOCH,
    ROW_SAMPLE,
    ROW_LABEL,
    ROW_TRUTH, /* a class that is not known is -1 */
    ROW_PREDICTED,
    ROW_FLAGS, /* SCORE_ bits of common/score.h */
    SCORE_INTS
};
enum score_real {
    ROW_ADM,
    ROW_LOSS,
    ROW_ADV_LOSS,
    ROW_GRAD_NORM,
    ROW_EL2N,
    ROW_MARGIN,
    SCORE_REALS
};
extern const char *const score_int_names[SCORE_INTS];
extern const char *const score_real_names[SCORE_REALS];

/* A zeroed struct is empty and can be fetched into, again and again. */
struct score_columns {
    int32_t *ints[SCORE_INTS];  /* [count] each, in sample order */
    double *reals[SCORE_REALS]; /* [count] */
    size_t count, room;
    int64_t epoch;
};

/* Which rows to keep. */
struct score_columns_want {
    int64_t class_id; /* NOT_GIVEN: all classes */
    int64_t limit;    /* the first so many; 0: all */
};

/* Replaces what s holds by the rows of an epoch; -1: the last scored one. 0 or -errno. */
int score_columns_fetch(struct cli *cli, int64_t job, int64_t epoch,
                        const struct score_columns_want *want, struct score_columns *s,
                        struct errbuf *why);
void score_columns_done(struct score_columns *s);
/* Appends to s, which says the epoch, the next page of it, from sample *io_from on; *io_from: where
 * the page behind it begins, -1: nowhere. 0 or -errno. */
int score_columns_page(struct cli *cli, int64_t job, const struct score_columns_want *want,
                       struct score_columns *s, int64_t *io_from, struct errbuf *why);

/* The scored epochs of a job, ascending; *ret is to be freed. -ENOENT: there are none yet. */
int score_columns_epochs(struct cli *cli, int64_t job, int64_t **ret, size_t *ret_count,
                         struct errbuf *why);

#endif
