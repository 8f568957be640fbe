#include "server/store/db_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/net/request.h"
#include "server/server.h"
#include "server/store/db.h"
#include "server/store/state_dir.h"

#define LOOK_MS 2000

const char *const db_log_files[] = {STATE_DB, DIFFICULTY_DB, NULL};

static int64_t log_bytes(const char *dir, const char *name)
{
    char path[STATE_PATH_BYTES];
    struct stat st;

    state_dir_db(path, dir, name, "-wal");
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

    *ret = (struct db_log){.bytes = log_bytes(dir, name)};
    state_dir_db(path, dir, name, "");
    /* A file that was taken away must not be made anew beside the log that is its. */
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

/* --- the keeper --- */

struct look {
    struct db_log_keeper *keeper;
    struct db_log logs[DB_LOG_FILES];
    bool known[DB_LOG_FILES];
};

static void look_work(struct op *op)
{
    struct look *look = op->arg;

    for (int i = 0; i < DB_LOG_FILES; i++)
        look->known[i] =
            db_log_settle(op->server->dir, db_log_files[i], &look->logs[i], &op->why) == 0;
}

/* Says it once, again when the log has doubled or others keep it, and when it is over. */
static void say(struct db_log_keeper *k, int file, const struct db_log *now)
{
    const struct db_log *before = &k->logs[file];
    bool held = now->held_bytes > 0 && now->bytes > DB_LOG_BYTES_MAX;

    if (!held && k->held_ms[file])
        log_info("db.log", "file=%s-wal bytes=%lld text=\"nobody keeps it any more\"",
                 db_log_files[file], (long long)now->bytes);
    if (!held) {
        k->held_ms[file] = k->said_bytes[file] = 0;
        return;
    }
    if (!k->held_ms[file])
        k->held_ms[file] = clock_mono_ms();
    if (k->said_bytes[file] && now->bytes < 2 * k->said_bytes[file] &&
        strcmp(now->held_by, before->held_by) == 0)
        return;
    k->said_bytes[file] = now->bytes;
    log_warn(
        "db.log",
        "file=%s-wal bytes=%lld held_bytes=%lld held_by=\"%s\" text=\"it grows until they have "
        "read to the end\"",
        db_log_files[file], (long long)now->bytes, (long long)now->held_bytes,
        now->held_by[0] ? now->held_by : "a question to this server");
}

static void look_done(struct op *op)
{
    struct look *look = op->arg;
    struct db_log_keeper *k = look->keeper;

    k->looking = false;
    for (int i = 0; i < DB_LOG_FILES; i++)
        if (look->known[i]) {
            say(k, i, &look->logs[i]);
            k->logs[i] = look->logs[i];
        }
    free(look);
}

void db_log_tick(struct db_log_keeper *k, struct lane *lane, int64_t now_ms)
{
    bool reason = false;

    if (k->looking || now_ms < k->look_ms)
        return;
    k->look_ms = now_ms + LOOK_MS;
    for (int i = 0; i < DB_LOG_FILES; i++)
        reason = reason || k->held_ms[i] ||
                 log_bytes(k->server->dir, db_log_files[i]) > DB_LOG_BYTES_MAX;
    if (!reason)
        return;
    struct look *look = xcalloc(1, sizeof(*look));
    look->keeper = k;
    k->looking = true;
    op_run(lane,
           (struct op){.server = k->server, .arg = look, .work = look_work, .done = look_done});
}
