/* Watches whether the files of the datasets are unchanged. Damage shows when a piece is read, at a
 * db.check or at an import of the same data; this tells the jobs, checks damaged files again, and
 * hashes the pieces of files that an older version kept without. One file at a time, on the data
 * lane. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/jobs/datasets_internal.h"
#include "server/jobs/jobs.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

/* If the damaged place is not known, the whole file is read: a large one less often.
 */
#define BYTES_PER_LOOK (256 << 20)

/* --- telling --- */

static void tell(struct service *s, struct stored *st)
{
    char text[300] = "the dataset's file on the server's disk is whole again";

    st->told = true;
    bool damaged = datasets_damage(s->datasets, st->sha256, text, sizeof(text));
    for (struct job *job = jobs_first(s->jobs); job; job = job->next) {
        if (strcmp(job->rec.dataset_sha256, st->sha256) != 0 || job_state_final(job->rec.state))
            continue;
        jobs_event(s->jobs, job, "dataset", text);
        if (damaged)
            continue;
        job->retry_ms = 0; /* just that may be holding it */
        workers_forgive(s->workers, job->rec.job);
    }
    if (!damaged)
        workers_wake(s->workers);
}

/* --- looking --- */

struct look {
    char sha256[SHA256_HEX];
    struct data_file file;
    int64_t bad; /* where to check; -1: everywhere */
    bool whole;
    struct data_hash *hash; /* when it is */
    uint8_t (*hashes)[BLAKE2B_BYTES];
};

static int read_all(struct look *l, struct errbuf *why)
{
    char hex[SHA256_HEX];
    int rc;

    if (!l->hash) {
        rc = data_hash_open(l->file.path, &l->hash, why);
        if (rc == 0 && data_hash_bytes(l->hash) != l->file.bytes)
            rc = err_set(why, -EUCLEAN, "it has %lld bytes instead of %lld",
                         (long long)data_hash_bytes(l->hash), (long long)l->file.bytes);
        return rc < 0 ? rc : 1;
    }
    rc = data_hash_step(l->hash, why);
    if (rc != 0)
        return rc;
    data_hash_text(l->hash, hex);
    l->hashes = data_hash_pieces(l->hash);
    if (strcmp(hex, l->sha256) == 0)
        return 0;
    for (size_t i = 0; l->file.hashes && i < data_pieces(l->file.bytes) && l->bad < 0; i++)
        if (memcmp(l->file.hashes[i], l->hashes[i], BLAKE2B_BYTES) != 0)
            l->bad = (int64_t)i * DATA_PIECE_BYTES;
    return err_set(why, -EUCLEAN, "its SHA-256 is %.16s...", hex);
}

static void look_work(struct op *op)
{
    struct look *l = op->arg;
    uint8_t byte;

    if (l->whole)
        op->rc = read_all(l, &op->why);
    else
        op->rc = data_file_read(&l->file, (uint64_t)l->bad, 1, &byte, &l->bad, &op->why);
}

static void keep_work(struct op *op)
{
    const struct look *l = op->arg;

    op->rc = store_pieces_put(op->service->store, l->sha256, DATA_PIECE_BYTES,
                              (const uint8_t(*)[BLAKE2B_BYTES])l->hashes,
                              data_pieces(l->file.bytes), &op->why);
}

/* rc: of reading it. */
static void end_look(struct service *s, struct look *l, int rc, const struct errbuf *why)
{
    struct datasets *d = s->datasets;
    struct stored *st = datasets_stored(d, l->sha256);
    int64_t looks = 1 + (l->whole ? l->file.bytes / BYTES_PER_LOOK : 0);

    d->looking = false;
    st->held--;
    st->looked = true;
    st->look_ms = clock_mono_ms() + RECHECK_MS * looks;
    if (rc < 0) {
        stored_note(st, rc, l->bad, why);
    } else {
        if (l->hashes)
            stored_take_hashes(st, l->hashes);
        l->hashes = NULL;
        stored_heal(st);
    }
    data_hash_free(l->hash);
    free(l->hashes);
    free(l);
}

static void keep_done(struct op *op)
{
    if (op->rc < 0)
        log_warn("dataset.pieces", "error=\"%s\"", op->why.text);
    end_look(op->service, op->arg, 0, NULL);
}

static void run_look(struct service *s, struct look *l);

static void look_done(struct op *op)
{
    struct look *l = op->arg;

    if (op->rc == 1 && op->service->net->stopping)
        op->rc = err_set(&op->why, -ESHUTDOWN, "the server is stopping");
    if (op->rc == 1)
        run_look(op->service, l);
    else if (op->rc == 0 && l->hashes && !l->file.hashes)
        op_run(op->service->net->store_lane,
               (struct op){.service = op->service, .arg = l, .work = keep_work, .done = keep_done});
    else
        end_look(op->service, l, op->rc, &op->why);
}

static void run_look(struct service *s, struct look *l)
{
    op_run(s->net->data_lane,
           (struct op){.service = s, .arg = l, .work = look_work, .done = look_done});
}

static bool is_due(const struct datasets *d, const struct stored *st, int64_t now_ms)
{
    if (!stored_stays(d, st))
        return false;
    if (st->damage[0])
        return now_ms >= st->look_ms;
    return !st->hashes && !st->looked;
}

void datasets_tick(struct service *s, int64_t now_ms)
{
    struct datasets *d = s->datasets;
    struct look *l;

    for (struct stored *st = d->stored; st; st = st->next)
        if (!st->told)
            tell(s, st);
    datasets_names_tick(s, now_ms);
    for (struct stored *st = d->stored; st && !d->looking && !s->net->stopping; st = st->next) {
        if (!is_due(d, st, now_ms))
            continue;
        d->looking = true;
        st->held++;
        l = xcalloc(1, sizeof(*l));
        memcpy(l->sha256, st->sha256, sizeof(l->sha256));
        l->file = st->file;
        l->bad = st->damage[0] ? st->bad : -1;
        l->whole = l->bad < 0;
        run_look(s, l);
    }
}
