/* The transport on a loop in the test's thread, its clients in a thread of their own. */
#ifndef STEPPE_TESTS_TRANSPORT_FIXTURE_H
#define STEPPE_TESTS_TRANSPORT_FIXTURE_H

#include "server/net/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/bounds.h"
#include "common/rng.h"
#include "proto/client.h"
#include "tests/harness.h"

#define HELD 40
#define LONG_MS 240000 /* a deadline that no test reaches */

/* A transport under test and the thread that talks to it. */
struct bench {
    uv_loop_t loop;
    struct transport *transport;
    uv_thread_t thread;
    uv_async_t finished;
    void (*talk)(struct bench *b);
    const char *url;
    int wanted; /* requests to hold before they are answered */
    struct token tokens[HELD];
    void *bodies[HELD];
    size_t bytes[HELD];
    int held;
};

__attribute__((unused)) static const char *ipc_url(void)
{
    static char url[128];

    snprintf(url, sizeof(url), "ipc://%s", test_path("s"));
    return url;
}

__attribute__((unused)) static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

/* A socket bound to a free port of loopback, one below those that the kernel gives to whoever
 * connects: it stays free when the socket is closed. Processes beside this one begin elsewhere. */
__attribute__((unused)) static int bind_free_port(int *ret_port)
{
    for (int i = 0; i < 12000; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in at = loopback(20000 + (getpid() * 7 + i) % 12000);
        if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0) {
            *ret_port = ntohs(at.sin_port);
            return fd;
        }
        close(fd);
    }
    ASSERT(!"a port is free");
    return -1;
}

__attribute__((unused)) static const char *tcp_url(int port)
{
    static char url[64];

    snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
    return url;
}

__attribute__((unused)) static void answer_same(struct bench *b, int i)
{
    void *reply = transport_alloc(b->bytes[i]);

    ASSERT(reply);
    memcpy(reply, b->bodies[i], b->bytes[i]);
    transport_release(b->bodies[i]);
    transport_reply(b->transport, &b->tokens[i], reply);
}

/* Holds `wanted` requests, then answers the last one first, each with its own bytes. */
__attribute__((unused)) static void on_message(void *arg, const struct token *from, void *body,
                                               size_t bytes)
{
    struct bench *b = arg;

    ASSERT(from->count >= 8);
    b->tokens[b->held] = *from;
    b->bodies[b->held] = body;
    b->bytes[b->held++] = bytes;
    if (b->held < b->wanted)
        return;
    while (b->held > 0)
        answer_same(b, --b->held);
}

__attribute__((unused)) static void run_thread(void *arg)
{
    struct bench *b = arg;

    b->talk(b);
    uv_async_send(&b->finished);
}

__attribute__((unused)) static void on_finished(uv_async_t *async)
{
    struct bench *b = async->data;

    transport_close(b->transport);
    uv_close((uv_handle_t *)async, NULL);
}

/* Serves url until talk is over. */
__attribute__((unused)) static void run_bench(const char *url, int wanted, transport_message handle,
                                              void (*talk)(struct bench *b))
{
    struct bench b = {.talk = talk, .url = url, .wanted = wanted};
    struct errbuf why;

    ASSERT_EQ(0, uv_loop_init(&b.loop));
    ASSERT_OK(transport_open(&b.loop, &url, 1, NULL, handle, &b, &b.transport, &why), why);
    ASSERT_EQ(0, uv_async_init(&b.loop, &b.finished, on_finished));
    b.finished.data = &b;
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    ASSERT_EQ(0, uv_thread_create(&b.thread, run_thread, &b));
    uv_run(&b.loop, UV_RUN_DEFAULT);
    uv_thread_join(&b.thread);
    ASSERT_EQ(0, uv_loop_close(&b.loop));
}

__attribute__((unused)) static int open_refused(const char *url, struct errbuf *why)
{
    struct transport *t = NULL;
    uv_loop_t loop;

    ASSERT_EQ(0, uv_loop_init(&loop));
    int rc = transport_open(&loop, &url, 1, NULL, on_message, NULL, &t, why);
    ASSERT(rc < 0 && t == NULL);
    ASSERT_EQ(0, uv_loop_close(&loop));
    return rc;
}

__attribute__((unused)) static int connect_req(const char *url)
{
    int s = nn_socket(AF_SP, NN_REQ), most = MESSAGE_BYTES_MAX + 64;

    ASSERT(s >= 0);
    ASSERT(nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVMAXSIZE, &most, sizeof(most)) == 0);
    ASSERT(nn_connect(s, url) >= 0);
    return s;
}

__attribute__((unused)) static void assert_echo(int s, const void *data, size_t bytes)
{
    void *body;

    ASSERT_EQ(bytes, nn_send(s, data, bytes, 0));
    ASSERT_EQ(bytes, nn_recv(s, &body, NN_MSG, 0));
    ASSERT_MEM(data, body, bytes);
    nn_freemsg(body);
}

__attribute__((unused)) static int connect_plain(const char *url)
{
    struct sockaddr_in at = loopback(atoi(strrchr(url, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ASSERT(fd >= 0);
    ASSERT_EQ(0, connect(fd, (struct sockaddr *)&at, sizeof(at)));
    return fd;
}

static const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, NN_REQ, 0, 0};

/* A message of `text` as it lies on the wire; its bytes. */
__attribute__((unused)) static size_t wire_message(const char *text, uint8_t *out)
{
    size_t bytes = strlen(text);

    memset(out, 0, 12);
    out[7] = (uint8_t)(bytes + 4);
    out[8] = 0x80;
    out[11] = 9;
    memcpy(out + 12, text, bytes);
    return 12 + bytes;
}

__attribute__((unused)) static void assert_answer(int fd, const char *text)
{
    uint8_t want[64], got[64];
    size_t bytes = wire_message(text, want);

    ASSERT_EQ(bytes, recv(fd, got, bytes, MSG_WAITALL));
    ASSERT_MEM(want, got, bytes);
}

#endif
