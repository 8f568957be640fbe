/* Keeps the databases small and safe while jobs run: drops scores that the retention policy does
 * not keep, gives free pages back, copies. Every function is one slice of some tens of milliseconds
 * on the store's lane, so that a job's writes come in between; the work can stop between any two
 * slices. */
#ifndef STEPPE_SERVER_STORE_STORE_UPKEEP_H
#define STEPPE_SERVER_STORE_STORE_UPKEEP_H

#include "server/store/store.h"

/* What is kept of ended jobs; 0: everything. Jobs, epochs with their figures, histories of samples
 * and models always stay, and so do the scores of the last scored epoch. */
struct retention {
    int64_t rows;  /* scores of one job: a job with more keeps the first, the last five and every
                      k-th epoch */
    int64_t jobs;  /* this many jobs that ended last keep all epochs, the others the last one */
    int64_t days;  /* all epochs for this many days after the end, then the last one */
    int64_t bytes; /* of difficulty.db: above it the oldest jobs keep only their last epoch */
};
struct retired {
    int64_t jobs, epochs, rows; /* jobs and epochs that lost scores; scores lost */
};
/* Drops some scores that r does not keep and counts them in *io. 1: there is more, 0: nothing is
 * left. */
int store_retire(struct store *s, const struct retention *r, int64_t now_unix_ms,
                 struct retired *io, struct errbuf *why);

/* Gives free pages of difficulty.db back. 1: there are more, 0: none is left, state.db is packed
 * and the logs are as short as readers allow. */
int store_vacuum(struct store *s, struct errbuf *why);

/* Copies both databases into an existing, empty folder: state.db at once, difficulty.db page by
 * page, including what is written meanwhile. */
struct store_backup;
int store_backup_begin(struct store *s, const char *folder, struct store_backup **ret,
                       struct errbuf *why);
/* 1: there is more, 0: both files are whole, and closed. */
int store_backup_step(struct store_backup *b, struct errbuf *why);
void store_backup_free(struct store_backup *b); /* NULL is fine */

#endif
