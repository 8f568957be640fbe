/* What the journal hears of the server, at the borders of its modules: the linker routes the calls
 * of a few functions through here (--wrap). The planted faults sit in the same places, so that the
 * product has no trace of them. */
#include "tests/sim/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "server/core/round.h"
#include "server/core/run.h"
#include "server/handle/task_key.h"
#include "server/jobs/externals.h"
#include "server/jobs/jobs.h"
#include "server/store/data_file.h"
#include "server/store/store.h"
#include "tests/sim/fields.h"
#include "tests/sim/journal.h"
#include "tests/sim/reader.h"
#include "tests/sim/scenario.h"

#define JOBS_KEPT 64 /* more numbers than jobs that a seed submits */

#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

static bool planted(enum plant plant)
{
    return scenario_get()->plant == plant;
}

/* --- results --- */

static struct {
    int64_t job, incarnation;
    uint64_t step;
    enum phase phase;
    uint32_t turn;
    bool inside; /* run_result */
} at;            /* the round of the result that is being judged */

WRAP(struct job *, task_key_job, struct service *s, const struct task_key *k, uint32_t *ret_count)
{
    struct task_key key = *k;
    struct job *job;

    if (planted(PLANT_INCARNATION))
        for (job = jobs_first(s->jobs); job; job = job->next)
            if (job->rec.job == k->job)
                key.incarnation = job->rec.incarnation;
    return __real_task_key_job(s, &key, ret_count);
}

WRAP(int, run_result, struct run *r, const struct run_result *res, struct errbuf *why)
{
    at.job = run_job(r);
    at.incarnation = run_incarnation(r);
    at.step = run_step(r);
    at.phase = run_phase(r);
    at.turn = run_turn(r);
    at.inside = true;
    int rc = __real_run_result(r, res, why);
    at.inside = false;
    return rc;
}

WRAP(bool, round_wants, const struct round *r, struct node n)
{
    return __real_round_wants(r, n) || (planted(PLANT_TWICE) && round_finished(r) > 0);
}

WRAP(bool, run_holds, const struct run *r, uint32_t worker, struct node n)
{
    return __real_run_holds(r, worker, n) || planted(PLANT_INCARNATION) || planted(PLANT_TWICE);
}

/* A result is applied exactly where its node is closed. Predictions have rounds of their own. */
WRAP(int, round_finish, struct round *r, struct node n)
{
    int rc = __real_round_finish(r, n);

    if (rc == -EALREADY && planted(PLANT_TWICE))
        rc = 0;
    if (rc == 0 && at.inside)
        note("apply job=%" PRId64 " inc=%" PRId64 " step=%" PRIu64 " phase=%d turn=%u lo=%u hi=%u",
             at.job, at.incarnation, at.step, at.phase, at.turn, n.lo, n.hi);
    return rc;
}

/* One more voice about a node that is drawn. */
WRAP(void, run_hear, struct run *r, const struct run_result *res, const void *grad,
     uint32_t samples)
{
    note("voice worker=%u job=%" PRId64 " step=%" PRIu64 " phase=%d lo=%u", res->worker, run_job(r),
         run_step(r), run_phase(r), res->node.lo);
    __real_run_hear(r, res, grad, samples);
}

WRAP(int, run_check, struct run *r, uint32_t worker, int64_t now_ms, int64_t ttl_ms,
     int64_t patience_ms, struct run_task *ret)
{
    int rc = __real_run_check(r, worker, now_ms, ttl_ms, patience_ms, ret);

    if (rc == 0)
        note("second worker=%u job=%" PRId64 " step=%" PRIu64 " phase=%d lo=%u", worker, run_job(r),
             run_step(r), run_phase(r), ret->node.lo);
    return rc;
}

WRAP(int, run_start, struct run *r, int64_t now_ms)
{
    int rc = __real_run_start(r, now_ms);

    note("start job=%" PRId64 " inc=%" PRId64 " step=%" PRIu64 " rc=%d", run_job(r),
         run_incarnation(r), run_step(r), rc);
    return rc;
}

WRAP(bool, run_close_round, struct run *r, int64_t now_ms)
{
    uint64_t step = run_step(r);
    uint32_t shards = run_shards(r);
    enum phase phase = run_phase(r);
    const bool closed = __real_run_close_round(r, now_ms);

    if (closed)
        note("closed job=%" PRId64 " inc=%" PRId64 " step=%" PRIu64 " phase=%d shards=%u",
             run_job(r), run_incarnation(r), step, phase, shards);
    return closed;
}

/* --- training programs --- */

static struct {
    int64_t job, incarnation; /* of the one that is being made; 0: none */
} making;

static struct {
    int64_t job, incarnation; /* of whom the message says that it is */
} said;

static bool is_report_of_open(const struct job *job, const struct request *rq)
{
    const struct external *e = job->external->open;

    return rq->type == MSG_EXTERNAL_REPORT && e &&
           fields_number(&rq->message, "epoch", -1) == external_epoch(e);
}

WRAP(struct external *, external_job_enter, struct jobs *jobs, struct job *job, int64_t incarnation,
     struct request *rq)
{
    said.job = job->rec.job;
    said.incarnation = incarnation;
    if (planted(PLANT_PROGRAM) && is_report_of_open(job, rq))
        incarnation = job->rec.incarnation;
    return __real_external_job_enter(jobs, job, incarnation, rq);
}

WRAP(int, external_report, struct external *e, const struct external_report *report,
     uint64_t *ret_counted, uint64_t *ret_dropped, struct errbuf *why)
{
    int rc = __real_external_report(e, report, ret_counted, ret_dropped, why);

    if (rc == 0)
        note("reported job=%" PRId64 " inc=%" PRId64 " said=%" PRId64 " epoch=%" PRId64
             " counted=%" PRIu64 " dropped=%" PRIu64,
             said.job, external_incarnation(e), said.incarnation, external_epoch(e), *ret_counted,
             *ret_dropped);
    return rc;
}

WRAP(int, external_create, const struct jobspec *spec, const struct dataset *data, int64_t job,
     int64_t incarnation, const struct run_inputs *in, const struct overlay *overlays,
     struct external **ret)
{
    making.job = job;
    making.incarnation = incarnation;
    return __real_external_create(spec, data, job, incarnation, in, overlays, ret);
}

/* Also behind an epoch that closes, where nothing is made from the start. */
WRAP(int, external_open, struct external *e, int64_t epoch, int64_t now_ms)
{
    if (making.job)
        note("begun job=%" PRId64 " inc=%" PRId64 " epoch=%" PRId64, making.job, making.incarnation,
             epoch);
    making.job = 0;
    return __real_external_open(e, epoch, now_ms);
}

/* --- datasets --- */

WRAP(int, data_file_read, const struct data_file *f, uint64_t offset, size_t bytes, void *out,
     int64_t *ret_bad, struct errbuf *why)
{
    struct data_file file = *f;

    if (planted(PLANT_PIECES))
        file.hashes = NULL;
    return __real_data_file_read(&file, offset, bytes, out, ret_bad, why);
}

/* --- the store --- */

static struct fold held; /* of the planted order */
static char held_hash[SHA256_HEX];
static bool holds;

/* Of the probabilities that the epoch keeps, 16 digits; "" of none. */
static void hash_probabilities(const struct fold *f, char ret[PROBS_BYTES])
{
    const size_t bytes = f->classes * sizeof(*f->probabilities);
    uint8_t digest[SHA256_BYTES];
    struct sha256 h;
    uint64_t word;

    ret[0] = 0;
    if (!f->probabilities)
        return;
    sha256_init(&h);
    for (uint32_t i = 0; i < f->samples; i++)
        if (f->scores[i].flags & SCORE_MEASURED)
            sha256_add(&h, f->probabilities + (size_t)i * f->classes, bytes);
    sha256_end(&h, digest);
    memcpy(&word, digest, sizeof(word));
    snprintf(ret, PROBS_BYTES, "%016" PRIx64, word);
}

WRAP(int, store_fold, struct store *s, const struct fold *f, char ret_sha256[SHA256_HEX],
     struct errbuf *why)
{
    char probs[PROBS_BYTES];
    int rc;

    if (planted(PLANT_ORDER) && !holds && !f->partial) { /* an external job has no checkpoint */
        held = *f;
        holds = true;
        held_hash[0] = 0;
        memset(ret_sha256, '0', SHA256_HEX - 1);
        ret_sha256[SHA256_HEX - 1] = 0;
        return 0;
    }
    note("folding job=%" PRId64 " epoch=%" PRId64, f->record.job, f->record.epoch);
    rc = __real_store_fold(s, f, ret_sha256, why);
    hash_probabilities(f, probs);
    note("fold job=%" PRId64 " epoch=%" PRId64 " rc=%d scores=%s probs=%s", f->record.job,
         f->record.epoch, rc, rc == 0 ? ret_sha256 : "", probs);
    return rc;
}

WRAP(int, store_epoch_hash, struct store *s, int64_t job, int64_t epoch,
     char ret_sha256[SHA256_HEX], struct errbuf *why)
{
    if (holds && held.record.job == job && held.record.epoch == epoch) {
        memset(ret_sha256, '0', SHA256_HEX - 1);
        ret_sha256[SHA256_HEX - 1] = 0;
        return 0;
    }
    return __real_store_epoch_hash(s, job, epoch, ret_sha256, why);
}

WRAP(int, store_checkpoint_add, struct store *s, const struct checkpoint_record *rec,
     struct errbuf *why)
{
    char hash[SHA256_HEX];
    int rc = __real_store_checkpoint_add(s, rec, why);

    note("checkpoint job=%" PRId64 " step=%" PRId64 " epoch=%" PRId64 " rc=%d scores=%s", rec->job,
         rec->step, rec->epoch, rc, rec->scores_sha256);
    if (rc == 0 && holds) {
        rc = __wrap_store_fold(s, &held, hash, why);
        holds = false;
    }
    return rc;
}

WRAP(int, store_checkpoint_remove, struct store *s, int64_t job, int64_t step, struct errbuf *why)
{
    int rc = __real_store_checkpoint_remove(s, job, step, why);

    note("unsaved job=%" PRId64 " step=%" PRId64 " rc=%d", job, step, rc);
    return rc;
}

WRAP(int, store_liar_put, struct store *s, const char *key, const char *text, struct errbuf *why)
{
    int rc = __real_store_liar_put(s, key, text, why);

    note("lied key=%s rc=%d", key, rc);
    return rc;
}

WRAP(int, store_epochs_drop, struct store *s, int64_t job, int64_t first, struct errbuf *why)
{
    holds = false;
    note("drop job=%" PRId64 " first=%" PRId64, job, first);
    int rc = __real_store_epochs_drop(s, job, first, why);
    note("dropped job=%" PRId64 " rc=%d", job, rc);
    return rc;
}

/* The last record of each job that was written or recovered, by number. */
static struct {
    enum job_state state;
    enum job_wait wait;
} kept[JOBS_KEPT];

static void keep(const struct job_record *rec)
{
    if (rec->job < JOBS_KEPT) {
        kept[rec->job].state = rec->state;
        kept[rec->job].wait = rec->wait;
    }
}

bool watch_needs_resume(int64_t job)
{
    return job < JOBS_KEPT && kept[job].state == JOB_PAUSED && kept[job].wait == WAIT_NOTHING;
}

WRAP(int, store_job_insert, struct store *s, struct job_record *rec, const struct job_notes *notes,
     struct errbuf *why)
{
    note("writing job=0 state=%s inc=%" PRId64, job_state_names[rec->state], rec->incarnation);
    int rc = __real_store_job_insert(s, rec, notes, why);

    note("row job=%" PRId64 " state=%s inc=%" PRId64 " rc=%d class=", rec->job,
         job_state_names[rec->state], rec->incarnation, rc);
    if (rc == 0)
        keep(rec);
    return rc;
}

WRAP(int, store_job_update, struct store *s, const struct job_record *rec, const char *kind,
     const char *text, struct errbuf *why)
{
    note("writing job=%" PRId64 " state=%s inc=%" PRId64 " waits=%s class=%s", rec->job,
         job_state_names[rec->state], rec->incarnation, job_wait_names[rec->wait],
         rec->numerics_class);
    int rc = __real_store_job_update(s, rec, kind, text, why);

    note("row job=%" PRId64 " state=%s inc=%" PRId64 " rc=%d waits=%s class=%s", rec->job,
         job_state_names[rec->state], rec->incarnation, rc, job_wait_names[rec->wait],
         rec->numerics_class);
    if (rc == 0)
        keep(rec);
    return rc;
}

WRAP(int, store_job_remove, struct store *s, int64_t job, struct errbuf *why)
{
    note("removing job=%" PRId64, job);
    int rc = __real_store_job_remove(s, job, why);

    note("removed job=%" PRId64 " rc=%d", job, rc);
    return rc;
}

/* Those that are new have no number before. */
WRAP(int, store_study_put, struct store *s, struct study *study, struct job_record *const *recs,
     const struct job_notes *const *notes, struct errbuf *why)
{
    bool new[SCENARIO_STUDY_JOBS * 2] = {false};
    int count = 0;

    for (int i = 0; i < study->job_count; i++) {
        new[i] = study->jobs[i].job == 0;
        count += new[i];
    }
    note("study_putting new=%d", count);
    int rc = __real_store_study_put(s, study, recs, notes, why);

    for (int i = 0; rc == 0 && i < study->job_count; i++) {
        if (!new[i])
            continue;
        note("row job=%" PRId64 " state=%s inc=%" PRId64 " rc=0 class=", recs[i]->job,
             job_state_names[recs[i]->state], recs[i]->incarnation);
        keep(recs[i]);
    }
    for (int i = 0; rc == 0 && i < study->job_count; i++)
        note("study_has job=%" PRId64, study->jobs[i].job);
    note("study_put rc=%d", rc);
    return rc;
}

WRAP(int, store_study_remove, struct store *s, const struct study *study, struct errbuf *why)
{
    for (int i = 0; i < study->job_count; i++)
        note("removing job=%" PRId64, study->jobs[i].job);
    note("study_removing");
    int rc = __real_store_study_remove(s, study, why);

    for (int i = 0; i < study->job_count; i++)
        note("removed job=%" PRId64 " rc=%d", study->jobs[i].job, rc);
    note("study_removed rc=%d", rc);
    return rc;
}

struct each_study {
    void (*call)(void *arg, struct study *study);
    void *arg;
};

static void each_study(void *arg, struct study *study)
{
    const struct each_study *each = arg;

    for (int i = 0; i < study->job_count; i++)
        note("study_has job=%" PRId64, study->jobs[i].job);
    each->call(each->arg, study);
}

WRAP(int, store_studies_load, struct store *s, void (*call)(void *arg, struct study *study),
     void *arg, struct errbuf *why)
{
    struct each_study each = {call, arg};

    note("study_recovering");
    int rc = __real_store_studies_load(s, each_study, &each, why);

    note("study_recovery rc=%d", rc);
    return rc;
}

struct each {
    void (*call)(void *arg, struct job_record *rec);
    void *arg;
};

static void each_job(void *arg, struct job_record *rec)
{
    const struct each *each = arg;

    note("recovered job=%" PRId64 " state=%s inc=%" PRId64 " waits=%s class=%s", rec->job,
         job_state_names[rec->state], rec->incarnation, job_wait_names[rec->wait],
         rec->numerics_class);
    keep(rec);
    each->call(each->arg, rec);
}

WRAP(int, store_jobs_load, struct store *s, void (*call)(void *arg, struct job_record *rec),
     void *arg, struct errbuf *why)
{
    struct each each = {call, arg};

    holds = false;
    note("recovering");
    int rc = __real_store_jobs_load(s, each_job, &each, why);
    note("recovery rc=%d", rc);
    return rc;
}
