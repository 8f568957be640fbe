#include "server/jobs/log_keeper.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

#define LOOK_MS 2000

struct look {
    struct log_keeper *keeper;
    struct db_log logs[DB_LOG_FILES];
    bool known[DB_LOG_FILES];
};

static void look_work(struct op *op)
{
    struct look *look = op->arg;

    for (int i = 0; i < DB_LOG_FILES; i++)
        look->known[i] =
            db_log_settle(op->service->dir, db_log_files[i], &look->logs[i], &op->why) == 0;
}

/* Logs it once, again when the log has doubled or other readers hold it, and when it is over. */
static void say(struct log_keeper *k, int file, const struct db_log *now)
{
    const struct db_log *before = &k->logs[file];
    bool held = now->held_bytes > 0 && now->bytes > DB_LOG_BYTES_MAX;

    if (!held && k->held_ms[file])
        log_info("db.log", "file=%s-wal bytes=%lld text=\"no reader holds it any more\"",
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
    log_warn("db.log",
             "file=%s-wal bytes=%lld held_bytes=%lld held_by=\"%s\" text=\"it grows until these "
             "readers have finished\"",
             db_log_files[file], (long long)now->bytes, (long long)now->held_bytes,
             now->held_by[0] ? now->held_by : "a question to this server");
}

static void look_done(struct op *op)
{
    struct look *look = op->arg;
    struct log_keeper *k = look->keeper;

    k->looking = false;
    for (int i = 0; i < DB_LOG_FILES; i++)
        if (look->known[i]) {
            say(k, i, &look->logs[i]);
            k->logs[i] = look->logs[i];
        }
    free(look);
}

void log_keeper_tick(struct log_keeper *k, struct lane *lane, int64_t now_ms)
{
    bool reason = false;

    if (k->looking || now_ms < k->look_ms)
        return;
    k->look_ms = now_ms + LOOK_MS;
    for (int i = 0; i < DB_LOG_FILES; i++)
        reason = reason || k->held_ms[i] ||
                 db_file_bytes(k->service->dir, db_log_files[i], "-wal") > DB_LOG_BYTES_MAX;
    if (!reason)
        return;
    struct look *look = xcalloc(1, sizeof(*look));
    look->keeper = k;
    k->looking = true;
    op_run(lane,
           (struct op){.service = k->service, .arg = look, .work = look_work, .done = look_done});
}
