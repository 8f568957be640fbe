/* One thread, which waits in poll(2) for four things: a new question, the end of a cell, a server
 * that hung up, a deadline. It reads nothing that a stranger wrote. */
#define _GNU_SOURCE
#include "server/cell/keeper.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/confine.h"
#include "common/text.h"
#include "server/cell/inmate.h"
#include "server/cell/record.h"
#include "server/query/query.h"

#define CELL_NICE 10

struct inmate {
    pid_t pid; /* 0: a free place */
    int fd;    /* the cell's end of the socket */
    int64_t until_ms;
    bool overdue, killed;
};

struct keeper {
    const char *dir;
    pid_t pid;
    int signals; /* descriptor: a child ended */
    struct inmate inmates[CELLS_MAX];
};

/* Whatever the server had open without close-on-exec. */
static void close_others(void)
{
    DIR *all = opendir("/proc/self/fd");
    struct dirent *entry;
    int64_t fd;

    while (all && (entry = readdir(all)) != NULL)
        if (text_i64(entry->d_name, KEEPER_FD + 1, INT32_MAX, &fd) && fd != dirfd(all))
            close((int)fd);
    if (all)
        closedir(all);
}

/* Signals to the server's group are not for its cells: it ends them when it ends. */
static int prepare(struct keeper *k)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ, SIGQUIT};
    sigset_t child;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "steppe-cells");
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    close_others();
    confine_die_first();
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_SETMASK, &child, NULL);
    k->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    return k->signals < 0 ? -errno : 0;
}

static void become_inmate(const struct keeper *k, int fd)
{
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != k->pid)
        _exit(1);
    prctl(PR_SET_NAME, "steppe-cell");
    /* What trains and what commits goes first; a machine that has time gives it to the question. */
    setpriority(PRIO_PROCESS, 0, CELL_NICE);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close(KEEPER_FD);
    close(k->signals);
    for (int i = 0; i < CELLS_MAX; i++)
        if (k->inmates[i].pid)
            close(k->inmates[i].fd);
    inmate_run(fd, k->dir);
    _exit(0);
}

/* Without a place or a process the server finds its socket closed. */
static void admit(struct keeper *k, int fd)
{
    struct inmate *place = NULL;

    for (int i = 0; i < CELLS_MAX && !place; i++)
        if (!k->inmates[i].pid)
            place = &k->inmates[i];
    pid_t pid = place ? fork() : -1;
    if (pid == 0)
        become_inmate(k, fd);
    if (pid < 0)
        close(fd);
    else
        *place = (struct inmate){
            .pid = pid, .fd = fd, .until_ms = clock_mono_ms() + QUERY_DEADLINE_MS + CELL_GRACE_MS};
}

/* The socket that the server hands over; -1: it is gone. */
static int take(void)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    int fd = -1;
    ssize_t n;

    do
        n = recvmsg(KEEPER_FD, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    const struct cmsghdr *head = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    return fd;
}

/* Says how each cell ended that has. */
static void reap(struct keeper *k)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    while (read(k->signals, &info, sizeof(info)) > 0)
        continue;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int i = 0; i < CELLS_MAX; i++) {
            struct inmate *m = &k->inmates[i];
            const int32_t said = m->overdue ? RECORD_OVERDUE : status;
            if (m->pid != pid)
                continue;
            record_send(m->fd, RECORD_STATUS, &said, sizeof(said), NULL, 0, MSG_DONTWAIT);
            close(m->fd);
            *m = (struct inmate){.pid = 0};
        }
}

static void end(struct inmate *m, bool overdue)
{
    m->overdue = overdue;
    m->killed = true;
    kill(m->pid, SIGKILL);
}

/* Milliseconds until the next deadline; -1: there is none. */
static int next_deadline(const struct keeper *k)
{
    int64_t now_ms = clock_mono_ms(), least = -1;

    for (int i = 0; i < CELLS_MAX; i++) {
        const struct inmate *m = &k->inmates[i];
        int64_t left = m->until_ms > now_ms ? m->until_ms - now_ms : 0;
        if (m->pid && !m->killed && (least < 0 || left < least))
            least = left;
    }
    return (int)least;
}

/* False: the server is gone. */
static bool work(struct keeper *k)
{
    struct pollfd polled[2 + CELLS_MAX] = {{.fd = KEEPER_FD, .events = POLLIN},
                                           {.fd = k->signals, .events = POLLIN}};

    for (int i = 0; i < CELLS_MAX; i++) {
        const struct inmate *m = &k->inmates[i];
        polled[2 + i].fd = m->pid && !m->killed ? m->fd : -1;
    }
    if (poll(polled, 2 + CELLS_MAX, next_deadline(k)) < 0)
        return errno == EINTR;
    for (int i = 0; i < CELLS_MAX; i++) {
        struct inmate *m = &k->inmates[i];
        if (polled[2 + i].fd < 0)
            continue;
        if (polled[2 + i].revents & (POLLHUP | POLLERR | POLLNVAL))
            end(m, false);
        else if (clock_mono_ms() >= m->until_ms)
            end(m, true);
    }
    reap(k);
    if (polled[0].revents == 0)
        return true;
    int fd = take();
    if (fd >= 0)
        admit(k, fd);
    return fd >= 0;
}

int keeper_run(const char *dir)
{
    struct keeper k = {.dir = dir, .pid = getpid()};

    if (prepare(&k) < 0)
        return 1;
    while (work(&k))
        continue;
    for (int i = 0; i < CELLS_MAX; i++)
        if (k.inmates[i].pid)
            kill(k.inmates[i].pid, SIGKILL);
    return 0;
}
