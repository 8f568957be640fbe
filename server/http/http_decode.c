/* A picture's file from a browser, made the pixels that a model takes by the program `steppe` that
 * lies beside the server: `steppe decode` in a process of its own, which confines itself. So the
 * server holds no decoder, and a picture is decoded, turned and scaled by the very code of `steppe
 * predict`. What comes back is judged as if a stranger had sent it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/clock.h"
#include "common/text.h"
#include "proto/pixels.h"
#include "server/http/http_internal.h"
#include "server/net/net.h"

#define PROGRAM "steppe"
#define LIBRARIES "LD_LIBRARY_PATH" /* all that it gets of the server's environment */
#define SAYS "steppe: "             /* before its sentences */
/* It has 10 s of processor time; others' pictures wait for it meanwhile. */
#define DECODE_MS 20000
#define LOOK_MS 100 /* between two looks at whether the server stops */

/* A server that was upgraded while it runs finds the new one. */
static int check_program(const char *program, struct errbuf *why)
{
    if (!program)
        return err_set(why, -EIO, "cannot find out where the server's program lies");
    if (access(program, X_OK) != 0)
        return err_set(why, -EAGAIN,
                       "%.200s, which decodes pictures for the server, is not there or is no "
                       "program: install it beside the server",
                       program);
    return 0;
}

/* The file as a descriptor to read from its begin; or -errno. */
static int file_of(const void *data, size_t bytes)
{
    int fd = memfd_create("picture", MFD_CLOEXEC);
    const char *at = data;

    if (fd < 0)
        return -errno;
    while (bytes > 0) {
        ssize_t n = write(fd, at, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            close(fd);
            return -ENOMEM;
        }
        at += n;
        bytes -= (size_t)n;
    }
    if (lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    close(fd);
    return -EIO;
}

/* in: the file; out: where it writes, also its sentences. */
static int start(const char *program, const struct http_drop *d, int in, int out, pid_t *ret)
{
    const char *libraries = getenv(LIBRARIES);
    char *own = libraries ? xasprintf(LIBRARIES "=%s", libraries) : NULL;
    char h[16], w[16], c[16], *env[] = {own, NULL};
    char *argv[] = {PROGRAM, "decode", h, w, c, d->stored ? "--no-exif" : NULL, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, pipe_only;

    snprintf(h, sizeof(h), "%u", d->h);
    snprintf(w, sizeof(w), "%u", d->w);
    snprintf(c, sizeof(c), "%u", d->c);
    sigemptyset(&none);
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &pipe_only);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int rc = -posix_spawn(ret, program, &files, &attributes, argv, env);
    free(own);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return rc;
}

/* All that it writes, at most `room` bytes. -ETIMEDOUT when it takes too long, -EMSGSIZE when it
 * writes more, -ESHUTDOWN when the server stops. */
static int read_all(struct net *net, int fd, char *to, size_t room, size_t *ret_bytes)
{
    const int64_t end_ms = clock_mono_ms() + DECODE_MS;
    size_t bytes = 0;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        const int64_t left_ms = end_ms - clock_mono_ms();
        if (left_ms <= 0)
            return -ETIMEDOUT;
        if (net->stopping)
            return -ESHUTDOWN;
        if (poll(&p, 1, left_ms < LOOK_MS ? (int)left_ms : LOOK_MS) <= 0)
            continue;
        ssize_t n = read(fd, to + bytes, room - bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        bytes += (size_t)n;
        if (bytes == room)
            return -EMSGSIZE;
    }
    *ret_bytes = bytes;
    return 0;
}

/* What it said in words. */
static int refuse(char *text, size_t bytes, struct errbuf *why)
{
    text[bytes < sizeof(why->text) ? bytes : sizeof(why->text)] = 0;
    text[strcspn(text, "\n")] = 0;
    text_make_printable(text);
    const char *at = strncmp(text, SAYS, strlen(SAYS)) == 0 ? text + strlen(SAYS) : text;
    return err_set(why, -EINVAL, "%s", *at ? at : "the file cannot be decoded");
}

static int judge(struct http_drop *d, char *text, size_t bytes, int status, struct errbuf *why)
{
    const size_t pixels = (size_t)d->h * d->w * d->c;
    struct pixels_header header = {"", 0, 0};

    if (WIFSIGNALED(status))
        return err_set(why, -EINVAL,
                       "the file was too much for the decoder, which was ended (signal %d)",
                       WTERMSIG(status));
    if (bytes >= sizeof(header))
        memcpy(&header, text, sizeof(header));
    if (WEXITSTATUS(status) != 0 || memcmp(header.magic, PIXELS_MAGIC, sizeof(header.magic)) != 0)
        return refuse(text, bytes, why);
    if (bytes != sizeof(header) + pixels || header.h < 1 || header.h > PICTURE_SIDE_MAX ||
        header.w < 1 || header.w > PICTURE_SIDE_MAX)
        return err_set(why, -EAGAIN, "the decoder's answer is broken");
    d->file_h = header.h;
    d->file_w = header.w;
    d->pixels = (uint8_t *)text + sizeof(header);
    return 0;
}

int http_decode(struct net *net, const char *program, struct http_drop *d, const void *file,
                size_t file_bytes, struct errbuf *why)
{
    const size_t room =
        sizeof(struct pixels_header) + (size_t)d->h * d->w * d->c + sizeof(why->text) + 1;
    int in = -1, ends[2] = {-1, -1}, status = 0;
    size_t bytes = 0;
    pid_t pid = -1;

    d->answer = alloc_bytes(room + 1, 1);
    int rc =
        d->answer ? check_program(program, why) : err_set(why, -ENOMEM, "no memory for a picture");
    if (rc < 0)
        return rc;
    in = file_of(file, file_bytes);
    rc = in < 0 ? in : pipe2(ends, O_CLOEXEC) == 0 ? start(program, d, in, ends[1], &pid) : -errno;
    if (ends[1] >= 0)
        close(ends[1]);
    if (in >= 0)
        close(in);
    if (rc == 0)
        rc = read_all(net, ends[0], d->answer, room, &bytes);
    if (pid > 0 && rc < 0)
        kill(pid, SIGKILL);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (ends[0] >= 0)
        close(ends[0]);
    if (rc == -ETIMEDOUT)
        return err_set(why, rc, "the file was not decoded after %d s", DECODE_MS / 1000);
    if (rc == -ESHUTDOWN)
        return err_set(why, rc, "the server is stopping; try again in a moment");
    if (rc < 0)
        return err_set(why, -EAGAIN, "cannot run %.200s: %s", program, err_text(rc));
    return judge(d, d->answer, bytes, status, why);
}
