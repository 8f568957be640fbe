#include "server/store/db_check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/hash.h"
#include "common/jobspec.h"
#include "common/text.h"
#include "server/core/score_hash.h"
#include "server/store/data_file.h"
#include "server/store/db.h"
#include "server/store/state_dir.h"

#define PROBLEMS_MAX 100

/* What to do about a damaged checkpoint. A job that goes on looks for the newest whole one. */
#define OPEN_JOB "if needed, the job goes on from an older one or from its beginning"
#define ENDED_JOB "put the file back, or submit the job again: a strict job gives the same bits"

struct check {
    const char *dir;
    struct db_ends *ends;
    struct db state, difficulty;
    cJSON *problems;
    int64_t problem_count; /* told or not */
    int64_t file_problems; /* of those, the files that no backup of the databases holds */
    int64_t epochs, rows, checkpoints, datasets, attached;
    struct db_check_found *found;
};

__attribute__((format(printf, 2, 3))) static void problem(struct check *c, const char *fmt, ...)
{
    struct errbuf text;
    va_list ap;

    va_start(ap, fmt);
    err_vset(&text, fmt, ap);
    va_end(ap);
    if (c->problem_count++ < PROBLEMS_MAX)
        cJSON_AddItemToArray(c->problems, cJSON_CreateString(text.text));
}

/* SQLite's own check of a file's pages and keys. */
static int check_pages(struct check *c, struct db *db, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    char said[200];
    int rc = db_query(db, "PRAGMA integrity_check(20)", DB_NONE, &stmt, why);

    while (rc == 0 && (rc = db_step(db, stmt, why)) > 0) {
        db_text(stmt, 0, said, sizeof(said));
        if (strcmp(said, "ok") != 0)
            problem(c, "%s: %s", db->name, said);
        rc = 0;
    }
    sqlite3_finalize(stmt);
    if (rc == -EUCLEAN) { /* a page that cannot even be read */
        problem(c, "%s", why->text);
        return 0;
    }
    if (rc == 0)
        rc = db_query(db, "PRAGMA foreign_key_check", DB_NONE, &stmt, why);
    while (rc == 0 && (rc = db_step(db, stmt, why)) > 0) {
        db_text(stmt, 0, said, sizeof(said));
        problem(c, "%s: a row of %s refers to a row that does not exist", db->name, said);
        rc = 0;
    }
    if (rc == 0)
        sqlite3_finalize(stmt);
    return rc;
}

static void read_score(sqlite3_stmt *stmt, struct score *ret)
{
    *ret = (struct score){.loss = db_real(stmt, 2),
                          .adv_loss = db_real(stmt, 3),
                          .grad_norm = db_real(stmt, 4),
                          .el2n = db_real(stmt, 5),
                          .predicted = db_class(stmt, 6),
                          .flags = (uint32_t)sqlite3_column_int64(stmt, 7)};
}

/* Hash and number of the rows of an epoch. */
static int hash_epoch(struct check *c, int64_t job, int64_t epoch, char hash[SHA256_HEX],
                      int64_t *ret_rows, struct errbuf *why)
{
    struct db *db = &c->difficulty;
    struct score_hash h;
    sqlite3_stmt *stmt;
    int64_t rows = 0;
    int rc = db_query(db,
                      "SELECT sample_id, adm, loss, adv_loss, grad_norm, el2n, predicted, flags"
                      " FROM score WHERE job_id = ?1 AND epoch = ?2 ORDER BY sample_id",
                      DB_ARGS(DB_I(job), DB_I(epoch)), &stmt, why);

    if (rc != 0)
        return rc;
    score_hash_init(&h);
    while ((rc = db_step(db, stmt, why)) > 0) {
        struct score x;
        read_score(stmt, &x);
        score_hash_add(&h, (uint32_t)sqlite3_column_int64(stmt, 0), &x, db_real(stmt, 1));
        rows++;
    }
    sqlite3_finalize(stmt);
    score_hash_end(&h, hash);
    *ret_rows = rows;
    return rc;
}

/* Compares one epoch's row with its scores, on a snapshot of its own. */
static int check_epoch(struct check *c, int64_t job, int64_t epoch, struct errbuf *why)
{
    struct db *db = &c->difficulty;
    char want[SHA256_HEX] = "", hash[SHA256_HEX];
    int64_t scored = -1, rows = 0;
    sqlite3_stmt *stmt;
    int rc = db_query(db,
                      "SELECT n_scored, scores_sha256 FROM epoch WHERE job_id = ?1 AND epoch = ?2"
                      " AND state = 'committed' AND n_dropped = 0",
                      DB_ARGS(DB_I(job), DB_I(epoch)), &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(db, stmt, why);
    if (rc > 0) {
        scored = sqlite3_column_int64(stmt, 0);
        db_text(stmt, 1, want, sizeof(want));
    }
    sqlite3_finalize(stmt);
    if (rc <= 0)
        return rc;
    rc = hash_epoch(c, job, epoch, hash, &rows, why);
    if (rc != 0)
        return rc;
    c->epochs++;
    c->rows += rows;
    if (rows != scored)
        problem(c, "difficulty.db: epoch %lld of job %lld has %lld scores, its row says %lld",
                (long long)epoch + 1, (long long)job, (long long)rows, (long long)scored);
    else if (strcmp(hash, want) != 0)
        problem(c,
                "difficulty.db: the scores of epoch %lld of job %lld are not those it was "
                "committed with: their SHA-256 is another",
                (long long)epoch + 1, (long long)job);
    return 0;
}

/* The next committed epoch after (job, epoch); -ENOENT: there is none. */
static int next_epoch(struct check *c, int64_t *job, int64_t *epoch, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&c->difficulty,
                      "SELECT job_id, epoch FROM epoch WHERE (job_id, epoch) > (?1, ?2)"
                      " AND state = 'committed' ORDER BY job_id, epoch LIMIT 1",
                      DB_ARGS(DB_I(*job), DB_I(*epoch)), &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(&c->difficulty, stmt, why);
    if (rc > 0) {
        *job = sqlite3_column_int64(stmt, 0);
        *epoch = sqlite3_column_int64(stmt, 1);
    }
    sqlite3_finalize(stmt);
    return rc > 0 ? 0 : rc == 0 ? -ENOENT : rc;
}

static int check_epochs(struct check *c, struct errbuf *why)
{
    int64_t job = 0, epoch = -1;
    int rc = 0;

    while (rc == 0 && !*c->ends->now && (rc = next_epoch(c, &job, &epoch, why)) == 0) {
        rc = db_exec(&c->difficulty, "BEGIN", why);
        if (rc == 0)
            rc = check_epoch(c, job, epoch, why);
        db_exec(&c->difficulty, "ROLLBACK", NULL);
        if (rc == -EUCLEAN) {
            problem(c, "%s", why->text);
            rc = 0;
        }
    }
    return rc == -ENOENT ? 0 : rc;
}

/* A missing file was removed with its row, unless the row is still there. */
static int check_checkpoint(struct check *c, int64_t job, int64_t step, const char *file,
                            const char *sha256, struct errbuf *why)
{
    char path[STATE_PATH_BYTES], hex[SHA256_HEX] = "";
    uint8_t digest[SHA256_BYTES];
    int64_t there;

    state_dir_checkpoint(path, c->dir, job, file);
    int rc = sha256_file_until(path, c->ends->now, digest, why);
    if (rc == -EINTR)
        return 0;
    if (rc == 0)
        text_hex(digest, sizeof(digest), hex);
    c->checkpoints++;
    if (rc == 0 && strcmp(hex, sha256) == 0)
        return 0;
    int known = db_i64(&c->state, "SELECT step FROM checkpoint WHERE job_id = ?1 AND step = ?2",
                       DB_ARGS(DB_I(job), DB_I(step)), &there, why);
    if (known < 0)
        return known == -ENOENT ? 0 : known;
    int open = db_i64(&c->state,
                      "SELECT 1 FROM job WHERE job_id = ?1 AND state IN"
                      " ('queued', 'running', 'paused')",
                      DB_ARGS(DB_I(job)), &there, why);
    if (open < 0 && open != -ENOENT)
        return open;
    c->file_problems++;
    problem(c, "checkpoint %s of job %lld %s%s; %s", file, (long long)job,
            rc == 0 ? "is damaged: its SHA-256 is not the recorded one" : "cannot be read: ",
            rc == 0 ? "" : err_text(rc), open == 0 ? OPEN_JOB : ENDED_JOB);
    return 0;
}

static int check_checkpoints(struct check *c, struct errbuf *why)
{
    int64_t job = 0, step = -1;
    char file[64], sha256[SHA256_HEX];
    sqlite3_stmt *stmt;
    int rc;

    do {
        rc = db_query(&c->state,
                      "SELECT job_id, step, file, sha256 FROM checkpoint"
                      " WHERE (job_id, step) > (?1, ?2) ORDER BY job_id, step LIMIT 1",
                      DB_ARGS(DB_I(job), DB_I(step)), &stmt, why);
        if (rc != 0)
            return rc;
        rc = db_step(&c->state, stmt, why);
        if (rc > 0) {
            job = sqlite3_column_int64(stmt, 0);
            step = sqlite3_column_int64(stmt, 1);
            db_text(stmt, 2, file, sizeof(file));
            db_text(stmt, 3, sha256, sizeof(sha256));
        }
        sqlite3_finalize(stmt);
        int checked = rc > 0 ? check_checkpoint(c, job, step, file, sha256, why) : 0;
        if (checked < 0)
            return checked;
    } while (rc > 0 && !*c->ends->now);
    return rc < 0 ? rc : 0;
}

/* --- datasets and what came with jobs --- */

void db_check_found_free(struct db_check_found *list)
{
    while (list) {
        struct db_check_found *next = list->next;

        free(list);
        list = next;
    }
}

/* 1: it is, or it was removed with its row, which `query` no longer finds by the key. 0, with the
 * damage; -errno: not known. */
static int is_whole(struct check *c, const char *path, const char *sha256, const char *query,
                    const char *key, struct errbuf *ret_damage, struct errbuf *why)
{
    char hex[SHA256_HEX] = "";
    int64_t there;
    int rc = data_hash_file(path, c->ends->now, hex, ret_damage);

    if (rc == -ENOMEM)
        return err_set(why, rc, "%s: %s", path, ret_damage->text);
    if (rc == -EINTR || (rc == 0 && strcmp(hex, sha256) == 0))
        return 1;
    if (rc == 0)
        err_set(ret_damage, -EUCLEAN, "its SHA-256 is %.16s...", hex);
    rc = db_i64(&c->state, query, DB_ARGS(DB_S(key)), &there, why);
    return rc == -ENOENT ? 1 : rc;
}

static int check_dataset(struct check *c, const char *sha256, const char *name, struct errbuf *why)
{
    struct errbuf damage;
    char path[STATE_PATH_BYTES];

    state_dir_dataset(path, c->dir, sha256);
    c->datasets++;
    int rc =
        is_whole(c, path, sha256, "SELECT 1 FROM dataset WHERE sha256 = ?1", sha256, &damage, why);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    c->file_problems++;
    problem(
        c,
        "the file of dataset %s, %.300s, is damaged: %.100s; import the same data again, or put "
        "the file back",
        name, path, damage.text);
    struct db_check_found *f = xcalloc(1, sizeof(*f));
    memcpy(f->sha256, sha256, sizeof(f->sha256));
    f->why = damage;
    f->next = c->found;
    c->found = f;
    return 0;
}

static int check_datasets(struct check *c, struct errbuf *why)
{
    char sha256[SHA256_HEX] = "", name[NAME_MAX_BYTES];
    sqlite3_stmt *stmt;
    int rc;

    do {
        rc = db_query(&c->state,
                      "SELECT sha256, min(name) FROM dataset WHERE sha256 > ?1 GROUP BY sha256"
                      " ORDER BY sha256 LIMIT 1",
                      DB_ARGS(DB_S(sha256)), &stmt, why);
        if (rc != 0)
            return rc;
        rc = db_step(&c->state, stmt, why);
        if (rc > 0) {
            db_text(stmt, 0, sha256, sizeof(sha256));
            db_text(stmt, 1, name, sizeof(name));
        }
        sqlite3_finalize(stmt);
        if (rc > 0 && check_dataset(c, sha256, name, why) < 0)
            return -EIO;
    } while (rc > 0 && !*c->ends->now);
    return rc < 0 ? rc : 0;
}

/* Each revision against its own hash. */
static int check_revisions(struct check *c, struct errbuf *why)
{
    char data[SHA256_HEX], want[SHA256_HEX], found[SHA256_HEX];
    sqlite3_stmt *stmt;
    int rc = db_query(&c->state,
                      "SELECT j.sha256, r.number, r.sha256, r.overlay FROM revision r"
                      " JOIN judged j ON j.data_id = r.data_id ORDER BY j.sha256, r.number",
                      DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    while (!*c->ends->now && (rc = db_step(&c->state, stmt, why)) > 0) {
        const void *text = sqlite3_column_blob(stmt, 3);
        db_text(stmt, 0, data, sizeof(data));
        db_text(stmt, 2, want, sizeof(want));
        sha256_hex_of(text ? text : "", (size_t)sqlite3_column_bytes(stmt, 3), found);
        if (strcmp(want, found) != 0)
            problem(c, "%s: revision %lld of data %.12s... is damaged; restore a backup", STATE_DB,
                    (long long)sqlite3_column_int64(stmt, 1), data);
    }
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

static int check_job_files(struct check *c, int64_t job, const char *uuid, struct jobspec *spec,
                           struct errbuf *why)
{
    struct errbuf damage;
    char path[STATE_PATH_BYTES];

    for (enum attached_kind kind = 0; kind < ATTACHED_KINDS; kind++) {
        const struct given *g = jobspec_attached(spec, kind);

        if (!g)
            continue;
        state_dir_attached(path, c->dir, uuid, g->sha256);
        c->attached++;
        int rc =
            is_whole(c, path, g->sha256, "SELECT 1 FROM job WHERE uuid = ?1", uuid, &damage, why);
        if (rc < 0)
            return rc;
        if (rc == 0) {
            c->file_problems++;
            problem(c,
                    "%s of job %lld, %.250s, is damaged: %.100s; put the file back, or submit "
                    "the job again with it",
                    jobspec_attached_names[kind], (long long)job, path, damage.text);
        }
    }
    return 0;
}

static int check_job(struct check *c, int64_t job, const char *uuid, const char *text,
                     struct errbuf *why)
{
    struct jobspec spec = {0};
    cJSON *json = NULL;
    int rc = field_parse(text, strlen(text), JSON_REPLY_BYTES_MAX, "job", &json, NULL);

    if (rc == 0)
        rc = jobspec_parse(json, &spec, NULL);
    cJSON_Delete(json);
    if (rc < 0) {
        problem(c, "state.db: the description of job %lld cannot be read", (long long)job);
        return 0;
    }
    rc = check_job_files(c, job, uuid, &spec, why);
    jobspec_done(&spec);
    return rc;
}

static int check_attached(struct check *c, struct errbuf *why)
{
    int64_t job = 0;
    char uuid[UUID_BYTES], *text = NULL;
    sqlite3_stmt *stmt;
    int rc;

    do {
        rc = db_query(&c->state,
                      "SELECT job_id, uuid, spec_json FROM job WHERE job_id > ?1 ORDER BY job_id"
                      " LIMIT 1",
                      DB_ARGS(DB_I(job)), &stmt, why);
        if (rc != 0)
            return rc;
        rc = db_step(&c->state, stmt, why);
        if (rc > 0) {
            job = sqlite3_column_int64(stmt, 0);
            db_text(stmt, 1, uuid, sizeof(uuid));
            text = xstrdup((const char *)sqlite3_column_text(stmt, 2));
        }
        sqlite3_finalize(stmt);
        int looked = rc > 0 ? check_job(c, job, uuid, text, why) : 0;
        free(text);
        text = NULL;
        if (looked < 0)
            return looked;
    } while (rc > 0 && !*c->ends->now);
    return rc < 0 ? rc : 0;
}

/* ends: NULL, its work takes as long as it takes. */
static int open_to_read(struct db *db, const char *dir, const char *name, struct db_ends *ends,
                        struct errbuf *why)
{
    int rc = db_open(db, dir, name, false, 0, why);

    if (rc == 0 && ends)
        db_end_with(db, ends);
    return rc == 0 && ends ? db_ends_check(ends, why) : rc;
}

int db_check(const char *dir, struct db_ends *ends, cJSON *out, struct db_check_found **ret_found,
             struct errbuf *why)
{
    struct check c = {.dir = dir, .ends = ends, .problems = cJSON_CreateArray()};
    int rc = open_to_read(&c.state, dir, STATE_DB, ends, why);

    if (rc == 0)
        rc = open_to_read(&c.difficulty, dir, DIFFICULTY_DB, ends, why);
    if (rc == 0)
        rc = check_pages(&c, &c.state, why);
    if (rc == 0)
        rc = check_pages(&c, &c.difficulty, why);
    if (rc == 0)
        rc = check_epochs(&c, why);
    if (rc == 0)
        rc = check_checkpoints(&c, why);
    if (rc == 0)
        rc = check_datasets(&c, why);
    if (rc == 0)
        rc = check_attached(&c, why);
    if (rc == 0)
        rc = check_revisions(&c, why);
    if (rc == 0)
        rc = db_ends_check(ends, why);
    db_close(&c.state);
    db_close(&c.difficulty);
    cJSON_AddBoolToObject(out, "whole", cJSON_GetArraySize(c.problems) == 0);
    cJSON_AddItemToObject(out, "problems", c.problems);
    cJSON_AddNumberToObject(out, "total", (double)c.problem_count);
    cJSON_AddNumberToObject(out, "in_files", (double)c.file_problems);
    cJSON_AddBoolToObject(out, "more", c.problem_count > PROBLEMS_MAX);
    cJSON_AddNumberToObject(out, "epochs", (double)c.epochs);
    cJSON_AddNumberToObject(out, "rows", (double)c.rows);
    cJSON_AddNumberToObject(out, "checkpoints", (double)c.checkpoints);
    cJSON_AddNumberToObject(out, "datasets", (double)c.datasets);
    cJSON_AddNumberToObject(out, "attached", (double)c.attached);
    *ret_found = c.found;
    return rc;
}

int db_check_file(const char *dir, const char *name, struct db_ends *ends, struct errbuf *why)
{
    sqlite3_stmt *stmt = NULL;
    struct db db = {0};
    char said[160] = "";
    int rc = open_to_read(&db, dir, name, ends, why);

    if (rc == 0)
        rc = db_query(&db, "PRAGMA integrity_check(1)", DB_NONE, &stmt, why);
    if (rc == 0)
        rc = db_step(&db, stmt, why);
    if (rc > 0) {
        db_text(stmt, 0, said, sizeof(said));
        rc = strcmp(said, "ok") == 0
                 ? 0
                 : err_set(why, -EUCLEAN, "the copy %s in %s is damaged: %s", name, dir, said);
    }
    sqlite3_finalize(stmt);
    db_close(&db);
    return rc;
}
