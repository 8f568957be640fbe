/* verdict.*: what people say of labels. Rows are judged on the loop, which has the labels, and kept
 * on the store's lane; the reply follows when they are durable. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/field.h"
#include "common/log.h"
#include "common/text.h"
#include "server/handle/handlers.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

/* The data behind `dataset` of the request. */
static int find_data(const struct request *rq, const struct dataset **ret, char sha256[SHA256_HEX],
                     struct errbuf *why)
{
    const char *name = NULL;
    struct dataset_record rec;
    int rc = field_str(rq->message.json, message_names[rq->type], "dataset", true, NAME_MAX_BYTES,
                       &name, why);

    if (rc == 0)
        rc = datasets_find(rq->service->datasets, name, ret, &rec, why);
    if (rc == 0)
        memcpy(sha256, rec.sha256, SHA256_HEX);
    return rc;
}

/* --- put --- */

struct put {
    char sha256[SHA256_HEX], uuid[UUID_BYTES], who[NAME_MAX_BYTES];
    struct verdict *rows; /* [count] */
    size_t count;
    bool check;
    struct verdicts_put at; /* views of the above */
};

static void put_free(struct put *p)
{
    free(p->rows);
    free(p);
}

static int read_row(const cJSON *json, const char *where, const struct dataset *d,
                    struct verdict *ret, struct errbuf *why)
{
    static const char *const keys[] = {"sample", "verdict", "label", "note", "given", NULL};
    int64_t sample = 0, label = -1, given = -1;
    const char *note = "";
    int kind = -1, rc = 0;

    if (!cJSON_IsObject(json))
        return err_set(why, -EINVAL, "%s is no object", where);
    rc = field_known(json, where, keys, why);
    if (rc == 0)
        rc = field_i64(json, where, "sample", true, 0, SAMPLES_MAX, &sample, why);
    if (rc == 0)
        rc = field_enum(json, where, "verdict", true, verdict_names, &kind, why);
    if (rc == 0)
        rc = field_i64(json, where, "label", false, 0, CLASSES_MAX - 1, &label, why);
    if (rc == 0)
        rc = field_i64(json, where, "given", false, 0, CLASSES_MAX - 1, &given, why);
    if (rc == 0)
        rc = field_str(json, where, "note", false, VERDICT_NOTE_BYTES, &note, why);
    if (rc < 0)
        return rc;
    *ret = (struct verdict){
        .sample = (uint32_t)sample, .kind = (enum verdict_kind)kind, .label = (int32_t)label};
    snprintf(ret->note, sizeof(ret->note), "%s", note);
    if (given >= 0 && ret->sample < d->samples && given != d->labels[ret->sample])
        return err_set(why, -EINVAL,
                       "sample %u is said to have label %lld, but its label in the dataset is %u: "
                       "is this about other data?",
                       ret->sample, (long long)given, d->labels[ret->sample]);
    return verdict_settle(ret, d->labels, d->samples, d->classes, why);
}

/* All rows. bad: gets those that are refused, instead of an error. */
static int read_rows(const cJSON *list, const struct dataset *d, struct put *p, cJSON *bad,
                     struct errbuf *why)
{
    const cJSON *json;
    struct errbuf row_why;
    char where[48];
    int number = 0;

    cJSON_ArrayForEach(json, list)
    {
        snprintf(where, sizeof(where), "verdict.put.rows[%d]", number);
        int rc = read_row(json, where, d, &p->rows[p->count], &row_why);
        if (rc < 0 && !bad) {
            const bool named = strncmp(row_why.text, where, strlen(where)) == 0;
            return err_set(why, rc, "%s%s%.400s", named ? "" : where, named ? "" : ": ",
                           row_why.text);
        }
        if (rc < 0) {
            cJSON *item = cJSON_CreateObject();
            cJSON_AddNumberToObject(item, "row", number);
            cJSON_AddStringToObject(item, "error", row_why.text);
            cJSON_AddItemToArray(bad, item);
        } else {
            p->count++;
        }
        number++;
    }
    return 0;
}

static int read_put(struct request *rq, struct put *p, cJSON *bad, struct errbuf *why)
{
    const cJSON *json = rq->message.json, *list = NULL;
    const struct dataset *d;
    const char *uuid = NULL;
    int rc = handle_uuid_of(rq, &uuid, why);

    if (rc == 0)
        rc = field_bool(json, "verdict.put", "check", false, &p->check, why);
    if (rc == 0 && p->check)
        rq->changes = NULL;
    if (rc == 0)
        rc = field_arr(json, "verdict.put", "rows", true, VERDICTS_PUT_MAX, &list, why);
    if (rc == 0 && !list->child)
        rc = err_set(why, -EINVAL, "verdict.put.rows is empty, allowed are 1 to %d",
                     VERDICTS_PUT_MAX);
    if (rc == 0)
        rc = find_data(rq, &d, p->sha256, why);
    if (rc != 0)
        return rc;
    memcpy(p->uuid, uuid, sizeof(p->uuid));
    snprintf(p->who, sizeof(p->who), "%s", request_who(rq));
    p->rows = xcalloc((size_t)cJSON_GetArraySize(list), sizeof(*p->rows));
    return read_rows(list, d, p, p->check ? bad : NULL, why);
}

static void put_work(struct op *op)
{
    struct put *p = op->arg;

    p->at = (struct verdicts_put){.sha256 = p->sha256,
                                  .uuid = p->uuid,
                                  .who = p->who,
                                  .rows = p->rows,
                                  .count = p->count,
                                  .unix_ms = clock_unix_ms()};
    op->rc = store_verdicts_put(op->service->store, &p->at, &op->why);
}

static void put_done(struct op *op)
{
    struct put *p = op->arg;

    if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
    } else {
        cJSON *out = cJSON_CreateObject();
        cJSON_AddNumberToObject(out, "added", (double)p->at.added);
        cJSON_AddNumberToObject(out, "same", (double)p->at.same);
        log_info("verdict.put", "dataset=%.12s added=%lld same=%lld who=%s", p->sha256,
                 (long long)p->at.added, (long long)p->at.same, p->who);
        request_reply(op->rq, out, NULL, 0);
    }
    put_free(p);
}

void handle_verdict_put(struct request *rq)
{
    struct put *p = xcalloc(1, sizeof(*p));
    cJSON *bad = cJSON_CreateArray();
    struct errbuf why = {""};
    int rc = read_put(rq, p, bad, &why);

    if (rc == 0 && !p->check) {
        cJSON_Delete(bad);
        op_run(rq->service->net->store_lane,
               (struct op){
                   .rq = rq, .service = rq->service, .arg = p, .work = put_work, .done = put_done});
        return;
    }
    put_free(p);
    if (rc < 0) {
        cJSON_Delete(bad);
        request_fail(rq, rc, &why);
        return;
    }
    cJSON *out = cJSON_CreateObject();
    cJSON_AddItemToObject(out, "bad", bad);
    request_reply(rq, out, NULL, 0);
}

/* --- list --- */

static void list_work(struct op *op)
{
    op->rc = query_verdicts(op->service->query, op->arg, &op->out, &op->why);
}

/* names[count], by number. */
static void add_class(cJSON *row, const char *key, const char *name_key, int64_t label,
                      const cJSON *const *names, uint32_t count)
{
    const cJSON *name = label >= 0 && label < count ? names[label] : NULL;

    if (key)
        cJSON_AddNumberToObject(row, key, (double)label);
    if (cJSON_IsString(name))
        cJSON_AddStringToObject(row, name_key, name->valuestring);
}

/* What the dataset says of the samples of the rows. */
static void add_labels(const cJSON *rows, const struct dataset *d)
{
    cJSON *list = cJSON_Parse(d->class_names_json);
    const cJSON **names = xcalloc(d->classes + 1, sizeof(*names)),
                *name = list ? list->child : NULL;
    cJSON *row;

    for (uint32_t c = 0; c < d->classes && name; c++, name = name->next)
        names[c] = name;
    cJSON_ArrayForEach(row, rows)
    {
        const cJSON *sample = cJSON_GetObjectItemCaseSensitive(row, "sample");
        const cJSON *label = cJSON_GetObjectItemCaseSensitive(row, "label");
        if (cJSON_IsNumber(label))
            add_class(row, NULL, "label_name", (int64_t)label->valuedouble, names, d->classes);
        if (cJSON_IsNumber(sample) && sample->valuedouble < d->samples)
            add_class(row, "given", "given_name", d->labels[(uint32_t)sample->valuedouble], names,
                      d->classes);
    }
    free(names);
    cJSON_Delete(list);
}

static void list_done(struct op *op)
{
    const struct verdicts_ask *a = op->arg;
    const struct dataset *d;

    if (op->rc == 0)
        op->rc = datasets_find_hash(op->service->datasets, a->sha256, &d, NULL, &op->why);
    if (op->rc != 0) {
        request_fail(op->rq, op->rc, &op->why);
    } else {
        add_labels(cJSON_GetObjectItemCaseSensitive(op->out, "rows"), d);
        request_reply(op->rq, op->out, NULL, 0);
        op->out = NULL;
    }
    free(op->arg);
}

void handle_verdict_list(struct request *rq)
{
    struct verdicts_ask a = {.after = -1, .limit = 100, .sample = -1};
    const cJSON *json = rq->message.json;
    const struct dataset *d;
    struct errbuf why;
    int rc = find_data(rq, &d, a.sha256, &why);

    if (rc == 0)
        rc = field_bool(json, "verdict.list", "history", false, &a.history, &why);
    if (rc == 0)
        rc = field_i64(json, "verdict.list", "sample", false, 0, d->samples - 1, &a.sample, &why);
    if (rc == 0)
        rc = field_i64(json, "verdict.list", "after", false, 0, INT64_C(1) << 50, &a.after, &why);
    if (rc == 0)
        rc = field_i64(json, "verdict.list", "limit", false, 1, ROWS_MAX, &a.limit, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    struct verdicts_ask *copy = xmalloc(sizeof(*copy));
    *copy = a;
    op_run(
        rq->service->net->query_lane,
        (struct op){
            .rq = rq, .service = rq->service, .arg = copy, .work = list_work, .done = list_done});
}

/* --- dataset.revise --- */

struct revise {
    char sha256[SHA256_HEX], name[NAME_MAX_BYTES], who[NAME_MAX_BYTES];
    struct revision_record rec;
    bool made;
};

static void revise_work(struct op *op)
{
    struct revise *r = op->arg;

    op->rc = store_revision_make(op->service->store, r->sha256, r->who, clock_unix_ms(), &r->rec,
                                 &r->made, &op->why);
}

static void revise_done(struct op *op)
{
    struct revise *r = op->arg;
    char name[REVISION_NAME_BYTES];

    if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
        free(r);
        return;
    }
    cJSON *out = cJSON_CreateObject();
    cJSON_AddBoolToObject(out, "made", r->made);
    cJSON_AddNumberToObject(out, "revision", (double)r->rec.number);
    cJSON_AddStringToObject(out, "name", revision_name(r->name, r->rec.number, name));
    if (r->rec.number > 0) {
        datasets_revised(op->service->datasets, r->sha256, &r->rec);
        cJSON_AddStringToObject(out, "sha256", r->rec.sha256);
        cJSON_AddNumberToObject(out, "relabelled", (double)r->rec.relabelled);
        cJSON_AddNumberToObject(out, "excluded", (double)r->rec.excluded);
    }
    if (r->made)
        log_info("dataset.revise", "name=%s sha256=%s relabelled=%lld excluded=%lld", name,
                 r->rec.sha256, (long long)r->rec.relabelled, (long long)r->rec.excluded);
    request_reply(op->rq, out, NULL, 0);
    free(r);
}

void handle_dataset_revise(struct request *rq)
{
    struct revise *r = xcalloc(1, sizeof(*r));
    struct dataset_record rec;
    const struct dataset *d;
    const char *name = NULL;
    struct errbuf why;
    int rc =
        field_str(rq->message.json, "dataset.revise", "name", true, NAME_MAX_BYTES, &name, &why);

    if (rc == 0)
        rc = datasets_find(rq->service->datasets, name, &d, &rec, &why);
    if (rc < 0) {
        free(r);
        request_fail(rq, rc, &why);
        return;
    }
    memcpy(r->sha256, rec.sha256, sizeof(r->sha256));
    memcpy(r->name, rec.name, sizeof(r->name));
    snprintf(r->who, sizeof(r->who), "%s", request_who(rq));
    op_run(
        rq->service->net->store_lane,
        (struct op){
            .rq = rq, .service = rq->service, .arg = r, .work = revise_work, .done = revise_done});
}
