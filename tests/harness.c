/* Runs the registered tests, each forked into its own folder with a time limit. */
#include "tests/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ends only what hangs: the longest case takes some 20 s of a processor, and 20 times that with
 * sanitizers, on a machine that may have a tenth of one to give. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LIMIT_S 3600
#else
#define LIMIT_S 600
#endif
#define EXIT_SKIP 77
#define ROOT_BYTES 20 /* that a name of a folder in it leaves room for that of a socket */

static struct test *tests;
static char dir[64];
static int own_out = STDOUT_FILENO; /* of the program, whose tests write elsewhere */

void test_register(struct test *t)
{
    struct test **end = &tests;

    while (*end)
        end = &(*end)->next;
    *end = t;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    fflush(stdout);
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    fflush(stderr);
    _exit(1);
}

void test_skip(const char *why)
{
    fprintf(stderr, "skipped: %s\n", why);
    fflush(stderr);
    _exit(EXIT_SKIP);
}

void test_say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vdprintf(own_out, fmt, ap);
    va_end(ap);
}

const char *test_dir(void)
{
    return dir;
}

const char *test_path(const char *name)
{
    static char paths[4][256];
    static int next;
    char *p = paths[next++ % 4];

    snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
    return p;
}

static void remove_dir(const char *path)
{
    pid_t pid = fork();

    if (pid == 0) {
        execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
        _exit(127);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
}

static void show(int fd)
{
    char buf[4096];
    ssize_t n;

    lseek(fd, 0, SEEK_SET);
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
            break;
}

static void run_child(const struct test *t, int out)
{
    setpgid(0, 0);
    alarm(LIMIT_S);
    own_out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    t->run();
    fflush(stdout);
    fflush(stderr);
    exit(0); /* runs the leak check of a sanitizer build */
}

static const char *root(void)
{
    const char *given = getenv("TMPDIR");

    return given && given[0] && strlen(given) < ROOT_BYTES ? given : "/tmp";
}

/* Exit status of the test, EXIT_SKIP included; -1 when it could not be run. */
static int run_one(const struct test *t)
{
    int out, status = -1;
    pid_t pid;

    snprintf(dir, sizeof(dir), "%s/steppe-test-XXXXXX", root());
    if (!mkdtemp(dir)) {
        printf("no folder for %s: %s\n", t->name, strerror(errno));
        return -1;
    }
    char log[96];
    snprintf(log, sizeof(log), "%s/.output", dir);
    out = open(log, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        run_child(t, out);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (pid > 0)
        kill(-pid, SIGKILL);
    bool skipped = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP;
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    printf("%s %s\n", ok ? "ok  " : skipped ? "skip" : "FAIL", t->name);
    if (!ok)
        show(out);
    if (WIFSIGNALED(status))
        printf("ended by signal %d\n", WTERMSIG(status));
    fflush(stdout);
    close(out);
    remove_dir(dir);
    return ok ? 0 : skipped ? EXIT_SKIP : 1;
}

static bool wanted(const struct test *t, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], t->name) == 0)
            return true;
    return argc == 1;
}

/* Says which cases there are when one that was asked for is not among them. */
static bool all_there(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const struct test *t = tests;
        while (t && strcmp(argv[i], t->name) != 0)
            t = t->next;
        if (t)
            continue;
        printf("there is no case %s; there are\n", argv[i]);
        for (t = tests; t; t = t->next)
            printf("    %s\n", t->name);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0, skipped = 0;

    if (!all_there(argc, argv))
        return 2;
    for (const struct test *t = tests; t; t = t->next) {
        if (!wanted(t, argc, argv))
            continue;
        int rc = run_one(t);
        if (rc == 0)
            passed++;
        else if (rc == EXIT_SKIP)
            skipped++;
        else
            failed++;
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed || passed + skipped == 0;
}
