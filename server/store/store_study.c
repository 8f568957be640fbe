/* Studies: which job belongs to which arm, column and seed. state.db is the truth, and
 * difficulty.db has a copy for readers; as with jobs (store_job.c), the copy is written inside the
 * transaction of the truth, which commits last. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/store/store_internal.h"

static const char *control_of(const struct study *study)
{
    return study->control >= 0 ? study->arms[study->control] : "";
}

/* --- the copy --- */

static int remove_copy(struct store *s, int64_t study, struct errbuf *why)
{
    int rc = db_run(&s->difficulty, "DELETE FROM study_job WHERE study_id = ?1",
                    DB_ARGS(DB_I(study)), why);

    return rc == 0 ? db_run(&s->difficulty, "DELETE FROM study WHERE study_id = ?1",
                            DB_ARGS(DB_I(study)), why)
                   : rc;
}

static int write_copy(struct store *s, const struct study *study, struct errbuf *why)
{
    int rc = remove_copy(s, study->study, why);

    if (rc == 0)
        rc = db_run(&s->difficulty,
                    "INSERT INTO study(study_id, name, control, created_unix_ms)"
                    " VALUES(?1, ?2, ?3, ?4)",
                    DB_ARGS(DB_I(study->study), DB_S(study->name), DB_S(control_of(study)),
                            DB_I(study->created_unix_ms)),
                    why);
    for (int i = 0; rc == 0 && i < study->job_count; i++) {
        const struct study_job *j = &study->jobs[i];
        rc = db_run(&s->difficulty,
                    "INSERT INTO study_job(study_id, arm, data, seed, arm_name, data_name, job_id)"
                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    DB_ARGS(DB_I(study->study), DB_I(j->arm), DB_I(j->data), DB_I((int64_t)j->seed),
                            DB_S(study->arms[j->arm]), DB_S(study->data[j->data]), DB_I(j->job)),
                    why);
    }
    return rc;
}

struct mirror {
    struct store *s;
    struct errbuf *why;
    int rc;
};

static void mirror_one(void *arg, struct study *study)
{
    struct mirror *m = arg;

    if (m->rc == 0)
        m->rc = write_copy(m->s, study, m->why);
    study_free(study);
}

int study_mirror_all(struct store *s, struct errbuf *why)
{
    struct mirror m = {.s = s, .why = why};
    int rc = db_begin(&s->difficulty, why);

    if (rc != 0)
        return rc;
    rc = db_exec(&s->difficulty, "DELETE FROM study_job; DELETE FROM study", why);
    if (rc == 0)
        rc = store_studies_load(s, mirror_one, &m, why);
    return db_end(&s->difficulty, rc == 0 ? m.rc : rc, why);
}

/* --- writing --- */

static int insert_study(struct store *s, struct study *study, struct errbuf *why)
{
    int rc = db_run(&s->state,
                    "INSERT INTO study(name, control, halving, created_unix_ms)"
                    " VALUES(?1, ?2, ?3, ?4)",
                    DB_ARGS(DB_S(study->name), DB_S(control_of(study)), DB_I(study->halving),
                            DB_I(study->created_unix_ms)),
                    why);

    if (rc == 0)
        study->study = sqlite3_last_insert_rowid(s->state.sql);
    return rc;
}

static int write_jobs(struct store *s, const struct study *study, struct errbuf *why)
{
    int rc = db_run(&s->state, "DELETE FROM study_job WHERE study_id = ?1",
                    DB_ARGS(DB_I(study->study)), why);

    for (int i = 0; rc == 0 && i < study->job_count; i++) {
        const struct study_job *j = &study->jobs[i];
        rc = db_run(&s->state,
                    "INSERT INTO study_job(study_id, arm, data, seed, arm_name, data_name, job_id,"
                    " described) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    DB_ARGS(DB_I(study->study), DB_I(j->arm), DB_I(j->data), DB_I((int64_t)j->seed),
                            DB_S(study->arms[j->arm]), DB_S(study->data[j->data]), DB_I(j->job),
                            DB_S(j->described)),
                    why);
    }
    for (int i = 0; rc == 0 && i < study->uuid_count; i++)
        rc = db_run(&s->state, "INSERT OR IGNORE INTO study_request(uuid, study_id) VALUES(?1, ?2)",
                    DB_ARGS(DB_S(study->uuids[i]), DB_I(study->study)), why);
    return rc;
}

static int insert_jobs(struct store *s, struct study *study, struct job_record *recs,
                       const struct job_notes *const *notes, struct errbuf *why)
{
    int *order = xcalloc((size_t)study->job_count + 1, sizeof(*order)), rc = 0;

    study_order(study, order);
    for (int i = 0; rc == 0 && i < study->job_count; i++) {
        int at = order[i];
        if (study->jobs[at].job)
            continue;
        rc = job_insert(s, &recs[at], notes ? notes[at] : NULL, why);
        study->jobs[at].job = recs[at].job;
    }
    free(order);
    return rc;
}

/* Numbers of jobs that are new stand in `study`, which is the caller's only after the commit. */
static int put(struct store *s, struct study *study, struct job_record *recs,
               const struct job_notes *const *notes, struct errbuf *why)
{
    int rc = study->study ? db_run(&s->state, "UPDATE study SET control = ?2 WHERE study_id = ?1",
                                   DB_ARGS(DB_I(study->study), DB_S(control_of(study))), why)
                          : insert_study(s, study, why);

    if (rc == 0)
        rc = insert_jobs(s, study, recs, notes, why);
    if (rc == 0)
        rc = write_jobs(s, study, why);
    return rc == 0 ? write_copy(s, study, why) : rc;
}

/* What was copied of a change whose truth could not be committed: numbers of jobs may come again.
 */
static void take_back(struct store *s, const struct study *was, const struct study *now)
{
    for (int i = 0; i < now->job_count; i++) {
        if (was->jobs[i].job || !now->jobs[i].job)
            continue;
        job_remove_copy(s, now->jobs[i].job, NULL);
        db_run(&s->difficulty, "DELETE FROM study_job WHERE job_id = ?1",
               DB_ARGS(DB_I(now->jobs[i].job)), NULL);
    }
    if (!was->study)
        remove_copy(s, now->study, NULL);
}

int store_study_put(struct store *s, struct study *study, struct job_record *const *recs,
                    const struct job_notes *const *notes, struct errbuf *why)
{
    struct study *now = study_copy(study);
    struct job_record *with = xcalloc((size_t)study->job_count + 1, sizeof(*with));
    bool copied = false;

    for (int i = 0; i < study->job_count; i++)
        if (!study->jobs[i].job)
            with[i] = *recs[i];
    int rc = db_begin(&s->state, why);
    if (rc == 0) {
        rc = db_begin(&s->difficulty, why);
        if (rc == 0) {
            rc = put(s, now, with, notes, why);
            rc = db_end(&s->difficulty, rc, why);
            copied = rc == 0;
        }
        rc = db_end(&s->state, rc, why);
    }
    if (rc != 0 && copied)
        take_back(s, study, now);
    for (int i = 0; rc == 0 && i < study->job_count; i++) {
        if (!study->jobs[i].job)
            recs[i]->job = now->jobs[i].job;
        study->jobs[i].job = now->jobs[i].job;
    }
    if (rc == 0)
        study->study = now->study;
    study_free(now);
    free(with);
    return rc;
}

/* As with one job, a crash between the commits leaves jobs that can be removed again. */
static int remove_all(struct store *s, const struct study *study, struct errbuf *why)
{
    int rc = db_run(&s->state, "DELETE FROM study WHERE study_id = ?1", DB_ARGS(DB_I(study->study)),
                    why);

    if (rc == 0 && sqlite3_changes(s->state.sql) == 0)
        return err_set(why, -ENOENT, "there is no study %s", study->name);
    for (int i = 0; rc == 0 && i < study->job_count; i++)
        rc = db_run(&s->state, "DELETE FROM job WHERE job_id = ?1",
                    DB_ARGS(DB_I(study->jobs[i].job)), why);
    for (int i = 0; rc == 0 && i < study->job_count; i++)
        rc = epochs_forget(s, study->jobs[i].job, 0, true, why);
    return rc == 0 ? remove_copy(s, study->study, why) : rc;
}

int store_study_remove(struct store *s, const struct study *study, struct errbuf *why)
{
    int rc = db_begin(&s->state, why);

    if (rc != 0)
        return rc;
    rc = remove_all(s, study, why);
    rc = db_end(&s->state, rc, why);
    for (int i = 0; rc == 0 && i < study->job_count; i++)
        scores_sweep(s, study->jobs[i].job, 0, NULL);
    return rc;
}

/* --- loading --- */

static int load_uuids(struct store *s, struct study *study, struct errbuf *why)
{
    char uuid[UUID_BYTES];
    sqlite3_stmt *stmt;
    int rc = db_query(&s->state, "SELECT uuid FROM study_request WHERE study_id = ?1",
                      DB_ARGS(DB_I(study->study)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->state, stmt, why)) > 0) {
        db_text(stmt, 0, uuid, sizeof(uuid));
        study_add_uuid(study, uuid);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* Arms and columns are numbered from 0 in the order in which they came; rows come by arm. */
static int load_job(struct study *study, sqlite3_stmt *stmt)
{
    const char *described = (const char *)sqlite3_column_text(stmt, 6);
    int64_t arm = sqlite3_column_int64(stmt, 0), data = sqlite3_column_int64(stmt, 1);
    study_name name;

    if (arm < 0 || data < 0 || arm >= study->arm_count || data >= study->data_count || !described)
        return -EUCLEAN;
    db_text(stmt, 3, name, sizeof(name));
    memcpy(study->arms[arm], name, sizeof(name));
    db_text(stmt, 4, name, sizeof(name));
    memcpy(study->data[data], name, sizeof(name));
    study_add(study, (int)arm, (int)data, (uint64_t)sqlite3_column_int64(stmt, 2), described)->job =
        sqlite3_column_int64(stmt, 5);
    return 0;
}

static int load_jobs(struct store *s, struct study *study, struct errbuf *why)
{
    int64_t arms = 0, data = 0;
    sqlite3_stmt *stmt;
    int rc = db_i64(&s->state, "SELECT max(arm) + 1 FROM study_job WHERE study_id = ?1",
                    DB_ARGS(DB_I(study->study)), &arms, why);

    if (rc == 0)
        rc = db_i64(&s->state, "SELECT max(data) + 1 FROM study_job WHERE study_id = ?1",
                    DB_ARGS(DB_I(study->study)), &data, why);
    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    if (arms < 1 || data < 1 || arms > STUDY_JOBS_MAX || data > STUDY_JOBS_MAX)
        return err_set(why, -EUCLEAN, "%s", "");
    study->arm_count = (int)arms;
    study->data_count = (int)data;
    study->arms = xcalloc((size_t)arms, sizeof(*study->arms));
    study->data = xcalloc((size_t)data, sizeof(*study->data));
    rc = db_query(&s->state,
                  "SELECT arm, data, seed, arm_name, data_name, job_id, described FROM study_job"
                  " WHERE study_id = ?1 ORDER BY arm, data, seed",
                  DB_ARGS(DB_I(study->study)), &stmt, why);
    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->state, stmt, why)) > 0)
        if ((rc = load_job(study, stmt)) < 0)
            break;
    sqlite3_finalize(stmt);
    return rc;
}

static int load(struct store *s, sqlite3_stmt *stmt, struct study **ret, struct errbuf *why)
{
    char name[NAME_MAX_BYTES];
    study_name control;

    db_text(stmt, 1, name, sizeof(name));
    db_text(stmt, 2, control, sizeof(control));
    struct study *study = study_create(name);
    study->study = sqlite3_column_int64(stmt, 0);
    study->created_unix_ms = sqlite3_column_int64(stmt, 3);
    study->halving = sqlite3_column_int64(stmt, 4) != 0;
    int rc = load_jobs(s, study, why);
    if (rc == 0)
        rc = load_uuids(s, study, why);
    for (int i = 0; i < study->arm_count; i++)
        if (strcmp(study->arms[i], control) == 0)
            study->control = i;
    if (rc == 0)
        *ret = study;
    else
        study_free(study);
    return rc;
}

int store_studies_load(struct store *s, void (*each)(void *arg, struct study *study), void *arg,
                       struct errbuf *why)
{
    struct study *study;
    sqlite3_stmt *stmt;
    int rc = db_query(
        &s->state,
        "SELECT study_id, name, control, created_unix_ms, halving FROM study ORDER BY study_id",
        DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->state, stmt, why)) > 0) {
        rc = load(s, stmt, &study, why);
        if (rc == -EUCLEAN)
            err_set(why, rc,
                    "%s in %s is damaged (study %lld has a job without a place); it was not "
                    "touched; restore it from a backup",
                    STATE_DB, s->dir, (long long)sqlite3_column_int64(stmt, 0));
        if (rc != 0)
            break;
        each(arg, study);
    }
    sqlite3_finalize(stmt);
    return rc;
}
