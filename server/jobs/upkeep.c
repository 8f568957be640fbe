/* A task is a list of stages. Each stage is called on its lane until it has nothing left to do,
 * each call a slice. Between two slices the loop may give the lane other work. */
#include "server/jobs/upkeep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/text.h"
#include "server/jobs/service.h"
#include "server/net/lane.h"
#include "server/net/op.h"
#include "server/store/db_check.h"
#include "server/store/db_log.h"
#include "server/store/state_dir.h"

#define LOOK_MS 60000
#define WAITING_MAX 8
#define STAGES_MAX 3

struct upkeep {
    struct service *service;
    struct retention policy;
    struct lane *lane;           /* for reading only, as long as it takes */
    enum upkeep_task task, next; /* next: people wait for it while the own look goes on */
    int stage;
    struct request *waiting[WAITING_MAX];
    int waiting_count;
    struct log_keeper logs;
    int64_t look_ms, start_ms;
    atomic_bool stop;
    struct db_ends ends;
    /* Of the running task. */
    cJSON *out;
    struct retired retired;
    struct store_backup *backup;
    char made[STATE_PATH_BYTES]; /* of a backup: until it is whole */
    char folder[STATE_PATH_BYTES];
    int64_t keep;
    struct db_check_found *found;
    int64_t uploads_bytes, dropped_uploads, dropped_bytes; /* sizes before; and what was dropped */
};

/* --- slices: 1: call again, 0: the stage is over --- */

static int64_t file_bytes(const struct upkeep *u, const char *name)
{
    return db_file_bytes(u->service->dir, name, "");
}

static void note_sizes(struct upkeep *u, const char *when)
{
    cJSON *sizes = cJSON_AddObjectToObject(u->out, when);

    for (int i = 0; i < DB_LOG_FILES; i++)
        cJSON_AddNumberToObject(sizes, db_log_files[i], (double)file_bytes(u, db_log_files[i]));
}

static int retire(struct upkeep *u, struct errbuf *why)
{
    if (!cJSON_HasObjectItem(u->out, "before"))
        note_sizes(u, "before");
    return store_retire(u->service->store, &u->policy, clock_unix_ms(), &u->retired, why);
}

static int vacuum(struct upkeep *u, struct errbuf *why)
{
    /* Unless somebody asked, the file need not be touched when nothing was dropped. */
    if (u->task == UPKEEP_RETIRE && u->retired.rows == 0)
        return 0;
    int rc = store_vacuum(u->service->store, why);
    if (rc != 0)
        return rc;
    note_sizes(u, "after");
    cJSON *dropped = cJSON_AddObjectToObject(u->out, "dropped");
    cJSON_AddNumberToObject(dropped, "jobs", (double)u->retired.jobs);
    cJSON_AddNumberToObject(dropped, "epochs", (double)u->retired.epochs);
    cJSON_AddNumberToObject(dropped, "rows", (double)u->retired.rows);
    return 0;
}

static int note_logs(struct upkeep *u, struct errbuf *why)
{
    (void)why;
    cJSON_AddItemToObject(u->out, "logs", db_log_rows(u->service->dir));
    return 0;
}

static int make_folder(struct upkeep *u, struct errbuf *why)
{
    const int64_t now_s = clock_unix_ms() / 1000;
    int n = 1;

    do
        state_dir_backup(u->folder, u->service->dir, now_s, n++);
    while (access(u->folder, F_OK) == 0);
    state_dir_backup_made(u->made, u->folder);
    return file_mkdirs(u->made, 0700, why);
}

static int copy(struct upkeep *u, struct errbuf *why)
{
    int rc = 0;

    if (!u->backup) {
        rc = make_folder(u, why);
        if (rc == 0)
            rc = store_backup_begin(u->service->store, u->made, &u->backup, why);
    }
    return rc < 0 ? rc : store_backup_step(u->backup, why);
}

/* Checks a copy, makes it durable and writes its hash to sums, as sha256sum does. */
static int seal_file(struct upkeep *u, int file, cJSON *files, char sums[SHA256_HEX + 32],
                     struct errbuf *why)
{
    uint8_t digest[SHA256_BYTES];
    char path[STATE_PATH_BYTES], hex[SHA256_HEX];
    struct stat st;
    int rc = db_check_file(u->made, db_log_files[file], &u->ends, why);

    state_dir_db(path, u->made, db_log_files[file], "");
    if (rc == 0)
        rc = sha256_file_until(path, &u->stop, digest, why);
    if (rc < 0)
        return rc == -EINTR ? db_ends_check(&u->ends, why) : rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0 || fstat(fd, &st) < 0)
        rc = err_set(why, -errno, "cannot keep %s: %s", path, err_text(-errno));
    if (fd >= 0)
        close(fd);
    if (rc < 0)
        return rc;
    text_hex(digest, sizeof(digest), hex);
    snprintf(sums, SHA256_HEX + 32, "%s  %s\n", hex, db_log_files[file]);
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "name", db_log_files[file]);
    cJSON_AddNumberToObject(row, "bytes", (double)st.st_size);
    cJSON_AddStringToObject(row, "sha256", hex);
    cJSON_AddItemToArray(files, row);
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Removes all but the newest `keep` backups, and leftovers of an interrupted one. */
static int64_t remove_old(struct upkeep *u)
{
    char path[STATE_PATH_BYTES], *names[2 * BACKUPS_MAX];
    int64_t count = 0, removed = 0;
    struct dirent *entry;

    state_dir_folder(path, u->service->dir, STATE_BACKUPS);
    DIR *dir = opendir(path);
    while (dir && count < 2 * BACKUPS_MAX && (entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            names[count++] = xstrdup(entry->d_name);
    if (dir)
        closedir(dir);
    qsort(names, (size_t)count, sizeof(*names), compare_names);
    for (int64_t i = count - 1, whole = 0; i >= 0; i--) {
        bool cut = state_dir_is_backup_made(names[i]);
        whole += !cut;
        state_dir_entry(path, u->service->dir, STATE_BACKUPS, names[i]);
        if ((cut || whole > u->keep) && file_remove_folder(path, NULL) == 0)
            removed += !cut;
        free(names[i]);
    }
    return removed;
}

static int seal(struct upkeep *u, struct errbuf *why)
{
    char sums[DB_LOG_FILES][SHA256_HEX + 32], path[STATE_PATH_BYTES];
    cJSON *files = cJSON_AddArrayToObject(u->out, "files");
    int rc = 0;

    for (int i = 0; rc == 0 && i < DB_LOG_FILES; i++)
        rc = seal_file(u, i, files, sums[i], why);
    if (rc < 0)
        return rc;
    const struct file_part parts[] = {{sums[0], strlen(sums[0])}, {sums[1], strlen(sums[1])}};
    state_dir_file(path, u->made, "SHA256SUMS");
    rc = file_write_atomic(path, 0600, parts, DB_LOG_FILES, why);
    if (rc == 0 && rename(u->made, u->folder) < 0)
        rc = err_set(why, -errno, "cannot name the backup %s: %s", u->folder, err_text(-errno));
    if (rc == 0)
        rc = file_sync_parent(u->folder, why);
    if (rc < 0)
        return rc;
    cJSON_AddStringToObject(u->out, "folder", u->folder);
    cJSON_AddNumberToObject(u->out, "removed", (double)remove_old(u));
    return 0;
}

static int check(struct upkeep *u, struct errbuf *why)
{
    return db_check(u->service->dir, &u->ends, u->out, &u->found, why);
}

/* --- tasks --- */

static const struct stage {
    int (*slice)(struct upkeep *u, struct errbuf *why);
    bool reads; /* on its own lane, else on the store's */
} stages[UPKEEP_TASKS][STAGES_MAX] = {
    [UPKEEP_RETIRE] = {{retire}, {vacuum}},
    [UPKEEP_COMPACT] = {{retire}, {vacuum}, {note_logs, true}},
    [UPKEEP_BACKUP] = {{copy}, {seal, true}},
    [UPKEEP_CHECK] = {{check, true}, {note_logs, true}},
};
static const char *const task_names[UPKEEP_TASKS] = {
    [UPKEEP_NONE] = "nothing",         [UPKEEP_RETIRE] = "the retention policy",
    [UPKEEP_COMPACT] = "a compaction", [UPKEEP_BACKUP] = "a backup",
    [UPKEEP_CHECK] = "a check",
};

static void start(struct upkeep *u, enum upkeep_task task);
static void run_slice(struct upkeep *u);

static void answer_all(struct upkeep *u, int rc, const struct errbuf *why)
{
    for (int i = 0; i < u->waiting_count; i++)
        if (rc < 0)
            request_fail(u->waiting[i], rc, why);
        else
            request_reply(u->waiting[i], cJSON_Duplicate(u->out, true), NULL, 0);
    u->waiting_count = 0;
}

/* The loop owns the uploads; the rest of the answer was made on a lane. */
static void note_uploads(struct upkeep *u)
{
    cJSON *before = cJSON_GetObjectItemCaseSensitive(u->out, "before");
    cJSON *after = cJSON_GetObjectItemCaseSensitive(u->out, "after");
    cJSON *dropped = cJSON_GetObjectItemCaseSensitive(u->out, "dropped");

    if (!before || !after || !dropped)
        return;
    cJSON_AddNumberToObject(before, "uploads", (double)u->uploads_bytes);
    cJSON_AddNumberToObject(after, "uploads", (double)incoming_bytes(u->service->incoming));
    cJSON_AddNumberToObject(dropped, "uploads", (double)u->dropped_uploads);
    cJSON_AddNumberToObject(dropped, "upload_bytes", (double)u->dropped_bytes);
}

static void finish(struct upkeep *u, int rc, const struct errbuf *why)
{
    double seconds = (double)(clock_mono_ms() - u->start_ms) / 1e3;
    const char *name = task_names[u->task];

    for (const struct db_check_found *f = u->found; f; f = f->next)
        datasets_note(u->service->datasets, f->sha256, &f->why);
    db_check_found_free(u->found);
    u->found = NULL;
    if (u->task == UPKEEP_COMPACT)
        note_uploads(u);
    cJSON_AddNumberToObject(u->out, "seconds", seconds);
    if (rc < 0)
        log_error("upkeep", "task=\"%s\" error=\"%s\"", name, why->text);
    else if (u->task != UPKEEP_RETIRE || u->retired.rows)
        log_info("upkeep", "task=\"%s\" seconds=%.1f dropped_rows=%lld", name, seconds,
                 (long long)u->retired.rows);
    enum upkeep_task next = u->stop ? UPKEEP_NONE : u->next;
    if (next == UPKEEP_NONE)
        answer_all(u, rc, why);
    cJSON_Delete(u->out);
    u->out = NULL;
    u->task = u->next = UPKEEP_NONE;
    if (next != UPKEEP_NONE)
        start(u, next);
}

static void slice_work(struct op *op)
{
    struct upkeep *u = op->arg;

    op->rc = stages[u->task][u->stage].slice(u, &op->why);
    if (op->rc == 1)
        return;
    store_backup_free(u->backup);
    u->backup = NULL;
    if (op->rc < 0 && u->made[0])
        file_remove_folder(u->made, NULL);
}

static void slice_done(struct op *op)
{
    struct upkeep *u = op->arg;

    if (op->rc == 0 && ++u->stage < STAGES_MAX && stages[u->task][u->stage].slice)
        op->rc = 1;
    if (op->rc == 1 && u->stop)
        op->rc = err_set(&op->why, -EAGAIN, "the server is stopping; try again in a moment");
    if (op->rc == 1)
        run_slice(u);
    else
        finish(u, op->rc, &op->why);
}

static void run_slice(struct upkeep *u)
{
    struct lane *lane = stages[u->task][u->stage].reads ? u->lane : u->service->net->store_lane;

    op_run(lane,
           (struct op){.service = u->service, .arg = u, .work = slice_work, .done = slice_done});
}

static void start(struct upkeep *u, enum upkeep_task task)
{
    u->task = task;
    u->stage = 0;
    u->start_ms = clock_mono_ms();
    u->out = cJSON_CreateObject();
    u->retired = (struct retired){0};
    u->made[0] = u->folder[0] = '\0';
    u->uploads_bytes = incoming_bytes(u->service->incoming);
    if (task == UPKEEP_COMPACT)
        u->dropped_uploads =
            incoming_drop_idle(u->service->incoming, u->start_ms, &u->dropped_bytes);
    run_slice(u);
}

/* When a client asks again, out of patience or after losing its connection, only its newest request
 * stays. */
static void wait_for(struct upkeep *u, struct request *rq)
{
    for (int i = 0; i < u->waiting_count; i++)
        if (strcmp(u->waiting[i]->sender, rq->sender) == 0) {
            request_drop(u->waiting[i]);
            u->waiting[i] = rq;
            return;
        }
    if (u->waiting_count == WAITING_MAX)
        request_error(rq, ERR_LIMIT, "%d already wait for %s", WAITING_MAX, task_names[u->task]);
    else
        u->waiting[u->waiting_count++] = rq;
}

void upkeep_ask(struct upkeep *u, struct request *rq, enum upkeep_task task, int64_t keep)
{
    enum upkeep_task asked = u->task == UPKEEP_RETIRE ? u->next : u->task;

    if (asked != UPKEEP_NONE && asked != task) {
        request_error(rq, ERR_UNAVAILABLE, "%s is under way; try again when it is done",
                      task_names[asked]);
        return;
    }
    request_forget_body(rq);
    if (asked == UPKEEP_NONE)
        u->keep = keep;
    if (u->task == UPKEEP_RETIRE)
        u->next = task;
    else if (u->task == UPKEEP_NONE)
        start(u, task);
    wait_for(u, rq);
}

/* --- life --- */

int upkeep_open(struct service *s, const struct retention *policy, struct upkeep **ret,
                struct errbuf *why)
{
    struct upkeep *u = xcalloc(1, sizeof(*u));

    u->service = u->logs.service = s;
    u->policy = *policy;
    db_ends_open(&u->ends, &u->stop);
    int rc = lane_open(&s->net->loop, "upkeep", &s->net->metrics.query, &u->lane);
    if (rc < 0) {
        db_ends_close(&u->ends);
        free(u);
        return err_set(why, rc, "cannot start: %s", err_text(rc));
    }
    *ret = u;
    return 0;
}

static void interrupt(void *arg)
{
    struct upkeep *u = arg;

    db_ends_interrupt(&u->ends);
}

void upkeep_stop(struct upkeep *u)
{
    if (!u)
        return;
    u->stop = true;
    lane_close_by(u->lane, 0, interrupt, u);
}

void upkeep_close(struct upkeep *u)
{
    if (!u)
        return;
    store_backup_free(u->backup);
    cJSON_Delete(u->out);
    db_check_found_free(u->found);
    db_ends_close(&u->ends);
    free(u);
}

static void clear_work(struct op *op)
{
    incoming_clear(op->service->dir, &op->service->net->stopping);
}

static void clear_done(struct op *op)
{
    (void)op;
}

/* Uploads that nobody goes on with go; the room of their files is given back on a lane. */
static void tick_uploads(struct service *s, int64_t now_ms)
{
    incoming_expire(s->incoming, now_ms);
    if (incoming_is_to_clear(s->incoming) && !s->net->stopping)
        op_run(s->net->data_lane,
               (struct op){.service = s, .work = clear_work, .done = clear_done});
}

void upkeep_tick(struct upkeep *u, int64_t now_ms)
{
    const struct retention *r = &u->policy;

    tick_uploads(u->service, now_ms);
    if (!u->stop)
        log_keeper_tick(&u->logs, u->lane, now_ms);
    if (now_ms < u->look_ms || u->task != UPKEEP_NONE || u->stop)
        return;
    u->look_ms = now_ms + LOOK_MS;
    /* Abandoned uploads go before anybody's scores. */
    if (r->bytes &&
        file_bytes(u, DIFFICULTY_DB) + incoming_idle_bytes(u->service->incoming, now_ms) > r->bytes)
        incoming_drop_idle(u->service->incoming, now_ms, &u->dropped_bytes);
    if (r->rows || r->jobs || r->days || r->bytes)
        start(u, UPKEEP_RETIRE);
}

const struct log_keeper *upkeep_logs(const struct upkeep *u)
{
    return &u->logs;
}

int upkeep_room(const struct upkeep *u, struct errbuf *why)
{
    char has[TEXT_F64_BYTES], limit[TEXT_F64_BYTES], idle_text[TEXT_F64_BYTES], more[120] = "";
    int64_t idle = incoming_idle_bytes(u->service->incoming, clock_mono_ms());
    int64_t bytes = u->policy.bytes ? file_bytes(u, DIFFICULTY_DB) : 0;

    if (!u->policy.bytes || bytes + idle <= u->policy.bytes)
        return 0;
    if (idle)
        snprintf(more, sizeof(more), " and abandoned uploads %s", text_of_bytes(idle, idle_text));
    return err_set(why, -ERANGE,
                   "difficulty.db has %s%s, --max-db allows %s; steppe rm removes jobs that have "
                   "ended, steppe uploads rm an upload, steppe db compact frees their space",
                   text_of_bytes(bytes, has), more, text_of_bytes(u->policy.bytes, limit));
}
