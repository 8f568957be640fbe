/* Revisions of data. state.db has each as its whole text, whose SHA-256 is its name: it does not
 * depend on what becomes of the verdicts. difficulty.db has a copy for readers, a row a sample,
 * which is written inside the transaction of the truth and mended when the store is opened. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/store/store_internal.h"

/* The newest verdicts that change something, as an overlay; *ret_last: the newest verdict. */
static int read_verdicts(struct store *s, int64_t data, struct overlay *ret, int64_t *ret_last,
                         struct errbuf *why)
{
    struct overlay o = {0};
    uint32_t room = 0;
    sqlite3_stmt *stmt;
    int rc = db_i64(&s->state, "SELECT max(verdict_id) FROM verdict WHERE data_id = ?1",
                    DB_ARGS(DB_I(data)), ret_last, why);

    if (rc != 0)
        return rc;
    rc = db_query(&s->state,
                  "SELECT v.sample, v.label FROM verdict v WHERE v.data_id = ?1"
                  " AND v.verdict_id = (SELECT max(n.verdict_id) FROM verdict n"
                  "  WHERE n.data_id = v.data_id AND n.sample = v.sample)"
                  " AND v.verdict IN ('wrong','exclude') ORDER BY v.sample",
                  DB_ARGS(DB_I(data)), &stmt, why);
    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->state, stmt, why)) > 0) {
        if (o.count == room) {
            room = room ? 2 * room : 256;
            o.rows = xrealloc(o.rows, room * sizeof(*o.rows));
        }
        const bool out = sqlite3_column_type(stmt, 1) == SQLITE_NULL;
        o.rows[o.count++] =
            (struct overlay_row){.sample = (uint32_t)sqlite3_column_int64(stmt, 0),
                                 .label = out ? OVERLAY_EXCLUDED : sqlite3_column_int(stmt, 1)};
        o.excluded += out;
    }
    sqlite3_finalize(stmt);
    *ret = o;
    return rc;
}

/* number 0: there is none. */
static int newest(struct store *s, int64_t data, struct revision_record *ret, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&s->state,
                      "SELECT number, sha256, relabelled, excluded, created_unix_ms, who"
                      " FROM revision WHERE data_id = ?1 ORDER BY number DESC LIMIT 1",
                      DB_ARGS(DB_I(data)), &stmt, why);

    *ret = (struct revision_record){0};
    if (rc != 0)
        return rc;
    rc = db_step(&s->state, stmt, why);
    if (rc > 0) {
        ret->number = sqlite3_column_int64(stmt, 0);
        db_text(stmt, 1, ret->sha256, sizeof(ret->sha256));
        ret->relabelled = sqlite3_column_int64(stmt, 2);
        ret->excluded = sqlite3_column_int64(stmt, 3);
        ret->created_unix_ms = sqlite3_column_int64(stmt, 4);
        db_text(stmt, 5, ret->who, sizeof(ret->who));
    }
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

/* --- the copy --- */

static int write_copy(struct store *s, const char *sha256, const struct revision_record *rec,
                      const struct overlay *o, struct errbuf *why)
{
    struct db *db = &s->difficulty;
    int64_t id;
    int rc = db_i64(db, "SELECT dataset_id FROM dataset WHERE sha256 = ?1", DB_ARGS(DB_S(sha256)),
                    &id, why);

    if (rc != 0)
        return rc == -ENOENT ? 0 : rc; /* data without a name now */
    rc = db_run(db, "DELETE FROM revision_sample WHERE dataset_id = ?1 AND revision = ?2",
                DB_ARGS(DB_I(id), DB_I(rec->number)), why);
    for (uint32_t i = 0; rc == 0 && i < o->count; i++) {
        const struct overlay_row *row = &o->rows[i];
        rc = db_run(db,
                    "INSERT INTO revision_sample(dataset_id, revision, sample_id, class_id)"
                    " VALUES(?1, ?2, ?3, ?4)",
                    DB_ARGS(DB_I(id), DB_I(rec->number), DB_I(row->sample),
                            row->label == OVERLAY_EXCLUDED ? DB_S(NULL) : DB_I(row->label)),
                    why);
    }
    if (rc == 0)
        rc = db_run(db,
                    "INSERT OR REPLACE INTO revision(dataset_id, revision, sha256, n_relabelled,"
                    " n_excluded, created_unix_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                    DB_ARGS(DB_I(id), DB_I(rec->number), DB_S(rec->sha256), DB_I(rec->relabelled),
                            DB_I(rec->excluded), DB_I(rec->created_unix_ms)),
                    why);
    return rc;
}

struct mirror {
    struct store *s;
    const char *only; /* NULL: of all data */
    struct errbuf *why;
    int rc;
};

static bool is_copied(struct mirror *m, const char *sha256, const struct revision_record *rec)
{
    int64_t found;
    int rc = db_i64(&m->s->difficulty,
                    "SELECT 1 FROM revision r JOIN dataset d ON d.dataset_id = r.dataset_id"
                    " WHERE d.sha256 = ?1 AND r.revision = ?2 AND r.sha256 = ?3",
                    DB_ARGS(DB_S(sha256), DB_I(rec->number), DB_S(rec->sha256)), &found, m->why);

    if (rc != 0 && rc != -ENOENT)
        m->rc = rc;
    return rc != -ENOENT;
}

static void mirror_one(void *arg, const char *sha256, const struct revision_record *rec)
{
    struct mirror *m = arg;
    struct overlay o;

    if (m->rc != 0 || (m->only && strcmp(m->only, sha256) != 0) || is_copied(m, sha256, rec))
        return;
    m->rc =
        store_revision_load(m->s, sha256, rec->number, "", SAMPLES_MAX, CLASSES_MAX, &o, m->why);
    if (m->rc == -EUCLEAN) { /* a job that needs it says so */
        m->rc = 0;
        return;
    }
    if (m->rc == 0) {
        m->rc = write_copy(m->s, sha256, rec, &o, m->why);
        overlay_done(&o);
    }
}

int revision_mirror(struct store *s, const char *sha256, struct errbuf *why)
{
    struct mirror m = {.s = s, .only = sha256, .why = why};
    int rc = store_revisions_load(s, mirror_one, &m, why);

    return rc == 0 ? m.rc : rc;
}

int revision_mirror_all(struct store *s, struct errbuf *why)
{
    int rc = db_begin(&s->difficulty, why);

    return rc == 0 ? db_end(&s->difficulty, revision_mirror(s, NULL, why), why) : rc;
}

/* --- making one --- */

static int insert(struct store *s, const char *sha256, int64_t data, int64_t last,
                  const struct revision_record *rec, const struct overlay *o, const char *text,
                  size_t bytes, struct errbuf *why)
{
    int rc = db_run(&s->state,
                    "INSERT INTO revision(data_id, number, sha256, verdict_id, relabelled,"
                    " excluded, who, created_unix_ms, overlay)"
                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                    DB_ARGS(DB_I(data), DB_I(rec->number), DB_S(rec->sha256), DB_I(last),
                            DB_I(rec->relabelled), DB_I(rec->excluded), DB_S(rec->who),
                            DB_I(rec->created_unix_ms), DB_B(text, (int64_t)bytes)),
                    why);

    if (rc == 0)
        rc = db_begin(&s->difficulty, why);
    if (rc == 0)
        rc = db_end(&s->difficulty, write_copy(s, sha256, rec, o, why), why);
    return rc;
}

static int make(struct store *s, const char *sha256, struct revision_record *rec, bool *ret_made,
                struct errbuf *why)
{
    const struct revision_record want = *rec;
    struct overlay o = {0};
    int64_t data = 0, last = 0;
    size_t bytes = 0;
    char *text = NULL, hash[SHA256_HEX];
    int rc = judged_id(s, sha256, false, &data, why);

    *ret_made = false;
    if (rc == 0)
        rc = read_verdicts(s, data, &o, &last, why);
    if (rc == -ENOENT) { /* nothing was ever said */
        *rec = (struct revision_record){0};
        return 0;
    }
    if (rc == 0)
        rc = newest(s, data, rec, why);
    if (rc == 0 && !(text = overlay_text(&o, sha256, &bytes)))
        rc = err_set(why, -ENOMEM, "no memory for a revision of %u samples", o.count);
    if (rc == 0)
        sha256_hex_of(text, bytes, hash);
    const bool same = rc == 0 && (rec->number ? strcmp(hash, rec->sha256) == 0 : o.count == 0);
    if (rc == 0 && !same && rec->number >= REVISIONS_MAX)
        rc = err_set(why, -ERANGE, "the dataset has %d revisions, more are not allowed",
                     REVISIONS_MAX);
    if (rc == 0 && !same) {
        rec->number++;
        memcpy(rec->sha256, hash, sizeof(hash));
        memcpy(rec->who, want.who, sizeof(want.who));
        rec->relabelled = o.count - o.excluded;
        rec->excluded = o.excluded;
        rec->created_unix_ms = want.created_unix_ms;
        rc = insert(s, sha256, data, last, rec, &o, text, bytes, why);
        *ret_made = rc == 0;
    }
    free(text);
    overlay_done(&o);
    return rc;
}

int store_revision_make(struct store *s, const char *sha256, const char *who, int64_t unix_ms,
                        struct revision_record *ret, bool *ret_made, struct errbuf *why)
{
    struct revision_record rec = {.created_unix_ms = unix_ms};
    int rc = db_begin(&s->state, why);

    if (rc != 0)
        return rc;
    snprintf(rec.who, sizeof(rec.who), "%s", who);
    rc = make(s, sha256, &rec, ret_made, why);
    if (rc == 0)
        failpoint_hit(&s->failpoint, "revision.commit");
    rc = db_end(&s->state, rc, why);
    if (rc == 0)
        *ret = rec;
    return rc;
}

/* --- reading --- */

static int no_such(struct store *s, const char *sha256, int64_t number, struct errbuf *why)
{
    int64_t last = 0;
    int rc = db_i64(&s->state,
                    "SELECT max(number) FROM revision r JOIN judged j ON j.data_id = r.data_id"
                    " WHERE j.sha256 = ?1",
                    DB_ARGS(DB_S(sha256)), &last, why);

    if (rc != 0 && rc != -ENOENT)
        return rc;
    return last ? err_set(why, -ENOENT, "there is no revision %lld; there are 1 to %lld",
                          (long long)number, (long long)last)
                : err_set(why, -ENOENT,
                          "there is no revision %lld: none was made yet (steppe dataset revise)",
                          (long long)number);
}

int store_revision_load(struct store *s, const char *sha256, int64_t number, const char *want,
                        uint32_t samples, uint32_t classes, struct overlay *ret, struct errbuf *why)
{
    char hash[SHA256_HEX], found[SHA256_HEX];
    struct overlay o = {0};
    sqlite3_stmt *stmt;
    int rc = db_query(&s->state,
                      "SELECT r.sha256, r.overlay FROM revision r JOIN judged j"
                      " ON j.data_id = r.data_id WHERE j.sha256 = ?1 AND r.number = ?2",
                      DB_ARGS(DB_S(sha256), DB_I(number)), &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(&s->state, stmt, why);
    if (rc > 0) {
        const char *text = sqlite3_column_blob(stmt, 1);
        const size_t bytes = (size_t)sqlite3_column_bytes(stmt, 1);
        db_text(stmt, 0, hash, sizeof(hash));
        sha256_hex_of(text ? text : "", text ? bytes : 0, found);
        if (strcmp(hash, found) != 0)
            rc = err_set(why, -EUCLEAN, "revision %lld in %s is damaged; restore a backup",
                         (long long)number, STATE_DB);
        else if (want[0] && strcmp(hash, want) != 0)
            rc = err_set(why, -EINVAL,
                         "revision %lld has the sha256 %.16s..., not %.16s...: it is another",
                         (long long)number, hash, want);
        else
            rc = overlay_parse(text, bytes, sha256, samples, classes, &o, why);
    } else if (rc == 0) {
        rc = no_such(s, sha256, number, why);
    }
    sqlite3_finalize(stmt);
    if (rc < 0)
        return rc;
    o.number = number;
    *ret = o;
    return 0;
}

int store_revisions_load(struct store *s,
                         void (*each)(void *arg, const char *sha256,
                                      const struct revision_record *rec),
                         void *arg, struct errbuf *why)
{
    char sha256[SHA256_HEX];
    sqlite3_stmt *stmt;
    int rc = db_query(&s->state,
                      "SELECT j.sha256, r.number, r.sha256, r.relabelled, r.excluded,"
                      " r.created_unix_ms, r.who FROM revision r JOIN judged j"
                      " ON j.data_id = r.data_id ORDER BY j.sha256, r.number",
                      DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->state, stmt, why)) > 0) {
        struct revision_record rec = {.number = sqlite3_column_int64(stmt, 1),
                                      .relabelled = sqlite3_column_int64(stmt, 3),
                                      .excluded = sqlite3_column_int64(stmt, 4),
                                      .created_unix_ms = sqlite3_column_int64(stmt, 5)};
        db_text(stmt, 0, sha256, sizeof(sha256));
        db_text(stmt, 2, rec.sha256, sizeof(rec.sha256));
        db_text(stmt, 6, rec.who, sizeof(rec.who));
        each(arg, sha256, &rec);
    }
    sqlite3_finalize(stmt);
    return rc;
}
