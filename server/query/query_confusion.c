/* What samples of each class are taken for. */
#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "server/query/query_epoch.h"

static int count_classes(struct query *q, const struct query_epoch *x, int64_t *ret,
                         struct errbuf *why)
{
    int rc = db_i64(&q->difficulty, "SELECT n_classes FROM dataset WHERE dataset_id = ?1",
                    DB_ARGS(DB_I(x->dataset)), ret, why);

    if (rc == -ENOENT || (rc == 0 && (*ret < 1 || *ret > CLASSES_MAX)))
        rc = err_set(why, -ENOENT, "the classes of job %lld are not in difficulty.db",
                     (long long)x->job);
    if (rc == 0 && *ret > CONFUSION_CLASSES_MAX)
        rc = err_set(why, -EFBIG,
                     "job %lld has %lld classes; a table of what each is taken for has up to %d: "
                     "steppe classes %lld says what each is mostly taken for",
                     (long long)x->job, (long long)*ret, CONFUSION_CLASSES_MAX, (long long)x->job);
    return rc;
}

/* Names by number; a number where there is none. */
static int add_names(struct query *q, const struct query_epoch *x, int64_t classes, cJSON *out,
                     struct errbuf *why)
{
    cJSON *names = cJSON_AddArrayToObject(out, "class_names");
    sqlite3_stmt *stmt;
    int rc = db_query(&q->difficulty,
                      "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n"
                      " WHERE i + 1 < ?2) SELECT coalesce(c.name, n.i) FROM n LEFT JOIN class c"
                      " ON c.dataset_id = ?1 AND c.class_id = n.i ORDER BY n.i",
                      DB_ARGS(DB_I(x->dataset), DB_I(classes)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->difficulty, stmt, why)) > 0) {
        const char *name = (const char *)sqlite3_column_text(stmt, 0);
        cJSON_AddItemToArray(names, cJSON_CreateString(name ? name : ""));
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int confusion(struct query *q, const struct query_epoch *x, uint32_t **ret_counts,
                     cJSON *out, struct errbuf *why)
{
    int64_t classes = 0;
    size_t counted = 0;
    int rc = count_classes(q, x, &classes, why);

    if (rc < 0)
        return rc;
    uint32_t *counts = *ret_counts = alloc_bytes((size_t)(classes * classes), sizeof(*counts));
    if (!counts)
        return err_set(why, -ENOMEM, "out of memory for %lld classes", (long long)classes);
    for (int64_t i = 0; i < classes * classes; i++)
        counts[i] = 0;
    for (size_t i = 0; i < x->count; i++) {
        const int32_t predicted = x->scores[i].predicted;
        if (x->labels[i] >= classes || predicted < 0 || predicted >= classes)
            continue;
        counts[x->labels[i] * classes + predicted]++;
        counted++;
    }
    cJSON_AddNumberToObject(out, "epoch", (double)x->epoch);
    cJSON_AddNumberToObject(out, "classes", (double)classes);
    cJSON_AddNumberToObject(out, "samples", (double)counted);
    return add_names(q, x, classes, out, why);
}

int query_confusion(struct query *q, const struct ask *a, uint32_t **ret_counts, cJSON **ret,
                    struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    struct query_epoch x = {0};
    int rc = query_begin(q, &q->difficulty, true, why);

    *ret_counts = NULL;
    if (rc == 0)
        rc = (a->test ? query_epoch_load_test : query_epoch_load)(q, a->job, a->epoch, -1, &x, why);
    if (rc == 0)
        rc = confusion(q, &x, ret_counts, out, why);
    query_epoch_done(&x);
    return query_end(&q->difficulty, rc, out, ret);
}
