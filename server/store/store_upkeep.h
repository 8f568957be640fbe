/* What keeps the databases small and safe while jobs run: dropping scores that the retention policy
 * does not keep, giving free pages back, copying. Every function is one slice, some tens of
 * milliseconds on the store's lane, so that what a job has to write comes in between; each can be
 * given up between any two. */
#ifndef STEPPE_SERVER_STORE_STORE_UPKEEP_H
#define STEPPE_SERVER_STORE_STORE_UPKEEP_H

#include "server/store/store.h"

/* What is kept of jobs that have ended; 0: everything. Jobs, epochs with their figures, histories
 * of samples and models always stay, and so do the scores of the last scored epoch. */
struct retention {
    int64_t rows;  /* scores of one job: above it the first, the last five and every k-th epoch */
    int64_t jobs;  /* all epochs of the so many that ended last, of the others the last one */
    int64_t days;  /* all epochs for so many days after the end, then the last one */
    int64_t bytes; /* of difficulty.db: above it the oldest jobs keep their last epoch */
};
struct retired {
    int64_t jobs, epochs, rows; /* that lost scores; epochs that lost them; scores */
};
/* Drops some of what r does not keep and adds it to *io. 1: there is more, 0: nothing is left. */
int store_retire(struct store *s, const struct retention *r, int64_t now_unix_ms,
                 struct retired *io, struct errbuf *why);

/* Gives free pages of difficulty.db back. 1: there are more, 0: none is left, state.db is packed
 * and the logs are as short as readers allow. */
int store_vacuum(struct store *s, struct errbuf *why);

/* Copies both databases into a folder that is there and empty: state.db at once, difficulty.db page
 * by page, with what is written to it meanwhile. */
struct store_backup;
int store_backup_begin(struct store *s, const char *folder, struct store_backup **ret,
                       struct errbuf *why);
/* 1: there is more, 0: both files are whole, and closed. */
int store_backup_step(struct store_backup *b, struct errbuf *why);
void store_backup_free(struct store_backup *b); /* NULL is fine */

#endif
