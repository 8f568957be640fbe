/* Names of datasets (state.db) and their samples for readers (difficulty.db). The dataset row of
 * difficulty.db is written after all samples and durably, the name in state.db after that: an
 * existing row guarantees everything below it, and leftovers of a crash are overwritten. A removal
 * goes the other way: the name first, then all rows in one transaction; data that a crash left
 * without a name is removed when the store is opened. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/store/store_internal.h"
#include "server/store/store_rows.h"

static bool has_sample(const void *arg, uint32_t row)
{
    (void)arg;
    (void)row;
    return true;
}

/* Unknown values stay NULL. */
static void sample_column(const void *arg, uint32_t row, int column, sqlite3_context *ret)
{
    const struct dataset *d = arg;

    if (column == 0)
        sqlite3_result_int64(ret, row);
    else if (column == 1)
        sqlite3_result_int64(ret, d->labels[row]);
    else if (column == 2 && d->truth)
        sqlite3_result_int64(ret, d->truth[row]);
    else if (column == 3 && d->planted)
        sqlite3_result_int64(ret, d->planted[row]);
    else if (column == 4 && d->domains)
        sqlite3_result_int64(ret, d->domains[row]);
}

static int write_samples(struct store *s, int64_t id, const struct dataset *d, uint32_t from,
                         uint32_t to, struct errbuf *why)
{
    struct rows rows = {from, to, d, has_sample, sample_column};

    return db_run(&s->difficulty,
                  "INSERT INTO sample(dataset_id, sample_id, class_id, truth, planted, domain_id)"
                  " SELECT ?2, c0, c1, c2, c3, c4 FROM rows(?1)",
                  DB_ARGS(DB_P(&rows), DB_I(id)), why);
}

/* insert: takes the dataset's id, a number and its name. */
static int write_names(struct store *s, const char *insert, int64_t id, const char *names_json,
                       uint32_t count, struct errbuf *why)
{
    cJSON *names = names_json ? cJSON_Parse(names_json) : NULL;
    const cJSON *item = names ? names->child : NULL;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < count; i++, item = item ? item->next : NULL) {
        const char *name = cJSON_GetStringValue(item);
        char number[16];
        snprintf(number, sizeof(number), "%u", i);
        rc = db_run(&s->difficulty, insert, DB_ARGS(DB_I(id), DB_I(i), DB_S(name ? name : number)),
                    why);
    }
    cJSON_Delete(names);
    return rc;
}

static int write_dataset(struct store *s, const struct dataset_record *rec, int64_t id,
                         const struct dataset *d, struct errbuf *why)
{
    int rc = write_names(
        s, "INSERT OR REPLACE INTO class(dataset_id, class_id, name) VALUES(?1, ?2, ?3)", id,
        d->class_names_json, d->classes, why);

    if (rc == 0)
        rc = write_names(
            s, "INSERT OR REPLACE INTO domain(dataset_id, domain_id, name) VALUES(?1, ?2, ?3)", id,
            d->domain_names_json, d->domain_count, why);
    if (rc == 0)
        rc = db_run(&s->difficulty,
                    "INSERT INTO dataset(dataset_id, name, sha256, n_samples, n_classes, source)"
                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                    DB_ARGS(DB_I(id), DB_S(rec->name), DB_S(rec->sha256), DB_I(d->samples),
                            DB_I(d->classes), DB_S(d->source)),
                    why);
    return rc;
}

static int show_dataset(struct store *s, const struct dataset_record *rec, const struct dataset *d,
                        struct errbuf *why)
{
    struct db *db = &s->difficulty;
    int64_t id = 0;
    int rc = db_i64(db, "SELECT dataset_id FROM dataset WHERE sha256 = ?1",
                    DB_ARGS(DB_S(rec->sha256)), &id, why);

    if (rc != -ENOENT)
        return rc;
    rc = db_i64(db, "SELECT coalesce(max(dataset_id), 0) + 1 FROM dataset", DB_NONE, &id, why);
    if (rc == 0)
        rc = db_run(db, "DELETE FROM sample WHERE dataset_id = ?1", DB_ARGS(DB_I(id)), why);
    for (uint32_t from = 0, to; rc == 0 && from < d->samples; from = to) {
        to = d->samples - from > SLICE_ROWS ? from + SLICE_ROWS : d->samples;
        rc = db_begin(db, why);
        if (rc == 0)
            rc = db_end(db, write_samples(s, id, d, from, to, why), why);
        store_end_slice(s);
    }
    if (rc == 0)
        rc = db_begin_durable(db, why);
    const bool begun = rc == 0;
    if (rc == 0)
        rc = write_dataset(s, rec, id, d, why);
    if (rc == 0)
        rc = revision_mirror(s, rec->sha256, why);
    if (begun)
        rc = db_end_durable(db, rc, why);
    store_checkpoint_wal(s);
    return rc;
}

/* -ENOENT without a sentence. */
static int find_hash(struct store *s, const char *name, char ret_sha256[SHA256_HEX],
                     struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&s->state, "SELECT sha256 FROM dataset WHERE name = ?1", DB_ARGS(DB_S(name)),
                      &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(&s->state, stmt, why);
    if (rc > 0)
        db_text(stmt, 0, ret_sha256, SHA256_HEX);
    else if (rc == 0)
        rc = -ENOENT;
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

int store_dataset_other(const char *name, const char *there, const char *sha256, struct errbuf *why)
{
    return err_set(why, -EEXIST,
                   "dataset %s exists with other data (sha256 %.12s..., this is %.12s...); import "
                   "it under another name, or remove the old one with steppe dataset rm %s",
                   name, there, sha256, name);
}

/* 1: the name already stands for this data. */
static int name_taken(struct store *s, const struct dataset_record *rec, struct errbuf *why)
{
    char sha256[SHA256_HEX];
    int rc = find_hash(s, rec->name, sha256, why);

    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    if (strcmp(sha256, rec->sha256) == 0)
        return 1;
    return store_dataset_other(rec->name, sha256, rec->sha256, why);
}

int store_dataset_add(struct store *s, const struct dataset_record *rec, const struct dataset *d,
                      struct errbuf *why)
{
    int named = name_taken(s, rec, why);

    if (named < 0)
        return named;
    int rc = db_begin(&s->state, why);
    if (rc != 0)
        return rc;
    rc = show_dataset(s, rec, d, why);
    if (rc == 0 && !named)
        rc = db_run(
            &s->state, "INSERT INTO dataset(name, sha256, bytes, key_name) VALUES(?1, ?2, ?3, ?4)",
            DB_ARGS(DB_S(rec->name), DB_S(rec->sha256), DB_I(rec->bytes), DB_S(rec->key_name)),
            why);
    return db_end(&s->state, rc, why);
}

static int drop_rows(struct store *s, int64_t id, struct errbuf *why)
{
    static const char *const drops[] = {
        "DELETE FROM sample WHERE dataset_id = ?1",
        "DELETE FROM test_sample WHERE dataset_id = ?1",
        "DELETE FROM class WHERE dataset_id = ?1",
        "DELETE FROM domain WHERE dataset_id = ?1",
        "DELETE FROM revision_sample WHERE dataset_id = ?1",
        "DELETE FROM revision WHERE dataset_id = ?1",
        "DELETE FROM dataset WHERE dataset_id = ?1",
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(drops) / sizeof(drops[0]); i++)
        rc = db_run(&s->difficulty, drops[i], DB_ARGS(DB_I(id)), why);
    return rc;
}

int store_dataset_names(struct store *s, const char *sha256, int64_t *ret, struct errbuf *why)
{
    return db_i64(&s->state, "SELECT count(*) FROM dataset WHERE sha256 = ?1",
                  DB_ARGS(DB_S(sha256)), ret, why);
}

static int drop_unnamed(struct store *s, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    char sha256[SHA256_HEX];
    int64_t names;
    int rc = db_query(&s->difficulty,
                      "SELECT dataset_id, sha256 FROM dataset WHERE dataset_id NOT IN"
                      " (SELECT dataset_id FROM job WHERE dataset_id IS NOT NULL)",
                      DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->difficulty, stmt, why)) > 0) {
        db_text(stmt, 1, sha256, sizeof(sha256));
        rc = store_dataset_names(s, sha256, &names, why);
        if (rc == 0 && names == 0)
            rc = drop_rows(s, sqlite3_column_int64(stmt, 0), why);
        if (rc != 0)
            break;
    }
    sqlite3_finalize(stmt);
    return rc;
}

int dataset_forget_unnamed(struct store *s, struct errbuf *why)
{
    int rc = db_begin(&s->difficulty, why);

    if (rc == 0)
        rc = db_end(&s->difficulty, drop_unnamed(s, why), why);
    return rc;
}

int store_dataset_remove(struct store *s, const char *name, bool *ret_last, struct errbuf *why)
{
    char sha256[SHA256_HEX];
    int64_t names = 0;
    int rc = find_hash(s, name, sha256, why);

    if (rc == -ENOENT)
        return err_set(why, rc, "there is no dataset \"%s\"", name);
    if (rc == 0)
        rc = store_dataset_names(s, sha256, &names, why);
    if (rc == 0)
        rc = db_begin(&s->state, why);
    if (rc != 0)
        return rc;
    rc = db_run(&s->state, "DELETE FROM dataset WHERE name = ?1", DB_ARGS(DB_S(name)), why);
    if (rc == 0 && names == 1)
        rc = db_run(&s->state, "DELETE FROM dataset_pieces WHERE sha256 = ?1",
                    DB_ARGS(DB_S(sha256)), why);
    if (rc == 0 && names == 1)
        rc = db_run(&s->state, "DELETE FROM dataset_names WHERE sha256 = ?1", DB_ARGS(DB_S(sha256)),
                    why);
    if (rc == 0)
        rc = db_begin(&s->difficulty, why);
    if (rc == 0)
        rc = drop_unnamed(s, why);
    rc = db_end(&s->state, rc, why);
    if (rc == 0)
        failpoint_hit(&s->failpoint, "dataset.unnamed");
    db_end(&s->difficulty, rc, NULL);
    if (rc != 0)
        return rc;
    *ret_last = names == 1;
    store_checkpoint_wal(s);
    return 0;
}

int store_datasets_load(struct store *s, void (*each)(void *arg, const struct dataset_record *rec),
                        void *arg, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&s->state, "SELECT name, sha256, bytes, key_name FROM dataset ORDER BY name",
                      DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->state, stmt, why)) > 0) {
        struct dataset_record rec = {.bytes = sqlite3_column_int64(stmt, 2)};
        db_text(stmt, 0, rec.name, sizeof(rec.name));
        db_text(stmt, 1, rec.sha256, sizeof(rec.sha256));
        db_text(stmt, 3, rec.key_name, sizeof(rec.key_name));
        each(arg, &rec);
    }
    sqlite3_finalize(stmt);
    return rc;
}

int store_pieces_put(struct store *s, const char *sha256, uint32_t piece_bytes,
                     const uint8_t (*hashes)[BLAKE2B_BYTES], size_t count, struct errbuf *why)
{
    return db_run(
        &s->state,
        "INSERT OR REPLACE INTO dataset_pieces(sha256, piece_bytes, hashes)"
        " VALUES(?1, ?2, ?3)",
        DB_ARGS(DB_S(sha256), DB_I(piece_bytes), DB_B(hashes, (int64_t)(count * BLAKE2B_BYTES))),
        why);
}

int store_pieces_load(struct store *s, uint32_t piece_bytes,
                      void (*each)(void *arg, const char *sha256, const void *hashes, size_t count),
                      void *arg, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    char sha256[SHA256_HEX];
    int rc = db_query(&s->state, "SELECT sha256, hashes FROM dataset_pieces WHERE piece_bytes = ?1",
                      DB_ARGS(DB_I(piece_bytes)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->state, stmt, why)) > 0) {
        db_text(stmt, 0, sha256, sizeof(sha256));
        const void *hashes = sqlite3_column_blob(stmt, 1);
        size_t bytes = (size_t)sqlite3_column_bytes(stmt, 1);
        if (hashes && bytes % BLAKE2B_BYTES == 0)
            each(arg, sha256, hashes, bytes / BLAKE2B_BYTES);
    }
    sqlite3_finalize(stmt);
    return rc;
}
