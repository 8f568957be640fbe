/* stdio forgets why a write failed, and its next flush succeeds: so stdout is a stream of our own,
 * whose write remembers. */
#define _GNU_SOURCE
#include "common/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static ssize_t write_out(void *cookie, const char *bytes, size_t count)
{
    struct output *o = cookie;
    size_t done = 0;

    while (done < count && !o->lost) {
        ssize_t n = write(STDOUT_FILENO, bytes + done, count - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            o->lost = errno;
    }
    errno = o->lost;
    return o->lost ? 0 : (ssize_t)done; /* 0 is a failure here */
}

/* The replacements fail as closed streams do: stdin on reading, stdout on writing. stderr may
 * swallow what is written: there is nowhere to report it. */
static void fill_streams(void)
{
    static const int flags[] = {O_WRONLY, O_RDONLY, O_WRONLY};

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        int opened = open("/dev/null", flags[fd]);
        if (opened >= 0 && opened != fd) {
            dup2(opened, fd);
            close(opened);
        }
    }
}

void output_open(struct output *o)
{
    const cookie_io_functions_t functions = {.write = write_out};

    *o = (struct output){0};
    fill_streams();
    FILE *stream = fopencookie(o, "w", functions);
    if (!stream)
        return; /* stdout stays as it was; output_close asks it */
    setvbuf(stream, NULL, isatty(STDOUT_FILENO) == 1 ? _IOLBF : _IOFBF, BUFSIZ);
    stdout = stream;
}

int output_close(struct output *o, struct errbuf *why)
{
    if (fflush(stdout) != 0 && !o->lost)
        o->lost = errno ? errno : EIO;
    if (ferror(stdout) && !o->lost)
        o->lost = EIO;
    if (!o->lost)
        return 0;
    if (o->lost == EPIPE)
        return -EPIPE;
    return err_set(why, -o->lost, "the output cannot be written: %s", err_text(o->lost));
}

int output_end(struct output *o, const char *program, int status, const struct errbuf *why)
{
    struct errbuf lost = {""};
    int rc = output_close(o, &lost);
    const char *text = *why->text && status ? why->text : lost.text;

    if (*text)
        fprintf(stderr, "%s: %s\n", program, text);
    return rc < 0 && status == 0 ? 1 : status;
}
