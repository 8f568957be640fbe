/* Read-only connections and what every query needs: a snapshot, a deadline, and sentences that say
 * what exists when a request names something that does not. */
#include "server/query/query.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/dataset.h"
#include "server/core/sample_history.h"
#include "server/query/query_internal.h"
#include "server/store/state_dir.h"

/* Instructions of SQLite's machine between two looks at the clock: some tens of microseconds. */
#define PROGRESS_STEPS 1000
/* Of a file whose log is being written at the moment. */
#define OPEN_TRIES 10

const char *const query_by_names[] = {
    [BY_ADM] = "adm",
    [BY_LOSS] = "loss",
    [BY_ADV_LOSS] = "adv_loss",
    [BY_GAP] = "gap",
    [BY_GRAD_NORM] = "grad_norm",
    [BY_EL2N] = "el2n",
    [BY_MARGIN] = "margin",
    NULL,
};

static int overdue(void *arg)
{
    struct query *q = arg;

    if (sqlite3_memory_used() > q->memory_max)
        q->over_memory = true;
    return q->over_memory || atomic_load(&q->stopping) || (q->gone && atomic_load(q->gone)) ||
           clock_mono_ms() >= q->deadline_ms;
}

static double real_of(sqlite3_value *v)
{
    return sqlite3_value_type(v) == SQLITE_NULL ? NAN : sqlite3_value_double(v);
}

static void sql_margin(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    (void)argc;
    sqlite3_result_double(context, score_margin(real_of(argv[0]), real_of(argv[1])));
}

static int set_up(struct query *q, struct db *db, int rc, struct errbuf *why)
{
    if (rc == 0)
        rc = db_exec(db, "PRAGMA query_only=ON; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-16384",
                     why);
    if (rc == 0)
        sqlite3_progress_handler(db->sql, PROGRESS_STEPS, overdue, q);
    if (rc == 0 &&
        sqlite3_create_function_v2(db->sql, "margin", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
                                   sql_margin, NULL, NULL, NULL) != SQLITE_OK)
        rc = db_error(db, why);
    /* Makes the table known now: while a person's SQL runs, nothing can be created. */
    if (rc == 0)
        rc = db_exec(db, "SELECT 1 FROM pragma_table_info('job')", why);
    return rc;
}

static struct query *query_new(const char *dir)
{
    struct query *q = xcalloc(1, sizeof(*q));

    q->dir = xstrdup(dir);
    q->limit_ms = QUERY_DEADLINE_MS;
    q->deadline_ms = INT64_MAX;
    q->memory_max = INT64_MAX;
    return q;
}

static int open_one(struct query *q, struct db *db, const char *name, struct errbuf *why)
{
    return set_up(q, db, db_open(db, q->dir, name, false, 0, why), why);
}

int query_open(const char *dir, struct query **ret, struct errbuf *why)
{
    struct query *q = query_new(dir);
    int rc = open_one(q, &q->state, STATE_DB, why);

    if (rc == 0)
        rc = open_one(q, &q->difficulty, DIFFICULTY_DB, why);
    if (rc == 0)
        *ret = q;
    else
        query_close(q);
    return rc;
}

int query_open_sql(const char *dir, struct query **ret, struct errbuf *why)
{
    struct query *q = query_new(dir);
    int rc = -EROFS;

    for (int i = 0; rc == -EROFS && i < OPEN_TRIES; i++) {
        db_close(&q->difficulty);
        rc = db_open_apart(&q->difficulty, q->dir, DIFFICULTY_DB, why);
        rc = set_up(q, &q->difficulty, rc, why);
    }
    sqlite3_hard_heap_limit64(QUERY_MEMORY_MAX);
    if (rc == 0)
        *ret = q;
    else
        query_close(q);
    return rc;
}

void query_stop(struct query *q)
{
    if (q)
        atomic_store(&q->stopping, true);
}

void query_close(struct query *q)
{
    if (!q)
        return;
    db_close(&q->state);
    db_close(&q->difficulty);
    free(q->dir);
    free(q);
}

void query_until(struct query *q, const atomic_bool *gone)
{
    q->gone = gone;
}

void query_allow(struct query *q, int64_t rows)
{
    if (q->deadline_ms < INT64_MAX && rows > 0)
        q->deadline_ms += rows * QUERY_ROW_NS / 1000000;
}

int query_begin(struct query *q, struct db *db, bool limited, struct errbuf *why)
{
    if (atomic_load(&q->stopping))
        return err_set(why, -ESHUTDOWN, "the server is stopping; try again in a moment");
    q->deadline_ms = limited ? clock_mono_ms() + q->limit_ms : INT64_MAX;
    return db_exec(db, "BEGIN", why);
}

/* What is not known is left out of an object. */
static void drop_unknown(cJSON *json)
{
    for (cJSON *item = json ? json->child : NULL, *next; item; item = next) {
        next = item->next;
        if (cJSON_IsNumber(item) && isnan(item->valuedouble) && item->string)
            cJSON_Delete(cJSON_DetachItemViaPointer(json, item));
        else
            drop_unknown(item);
    }
}

int query_end(struct db *db, int rc, cJSON *json, cJSON **ret)
{
    drop_unknown(json);
    if (!sqlite3_get_autocommit(db->sql))
        db_exec(db, "ROLLBACK", NULL);
    if (rc == 0 && ret)
        *ret = json;
    else
        cJSON_Delete(json);
    return rc;
}

int query_job(struct query *q, int64_t job, int64_t *ret_dataset, struct errbuf *why)
{
    struct db *db = &q->difficulty;
    int64_t first, last;
    int rc = db_i64(db, "SELECT coalesce(dataset_id, 0) FROM job WHERE job_id = ?1",
                    DB_ARGS(DB_I(job)), ret_dataset, why);

    if (rc != -ENOENT)
        return rc;
    rc = db_i64(db, "SELECT min(job_id) FROM job", DB_NONE, &first, why);
    if (rc == -ENOENT)
        return err_set(why, rc, "there is no job %lld; there are no jobs", (long long)job);
    if (rc == 0)
        rc = db_i64(db, "SELECT max(job_id) FROM job", DB_NONE, &last, why);
    if (rc != 0)
        return rc;
    return err_set(why, -ENOENT, "there is no job %lld; the jobs are %lld to %lld", (long long)job,
                   (long long)first, (long long)last);
}

int query_of_job(struct query *q, int64_t job,
                 int (*add)(struct query *q, const void *arg, cJSON *out, struct errbuf *why),
                 const void *arg, cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int64_t dataset;
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = query_job(q, job, &dataset, why);
    if (rc == 0)
        rc = add(q, arg, out, why);
    return query_end(&q->difficulty, rc, out, ret);
}

int query_scored_epoch(struct query *q, int64_t job, int64_t *io_epoch, int64_t *ret_scored,
                       struct errbuf *why)
{
#define SCORED "FROM epoch WHERE job_id = ?1 AND state = 'committed' AND n_scored > 0"
    struct db *db = &q->difficulty;
    int64_t epoch = *io_epoch, first, last, nearest;
    int rc = db_i64(db, "SELECT max(epoch) " SCORED, DB_ARGS(DB_I(job)), &last, why);

    if (rc == -ENOENT)
        return err_set(why, rc, "job %lld has no scores yet; they come at the end of an epoch",
                       (long long)job);
    if (rc != 0)
        return rc;
    if (epoch < 0)
        epoch = last;
    rc = db_i64(db, "SELECT n_scored " SCORED " AND epoch = ?2", DB_ARGS(DB_I(job), DB_I(epoch)),
                ret_scored, why);
    if (rc == 0) {
        *io_epoch = epoch;
        query_allow(q, *ret_scored);
    }
    if (rc != -ENOENT)
        return rc;
    rc = db_i64(db, "SELECT min(epoch) " SCORED, DB_ARGS(DB_I(job)), &first, why);
    if (rc == 0)
        rc = db_i64(db, "SELECT epoch " SCORED " ORDER BY abs(epoch - ?2), epoch LIMIT 1",
                    DB_ARGS(DB_I(job), DB_I(epoch)), &nearest, why);
    if (rc != 0)
        return rc;
    return err_set(why, -ENOENT,
                   "job %lld has no scores of epoch %lld; it has scores of epochs from %lld to "
                   "%lld, the nearest is %lld",
                   (long long)job, (long long)epoch + 1, (long long)first + 1, (long long)last + 1,
                   (long long)nearest + 1);
#undef SCORED
}

int query_all_kept(struct query *q, int64_t job, int64_t before, struct errbuf *why)
{
    struct db *db = &q->difficulty;
    int64_t epoch, rows = 0;
    int rc = db_i64(db,
                    "SELECT min(epoch) FROM epoch WHERE job_id = ?1 AND epoch < ?2"
                    " AND n_dropped > 0",
                    DB_ARGS(DB_I(job), DB_I(before)), &epoch, why);

    if (rc == 0)
        return err_set(why, -ENOENT,
                       "the scores of epoch %lld of job %lld were dropped, as the server's --keep "
                       "options say; results that need them are no longer known",
                       (long long)epoch + 1, (long long)job);
    if (rc == -ENOENT)
        rc = db_i64(db,
                    "SELECT coalesce(sum(n_scored), 0) FROM epoch WHERE job_id = ?1 AND epoch < ?2",
                    DB_ARGS(DB_I(job), DB_I(before)), &rows, why);
    query_allow(q, rows);
    return rc;
}

int query_lacks(int64_t job, int64_t epoch, const char *measure, struct errbuf *why)
{
    return err_set(why, -ENOENT, "no sample has %s in epoch %lld of job %lld: it was not reported",
                   measure, (long long)epoch + 1, (long long)job);
}

int query_test_epoch(struct query *q, int64_t job, int64_t *io_epoch, struct errbuf *why)
{
#define TESTED                                                                                     \
    "FROM epoch e WHERE job_id = ?1 AND state = 'committed' AND EXISTS"                            \
    " (SELECT 1 FROM test_score t WHERE t.job_id = ?1 AND t.epoch = e.epoch)"
    struct db *db = &q->difficulty;
    int64_t epoch = *io_epoch, first, last;
    int rc = db_i64(db, "SELECT max(epoch) " TESTED, DB_ARGS(DB_I(job)), &last, why);

    if (rc == -ENOENT)
        return err_set(why, rc,
                       "job %lld has no scores of test samples; a job with score.splits both keeps "
                       "them, one of engine external those that its program reports",
                       (long long)job);
    if (rc == 0 && epoch < 0)
        *io_epoch = last;
    if (rc != 0 || epoch < 0)
        return rc;
    rc = db_i64(db, "SELECT epoch " TESTED " AND epoch = ?2", DB_ARGS(DB_I(job), DB_I(epoch)),
                &first, why);
    if (rc != -ENOENT)
        return rc;
    rc = db_i64(db, "SELECT min(epoch) " TESTED, DB_ARGS(DB_I(job)), &first, why);
    return rc != 0 ? rc
                   : err_set(why, -ENOENT,
                             "job %lld has no scores of test samples of epoch %lld; it has scores "
                             "of epochs from %lld to %lld",
                             (long long)job, (long long)epoch + 1, (long long)first + 1,
                             (long long)last + 1);
#undef TESTED
}

int query_class(struct query *q, int64_t job, int64_t dataset, int64_t class_id, struct errbuf *why)
{
    int64_t classes = 0;
    int rc = db_i64(&q->difficulty, "SELECT n_classes FROM dataset WHERE dataset_id = ?1",
                    DB_ARGS(DB_I(dataset)), &classes, why);

    if (rc == -ENOENT)
        return err_set(why, rc, "the classes of job %lld are not in difficulty.db", (long long)job);
    if (rc != 0 || class_id < classes)
        return rc;
    return err_set(why, -ENOENT,
                   "the dataset of job %lld has no class %lld; its classes are 0 to %lld",
                   (long long)job, (long long)class_id, (long long)classes - 1);
}

int64_t query_limit(int64_t limit)
{
    return limit < 1 ? 1 : limit > ROWS_MAX ? ROWS_MAX : limit;
}

size_t query_page(int64_t first, int64_t limit, size_t total, size_t *ret_from, cJSON *out)
{
    size_t from = first > 0 && (size_t)first < total ? (size_t)first : first > 0 ? total : 0;
    size_t count = (size_t)query_limit(limit);
    size_t end = total - from < count ? total : from + count;

    cJSON_AddNumberToObject(out, "total", (double)total);
    cJSON_AddBoolToObject(out, "more", end < total);
    *ret_from = from;
    return end;
}

void query_add_predicted(cJSON *row, const char *name, int32_t predicted)
{
    if (predicted >= 0)
        cJSON_AddNumberToObject(row, name, predicted);
}

void query_add_number(cJSON *row, const char *name, sqlite3_stmt *stmt, int column)
{
    if (sqlite3_column_type(stmt, column) != SQLITE_NULL)
        cJSON_AddNumberToObject(row, name, sqlite3_column_double(stmt, column));
}

void query_add_text(cJSON *row, const char *name, sqlite3_stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);

    if (text)
        cJSON_AddStringToObject(row, name, (const char *)text);
}

void query_add_measures(cJSON *row, sqlite3_stmt *stmt, int column)
{
    static const char *const names[] = {"adm",       "loss", "adv_loss", "gap",
                                        "grad_norm", "el2n", "margin",   "predicted"};

    for (int i = 0; i < QUERY_MEASURE_COLUMNS - 1; i++)
        query_add_number(row, names[i], stmt, column + i);
    const int32_t correct = db_class(stmt, column + QUERY_MEASURE_COLUMNS - 1);
    if (correct >= 0)
        cJSON_AddBoolToObject(row, "correct", correct);
}

void query_add_sample(cJSON *row, sqlite3_stmt *stmt, int column)
{
    query_add_number(row, "label", stmt, column);
    query_add_text(row, "label_name", stmt, column + 1);
    query_add_number(row, "truth", stmt, column + 2);
    query_add_text(row, "uri", stmt, column + 4);
    switch (sqlite3_column_int(stmt, column + 3)) {
    case PLANTED_FLIP:
        cJSON_AddStringToObject(row, "planted", "flipped");
        break;
    case PLANTED_HARD:
        cJSON_AddStringToObject(row, "planted", "hard");
        break;
    default: /* nothing, or nothing known */
        break;
    }
}
