/* What samples are called, and which sample is called so. Names are found through their index, one
 * descent each. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"
#include "server/query/query_internal.h"

#define NEIGHBOURS 40 /* names before and behind a misspelt one that may be meant */
#define ALIKE_SHOWN 5 /* numbers of samples with the same name, in a sentence */

/* One kind of samples of a dataset, and how people call both. */
struct named {
    int64_t dataset;
    const char *table;
    char called[NAME_MAX_BYTES + 32];
};

int query_tests_training(struct query *q, int64_t job, bool *ret, struct errbuf *why)
{
    int64_t at = 0;
    int rc = db_i64(&q->difficulty,
                    "SELECT instr(config_json, '\"test_domains\":') FROM job WHERE job_id = ?1",
                    DB_ARGS(DB_I(job)), &at, why);

    *ret = rc == 0 && at > 0;
    return rc == -ENOENT ? 0 : rc;
}

static int find_named(struct query *q, const struct uri_of *of, struct named *ret,
                      struct errbuf *why)
{
    bool training = false;
    int rc;

    ret->dataset = 0;
    if (of->job) {
        rc = query_job(q, of->job, &ret->dataset, why);
        if (rc == 0)
            rc = query_tests_training(q, of->job, &training, why);
        snprintf(ret->called, sizeof(ret->called), "job %lld", (long long)of->job);
    } else {
        rc = db_i64(&q->difficulty, "SELECT dataset_id FROM dataset WHERE sha256 = ?1",
                    DB_ARGS(DB_S(of->sha256)), &ret->dataset, why);
        rc = rc == -ENOENT ? 0 : rc;
        snprintf(ret->called, sizeof(ret->called), "dataset %s", of->dataset);
    }
    ret->table = of->test && !training ? "test_sample" : "sample";
    if (rc == 0 && ret->dataset == 0)
        rc = err_set(why, -ENOENT, "the samples of %s are not in difficulty.db", ret->called);
    return rc;
}

/* The columns of a statement about one kind of samples; more: its end. */
static int named_query(struct query *q, const struct named *n, const char *columns,
                       const char *more, const struct db_arg *args, int count, sqlite3_stmt **ret,
                       struct errbuf *why)
{
    char sql[320];

    snprintf(sql, sizeof(sql), "SELECT %s FROM %s WHERE dataset_id = ?1 %s", columns, n->table,
             more);
    return db_query(&q->difficulty, sql, args, count, ret, why);
}

/* --- a misspelt name --- */

/* Copies the first row of a statement; false: there is none. */
static bool first_uri(struct query *q, const struct named *n, const char *more, const char *uri,
                      char ret[URI_BYTES_MAX + 1])
{
    sqlite3_stmt *stmt;
    bool found = false;

    if (named_query(q, n, "uri", more, DB_ARGS(DB_I(n->dataset), DB_S(uri)), &stmt, NULL) != 0)
        return false;
    if (db_step(&q->difficulty, stmt, NULL) > 0) {
        db_text(stmt, 0, ret, URI_BYTES_MAX + 1);
        found = true;
    }
    sqlite3_finalize(stmt);
    return found;
}

/* A path from elsewhere: with folders too many in front, or too few. */
static bool near_by_end(struct query *q, const struct named *n, const char *uri,
                        char ret[URI_BYTES_MAX + 1])
{
    for (const char *slash = strchr(uri, '/'); slash; slash = strchr(slash + 1, '/'))
        if (slash[1] && first_uri(q, n, "AND uri = ?2 LIMIT 1", slash + 1, ret))
            return true;
    /* No index helps: among the first million, so that nobody waits for a guess. */
    return first_uri(q, n,
                     "AND sample_id < 1000000 AND substr(uri, -length(?2) - 1) = '/' || ?2"
                     " ORDER BY sample_id LIMIT 1",
                     uri, ret);
}

static size_t add_names(struct query *q, const struct named *n, const char *more, const char *uri,
                        char **names, size_t count)
{
    char text[URI_BYTES_MAX + 1];
    sqlite3_stmt *stmt;

    if (named_query(q, n, "uri", more, DB_ARGS(DB_I(n->dataset), DB_S(uri), DB_I(NEIGHBOURS)),
                    &stmt, NULL) != 0)
        return count;
    while (db_step(&q->difficulty, stmt, NULL) > 0 && count < 2 * NEIGHBOURS) {
        db_text(stmt, 0, text, sizeof(text));
        names[count++] = xstrdup(text);
    }
    sqlite3_finalize(stmt);
    return count;
}

/* A slip of the finger, among the names that begin alike. */
static bool near_by_letters(struct query *q, const struct named *n, const char *uri,
                            char ret[URI_BYTES_MAX + 1])
{
    char *names[2 * NEIGHBOURS + 1] = {NULL};
    size_t count = add_names(q, n, "AND uri < ?2 ORDER BY uri DESC LIMIT ?3", uri, names, 0);

    count = add_names(q, n, "AND uri >= ?2 ORDER BY uri LIMIT ?3", uri, names, count);
    const char *near = text_nearest(uri, (const char *const *)names);
    if (near)
        snprintf(ret, URI_BYTES_MAX + 1, "%s", near);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    return near != NULL;
}

static int no_such_name(struct query *q, const struct named *n, const char *uri, struct errbuf *why)
{
    char near[URI_BYTES_MAX + 1], shown[URI_BYTES_MAX + 1];
    bool test = strcmp(n->table, "test_sample") == 0;

    if (!first_uri(q, n, "AND uri IS NOT NULL AND ?2 IS NOT NULL LIMIT 1", uri, near))
        return err_set(why, -ENOENT,
                       "the %ssamples of %s have no names; steppe dataset name gives them those of "
                       "the files that were imported",
                       test ? "test " : "", n->called);
    bool found = near_by_end(q, n, uri, near) || near_by_letters(q, n, uri, near);
    snprintf(shown, sizeof(shown), "%s", uri);
    text_make_printable(shown);
    text_make_printable(near);
    return err_set(why, -ENOENT, "%s has no %ssample called \"%.200s\"%s%.200s%s", n->called,
                   test ? "test " : "", shown, found ? "; did you mean \"" : "", found ? near : "",
                   found ? "\"?" : "");
}

/* --- the numbers of names --- */

static int alike(const struct named *n, const char *uri, const int64_t *samples, int count,
                 struct errbuf *why)
{
    char list[120], shown[URI_BYTES_MAX + 1];
    size_t used = 0;

    snprintf(shown, sizeof(shown), "%s", uri);
    text_make_printable(shown);
    for (int i = 0; i < count && i < ALIKE_SHOWN && used < sizeof(list); i++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%lld", i ? ", " : "",
                                 (long long)samples[i]);
    return err_set(why, -EINVAL,
                   "several samples of %s are called \"%.200s\": %s%s; give the number", n->called,
                   shown, list, count > ALIKE_SHOWN ? " and more" : "");
}

static int find_one(struct query *q, const struct named *n, const char *uri, int64_t *ret,
                    struct errbuf *why)
{
    int64_t found[ALIKE_SHOWN + 1];
    sqlite3_stmt *stmt;
    int count = 0;
    int rc = named_query(q, n, "sample_id", "AND uri = ?2 ORDER BY sample_id LIMIT ?3",
                         DB_ARGS(DB_I(n->dataset), DB_S(uri), DB_I(ALIKE_SHOWN + 1)), &stmt, why);

    if (rc != 0)
        return rc;
    while (count <= ALIKE_SHOWN && (rc = db_step(&q->difficulty, stmt, why)) > 0)
        found[count++] = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    if (rc < 0)
        return rc;
    if (count == 0)
        return no_such_name(q, n, uri, why);
    if (count > 1)
        return alike(n, uri, found, count, why);
    *ret = found[0];
    return 0;
}

int query_uri_find(struct query *q, const struct uri_of *of, const char *const *uris, int count,
                   cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject(), *samples = cJSON_AddArrayToObject(out, "samples");
    struct named named;
    int64_t sample = 0;
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = find_named(q, of, &named, why);
    for (int i = 0; rc == 0 && i < count; i++) {
        rc = find_one(q, &named, uris[i], &sample, why);
        cJSON_AddItemToArray(samples, cJSON_CreateNumber((double)sample));
    }
    return query_end(&q->difficulty, rc, out, ret);
}

/* --- the names of numbers --- */

void uri_rows_done(struct uri_rows *r)
{
    free(r->ends);
    free(r->bytes);
    *r = (struct uri_rows){0};
}

static int read_uris(struct query *q, const struct named *n, int64_t first, int64_t limit,
                     struct uri_rows *r, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = named_query(q, n, "uri", "AND sample_id >= ?2 ORDER BY sample_id LIMIT ?3",
                         DB_ARGS(DB_I(n->dataset), DB_I(first), DB_I(limit)), &stmt, why);

    if (rc != 0)
        return rc;
    uint32_t used = 0;
    while (r->count < limit && used + URI_BYTES_MAX <= URI_ROWS_BYTES &&
           (rc = db_step(&q->difficulty, stmt, why)) > 0) {
        const void *text = sqlite3_column_text(stmt, 0);
        size_t bytes = (size_t)sqlite3_column_bytes(stmt, 0);
        bytes = bytes < URI_BYTES_MAX ? bytes : URI_BYTES_MAX;
        if (bytes)
            memcpy(r->bytes + used, text, bytes);
        used += (uint32_t)bytes;
        r->ends[r->count++] = used;
    }
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

static int count_named(struct query *q, const struct named *n, int64_t *ret, struct errbuf *why)
{
    char sql[120];

    snprintf(sql, sizeof(sql), "SELECT max(sample_id) + 1 FROM %s WHERE dataset_id = ?1", n->table);
    int rc = db_i64(&q->difficulty, sql, DB_ARGS(DB_I(n->dataset)), ret, why);
    if (rc == -ENOENT)
        *ret = 0;
    return rc == -ENOENT ? 0 : rc;
}

static int find_any(struct query *q, const struct named *n, bool *ret, struct errbuf *why)
{
    char sql[120];
    int64_t any = 0;

    snprintf(sql, sizeof(sql),
             "SELECT EXISTS (SELECT 1 FROM %s WHERE dataset_id = ?1 AND uri IS NOT NULL)",
             n->table);
    int rc = db_i64(&q->difficulty, sql, DB_ARGS(DB_I(n->dataset)), &any, why);
    *ret = any != 0;
    return rc;
}

int query_uris(struct query *q, const struct uri_of *of, int64_t first, int64_t limit,
               struct uri_rows *ret, struct errbuf *why)
{
    struct uri_rows r = {0};
    struct named named;
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = find_named(q, of, &named, why);
    if (rc == 0)
        rc = count_named(q, &named, &r.total, why);
    if (rc == 0)
        rc = find_any(q, &named, &r.named, why);
    if (rc == 0) {
        r.ends = alloc_bytes((size_t)limit, sizeof(*r.ends));
        r.bytes = alloc_bytes(URI_ROWS_BYTES, 1);
        if (!r.ends || !r.bytes)
            rc = err_set(why, -ENOMEM, "out of memory for %lld names", (long long)limit);
    }
    if (rc == 0)
        rc = read_uris(q, &named, first, limit, &r, why);
    if (rc == 0)
        *ret = r;
    else
        uri_rows_done(&r);
    return query_end(&q->difficulty, rc, NULL, NULL);
}
