/* The n-th allocation and the n-th operation on the disk fails, in the whole server (tests/sim):
 * while it starts, takes a job on, folds an epoch, writes a checkpoint and goes on from one. Which
 * n are tried tests/inject/sweep.h says. The reader of the simulation judges every run: what was
 * acknowledged is there, and the job ends with the model and the scores of the undisturbed run; in
 * the end `db check` finds everything whole. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/hash.h"
#include "common/text.h"
#include "server/core/score_hash.h"
#include "server/handle/handlers.h"
#include "server/server.h"
#include "server/store/checkpoint.h"
#include "server/store/db.h"
#include "server/store/db_check.h"
#include "tests/harness.h"
#include "tests/inject/fault.h"
#include "tests/inject/sweep.h"
#include "tests/sim/disk.h"
#include "tests/sim/journal.h"
#include "tests/sim/life.h"
#include "tests/sim/own.h"
#include "tests/sim/runner.h"
#include "tests/sim/world.h"

#define SIDE 2
#define SPEC 5       /* of the job files of tests/sim: five short epochs */
#define RUNS 24      /* of a sweep, in make check */
#define SWEEP_S 300  /* for one on a loaded machine */
#define FAILED_MAX 5 /* of a sweep, then it stops */
#define SAY_RUNS 1000
#define HEAL_US (3 * SECOND) /* a lasting fault lasts so long */
#define STATE DISK_ROOT "/state"

/* Where the counting begins. */
enum where { START_EMPTY, START_FULL, IMPORT, SUBMIT, FOLD, CHECKPOINT, RESTORE, WHERE_COUNT };

/* Where it ends, so that no call is tried twice; steps are between a submit and a fold. Of
 * checkpoints, those follow that take the place of older ones. */
static const enum where until[] = {
    [START_EMPTY] = IMPORT, [START_FULL] = RESTORE,     [IMPORT] = SUBMIT, [SUBMIT] = FOLD,
    [FOLD] = CHECKPOINT,    [CHECKPOINT] = WHERE_COUNT, [RESTORE] = FOLD};
#define CHECKPOINTS 4 /* the last of which is not counted */
#define KEYS_MAX 65536

static struct {
    enum where where;
    struct fault fault;
    struct fault_record *record;
    const uint64_t *numbers; /* NULL: the calls are written down */
    bool begun;
    bool compared;
    int checkpoints;
    uint64_t given, ran; /* events of the world, when it struck */
} now;

/* --- lives that end alike --- */

/* A server that the fault ends within the event in which it struck leaves the world what it had
 * then, the disk and what was said: the rest of the run follows from these. Of those that left the
 * same, one goes on to the end of the job. */
static struct {
    char hex[KEYS_MAX][2 * BLAKE2B_BYTES + 1]; /* of those whose end was good */
    size_t count;
} keys;

static bool is_key(const char *hex)
{
    for (size_t i = 0; i < keys.count; i++)
        if (memcmp(keys.hex[i], hex, 2 * BLAKE2B_BYTES) == 0)
            return true;
    return false;
}

static void make_key(char hex[2 * BLAKE2B_BYTES + 1])
{
    const struct journal *j = journal_here();
    const uint64_t world[] = {world_draw(UINT64_MAX), now.given, now.ran,
                              now.fault.lasting && fault_is_armed()};
    uint8_t *image, parts[2 * BLAKE2B_BYTES + sizeof(world)], digest[BLAKE2B_BYTES];
    const size_t bytes = disk_save(&image);

    blake2b_of(image, bytes, parts);
    blake2b_of(j->text, j->bytes, parts + BLAKE2B_BYTES);
    memcpy(parts + 2 * BLAKE2B_BYTES, world, sizeof(world));
    blake2b_of(parts, sizeof(parts), digest);
    text_hex(digest, sizeof(digest), hex);
    free(image);
}

void __real_edges_crash(void);
void __wrap_edges_crash(void);
void __wrap_edges_crash(void)
{
    const bool compare =
        !now.compared && fault_struck() && world_ran() == now.ran && world_given() == now.given;
    char hex[2 * BLAKE2B_BYTES + 1];

    now.compared |= fault_struck();
    __real_edges_crash();
    if (!compare)
        return;
    make_key(hex);
    if (is_key(hex)) {
        note("fault_calls n=%" PRIu64 " struck=1 same=1", fault_calls());
        _exit(0);
    }
    note("end_state key=%s", hex);
}

/* --- the process of a run --- */

static bool inside(void)
{
    return life_inside() && !own_now();
}

static void heal(void *arg, int64_t number)
{
    (void)arg;
    (void)number;
    fault_disarm();
    note("fault on=0");
}

static void on_hit(void)
{
    note("fault on=1 kind=%d", now.fault.kind);
    world_after(HEAL_US, heal, NULL, 0);
    now.given = world_given();
    now.ran = world_ran();
}

static void reach(enum where where)
{
    if (now.begun && where == until[now.where] && !fault_struck())
        fault_disarm();
    if (where != now.where || now.begun || !life_inside())
        return;
    now.begun = true;
    fault_arm(&now.fault, inside, on_hit);
}

static void begin(void *arg, uint64_t index)
{
    (void)arg;
    now.fault.nth = now.numbers ? now.numbers[index] : FAULT_NEVER;
    fault_write_down(now.numbers ? NULL : now.record);
    world_init(0);
    scenario_make_struck(SPEC, now.where == START_EMPTY || now.where == IMPORT);
    fault_begin();
    disk_ask(fault_disk);
}

static void look(void *arg)
{
    static const atomic_bool stop;
    struct db_ends ends;
    cJSON *out = cJSON_CreateObject();
    struct db_check_found *found = NULL;
    struct errbuf why;

    (void)arg;
    db_ends_open(&ends, &stop);
    int rc = db_check(STATE, &ends, out, &found, &why);
    db_ends_close(&ends);
    const cJSON *first = cJSON_GetObjectItemCaseSensitive(out, "problems");
    first = first ? first->child : NULL;
    if (rc < 0 || first)
        note("violation what=\"db check: %.200s\"", rc < 0 ? why.text : first->valuestring);
    cJSON_Delete(out);
}

static void end(void *arg)
{
    (void)arg;
    fault_disarm();
    note("fault_calls n=%" PRIu64 " struck=%d", fault_calls(), fault_struck());
    if (life_up())
        life_enter(look, NULL);
}

#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

/* The stated end when memory is out: nothing else in the server may call this (lint). What it held
 * goes with it, and the next one has memory. */
_Noreturn void __real_abort(void);
_Noreturn void __wrap_abort(void);
_Noreturn void __wrap_abort(void)
{
    if (!fault_struck() || now.fault.kind != FAULT_MEMORY || !life_inside())
        __real_abort();
    fault_disarm();
    life_crash("out of memory");
}

WRAP(int, server_open, struct server *s, const struct server_options *options, struct errbuf *why)
{
    if (fault_struck() && !now.fault.lasting)
        note("fault on=0");
    reach(life_number() == 1 ? START_EMPTY : START_FULL);
    return __real_server_open(s, options, why);
}

WRAP(void, handle_dataset_commit, struct request *rq)
{
    reach(IMPORT);
    __real_handle_dataset_commit(rq);
}

WRAP(void, handle_job_submit, struct request *rq)
{
    reach(SUBMIT);
    __real_handle_job_submit(rq);
}

WRAP(void, score_hash_init, struct score_hash *h)
{
    reach(FOLD);
    __real_score_hash_init(h);
}

static void kill_it(void *arg, int64_t number)
{
    (void)arg;
    (void)number;
    life_kill(false);
}

/* The server is killed behind its second checkpoint where the next start is what is looked at. */
WRAP(int, checkpoint_write, const struct checkpoint *c, const char *path, const _Atomic bool *stop,
     char ret_sha256[SHA256_HEX], struct errbuf *why)
{
    if (++now.checkpoints == CHECKPOINTS)
        reach(WHERE_COUNT);
    if (now.checkpoints == 2 && (now.where == START_FULL || now.where == RESTORE))
        world_after(10 * MS, kill_it, NULL, 0);
    reach(CHECKPOINT);
    return __real_checkpoint_write(c, path, stop, ret_sha256, why);
}

WRAP(int, checkpoint_read, const char *path, const char *want_sha256,
     const struct checkpoint_shape *shape, const _Atomic bool *stop, struct checkpoint **ret,
     struct errbuf *why)
{
    reach(RESTORE);
    return __real_checkpoint_read(path, want_sha256, shape, stop, ret, why);
}

/* --- sweeps --- */

struct seen {
    struct runner *runner;
    uint64_t runs, struck, failed, calls, same;
};

static void take_key(const char *log)
{
    static const char says[] = " end_state key=";
    const char *at = strstr(log, says);

    if (!at || keys.count == KEYS_MAX)
        return;
    memcpy(keys.hex[keys.count++], at + strlen(says), 2 * BLAKE2B_BYTES);
}

static bool take(void *arg, const struct judgement *v)
{
    struct seen *seen = arg;
    const char *said = strstr(runner_log(seen->runner), " fault_calls n=");

    seen->runs++;
    if (getenv("INJECT") && seen->runs % SAY_RUNS == 0)
        test_say("... %" PRIu64 " runs\n", seen->runs);
    if (said && strstr(said, " same=1\n")) {
        seen->same++;
        seen->struck++;
        return true;
    }
    if (!v->good) {
        seen->failed++;
        fprintf(stderr, "where=%d kind=%d lasting=%d error=%d n=%" PRIu64 ": %s\n", now.where,
                now.fault.kind, now.fault.lasting, now.fault.error,
                now.numbers ? now.numbers[v->seed] : 0, v->why);
        if (getenv("INJECT_SHOW"))
            fputs(runner_log(seen->runner), stderr);
        return seen->failed < FAILED_MAX;
    }
    ASSERT(said);
    take_key(runner_log(seen->runner));
    seen->calls = strtoull(said + strlen(" fault_calls n="), NULL, 10);
    seen->struck += strstr(said, " struck=1\n") != NULL;
    return true;
}

static uint64_t failed;

/* A run in which nothing fails. Its calls are written down. */
static void run_whole(struct runner *r, const struct fault *fault)
{
    struct seen seen = {.runner = r};

    now.fault = *fault;
    now.numbers = NULL;
    runner_run(r, 0, 1, 1, take, &seen);
    ASSERT_EQ(0, seen.failed);
    ASSERT(seen.calls > 0 && seen.struck == 0);
    ASSERT_EQ(seen.calls, now.record->calls);
}

static void sweep(struct runner *r, const struct fault *fault, const struct sweep_plan *plan)
{
    struct seen seen = {.runner = r};
    char text[SWEEP_TEXT_BYTES];

    alarm(getenv("INJECT") ? 0 : SWEEP_S);
    now.fault = *fault;
    now.numbers = plan->numbers;
    runner_run(r, 0, plan->count, getenv("INJECT") ? (int)sysconf(_SC_NPROCESSORS_ONLN) : SIDE,
               take, &seen);
    test_say("where=%d kind=%d lasting=%d error=%d: %s, %" PRIu64 " ended as another did\n",
             now.where, fault->kind, fault->lasting, fault->error,
             sweep_say(plan, seen.runs - 1, text), seen.same);
    failed += seen.failed;
    /* The last one meets nothing. */
    ASSERT_EQ(seen.failed ? seen.struck : plan->count - 1, seen.struck);
}

static void sweep_all(enum where where)
{
    static const struct fault faults[] = {
        {FAULT_MEMORY, 0, false, 0},   {FAULT_MEMORY, 0, true, 0},  {FAULT_DISK, 0, false, ENOSPC},
        {FAULT_DISK, 0, true, ENOSPC}, {FAULT_DISK, 0, false, EIO}, {FAULT_DISK, 0, true, EIO},
    };
    static const struct runner_plan runs = {begin, end, NULL};
    struct sweep_plan plan = {.numbers = NULL};
    struct errbuf why = {""};
    struct runner *r;

    now.record = fault_record_create();
    ASSERT(now.record);
    fault_write_down(NULL);
    ASSERT_OK(runner_open_for(SPEC, &r, &why), why);
    runner_use(r, &runs);
    now.where = where;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (i == 0 || faults[i - 1].kind != faults[i].kind) {
            run_whole(r, &faults[i]);
            sweep_plan_done(&plan);
            sweep_plan(&plan, now.record, RUNS);
        }
        sweep(r, &faults[i], &plan);
    }
    sweep_plan_done(&plan);
    runner_close(r);
    fault_record_free(now.record);
    ASSERT_EQ(0, failed);
}

TEST(a_start_on_an_empty_folder)
{
    sweep_all(START_EMPTY);
}

TEST(a_start_on_a_folder_with_a_job)
{
    sweep_all(START_FULL);
}

TEST(an_import)
{
    sweep_all(IMPORT);
}

TEST(a_submit)
{
    sweep_all(SUBMIT);
}

TEST(a_fold)
{
    sweep_all(FOLD);
}

TEST(a_checkpoint)
{
    sweep_all(CHECKPOINT);
}

TEST(a_job_that_goes_on_from_its_checkpoint)
{
    sweep_all(RESTORE);
}
