#define _GNU_SOURCE /* MSG_CMSG_CLOEXEC */
#include "proto/pass.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/field.h"
#include "proto/address.h"

#define PATIENCE_S 5
#define FILES_MAX 4
#define REPLY_BYTES_MAX 4096 /* a few numbers, or a sentence */
#define ID 1

/* What precedes a body on the wire of nanomsg's REQ over ipc. */
struct __attribute__((packed)) head {
    uint8_t mark;   /* 1 */
    uint64_t bytes; /* big-endian, of id and body */
    uint32_t id;    /* big-endian, with its top bit set */
};

static int dial(const char *url)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    strncpy(to.sun_path, address_path(url), sizeof(to.sun_path) - 1);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

static int send_all(int fd, const void *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = send(fd, data, bytes, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data = (const char *)data + n;
        bytes -= (size_t)n;
    }
    return 0;
}

static void keep_files(struct msghdr *m, int *files, int count)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        const int came = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < came; i++) {
            int file;
            memcpy(&file, CMSG_DATA(c) + (size_t)i * sizeof(int), sizeof(file));
            if (i < count && files[i] < 0)
                files[i] = file;
            else
                close(file);
        }
    }
}

/* All of it; descriptors that come with it go to files. */
static int receive_all(int fd, void *data, size_t bytes, int *files, int count)
{
    while (bytes > 0) {
        union {
            struct cmsghdr head;
            char room[CMSG_SPACE(FILES_MAX * sizeof(int))];
        } control;
        struct iovec iov = {data, bytes};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        keep_files(&m, files, count);
        data = (char *)data + n;
        bytes -= (size_t)n;
    }
    return 0;
}

static int ask(int fd, const char *text, void **ret, size_t *ret_bytes, int *files, int count)
{
    static const uint8_t greeting[] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    const size_t bytes = strlen(text);
    struct head head = {1, htobe64(bytes + sizeof(head.id)), htobe32(0x80000000u | ID)};
    uint8_t hello[sizeof(greeting)];
    int rc = send_all(fd, greeting, sizeof(greeting));

    if (rc == 0)
        rc = receive_all(fd, hello, sizeof(hello), NULL, 0);
    if (rc == 0)
        rc = send_all(fd, &head, sizeof(head));
    if (rc == 0)
        rc = send_all(fd, text, bytes);
    if (rc == 0)
        rc = receive_all(fd, &head, sizeof(head), files, count);
    if (rc < 0)
        return rc;
    const uint64_t come = be64toh(head.bytes);
    if (head.mark != 1 || come <= sizeof(head.id) || come > REPLY_BYTES_MAX)
        return -EBADMSG;
    *ret_bytes = (size_t)come - sizeof(head.id);
    *ret = malloc(*ret_bytes);
    return *ret ? receive_all(fd, *ret, *ret_bytes, files, count) : -ENOMEM;
}

/* 0: the message is the reply. */
static int judge(const struct message *m, struct errbuf *why)
{
    const char *sentence, *code = "";
    bool ok = false;

    if (field_bool(m->json, "the answer", "ok", false, &ok, why) == 0 && ok)
        return 0;
    if (field_str(m->json, "the answer", "error", true, REPLY_BYTES_MAX, &sentence, why) < 0 ||
        field_str(m->json, "the answer", "code", true, 64, &code, why) < 0)
        return -EBADMSG;
    const bool later =
        strcmp(code, error_names[ERR_GONE]) == 0 || strcmp(code, error_names[ERR_UNAVAILABLE]) == 0;
    return err_set(why, later ? -EAGAIN : -EREMOTEIO, "%s", sentence);
}

static char *write_request(const char *sender, enum message_type type, cJSON *request)
{
    cJSON_AddStringToObject(request, "type", message_names[type]);
    cJSON_AddNumberToObject(request, "v", PROTOCOL_VERSION);
    cJSON_AddNumberToObject(request, "id", ID);
    cJSON_AddStringToObject(request, "sender", sender);
    char *text = cJSON_PrintUnformatted(request);
    cJSON_Delete(request);
    return text;
}

int pass_call(const char *url, const char *sender, enum message_type type, cJSON *request,
              int *files, int count, struct message *ret, struct errbuf *why)
{
    char *text = write_request(sender, type, request);
    struct message m = {.json = NULL};
    size_t bytes = 0;
    void *body = NULL;

    assert(count <= FILES_MAX);
    for (int i = 0; i < count; i++)
        files[i] = -1;
    int fd = dial(url), rc = fd < 0 ? fd : text ? 0 : -ENOMEM;
    if (rc == 0)
        rc = ask(fd, text, &body, &bytes, files, count);
    if (rc < 0)
        err_set(why, rc, "cannot ask %s: %s", url, err_text(rc));
    if (fd >= 0)
        close(fd);
    cJSON_free(text);
    if (rc == 0)
        rc = message_decode(body, bytes, REPLY_BYTES_MAX, &m, why);
    m.body = body;
    m.release = free;
    if (rc == 0)
        rc = judge(&m, why);
    for (int i = 0; rc == 0 && i < count; i++)
        if (files[i] < 0)
            rc = err_set(why, -EBADMSG, "a descriptor is missing");
    if (rc == 0) {
        *ret = m;
        return 0;
    }
    message_done(&m);
    for (int i = 0; i < count; i++)
        if (files[i] >= 0)
            close(files[i]);
    return rc;
}
