/* Verdicts on labels. They are people's work and lie in state.db, which is synced before anybody is
 * told; difficulty.db can be computed again, they cannot. Nothing is changed or removed: a verdict
 * that is withdrawn is a row that says so. */
#include <errno.h>
#include <string.h>

#include "server/store/store_internal.h"

#define STRING(x) #x
#define TEXT_OF(x) STRING(x)

int judged_id(struct store *s, const char *sha256, bool make, int64_t *ret, struct errbuf *why)
{
    int rc = db_i64(&s->state, "SELECT data_id FROM judged WHERE sha256 = ?1",
                    DB_ARGS(DB_S(sha256)), ret, why);

    if (rc != -ENOENT || !make)
        return rc;
    rc = db_run(&s->state, "INSERT INTO judged(sha256) VALUES(?1)", DB_ARGS(DB_S(sha256)), why);
    if (rc == 0)
        *ret = sqlite3_last_insert_rowid(s->state.sql);
    return rc;
}

/* 1: the request was here before, and *put has its answer. */
static int known_request(struct store *s, struct verdicts_put *put, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&s->state, "SELECT added, same FROM verdict_request WHERE uuid = ?1",
                      DB_ARGS(DB_S(put->uuid)), &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(&s->state, stmt, why);
    if (rc > 0) {
        put->added = sqlite3_column_int64(stmt, 0);
        put->same = sqlite3_column_int64(stmt, 1);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static struct db_arg label_of(const struct verdict *v)
{
    return v->label >= 0 ? DB_I(v->label) : DB_S(NULL);
}

/* Adds the row unless the newest of its sample says the same. A sample of which nothing was said
 * has nothing to withdraw. */
static int put_row(struct store *s, int64_t data, const struct verdicts_put *put,
                   const struct verdict *v, struct errbuf *why)
{
    return db_run(&s->state,
                  "INSERT INTO verdict(data_id, sample, verdict, label, note, who, unix_ms)"
                  " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS (SELECT 1 FROM verdict w"
                  "  WHERE w.verdict_id = (SELECT max(n.verdict_id) FROM verdict n"
                  "    WHERE n.data_id = ?1 AND n.sample = ?2)"
                  "  AND w.verdict = ?3 AND w.label IS ?4 AND w.note = ?5 AND w.who = ?6)"
                  " AND (?3 <> 'none' OR EXISTS (SELECT 1 FROM verdict n"
                  "    WHERE n.data_id = ?1 AND n.sample = ?2))",
                  DB_ARGS(DB_I(data), DB_I(v->sample), DB_S(verdict_names[v->kind]), label_of(v),
                          DB_S(v->note), DB_S(put->who), DB_I(put->unix_ms)),
                  why);
}

static int check_room(struct store *s, int64_t data, size_t count, struct errbuf *why)
{
    int64_t there = 0;
    int rc = db_i64(&s->state, "SELECT count(*) FROM verdict WHERE data_id = ?1",
                    DB_ARGS(DB_I(data)), &there, why);

    if (rc == 0 && there + (int64_t)count > VERDICTS_MAX)
        rc = err_set(why, -ERANGE,
                     "the dataset has %lld verdicts, with those before them; allowed is up to %d",
                     (long long)there, VERDICTS_MAX);
    return rc;
}

static int put_all(struct store *s, struct verdicts_put *put, struct errbuf *why)
{
    int64_t data = 0, added = 0;
    int rc = judged_id(s, put->sha256, true, &data, why);

    if (rc == 0)
        rc = check_room(s, data, put->count, why);
    for (size_t i = 0; rc == 0 && i < put->count; i++) {
        rc = put_row(s, data, put, &put->rows[i], why);
        added += rc == 0 ? sqlite3_changes(s->state.sql) : 0;
    }
    put->added = added;
    put->same = (int64_t)put->count - added;
    if (rc == 0)
        rc = db_run(&s->state, "INSERT INTO verdict_request(uuid, added, same) VALUES(?1, ?2, ?3)",
                    DB_ARGS(DB_S(put->uuid), DB_I(put->added), DB_I(put->same)), why);
    if (rc == 0)
        rc = db_run(&s->state,
                    "DELETE FROM verdict_request WHERE request <="
                    " (SELECT max(request) FROM verdict_request) - " TEXT_OF(VERDICT_REQUESTS),
                    DB_NONE, why);
    return rc;
}

int store_verdicts_put(struct store *s, struct verdicts_put *put, struct errbuf *why)
{
    int known = known_request(s, put, why);

    if (known != 0)
        return known < 0 ? known : 0;
    int rc = db_begin(&s->state, why);
    if (rc != 0)
        return rc;
    rc = put_all(s, put, why);
    if (rc == 0)
        failpoint_hit(&s->failpoint, "verdict.commit");
    rc = db_end(&s->state, rc, why);
    if (rc == 0)
        failpoint_hit(&s->failpoint, "verdict.kept");
    return rc;
}
