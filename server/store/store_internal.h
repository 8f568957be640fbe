/* Shared by the files of the store. Nobody else includes this. */
#ifndef STEPPE_SERVER_STORE_STORE_INTERNAL_H
#define STEPPE_SERVER_STORE_STORE_INTERNAL_H

#include "server/core/sample_history.h"
#include "server/store/db.h"
#include "server/store/state_dir.h"
#include "server/store/store.h"

/* Rows of one transaction when many are written or removed: a reader's snapshot and the write-ahead
 * log stay small, and a slice takes some tens of milliseconds. */
#define SLICE_ROWS 16384

/* sample_state: the history of each sample over the scored epochs of a job. Always the sum of the
 * committed epochs: it is written in the transaction that commits or drops one. */
struct history {
    struct sample_history *samples; /* [count], owned */
    uint32_t count;
    int64_t key;        /* sample_state has its rows there: the job, or minus the job */
    bool ahead;         /* they are written, under minus the key, and not yet seen */
    int64_t last_epoch; /* the newest of any sample; -1: nothing was measured */
    /* The newest epoch in the rows of the table. A row is up to date unless its sample was measured
     * since; -1: the rows, if any, do not belong to this history. */
    int64_t rows_epoch;
};

struct store {
    char *dir;
    int lock_fd; /* -1: not held */
    struct db state, difficulty;
    struct db_ends *ends;          /* NULL: nobody ends what is at work */
    int64_t page_bytes, wal_bytes; /* of difficulty.db; the log's as of the last commit */
    struct failpoint failpoint;
    void (*pass)(void *arg); /* NULL: nothing else is to be done */
    void *pass_arg;
    struct history history; /* of history_job as committed, so that a fold need not read it */
    int64_t history_job;    /* 0: none is kept */
};

/* store_schema.c: open both files, check what they are, bring them up to date. */
int schema_open_state(struct store *s, struct errbuf *why);
int schema_open_difficulty(struct store *s, struct errbuf *why);

/* store_sql.c, store_sql_state.c: what each migration executes. */
extern const char sql_state_1[], sql_state_2[], sql_state_3[], sql_state_4[], sql_state_5[],
    sql_state_6[], sql_state_7[], sql_state_8[], sql_state_9[], sql_state_10[], sql_state_11[],
    sql_state_12[], sql_state_13[], sql_difficulty_1[], sql_difficulty_1_views[],
    sql_difficulty_2[], sql_difficulty_3[], sql_difficulty_4[], sql_difficulty_5[],
    sql_difficulty_6[], sql_difficulty_7[], sql_difficulty_8[], sql_difficulty_9[],
    sql_difficulty_10[], sql_difficulty_11[], sql_difficulty_12[], sql_difficulty_13[],
    sql_difficulty_14[], sql_difficulty_15[], sql_difficulty_16[], sql_difficulty_17[],
    sql_difficulty_18[], sql_difficulty_19[], sql_difficulty_20[];

/* store_meta.c: fills table meta. */
int meta_write(struct db *db, struct errbuf *why);

/* store.c: moves the write-ahead log of difficulty.db into the file as far as readers allow. A
 * failure does not concern the caller: the log stays, and the next call tries again. */
void store_checkpoint_wal(struct store *s);
/* The same when the log has grown; called between slices, and what waits passes. */
void store_end_slice(struct store *s);

/* store_job.c: brings the job table of difficulty.db in line with state.db. */
int job_mirror_all(struct store *s, struct errbuf *why);
/* Inside a transaction of state.db: as store_job_insert. After a failure of the transaction its
 * copy goes with job_remove_copy. */
int job_insert(struct store *s, struct job_record *rec, const struct job_notes *notes,
               struct errbuf *why);
int job_remove_copy(struct store *s, int64_t job, struct errbuf *why);

/* store_study.c: brings the studies of difficulty.db in line with state.db. */
int study_mirror_all(struct store *s, struct errbuf *why);

/* store_verdict.c: the number of judged data in state.db. make: gives one to data that has none.
 * -ENOENT without a sentence. */
int judged_id(struct store *s, const char *sha256, bool make, int64_t *ret, struct errbuf *why);

/* store_revision.c: brings the revisions of difficulty.db in line with state.db. */
int revision_mirror_all(struct store *s, struct errbuf *why);
/* The same for data that has come (back); inside a transaction of difficulty.db. */
int revision_mirror(struct store *s, const char *sha256, struct errbuf *why);

/* store_dataset.c: removes the rows of data that has no name and no job. */
int dataset_forget_unnamed(struct store *s, struct errbuf *why);

/* store_fold.c: the first part of store_epochs_drop: no reader sees epochs >= first any more;
 * with_job: nor the copy of the job. */
int epochs_forget(struct store *s, int64_t job, int64_t first, bool with_job, struct errbuf *why);
/* The second part, slice by slice: removes the rows of epochs >= first, which nobody sees any
 * more. */
int scores_sweep(struct store *s, int64_t job, int64_t first, struct errbuf *why);
/* The same for removed jobs, in case that was interrupted. Rows that cannot be removed now stay:
 * nobody sees them, and a damaged page shows when it is read. */
void scores_sweep_unowned(struct store *s);

/* store_test_score.c: writes the fold's rows to table test_score, before its epoch is committed.
 */
int test_scores_write(struct store *s, const struct fold *f, struct errbuf *why);
/* Removes those of epochs >= first. */
int test_scores_remove(struct store *s, int64_t job, int64_t first, struct errbuf *why);

/* store_flatness.c: inside a transaction, makes the rows of the epoch those of the fold. */
int flatness_write(struct store *s, const struct fold *f, struct errbuf *why);
/* Likewise, removes those of epochs >= first. */
int flatness_forget(struct store *s, int64_t job, int64_t first, struct errbuf *why);

/* store_probability.c: writes the fold's rows to table probability, before its epoch is committed.
 */
int probabilities_write(struct store *s, const struct fold *f, struct errbuf *why);
/* Its epoch is committed: removes those of earlier ones, if it has any itself. What cannot be
 * removed now goes with the next ones. */
void probabilities_trim(struct store *s, const struct fold *f);
/* Removes those of epochs >= first. */
int probabilities_remove(struct store *s, int64_t job, int64_t first, struct errbuf *why);

/* store_metric.c: -EINVAL: with the fold's the job would have too many names. */
int metric_check(struct store *s, const struct fold *f, struct errbuf *why);
/* Inside a transaction, makes the rows of the epoch those of the fold. */
int metric_write(struct store *s, const struct fold *f, struct errbuf *why);
/* Likewise, removes those of epochs >= first. */
int metric_forget(struct store *s, int64_t job, int64_t first, struct errbuf *why);

/* store_history.c. */

/* The history of a job, with room for at least `count` samples: the kept one, or read from the
 * table. The caller owns it, and gives it back with history_keep once it is committed, or drops it
 * with history_done. */
int history_take(struct store *s, int64_t job, uint32_t count, struct history *ret,
                 struct errbuf *why);
void history_keep(struct store *s, int64_t job, struct history *h);
void history_drop(struct store *s, int64_t job); /* the kept one, if it is of this job */
void history_done(struct history *h);            /* a zeroed struct is fine */
/* Forgets everything but the classes. */
void history_reset(struct history *h);
/* Adds the rows of the committed epochs in [from, to). */
int history_replay(struct store *s, int64_t job, int64_t from, int64_t to, struct history *h,
                   struct errbuf *why);
/* Outside one: writes the rows of a large job slice by slice, where nobody sees them; of a small
 * one nothing. */
int history_write_ahead(struct store *s, struct history *h, struct errbuf *why);
/* Inside a transaction: brings the rows of the job in line with h. Those that were written ahead
 * are seen from now on; else only changed rows are written, in place. */
int history_write(struct store *s, int64_t job, const struct history *h, struct errbuf *why);
/* Removes, slice by slice, the rows of a job that is gone. What nobody sees of one that is there is
 * overwritten by its next fold. */
int history_sweep(struct store *s, int64_t job, struct errbuf *why);
/* Writes the rows of every job that has scores but no rows: the migration drops rows of an older
 * version. */
int history_mend(struct store *s, struct errbuf *why);

#endif
