/* What the transport makes of addresses, of whole and broken messages and of its last reply. */
#include "tests/unit/server/transport_fixture.h"

#include <endian.h>

static void talk_reversed(struct bench *b)
{
    int sockets[HELD];

    for (int i = 0; i < b->wanted; i++) {
        sockets[i] = connect_req(b->url);
        ASSERT_EQ(sizeof(i), nn_send(sockets[i], &i, sizeof(i), 0));
    }
    for (int i = 0; i < b->wanted; i++) {
        int got;
        ASSERT_EQ(sizeof(got), nn_recv(sockets[i], &got, sizeof(got), 0));
        ASSERT_EQ(i, got);
        nn_close(sockets[i]);
    }
}

TEST(held_replies_reach_their_own_requests_in_any_order)
{
    run_bench(ipc_url(), HELD, on_message, talk_reversed);
}

static void talk_sizes(struct bench *b)
{
    uint8_t *data = calloc(1, MESSAGE_BYTES_MAX);
    int s = connect_req(b->url);

    ASSERT(data);
    data[0] = 1;
    data[MESSAGE_BYTES_MAX - 1] = 2;
    assert_echo(s, data, 0);
    assert_echo(s, data, 1);
    assert_echo(s, data, 1 << 20);
    assert_echo(s, data, MESSAGE_BYTES_MAX);
    nn_close(s);
    free(data);
}

TEST(messages_from_nothing_to_the_longest_pass)
{
    int port, fd = bind_free_port(&port);

    run_bench(ipc_url(), 1, on_message, talk_sizes);
    close(fd);
    run_bench(tcp_url(port), 1, on_message, talk_sizes);
}

/* What a broken or hostile peer may send: noise, HTTP, a greeting and noise, a cut message, a
 * message without a request id. */
static void send_garbage(int fd, uint32_t round)
{
    struct rng r = rng_at(1, RNG_TEST, round, 0);
    uint8_t data[300];
    size_t bytes = 1 + rng_below(&r, sizeof(data));

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)rng_u32(&r);
    if (round % 4 == 1)
        memcpy(data, "GET / HTTP/1.1\r\n\r\n", 18);
    if (round % 4 >= 2)
        memcpy(data, greeting, sizeof(greeting));
    if (round % 4 == 3) /* 16 bytes that begin with no id */
        memcpy(data + 8, "\0\0\0\0\0\0\0\20\0\0\0\1", 12);
    /* The server may have hung up already. */
    (void)!send(fd, data, bytes, MSG_NOSIGNAL);
    if (round % 2) {
        struct linger hard = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    }
}

static void talk_garbage(struct bench *b)
{
    int s = connect_req(b->url);

    for (uint32_t round = 0; round < 200; round++) {
        int fd = connect_plain(b->url);
        send_garbage(fd, round);
        close(fd);
        if (round % 20 == 0)
            assert_echo(s, &round, sizeof(round));
    }
    assert_echo(s, "last", 4);
    nn_close(s);
}

TEST(garbage_on_the_port_disturbs_nobody)
{
    int port, fd = bind_free_port(&port);

    close(fd);
    run_bench(tcp_url(port), 1, on_message, talk_garbage);
}

/* Announces a message of `bytes` and waits until the server hangs up. */
static void assert_hung_up(const char *url, uint64_t bytes)
{
    uint8_t data[16], theirs[64];
    ssize_t n;
    int fd = connect_plain(url);

    memcpy(data, greeting, sizeof(greeting));
    for (int i = 0; i < 8; i++)
        data[8 + i] = (uint8_t)(bytes >> (56 - 8 * i));
    ASSERT_EQ(16, send(fd, data, sizeof(data), MSG_NOSIGNAL));
    while ((n = recv(fd, theirs, sizeof(theirs), 0)) > 0)
        continue;
    ASSERT(n == 0 || errno == ECONNRESET);
    close(fd);
}

static void talk_too_long(struct bench *b)
{
    int s = connect_req(b->url);

    assert_hung_up(b->url, WIRE_BYTES_MAX + 1);
    assert_hung_up(b->url, UINT64_C(1) << 47);
    assert_hung_up(b->url, UINT64_MAX);
    assert_echo(s, "still here", 10);
    nn_close(s);
}

TEST(a_message_too_long_ends_its_connection_only)
{
    int port, fd = bind_free_port(&port);

    close(fd);
    run_bench(tcp_url(port), 1, on_message, talk_too_long);
}

static void talk_in_pieces(struct bench *b)
{
    uint8_t data[128], theirs[8];
    int one = 1, fd = connect_plain(b->url);

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    memcpy(data, greeting, sizeof(greeting));
    size_t bytes = sizeof(greeting) + wire_message("slowly", data + sizeof(greeting));
    for (size_t i = 0; i < bytes; i++)
        ASSERT_EQ(1, send(fd, data + i, 1, MSG_NOSIGNAL));
    ASSERT_EQ(sizeof(theirs), recv(fd, theirs, sizeof(theirs), MSG_WAITALL));
    assert_answer(fd, "slowly");
    bytes = wire_message("first", data);
    bytes += wire_message("", data + bytes);
    bytes += wire_message("third", data + bytes);
    ASSERT_EQ(bytes, send(fd, data, bytes, MSG_NOSIGNAL));
    assert_answer(fd, "first");
    assert_answer(fd, "");
    assert_answer(fd, "third");
    close(fd);
}

TEST(a_message_comes_in_pieces_and_pieces_hold_messages)
{
    int port, fd = bind_free_port(&port);

    close(fd);
    run_bench(tcp_url(port), 1, on_message, talk_in_pieces);
}

#define LONG_BYTES 150000 /* counts as large, and a local socket holds it whole */

static struct {
    char order[8]; /* first bytes of the messages, as they were handed over */
    int count, begun, sent;
} turns;

/* Keeps the loop with the first message until all others have come. */
static void note_order(void *arg, const struct token *from, void *body, size_t bytes)
{
    struct bench *b = arg;

    turns.order[turns.count++] = *(char *)body;
    __atomic_store_n(&turns.begun, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&turns.sent, __ATOMIC_SEQ_CST))
        continue;
    b->tokens[0] = *from;
    b->bodies[0] = body;
    b->bytes[0] = bytes;
    answer_same(b, 0);
}

static int connect_local(const char *url)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    uint8_t theirs[8];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(at.sun_path, sizeof(at.sun_path), "%s", url + strlen("ipc://"));
    ASSERT_EQ(0, connect(fd, (struct sockaddr *)&at, sizeof(at)));
    ASSERT_EQ(sizeof(greeting), send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL));
    ASSERT_EQ(sizeof(theirs), recv(fd, theirs, sizeof(theirs), MSG_WAITALL));
    return fd;
}

/* A message of so many times the letter, all at once. */
static void send_letters(int fd, char letter, size_t bytes)
{
    static uint8_t data[13 + LONG_BYTES];
    const uint64_t length = htobe64(bytes + 4);

    data[0] = 1; /* what ipc has before each message */
    memcpy(data + 1, &length, sizeof(length));
    memcpy(data + 9, "\200\0\0\7", 4);
    memset(data + 13, letter, bytes);
    ASSERT_EQ(13 + bytes, send(fd, data, 13 + bytes, MSG_NOSIGNAL));
}

static void talk_large_and_small(struct bench *b)
{
    uint8_t *theirs = malloc(13 + LONG_BYTES);
    int fds[4];

    ASSERT(theirs);
    for (int i = 0; i < 4; i++)
        fds[i] = connect_local(b->url);
    send_letters(fds[0], 'a', LONG_BYTES);
    while (!__atomic_load_n(&turns.begun, __ATOMIC_SEQ_CST))
        continue;
    send_letters(fds[1], 'b', LONG_BYTES);
    send_letters(fds[2], 'c', LONG_BYTES);
    send_letters(fds[3], 's', 1);
    __atomic_store_n(&turns.sent, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 4; i++) {
        const ssize_t bytes = 13 + (i < 3 ? LONG_BYTES : 1);
        ASSERT_EQ(bytes, recv(fds[i], theirs, (size_t)bytes, MSG_WAITALL));
        ASSERT_EQ("abcs"[i], theirs[bytes - 1]);
        close(fds[i]);
    }
    free(theirs);
}

TEST(whoever_asks_for_little_waits_for_one_large_message)
{
    run_bench(ipc_url(), 1, note_order, talk_large_and_small);
    ASSERT_EQ(4, turns.count);
    ASSERT(strchr(turns.order, 's') < turns.order + 3);
}

/* Leaves with a request in the server's hands, then asks again. */
static void talk_and_leave(struct bench *b)
{
    int s = connect_req(b->url);

    ASSERT_EQ(4, nn_send(s, "gone", 4, 0));
    while (__atomic_load_n(&b->held, __ATOMIC_SEQ_CST) == 0)
        continue;
    nn_close(s);
    s = connect_req(b->url);
    assert_echo(s, "here", 4);
    nn_close(s);
}

TEST(a_reply_to_a_dead_peer_is_no_error)
{
    run_bench(ipc_url(), 2, on_message, talk_and_leave);
}

static void talk_by_client(struct bench *b)
{
    struct client *c = NULL;
    enum error_code code = ERR_COUNT;
    struct message m;
    struct errbuf why;

    ASSERT_OK(client_open(b->url, NULL, NULL, &c, &why), why);
    for (int i = 0; i < 100; i++) {
        ASSERT_EQ(-EREMOTEIO, client_call(c, MSG_PING, NULL, NULL, 0, LONG_MS, 0, &m, &code, &why));
        ASSERT_EQ(ERR_LIMIT, code);
    }
    client_close(c);
}

static void answer_refused(void *arg, const struct token *from, void *body, size_t bytes)
{
    static const char text[] = "{\"type\":\"error\",\"code\":\"limit\",\"error\":\"too many\"}";
    struct bench *b = arg;
    void *reply = transport_alloc(sizeof(text) - 1);

    ASSERT(bytes > 0);
    memcpy(reply, text, sizeof(text) - 1);
    transport_release(body);
    transport_reply(b->transport, from, reply);
}

TEST(the_client_library_speaks_to_it)
{
    run_bench(ipc_url(), 1, answer_refused, talk_by_client);
}

static void talk_for_a_piece(struct bench *b)
{
    uint8_t *body;
    int s = connect_req(b->url);

    ASSERT_EQ(5, nn_send(s, "piece", 5, 0));
    ASSERT_EQ(PIECE_BYTES_MAX, nn_recv(s, &body, NN_MSG, 0));
    ASSERT_EQ(7, body[PIECE_BYTES_MAX - 1]);
    nn_freemsg(body);
    nn_close(s);
}

/* Answers with a whole piece and closes at once. */
static void answer_and_close(void *arg, const struct token *from, void *body, size_t bytes)
{
    struct bench *b = arg;
    uint8_t *reply = transport_alloc(PIECE_BYTES_MAX), *late = transport_alloc(1);

    ASSERT_EQ(5, bytes);
    memset(reply, 7, PIECE_BYTES_MAX);
    transport_release(body);
    transport_reply(b->transport, from, reply);
    transport_close(b->transport);
    transport_close(b->transport);
    transport_reply(b->transport, from, late); /* dropped, not leaked */
    b->transport = NULL;
}

TEST(the_last_reply_leaves_before_the_close)
{
    run_bench(ipc_url(), 1, answer_and_close, talk_for_a_piece);
}

TEST(a_port_in_use_is_named)
{
    struct errbuf why;
    char want[96];
    int port, fd = bind_free_port(&port);

    ASSERT_EQ(0, listen(fd, 1));
    ASSERT_EQ(-EADDRINUSE, open_refused(tcp_url(port), &why));
    snprintf(want, sizeof(want), "%s is in use by another program", tcp_url(port));
    ASSERT_STR(want, why.text);
    close(fd);
}

/* What a killed server leaves: a socket's file that nobody listens to; with a listener when asked.
 */
static int make_socket_file(const char *path, bool listening)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(at.sun_path, sizeof(at.sun_path), "%.*s", (int)sizeof(at.sun_path) - 1, path);
    ASSERT_EQ(0, bind(fd, (struct sockaddr *)&at, sizeof(at)));
    if (listening)
        ASSERT_EQ(0, listen(fd, 4));
    return fd;
}

TEST(an_ipc_address_in_use_is_named_and_left_alone)
{
    struct errbuf why;
    struct stat before, after;
    int fd = make_socket_file(test_path("s"), true);

    ASSERT_EQ(0, stat(test_path("s"), &before));
    ASSERT_EQ(-EADDRINUSE, open_refused(ipc_url(), &why));
    ASSERT_HAS("/s is in use by another program", why.text);
    ASSERT_EQ(0, stat(test_path("s"), &after));
    ASSERT_EQ(before.st_ino, after.st_ino);
    close(fd);
}

static void talk_once(struct bench *b)
{
    struct stat st;
    int s = connect_req(b->url);

    ASSERT_EQ(0, stat(b->url + strlen("ipc://"), &st));
    ASSERT(S_ISSOCK(st.st_mode));
    ASSERT_EQ(0600, st.st_mode & 0777);
    assert_echo(s, "x", 1);
    nn_close(s);
}

TEST(the_file_of_a_killed_server_is_replaced_by_a_private_one)
{
    close(make_socket_file(test_path("s"), false));
    run_bench(ipc_url(), 1, on_message, talk_once);
    run_bench(ipc_url(), 1, on_message, talk_once); /* and after an orderly end */
}

TEST(another_file_at_the_path_is_left_alone)
{
    struct errbuf why;
    struct stat st;
    FILE *f = fopen(test_path("s"), "w");

    ASSERT(f && fputs("precious", f) >= 0 && fclose(f) == 0);
    ASSERT_EQ(-EEXIST, open_refused(ipc_url(), &why));
    ASSERT_HAS("another file", why.text);
    ASSERT_EQ(0, stat(test_path("s"), &st));
    ASSERT_EQ(8, st.st_size);
}

TEST(what_cannot_be_served_is_refused_with_a_sentence)
{
    char url[128];
    struct errbuf why;

    snprintf(url, sizeof(url), "ipc://%s", test_path("no/such/s"));
    ASSERT_EQ(-ENOENT, open_refused(url, &why));
    ASSERT_HAS("/no/such/: there is no such file or folder", why.text);
    ASSERT_EQ(-EPERM, open_refused("tcp://localhost:7500", &why));
    ASSERT_HAS("is not allowed: localhost is a name", why.text);
    ASSERT_EQ(-EINVAL, open_refused("tcp://127.0.0.1:0", &why));
    ASSERT_HAS("allowed is 1 to 65535", why.text);
}

TEST(no_address_at_all_is_refused)
{
    struct transport *t = NULL;
    struct errbuf why;
    uv_loop_t loop;

    ASSERT_EQ(0, uv_loop_init(&loop));
    ASSERT_EQ(-EINVAL, transport_open(&loop, NULL, 0, NULL, on_message, NULL, &t, &why));
    ASSERT_HAS("no address to serve", why.text);
    transport_close(NULL);
    ASSERT_EQ(0, uv_loop_close(&loop));
}

TEST(one_bad_address_of_two_frees_the_other)
{
    const char *urls[] = {ipc_url(), "tcp://localhost:1"};
    struct transport *t = NULL;
    struct errbuf why;
    uv_loop_t loop;

    ASSERT_EQ(0, uv_loop_init(&loop));
    ASSERT_EQ(-EPERM, transport_open(&loop, urls, 2, NULL, on_message, NULL, &t, &why));
    ASSERT_EQ(0, uv_loop_close(&loop));
    run_bench(ipc_url(), 1, on_message, talk_once);
}
