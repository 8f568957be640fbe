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

/* Where a page begins: behind so many rows, or at a sample, which is found at once. */
struct rows_from {
    int64_t first, sample;
};

static int read_scores(struct query *q, int64_t job, const struct rows_from *from, int64_t limit,
                       struct score_rows *r, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(
        &q->difficulty,
        "SELECT sample_id, adm, loss, adv_loss, grad_norm, el2n, predicted, flags"
        " FROM score WHERE job_id = ?1 AND epoch = ?2 AND sample_id >= ?5"
        " ORDER BY sample_id LIMIT ?3 OFFSET ?4",
        DB_ARGS(DB_I(job), DB_I(r->epoch), DB_I(limit), DB_I(from->first), DB_I(from->sample)),
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
        r->label[i] = r->truth[i] = -1;
    }
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

/* Gives the rows, which are in sample order, what a statement says of samples, in that order too:
 * sample, label, truth. */
static int read_labels(struct query *q, const char *sql, int64_t dataset, int64_t revision,
                       struct score_rows *r, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    uint32_t i = 0;
    int rc = db_query(
        &q->difficulty, sql,
        DB_ARGS(DB_I(dataset), DB_I(r->sample[0]), DB_I(r->sample[r->count - 1]), DB_I(revision)),
        &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->difficulty, stmt, why)) > 0) {
        const int64_t sample = sqlite3_column_int64(stmt, 0);
        while (i < r->count && r->sample[i] < sample)
            i++;
        if (i == r->count || r->sample[i] != sample)
            continue;
        r->label[i] = db_class(stmt, 1);
        r->truth[i] = db_class(stmt, 2);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int read_rows(struct query *q, int64_t job, int64_t dataset, const struct rows_from *from,
                     int64_t limit, struct score_rows *r, struct errbuf *why)
{
    int64_t revision = 0, more = 0;
    int rc = query_epoch_revision(q, job, r->epoch, &revision, why);

    if (rc == 0)
        rc = read_scores(q, job, from, limit, r, why);
    if (rc < 0 || r->count == 0)
        return rc;
    rc = db_i64(&q->difficulty,
                "SELECT EXISTS (SELECT 1 FROM score WHERE job_id = ?1 AND epoch = ?2"
                " AND sample_id > ?3)",
                DB_ARGS(DB_I(job), DB_I(r->epoch), DB_I(r->sample[r->count - 1])), &more, why);
    r->more = more;
    if (rc == 0)
        rc = read_labels(q,
                         "SELECT sample_id, class_id, coalesce(truth, class_id), ?4 FROM sample"
                         " WHERE dataset_id = ?1 AND sample_id BETWEEN ?2 AND ?3"
                         " ORDER BY sample_id",
                         dataset, revision, r, why);
    if (rc == 0 && revision > 0)
        rc = read_labels(q,
                         "SELECT sample_id, class_id, class_id FROM revision_sample"
                         " WHERE dataset_id = ?1 AND revision = ?4 AND class_id IS NOT NULL"
                         " AND sample_id BETWEEN ?2 AND ?3 ORDER BY sample_id",
                         dataset, revision, r, why);
    return rc;
}

int query_rows(struct query *q, const struct rows_args *a, struct score_rows *ret,
               struct errbuf *why)
{
    struct score_rows r = {.epoch = a->epoch};
    const struct rows_from from = {a->first, a->sample};
    int64_t dataset, limit = a->limit;
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = query_job(q, a->job, &dataset, why);
    if (rc == 0)
        rc = query_scored_epoch(q, a->job, &r.epoch, &r.total, why);
    if (rc == 0 && from.first + limit > r.total)
        limit = from.first < r.total ? r.total - from.first : 0;
    if (rc == 0)
        rc = make_room(&r, limit ? (size_t)limit : 1, why);
    if (rc == 0)
        rc = read_rows(q, a->job, dataset, &from, limit, &r, why);
    if (rc == 0)
        *ret = r;
    else
        score_rows_done(&r);
    return query_end(&q->difficulty, rc, NULL, NULL);
}
