/* Questions in processes of their own: what they answer, what they may not, and how they end. */
#define _GNU_SOURCE
#include "server/cell/cells.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/text.h"
#include "server/cell/record.h"
#include "tests/unit/server/store_fixture.h"

#define LIMIT_S 300 /* only ends what hangs */
/* Never looks at the clock: each call of LIKE takes long, and a thousand come between two looks. */
#define HEAVY                                                                                      \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(printf('%.*c',"    \
    " 900000, 'a') || i LIKE '%' || printf('%.*c', 900, 'a') || 'b') FROM n"

/* The keeper is this program, started anew. */
__attribute__((constructor)) static void be_the_keeper(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], KEEPER_ARG) == 0)
        _exit(keeper_run(argv[2]));
}

struct world {
    struct store *store;
    struct cells *cells;
    int64_t job;
};

static struct world world_open(void)
{
    struct world w = {.store = fixture_open()};
    struct errbuf why;

    fixture_dataset(w.store, 10);
    w.job = fixture_job(w.store, 1);
    w.cells = cells_create("/proc/self/exe", test_path("state"));
    ASSERT_OK(cells_start(w.cells, &why), why);
    return w;
}

static void world_close(struct world *w)
{
    cells_free(w->cells);
    store_close(w->store);
}

static int ask(struct world *w, const char *sql, struct cell_answer *ret, struct errbuf *why)
{
    const struct sql_args a = {.job = w->job, .limit = 10, .sql = sql};

    return cells_ask(w->cells, &a, ret, why);
}

static void answers(struct world *w)
{
    struct cell_answer a;
    struct errbuf why;

    ASSERT_OK(ask(w, "SELECT :job AS j, 9007199254740993 AS big, 'x' || char(9)", &a, &why), why);
    ASSERT_STR("[\"j\",\"big\",\"'x' || char(9)\"]", a.columns);
    ASSERT_STR("[[1,9007199254740993,\"x\\t\"]]", a.rows);
    ASSERT(!a.more);
    cell_answer_done(&a);
}

/* The first process with this name whose parent is `parent`; 0: there is none. */
static pid_t child_of(pid_t parent, const char *name)
{
    DIR *all = opendir("/proc");
    struct dirent *entry;
    pid_t found = 0;
    int64_t pid;

    while (!found && (entry = readdir(all)) != NULL) {
        char path[64], line[256] = "", begin[64];
        if (!text_i64(entry->d_name, 1, INT32_MAX, &pid))
            continue;
        snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
        FILE *file = fopen(path, "re");
        if (file && fgets(line, sizeof(line), file)) {
            snprintf(begin, sizeof(begin), "%lld (%s) ", (long long)pid, name);
            char want[32];
            snprintf(want, sizeof(want), " %ld ", (long)parent);
            if (strncmp(line, begin, strlen(begin)) == 0 && line[strlen(begin)] != 'Z' &&
                strncmp(line + strlen(begin) + 1, want, strlen(want)) == 0)
                found = (pid_t)pid;
        }
        if (file)
            fclose(file);
    }
    closedir(all);
    return found;
}

static pid_t await_child(pid_t parent, const char *name)
{
    pid_t pid = 0;

    for (time_t end = time(NULL) + LIMIT_S; !pid && time(NULL) < end; usleep(5000)) /* looks */
        pid = child_of(parent, name);
    ASSERT(pid > 0);
    return pid;
}

static void await_end(pid_t pid)
{
    time_t end = time(NULL) + LIMIT_S;

    while (kill(pid, 0) == 0 && time(NULL) < end)
        usleep(5000); /* between two looks */
    ASSERT(kill(pid, 0) < 0);
}

/* A question that another thread asks. On a busy machine its deadline may come before what the test
 * does to it: then the test does it again (`late`). */
struct asking {
    struct world *w;
    pthread_t thread;
    atomic_bool ended;
    int rc;
    struct errbuf why;
    pid_t cell;
};

static void *ask_heavy(void *arg)
{
    struct asking *a = arg;
    struct cell_answer answer;

    a->rc = ask(a->w, HEAVY, &answer, &a->why);
    a->ended = true;
    return NULL;
}

/* Asks, until there is a cell at work. */
static void begin(struct asking *a, struct world *w)
{
    const time_t end = time(NULL) + LIMIT_S;
    pid_t keeper = await_child(getpid(), "steppe-cells");

    *a = (struct asking){.w = w, .ended = true};
    while (!a->cell && time(NULL) < end) {
        if (a->ended) {
            if (a->rc)
                pthread_join(a->thread, NULL);
            *a = (struct asking){.w = w};
            ASSERT_EQ(0, pthread_create(&a->thread, NULL, ask_heavy, a));
        }
        a->cell = child_of(keeper, "steppe-cell");
        usleep(2000); /* between two looks */
    }
    ASSERT(a->cell > 0);
}

static bool late(struct asking *a)
{
    pthread_join(a->thread, NULL);
    return a->rc == -ETIMEDOUT;
}

TEST(a_cell_answers_and_refuses_as_the_query_does)
{
    struct world w = world_open();
    struct cell_answer a;
    struct errbuf why;

    answers(&w);
    ASSERT_EQ(-EPERM, ask(&w, "DELETE FROM score", &a, &why));
    ASSERT_HAS("may only read", why.text);
    ASSERT_EQ(-EINVAL, ask(&w, "SELEC 1", &a, &why));
    ASSERT_HAS("syntax error", why.text);
    ASSERT_EQ(-EINVAL, ask(&w, "SELECT * FROM upload", &a, &why)); /* of state.db */
    ASSERT_HAS("no such table", why.text);
    w.job = 9;
    ASSERT_EQ(-ENOENT, ask(&w, "SELECT 1", &a, &why));
    ASSERT_HAS("there is no job 9", why.text);
    w.job = 1;
    answers(&w);
    world_close(&w);
}

TEST(what_takes_all_memory_is_an_error_of_its_own)
{
    struct world w = world_open();
    struct cell_answer a;
    struct errbuf why;

    ASSERT_EQ(-ERANGE, ask(&w,
                           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
                           " SELECT printf('%.*c', 900000, 'x') || i FROM n ORDER BY 1",
                           &a, &why));
    ASSERT_HAS("more than 256 MiB", why.text);
    answers(&w);
    world_close(&w);
}

TEST(a_question_that_looks_at_no_clock_ends_at_its_deadline)
{
    struct world w = world_open();
    struct asking a;

    begin(&a, &w);
    ASSERT(late(&a));
    ASSERT_STR("the query took longer than 5 s and was stopped", a.why.text);
    answers(&w);
    world_close(&w);
}

TEST(a_cell_that_is_killed_is_the_end_of_one_question)
{
    struct world w = world_open();
    pid_t keeper = await_child(getpid(), "steppe-cells");
    struct asking a;

    do {
        begin(&a, &w);
        answers(&w);           /* beside it */
        kill(a.cell, SIGABRT); /* a sanitizer handles the others */
    } while (late(&a));
    ASSERT_EQ(-EIO, a.rc);
    ASSERT_HAS("signal 6", a.why.text);
    answers(&w);
    ASSERT_EQ(keeper, child_of(getpid(), "steppe-cells"));
    world_close(&w);
}

TEST(a_keeper_that_is_killed_is_replaced)
{
    struct world w = world_open();
    struct cell_answer answer;
    struct errbuf why;
    struct asking a;
    pid_t keeper;
    int rc;

    do {
        begin(&a, &w);
        keeper = await_child(getpid(), "steppe-cells");
        kill(keeper, SIGKILL);
    } while (late(&a));
    ASSERT_EQ(-EAGAIN, a.rc);
    ASSERT_HAS("ask again", a.why.text);
    await_end(a.cell);
    while ((rc = ask(&w, "SELECT 1", &answer, &why)) == -EAGAIN)
        usleep(10000); /* it is not started twice in a second */
    ASSERT_OK(rc, why);
    cell_answer_done(&answer);
    ASSERT(child_of(getpid(), "steppe-cells") != keeper);
    world_close(&w);
}

TEST(stopping_ends_what_is_asked_and_all_processes)
{
    struct world w = world_open();
    struct cell_answer answer;
    struct errbuf why;
    struct asking a;

    begin(&a, &w);
    cells_stop(w.cells);
    if (!late(&a))
        ASSERT_EQ(-ESHUTDOWN, a.rc);
    ASSERT_EQ(0, child_of(getpid(), "steppe-cells"));
    await_end(a.cell);
    ASSERT_EQ(-ESHUTDOWN, ask(&w, "SELECT 1", &answer, &why));
    world_close(&w);
}

/* What the descriptors of a process are, each in brackets; "": it is gone. */
static const char *descriptors(pid_t pid)
{
    static char out[1024];
    char path[64], name[256];
    struct dirent *entry;

    snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
    DIR *all = opendir(path);
    out[0] = '\0';
    while (all && (entry = readdir(all)) != NULL) {
        ssize_t n = readlinkat(dirfd(all), entry->d_name, name, sizeof(name) - 1);
        if (n < 0)
            continue;
        name[n] = '\0';
        const char *last = strrchr(name, '/');
        size_t used = strlen(out);
        snprintf(out + used, sizeof(out) - used, "[%s]", last ? last + 1 : name);
    }
    if (all)
        closedir(all);
    return out;
}

TEST(nothing_of_the_server_is_in_a_cell)
{
    int secret = open(test_path("secret"), O_RDWR | O_CREAT, 0600); /* without close-on-exec */
    struct world w = world_open();
    pid_t keeper = await_child(getpid(), "steppe-cells");
    struct asking a;

    ASSERT(secret >= 0);
    answers(&w); /* the keeper is at work */
    ASSERT(!strstr(descriptors(keeper), "secret"));
    const char *has = "";
    for (time_t end = time(NULL) + LIMIT_S;
         !strstr(has, "[difficulty.db-shm]") && time(NULL) < end;) {
        begin(&a, &w);
        do
            has = descriptors(a.cell);
        while (has[0] && !strstr(has, "[difficulty.db-shm]"));
        kill(a.cell, SIGKILL);
        late(&a);
    }
    ASSERT_HAS("[difficulty.db]", has);
    ASSERT_HAS("[difficulty.db-shm]", has);
    ASSERT(!strstr(has, "secret") && !strstr(has, "state.db") && !strstr(has, "[lock]"));
    close(secret);
    world_close(&w);
}

TEST(a_record_keeps_its_borders)
{
    static struct record r;
    static char text[RECORD_BYTES_MAX + 7];
    int pair[2];
    int32_t number;

    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    memset(text, 'x', sizeof(text));
    ASSERT_EQ(-EMSGSIZE, record_send(pair[0], RECORD_ROWS, text, sizeof(text), NULL, 0, 0));
    ASSERT_EQ(0, record_send_text(pair[0], RECORD_ROWS, text, sizeof(text)));
    ASSERT_EQ(1, record_receive(pair[1], &r));
    ASSERT_EQ(RECORD_BYTES_MAX, r.bytes);
    ASSERT_EQ(1, record_receive(pair[1], &r));
    ASSERT_EQ(7, r.bytes);
    ASSERT_EQ(RECORD_ROWS, r.kind);
    ASSERT_EQ(0, record_send(pair[0], RECORD_END, "ab", 2, NULL, 0, 0));
    ASSERT_EQ(1, record_receive(pair[1], &r));
    ASSERT(!record_number(&r, &number));
    close(pair[0]);
    ASSERT_EQ(0, record_receive(pair[1], &r));
    close(pair[1]);
}

TEST(how_a_cell_ended_that_never_read_its_question_is_heard)
{
    static struct record r;
    const int32_t said = SIGSEGV;
    int32_t number = 0;
    int pair[2];

    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    ASSERT_EQ(0, record_send(pair[0], RECORD_QUESTION, "q", 1, NULL, 0, 0));
    ASSERT_EQ(0, record_send(pair[1], RECORD_STATUS, &said, sizeof(said), NULL, 0, 0));
    close(pair[1]);
    ASSERT_EQ(1, record_receive(pair[0], &r));
    ASSERT_EQ(RECORD_STATUS, r.kind);
    ASSERT(record_number(&r, &number));
    ASSERT_EQ(said, number);
    ASSERT_EQ(0, record_receive(pair[0], &r));
    close(pair[0]);
}
