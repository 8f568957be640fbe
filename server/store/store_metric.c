/* Metrics of training programs: rows of table metric, written in the transaction that commits their
 * epoch. */
#include <errno.h>

#include "server/store/store_internal.h"

/* How many of the fold's names no other epoch has. */
static int count_new(struct store *s, const struct fold *f, int64_t *ret, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&s->difficulty,
                      "SELECT 1 FROM metric WHERE job_id = ?1 AND epoch <> ?2 AND name = ?3"
                      " LIMIT 1",
                      DB_ARGS(DB_I(f->record.job), DB_I(f->record.epoch)), &stmt, why);

    *ret = 0;
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; rc >= 0 && i < f->metrics->count; i++) {
        sqlite3_bind_text(stmt, 3, f->metrics->items[i].name, -1, SQLITE_STATIC);
        rc = db_step(&s->difficulty, stmt, why);
        *ret += rc == 0;
        sqlite3_reset(stmt);
    }
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

int metric_check(struct store *s, const struct fold *f, struct errbuf *why)
{
    int64_t fresh, known;

    if (!f->metrics || f->metrics->count == 0)
        return 0;
    int rc = count_new(s, f, &fresh, why);
    /* From each name to the next one: a job may have millions of rows. */
    if (rc == 0)
        rc = db_i64(&s->difficulty,
                    "WITH RECURSIVE n(name) AS ("
                    " SELECT min(name) FROM metric WHERE job_id = ?1 AND epoch <> ?2 UNION ALL"
                    " SELECT (SELECT min(m.name) FROM metric m WHERE m.job_id = ?1"
                    "   AND m.name > n.name AND m.epoch <> ?2) FROM n WHERE n.name IS NOT NULL)"
                    " SELECT count(name) FROM n",
                    DB_ARGS(DB_I(f->record.job), DB_I(f->record.epoch)), &known, why);
    if (rc == 0 && fresh + known > METRICS_MAX)
        return err_set(why, -EINVAL,
                       "epoch %lld brings %lld new names of metrics to the %lld that job %lld has, "
                       "allowed is %d in all",
                       (long long)f->record.epoch + 1, (long long)fresh, (long long)known,
                       (long long)f->record.job, METRICS_MAX);
    return rc;
}

int metric_write(struct store *s, const struct fold *f, struct errbuf *why)
{
    const int64_t job = f->record.job, epoch = f->record.epoch;
    int rc = db_run(&s->difficulty, "DELETE FROM metric WHERE job_id = ?1 AND epoch = ?2",
                    DB_ARGS(DB_I(job), DB_I(epoch)), why);

    for (uint32_t i = 0; rc == 0 && f->metrics && i < f->metrics->count; i++)
        rc = db_run(&s->difficulty,
                    "INSERT INTO metric(job_id, epoch, name, value) VALUES(?1, ?2, ?3, ?4)",
                    DB_ARGS(DB_I(job), DB_I(epoch), DB_S(f->metrics->items[i].name),
                            DB_R(f->metrics->items[i].value)),
                    why);
    return rc;
}

int metric_forget(struct store *s, int64_t job, int64_t first, struct errbuf *why)
{
    return db_run(&s->difficulty, "DELETE FROM metric WHERE job_id = ?1 AND epoch >= ?2",
                  DB_ARGS(DB_I(job), DB_I(first)), why);
}
