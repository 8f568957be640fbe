#define _GNU_SOURCE
#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

static const struct {
    int code;
    const char *text;
} texts[] = {
    {0, "no error"},
    {EPERM, "not permitted"},
    {ENOENT, "there is no such file or folder"},
    {EIO, "the device failed to read or write"},
    {EBADF, "it is closed"},
    {EAGAIN, "not ready, try again"},
    {ENOMEM, "out of memory"},
    {EACCES, "permission denied"},
    {EEXIST, "it already exists"},
    {ENOTDIR, "a part of the path is not a folder"},
    {EISDIR, "it is a folder"},
    {EINVAL, "not valid"},
    {ENFILE, "too many files are open on this machine"},
    {EMFILE, "this process cannot open more files (ulimit -n)"},
    {EFBIG, "the file is too large"},
    {ENOSPC, "no space left on the device"},
    {EROFS, "the file system is read-only"},
    {EPIPE, "the other side closed the connection"},
    {ENAMETOOLONG, "the name is too long"},
    {EMSGSIZE, "the message is too large"},
    {EADDRINUSE, "the address is already in use"},
    {EADDRNOTAVAIL, "this machine has no such address"},
    {ENETUNREACH, "the network cannot be reached"},
    {ECONNRESET, "the other side broke the connection"},
    {ETIMEDOUT, "no answer in time"},
    {ECONNREFUSED, "nothing listens there"},
    {EHOSTUNREACH, "the host cannot be reached"},
    {ECANCELED, "cancelled"},
    {EBUSY, "another process has locked it"},
    {ESTALE, "it was removed or replaced meanwhile"},
    {EDQUOT, "the disk quota is used up"},
};

/* A sentence must fit one line of a log or a terminal and travel in JSON, whatever bytes a peer's
 * value held and wherever it was cut. */
static void keep_sentence(struct errbuf *why, const char *text)
{
    size_t n = strnlen(text, sizeof(why->text) - 1);

    memcpy(why->text, text, n);
    why->text[n] = '\0';
    text_make_printable(why->text);
}

void err_vset(struct errbuf *why, const char *fmt, va_list ap)
{
    char text[sizeof(why->text)]; /* an argument may point into why */

    vsnprintf(text, sizeof(text), fmt, ap);
    keep_sentence(why, text);
}

int err_set(struct errbuf *why, int code, const char *fmt, ...)
{
    va_list ap;

    if (!why)
        return code;
    va_start(ap, fmt);
    err_vset(why, fmt, ap);
    va_end(ap);
    return code;
}

int err_prefix(struct errbuf *why, int code, const char *fmt, ...)
{
    char text[2 * sizeof(why->text)];
    va_list ap;

    if (!why)
        return code;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(why->text), fmt, ap);
    va_end(ap);
    size_t n = strlen(text);
    snprintf(text + n, sizeof(text) - n, ": %s", why->text);
    keep_sentence(why, text);
    return code;
}

const char *err_text(int code)
{
    long positive = code < 0 ? -(long)code : code;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].code == positive)
            return texts[i].text;
    const char *text = strerrordesc_np((int)positive);
    return text ? text : "unknown error";
}
