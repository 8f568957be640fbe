/* What a database file must be before it is used. A file is accepted only when it is empty or
 * carries our application_id with a user_version that this program knows; any other is refused and
 * left as it was. Migration n brings user_version from n to n + 1 in one transaction, so a crash in
 * it is repaired by running it again. A released migration is never edited; changes go into a new
 * one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/store/store_internal.h"

#define STATE_ID 0x53545053      /* "STPS" */
#define DIFFICULTY_ID 0x41444d31 /* "ADM1" */

/* Each step is executed in a transaction of its own: sql, then what is beside it. */
struct migration {
    const char *sql, *then; /* then: NULL: nothing */
};

struct schema {
    const char *name;
    int64_t application_id;
    const struct migration *migrations;
    int64_t version; /* number of migrations */
    /* In the last one's transaction: what describes the file as it is then. NULL: nothing. */
    int (*describe)(struct db *db, struct errbuf *why);
    const char *before_all; /* of a new file only */
    const char *pragmas;    /* of each connection */
    bool check_pages;       /* all of it, at each start */
    bool keep_log;          /* the -wal and -shm files stay when the file is closed */
};

static const struct migration state_migrations[] = {
    {sql_state_1, NULL},  {sql_state_2, NULL},  {sql_state_3, NULL},  {sql_state_4, NULL},
    {sql_state_5, NULL},  {sql_state_6, NULL},  {sql_state_7, NULL},  {sql_state_8, NULL},
    {sql_state_9, NULL},  {sql_state_10, NULL}, {sql_state_11, NULL}, {sql_state_12, NULL},
    {sql_state_13, NULL},
};
static const struct migration difficulty_migrations[] = {
    {sql_difficulty_1, sql_difficulty_1_views},
    {sql_difficulty_2, NULL},
    /* The table is rewritten whole: rows of removed columns would otherwise stay. */
    {sql_difficulty_3, "DELETE FROM meta"},
    {sql_difficulty_4, NULL},
    {sql_difficulty_5, NULL},
    {sql_difficulty_6, NULL},
    {sql_difficulty_7, NULL},
    {sql_difficulty_8, NULL},
    {sql_difficulty_9, NULL},
    {sql_difficulty_10, NULL},
    {sql_difficulty_11, NULL},
    {sql_difficulty_12, NULL},
    {sql_difficulty_13, NULL},
    {sql_difficulty_14, NULL},
    {sql_difficulty_15, NULL},
    {sql_difficulty_16, NULL},
    {sql_difficulty_17, NULL},
    {sql_difficulty_18, NULL},
    {sql_difficulty_19, NULL},
    {sql_difficulty_20, NULL},
};

static const struct schema state_schema = {
    .name = STATE_DB,
    .application_id = STATE_ID,
    .migrations = state_migrations,
    .version = sizeof(state_migrations) / sizeof(state_migrations[0]),
    .pragmas = "PRAGMA synchronous=FULL;"
               "PRAGMA journal_size_limit=16777216;"
               "PRAGMA foreign_keys=ON;"
               "PRAGMA secure_delete=OFF;"
               "PRAGMA cell_size_check=ON;",
    .check_pages = true,
};

static const struct schema difficulty_schema = {
    .name = DIFFICULTY_DB,
    .application_id = DIFFICULTY_ID,
    .migrations = difficulty_migrations,
    .version = sizeof(difficulty_migrations) / sizeof(difficulty_migrations[0]),
    .describe = meta_write,
    /* Only a new file can be made able to shrink, and get pages so large that a fold needs a
     * quarter of the calls. */
    .before_all = "PRAGMA page_size=16384; PRAGMA auto_vacuum=INCREMENTAL;",
    .pragmas = "PRAGMA synchronous=NORMAL;"
               "PRAGMA wal_autocheckpoint=0;"
               "PRAGMA journal_size_limit=67108864;"
               "PRAGMA cache_size=-65536;"
               "PRAGMA temp_store=MEMORY;"
               "PRAGMA mmap_size=0;"
               "PRAGMA foreign_keys=ON;"
               "PRAGMA secure_delete=OFF;"
               "PRAGMA cell_size_check=ON;",
    .keep_log = true,
};

/* Is the file ours, and of which version? A new file has version 0. */
static int identify(struct db *db, const struct schema *schema, int64_t *ret_version,
                    struct errbuf *why)
{
    int64_t id, version, objects;
    int rc = db_i64(db, "PRAGMA application_id", DB_NONE, &id, why);

    if (rc == 0)
        rc = db_i64(db, "PRAGMA user_version", DB_NONE, &version, why);
    if (rc == 0)
        rc = db_i64(db, "SELECT count(*) FROM sqlite_master", DB_NONE, &objects, why);
    if (rc != 0)
        return rc;
    bool empty = id == 0 && version == 0 && objects == 0;
    if (!empty && (id != schema->application_id || version < 1))
        return err_set(why, -EUCLEAN,
                       "%s in %s is not a database of Steppe (its application_id is %lld and its "
                       "user_version %lld, expected %lld and 1 to %lld); it was not touched; move "
                       "it away or choose another folder",
                       db->name, db->dir, (long long)id, (long long)version,
                       (long long)schema->application_id, (long long)schema->version);
    if (version > schema->version)
        return err_set(why, -ENOTSUP,
                       "%s in %s was written by a newer Steppe (its user_version is %lld, this one "
                       "knows 0 to %lld); it was not touched; use that version",
                       db->name, db->dir, (long long)version, (long long)schema->version);
    *ret_version = version;
    return 0;
}

static int use_wal(struct db *db, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    char mode[16] = "";
    int rc = db_query(db, "PRAGMA journal_mode=WAL", DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    /* To its end, where it commits: behind the row with the new mode that can still fail. */
    while ((rc = db_step(db, stmt, why)) > 0)
        db_text(stmt, 0, mode, sizeof(mode));
    sqlite3_finalize(stmt);
    if (rc < 0)
        return rc;
    if (strcmp(mode, "wal") != 0)
        return err_set(why, -EIO,
                       "%s in %s cannot have a write-ahead log (its journal mode stays %s); the "
                       "folder must be on a local file system",
                       db->name, db->dir, mode);
    return 0;
}

static int migrate(struct db *db, const struct schema *schema, int64_t version, struct errbuf *why)
{
    int rc = 0;

    for (int64_t v = version; rc == 0 && v < schema->version; v++) {
        char stamp[96];
        snprintf(stamp, sizeof(stamp), "PRAGMA application_id=%lld; PRAGMA user_version=%lld",
                 (long long)schema->application_id, (long long)v + 1);
        rc = db_begin(db, why);
        if (rc != 0)
            break;
        rc = db_exec(db, schema->migrations[v].sql, why);
        if (rc == 0 && schema->migrations[v].then)
            rc = db_exec(db, schema->migrations[v].then, why);
        if (rc == 0 && schema->describe && v + 1 == schema->version)
            rc = schema->describe(db, why);
        if (rc == 0)
            rc = db_exec(db, stamp, why);
        rc = db_end(db, rc, why);
    }
    return rc;
}

/* A damaged difficulty.db shows when it is read. state.db is small and everything depends on it, so
 * all of it is checked before a job goes on. */
static int check_pages(struct db *db, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    char said[160] = "";
    int rc = db_query(db, "PRAGMA quick_check(1)", DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(db, stmt, why);
    if (rc > 0)
        db_text(stmt, 0, said, sizeof(said));
    sqlite3_finalize(stmt);
    if (rc < 0)
        return rc;
    if (strcmp(said, "ok") != 0)
        return err_set(why, -EUCLEAN,
                       "%s in %s is damaged (%s); it was not touched; restore it from a backup",
                       db->name, db->dir, said);
    return 0;
}

static int schema_open(struct store *s, struct db *db, const struct schema *schema,
                       struct errbuf *why)
{
    int64_t version = 0;
    int keep_log = schema->keep_log;
    int rc = db_open(db, s->dir, schema->name, true, 0600, why);

    if (rc != 0)
        return rc;
    /* A refused file is left with the log beside it. */
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    rc = identify(db, schema, &version, why);
    if (rc == 0 && schema->check_pages)
        rc = check_pages(db, why);
    if (rc == 0 && version == 0 && schema->before_all)
        rc = db_exec(db, schema->before_all, why);
    if (rc == 0)
        rc = use_wal(db, why);
    if (rc == 0)
        rc = db_exec(db, schema->pragmas, why);
    /* Our own migrations may change the text of a table. */
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
    if (rc == 0)
        rc = migrate(db, schema, version, why);
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (rc != 0)
        return rc;
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    sqlite3_file_control(db->sql, "main", SQLITE_FCNTL_PERSIST_WAL, &keep_log);
    return 0;
}

int schema_open_state(struct store *s, struct errbuf *why)
{
    return schema_open(s, &s->state, &state_schema, why);
}

int schema_open_difficulty(struct store *s, struct errbuf *why)
{
    return schema_open(s, &s->difficulty, &difficulty_schema, why);
}
