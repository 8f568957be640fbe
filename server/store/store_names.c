/* The names of samples: state.db knows which file has them, difficulty.db has them for readers. A
 * crash in between, or while the rows are written, leaves rows without a name and
 * dataset.names_sha256 empty; then the rows are written again. */
#include <errno.h>
#include <string.h>

#include "server/store/store_internal.h"
#include "server/store/store_rows.h"

enum show_step { SHOW_BEGIN, SHOW_CLEAR, SHOW_CLEAR_TEST, SHOW_TRAIN, SHOW_TEST, SHOW_END };

/* A text of one row; "" when there is none or it is NULL. */
static int find_text(struct db *db, const char *sql, const char *key, char ret[SHA256_HEX],
                     struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(db, sql, DB_ARGS(DB_S(key)), &stmt, why);

    ret[0] = '\0';
    if (rc != 0)
        return rc;
    rc = db_step(db, stmt, why);
    if (rc > 0)
        db_text(stmt, 0, ret, SHA256_HEX);
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

int store_names_put(struct store *s, const char *sha256, const char *names_sha256,
                    char ret_old[SHA256_HEX], struct errbuf *why)
{
    int rc = find_text(&s->state, "SELECT names_sha256 FROM dataset_names WHERE sha256 = ?1",
                       sha256, ret_old, why);

    if (rc == 0)
        rc = db_begin(&s->state, why);
    if (rc != 0)
        return rc;
    rc = db_run(&s->state,
                "INSERT OR REPLACE INTO dataset_names(sha256, names_sha256) VALUES(?1, ?2)",
                DB_ARGS(DB_S(sha256), DB_S(names_sha256)), why);
    rc = db_end(&s->state, rc, why);
    if (rc == 0)
        failpoint_hit(&s->failpoint, "names.noted");
    return rc;
}

static int shown_names(struct store *s, const char *sha256, char ret[SHA256_HEX],
                       struct errbuf *why)
{
    return find_text(&s->difficulty, "SELECT names_sha256 FROM dataset WHERE sha256 = ?1", sha256,
                     ret, why);
}

int store_names_load(struct store *s,
                     void (*each)(void *arg, const char *sha256, const char *names_sha256,
                                  bool shown),
                     void *arg, struct errbuf *why)
{
    char sha256[SHA256_HEX], names[SHA256_HEX], shown[SHA256_HEX];
    sqlite3_stmt *stmt;
    int rc =
        db_query(&s->state, "SELECT sha256, names_sha256 FROM dataset_names", DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->state, stmt, why)) > 0) {
        db_text(stmt, 0, sha256, sizeof(sha256));
        db_text(stmt, 1, names, sizeof(names));
        rc = shown_names(s, sha256, shown, why);
        if (rc < 0)
            break;
        each(arg, sha256, names, strcmp(shown, names) == 0);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* --- rows for readers --- */

static int mark(struct store *s, int64_t id, const char *names_sha256, struct errbuf *why)
{
    int rc = db_begin_durable(&s->difficulty, why);

    if (rc != 0)
        return rc;
    rc = db_run(&s->difficulty, "UPDATE dataset SET names_sha256 = ?2 WHERE dataset_id = ?1",
                DB_ARGS(DB_I(id), DB_S(names_sha256)), why);
    return db_end_durable(&s->difficulty, rc, why);
}

static int count_check(const char *of, uint32_t named, int64_t samples, struct errbuf *why)
{
    if (named == samples)
        return 0;
    return err_set(why, -EINVAL, "the file has names for %u %s samples, but there are %lld", named,
                   of, (long long)samples);
}

/* *ret_old: some rows have a name. */
static int find_old(struct store *s, int64_t id, bool *ret_old, struct errbuf *why)
{
    int64_t found;
    int rc = db_i64(&s->difficulty,
                    "SELECT EXISTS(SELECT 1 FROM sample WHERE dataset_id = ?1 AND uri IS NOT NULL)"
                    " OR EXISTS(SELECT 1 FROM test_sample WHERE dataset_id = ?1)",
                    DB_ARGS(DB_I(id)), &found, why);

    if (rc == 0)
        *ret_old = found != 0;
    return rc;
}

static int begin(struct store *s, const char *sha256, const char *names_sha256,
                 const struct uris_file *names, struct names_show *io, struct errbuf *why)
{
    struct db *db = &s->difficulty;
    char shown[SHA256_HEX];
    int64_t samples;
    bool old;
    int rc = db_i64(db, "SELECT dataset_id FROM dataset WHERE sha256 = ?1", DB_ARGS(DB_S(sha256)),
                    &io->dataset_id, why);

    if (rc == -ENOENT)
        return err_set(why, rc, "its samples are not in %s; import the data again", db->name);
    if (rc == 0)
        rc = db_i64(db, "SELECT n_samples FROM dataset WHERE dataset_id = ?1",
                    DB_ARGS(DB_I(io->dataset_id)), &samples, why);
    if (rc == 0)
        rc = count_check("training", names->splits[0].count, samples, why);
    if (rc == 0)
        rc = shown_names(s, sha256, shown, why);
    if (rc != 0 || strcmp(shown, names_sha256) == 0)
        return rc;
    rc = find_old(s, io->dataset_id, &old, why);
    if (rc == 0 && shown[0])
        rc = mark(s, io->dataset_id, NULL, why);
    if (rc != 0)
        return rc;
    io->samples = (uint32_t)samples;
    io->step = old ? SHOW_CLEAR : SHOW_TRAIN;
    return 1;
}

struct slice {
    uint32_t first;
    struct uris uris;
};

static bool has_name(const void *arg, uint32_t row)
{
    (void)arg;
    (void)row;
    return true;
}

static void name_column(const void *arg, uint32_t row, int column, sqlite3_context *ret)
{
    const struct slice *s = arg;
    size_t bytes;

    if (column == 0) {
        sqlite3_result_int64(ret, row);
    } else if (column == 1) {
        const char *uri = uris_at(&s->uris, row - s->first, &bytes);
        sqlite3_result_text(ret, uri, (int)bytes, SQLITE_STATIC);
    }
}

/* What each step does with the samples [?3, ?4); rows(?1) has the names where it needs them. */
static const struct {
    const char *sql;
    int split; /* -1: no names */
} shows[] = {
    [SHOW_CLEAR] = {"UPDATE sample SET uri = NULL WHERE dataset_id = ?2 AND sample_id >= ?3"
                    " AND sample_id < ?4 AND uri IS NOT NULL",
                    -1},
    [SHOW_CLEAR_TEST] = {"DELETE FROM test_sample WHERE dataset_id = ?2 AND sample_id >= ?3"
                         " AND sample_id < ?4",
                         -1},
    [SHOW_TRAIN] = {"UPDATE sample SET uri = row_value(?1, sample_id, 1) WHERE dataset_id = ?2"
                    " AND sample_id >= ?3 AND sample_id < ?4",
                    0},
    /* The condition is true; it has the parameters of the others. */
    [SHOW_TEST] = {"INSERT OR REPLACE INTO test_sample(dataset_id, sample_id, uri)"
                   " SELECT ?2, c0, c1 FROM rows(?1) WHERE ?3 < ?4",
                   1},
};

static int write_slice(struct store *s, const struct names_show *io, struct slice *slice,
                       uint32_t to, struct errbuf *why)
{
    struct rows rows = {io->at, to, slice, has_name, name_column};
    int rc = db_begin(&s->difficulty, why);

    if (rc != 0)
        return rc;
    rc = db_run(&s->difficulty, shows[io->step].sql,
                DB_ARGS(DB_P(&rows), DB_I(io->dataset_id), DB_I(io->at), DB_I(to)), why);
    failpoint_hit(&s->failpoint, "names.slice");
    rc = db_end(&s->difficulty, rc, why);
    store_end_slice(s);
    return rc;
}

/* How many samples a step has to do with. Names of test samples that are to go may be more than
 * there are new ones. */
static int step_count(struct store *s, const struct uris_file *names, const struct names_show *io,
                      int64_t *ret, struct errbuf *why)
{
    *ret = io->step == SHOW_TEST ? names->splits[1].count : io->samples;
    if (io->step != SHOW_CLEAR_TEST)
        return 0;
    int rc = db_i64(&s->difficulty,
                    "SELECT max(sample_id) + 1 FROM test_sample"
                    " WHERE dataset_id = ?1",
                    DB_ARGS(DB_I(io->dataset_id)), ret, why);
    if (rc == -ENOENT)
        *ret = 0;
    return rc == -ENOENT ? 0 : rc;
}

int store_names_show(struct store *s, const char *sha256, const char *names_sha256,
                     const struct uris_file *names, struct names_show *io, struct errbuf *why)
{
    struct slice slice = {.first = io->at};
    int64_t count = 0;
    int rc = 0;

    if (io->step == SHOW_BEGIN)
        return begin(s, sha256, names_sha256, names, io, why);
    if (io->step == SHOW_END) {
        rc = mark(s, io->dataset_id, names_sha256, why);
        store_checkpoint_wal(s);
        return rc;
    }
    rc = step_count(s, names, io, &count, why);
    int64_t to = count - io->at > SLICE_ROWS ? io->at + SLICE_ROWS : count;
    if (rc == 0 && io->at < to && shows[io->step].split >= 0)
        rc = uris_read(names, shows[io->step].split, io->at, (uint32_t)to - io->at, &slice.uris,
                       why);
    if (rc == 0 && io->at < to)
        rc = write_slice(s, io, &slice, (uint32_t)to, why);
    uris_done(&slice.uris);
    if (rc != 0)
        return rc;
    io->at = (uint32_t)to;
    if (to >= count || to == 0) {
        io->step++;
        io->at = 0;
    }
    return 1;
}
