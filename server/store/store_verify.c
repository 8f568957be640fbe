/* Rows about results that are computed twice. */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "server/store/store_internal.h"

int store_verify_secret(struct store *s, uint8_t ret[STORE_SECRET_BYTES], struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc =
        db_query(&s->state, "SELECT value FROM secret WHERE name = 'verify'", DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(&s->state, stmt, why);
    if (rc > 0 && sqlite3_column_bytes(stmt, 0) == STORE_SECRET_BYTES)
        memcpy(ret, sqlite3_column_blob(stmt, 0), STORE_SECRET_BYTES);
    else if (rc >= 0)
        rc = err_set(why, -EUCLEAN, "table secret of %s has no row \"verify\" of %d bytes",
                     s->state.name, STORE_SECRET_BYTES);
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

int store_liar_put(struct store *s, const char *key, const char *text, struct errbuf *why)
{
    return db_run(&s->state, "INSERT OR IGNORE INTO liar(key, unix_ms, text) VALUES(?1, ?2, ?3)",
                  DB_ARGS(DB_S(key), DB_I(clock_unix_ms()), DB_S(text)), why);
}

int store_liar_remove(struct store *s, const char *key, struct errbuf *why)
{
    return db_run(&s->state, "DELETE FROM liar WHERE key = ?1", DB_ARGS(DB_S(key)), why);
}

int store_liars_load(struct store *s,
                     void (*each)(void *arg, const char *key, int64_t unix_ms, const char *text),
                     void *arg, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    char key[NAME_MAX_BYTES], text[512];
    int rc = db_query(&s->state, "SELECT key, unix_ms, text FROM liar ORDER BY unix_ms", DB_NONE,
                      &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->state, stmt, why)) > 0) {
        db_text(stmt, 0, key, sizeof(key));
        db_text(stmt, 2, text, sizeof(text));
        each(arg, key, sqlite3_column_int64(stmt, 1), text);
    }
    sqlite3_finalize(stmt);
    return rc;
}

int store_hand_put(struct store *s, int64_t job, const char *key, struct job_place at,
                   struct errbuf *why)
{
    int rc = db_run(&s->state,
                    "INSERT INTO job_hand(job_id, key, step, epoch) VALUES(?1, ?2, ?3, ?4)"
                    " ON CONFLICT(job_id, key) DO UPDATE SET step = excluded.step,"
                    " epoch = excluded.epoch WHERE (excluded.step, excluded.epoch) < (step, epoch)",
                    DB_ARGS(DB_I(job), DB_S(key), DB_I(at.step), DB_I(at.epoch)), why);

    if (rc == -EEXIST) /* the foreign key */
        return err_set(why, -ENOENT, "there is no job %lld", (long long)job);
    return rc;
}

int store_hands_load(struct store *s, int64_t job, struct job_place *ret, int max, int *ret_count,
                     struct job_place *ret_liar, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int count = 0;
    int rc = db_query(&s->state,
                      "SELECT step, epoch, key IN (SELECT key FROM liar) FROM job_hand"
                      " WHERE job_id = ?1 ORDER BY step DESC, epoch DESC",
                      DB_ARGS(DB_I(job)), &stmt, why);

    if (rc != 0)
        return rc;
    *ret_liar = (struct job_place){-1, 0};
    while ((rc = db_step(&s->state, stmt, why)) > 0) {
        const struct job_place at = {sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1)};

        if (count < max)
            ret[count++] = at;
        if (sqlite3_column_int(stmt, 2))
            *ret_liar = at;
    }
    sqlite3_finalize(stmt);
    if (rc < 0)
        return rc;
    *ret_count = count;
    return 0;
}

int store_hands_forget(struct store *s, int64_t job, struct errbuf *why)
{
    return db_run(&s->state,
                  "DELETE FROM job_hand WHERE job_id = ?1 AND key IN (SELECT key FROM liar)",
                  DB_ARGS(DB_I(job)), why);
}
