#include "server/store/db_log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bounds.h"
#include "server/store/db.h"
#include "server/store/state_dir.h"

const char *const db_log_files[] = {STATE_DB, DIFFICULTY_DB, NULL};

int64_t db_file_bytes(const char *dir, const char *name, const char *suffix)
{
    char path[STATE_PATH_BYTES];
    struct stat st;

    state_dir_db(path, dir, name, suffix);
    return stat(path, &st) == 0 ? st.st_size : 0;
}

static int settle(struct db *db, struct db_log *ret, struct errbuf *why)
{
    int64_t page_bytes = 0, pages = 0, left = 0;
    int rc = db_i64(db, "SELECT count(*) FROM sqlite_master", DB_NONE, &pages, why);

    if (rc == 0)
        rc = db_i64(db, "PRAGMA page_size", DB_NONE, &page_bytes, why);
    if (rc == 0)
        rc = db_move_log(db, &pages, &left);
    if (rc != 0)
        return rc;
    ret->held_bytes = left * page_bytes;
    if (left == 0 && ret->bytes > DB_LOG_BYTES_MAX && db_cut_log(db))
        ret->bytes = 0;
    if (left > 0)
        db_read_by(db->dir, db->name, ret->held_by);
    return 0;
}

int db_log_settle(const char *dir, const char *name, struct db_log *ret, struct errbuf *why)
{
    struct db db = {0};
    char path[STATE_PATH_BYTES];

    *ret = (struct db_log){.bytes = db_file_bytes(dir, name, "-wal")};
    state_dir_db(path, dir, name, "");
    /* A removed file must not be created anew beside its old log. */
    if (ret->bytes == 0 || access(path, F_OK) != 0)
        return 0;
    int rc = db_open(&db, dir, name, true, 0600, why);
    if (rc == 0)
        sqlite3_db_config(db.sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (rc == 0)
        rc = settle(&db, ret, why);
    db_close(&db);
    return rc;
}

cJSON *db_log_rows(const char *dir)
{
    cJSON *rows = cJSON_CreateObject();
    struct db_log log;

    for (int i = 0; i < DB_LOG_FILES; i++) {
        db_log_settle(dir, db_log_files[i], &log, NULL);
        cJSON *row = cJSON_AddObjectToObject(rows, db_log_files[i]);
        cJSON_AddNumberToObject(row, "bytes", (double)log.bytes);
        cJSON_AddNumberToObject(row, "held_bytes", (double)log.held_bytes);
        if (log.held_by[0])
            cJSON_AddStringToObject(row, "held_by", log.held_by);
    }
    return rows;
}
