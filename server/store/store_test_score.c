/* What the test of an epoch says of each class and domain; and scores of the test samples, for jobs
 * that keep them. They have their own table, because they are
 * not part of the order, the history and the hash of an epoch. Their rows are written before the
 * epoch is committed; views show only committed epochs. */
#include <errno.h>

#include "server/store/store_internal.h"
#include "server/store/store_rows.h"

static bool has_row(const void *arg, uint32_t row)
{
    return ((const struct fold *)arg)->test_scores[row].flags & SCORE_MEASURED;
}

static void row_column(const void *arg, uint32_t row, int column, sqlite3_context *ret)
{
    const struct fold *f = arg;
    const struct score *x = &f->test_scores[row];
    const double reals[] = {f->test_adm[row], x->loss, x->adv_loss, x->grad_norm, x->el2n};
    const int label = f->test_ids ? f->labels[f->test_ids[row]] : f->test_labels[row];
    const int64_t ints[] = {x->predicted, x->predicted < 0 ? -1 : x->predicted == label, x->flags,
                            x->adv_predicted};

    if (column == 0)
        sqlite3_result_int64(ret, f->test_ids ? f->test_ids[row] : row);
    else if (column == 1)
        sqlite3_result_int64(ret, label);
    else if (column < 7)
        sqlite3_result_double(ret, reals[column - 2]); /* NAN becomes NULL */
    else if (ints[column - 7] >= 0)
        sqlite3_result_int64(ret, ints[column - 7]);
}

static int remove_epoch(struct store *s, int64_t job, int64_t epoch, struct errbuf *why)
{
    int rc = db_run(&s->difficulty, "DELETE FROM test_score WHERE job_id = ?1 AND epoch = ?2",
                    DB_ARGS(DB_I(job), DB_I(epoch)), why);

    return rc < 0
               ? rc
               : db_run(&s->difficulty, "DELETE FROM test_group WHERE job_id = ?1 AND epoch = ?2",
                        DB_ARGS(DB_I(job), DB_I(epoch)), why);
}

static bool has_group(const void *arg, uint32_t row)
{
    return ((const struct test_group *)arg)[row].samples > 0;
}

static void group_column(const void *arg, uint32_t row, int column, sqlite3_context *ret)
{
    const struct test_group *g = (const struct test_group *)arg + row;
    const uint32_t values[] = {row, g->samples, g->right, g->adv_right};

    sqlite3_result_int64(ret, values[column]);
}

static int write_groups(struct store *s, const struct fold *f, const char *kind,
                        const struct test_group *groups, uint32_t count, struct errbuf *why)
{
    struct rows rows = {0, count, groups, has_group, group_column};

    return groups ? db_run(&s->difficulty,
                           "INSERT INTO test_group(job_id, epoch, kind, group_id, samples, correct,"
                           " adv_correct) SELECT ?2, ?3, ?4, c0, c1, c2, c3 FROM rows(?1)",
                           DB_ARGS(DB_P(&rows), DB_I(f->record.job), DB_I(f->record.epoch),
                                   DB_S(kind)),
                           why)
                  : 0;
}

int test_scores_write(struct store *s, const struct fold *f, struct errbuf *why)
{
    struct db *db = &s->difficulty;
    const int64_t job = f->record.job, epoch = f->record.epoch;
    uint32_t from = 0;
    int rc = remove_epoch(s, job, epoch, why);

    if (rc == 0)
        rc = write_groups(s, f, "class", f->by_class, f->classes, why);
    if (rc == 0)
        rc = write_groups(s, f, "domain", f->by_domain, f->domains, why);
    while (rc == 0 && f->test_scores && from < f->test_samples) {
        uint32_t left = f->test_samples - from, count = left < SLICE_ROWS ? left : SLICE_ROWS;
        struct rows rows = {from, from + count, f, has_row, row_column};

        rc = db_run(db,
                    "INSERT INTO test_score(job_id, epoch, sample_id, label, adm, loss, adv_loss,"
                    " grad_norm, el2n, predicted, correct, flags, adv_predicted)"
                    " SELECT ?2, ?3, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10 FROM rows(?1)",
                    DB_ARGS(DB_P(&rows), DB_I(job), DB_I(epoch)), why);
        from += count;
        store_end_slice(s);
    }
    return rc;
}

int test_scores_remove(struct store *s, int64_t job, int64_t first, struct errbuf *why)
{
    int64_t epoch;
    int rc;

    do {
        rc = db_i64(&s->difficulty,
                    "SELECT min(epoch) FROM (SELECT min(epoch) AS epoch FROM test_score"
                    "   WHERE job_id = ?1 AND epoch >= ?2 UNION ALL"
                    "   SELECT min(epoch) FROM test_group WHERE job_id = ?1 AND epoch >= ?2)",
                    DB_ARGS(DB_I(job), DB_I(first)), &epoch, why);
        if (rc == 0)
            rc = remove_epoch(s, job, epoch, why);
        store_end_slice(s);
    } while (rc == 0);
    return rc == -ENOENT ? 0 : rc;
}
