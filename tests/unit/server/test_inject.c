/* The n-th allocation and the n-th call that changes the disk fails, with the machine's own disk,
 * threads and sockets: while a server starts, a job is inserted, an epoch folded, a checkpoint
 * written. What the run was told is kept is there when the store is opened again, and what is done
 * again has the same rows. inject_fixture.h runs and judges; tests/unit/sim/test_inject.c does the
 * same to the whole of a server at work. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>

#include "server/http/http_internal.h"
#include "server/server.h"
#include "server/store/checkpoint.h"
#include "server/store/db_check.h"
#include "tests/unit/server/inject_fixture.h"
#include "tests/unit/server/run_fixture.h"

#define ROWS 40 /* samples of a fold */

/* Both files are whole. */
static void check_files(void)
{
    static const char *const files[] = {"state.db", "difficulty.db"};
    struct errbuf why;

    for (size_t i = 0; i < 2; i++)
        ASSERT_OK(db_check_file(test_path("state"), files[i], NULL, &why), why);
}

/* --- a server starts --- */

static void start(struct ending *r)
{
    struct server *s = xcalloc(1, sizeof(*s));
    char *listen = xasprintf("ipc://%s", test_path("socket"));
    const struct server_options options = {.state = test_path("state"),
                                           .listen = listen,
                                           .http = HTTP_NONE,
                                           .memory_bytes = 1 << 30,
                                           .max_running = 1,
                                           .checkpoint_s = 60,
                                           .uploads_bytes = UPLOADS_BYTES_DEFAULT};
    struct errbuf why = {""};

    arm();
    int rc = server_check(&options, &why);
    if (rc == 0)
        rc = server_open(s, &options, &why);
    if (rc == 0)
        server_close(s);
    take(r, rc, &why);
    free(listen);
    free(s);
}

static void prepare_jobs(void)
{
    struct store *s = fixture_open();

    fixture_dataset(s, ROWS);
    ASSERT_EQ(1, fixture_job(s, 1));
    ASSERT_EQ(2, fixture_job(s, 2));
    fixture_fold(s, 1, 0, ROWS, NULL);
    fixture_fold(s, 1, 1, ROWS, NULL);
    store_close(s);
}

static void check_start(const struct ending *r)
{
    (void)r;
    store_close(fixture_open());
    check_files();
    if (now.before) {
        char *got = fixture_dump();
        ASSERT_STR(now.before, got);
        free(got);
    }
}

/* --- a job is inserted --- */

static void insert(struct ending *r)
{
    struct job_record rec = fixture_job_record(3);
    struct store *s = fixture_open();
    struct errbuf why;

    arm();
    int rc = store_job_insert(s, &rec, NULL, &why);
    if (rc == 0) {
        rec.state = JOB_RUNNING;
        rec.incarnation = 1;
        rc = store_job_update(s, &rec, "state", "running", &why);
    }
    take(r, rc, &why);
    store_close(s);
}

static void count_job(void *arg, struct job_record *rec)
{
    *(int *)arg += rec->job == 3 && rec->state == JOB_RUNNING ? 10 : 1;
    free(rec->spec_json);
}

/* As before, as in the middle, or as after; nothing else. */
static void check_insert(const struct ending *r)
{
    struct store *s = fixture_open();
    struct errbuf why;
    int jobs = 0;

    ASSERT_OK(store_jobs_load(s, count_job, &jobs, &why), why);
    store_close(s);
    check_files();
    char *got = fixture_dump();
    if (acknowledged(r)) {
        ASSERT_EQ(12, jobs);
        now.after = now.after ? now.after : strdup(got);
    }
    ASSERT(jobs == 2 || jobs == 3 || jobs == 12);
    if (jobs != 3)
        ASSERT_STR(jobs == 2 ? now.before : now.after, got);
    free(got);
}

/* --- an epoch is folded --- */

static void fold(struct ending *r)
{
    struct fixture_scores x = fixture_scores(1, 2, ROWS);
    struct store *s = fixture_open();
    char sha256[SHA256_HEX] = "", again[SHA256_HEX] = "";
    struct errbuf why;

    arm();
    int rc = store_fold(s, &x.fold, sha256, &why);
    memcpy(r->sha256, sha256, sizeof(sha256));
    int read = rc == 0 ? store_epoch_hash(s, 1, 2, again, &why) : 0;
    take(r, rc < 0 ? rc : read, &why);
    if (rc == 0 && read == 0)
        ASSERT_STR(sha256, again);
    store_close(s);
    fixture_scores_done(&x);
}

static void check_fold(const struct ending *r)
{
    struct store *s = fixture_open();
    char sha256[SHA256_HEX] = "";
    struct errbuf why;

    int rc = store_epoch_hash(s, 1, 2, sha256, &why);
    ASSERT(rc == 0 || rc == -ENOENT);
    if (acknowledged(r) && !now.after)
        memcpy(now.sha256, r->sha256, sizeof(now.sha256));
    if (r->sha256[0] || rc == 0) /* it was said to be there, or is */
        ASSERT_STR(now.sha256, sha256);
    fixture_fold(s, 1, 2, ROWS, sha256);
    ASSERT_STR(now.sha256, sha256);
    store_close(s);
    check_files();
    char *got = fixture_dump();
    now.after = now.after ? now.after : strdup(got);
    ASSERT_STR(now.after, got);
    free(got);
}

/* --- a checkpoint is written --- */

#define ROUNDS 5 /* of the run behind the first checkpoint, and again as many to the second */

static const struct drive plain = {.seed = 1, .want_max = 4};

static struct checkpoint_shape shape_of(const struct fixture *f)
{
    return (struct checkpoint_shape){.floats = f->model.floats,
                                     .samples = SAMPLES,
                                     .vectors = run_vectors(&f->spec),
                                     .lapses = curriculum_counts_lapses(&f->spec)};
}

static struct run *run_to(const struct fixture *f, int rounds, struct outcome *o)
{
    struct run *r = started(f);
    struct run_epoch e;

    sha256_init(&o->epochs);
    while (rounds-- > 0)
        if (drive_round(r, f, &plain, &e) == RUN_EPOCH)
            outcome_add(o, &e);
    return r;
}

/* As job_save_checkpoint does it. */
static int save(struct store *s, struct run *run, const char *file, struct errbuf *why)
{
    struct checkpoint *c = checkpoint_take(run, 0);

    if (!c)
        return err_set(why, -ENOMEM, "no memory for a checkpoint");
    struct checkpoint_record rec = {
        .job = 1, .step = (int64_t)checkpoint_step(c), .epoch = checkpoint_epoch(c)};
    snprintf(rec.file, sizeof(rec.file), "%s", file);
    int rc = checkpoint_write(c, test_path(file), NULL, rec.sha256, why);
    if (rc == 0)
        rc = store_checkpoint_add(s, &rec, why);
    checkpoint_free(c);
    return rc;
}

static void prepare_checkpoint(void)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    struct outcome o;
    struct run *run = run_to(f, ROUNDS, &o);
    struct errbuf why;

    prepare_jobs();
    struct store *s = fixture_open();
    ASSERT_OK(save(s, run, "first.safetensors", &why), why);
    store_close(s);
    run_free(run);
    fixture_free(f);
}

static int read_newest(struct store *s, const struct fixture *f, struct checkpoint **ret,
                       int64_t *ret_step, struct errbuf *why)
{
    const struct checkpoint_shape shape = shape_of(f);
    struct checkpoint_record list[4];
    int count = 0, rc = store_checkpoints_load(s, 1, list, 4, &count, why);

    if (rc == 0 && count == 0)
        rc = err_set(why, -ENOENT, "state.db has no checkpoint");
    if (rc == 0)
        rc = checkpoint_read(test_path(list[0].file), list[0].sha256, &shape, NULL, ret, why);
    if (rc == 0)
        *ret_step = list[0].step;
    return rc;
}

static void checkpoint(struct ending *r)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    struct outcome o;
    struct run *run = run_to(f, 2 * ROUNDS, &o);
    struct store *s = fixture_open();
    struct checkpoint *c = NULL;
    struct errbuf why;
    int64_t step;

    arm();
    int rc = save(s, run, "second.safetensors", &why);
    int read = rc == 0 ? read_newest(s, f, &c, &step, &why) : 0;
    take(r, rc < 0 ? rc : read, &why);
    snprintf(r->sha256, sizeof(r->sha256), "%s", rc == 0 ? "second" : "");
    checkpoint_free(c);
    store_close(s);
    run_free(run);
    fixture_free(f);
}

/* The newest is whole, and the job goes on from it to the same bits. */
static void check_checkpoint(const struct ending *r)
{
    struct fixture *f = fixture_create(SWEEP_JOB);
    const struct outcome want = drive(f, &plain);
    struct run *first, *run = fixture_run(f, 2);
    struct checkpoint *c;
    struct outcome got;
    struct errbuf why;
    int64_t step;

    struct store *s = fixture_open();
    ASSERT_OK(read_newest(s, f, &c, &step, &why), why);
    store_close(s);
    check_files();
    first = run_to(f, ROUNDS, &got);
    bool is_first = step == (int64_t)run_step(first);
    run_free(first);
    if (r->sha256[0])
        ASSERT(!is_first);
    first = run_to(f, is_first ? ROUNDS : 2 * ROUNDS, &got);
    run_free(first);
    checkpoint_restore(c, run);
    checkpoint_free(c);
    ASSERT_EQ(0, run_start(run, 0));
    drive_on(run, f, &plain, &got);
    same_outcome(&want, &got);
    run_free(run);
    fixture_free(f);
}

/* --- a browser's body is read --- */

static void dispatched(struct request *rq)
{
    request_drop(rq);
}

static void body(struct ending *r)
{
    static const char *const pieces[] = {"{\"job\": ", "1}"};
    struct net net = {.dispatch = dispatched};
    char path[] = "/api/job.pause";
    struct http_exchange x = {.net = &net, .path = path};
    struct errbuf why = {""};

    arm();
    for (size_t i = 0; i < 2; i++)
        ASSERT(http_take_body(&x, pieces[i], strlen(pieces[i])));
    http_api(&x, "POST");
    free(x.body);
    if (x.response) {
        fault_let_go(); /* its text */
        MHD_destroy_response(x.response);
    }
    /* 503 as well where it is handed on and then dropped; 400 would blame the client. */
    take(r, x.status == 503 ? 0 : err_set(&why, -EIO, "status %u, not of memory", x.status), &why);
}

static void check_body(const struct ending *r)
{
    ASSERT(!r->returned || r->rc == 0);
}

/* --- which n --- */

static void wants(const char *inject, const char *want)
{
    static const struct fault_place places[] = {
        {FAULT_OWN, FAULT_OWN}, {7, 1}, {7, 1}, {7, 1}, {7, 2}, {7, 2},
        {FAULT_OWN, FAULT_OWN}, {9, 2}};
    struct fault_record *seen = fault_record_create();
    char got[80] = "", *end = got;
    struct sweep_plan plan;

    ASSERT(seen);
    memcpy(seen->places, places, sizeof(places));
    seen->calls = sizeof(places) / sizeof(places[0]);
    ASSERT_EQ(0, setenv("INJECT", inject, 1));
    sweep_plan(&plan, seen, RUNS);
    for (uint64_t i = 0; i < plan.count; i++)
        end += sprintf(end, "%" PRIu64 " ", plan.numbers[i]);
    ASSERT_STR(want, got);
    ASSERT_EQ(2, plan.own);
    ASSERT_EQ(2, plan.ways);
    ASSERT_EQ(2, plan.contexts);
    sweep_plan_done(&plan);
    fault_record_free(seen);
}

TEST(the_first_and_the_last_of_a_place_are_tried)
{
    wants("every", "1 2 3 4 5 6 7 8 9 ");
    wants("all", "1 2 4 5 6 7 8 9 "); /* 4: the last of its context */
}

TEST(a_server_starts_on_an_empty_folder)
{
    sweep_all(&(struct scenario){NULL, start, check_start});
}

TEST(a_server_starts_on_a_folder_with_jobs)
{
    sweep_all(&(struct scenario){prepare_jobs, start, check_start});
}

TEST(a_job_is_inserted)
{
    sweep_all(&(struct scenario){prepare_jobs, insert, check_insert});
}

TEST(an_epoch_is_folded)
{
    sweep_all(&(struct scenario){prepare_jobs, fold, check_fold});
}

TEST(a_checkpoint_is_written)
{
    sweep_all(&(struct scenario){prepare_checkpoint, checkpoint, check_checkpoint});
}

TEST(a_body_is_read)
{
    sweep_kinds(&(struct scenario){NULL, body, check_body}, false);
}
