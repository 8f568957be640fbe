/* Probabilities of classes as arrays, for export. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/query/query_internal.h"

void probability_rows_done(struct probability_rows *r)
{
    free(r->sample);
    free(r->p);
    *r = (struct probability_rows){0};
}

/* The epoch, how many classes its rows have, and how many samples the dataset. */
static int find(struct query *q, int64_t job, int64_t dataset, struct probability_rows *r,
                struct errbuf *why)
{
    struct db *db = &q->difficulty;
    int64_t bytes = 0;
    int rc = db_i64(db,
                    "SELECT max(e.epoch) FROM epoch e WHERE e.job_id = ?1"
                    " AND e.state = 'committed' AND EXISTS (SELECT 1"
                    " FROM probability p WHERE p.job_id = ?1 AND p.epoch = e.epoch)",
                    DB_ARGS(DB_I(job)), &r->epoch, why);

    if (rc == -ENOENT)
        return err_set(why, rc,
                       "job %lld has no probabilities of classes; a job with score.probabilities "
                       "true keeps those of its newest sweep, one of engine external those that "
                       "its program reports",
                       (long long)job);
    if (rc == 0)
        rc =
            db_i64(db, "SELECT length(p) FROM probability WHERE job_id = ?1 AND epoch = ?2 LIMIT 1",
                   DB_ARGS(DB_I(job), DB_I(r->epoch)), &bytes, why);
    r->classes = (uint32_t)((uint64_t)bytes / sizeof(float));
    if (rc == 0 && (r->classes < 1 || r->classes > CLASSES_MAX))
        rc = err_set(why, -EUCLEAN, "a row of probabilities of job %lld has %lld bytes",
                     (long long)job, (long long)bytes);
    if (rc == 0)
        rc = db_i64(db, "SELECT n_samples FROM dataset WHERE dataset_id = ?1",
                    DB_ARGS(DB_I(dataset)), &r->samples, why);
    return rc == -ENOENT ? 0 : rc;
}

static int read_row(struct probability_rows *r, sqlite3_stmt *stmt, struct errbuf *why)
{
    const size_t bytes = r->classes * sizeof(*r->p);

    if ((size_t)sqlite3_column_bytes(stmt, 1) != bytes)
        return err_set(why, -EUCLEAN, "sample %lld has %d bytes of probabilities, others have %zu",
                       (long long)sqlite3_column_int64(stmt, 0), sqlite3_column_bytes(stmt, 1),
                       bytes);
    memcpy(r->p + (size_t)r->count * r->classes, sqlite3_column_blob(stmt, 1), bytes);
    r->sample[r->count++] = (uint32_t)sqlite3_column_int64(stmt, 0);
    return 0;
}

static int read_rows(struct query *q, int64_t job, int64_t from, int64_t limit,
                     struct probability_rows *r, struct errbuf *why)
{
    const int64_t most =
        PIECE_BYTES_MAX / (int64_t)(sizeof(*r->sample) + r->classes * sizeof(*r->p));
    sqlite3_stmt *stmt;

    limit = limit < most ? limit : most;
    r->sample = alloc_bytes((size_t)limit, sizeof(*r->sample));
    r->p = alloc_bytes((size_t)limit * r->classes, sizeof(*r->p));
    if (!r->sample || !r->p)
        return err_set(why, -ENOMEM, "out of memory for %lld rows", (long long)limit);
    int rc = db_query(&q->difficulty,
                      "SELECT sample_id, p FROM probability WHERE job_id = ?1 AND epoch = ?2"
                      " AND sample_id >= ?3 ORDER BY sample_id LIMIT ?4",
                      DB_ARGS(DB_I(job), DB_I(r->epoch), DB_I(from), DB_I(limit + 1)), &stmt, why);
    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->difficulty, stmt, why)) > 0 && r->count < limit) {
        rc = read_row(r, stmt, why);
        if (rc < 0)
            break;
    }
    sqlite3_finalize(stmt);
    r->more = rc > 0;
    return rc < 0 ? rc : 0;
}

int query_probabilities(struct query *q, int64_t job, int64_t from, int64_t limit,
                        struct probability_rows *ret, struct errbuf *why)
{
    struct probability_rows r = {.epoch = -1};
    int64_t dataset;
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = query_job(q, job, &dataset, why);
    if (rc == 0)
        rc = find(q, job, dataset, &r, why);
    if (rc == 0)
        rc = read_rows(q, job, from, limit, &r, why);
    if (rc == 0)
        *ret = r;
    else
        probability_rows_done(&r);
    return query_end(&q->difficulty, rc, NULL, NULL);
}
