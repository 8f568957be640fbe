/* Probabilities of classes: rows of table probability, of the newest epoch of a job that has them.
 * Written before their epoch is committed, as scores are, so that two epochs have rows for a
 * moment; readers take the newest committed one. */
#include <errno.h>
#include <math.h>

#include "common/score.h"
#include "server/store/store_internal.h"
#include "server/store/store_rows.h"

/* Of one statement: the write-ahead log grows by about as much. */
#define SLICE_BYTES (4u << 20)

static bool has_row(const void *arg, uint32_t row)
{
    const struct fold *f = arg;

    return f->partial ? !isnan(f->probabilities[(size_t)row * f->classes])
                      : f->scores[row].flags & SCORE_MEASURED;
}

static void row_column(const void *arg, uint32_t row, int column, sqlite3_context *ret)
{
    const struct fold *f = arg;

    if (column == 0)
        sqlite3_result_int64(ret, row);
    else
        sqlite3_result_blob(ret, f->probabilities + (size_t)row * f->classes,
                            (int)(f->classes * sizeof(*f->probabilities)), SQLITE_STATIC);
}

/* Removes the rows of one epoch, which are equally long, slice by slice. */
static int remove_epoch(struct store *s, int64_t job, int64_t epoch, struct errbuf *why)
{
    int64_t sample;
    int rc;

    do {
        rc = db_i64(&s->difficulty,
                    "SELECT min(sample_id) FROM probability WHERE job_id = ?1 AND epoch = ?2",
                    DB_ARGS(DB_I(job), DB_I(epoch)), &sample, why);
        if (rc == 0)
            rc = db_run(&s->difficulty,
                        "DELETE FROM probability WHERE job_id = ?1 AND epoch = ?2"
                        " AND sample_id >= ?3 AND sample_id < ?3 + ?4 / (SELECT max(length(p), 1)"
                        " FROM probability WHERE job_id = ?1 AND epoch = ?2 AND sample_id = ?3)",
                        DB_ARGS(DB_I(job), DB_I(epoch), DB_I(sample), DB_I(SLICE_BYTES)), why);
        store_end_slice(s);
    } while (rc == 0);
    return rc == -ENOENT ? 0 : rc;
}

int probabilities_write(struct store *s, const struct fold *f, struct errbuf *why)
{
    const int64_t job = f->record.job, epoch = f->record.epoch;
    uint32_t from = 0;
    int rc = remove_epoch(s, job, epoch, why);

    while (rc == 0 && f->probabilities && from < f->samples) {
        const uint32_t left = f->samples - from;
        const uint32_t most = SLICE_BYTES / (f->classes * (uint32_t)sizeof(float));
        const uint32_t count = left < most ? left : most;
        struct rows rows = {from, from + count, f, has_row, row_column};

        rc = db_run(&s->difficulty,
                    "INSERT INTO probability(job_id, epoch, sample_id, p)"
                    " SELECT ?2, ?3, c0, c1 FROM rows(?1)",
                    DB_ARGS(DB_P(&rows), DB_I(job), DB_I(epoch)), why);
        from += count;
        store_end_slice(s);
    }
    return rc;
}

void probabilities_trim(struct store *s, const struct fold *f)
{
    int64_t epoch;
    int rc;

    if (!f->probabilities)
        return;
    do {
        rc = db_i64(&s->difficulty,
                    "SELECT min(epoch) FROM probability WHERE job_id = ?1 AND epoch < ?2",
                    DB_ARGS(DB_I(f->record.job), DB_I(f->record.epoch)), &epoch, NULL);
        if (rc == 0)
            rc = remove_epoch(s, f->record.job, epoch, NULL);
    } while (rc == 0);
}

int probabilities_remove(struct store *s, int64_t job, int64_t first, struct errbuf *why)
{
    int64_t epoch;
    int rc;

    do {
        rc = db_i64(&s->difficulty,
                    "SELECT min(epoch) FROM probability WHERE job_id = ?1 AND epoch >= ?2",
                    DB_ARGS(DB_I(job), DB_I(first)), &epoch, why);
        if (rc == 0)
            rc = remove_epoch(s, job, epoch, why);
    } while (rc == 0);
    return rc == -ENOENT ? 0 : rc;
}
