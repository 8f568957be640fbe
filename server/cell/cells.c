#define _GNU_SOURCE
#include "server/cell/cells.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/clock.h"
#include "common/field.h"
#include "common/log.h"
#include "server/cell/record.h"

/* A keeper that ends at once is not started again and again. */
#define AGAIN_MS 1000
/* A keeper that has not ended a cell so long behind its deadline hangs. */
#define HANGS_MS 60000

struct cells {
    const char *program, *dir;
    pthread_mutex_t mutex; /* guards what follows */
    pid_t keeper;          /* 0: there is none */
    int control;           /* the server's end of its socket; -1: none */
    int64_t start_ms;      /* of the keeper; 0: never */
    int asking[CELLS_MAX]; /* the server's ends of the cells' sockets; -1: free */
    bool stopping, said_filter;
};

/* --- the keeper; all with the mutex --- */

static void end_keeper(struct cells *c)
{
    int status = 0;

    if (!c->keeper)
        return;
    kill(c->keeper, SIGKILL);
    while (waitpid(c->keeper, &status, 0) < 0 && errno == EINTR)
        continue;
    close(c->control);
    c->keeper = 0;
    c->control = -1;
}

/* No signal is blocked or ignored in it, wherever it is started from. */
static int spawn(struct cells *c, int socket)
{
    char *const argv[] = {(char *)"steppe-server", (char *)KEEPER_ARG, (char *)c->dir, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&files) != 0)
        return -ENOMEM;
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return -ENOMEM;
    }
    int rc = -posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = -posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = -posix_spawn_file_actions_adddup2(&files, socket, KEEPER_FD);
    if (rc == 0)
        rc = -posix_spawnattr_setsigmask(&attr, &none);
    if (rc == 0)
        rc = -posix_spawnattr_setsigdefault(&attr, &all);
    if (rc == 0)
        rc = -posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (rc == 0)
        rc = -posix_spawn(&c->keeper, c->program, &files, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

static int start_keeper(struct cells *c, struct errbuf *why)
{
    int pair[2], rc;

    c->start_ms = clock_mono_ms();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(why, -errno, "cannot make a socket for SQL: %s", err_text(-errno));
    rc = spawn(c, pair[1]);
    close(pair[1]);
    if (rc < 0) {
        close(pair[0]);
        c->keeper = 0;
        return err_set(why, rc, "cannot start the process that works on SQL: %s", err_text(rc));
    }
    c->control = pair[0];
    return 0;
}

static int hand_over(const struct cells *c, int fd)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {(char *)"q", 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};

    memset(&control, 0, sizeof(control));
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
    return sendmsg(c->control, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* To the keeper, or, if it has ended, to a new one. */
static int give(struct cells *c, int fd, struct errbuf *why)
{
    int rc = c->keeper ? hand_over(c, fd) : -EPIPE;

    if (rc == 0)
        return 0;
    if (c->keeper) {
        log_warn("cells.ended", "pid=%ld error=\"%s\"", (long)c->keeper, err_text(rc));
        end_keeper(c);
    }
    if (c->start_ms && clock_mono_ms() - c->start_ms < AGAIN_MS)
        return err_set(why, -EAGAIN,
                       "the process that works on SQL has ended; it is started again in a second");
    rc = start_keeper(c, why);
    if (rc == 0 && (rc = hand_over(c, fd)) < 0)
        err_set(why, rc, "cannot reach the process that works on SQL: %s", err_text(rc));
    return rc;
}

/* --- a question --- */

/* A socket to a new cell, and its place. */
static int enter(struct cells *c, int *ret_place, struct errbuf *why)
{
    int pair[2], place = 0, rc;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(why, -errno, "cannot make a socket for SQL: %s", err_text(-errno));
    pthread_mutex_lock(&c->mutex);
    while (place < CELLS_MAX && c->asking[place] >= 0)
        place++;
    if (c->stopping)
        rc = err_set(why, -ESHUTDOWN, "the server stops");
    else if (place == CELLS_MAX)
        rc = err_set(why, -EAGAIN, "%d queries in SQL are being worked on", CELLS_MAX);
    else
        rc = give(c, pair[1], why);
    if (rc == 0)
        c->asking[place] = pair[0];
    pthread_mutex_unlock(&c->mutex);
    close(pair[1]);
    if (rc < 0)
        close(pair[0]);
    else
        *ret_place = place;
    return rc;
}

static void leave(struct cells *c, int place)
{
    pthread_mutex_lock(&c->mutex);
    close(c->asking[place]);
    c->asking[place] = -1;
    pthread_mutex_unlock(&c->mutex);
}

/* Without it a cell is still bounded, but a fault in SQLite would reach more. Said once. */
static void say_filter(struct cells *c, const struct record *r)
{
    int32_t rc = 0;

    pthread_mutex_lock(&c->mutex);
    if (record_number(r, &rc) && rc < 0 && !c->said_filter) {
        c->said_filter = true;
        log_warn("cells.filter",
                 "error=\"the kernel filters no system calls of the processes that work on SQL: "
                 "%s\"",
                 err_text(rc));
    }
    pthread_mutex_unlock(&c->mutex);
}

struct text {
    char *at;
    size_t bytes;
};

static int append(struct text *t, const struct record *r, struct errbuf *why)
{
    char *at =
        r->bytes < JSON_REPLY_BYTES_MAX - t->bytes ? realloc(t->at, t->bytes + r->bytes + 1) : NULL;

    if (!at)
        return err_set(why, -ENOMEM, "no memory for the answer to a query");
    memcpy(at + t->bytes, r->data, r->bytes);
    t->at = at;
    t->bytes += r->bytes;
    at[t->bytes] = '\0';
    return 0;
}

/* The sentence of a cell, which may be anything once a statement has taken it over. */
static int take_error(const struct record *r, struct errbuf *why)
{
    static const int known[] = {-EINVAL,  -ENOENT, -EPERM,  -ETIMEDOUT, -ERANGE, -EBUSY, -EIO,
                                -EUCLEAN, -ENOMEM, -EACCES, -EMFILE,    -ENFILE, -EROFS};
    int32_t rc = 0;

    if (!record_number(r, &rc))
        rc = 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (rc == known[i])
            return err_set(why, rc, "%.*s", (int)(r->bytes - sizeof(rc)), r->data + sizeof(rc));
    return err_set(why, -EIO, "the process that worked on the query said what it may not say");
}

static int too_long(struct errbuf *why)
{
    return err_set(why, -ETIMEDOUT, "the query took longer than %d s and was stopped",
                   QUERY_DEADLINE_MS / 1000);
}

static int take_status(const struct record *r, struct errbuf *why)
{
    int32_t status = 0;

    record_number(r, &status);
    if (status == RECORD_OVERDUE || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU))
        return too_long(why);
    if (WIFSIGNALED(status)) {
        log_warn("cells.cell", "signal=%d", WTERMSIG(status));
        return err_set(why, -EIO,
                       "the query ended the process that worked on it (signal %d, %s); nothing "
                       "else was touched",
                       WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    return err_set(why, -EIO, "the process that worked on the query ended without an answer");
}

/* Both texts must be arrays, whole: they go into the answer as they are, since a tree would round
 * large numbers. */
static int check(const struct text *columns, const struct text *rows, struct errbuf *why)
{
    char *both =
        xasprintf("{\"c\":%s,\"r\":%s}", columns->at ? columns->at : "", rows->at ? rows->at : "");
    cJSON *json = NULL;
    int rc = field_parse(both, strlen(both), JSON_REPLY_BYTES_MAX, "the answer", &json, why);

    if (rc < 0 || cJSON_GetArraySize(json) != 2 || !cJSON_IsArray(json->child) ||
        !cJSON_IsArray(json->child->next))
        rc = err_set(why, -EIO, "the answer to the query is not what it should be");
    cJSON_Delete(json);
    free(both);
    return rc;
}

/* 1: more comes, 0: *ret_more is the end, or the error. */
static int take(struct cells *c, const struct record *r, struct text *columns, struct text *rows,
                bool *ret_more, struct errbuf *why)
{
    int32_t more = 0;
    int rc = 1;

    switch (r->kind) {
    case RECORD_FILTER:
        say_filter(c, r);
        break;
    case RECORD_COLUMNS:
    case RECORD_ROWS:
        rc = append(r->kind == RECORD_ROWS ? rows : columns, r, why);
        rc = rc == 0 ? 1 : rc;
        break;
    case RECORD_END:
        rc = record_number(r, &more) ? 0 : -EIO;
        *ret_more = more != 0;
        break;
    case RECORD_ERROR:
        rc = take_error(r, why);
        break;
    case RECORD_STATUS:
        rc = take_status(r, why);
        break;
    default:
        rc = err_set(why, -EIO, "the process that worked on the query said what it may not say");
        break;
    }
    return rc;
}

/* Waits for a record; 1, or what went wrong. */
static int receive(struct cells *c, int fd, int64_t until_ms, struct record *r, struct errbuf *why)
{
    int64_t left = until_ms - clock_mono_ms();
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    int n = left > 0 ? poll(&polled, 1, (int)left) : 0;

    if (n < 0 && errno == EINTR)
        return receive(c, fd, until_ms, r, why);
    int rc = n > 0 ? record_receive(fd, r) : n;
    if (rc > 0)
        return rc;
    pthread_mutex_lock(&c->mutex);
    if (c->stopping)
        rc = err_set(why, -ESHUTDOWN, "the server stops");
    else if (n == 0)
        end_keeper(c), rc = too_long(why);
    else
        rc = err_set(why, -EAGAIN, "the process that works on SQL ended; ask again");
    pthread_mutex_unlock(&c->mutex);
    return rc;
}

int cells_ask(struct cells *c, const struct sql_args *a, struct cell_answer *ret,
              struct errbuf *why)
{
    const struct record_question asked = {.job = a->job, .limit = a->limit};
    const int64_t until_ms = clock_mono_ms() + QUERY_DEADLINE_MS + CELL_GRACE_MS + HANGS_MS;
    struct text columns = {NULL}, rows = {NULL};
    bool more = false;
    int place = 0, rc = enter(c, &place, why);

    if (rc < 0)
        return rc;
    struct record *r = xmalloc(sizeof(*r));
    const int fd = c->asking[place];
    /* If it cannot be sent, the answer says why. */
    record_send(fd, RECORD_QUESTION, &asked, sizeof(asked), a->sql, strlen(a->sql), 0);
    do
        rc = receive(c, fd, until_ms, r, why);
    while (rc > 0 && (rc = take(c, r, &columns, &rows, &more, why)) > 0);
    leave(c, place);
    free(r);
    if (rc == 0)
        rc = check(&columns, &rows, why);
    *ret = (struct cell_answer){columns.at, rows.at, more};
    if (rc < 0)
        cell_answer_done(ret);
    return rc;
}

void cell_answer_done(struct cell_answer *a)
{
    free(a->columns);
    free(a->rows);
    *a = (struct cell_answer){NULL};
}

/* --- life --- */

struct cells *cells_create(const char *program, const char *dir)
{
    struct cells *c = xcalloc(1, sizeof(*c));

    c->program = program;
    c->dir = dir;
    c->control = -1;
    for (int i = 0; i < CELLS_MAX; i++)
        c->asking[i] = -1;
    pthread_mutex_init(&c->mutex, NULL);
    return c;
}

int cells_start(struct cells *c, struct errbuf *why)
{
    pthread_mutex_lock(&c->mutex);
    int rc = c->keeper ? 0 : start_keeper(c, why);
    pthread_mutex_unlock(&c->mutex);
    return rc;
}

void cells_stop(struct cells *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->mutex);
    c->stopping = true;
    end_keeper(c);
    for (int i = 0; i < CELLS_MAX; i++)
        if (c->asking[i] >= 0)
            shutdown(c->asking[i], SHUT_RDWR);
    pthread_mutex_unlock(&c->mutex);
}

void cells_free(struct cells *c)
{
    if (!c)
        return;
    cells_stop(c);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}
