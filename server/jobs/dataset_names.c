/* How samples get their names: an uploaded names file is checked and kept, state.db notes it, then
 * its names go into the rows for readers, slice by slice. At every point a crash leaves either the
 * earlier names or the newer, or rows without a name that are filled after the start. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "common/uris.h"
#include "server/jobs/datasets_internal.h"
#include "server/jobs/incoming.h"
#include "server/jobs/service.h"
#include "server/net/op.h"
#include "server/store/state_dir.h"

#define SLICE_NAMES 65536 /* some tens of milliseconds */
#define ASKED_MAX 8
#define RETRY_MS 60000 /* to show names, when a file is locked or the disk is full */

struct naming {
    struct dataset_record rec; /* a name of the data */
    char names[SHA256_HEX], old[SHA256_HEX];
    char key[NAME_MAX_BYTES];       /* with which a new file came; "": none */
    uint32_t samples, test_samples; /* that a new file must name */
    char wanted[SHA256_HEX];        /* what a manifest says is their hash; "": they may be any */
    struct sha256 checked;          /* of the names so far */
    bool new;                       /* it comes from a person */
    struct data_hash *hash;         /* of the file that is being read */
    bool upload;                    /* which is the upload */
    bool read;                      /* its hash is right; its names are being checked */
    int split;
    uint32_t at;
    struct data_view view;
    struct file_source from;
    struct uris_file uris;
    bool noted;
    struct names_show show;
    /* Who wants to know the end: who asked, and the same again, as it waits for long. */
    struct request *asked[ASKED_MAX];
    int asked_count;
};

static void naming_free(struct naming *n)
{
    data_hash_free(n->hash);
    uris_close(&n->uris);
    free(n);
}

/* --- the file, on the data lane --- */

/* An upload is preferred: the file that is there may be damaged. */
static int open_hash(const char *dir, struct naming *n, struct errbuf *why)
{
    char path[STATE_PATH_BYTES];
    int rc = -ENOENT;

    if (n->new) {
        state_dir_upload(path, dir, n->key, n->names);
        rc = data_hash_open(path, &n->hash, why);
        n->upload = rc == 0;
    }
    if (rc == -ENOENT) {
        state_dir_names(path, dir, n->names);
        rc = data_hash_open(path, &n->hash, why);
    }
    if (rc == -ENOENT && n->new)
        return err_set(why, rc, "no upload with sha256 %s; send its pieces first", n->names);
    return rc < 0 ? err_prefix(why, rc, "the names of dataset %s", n->rec.name) : 1;
}

/* What the file says, and whether that fits the dataset. */
static int check_content(struct naming *n, struct errbuf *why)
{
    int rc = uris_open(&n->from, &n->uris, why);

    if (rc < 0)
        return rc;
    if (strcmp(n->uris.dataset_sha256, n->rec.sha256) != 0)
        return err_set(why, -EINVAL, "it has the names of other data (sha256 %.12s...)",
                       n->uris.dataset_sha256);
    if (n->new &&
        (n->uris.splits[0].count != n->samples || n->uris.splits[1].count != n->test_samples))
        return err_set(why, -EINVAL, "it names %u + %u samples, the dataset has %u + %u",
                       n->uris.splits[0].count, n->uris.splits[1].count, n->samples,
                       n->test_samples);
    return 0;
}

/* The names of a manifest are what it says. */
static int check_hash(struct naming *n, struct errbuf *why)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX];

    sha256_end(&n->checked, digest);
    text_hex(digest, sizeof(digest), hex);
    if (!n->wanted[0] || strcasecmp(hex, n->wanted) == 0)
        return 0;
    return err_set(why, -EINVAL,
                   "their uris_sha256 is %.12s..., that of the manifest is %.12s...; the names of "
                   "a manifest are part of it",
                   hex, n->wanted);
}

/* What goes into the rows piece by piece is read twice: first, a slice at a time (1: call again),
 * for its errors. */
static int check_slice(struct naming *n, struct errbuf *why)
{
    uint32_t count = n->uris.splits[n->split].count - n->at;
    struct uris slice;

    count = count < SLICE_NAMES ? count : SLICE_NAMES;
    int rc = uris_read(&n->uris, n->split, n->at, count, &slice, why);
    if (rc == 0)
        uris_hash(&slice, &n->checked);
    uris_done(&slice);
    if (rc < 0)
        return rc;
    n->at += count;
    if (count == 0) {
        n->split++;
        n->at = 0;
    }
    return n->split < 2 ? 1 : check_hash(n, why);
}

static int judge(const char *dir, struct naming *n, struct errbuf *why)
{
    char hex[SHA256_HEX], part[STATE_PATH_BYTES];
    struct data_file *file = &n->view.file;

    data_hash_text(n->hash, hex);
    file->bytes = data_hash_bytes(n->hash);
    state_dir_upload(part, dir, n->key, n->names);
    state_dir_names(file->path, dir, n->names);
    if (strcmp(hex, n->names) != 0) {
        if (n->upload)
            unlink(part);
        return err_set(why, n->upload ? -EINVAL : -EUCLEAN,
                       n->upload ? "the upload's SHA-256 is %.16s...; it was dropped, send it again"
                                 : "the file's SHA-256 is %.16s...",
                       hex);
    }
    if (n->upload) {
        int rc = incoming_rename(dir, n->key, n->names, file->path, why);
        if (rc < 0)
            return rc;
    }
    n->from = data_view_source(&n->view);
    n->read = true;
    return check_content(n, why);
}

static void read_work(struct op *op)
{
    struct naming *n = op->arg;

    if (!n->hash) {
        op->rc = open_hash(op->service->dir, n, &op->why);
        return;
    }
    if (n->read)
        op->rc = check_slice(n, &op->why);
    else
        op->rc = data_hash_step(n->hash, &op->why);
    if (op->rc == 0 && !n->read) {
        op->rc = judge(op->service->dir, n, &op->why);
        op->rc = op->rc < 0 ? op->rc : 1;
    }
    if (op->rc >= 0)
        return;
    if (n->read && n->upload)
        unlink(n->view.file.path);
    err_prefix(&op->why, op->rc, "the names of dataset %s", n->rec.name);
}

/* --- the rows, on the store lane --- */

static void show_work(struct op *op)
{
    struct naming *n = op->arg;
    struct store *store = op->service->store;

    if (!n->noted && n->new)
        op->rc = store_names_put(store, n->rec.sha256, n->names, n->old, &op->why);
    n->noted = op->rc == 0;
    if (op->rc == 0)
        op->rc = store_names_show(store, n->rec.sha256, n->names, &n->uris, &n->show, &op->why);
}

static void drop_old(const char *dir, const struct naming *n)
{
    char path[STATE_PATH_BYTES];

    if (!n->old[0] || strcmp(n->old, n->names) == 0)
        return;
    state_dir_names(path, dir, n->old);
    unlink(path);
}

/* kept: the samples have other names, which stay. */
static void reply_named(struct service *s, struct request *rq, const struct dataset_record *rec,
                        bool kept)
{
    cJSON *out = cJSON_CreateObject();

    cJSON_AddItemToObject(out, "dataset", datasets_row(s->datasets, rec));
    cJSON_AddBoolToObject(out, "kept", kept);
    request_reply(rq, out, NULL, 0);
}

static void end_naming(struct op *op)
{
    struct naming *n = op->arg;
    struct service *s = op->service;
    struct stored *st = datasets_stored(s->datasets, n->rec.sha256);

    st->naming = NULL;
    st->held--;
    if (n->noted) {
        memcpy(st->uris, n->names, sizeof(st->uris));
        st->uris_shown = op->rc == 0;
        stored_weigh_names(s->datasets, st);
        drop_old(s->dir, n);
    }
    if (op->rc < 0) {
        bool lost = data_file_is_damage(op->rc) || op->rc == -EINVAL;
        st->uris_ms = lost ? INT64_MAX : clock_mono_ms() + RETRY_MS;
        if (n->asked_count == 0)
            log_warn("dataset.names", "name=%s error=\"%s\"", n->rec.name, op->why.text);
    } else {
        log_info("dataset.names", "name=%s names=%s", n->rec.name, n->names);
    }
    if (n->new)
        incoming_released(s->incoming, n->key, n->names, clock_mono_ms());
    for (int i = 0; i < n->asked_count; i++)
        if (op->rc < 0)
            request_fail(n->asked[i], op->rc, &op->why);
        else
            reply_named(s, n->asked[i], &n->rec, false);
    naming_free(n);
}

static void step_done(struct op *op)
{
    struct op next = {.service = op->service, .arg = op->arg, .done = step_done};
    struct net *net = op->service->net;
    bool again = op->rc == 1, read = op->work == read_work;

    if (again && net->stopping)
        op->rc = err_set(&op->why, -ESHUTDOWN, "the server is stopping; try again in a moment");
    if (op->rc < 0 || (!read && op->rc == 0)) {
        end_naming(op);
        return;
    }
    next.work = read && again ? read_work : show_work;
    op_run(next.work == read_work ? net->data_lane : net->store_lane, next);
}

static void start(struct service *s, struct stored *st, struct naming *n)
{
    st->naming = n;
    st->held++;
    op_run(s->net->data_lane,
           (struct op){.service = s, .arg = n, .work = read_work, .done = step_done});
}

/* The dataset is being named: by the same file? */
static int join(struct naming *n, struct request *rq, const char *name, const char *names_sha256,
                struct errbuf *why)
{
    if (!n->new || strcmp(n->names, names_sha256) != 0 || n->asked_count == ASKED_MAX)
        return err_set(why, -EAGAIN,
                       "the samples of dataset %s are being named; try again in a moment", name);
    n->asked[n->asked_count++] = rq;
    return 0;
}

int datasets_name_samples(struct service *s, struct request *rq, const char *name,
                          const char *names_sha256, bool replace, struct errbuf *why)
{
    const struct dataset *data;
    struct dataset_record rec;
    int rc = datasets_find(s->datasets, name, &data, &rec, why);

    if (rc < 0)
        return rc;
    if (data->manifest && !data->uris_sha256)
        return err_set(why, -EINVAL,
                       "the manifest %s says that its samples have no names (uris_sha256)", name);
    struct stored *st = datasets_stored(s->datasets, rec.sha256);
    if (st->naming)
        return join(st->naming, rq, name, names_sha256, why);
    bool same = strcmp(st->uris, names_sha256) == 0;
    if ((same && st->uris_shown) || (st->uris[0] && !same && !replace)) {
        reply_named(s, rq, &rec, !same);
        return 0;
    }
    rc = incoming_whole(s->incoming, rq->key_name, names_sha256, why);
    if (rc < 0)
        return rc;
    struct naming *n = xcalloc(1, sizeof(*n));
    n->rec = rec;
    n->samples = data->samples;
    n->test_samples = data->test_samples;
    snprintf(n->wanted, sizeof(n->wanted), "%s", data->uris_sha256 ? data->uris_sha256 : "");
    sha256_init(&n->checked);
    n->new = true;
    n->asked[n->asked_count++] = rq;
    snprintf(n->names, sizeof(n->names), "%s", names_sha256);
    snprintf(n->key, sizeof(n->key), "%s", rq->key_name);
    incoming_hold(s->incoming, n->key, n->names);
    start(s, st, n);
    return 0;
}

void datasets_names_tick(struct service *s, int64_t now_ms)
{
    for (struct entry *e = s->datasets->entries; e && !s->net->stopping; e = e->next) {
        struct stored *st = e->stored;
        if (!st->uris[0] || st->uris_shown || st->naming || e->going || now_ms < st->uris_ms)
            continue;
        struct naming *n = xcalloc(1, sizeof(*n));
        n->rec = e->rec;
        memcpy(n->names, st->uris, sizeof(n->names));
        sha256_init(&n->checked);
        start(s, st, n);
        return;
    }
}
