/* How well each measure finds what was planted in a dataset: the AUROC of the planted samples of
 * one kind against all others that were scored. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/dataset.h"
#include "server/query_internal.h"
#include "server/stats.h"

#define MEASURES 4
static const char *const measure_names[] = {"adm", "loss", "grad_norm", "el2n"};

/* The scored samples of an epoch. */
struct scored {
    uint8_t *planted;         /* [count], enum planted */
    double *values[MEASURES]; /* [count] each */
    struct stats_pair *pairs; /* [count], scratch */
    size_t count, room;
};

static void scored_done(struct scored *x)
{
    free(x->planted);
    free(x->pairs);
    for (int k = 0; k < MEASURES; k++)
        free(x->values[k]);
}

static int scored_init(struct scored *x, int64_t room, struct errbuf *why)
{
    bool ok;

    x->room = (size_t)room;
    x->planted = alloc_bytes(x->room, sizeof(*x->planted));
    x->pairs = alloc_bytes(x->room, sizeof(*x->pairs));
    ok = x->planted && x->pairs;
    for (int k = 0; k < MEASURES; k++) {
        x->values[k] = alloc_bytes(x->room, sizeof(*x->values[k]));
        ok = ok && x->values[k];
    }
    return ok ? 0 : err_set(why, -ENOMEM, "out of memory for %lld scores", (long long)room);
}

static int scored_read(struct query *q, int64_t job, int64_t epoch, int64_t dataset,
                       struct scored *x, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&q->difficulty,
                      "SELECT m.planted, s.adm, s.loss, s.grad_norm, s.el2n"
                      " FROM score s LEFT JOIN sample m"
                      " ON m.dataset_id = ?3 AND m.sample_id = s.sample_id"
                      " WHERE s.job_id = ?1 AND s.epoch = ?2",
                      DB_ARGS(DB_I(job), DB_I(epoch), DB_I(dataset)), &stmt, why);

    if (rc != 0)
        return rc;
    while (x->count < x->room && (rc = db_step(&q->difficulty, stmt, why)) > 0) {
        x->planted[x->count] = (uint8_t)sqlite3_column_int(stmt, 0);
        for (int k = 0; k < MEASURES; k++)
            x->values[k][x->count] = sqlite3_column_double(stmt, k + 1);
        x->count++;
    }
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

/* `name`: {measure: area, ...}; left out when there is nothing to find or nothing else. */
static void add_aurocs(cJSON *out, const char *name, struct scored *x, enum planted kind)
{
    cJSON *areas = cJSON_CreateObject();

    for (int k = 0; k < MEASURES; k++) {
        for (size_t i = 0; i < x->count; i++)
            x->pairs[i] = (struct stats_pair){x->values[k][i], x->planted[i] == kind};
        double area = stats_auroc(x->pairs, x->count);
        if (!isnan(area))
            cJSON_AddNumberToObject(areas, measure_names[k], area);
    }
    if (areas && areas->child)
        cJSON_AddItemToObject(out, name, areas);
    else
        cJSON_Delete(areas);
}

static int planted(struct query *q, int64_t job, int64_t epoch, cJSON *out, struct errbuf *why)
{
    struct scored x = {0};
    int64_t dataset, scored, counts[256] = {0};
    int rc = query_job(q, job, &dataset, why);

    if (rc == 0)
        rc = query_scored_epoch(q, job, &epoch, &scored, why);
    if (rc == 0)
        rc = scored_init(&x, scored, why);
    if (rc == 0)
        rc = scored_read(q, job, epoch, dataset, &x, why);
    if (rc == 0) {
        for (size_t i = 0; i < x.count; i++)
            counts[x.planted[i]]++;
        cJSON_AddNumberToObject(out, "epoch", (double)epoch);
        cJSON_AddNumberToObject(out, "flipped", (double)counts[PLANTED_FLIP]);
        cJSON_AddNumberToObject(out, "hard", (double)counts[PLANTED_HARD]);
        add_aurocs(out, "auroc_flipped", &x, PLANTED_FLIP);
        add_aurocs(out, "auroc_hard", &x, PLANTED_HARD);
    }
    scored_done(&x);
    return rc;
}

int query_planted(struct query *q, int64_t job, int64_t epoch, cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = planted(q, job, epoch, out, why);
    return query_end(&q->difficulty, rc, out, ret);
}
