#include "server/query/query_epoch.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/dataset.h"
#include "server/store/history_rows.h"

/* Labels of a dataset by sample number. */
struct labels {
    uint16_t *labels, *truth;
    uint8_t *planted;
    size_t count;
};

static void labels_done(struct labels *l)
{
    free(l->labels);
    free(l->truth);
    free(l->planted);
}

static int labels_load(struct query *q, int64_t dataset, struct labels *l, struct errbuf *why)
{
    struct db *db = &q->difficulty;
    sqlite3_stmt *stmt;
    int64_t samples = 0;
    int rc = db_i64(db, "SELECT n_samples FROM dataset WHERE dataset_id = ?1",
                    DB_ARGS(DB_I(dataset)), &samples, why);

    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    l->count = samples > 0 && samples <= SAMPLES_MAX ? (size_t)samples : 0;
    query_allow(q, (int64_t)l->count);
    l->labels = alloc_bytes(l->count + 1, sizeof(*l->labels));
    l->truth = alloc_bytes(l->count + 1, sizeof(*l->truth));
    l->planted = alloc_bytes(l->count + 1, sizeof(*l->planted));
    if (!l->labels || !l->truth || !l->planted)
        return err_set(why, -ENOMEM, "out of memory for %zu labels", l->count);
    memset(l->labels, 0xff, l->count * sizeof(*l->labels));
    rc = db_query(db,
                  "SELECT sample_id, class_id, coalesce(truth, class_id), planted FROM sample"
                  " WHERE dataset_id = ?1 AND sample_id >= 0 AND sample_id < ?2",
                  DB_ARGS(DB_I(dataset), DB_I((int64_t)l->count)), &stmt, why);
    if (rc != 0)
        return rc;
    while ((rc = db_step(db, stmt, why)) > 0) {
        size_t i = (size_t)sqlite3_column_int64(stmt, 0);
        l->labels[i] = (uint16_t)sqlite3_column_int(stmt, 1);
        l->truth[i] = (uint16_t)sqlite3_column_int(stmt, 2);
        l->planted[i] = (uint8_t)sqlite3_column_int(stmt, 3);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* The labels that the epoch had: those that its revision changes are the truth. */
static int revise(struct query *q, const struct query_epoch *x, struct labels *l,
                  struct errbuf *why)
{
    struct overlay o = {0};
    int64_t revision;
    int rc = query_epoch_revision(q, x->job, x->epoch, &revision, why);

    if (rc == 0)
        rc = query_revision_rows(q, x->dataset, revision, &o, why);
    for (uint32_t i = 0; rc == 0 && i < o.count; i++) {
        const struct overlay_row *row = &o.rows[i];
        if (row->label == OVERLAY_EXCLUDED || row->sample >= l->count)
            continue;
        l->labels[row->sample] = l->truth[row->sample] = (uint16_t)row->label;
        if (l->planted[row->sample] == PLANTED_FLIP)
            l->planted[row->sample] = PLANTED_NONE;
    }
    overlay_done(&o);
    return rc;
}

static int make_room(struct query_epoch *x, size_t room, struct errbuf *why)
{
    x->samples = alloc_bytes(room, sizeof(*x->samples));
    x->scores = alloc_bytes(room, sizeof(*x->scores));
    x->adm = alloc_bytes(room, sizeof(*x->adm));
    x->labels = alloc_bytes(room, sizeof(*x->labels));
    x->truth = alloc_bytes(room, sizeof(*x->truth));
    x->planted = alloc_bytes(room, sizeof(*x->planted));
    if (!x->samples || !x->scores || !x->adm || !x->labels || !x->truth || !x->planted)
        return err_set(why, -ENOMEM, "out of memory for %zu scores", room);
    return 0;
}

/* What measured a row, from its first columns. */
static void read_score(struct query_epoch *x, sqlite3_stmt *stmt)
{
    size_t i = x->count;

    x->samples[i] = (uint32_t)sqlite3_column_int64(stmt, 0);
    x->adm[i] = db_real(stmt, 1);
    x->scores[i] = (struct score){
        .loss = db_real(stmt, 2),
        .adv_loss = db_real(stmt, 3),
        .grad_norm = db_real(stmt, 4),
        .el2n = db_real(stmt, 5),
        .predicted = db_class(stmt, 6),
        .flags = (uint32_t)sqlite3_column_int64(stmt, 7),
    };
}

static void read_row(struct query_epoch *x, const struct labels *l, int64_t class_id,
                     sqlite3_stmt *stmt)
{
    uint32_t sample = (uint32_t)sqlite3_column_int64(stmt, 0);
    bool known = sample < l->count;
    size_t i = x->count;

    if (class_id >= 0 && (!known || l->labels[sample] != class_id))
        return;
    read_score(x, stmt);
    x->labels[i] = known ? l->labels[sample] : LABEL_UNKNOWN;
    x->truth[i] = known ? l->truth[sample] : LABEL_UNKNOWN;
    x->planted[i] = known ? l->planted[sample] : PLANTED_NONE;
    x->count++;
}

static int read_rows(struct query *q, struct query_epoch *x, size_t room, const struct labels *l,
                     int64_t class_id, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&q->difficulty,
                      "SELECT sample_id, adm, loss, adv_loss, grad_norm, el2n, predicted, flags"
                      " FROM score WHERE job_id = ?1 AND epoch = ?2 AND sample_id >= 0"
                      " ORDER BY sample_id",
                      DB_ARGS(DB_I(x->job), DB_I(x->epoch)), &stmt, why);

    if (rc != 0)
        return rc;
    while (x->count < room && (rc = db_step(&q->difficulty, stmt, why)) > 0)
        read_row(x, l, class_id, stmt);
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

static int read_newly_right(struct query *q, struct query_epoch *x, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc =
        db_query(&q->difficulty, "SELECT newly_right FROM epoch WHERE job_id = ?1 AND epoch = ?2",
                 DB_ARGS(DB_I(x->job), DB_I(x->epoch)), &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(&q->difficulty, stmt, why);
    x->newly_right = rc > 0 ? db_real(stmt, 0) : NAN;
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

int query_epoch_load(struct query *q, int64_t job, int64_t epoch, int64_t class_id,
                     struct query_epoch *ret, struct errbuf *why)
{
    struct labels l = {NULL};
    int64_t scored = 0;

    *ret = (struct query_epoch){.job = job, .epoch = epoch};
    int rc = query_job(q, job, &ret->dataset, why);
    if (rc == 0)
        rc = query_scored_epoch(q, job, &ret->epoch, &scored, why);
    if (rc == 0 && class_id >= 0)
        rc = query_class(q, job, ret->dataset, class_id, why);
    if (rc == 0)
        rc = read_newly_right(q, ret, why);
    if (rc == 0)
        rc = labels_load(q, ret->dataset, &l, why);
    if (rc == 0)
        rc = revise(q, ret, &l, why);
    if (rc == 0)
        rc = make_room(ret, (size_t)scored, why);
    if (rc == 0)
        rc = read_rows(q, ret, (size_t)scored, &l, class_id, why);
    labels_done(&l);
    if (rc == 0 && ret->count == 0)
        rc = class_id < 0
                 ? err_set(why, -EUCLEAN, "epoch %lld of job %lld lacks its scores",
                           (long long)ret->epoch + 1, (long long)job)
                 : err_set(why, -ENOENT, "epoch %lld of job %lld scored no sample of class %lld",
                           (long long)ret->epoch + 1, (long long)job, (long long)class_id);
    return rc;
}

static int read_test_rows(struct query *q, struct query_epoch *x, size_t room, int64_t class_id,
                          struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&q->difficulty,
                      "SELECT sample_id, adm, loss, adv_loss, grad_norm, el2n, predicted, flags,"
                      " label, coalesce(adv_predicted, -1) FROM test_score WHERE job_id = ?1"
                      " AND epoch = ?2 AND sample_id >= 0 AND (?3 < 0 OR label = ?3)"
                      " ORDER BY sample_id",
                      DB_ARGS(DB_I(x->job), DB_I(x->epoch), DB_I(class_id)), &stmt, why);

    if (rc != 0)
        return rc;
    while (x->count < room && (rc = db_step(&q->difficulty, stmt, why)) > 0) {
        const size_t i = x->count;
        read_score(x, stmt);
        x->scores[i].adv_predicted = sqlite3_column_int(stmt, 9);
        x->labels[i] = x->truth[i] = (uint16_t)sqlite3_column_int(stmt, 8);
        x->planted[i] = PLANTED_NONE;
        x->count++;
    }
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

int query_epoch_load_test(struct query *q, int64_t job, int64_t epoch, int64_t class_id,
                          struct query_epoch *ret, struct errbuf *why)
{
    int64_t tested = 0;

    *ret = (struct query_epoch){.job = job, .epoch = epoch, .test = true, .newly_right = NAN};
    int rc = query_job(q, job, &ret->dataset, why);
    if (rc == 0)
        rc = query_test_epoch(q, job, &ret->epoch, why);
    if (rc == 0 && class_id >= 0)
        rc = query_class(q, job, ret->dataset, class_id, why);
    if (rc == 0)
        rc = db_i64(&q->difficulty,
                    "SELECT count(*) FROM test_score WHERE job_id = ?1 AND epoch = ?2",
                    DB_ARGS(DB_I(job), DB_I(ret->epoch)), &tested, why);
    query_allow(q, tested);
    if (rc == 0)
        rc = make_room(ret, (size_t)tested, why);
    if (rc == 0)
        rc = read_test_rows(q, ret, (size_t)tested, class_id, why);
    if (rc == 0 && ret->count == 0)
        rc = err_set(why, -ENOENT, "epoch %lld of job %lld tested no sample of class %lld",
                     (long long)ret->epoch + 1, (long long)job, (long long)class_id);
    return rc;
}

void query_epoch_done(struct query_epoch *x)
{
    free(x->samples);
    free(x->scores);
    free(x->adm);
    free(x->labels);
    free(x->truth);
    free(x->planted);
    *x = (struct query_epoch){0};
}

int query_over_epoch(struct query *q, const struct ask *a, query_fill *fill, cJSON **ret,
                     struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    struct query_epoch x = {0};
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = (a->test ? query_epoch_load_test : query_epoch_load)(q, a->job, a->epoch, a->class_id,
                                                                  &x, why);
    if (rc == 0)
        rc = fill(q, &x, a, out, why);
    query_epoch_done(&x);
    return query_end(&q->difficulty, rc, out, ret);
}

double query_measure(const struct query_epoch *x, int by, size_t i)
{
    const struct score *s = &x->scores[i];

    switch ((enum query_by)by) {
    case BY_ADM:
        return x->adm[i];
    case BY_LOSS:
        return s->loss;
    case BY_ADV_LOSS:
        return s->adv_loss;
    case BY_GAP:
        return s->adv_loss - s->loss;
    case BY_GRAD_NORM:
        return s->grad_norm;
    case BY_EL2N:
        return s->el2n;
    case BY_MARGIN:
        return score_margin(s->loss, s->el2n);
    }
    return 0;
}

double query_hardness(const struct query_epoch *x, int by, size_t i)
{
    double value = query_measure(x, by, i);

    return by == BY_MARGIN ? -value : value;
}

int query_epoch_histories(struct query *q, const struct query_epoch *x, struct sample_history **ret,
                          struct errbuf *why)
{
    uint32_t room = x->samples[x->count - 1] + 1;
    struct sample_history *all = alloc_bytes(room, sizeof(*all));
    int64_t last = -1, key;

    if (!all)
        return err_set(why, -ENOMEM, "out of memory for the histories of %u samples", room);
    query_allow(q, room);
    int rc = history_rows_key(&q->difficulty, x->job, &key, why);
    if (rc == 0)
        rc = history_rows_load(&q->difficulty, key, all, 0, room, &last, why);
    if (rc == 0 && last != x->epoch) {
        for (uint32_t i = 0; i < room; i++)
            all[i] = SAMPLE_UNMEASURED;
        rc = query_all_kept(q, x->job, x->epoch + 1, why);
        if (rc == 0)
            rc =
                history_rows_replay(&q->difficulty, x->job, 0, x->epoch + 1, all, room, &last, why);
    }
    if (rc != 0) {
        free(all);
        return rc;
    }
    for (size_t i = 0; i < x->count; i++) /* samples ascend: none is overwritten too early */
        all[i] = all[x->samples[i]];
    *ret = all;
    return 0;
}

static void add_name(struct query *q, const char *select, int64_t dataset, int64_t number,
                     const char *key, cJSON *row)
{
    sqlite3_stmt *stmt;

    if (db_query(&q->difficulty, select, DB_ARGS(DB_I(dataset), DB_I(number)), &stmt, NULL) != 0)
        return;
    if (db_step(&q->difficulty, stmt, NULL) > 0)
        query_add_text(row, key, stmt, 0);
    sqlite3_finalize(stmt);
}

void query_add_class_name(struct query *q, int64_t dataset, int64_t class_id, const char *key,
                          cJSON *row)
{
    add_name(q, "SELECT name FROM class WHERE dataset_id = ?1 AND class_id = ?2", dataset, class_id,
             key, row);
}

void query_add_domain_name(struct query *q, int64_t dataset, int64_t domain_id, const char *key,
                           cJSON *row)
{
    add_name(q, "SELECT name FROM domain WHERE dataset_id = ?1 AND domain_id = ?2", dataset,
             domain_id, key, row);
}

cJSON *query_epoch_row(struct query *q, const struct query_epoch *x, size_t i, cJSON *rows)
{
    static const char *const planted[] = {[PLANTED_FLIP] = "flipped", [PLANTED_HARD] = "hard"};
    cJSON *row = cJSON_CreateObject();

    cJSON_AddItemToArray(rows, row);
    cJSON_AddNumberToObject(row, "sample", x->samples[i]);
    if (x->labels[i] == LABEL_UNKNOWN)
        return row;
    cJSON_AddNumberToObject(row, "label", x->labels[i]);
    query_add_class_name(q, x->dataset, x->labels[i], "label_name", row);
    if (x->truth[i] != x->labels[i])
        cJSON_AddNumberToObject(row, "truth", x->truth[i]);
    add_name(q, "SELECT uri FROM sample WHERE dataset_id = ?1 AND sample_id = ?2", x->dataset,
             x->samples[i], "uri", row);
    if (x->planted[i] == PLANTED_FLIP || x->planted[i] == PLANTED_HARD)
        cJSON_AddStringToObject(row, "planted", planted[x->planted[i]]);
    return row;
}
