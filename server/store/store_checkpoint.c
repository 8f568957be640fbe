/* Rows of state.db that say which checkpoint files are whole. */
#include <errno.h>

#include "server/store/store_internal.h"

int store_checkpoint_add(struct store *s, const struct checkpoint_record *rec, struct errbuf *why)
{
    int rc = db_run(&s->state,
                    "INSERT OR REPLACE INTO checkpoint(job_id, step, epoch, file, sha256,"
                    " scores_sha256) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                    DB_ARGS(DB_I(rec->job), DB_I(rec->step), DB_I(rec->epoch), DB_S(rec->file),
                            DB_S(rec->sha256), DB_S(rec->scores_sha256)),
                    why);

    if (rc == -EEXIST) /* the foreign key: all other columns are unconstrained */
        return err_set(why, -ENOENT, "there is no job %lld", (long long)rec->job);
    return rc;
}

int store_checkpoints_read(struct db *state, int64_t job, struct checkpoint_record *ret, int max,
                           int *ret_count, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int count = 0;
    int rc = db_query(state,
                      "SELECT step, epoch, file, sha256, scores_sha256 FROM checkpoint"
                      " WHERE job_id = ?1 ORDER BY step DESC LIMIT ?2",
                      DB_ARGS(DB_I(job), DB_I(max)), &stmt, why);

    if (rc != 0)
        return rc;
    while (count < max && (rc = db_step(state, stmt, why)) > 0) {
        struct checkpoint_record *rec = &ret[count++];
        *rec = (struct checkpoint_record){
            .job = job,
            .step = sqlite3_column_int64(stmt, 0),
            .epoch = sqlite3_column_int64(stmt, 1),
        };
        db_text(stmt, 2, rec->file, sizeof(rec->file));
        db_text(stmt, 3, rec->sha256, sizeof(rec->sha256));
        db_text(stmt, 4, rec->scores_sha256, sizeof(rec->scores_sha256));
    }
    sqlite3_finalize(stmt);
    if (rc < 0)
        return rc;
    *ret_count = count;
    return 0;
}

int store_checkpoints_load(struct store *s, int64_t job, struct checkpoint_record *ret, int max,
                           int *ret_count, struct errbuf *why)
{
    return store_checkpoints_read(&s->state, job, ret, max, ret_count, why);
}

int store_checkpoint_remove(struct store *s, int64_t job, int64_t step, struct errbuf *why)
{
    return db_run(&s->state, "DELETE FROM checkpoint WHERE job_id = ?1 AND step = ?2",
                  DB_ARGS(DB_I(job), DB_I(step)), why);
}
