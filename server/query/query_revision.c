/* Revisions of datasets in difficulty.db: which one an epoch had, and what it changes. */
#include <errno.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "server/query/query_internal.h"

int query_epoch_revision(struct query *q, int64_t job, int64_t epoch, int64_t *ret,
                         struct errbuf *why)
{
    *ret = 0;
    int rc = db_i64(&q->difficulty, "SELECT revision FROM epoch WHERE job_id = ?1 AND epoch = ?2",
                    DB_ARGS(DB_I(job), DB_I(epoch)), ret, why);

    return rc == -ENOENT ? 0 : rc;
}

static int read_rows(struct query *q, int64_t dataset, int64_t number, struct overlay *ret,
                     struct errbuf *why)
{
    struct overlay o = {.number = number};
    uint32_t room = 0;
    sqlite3_stmt *stmt;
    int rc = db_query(&q->difficulty,
                      "SELECT sample_id, class_id FROM revision_sample WHERE dataset_id = ?1"
                      " AND revision = ?2 AND sample_id >= 0 AND sample_id < ?3 ORDER BY sample_id",
                      DB_ARGS(DB_I(dataset), DB_I(number), DB_I(SAMPLES_MAX)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->difficulty, stmt, why)) > 0) {
        if (o.count == room) {
            room = room ? 2 * room : 256;
            o.rows = xrealloc(o.rows, room * sizeof(*o.rows));
        }
        const bool out = sqlite3_column_type(stmt, 1) == SQLITE_NULL;
        o.rows[o.count++] =
            (struct overlay_row){(uint32_t)sqlite3_column_int64(stmt, 0),
                                 out ? OVERLAY_EXCLUDED : sqlite3_column_int(stmt, 1)};
        o.excluded += out;
    }
    sqlite3_finalize(stmt);
    if (rc == 0)
        *ret = o;
    else
        overlay_done(&o);
    return rc;
}

int query_revision_rows(struct query *q, int64_t dataset, int64_t number, struct overlay *ret,
                        struct errbuf *why)
{
    *ret = (struct overlay){0};
    return number > 0 ? read_rows(q, dataset, number, ret, why) : 0;
}

int query_overlay(struct query *q, int64_t job, int64_t number, struct overlay *ret,
                  struct errbuf *why)
{
    int64_t dataset = 0;
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = query_job(q, job, &dataset, why);
    if (rc == 0)
        rc = query_revision_rows(q, dataset, number, ret, why);
    return query_end(&q->difficulty, rc, NULL, NULL);
}
