#include "worker/pin.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/process.h"
#include "worker/numerics.h"

#define MARK "STEPPE_CLASS" /* the class for which this process was started anew */

extern char **environ;

bool pin_free(void)
{
    return !getenv(MARK) && !getenv("OPENBLAS_CORETYPE") && !getenv("STEPPE_KERNELS");
}

bool pin_matches(const char *asked, const char *class)
{
    size_t bytes = strlen(asked);

    return strncmp(asked, class, bytes) == 0 && (class[bytes] == '\0' || class[bytes] == '/');
}

/* "avx2.4/Haswell/0123456789abcdef" -> "avx2" and "Haswell". */
static int split(const char *class, char set[NUMERICS_CLASS_BYTES], char core[NUMERICS_CLASS_BYTES],
                 struct errbuf *why)
{
    const char *dot = strchr(class, '.'), *slash = strchr(class, '/');

    if (strlen(class) >= NUMERICS_CLASS_BYTES || !dot || !slash || dot > slash || dot == class ||
        strcspn(slash + 1, "/") == 0)
        return err_set(why, -EINVAL,
                       "\"%s\" is not a numerics class; they look like avx2.4/Haswell, as steppe "
                       "workers and steppe show print them",
                       class);
    snprintf(set, NUMERICS_CLASS_BYTES, "%.*s", (int)(dot - class), class);
    snprintf(core, NUMERICS_CLASS_BYTES, "%.*s", (int)strcspn(slash + 1, "/"), slash + 1);
    return 0;
}

/* The first line that this program prints with --print-class in the present environment; "" when it
 * fails: kernels that this processor cannot run may end it by a signal. */
static void ask_class(char out[NUMERICS_CLASS_BYTES])
{
    char self[] = "steppe-worker", option[] = "--print-class";
    char *argv[] = {self, option, NULL};
    posix_spawn_file_actions_t actions;
    int fds[2];
    ssize_t n = 0;
    pid_t child;

    out[0] = '\0';
    if (pipe(fds) < 0)
        return;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, fds[0]);
    posix_spawn_file_actions_addclose(&actions, fds[1]);
    int rc = posix_spawn(&child, process_self, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    if (rc == 0) {
        size_t have = 0;
        while (have < NUMERICS_CLASS_BYTES - 1 &&
               ((n = read(fds[0], out + have, NUMERICS_CLASS_BYTES - 1 - have)) > 0 ||
                (n < 0 && errno == EINTR)))
            have += n > 0 ? (size_t)n : 0;
        out[have] = '\0';
        out[strcspn(out, "\n")] = '\0';
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    close(fds[0]);
}

int pin_class(const char *class, char **argv, struct errbuf *why)
{
    char set[NUMERICS_CLASS_BYTES], core[NUMERICS_CLASS_BYTES], got[NUMERICS_CLASS_BYTES];
    int rc = split(class, set, core, why);

    if (rc < 0)
        return rc;
    setenv("STEPPE_KERNELS", set, 1);
    setenv("OPENBLAS_CORETYPE", core, 1);
    setenv(MARK, class, 1);
    ask_class(got);
    if (!got[0])
        rc = err_set(why, -ENOTSUP, "this machine cannot compute in numerics class %s", class);
    else if (!pin_matches(class, got))
        rc = err_set(why, -ENOTSUP, "this machine gives numerics class %s when asked for %s", got,
                     class);
    else {
        execv(process_self, argv);
        rc = err_set(why, -errno, "cannot start anew: %s", err_text(-errno));
    }
    unsetenv("STEPPE_KERNELS");
    unsetenv("OPENBLAS_CORETYPE");
    unsetenv(MARK);
    return rc;
}
