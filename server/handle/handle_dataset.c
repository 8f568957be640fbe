/* dataset.*: names, uploads and pieces. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/field.h"
#include "common/log.h"
#include "common/text.h"
#include "server/handle/handlers.h"
#include "server/jobs/disk_share.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

static int read_hash(const struct request *rq, char sha256[SHA256_HEX], struct errbuf *why)
{
    uint8_t digest[SHA256_BYTES];
    int rc = field_sha256(rq->message.json, message_names[rq->type], "sha256", digest, why);

    if (rc == 0)
        text_hex(digest, sizeof(digest), sha256);
    return rc;
}

static int read_name(const struct request *rq, const char **ret, struct errbuf *why)
{
    char dataset[NAME_MAX_BYTES];
    int64_t number;
    int rc = field_str(rq->message.json, message_names[rq->type], "name", true, REVISION_NAME_BYTES,
                       ret, why);

    if (rc == 0 && revision_split(*ret, dataset, &number) == 1)
        return err_set(why, -EINVAL,
                       "%s names a revision; what is asked for is the name of its dataset, %s",
                       *ret, dataset);
    if (rc == 0 && !text_is_name(*ret))
        rc =
            err_set(why, -EINVAL,
                    "the name \"%s\" is not allowed: letters, digits, '.', '_' and '-', at most %d",
                    *ret, NAME_MAX_BYTES - 1);
    return rc;
}

void handle_dataset_list(struct request *rq)
{
    cJSON *out = cJSON_CreateObject();

    cJSON_AddItemToObject(out, "datasets", datasets_rows(rq->service->datasets));
    request_reply(rq, out, NULL, 0);
}

/* "<word>_names" and "<word>_counts": how many of the n samples belong to each of `count`. */
static void add_counts(cJSON *out, const char *word, const char *names_json,
                       const uint16_t *numbers, uint32_t n, uint32_t count)
{
    cJSON *names = names_json ? cJSON_Parse(names_json) : NULL;
    double *counts = xcalloc(count, sizeof(*counts));
    char key[32];

    for (uint32_t i = 0; i < n; i++)
        counts[numbers[i]]++;
    snprintf(key, sizeof(key), "%s_names", word);
    if (names)
        cJSON_AddItemToObject(out, key, names);
    snprintf(key, sizeof(key), "%s_counts", word);
    cJSON_AddItemToObject(out, key, cJSON_CreateDoubleArray(counts, (int)count));
    free(counts);
}

static void add_planted(cJSON *out, const struct dataset *d)
{
    double planted[3] = {0};

    for (uint32_t i = 0; i < d->samples; i++)
        if (d->planted[i] <= PLANTED_HARD)
            planted[d->planted[i]]++;
    cJSON_AddNumberToObject(out, "flipped", planted[PLANTED_FLIP]);
    cJSON_AddNumberToObject(out, "hard", planted[PLANTED_HARD]);
}

void handle_dataset_show(struct request *rq)
{
    struct dataset_record rec;
    const struct dataset *d;
    const char *name;
    struct errbuf why;
    int rc = read_name(rq, &name, &why);

    if (rc == 0)
        rc = datasets_find(rq->service->datasets, name, &d, &rec, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    cJSON *out = cJSON_CreateObject();
    cJSON_AddItemToObject(out, "dataset", datasets_row(rq->service->datasets, &rec));
    add_counts(out, "class", d->class_names_json, d->labels, d->samples, d->classes);
    if (d->domains)
        add_counts(out, "domain", d->domain_names_json, d->domains, d->samples, d->domain_count);
    if (d->planted)
        add_planted(out, d);
    if (datasets_newest(rq->service->datasets, rec.sha256))
        cJSON_AddItemToObject(out, "revisions",
                              datasets_revisions(rq->service->datasets, rec.sha256));
    request_reply(rq, out, NULL, 0);
}

static int read_size(const struct request *rq, int64_t *ret, struct errbuf *why)
{
    return field_i64(rq->message.json, message_names[rq->type], "bytes", true, 1,
                     (int64_t)DATASET_BYTES_MAX, ret, why);
}

/* In the sender's words; "" when it gives none. */
static int read_what(const struct request *rq, struct incoming_from *ret, struct errbuf *why)
{
    const char *what = "";
    int rc = field_str(rq->message.json, message_names[rq->type], "what", false, NAME_MAX_BYTES,
                       &what, why);

    *ret = incoming_from(rq);
    ret->what = what;
    return rc;
}

/* Checks an upload that is to become a dataset, so that nothing is sent in vain. */
static int check_name(const struct request *rq, const char *sha256, struct errbuf *why)
{
    const char *name;

    if (!cJSON_HasObjectItem(rq->message.json, "name"))
        return 0;
    int rc = read_name(rq, &name, why);
    return rc < 0 ? rc : datasets_room(rq->service->datasets, name, sha256, why);
}

void handle_dataset_offer(struct request *rq)
{
    struct incoming_from from;
    char sha256[SHA256_HEX];
    int64_t bytes, have;
    bool complete = false;
    struct errbuf why;
    int rc = read_hash(rq, sha256, &why);

    if (rc == 0)
        rc = check_name(rq, sha256, &why);
    if (rc == 0)
        rc = read_size(rq, &bytes, &why);
    if (rc == 0)
        rc = read_what(rq, &from, &why);
    if (rc == 0) {
        complete = datasets_has(rq->service->datasets, sha256, bytes);
        have = bytes;
    }
    if (rc == 0 && !complete)
        rc = disk_watch_room(&rq->service->disk, "uploads", &why);
    /* A file that is here already counts, too, once the key has a name for it. */
    if (rc == 0 && (!complete || cJSON_HasObjectItem(rq->message.json, "name")))
        rc = disk_share_room(rq->service, rq->key_name, sha256, bytes, &why);
    if (rc == 0 && !complete)
        rc = incoming_offer(rq->service->incoming, &from, sha256, bytes, &have, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    cJSON *out = cJSON_CreateObject();
    cJSON_AddNumberToObject(out, "have", (double)have);
    cJSON_AddBoolToObject(out, "complete", complete);
    request_reply(rq, out, NULL, 0);
}

struct put {
    struct incoming_from from;
    char sha256[SHA256_HEX];
    int64_t bytes, offset;
};

static int read_put(const struct request *rq, struct put *ret, struct errbuf *why)
{
    int rc = read_hash(rq, ret->sha256, why);

    if (rc == 0)
        rc = read_size(rq, &ret->bytes, why);
    if (rc == 0)
        rc = field_i64(rq->message.json, "dataset.put", "offset", true, 0,
                       (int64_t)DATASET_BYTES_MAX, &ret->offset, why);
    return rc < 0 ? rc : read_what(rq, &ret->from, why);
}

static int begin_piece(struct service *s, const struct put *put, const struct tensor *piece,
                       struct incoming_piece *ret, struct errbuf *why)
{
    if (piece->bytes > PIECE_BYTES_MAX)
        return err_set(why, -EFBIG, "the piece has %zu bytes, allowed is at most %u", piece->bytes,
                       PIECE_BYTES_MAX);
    if (datasets_has(s->datasets, put->sha256, put->bytes)) {
        *ret = (struct incoming_piece){.have = put->bytes};
        return 0;
    }
    *ret = (struct incoming_piece){.bytes = put->bytes,
                                   .offset = put->offset,
                                   .data = piece->data,
                                   .data_bytes = piece->bytes};
    memcpy(ret->sha256, put->sha256, sizeof(ret->sha256));
    int rc = disk_watch_room(&s->disk, "uploads", why);
    if (rc == 0)
        rc = disk_share_room(s, put->from.key, put->sha256, put->bytes, why);
    return rc < 0 ? rc : incoming_put_begin(s->incoming, &put->from, ret, clock_mono_ms(), why);
}

static void reply_have(struct request *rq, int64_t have)
{
    cJSON *out = cJSON_CreateObject();

    cJSON_AddNumberToObject(out, "have", (double)have);
    request_reply(rq, out, NULL, 0);
}

static void piece_work(struct op *op)
{
    op->rc = incoming_put_write(op->service->dir, op->arg, &op->why);
}

static void piece_done(struct op *op)
{
    struct incoming_piece *piece = op->arg;

    incoming_put_end(op->service->incoming, piece, op->rc, clock_mono_ms());
    if (op->rc < 0)
        request_fail(op->rq, op->rc, &op->why);
    else
        reply_have(op->rq, piece->have);
    free(piece);
}

void handle_dataset_put(struct request *rq)
{
    const struct tensor *tensor;
    struct incoming_piece piece;
    struct put put;
    struct errbuf why;
    int rc = read_put(rq, &put, &why);

    if (rc == 0 && message_tensor(&rq->message, "piece", DTYPE_U8, 1, NULL, &tensor, &why) < 0) {
        request_error(rq, ERR_BAD_TENSOR, "%s", why.text);
        return;
    }
    if (rc == 0)
        rc = begin_piece(rq->service, &put, tensor, &piece, &why);
    if (rc != 0) {
        request_fail(rq, rc, &why);
    } else if (!piece.writes) {
        reply_have(rq, piece.have);
    } else {
        struct incoming_piece *copy = xmalloc(sizeof(*copy));
        *copy = piece;
        op_run(rq->service->net->upload_lane, (struct op){.rq = rq,
                                                          .service = rq->service,
                                                          .arg = copy,
                                                          .work = piece_work,
                                                          .done = piece_done});
    }
}

/* --- dataset.commit --- */

static void end_commit(struct op *op)
{
    struct dataset_commit *c = op->arg;
    struct service *s = op->service;

    incoming_released(s->incoming, c->rec.key_name, c->rec.sha256, clock_mono_ms());
    dataset_commit_done(s->datasets, c, op->rc);
    if (op->rc == -ENODATA) {
        request_error(op->rq, ERR_GONE, "%s", op->why.text);
    } else if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
    } else {
        cJSON *out = cJSON_CreateObject();
        cJSON_AddItemToObject(out, "dataset", datasets_row(s->datasets, &c->rec));
        log_info("dataset.commit", "name=%s sha256=%s bytes=%lld", c->rec.name, c->rec.sha256,
                 (long long)c->rec.bytes);
        request_reply(op->rq, out, NULL, 0);
    }
    dataset_commit_free(c);
}

static void store_work(struct op *op)
{
    op->rc = dataset_commit_store(op->service->dir, op->service->store, op->arg, &op->why);
}

static void read_work(struct op *op)
{
    op->rc = dataset_commit_read(op->service->dir, op->arg, &op->why);
}

static void read_done(struct op *op)
{
    struct op next = {.rq = op->rq, .service = op->service, .arg = op->arg};

    if (op->rc == 1 && op->service->net->stopping)
        op->rc = err_set(&op->why, -ESHUTDOWN, "the server is stopping; try again in a moment");
    if (op->rc < 0) {
        end_commit(op);
    } else if (op->rc == 1) {
        next.work = read_work;
        next.done = read_done;
        op_run(op->service->net->data_lane, next);
    } else {
        next.work = store_work;
        next.done = end_commit;
        op_run(op->service->net->store_lane, next);
    }
}

/* A key has one commit at work: it cannot get past this with several at a time. */
static int check_share(const struct request *rq, const char *sha256, struct errbuf *why)
{
    const struct service *s = rq->service;
    const int64_t there = datasets_size(s->datasets, sha256);

    return disk_share_room(s, rq->key_name, sha256,
                           there >= 0 ? there : incoming_have(s->incoming, rq->key_name, sha256),
                           why);
}

void handle_dataset_commit(struct request *rq)
{
    struct dataset_commit *c = xcalloc(1, sizeof(*c));
    const char *name;
    struct errbuf why;
    int rc = read_name(rq, &name, &why);

    if (rc == 0)
        rc = read_hash(rq, c->rec.sha256, &why);
    if (rc == 0)
        rc = datasets_room(rq->service->datasets, name, c->rec.sha256, &why);
    if (rc == 0)
        rc = check_share(rq, c->rec.sha256, &why);
    if (rc < 0) {
        free(c);
        request_fail(rq, rc, &why);
        return;
    }
    memcpy(c->rec.name, name, strlen(name) + 1);
    memcpy(c->rec.key_name, rq->key_name, sizeof(c->rec.key_name));
    incoming_whole(rq->service->incoming, c->rec.key_name, c->rec.sha256, &c->missing);
    incoming_hold(rq->service->incoming, c->rec.key_name, c->rec.sha256);
    op_run(rq->service->net->data_lane,
           (struct op){
               .rq = rq, .service = rq->service, .arg = c, .work = read_work, .done = read_done});
}

void handle_dataset_name(struct request *rq)
{
    bool replace = false;
    char sha256[SHA256_HEX];
    const char *name;
    struct errbuf why;
    int rc = read_name(rq, &name, &why);

    if (rc == 0)
        rc = read_hash(rq, sha256, &why);
    if (rc == 0)
        rc = field_bool(rq->message.json, "dataset.name", "replace", false, &replace, &why);
    if (rc == 0)
        rc = datasets_name_samples(rq->service, rq, name, sha256, replace, &why);
    if (rc < 0)
        request_fail(rq, rc, &why);
}

/* A job trained on it needs its labels and pictures for judging and showing: the jobs go before the
 * last name. */
static int check_unused(struct service *s, const struct dataset_removal *r, struct errbuf *why)
{
    int64_t first = 0;
    int count = 0;

    if (!r->last)
        return 0;
    for (struct job *job = jobs_first(s->jobs); job; job = job->next)
        if (strcmp(job->rec.dataset_sha256, r->sha256) == 0 && ++count == 1)
            first = job->rec.job;
    if (count == 0)
        return 0;
    if (count == 1)
        return err_set(why, -EPERM, "job %" PRId64 " has dataset %s; remove the job first", first,
                       r->name);
    return err_set(why, -EPERM,
                   "%d jobs have dataset %s, the first is job %" PRId64 "; remove them first",
                   count, r->name, first);
}

static int check_owner(const struct request *rq, const struct dataset_removal *r,
                       struct errbuf *why)
{
    if (incoming_from(rq).any || strcmp(r->key_name, rq->key_name) == 0)
        return 0;
    return err_set(why, -EPERM, "the name %s was given %s%s; an administrator may remove it",
                   r->name, r->key_name[0] ? "by the key " : "without a key", r->key_name);
}

static void remove_work(struct op *op)
{
    op->rc = datasets_remove_work(op->service->dir, op->service->store, op->arg, &op->why);
}

static void remove_done(struct op *op)
{
    struct dataset_removal *r = op->arg;

    datasets_remove_done(op->service->datasets, r, op->rc);
    if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
    } else {
        cJSON *out = cJSON_CreateObject();
        cJSON_AddStringToObject(out, "removed", r->name);
        log_info("dataset.rm", "name=%s sha256=%s", r->name, r->sha256);
        request_reply(op->rq, out, NULL, 0);
    }
    free(r);
}

void handle_dataset_rm(struct request *rq)
{
    struct dataset_removal *r = xcalloc(1, sizeof(*r));
    const char *name;
    struct errbuf why;
    int rc = read_name(rq, &name, &why);

    if (rc == 0)
        rc = datasets_remove_begin(rq->service->datasets, name, r, &why);
    if (rc == 0) {
        rc = check_owner(rq, r, &why);
        if (rc == 0)
            rc = check_unused(rq->service, r, &why);
        if (rc < 0)
            datasets_remove_done(rq->service->datasets, r, rc);
    }
    if (rc < 0) {
        free(r);
        request_fail(rq, rc, &why);
        return;
    }
    op_run(
        rq->service->net->store_lane,
        (struct op){
            .rq = rq, .service = rq->service, .arg = r, .work = remove_work, .done = remove_done});
}

/* --- dataset.get --- */

struct fetch {
    char sha256[SHA256_HEX];
    struct data_file file; /* lent */
    int64_t offset, bytes, bad;
    uint8_t *piece;
};

static void fetch_work(struct op *op)
{
    struct fetch *f = op->arg;

    f->piece = alloc_bytes((size_t)f->bytes, 1);
    op->rc = f->piece ? data_file_read(&f->file, (uint64_t)f->offset, (size_t)f->bytes, f->piece,
                                       &f->bad, &op->why)
                      : err_set(&op->why, -ENOMEM, "no memory for a piece of %lld bytes",
                                (long long)f->bytes);
}

static void fetch_done(struct op *op)
{
    struct fetch *f = op->arg;

    datasets_give_back(op->service->datasets, f->sha256, op->rc, f->bad, &op->why);
    if (op->rc < 0) {
        request_fail(op->rq, data_file_is_damage(op->rc) ? -EUCLEAN : op->rc, &op->why);
    } else {
        struct tensor t = tensor_1d("piece", DTYPE_U8, (uint64_t)f->bytes, f->piece);
        cJSON *out = cJSON_CreateObject();
        cJSON_AddNumberToObject(out, "bytes", (double)f->file.bytes);
        request_reply(op->rq, out, &t, 1);
    }
    free(f->piece);
    free(f);
}

static int read_fetch(struct request *rq, struct fetch *f, struct errbuf *why)
{
    int rc = read_hash(rq, f->sha256, why);

    if (rc == 0)
        rc = field_i64(rq->message.json, "dataset.get", "offset", true, 0,
                       (int64_t)DATASET_BYTES_MAX, &f->offset, why);
    if (rc == 0)
        rc = field_i64(rq->message.json, "dataset.get", "bytes", true, 1, PIECE_BYTES_MAX,
                       &f->bytes, why);
    if (rc == 0)
        rc = datasets_lend(rq->service->datasets, f->sha256, &f->file, why);
    if (rc < 0)
        return rc;
    if (f->offset <= f->file.bytes && f->bytes <= f->file.bytes - f->offset)
        return 0;
    datasets_give_back(rq->service->datasets, f->sha256, 0, 0, why);
    return err_set(why, -EINVAL, "the request is for bytes %lld to %lld, the dataset has %lld",
                   (long long)f->offset, (long long)(f->offset + f->bytes),
                   (long long)f->file.bytes);
}

/* A worker's key opens only the data of the task that it has. False: rq was answered. */
static bool may_fetch(struct request *rq)
{
    struct worker *worker;
    char sha256[SHA256_HEX];
    struct errbuf why;
    int rc = read_hash(rq, sha256, &why);

    if (rc < 0) {
        request_fail(rq, rc, &why);
        return false;
    }
    if (rq->role != ROLE_WORKER)
        return true;
    worker = workers_of(rq->service->workers, rq);
    if (worker && workers_needs_dataset(rq->service->workers, worker, sha256))
        return true;
    if (worker)
        request_error(rq, ERR_GONE,
                      "this worker has no task of a job with dataset %.16s...; it has to ask for "
                      "one",
                      sha256);
    return false;
}

void handle_dataset_get(struct request *rq)
{
    struct fetch *f;
    struct errbuf why;

    if (!may_fetch(rq))
        return;
    f = xcalloc(1, sizeof(*f));
    workers_fetches(rq->service->workers, rq->sender);
    int rc = read_fetch(rq, f, &why);
    if (rc < 0) {
        free(f);
        request_fail(rq, rc, &why);
        return;
    }
    op_run(rq->service->net->data_lane,
           (struct op){
               .rq = rq, .service = rq->service, .arg = f, .work = fetch_work, .done = fetch_done});
}
