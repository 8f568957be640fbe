/* The score rows of an epoch as arrays, for export. */
#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "server/query/query_internal.h"

const char *const query_value_names[] = {"adm", "loss", "adv_loss", "grad_norm", "el2n", NULL};

void score_rows_done(struct score_rows *r)
{
    free(r->sample);
    free(r->flags);
    free(r->label);
    free(r->truth);
    free(r->predicted);
    for (int k = 0; k < QUERY_VALUES; k++)
        free(r->values[k]);
    *r = (struct score_rows){0};
}

static int make_room(struct score_rows *r, size_t n, struct errbuf *why)
{
    bool ok;

    r->sample = alloc_bytes(n, sizeof(*r->sample));
    r->flags = alloc_bytes(n, sizeof(*r->flags));
    r->label = alloc_bytes(n, sizeof(*r->label));
    r->truth = alloc_bytes(n, sizeof(*r->truth));
    r->predicted = alloc_bytes(n, sizeof(*r->predicted));
    ok = r->sample && r->flags && r->label && r->truth && r->predicted;
    for (int k = 0; k < QUERY_VALUES; k++) {
        r->values[k] = alloc_bytes(n, sizeof(*r->values[k]));
        ok = ok && r->values[k];
    }
    return ok ? 0 : err_set(why, -ENOMEM, "out of memory for %zu rows", n);
}

static int32_t class_or_none(sqlite3_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt, column) == SQLITE_NULL ? -1 : sqlite3_column_int(stmt, column);
}

static int read_rows(struct query *q, int64_t job, int64_t dataset, int64_t first, int64_t limit,
                     struct score_rows *r, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int64_t revision;
    int rc = query_epoch_revision(q, job, r->epoch, &revision, why);

    if (rc == 0)
        rc = db_query(&q->difficulty,
                      "SELECT s.sample_id, s.adm, s.loss, s.adv_loss, s.grad_norm, s.el2n,"
                      " s.predicted, s.flags, coalesce(v.class_id, m.class_id),"
                      " coalesce(v.class_id, m.truth, m.class_id)"
                      " FROM (SELECT * FROM score WHERE job_id = ?1 AND epoch = ?2"
                      " ORDER BY sample_id LIMIT ?4 OFFSET ?5) s LEFT JOIN sample m"
                      " ON m.dataset_id = ?3 AND m.sample_id = s.sample_id"
                      " LEFT JOIN revision_sample v ON v.dataset_id = ?3 AND v.revision = ?6"
                      " AND v.sample_id = s.sample_id",
                      DB_ARGS(DB_I(job), DB_I(r->epoch), DB_I(dataset), DB_I(limit), DB_I(first),
                              DB_I(revision)),
                      &stmt, why);

    if (rc != 0)
        return rc;
    while (r->count < limit && (rc = db_step(&q->difficulty, stmt, why)) > 0) {
        uint32_t i = r->count++;
        r->sample[i] = (uint32_t)sqlite3_column_int64(stmt, 0);
        for (int k = 0; k < QUERY_VALUES; k++)
            r->values[k][i] = db_real(stmt, 1 + k);
        r->predicted[i] = db_class(stmt, 6);
        r->flags[i] = (uint32_t)sqlite3_column_int64(stmt, 7);
        r->label[i] = class_or_none(stmt, 8);
        r->truth[i] = class_or_none(stmt, 9);
    }
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

int query_rows(struct query *q, int64_t job, int64_t epoch, int64_t first, int64_t limit,
               struct score_rows *ret, struct errbuf *why)
{
    struct score_rows r = {.epoch = epoch};
    int64_t dataset;
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = query_job(q, job, &dataset, why);
    if (rc == 0)
        rc = query_scored_epoch(q, job, &r.epoch, &r.total, why);
    if (rc == 0 && first + limit > r.total)
        limit = first < r.total ? r.total - first : 0;
    if (rc == 0)
        rc = make_room(&r, limit ? (size_t)limit : 1, why);
    if (rc == 0)
        rc = read_rows(q, job, dataset, first, limit, &r, why);
    if (rc == 0)
        *ret = r;
    else
        score_rows_done(&r);
    return query_end(&q->difficulty, rc, NULL, NULL);
}
