/* Holders of keys that have been here, and names whose keys are revoked. */
#include <string.h>

#include "server/store/store_internal.h"

#define STRING(x) #x
#define TEXT_OF(x) STRING(x)

static int put(struct store *s, const struct holder *h, struct errbuf *why)
{
    return db_run(&s->state,
                  "INSERT INTO key_holder VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
                  " ON CONFLICT(name, role) DO UPDATE SET id = ?3, issued_ms = ?4, expires_ms = ?5,"
                  " last_ms = ?7, address = ?8",
                  DB_ARGS(DB_S(h->name), DB_S(h->role), DB_I((int64_t)h->id), DB_I(h->issued_ms),
                          DB_I(h->expires_ms), DB_I(h->first_ms), DB_I(h->last_ms),
                          DB_S(h->address)),
                  why);
}

int store_holders_put(struct store *s, const struct holder *rows, size_t count, struct errbuf *why)
{
    int rc = db_begin(&s->state, why);

    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = put(s, &rows[i], why);
    if (rc == 0)
        rc =
            db_run(&s->state,
                   "DELETE FROM key_holder WHERE (name, role) IN (SELECT name, role FROM"
                   " key_holder ORDER BY last_ms DESC LIMIT -1 OFFSET " TEXT_OF(KEYS_KNOWN_MAX) ")",
                   DB_NONE, why);
    return db_end(&s->state, rc, why);
}

int store_key_revoke(struct store *s, const char *name, int64_t unix_ms, struct errbuf *why)
{
    return db_run(&s->state,
                  "INSERT INTO key_revoked VALUES(?1, ?2)"
                  " ON CONFLICT(name) DO UPDATE SET unix_ms = max(unix_ms, ?2)",
                  DB_ARGS(DB_S(name), DB_I(unix_ms)), why);
}

static int load_holders(struct store *s, void (*each)(void *arg, const struct holder *h), void *arg,
                        struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&s->state,
                      "SELECT name, role, id, issued_ms, expires_ms, first_ms, last_ms, address"
                      " FROM key_holder ORDER BY name, role",
                      DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->state, stmt, why)) > 0) {
        struct holder h = {.id = (uint64_t)sqlite3_column_int64(stmt, 2),
                           .issued_ms = sqlite3_column_int64(stmt, 3),
                           .expires_ms = sqlite3_column_int64(stmt, 4),
                           .first_ms = sqlite3_column_int64(stmt, 5),
                           .last_ms = sqlite3_column_int64(stmt, 6)};
        db_text(stmt, 0, h.name, sizeof(h.name));
        db_text(stmt, 1, h.role, sizeof(h.role));
        db_text(stmt, 7, h.address, sizeof(h.address));
        each(arg, &h);
    }
    sqlite3_finalize(stmt);
    return rc;
}

int store_keys_load(struct store *s, void (*holder)(void *arg, const struct holder *h),
                    void (*revoked)(void *arg, const struct revoked *r), void *arg,
                    struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = load_holders(s, holder, arg, why);

    if (rc == 0)
        rc = db_query(&s->state, "SELECT name, unix_ms FROM key_revoked ORDER BY name", DB_NONE,
                      &stmt, why);
    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->state, stmt, why)) > 0) {
        struct revoked r = {.unix_ms = sqlite3_column_int64(stmt, 1)};
        db_text(stmt, 0, r.name, sizeof(r.name));
        revoked(arg, &r);
    }
    sqlite3_finalize(stmt);
    return rc;
}
