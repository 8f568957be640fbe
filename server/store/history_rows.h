/* Table sample_state as histories, and histories from the rows of score: only this file knows the
 * columns of sample_state and the sums over score. The store and the queries share it. */
#ifndef STEPPE_SERVER_STORE_HISTORY_ROWS_H
#define STEPPE_SERVER_STORE_HISTORY_ROWS_H

#include "server/core/sample_history.h"
#include "server/store/db.h"

/* Reads the rows of a job with sample < count into samples[count], whose other entries become
 * unmeasured; *ret_last is the newest epoch of any sample, -1 when there is none. */
int history_rows_load(struct db *db, int64_t job, struct sample_history *samples, uint32_t count,
                      int64_t *ret_last, struct errbuf *why);
/* Adds the scores of the committed epochs in [from, to); *io_last follows. */
int history_rows_replay(struct db *db, int64_t job, int64_t from, int64_t to,
                        struct sample_history *samples, uint32_t count, int64_t *io_last,
                        struct errbuf *why);
/* Writes those that were measured after epoch `since` into sample_state, over their existing rows,
 * inside a transaction of a connection that knows rows(). */
int history_rows_write(struct db *db, int64_t job, const struct sample_history *samples,
                       uint32_t count, int64_t since, struct errbuf *why);

#endif
