/* Shared by the files of the queries. Nobody else includes this, except a test that shortens
 * limit_ms. */
#ifndef STEPPE_SERVER_QUERY_QUERY_INTERNAL_H
#define STEPPE_SERVER_QUERY_QUERY_INTERNAL_H

#include <stdatomic.h>

#include "server/query/query.h"
#include "server/store/db.h"

struct query {
    char *dir;
    struct db state, difficulty;
    int64_t limit_ms;    /* of one query */
    int64_t deadline_ms; /* of the running query, monotonic; INT64_MAX: none */
    int64_t memory_max;  /* of SQLite in this process, bytes, while a person's SQL runs */
    bool over_memory;    /* what stopped it */
    atomic_bool stopping;
    const atomic_bool *gone; /* query_until */
};

/* Every query runs between these two, on one snapshot of the file. query_begin: -ESHUTDOWN after
 * query_stop. query_end returns rc; *json goes
 * to *ret when it is 0 and is freed otherwise (both may be NULL); numbers that are NAN are left out
 * of its objects. */
int query_begin(struct query *q, struct db *db, bool limited, struct errbuf *why);
int query_end(struct db *db, int rc, cJSON *json, cJSON **ret);
/* The running query has so many rows to read: its deadline moves by QUERY_ROW_NS for each. Whoever
 * reads rows of scores, samples or histories says so before. */
void query_allow(struct query *q, int64_t rows);

/* The job's dataset_id (0: its dataset is not in the file), or -ENOENT, naming the existing jobs.
 */
int query_job(struct query *q, int64_t job, int64_t *ret_dataset, struct errbuf *why);
/* A whole query about a job that is there: add(q, arg, out, why) puts what it has into the reply.
 */
int query_of_job(struct query *q, int64_t job,
                 int (*add)(struct query *q, const void *arg, cJSON *out, struct errbuf *why),
                 const void *arg, cJSON **ret, struct errbuf *why);
/* Makes *io_epoch (-1: the last) a committed, scored epoch; *ret_scored is how many rows it has,
 * which the query may read (query_allow). */
int query_scored_epoch(struct query *q, int64_t job, int64_t *io_epoch, int64_t *ret_scored,
                       struct errbuf *why);

/* The scores of all the job's epochs before `before`, which the query may read. -ENOENT: some are
 * no longer kept; the sentence names the first epoch that lost them. */
int query_all_kept(struct query *q, int64_t job, int64_t before, struct errbuf *why);
/* As query_scored_epoch, for the scores of test samples. */
int query_test_epoch(struct query *q, int64_t job, int64_t *io_epoch, struct errbuf *why);

/* Does the job keep scores of its test samples? */
int query_keeps_tests(struct query *q, int64_t job, bool *ret, struct errbuf *why);
/* score.classes or score.domains (kind: class, domain) of a test without such scores. */
int query_tested_groups(struct query *q, const struct ask *a, const char *kind, cJSON **ret,
                        struct errbuf *why);

/* The revision of the dataset that an epoch had; 0: as imported. */
int query_epoch_revision(struct query *q, int64_t job, int64_t epoch, int64_t *ret,
                         struct errbuf *why);
/* What a revision changes; 0: nothing. overlay_done by the caller. */
int query_revision_rows(struct query *q, int64_t dataset, int64_t number, struct overlay *ret,
                        struct errbuf *why);
/* SQL: what a revision (?7 of dataset ?3) says of row s, and what is known of a sample then: class,
 * its name, truth, planted, uri. To join behind a row m of sample. */
#define QUERY_REVISED                                                                              \
    " LEFT JOIN revision_sample v ON v.dataset_id = ?3 AND v.revision = ?7"                        \
    " AND v.sample_id = s.sample_id"                                                               \
    " LEFT JOIN class c ON c.dataset_id = ?3 AND c.class_id = coalesce(v.class_id, m.class_id)"
#define QUERY_KNOWN                                                                                \
    "coalesce(v.class_id, m.class_id), c.name, coalesce(v.class_id, m.truth),"                     \
    " CASE WHEN v.class_id IS NULL OR m.planted <> 1 THEN m.planted ELSE 0 END, m.uri"

/* -ENOENT with a sentence when the dataset has no such class. */
int query_class(struct query *q, int64_t job, int64_t dataset, int64_t class_id,
                struct errbuf *why);
/* No sample of the epoch has the measure: it was not reported. Returns -ENOENT. */
int query_lacks(int64_t job, int64_t epoch, const char *measure, struct errbuf *why);
/* `limit` within 1 to ROWS_MAX. */
int64_t query_limit(int64_t limit);
/* The wanted part of the ranked rows [0, total): from *ret_from up to the returned one; adds
 * `total` and `more` to out. */
size_t query_page(int64_t first, int64_t limit, size_t total, size_t *ret_from, cJSON *out);

/* SQL for an enum query_by, over a row s of score. */
extern const char *const query_by_sql[];
/* SQL for the measured values, over a row s of score, and their keys in a reply from `column` on.
 * The connection knows margin(loss, el2n), see definition.margin. */
#define QUERY_MEASURES                                                                             \
    "s.adm, s.loss, s.adv_loss, s.adv_loss - s.loss, s.grad_norm, s.el2n,"                         \
    " margin(s.loss, s.el2n), s.predicted, s.correct"
#define QUERY_MEASURE_COLUMNS 9
void query_add_measures(cJSON *row, sqlite3_stmt *stmt, int column);
/* A class; -1, not known, is left out. */
void query_add_predicted(cJSON *row, const char *name, int32_t predicted);
/* Left out when the column is NULL. */
void query_add_number(cJSON *row, const char *name, sqlite3_stmt *stmt, int column);
void query_add_text(cJSON *row, const char *name, sqlite3_stmt *stmt, int column);
/* Are the test samples of the job training images (test_domains)? */
int query_tests_training(struct query *q, int64_t job, bool *ret, struct errbuf *why);
/* {label, label_name, truth?, planted?, uri?} from five columns: class_id, name, truth, planted,
 * uri. */
void query_add_sample(cJSON *row, sqlite3_stmt *stmt, int column);

#endif
