/* Jobs and their events. state.db is the truth; difficulty.db has a copy of each job for readers.
 * A change is written to the copy inside the transaction of the truth, which commits last: when
 * either fails, the truth is as it was. A crash in between leaves a copy that is ahead or a copy
 * without a job; job_mirror_all repairs that when the store is opened, or the next change does. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/field.h"
#include "common/jobspec.h"
#include "common/text.h"
#include "server/store/store_internal.h"

#define JOB_COLUMNS                                                                                \
    "job_id, uuid, name, dataset, dataset_sha256, spec_json, state, reason, incarnation,"          \
    " numerics_class, model_sha256, created_unix_ms, started_unix_ms, finished_unix_ms,"           \
    " relaxed, broken, waits_for, key_name"

static int event_add(struct store *s, int64_t job, const char *kind, const char *text,
                     struct errbuf *why)
{
    return db_run(&s->state,
                  "INSERT INTO event(job_id, event, unix_ms, kind, text) SELECT ?1,"
                  " coalesce((SELECT max(event) FROM event WHERE job_id = ?1), 0) + 1, ?2, ?3, ?4",
                  DB_ARGS(DB_I(job), DB_I(clock_unix_ms()), DB_S(kind), DB_S(text)), why);
}

/* Fields of the spec that difficulty.db repeats. */
struct spec_columns {
    struct db_arg seed, attack, epsilon, alpha, attack_steps, normaliser;
};

/* A spec that today's rules refuse was once accepted: its fields are then unknown; that is not an
 * error. Memory that is out is one, or they would stay unknown. */
static int read_spec(const char *text, struct spec_columns *ret, struct errbuf *why)
{
    const struct db_arg unknown = DB_S(NULL);
    struct jobspec spec;
    cJSON *json = NULL;

    *ret = (struct spec_columns){unknown, unknown, unknown, unknown, unknown, unknown};
    int rc = field_parse(text, strlen(text), JSON_REQUEST_BYTES_MAX, "spec", &json, why);
    if (rc == 0)
        rc = jobspec_parse(json, &spec, why);
    if (rc == 0) {
        ret->seed = DB_I((int64_t)spec.seed);
        ret->attack = DB_S(attack_names[spec.attack]);
        ret->epsilon = DB_R(spec.epsilon);
        if (spec.attack == ATTACK_PGD) {
            ret->alpha = DB_R(spec.alpha);
            ret->attack_steps = DB_I(spec.attack_steps);
        }
        ret->normaliser = DB_S(normaliser_names[spec.normaliser]);
        jobspec_done(&spec);
    }
    cJSON_Delete(json);
    return rc == -ENOMEM ? rc : 0;
}

static const char *text_or_null(const char *s)
{
    return s[0] ? s : NULL;
}

static struct db_arg time_or_null(int64_t unix_ms)
{
    return unix_ms ? DB_I(unix_ms) : DB_S(NULL);
}

int job_remove_copy(struct store *s, int64_t job, struct errbuf *why)
{
    return db_run(&s->difficulty, "DELETE FROM job WHERE job_id = ?1", DB_ARGS(DB_I(job)), why);
}

static int mirror(struct store *s, const struct job_record *rec, struct errbuf *why)
{
    struct spec_columns spec;

    int rc = read_spec(rec->spec_json, &spec, why);
    if (rc != 0)
        return rc;
    /* Removes the copy of an insertion whose truth could not be committed. */
    rc = db_run(&s->difficulty,
                "DELETE FROM job WHERE uuid = ?1 AND job_id <> ?2"
                " AND job_id NOT IN (SELECT job_id FROM epoch)",
                DB_ARGS(DB_S(rec->uuid), DB_I(rec->job)), why);
    if (rc != 0)
        return rc;
    return db_run(&s->difficulty,
                  "INSERT INTO job(job_id, uuid, name, dataset, dataset_id, state, config_json,"
                  " seed, attack, epsilon, alpha, attack_steps, normaliser, created_unix_ms,"
                  " finished_unix_ms, model_sha256)"
                  " VALUES(?1, ?2, ?3, ?4, (SELECT dataset_id FROM dataset WHERE sha256 = ?5), ?6,"
                  " ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
                  " ON CONFLICT(job_id) DO UPDATE SET dataset_id = excluded.dataset_id,"
                  " config_json = excluded.config_json,"
                  " state = excluded.state, finished_unix_ms = excluded.finished_unix_ms,"
                  " model_sha256 = excluded.model_sha256",
                  DB_ARGS(DB_I(rec->job), DB_S(rec->uuid), DB_S(rec->name), DB_S(rec->dataset),
                          DB_S(rec->dataset_sha256), DB_S(job_state_names[rec->state]),
                          DB_S(rec->spec_json), spec.seed, spec.attack, spec.epsilon, spec.alpha,
                          spec.attack_steps, spec.normaliser, DB_I(rec->created_unix_ms),
                          time_or_null(rec->finished_unix_ms),
                          DB_S(text_or_null(rec->model_sha256))),
                  why);
}

/* A number that neither file has used, even when one of them was replaced by a backup. */
static int next_job(struct store *s, int64_t *ret, struct errbuf *why)
{
    int64_t used = 0, shown = 0;
    int rc = db_i64(&s->state, "SELECT seq FROM sqlite_sequence WHERE name = 'job'", DB_NONE, &used,
                    why);

    if (rc == 0 || rc == -ENOENT)
        rc = db_i64(&s->difficulty, "SELECT max(job_id) FROM job", DB_NONE, &shown, why);
    if (rc != 0 && rc != -ENOENT)
        return rc;
    *ret = (used > shown ? used : shown) + 1;
    return 0;
}

int job_insert(struct store *s, struct job_record *rec, const struct job_notes *notes,
               struct errbuf *why)
{
    int rc = db_i64(&s->state, "SELECT job_id FROM job WHERE uuid = ?1", DB_ARGS(DB_S(rec->uuid)),
                    &rec->job, why);

    if (rc == 0)
        return err_set(why, -EEXIST, "job %lld already has the uuid %s", (long long)rec->job,
                       rec->uuid);
    if (rc == -ENOENT)
        rc = next_job(s, &rec->job, why);
    if (rc == 0)
        rc = db_run(
            &s->state,
            "INSERT INTO job(" JOB_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
            " ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
            DB_ARGS(DB_I(rec->job), DB_S(rec->uuid), DB_S(rec->name), DB_S(rec->dataset),
                    DB_S(rec->dataset_sha256), DB_S(rec->spec_json),
                    DB_S(job_state_names[rec->state]), DB_S(rec->reason), DB_I(rec->incarnation),
                    DB_S(rec->numerics_class), DB_S(rec->model_sha256), DB_I(rec->created_unix_ms),
                    DB_I(rec->started_unix_ms), DB_I(rec->finished_unix_ms), DB_I(rec->relaxed),
                    DB_S(rec->broken), DB_S(job_wait_names[rec->wait]), DB_S(rec->key_name)),
            why);
    if (rc == 0)
        rc = event_add(s, rec->job, "state", job_state_names[rec->state], why);
    for (int i = 0; rc == 0 && notes && i < notes->count; i++)
        rc = event_add(s, rec->job, "note", notes->text[i], why);
    return rc == 0 ? mirror(s, rec, why) : rc;
}

int store_job_insert(struct store *s, struct job_record *rec, const struct job_notes *notes,
                     struct errbuf *why)
{
    struct job_record with = *rec;
    int rc = db_begin(&s->state, why);

    if (rc != 0)
        return rc;
    rc = job_insert(s, &with, notes, why);
    bool inserted = rc == 0;
    rc = db_end(&s->state, rc, why);
    if (rc == 0 || rc == -EEXIST)
        rec->job = with.job;
    else if (inserted)
        job_remove_copy(s, with.job, NULL);
    return rc;
}

int store_job_update(struct store *s, const struct job_record *rec, const char *kind,
                     const char *text, struct errbuf *why)
{
    int rc = db_begin(&s->state, why);

    if (rc != 0)
        return rc;
    rc = db_run(&s->state,
                "UPDATE job SET state = ?2, reason = ?3, incarnation = ?4, numerics_class = ?5,"
                " model_sha256 = ?6, started_unix_ms = ?7, finished_unix_ms = ?8, relaxed = ?9,"
                " broken = ?10, waits_for = ?11 WHERE job_id = ?1",
                DB_ARGS(DB_I(rec->job), DB_S(job_state_names[rec->state]), DB_S(rec->reason),
                        DB_I(rec->incarnation), DB_S(rec->numerics_class), DB_S(rec->model_sha256),
                        DB_I(rec->started_unix_ms), DB_I(rec->finished_unix_ms), DB_I(rec->relaxed),
                        DB_S(rec->broken), DB_S(job_wait_names[rec->wait])),
                why);
    if (rc == 0 && sqlite3_changes(s->state.sql) == 0)
        rc = err_set(why, -ENOENT, "there is no job %lld", (long long)rec->job);
    if (rc == 0 && kind)
        rc = event_add(s, rec->job, kind, text, why);
    if (rc == 0)
        rc = db_run(&s->difficulty,
                    "UPDATE job SET state = ?2, finished_unix_ms = ?3, model_sha256 = ?4"
                    " WHERE job_id = ?1",
                    DB_ARGS(DB_I(rec->job), DB_S(job_state_names[rec->state]),
                            time_or_null(rec->finished_unix_ms),
                            DB_S(text_or_null(rec->model_sha256))),
                    why);
    return db_end(&s->state, rc, why);
}

int store_job_describe(struct store *s, int64_t job, const char *spec_json, const char *kind,
                       const char *text, struct errbuf *why)
{
    int rc = db_begin(&s->state, why);

    if (rc != 0)
        return rc;
    rc = db_run(&s->state, "UPDATE job SET spec_json = ?2 WHERE job_id = ?1",
                DB_ARGS(DB_I(job), DB_S(spec_json)), why);
    if (rc == 0 && sqlite3_changes(s->state.sql) == 0)
        rc = err_set(why, -ENOENT, "there is no job %lld", (long long)job);
    if (rc == 0)
        rc = event_add(s, job, kind, text, why);
    if (rc == 0)
        rc = db_run(&s->difficulty, "UPDATE job SET config_json = ?2 WHERE job_id = ?1",
                    DB_ARGS(DB_I(job), DB_S(spec_json)), why);
    if (rc == 0)
        failpoint_hit(&s->failpoint, "job.describe");
    return db_end(&s->state, rc, why);
}

int store_event_add(struct store *s, int64_t job, const char *kind, const char *text,
                    struct errbuf *why)
{
    int64_t found;
    int rc = db_i64(&s->state, "SELECT job_id FROM job WHERE job_id = ?1", DB_ARGS(DB_I(job)),
                    &found, why);

    if (rc == -ENOENT)
        return err_set(why, rc, "there is no job %lld", (long long)job);
    return rc == 0 ? event_add(s, job, kind, text, why) : rc;
}

/* Takes both locks before it changes anything, so that another process's lock cannot leave a job
 * without its scores. A crash between the two commits leaves a job that can be removed again. Rows
 * that cannot be removed now go at the next opening. */
int store_job_remove(struct store *s, int64_t job, struct errbuf *why)
{
    int rc = db_begin(&s->state, why);

    if (rc != 0)
        return rc;
    rc = db_run(&s->state, "DELETE FROM job WHERE job_id = ?1", DB_ARGS(DB_I(job)), why);
    if (rc == 0 && sqlite3_changes(s->state.sql) == 0)
        rc = err_set(why, -ENOENT, "there is no job %lld", (long long)job);
    if (rc == 0)
        rc = epochs_forget(s, job, 0, true, why);
    rc = db_end(&s->state, rc, why);
    if (rc == 0)
        scores_sweep(s, job, 0, NULL);
    return rc;
}

static int read_job(sqlite3_stmt *stmt, struct job_record *ret)
{
    char state[16], wait[16];

    *ret = (struct job_record){.job = sqlite3_column_int64(stmt, 0)};
    db_text(stmt, 1, ret->uuid, sizeof(ret->uuid));
    db_text(stmt, 2, ret->name, sizeof(ret->name));
    db_text(stmt, 3, ret->dataset, sizeof(ret->dataset));
    db_text(stmt, 4, ret->dataset_sha256, sizeof(ret->dataset_sha256));
    db_text(stmt, 6, state, sizeof(state));
    db_text(stmt, 7, ret->reason, sizeof(ret->reason));
    ret->incarnation = sqlite3_column_int64(stmt, 8);
    db_text(stmt, 9, ret->numerics_class, sizeof(ret->numerics_class));
    db_text(stmt, 10, ret->model_sha256, sizeof(ret->model_sha256));
    ret->created_unix_ms = sqlite3_column_int64(stmt, 11);
    ret->started_unix_ms = sqlite3_column_int64(stmt, 12);
    ret->finished_unix_ms = sqlite3_column_int64(stmt, 13);
    ret->relaxed = sqlite3_column_int64(stmt, 14) != 0;
    db_text(stmt, 15, ret->broken, sizeof(ret->broken));
    db_text(stmt, 16, wait, sizeof(wait));
    db_text(stmt, 17, ret->key_name, sizeof(ret->key_name));
    int state_index = text_index(state, job_state_names);
    int wait_index = text_index(wait, job_wait_names);
    const char *spec = (const char *)sqlite3_column_text(stmt, 5);
    if (state_index < 0 || wait_index < 0 || !spec)
        return -EUCLEAN;
    ret->state = (enum job_state)state_index;
    ret->wait = (enum job_wait)wait_index;
    ret->spec_json = xstrdup(spec);
    return 0;
}

int store_jobs_load(struct store *s, void (*each)(void *arg, struct job_record *rec), void *arg,
                    struct errbuf *why)
{
    sqlite3_stmt *stmt;
    struct job_record rec;
    int rc =
        db_query(&s->state, "SELECT " JOB_COLUMNS " FROM job ORDER BY job_id", DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->state, stmt, why)) > 0) {
        rc = read_job(stmt, &rec);
        if (rc != 0) {
            err_set(why, rc,
                    "%s in %s is damaged (job %lld has no valid state); it was not touched; "
                    "restore it from a backup",
                    STATE_DB, s->dir, (long long)rec.job);
            break;
        }
        each(arg, &rec);
    }
    sqlite3_finalize(stmt);
    return rc;
}

struct mirror_all {
    struct store *s;
    struct errbuf *why;
    int rc;
};

static void mirror_one(void *arg, struct job_record *rec)
{
    struct mirror_all *m = arg;

    if (m->rc == 0)
        m->rc = mirror(m->s, rec, m->why);
    free(rec->spec_json);
}

/* Removes copies whose job was never committed. A copy with epochs is kept: then state.db has gone
 * back in time, and the scores are still worth reading. */
static int remove_orphans(struct store *s, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&s->difficulty,
                      "SELECT job_id FROM job WHERE job_id NOT IN (SELECT job_id FROM epoch)",
                      DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->difficulty, stmt, why)) > 0) {
        int64_t job = sqlite3_column_int64(stmt, 0), found;
        rc = db_i64(&s->state, "SELECT job_id FROM job WHERE job_id = ?1", DB_ARGS(DB_I(job)),
                    &found, why);
        if (rc == -ENOENT)
            rc = job_remove_copy(s, job, why);
        if (rc != 0)
            break;
    }
    sqlite3_finalize(stmt);
    return rc;
}

int job_mirror_all(struct store *s, struct errbuf *why)
{
    struct mirror_all m = {.s = s, .why = why};
    int rc = db_begin(&s->difficulty, why);

    if (rc != 0)
        return rc;
    rc = remove_orphans(s, why);
    if (rc == 0)
        rc = store_jobs_load(s, mirror_one, &m, why);
    return db_end(&s->difficulty, rc == 0 ? m.rc : rc, why);
}
