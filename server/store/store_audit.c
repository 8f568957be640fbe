/* The audit log: rows are added, and the oldest go when there are too many. The triggers of the
 * table (sql_state_N) refuse everything else. */
#include <assert.h>
#include <errno.h>

#include "server/store/store_internal.h"

static_assert(AUDIT_ROWS_MAX - AUDIT_ROWS_CUT == 198000, "the table's trigger says so");

static int add(struct store *s, const struct audit_record *r, struct errbuf *why)
{
    return db_run(&s->state,
                  "INSERT INTO audit(unix_ms, key, role, address, command, about, result, text)"
                  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                  DB_ARGS(DB_I(r->unix_ms), DB_S(r->key), DB_S(r->role), DB_S(r->address),
                          DB_S(r->command), DB_S(r->about), DB_S(r->result), DB_S(r->text)),
                  why);
}

/* Whoever has the most rows loses the oldest of them: a key that sends commands without end pushes
 * out its own, not those of others. */
static int cut(struct store *s, struct errbuf *why)
{
    int64_t rows = 0;
    int rc = db_i64(&s->state, "SELECT rows FROM audit_count", DB_NONE, &rows, why);

    while (rc == 0 && rows > AUDIT_ROWS_MAX) {
        rc = db_run(&s->state,
                    "DELETE FROM audit WHERE number IN (SELECT number FROM audit WHERE key ="
                    " (SELECT key FROM audit GROUP BY key ORDER BY count(*) DESC LIMIT 1)"
                    " ORDER BY number LIMIT ?1)",
                    DB_ARGS(DB_I(AUDIT_ROWS_CUT)), why);
        if (rc == 0)
            rc = db_i64(&s->state, "SELECT rows FROM audit_count", DB_NONE, &rows, why);
    }
    return rc;
}

int store_audit_add(struct store *s, const struct audit_record *rows, size_t count,
                    struct errbuf *why)
{
    int rc = db_begin(&s->state, why);

    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = add(s, &rows[i], why);
    if (rc == 0)
        rc = cut(s, why);
    return db_end(&s->state, rc, why);
}
