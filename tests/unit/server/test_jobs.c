/* Jobs from their submission to their end: turns, verbs, what is durable, and what becomes of them
 * when nothing can be written. Files are taken away and put back to make it so. */
#include <errno.h>
#include <unistd.h>

#include "server/handle/handlers.h"
#include "tests/unit/server/service_fixture.h"
#include "tests/unit/server/store_fixture.h"

static void tick(int64_t ms)
{
    now_ms += ms;
    jobs_tick(service.jobs, now_ms);
    settle();
}

static void pump(void)
{
    jobs_pump(service.jobs);
    settle();
}

/* What a person asks for, as far as the loop: nothing is written yet. */
static struct told *ask(struct job *job, enum job_verb verb)
{
    struct told *told;

    jobs_verb(service.jobs, job, verb, request_of(&net, MSG_JOB_PAUSE, "", NULL, &told));
    return told;
}

static struct told *ask_and_wait(struct job *job, enum job_verb verb)
{
    struct told *told = ask(job, verb);

    settle();
    return told;
}

static const char *state_told(const struct told *told)
{
    const cJSON *row = cJSON_GetObjectItemCaseSensitive(told->json, "job");
    const cJSON *state = cJSON_GetObjectItemCaseSensitive(row, "state");

    return cJSON_IsString(state) ? state->valuestring : "";
}

/* "": it waits for nothing. */
static const char *waiting_of(struct job *job)
{
    static char text[400];
    cJSON *row = jobs_row(service.jobs, job);
    const cJSON *waiting = cJSON_GetObjectItemCaseSensitive(row, "waiting");

    snprintf(text, sizeof(text), "%s", waiting ? waiting->valuestring : "");
    cJSON_Delete(row);
    return text;
}

static void move(const char *file, const char *from, const char *to)
{
    char old[STATE_PATH_BYTES], new[STATE_PATH_BYTES];

    state_dir_db(old, service.dir, file, from);
    state_dir_db(new, service.dir, file, to);
    ASSERT_EQ(0, rename(old, new));
}

static void take_away(const char *file)
{
    move(file, "", ".away");
}

static void put_back(const char *file)
{
    move(file, ".away", "");
}

#define ASSERT_STATE_DB(want, query)                                                               \
    do {                                                                                           \
        char *got_ = fixture_select("state.db", query);                                            \
        ASSERT_STR(want, got_);                                                                    \
        free(got_);                                                                                \
    } while (0)

/* --- the table --- */

TEST(a_job_is_found_by_its_number_or_the_sentence_says_which_there_are)
{
    struct job *found;
    struct errbuf why;

    service_make(0, PLENTY);
    ASSERT_EQ(-ENOENT, jobs_find(service.jobs, 1, &found, &why));
    ASSERT_HAS("none has been submitted yet", why.text);
    struct job *one = submit(1, "");
    ASSERT_EQ(-ENOENT, jobs_find(service.jobs, 7, &found, &why));
    ASSERT_HAS("the only one is 1", why.text);
    struct job *two = submit(2, ""), *three = submit(3, "");
    ASSERT_EQ(-ENOENT, jobs_find(service.jobs, 7, &found, &why));
    ASSERT_HAS("the jobs are 1 to 3", why.text);
    ASSERT_OK(jobs_find(service.jobs, 2, &found, &why), why);
    ASSERT(found == two);
    ASSERT(jobs_by_uuid(service.jobs, three->rec.uuid) == three);
    ASSERT(!jobs_by_uuid(service.jobs, "nobody"));
    ASSERT(jobs_first(service.jobs) == one && one->next == two && two->next == three);
    jobs_remove(service.jobs, two);
    ASSERT(one->next == three);
    ASSERT_EQ(-ENOENT, jobs_find(service.jobs, 2, &found, &why));
    service_end();
}

TEST(so_many_jobs_run_and_the_others_wait_for_their_turn)
{
    service_make(2, PLENTY);
    struct job *one = submit(1, RELAXED), *two = submit(2, RELAXED), *three = submit(3, RELAXED);
    pump();
    ASSERT(one->run && two->run && !three->run);
    ASSERT_EQ(JOB_QUEUED, three->rec.state);
    ASSERT_STR("2 jobs run", waiting_of(three));
    ASSERT(jobs_running(service.jobs, 0) == one && jobs_running(service.jobs, 1) == two);
    ASSERT(!jobs_running(service.jobs, 2));
    ASSERT_STR("running", state_told(ask_and_wait(one, VERB_RESUME))); /* it does */
    ask_and_wait(one, VERB_PAUSE);
    ASSERT(three->run);
    ask_and_wait(one, VERB_RESUME);
    ASSERT_EQ(JOB_QUEUED, one->rec.state);
    finish_rounds(two);
    settle();
    ASSERT_EQ(JOB_DONE, two->rec.state);
    ASSERT(one->run);
    ASSERT(jobs_running(service.jobs, 0) == one && jobs_running(service.jobs, 1) == three);
    service_end();
}

TEST(a_job_that_does_not_fit_beside_others_waits_and_is_not_overtaken)
{
    service_make(3, PLENTY);
    struct job *one = submit(1, RELAXED);
    const int64_t need = job_memory_with(service.jobs, one);
    service.memory_bytes = 2 * need;
    struct job *two = submit(2, RELAXED), *three = submit(3, RELAXED), *four = submit(4, RELAXED);
    pump();
    ASSERT(one->run && two->run && !three->run && !four->run);
    ASSERT_HAS("--memory allows", waiting_of(three));
    ASSERT_HAS("with the jobs that run it would take", waiting_of(three));
    ask_and_wait(two, VERB_CANCEL);
    ASSERT(three->run && !four->run);
    service_end();
}

TEST(a_job_that_cannot_start_says_why_once_and_tries_again)
{
    service_make(1, PLENTY);
    struct job *job = submit(1, RELAXED);
    service.memory_bytes = 10;
    for (int i = 0; i < 4; i++) {
        pump();
        ASSERT(!job->run);
        ASSERT_EQ(JOB_QUEUED, job->rec.state);
        ASSERT_HAS("--memory allows 10 bytes", waiting_of(job));
        ASSERT_HAS("; tries again every 5 s", waiting_of(job));
        tick(RETRY_MS);
    }
    ASSERT_STATE_DB("1\n", "SELECT count(*) FROM event WHERE kind = 'waiting'");
    service.memory_bytes = PLENTY;
    tick(RETRY_MS - 1);
    ASSERT(!job->run);
    tick(1);
    ASSERT(job->run);
    ASSERT_STR("", job->stuck);
    service_end();
}

/* --- verbs --- */

static struct job *job_in(int number, enum job_state state)
{
    struct job *job = submit(number, RELAXED);

    if (state == JOB_DONE)
        job_set_state(service.jobs, job, JOB_RUNNING);
    if (state != JOB_QUEUED)
        job_set_state(service.jobs, job, state);
    job_write(service.jobs, job, NULL, "", NULL);
    settle();
    return job;
}

#define NO JOB_STATES

TEST(a_verb_leads_where_the_matrix_says_and_is_written_then)
{
    static const enum job_state to[JOB_STATES][3] = {
        [JOB_QUEUED] =
            {[VERB_PAUSE] = JOB_PAUSED, [VERB_RESUME] = JOB_QUEUED, [VERB_CANCEL] = JOB_CANCELLED},
        [JOB_RUNNING] =
            {[VERB_PAUSE] = JOB_PAUSED, [VERB_RESUME] = JOB_RUNNING, [VERB_CANCEL] = JOB_CANCELLED},
        [JOB_PAUSED] =
            {[VERB_PAUSE] = JOB_PAUSED, [VERB_RESUME] = JOB_QUEUED, [VERB_CANCEL] = JOB_CANCELLED},
        [JOB_DONE] = {NO, NO, NO},
        [JOB_FAILED] = {NO, NO, NO},
        [JOB_CANCELLED] = {[VERB_PAUSE] = NO, [VERB_RESUME] = NO, [VERB_CANCEL] = JOB_CANCELLED},
    };
    char query[80], want[24];

    service_make(0, PLENTY);
    for (int from = 0, number = 1; from < JOB_STATES; from++)
        for (int verb = 0; verb < 3; verb++, number++) {
            struct job *job = job_in(number, (enum job_state)from);
            const enum job_state state = to[from][verb];
            struct told *told = ask(job, (enum job_verb)verb);
            ASSERT_EQ(state == NO, told->answers); /* what is done is answered when it is written */
            settle();
            if (state == NO)
                ASSERT_REFUSED("not_allowed", told);
            else
                ASSERT_STR(job_state_names[state], state_told(told));
            ASSERT_EQ(state == NO ? (enum job_state)from : state, job->rec.state);
            ASSERT_EQ(job->rec.state, job->kept_state);
            snprintf(query, sizeof(query), "SELECT state FROM job WHERE job_id = %d", number);
            snprintf(want, sizeof(want), "%s\n", job_state_names[job->rec.state]);
            ASSERT_STATE_DB(want, query);
        }
    service_end();
}

TEST(a_paused_job_goes_on_where_it_was)
{
    service_make(1, PLENTY);
    struct job *job = submit_running(1, RELAXED);
    go_to_step(job, 1);
    struct told *told = ask_and_wait(job, VERB_PAUSE);
    ASSERT_STR("paused", state_told(told));
    ASSERT_STR("paused by a person", job->rec.reason);
    ASSERT(!job->run);
    tick(10 * RETRY_MS);
    ASSERT_EQ(JOB_PAUSED, job->rec.state);
    ask_and_wait(job, VERB_RESUME);
    ASSERT(job->run);
    ASSERT_STR("", job->rec.reason);
    ASSERT_EQ(1, run_step(job->run));
    ASSERT_EQ(2, job->rec.incarnation);
    ASSERT_STATE_DB("1\n", "SELECT count(*) FROM event WHERE kind = 'recover'");
    service_end();
}

TEST(a_verb_that_cannot_be_written_has_not_happened)
{
    service_make(1, PLENTY);
    struct job *job = submit_running(1, RELAXED);
    for (int verb = VERB_PAUSE; verb <= VERB_CANCEL; verb += VERB_CANCEL - VERB_PAUSE) {
        take_away("state.db");
        struct told *told = ask(job, (enum job_verb)verb);
        struct told *second = ask(job, VERB_CANCEL);
        ASSERT(job->rec.state != JOB_RUNNING); /* in memory at once */
        settle();
        ASSERT_REFUSED("unavailable", told);
        ASSERT_HAS("state.db", told_text(told, "error"));
        ASSERT_EQ(1, second->answers);
        ASSERT_STR("error", told_text(second, "type"));
        ASSERT_EQ(JOB_RUNNING, job->rec.state);
        ASSERT_STR("", job->rec.reason);
        ASSERT_EQ(0, job->rec.finished_unix_ms);
        ASSERT_EQ(0, job->asked);
        put_back("state.db");
        tick(RETRY_MS);
        ASSERT(job->run); /* from its checkpoint */
    }
    ASSERT_STATE_DB("running\n", "SELECT state FROM job");
    service_end();
}

TEST(a_verb_behind_the_last_epoch_meets_what_that_left)
{
    service_make(1, PLENTY);
    struct job *job = submit_running(1, RELAXED);
    finish_rounds(job);
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    ASSERT_HAS("1 epoch is being written", waiting_of(job));
    struct told *told = ask(job, VERB_CANCEL);
    ASSERT_EQ(0, told->answers);
    settle();
    ASSERT_REFUSED("not_allowed", told);
    ASSERT_HAS("job 1 is done", told_text(told, "error"));
    ASSERT_EQ(JOB_DONE, job->rec.state);
    ASSERT_EQ(SHA256_HEX - 1, strlen(job->rec.model_sha256));
    ASSERT_EQ(1, job->epochs_done);
    ASSERT(job->rec.finished_unix_ms > 0);
    ASSERT_STATE_DB("done\n", "SELECT state FROM job");
    service_end();
}

/* --- what cannot be kept --- */

/* A job whose epoch meets a missing difficulty.db. */
static struct job *stranded(void)
{
    struct job *job = submit_running(1, RELAXED);

    take_away("difficulty.db");
    finish_rounds(job);
    settle();
    ASSERT_EQ(JOB_PAUSED, job->rec.state);
    ASSERT_EQ(WAIT_FILE, job->rec.wait);
    ASSERT_HAS("difficulty.db", job->rec.reason);
    ASSERT_HAS("; it goes on by itself when it is back", job->rec.reason);
    return job;
}

TEST(a_job_that_cannot_be_kept_goes_on_by_itself)
{
    service_make(1, PLENTY);
    struct job *job = stranded();
    for (int i = 0; i < 3; i++) {
        tick(RETRY_MS);
        ASSERT_EQ(JOB_PAUSED, job->rec.state);
    }
    put_back("difficulty.db");
    ASSERT(job->unwritten[0]);
    tick(RETRY_MS);
    ASSERT_STR("", job->unwritten);
    ASSERT_STATE_DB("1\n", "SELECT count(*) FROM event WHERE text LIKE 'paused: %'");
    ASSERT_STATE_DB("1\n",
                    "SELECT count(*) FROM event WHERE text = 'paused -> queued: it is back'");
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    ASSERT_EQ(WAIT_NOTHING, job->rec.wait);
    ASSERT_STATE_DB("running|\n", "SELECT state, waits_for FROM job");
    finish_rounds(job);
    settle();
    ASSERT_EQ(JOB_DONE, job->rec.state);
    service_end();
}

TEST(one_that_a_person_pauses_meanwhile_stays_paused)
{
    service_make(1, PLENTY);
    struct job *job = stranded();
    put_back("difficulty.db");
    ASSERT_STR("paused", state_told(ask_and_wait(job, VERB_PAUSE)));
    ASSERT_EQ(WAIT_NOTHING, job->rec.wait);
    for (int i = 0; i < 4; i++)
        tick(RETRY_MS);
    ASSERT_EQ(JOB_PAUSED, job->rec.state);
    ASSERT_STATE_DB("paused||paused by a person\n", "SELECT state, waits_for, reason FROM job");
    service_end();
}

TEST(what_does_not_pass_waits_for_a_person)
{
    static const struct {
        int rc;
        enum job_wait wait;
        const char *says;
    } cases[] = {
        {-ENOSPC, WAIT_ROOM, "when there is room"},
        {-EFBIG, WAIT_ROOM, "when there is room"},
        {-EROFS, WAIT_WRITABLE, "when it can be written"},
        {-EACCES, WAIT_WRITABLE, "when it can be written"},
        {-EBUSY, WAIT_LOCK, "when the lock is gone"},
        {-ESTALE, WAIT_FILE, "when it is back"},
        {-EIO, WAIT_NOTHING, "steppe resume tries again"},
        {-ENOMEM, WAIT_NOTHING, "steppe resume tries again"},
    };
    const int count = sizeof(cases) / sizeof(cases[0]);

    service_make(0, PLENTY);
    for (int i = 0; i < count; i++) {
        struct job *job = job_in(i + 1, JOB_RUNNING);
        job_pause_for(service.jobs, job, cases[i].rc, "it broke");
        settle();
        ASSERT_EQ(cases[i].wait, job->rec.wait);
        ASSERT_HAS("it broke; ", job->rec.reason);
        ASSERT_HAS(cases[i].says, job->rec.reason);
    }
    ASSERT_STATE_DB("room\nroom\nwritable\nwritable\nlock\nfile\n\n\n",
                    "SELECT waits_for FROM job ORDER BY job_id");
    for (int i = 0; i < 2 * count; i++)
        tick(RETRY_MS);
    for (struct job *job = jobs_first(service.jobs); job; job = job->next)
        ASSERT_EQ(cases[job->rec.job - 1].wait ? JOB_QUEUED : JOB_PAUSED, job->rec.state);
    service_end();
}

/* Leaves a state.db with two paused jobs; the first goes on by itself. */
static void close_with_jobs_that_wait(void)
{
    service_make(0, PLENTY);
    struct job *job = job_in(1, JOB_RUNNING);
    job_pause_for(service.jobs, job, -ENOSPC, "no space left");
    job = job_in(2, JOB_RUNNING);
    job_pause_for(service.jobs, job, -EIO, "it broke");
    settle();
    service_close();
}

/* Opens it and leaves it to itself. */
static void reopen(void)
{
    service_open(2, PLENTY);
    for (int i = 0; i < 3; i++)
        tick(RETRY_MS);
}

TEST(a_job_that_waited_when_the_server_was_older_goes_on_by_itself)
{
    close_with_jobs_that_wait();
    fixture_older(3);
    reopen();
    ASSERT_STATE_DB("running|\npaused|\n", "SELECT state, waits_for FROM job ORDER BY job_id");
    ASSERT(jobs_first(service.jobs)->run);
    service_end();
}

TEST(how_a_reason_is_worded_decides_nothing)
{
    close_with_jobs_that_wait();
    free(fixture_select("state.db", "UPDATE job SET reason = CASE job_id WHEN 1 THEN 'en attente'"
                                    " ELSE 'x; it goes on by itself when there is room' END"));
    reopen();
    ASSERT_STATE_DB("running\npaused\n", "SELECT state FROM job ORDER BY job_id");
    service_end();
}

/* --- ends and beginnings --- */

TEST(a_job_that_fails_has_a_printable_reason_and_an_end)
{
    service_make(1, PLENTY);
    struct job *job = submit_running(1, RELAXED);
    take_away("state.db");
    jobs_fail(service.jobs, job, "a\nb\x1b[1m");
    ASSERT_EQ(JOB_FAILED, job->rec.state);
    ASSERT(!job->run);
    settle();
    ASSERT_EQ(JOB_FAILED, job->rec.state); /* nobody asked for it: it stays so */
    ASSERT_HAS("its end is not on the disk yet", waiting_of(job));
    put_back("state.db");
    tick(RETRY_MS - 1);
    ASSERT_HAS("its end is not on the disk yet", waiting_of(job));
    tick(1);
    ASSERT_STR("", waiting_of(job));
    ASSERT(!strpbrk(job->rec.reason, "\n\x1b"));
    ASSERT_STATE_DB("failed\n", "SELECT state FROM job WHERE finished_unix_ms > 0");
    ASSERT_STATE_DB("1\n", "SELECT count(*) FROM event WHERE text LIKE 'failed: %'");
    service_end();
}

TEST(a_server_that_stops_loses_no_step)
{
    service_make(1, PLENTY);
    struct job *job = submit_running(1, RELAXED);
    submit(2, RELAXED);
    go_to_step(job, 2);
    jobs_stop(service.jobs);
    ASSERT(!job->run);
    service_close();
    service_open(1, PLENTY);
    job = jobs_first(service.jobs);
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    ASSERT_EQ(2, job->step);
    pump();
    ASSERT(job->run && !job->next->run);
    ASSERT_EQ(2, run_step(job->run));
    ASSERT_EQ(2, job->rec.incarnation);
    ASSERT(job->touched);
    service_end();
}

TEST(checkpoints_inside_an_epoch_are_as_old_as_was_said)
{
    service_make(1, PLENTY);
    service.checkpoint_s = 60;
    struct job *job = submit_running(1, RELAXED);
    tick(60000);
    ASSERT_STATE_DB("0\n", "SELECT count(*) FROM checkpoint"); /* nothing is new */
    go_to_step(job, 1);
    tick(0);
    ASSERT_STATE_DB("1\n", "SELECT step FROM checkpoint");
    go_to_step(job, 2);
    tick(59999);
    ASSERT_STATE_DB("1\n", "SELECT step FROM checkpoint");
    tick(1);
    ASSERT_STATE_DB("1\n2\n", "SELECT step FROM checkpoint ORDER BY step");
    service_end();
}

TEST(the_log_of_a_job_takes_so_many_notes_of_workers)
{
    service_make(1, PLENTY);
    submit_running(1, RELAXED);
    hello("ann", 1, "a");
    for (int i = 0; i <= NOTES_MAX; i++) {
        struct told *told;
        told_forget();
        handle_worker_note(request_of(&net, MSG_WORKER_NOTE, "ann",
                                      "{\"job\": 1, \"text\": \"slow\\u0007 disk\"}", &told));
        if (i < NOTES_MAX)
            ASSERT_STR("worker.note", told_text(told, "type"));
        else
            ASSERT_REFUSED("limit", told);
    }
    settle();
    ASSERT_STATE_DB("100|worker ann: slow? disk\n",
                    "SELECT count(*), min(text) FROM event WHERE kind = 'worker'");
    service_end();
}

/* --- the class --- */

static const char *why_broken(const struct job *job, bool holds)
{
    static char text[200];
    cJSON *promise = job_class_promise(job);
    const cJSON *why = cJSON_GetObjectItemCaseSensitive(promise, "why");

    ASSERT_EQ(holds, cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(promise, "holds")));
    snprintf(text, sizeof(text), "%s", why ? why->valuestring : "");
    cJSON_Delete(promise);
    return text;
}

TEST(a_class_is_pinned_when_it_is_written)
{
    service_make(1, PLENTY);
    struct job *job = submit_running(1, "");
    take_away("state.db");
    job_class_pin(service.jobs, job, "avx2");
    ASSERT(job->class_pending);
    settle();
    /* It begins again where it was on the disk, and the class is written first. */
    ASSERT_STR("avx2", job->rec.numerics_class);
    ASSERT_HAS("tries again every 5 s", job->hold);
    ASSERT(!job->run && !jobs_ready(job));
    put_back("state.db");
    tick(RETRY_MS);
    settle();
    ASSERT(jobs_ready(job));
    ASSERT_STATE_DB("avx2\n", "SELECT numerics_class FROM job");
    job_class_give_back(service.jobs, job);
    settle();
    ASSERT_STATE_DB("\n", "SELECT numerics_class FROM job");
    ASSERT_STR("", why_broken(job, true)); /* nothing was computed in it */
    service_end();
}

TEST(a_person_may_end_the_promise_of_the_same_bits)
{
    struct told *told;

    service_make(1, PLENTY);
    struct job *job = submit_running(1, "");
    job_class_pin(service.jobs, job, "avx2");
    settle();
    workers_counted(service.workers, hello("ann", 1, "avx2"), job, 4);
    go_to_step(job, 1);
    job_class_unpin(service.jobs, job, "sse", request_of(&net, MSG_JOB_UNPIN, "", NULL, &told));
    settle();
    ASSERT_STR("avx2", job->rec.numerics_class); /* it has another one */
    ASSERT_STR("", why_broken(job, true));
    job_class_unpin(service.jobs, job, "avx2", request_of(&net, MSG_JOB_UNPIN, "", NULL, &told));
    settle();
    ASSERT_STR("running", state_told(told));
    ASSERT_STR("class avx2 was unpinned at step 1", why_broken(job, false));
    ASSERT(job->run);
    ASSERT_EQ(1, run_step(job->run));
    ASSERT(!job_class_is_relaxed(job));
    job_class_relax(service.jobs, job, request_of(&net, MSG_JOB_RESUME, "", NULL, &told));
    settle();
    ASSERT(job_class_is_relaxed(job));
    ASSERT_HAS("relaxed at step 1", why_broken(job, false));
    ASSERT_STATE_DB("1\n", "SELECT relaxed FROM job");
    ask_and_wait(job, VERB_CANCEL);
    job_class_relax(service.jobs, job, request_of(&net, MSG_JOB_RESUME, "", NULL, &told));
    ASSERT_REFUSED("not_allowed", told);
    service_end();
}
