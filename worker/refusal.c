#include "worker/refusal.h"

#include <errno.h>
#include <stdio.h>

#include "common/bounds.h"

/* These lie between us and the server; no job is to blame. */
static const int of_the_talk[] = {EINTR,   ENOTCONN, ESTALE,       ERESTART, ETIMEDOUT,
                                  EBADMSG, EMSGSIZE, EKEYREJECTED, EALREADY};

static const struct {
    int error;
    enum refusal_cause cause;
} causes[] = {
    {ENOMEM, REFUSAL_MEMORY},      {EAGAIN, REFUSAL_MEMORY}, /* a thread that cannot start */
    {ENOSPC, REFUSAL_DISK},        {EDQUOT, REFUSAL_DISK},
    {EFBIG, REFUSAL_DISK},         {EROFS, REFUSAL_DISK},
    {EACCES, REFUSAL_DISK},        {EPERM, REFUSAL_DISK},
    {ELOOP, REFUSAL_DISK},         {ENOTDIR, REFUSAL_DISK},
    {EISDIR, REFUSAL_DISK},        {ENAMETOOLONG, REFUSAL_DISK},
    {EIO, REFUSAL_DISK},           {EUCLEAN, REFUSAL_DATASET},
    {EINVAL, REFUSAL_UNSUPPORTED}, {ENOTSUP, REFUSAL_UNSUPPORTED},
    {EOVERFLOW, REFUSAL_MEMORY},   {ERANGE, REFUSAL_UNSUPPORTED},
};

bool refusal_is(int rc)
{
    for (size_t i = 0; i < sizeof(of_the_talk) / sizeof(of_the_talk[0]); i++)
        if (rc == -of_the_talk[i])
            return false;
    return rc < 0;
}

enum refusal_cause refusal_cause(int rc)
{
    for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
        if (rc == -causes[i].error)
            return causes[i].cause;
    return REFUSAL_OTHER;
}

/* At most bytes - 1, without splitting a character. */
static void cut(char *out, size_t bytes, const char *text)
{
    size_t n = (size_t)snprintf(out, bytes, "%s", text);

    if (n < bytes)
        return;
    n = bytes - 1;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    out[n] = 0;
}

cJSON *refusal_make(int64_t job, int rc, const struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    char reason[REFUSAL_BYTES_MAX];

    cut(reason, sizeof(reason), why->text[0] ? why->text : err_text(rc));
    cJSON_AddNumberToObject(request, "job", (double)job);
    cJSON_AddStringToObject(request, "cause", refusal_names[refusal_cause(rc)]);
    cJSON_AddStringToObject(request, "reason", reason);
    return request;
}
