/* The runs of a scenario in which the n-th allocation or write fails, each in a process of its own,
 * and what becomes of them. Which n are tried tests/inject/sweep.h says. A run may end as
 * common/alloc.h says, or return; then an error has a sentence that names what failed, and nothing
 * stays behind, neither memory nor a descriptor. The scenario looks at the folder that it leaves.
 * Of runs that were told the same and left the same bytes there, one is looked at: time stands
 * still, and SQLite's chance is the same in each. */
#ifndef STEPPE_TESTS_INJECT_FIXTURE_H
#define STEPPE_TESTS_INJECT_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/hash.h"
#include "tests/inject/fault.h"
#include "tests/inject/folder.h"
#include "tests/inject/sweep.h"
#include "tests/unit/server/store_fixture.h"

#define RUNS 60      /* of a sweep, in make check */
#define SWEEP_S 300  /* for one on a loaded machine */
#define RUN_S 120    /* a run that takes so long hangs */
#define FAILED_MAX 5 /* then it stops */
#define SAY_RUNS 1000
#define LOOKED_MAX 65536
#define FDS 256
#define UNIX_MS INT64_C(1790000000000)

/* What a run leaves to who judges it, in memory that both have. */
struct ending {
    bool returned; /* else it died */
    int rc;
    struct errbuf why;
    char sha256[SHA256_HEX];
    uint64_t calls;
    struct fault_place place; /* where it struck */
    bool struck;
    int64_t held, sqlite_held; /* left behind */
    int fds;
};

struct scenario {
    void (*prepare)(void); /* makes the folder that each run finds; NULL: there is none */
    void (*run)(struct ending *r);
    void (*check)(const struct ending *r);
};

static struct {
    struct fault fault;
    struct ending *ending;
    struct fault_record *record;
    const struct scenario *scenario;
    uint64_t looked[LOOKED_MAX]; /* numbers of endings that were found good */
    uint64_t looked_count, alike, failed;
    /* Of the undisturbed run: what difficulty.db holds before and after, and what it returned. */
    char *before, *after;
    char sha256[SHA256_HEX];
} now;

int64_t __wrap_clock_unix_ms(void);
int64_t __wrap_clock_unix_ms(void)
{
    return UNIX_MS;
}

static void on_hit(void)
{
    now.ending->place = fault_struck_place();
}

static void arm(void)
{
    fault_arm(&now.fault, NULL, on_hit);
}

static void take(struct ending *r, int rc, const struct errbuf *why)
{
    fault_disarm();
    r->rc = rc;
    if (rc < 0)
        r->why = *why;
}

/* --- the process of a run --- */

static int count_fds(void)
{
    int count = 0;

    for (int fd = 0; fd < FDS; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static _Noreturn void run_child(void)
{
    struct ending *r = now.ending;
    uv_loop_t loop;

    alarm(RUN_S);
    if (!freopen(test_path("said"), "w", stderr) || setvbuf(stderr, NULL, _IONBF, 0) != 0 ||
        uv_loop_init(&loop) < 0 ||
        uv_loop_close(&loop) < 0) /* libuv keeps a pipe of its first loop */
        _exit(1);
    const int64_t held = fault_held(), sqlite_held = sqlite3_memory_used();
    const int fds = count_fds();
    now.scenario->run(r);
    fault_disarm();
    r->calls = fault_calls();
    r->struck = fault_struck();
    r->held = fault_held() - held;
    r->sqlite_held = sqlite3_memory_used() - sqlite_held;
    r->fds = count_fds() - fds;
    r->returned = true;
    fflush(NULL);
    exit(0); /* the leak check of a sanitizer build */
}

static bool say_bad(int status, const char *what)
{
    char *said = NULL;
    size_t bytes;

    file_read(test_path("said"), 1 << 20, &said, &bytes, NULL);
    test_say("BAD kind %d lasting %d error %d n %" PRIu64
             ": %s (status %d, rc %d \"%s\", held %" PRId64 " and %" PRId64 ")\n%s",
             now.fault.kind, now.fault.lasting, now.fault.error, now.fault.nth, what, status,
             now.ending->rc, now.ending->why.text, now.ending->held, now.ending->sqlite_held,
             said ? said : "");
    free(said);
    return false;
}

/* The end that common/alloc.h states. */
static bool is_stated_end(int status)
{
    char *said = NULL;
    size_t bytes;

    if (now.fault.kind != FAULT_MEMORY || !WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
        return false;
    ASSERT_EQ(0, file_read(test_path("said"), 1 << 20, &said, &bytes, NULL));
    bool stated = strstr(said, "out of memory: ") != NULL;
    free(said);
    return stated;
}

/* A file, a folder, or memory for something. */
static bool names_it(const char *why)
{
    return strchr(why, '/') || strstr(why, "memory") || strstr(why, ".db");
}

static bool is_good(int status)
{
    const struct ending *r = now.ending;

    if (!r->returned && is_stated_end(status))
        return true;
    if (!r->returned || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return say_bad(status, "it does not end well");
    if (r->rc < 0 && !names_it(r->why.text))
        return say_bad(status, "its sentence names nothing");
    if (r->held != 0 || r->sqlite_held != 0)
        return say_bad(status, "memory is left behind");
    if (r->fds != 0)
        return say_bad(status, "a descriptor is left behind");
    if (!r->struck && r->rc < 0)
        return say_bad(status, "it fails without a fault");
    return true;
}

static bool acknowledged(const struct ending *r)
{
    return r->returned && r->rc == 0;
}

static int in_process(void (*fn)(void))
{
    int status = 0;

    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        fn();
        fflush(NULL);
        _exit(0);
    }
    ASSERT_EQ(pid, waitpid(pid, &status, 0));
    return status;
}

static void check_child(void)
{
    alarm(RUN_S);
    now.scenario->check(now.ending);
}

/* All that check() goes by. */
static uint64_t number_of_ending(void)
{
    uint8_t digest[BLAKE2B_BYTES];
    uint64_t number;

    blake2b_of(now.ending->sha256, strlen(now.ending->sha256), digest);
    memcpy(&number, digest, sizeof(number));
    return folder_number(test_path("state")) + (acknowledged(now.ending) ? number : ~number);
}

static bool leaves_good(void)
{
    const uint64_t number = number_of_ending();

    for (uint64_t i = 0; i < now.looked_count; i++)
        if (now.looked[i] == number) {
            now.alike++;
            return true;
        }
    int status = in_process(check_child);
    if (status != 0)
        return say_bad(status, "what it leaves is not as it must be");
    if (now.looked_count < LOOKED_MAX)
        now.looked[now.looked_count++] = number;
    return true;
}

static bool run(uint64_t nth)
{
    now.fault.nth = nth;
    *now.ending = (struct ending){.rc = 0};
    folder_remove(test_path("state"));
    if (now.scenario->prepare)
        folder_copy(test_path("kept"), test_path("state"));
    return is_good(in_process(run_child)) && leaves_good();
}

/* --- sweeps --- */

/* A run in which nothing fails. Its calls are written down. */
static void run_whole(void)
{
    fault_write_down(now.record);
    ASSERT(run(FAULT_NEVER));
    fault_write_down(NULL);
    ASSERT(now.ending->calls > 0 && acknowledged(now.ending));
    ASSERT_EQ(now.ending->calls, now.record->calls);
    now.scenario->check(now.ending); /* here: it keeps what the others are compared with */
}

static bool is_same_place(const struct fault_place *p, uint64_t n)
{
    const struct fault_place *want = &now.record->places[n - 1];

    return p->way == want->way && p->context == want->context;
}

/* Threads may let the n-th call be another one than the n-th that was written down. */
static void sweep(const struct fault *fault, const struct sweep_plan *plan)
{
    const uint64_t alike = now.alike;
    uint64_t tried = 0, elsewhere = 0;
    char text[SWEEP_TEXT_BYTES];

    alarm(getenv("INJECT") ? 0 : SWEEP_S);
    now.fault = *fault;
    for (; tried < plan->count && now.failed < FAILED_MAX; tried++) {
        const uint64_t n = plan->numbers[tried];
        now.failed += !run(n);
        elsewhere += n <= plan->calls && !is_same_place(&now.ending->place, n);
        if (getenv("INJECT") && (tried + 1) % SAY_RUNS == 0)
            test_say("... %" PRIu64 " of %" PRIu64 " runs\n", tried + 1, plan->count);
    }
    test_say("kind %d lasting %d error %d: %s, %" PRIu64 " struck elsewhere, %" PRIu64
             " left what another did\n",
             fault->kind, fault->lasting, fault->error, sweep_say(plan, tried - 1, text), elsewhere,
             now.alike - alike);
}

/* The undisturbed run gives what the others are compared with. disk: it is written to. */
static void sweep_kinds(const struct scenario *s, bool disk)
{
    static const struct fault faults[] = {
        {FAULT_MEMORY, 0, false, 0},         {FAULT_MEMORY, 0, true, 0},
        {FAULT_DISK, 0, false, ENOSPC},      {FAULT_DISK, 0, true, ENOSPC},
        {FAULT_DISK, 0, false, EIO},         {FAULT_DISK, 0, true, EIO},
        {FAULT_DISK, 0, false, FAULT_SHORT},
    };
    struct sweep_plan plan = {.numbers = NULL};

    fault_begin();
    ASSERT_EQ(0, uv_replace_allocator(xmalloc, xrealloc, xcalloc, free));
    ASSERT_EQ(SQLITE_OK, sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, 1, NULL));
    now.record = fault_record_create();
    now.ending =
        mmap(NULL, sizeof(*now.ending), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(now.record && now.ending != MAP_FAILED);
    now.scenario = s;
    if (s->prepare) {
        s->prepare();
        now.before = fixture_dump();
        folder_copy(test_path("state"), test_path("kept"));
    }
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (faults[i].kind != FAULT_MEMORY && !disk)
            continue;
        if (i == 0 || faults[i - 1].kind != faults[i].kind) {
            now.fault = faults[i];
            run_whole();
            sweep_plan_done(&plan);
            sweep_plan(&plan, now.record, RUNS);
        }
        sweep(&faults[i], &plan);
    }
    sweep_plan_done(&plan);
    fault_record_free(now.record);
    free(now.before);
    free(now.after);
    ASSERT_EQ(0, now.failed);
}

static void sweep_all(const struct scenario *s)
{
    sweep_kinds(s, true);
}

#endif
