/* Table sample_state as histories, and histories from the rows of score: only this file knows the
 * columns of sample_state and the sums over score. The store and the queries share it. */
#ifndef STEPPE_SERVER_STORE_HISTORY_ROWS_H
#define STEPPE_SERVER_STORE_HISTORY_ROWS_H

#include "server/core/sample_history.h"
#include "server/store/db.h"

/* The job_id under which sample_state has the rows of a job: its own, or minus that
 * (store_history.c). */
int history_rows_key(struct db *db, int64_t job, int64_t *ret, struct errbuf *why);
/* Reads the rows under that key of the samples [from, to) to the same places in samples, whose
 * other entries become unmeasured; *io_last becomes the newest epoch of any sample, where that is
 * newer. */
int history_rows_load(struct db *db, int64_t key, struct sample_history *samples, uint32_t from,
                      uint32_t to, int64_t *io_last, struct errbuf *why);
/* Adds the scores of the committed epochs in [from, to); *io_last follows. */
int history_rows_replay(struct db *db, int64_t job, int64_t from, int64_t to,
                        struct sample_history *samples, uint32_t count, int64_t *io_last,
                        struct errbuf *why);
/* Writes those that were measured after epoch `since` into sample_state, over their existing rows,
 * inside a transaction of a connection that knows rows(). */
int history_rows_write(struct db *db, int64_t key, const struct sample_history *samples,
                       uint32_t count, int64_t since, struct errbuf *why);
/* Likewise, makes the rows of the samples [from, to) those that were measured; last: and removes
 * any behind them. */
int history_rows_replace(struct db *db, int64_t key, const struct sample_history *samples,
                         uint32_t from, uint32_t to, bool last, struct errbuf *why);

#endif
