/* One request at a time, rests, and peers that leave. */
#include "server/net/transport_internal.h"
#include "tests/unit/server/transport_fixture.h"

#define PIPELINED 50

static struct {
    uv_timer_t timer;
    struct token from;
    int under_way, answered;
    void *tied, *gone;
} one;

static void answer_late(uv_timer_t *timer)
{
    struct bench *b = timer->data;
    void *reply = transport_alloc(5);

    memcpy(reply, "later", 5);
    one.under_way--;
    one.answered++;
    if (one.answered == PIPELINED)
        uv_close((uv_handle_t *)timer, NULL);
    transport_reply(b->transport, &one.from, reply);
}

static void hold_a_moment(void *arg, const struct token *from, void *body, size_t bytes)
{
    struct bench *b = arg;

    ASSERT_EQ(6, bytes);
    ASSERT_EQ(0, one.under_way++);
    transport_release(body);
    one.from = *from;
    one.timer.data = b;
    if (one.answered == 0)
        ASSERT_EQ(0, uv_timer_init(&b->loop, &one.timer));
    ASSERT_EQ(0, uv_timer_start(&one.timer, answer_late, 1, 0));
}

static void talk_pipelined(struct bench *b)
{
    uint8_t data[PIPELINED * 32], theirs[8];
    size_t bytes = sizeof(greeting);
    int fd = connect_plain(b->url);

    memcpy(data, greeting, sizeof(greeting));
    for (int i = 0; i < PIPELINED; i++)
        bytes += wire_message("hurry!", data + bytes);
    ASSERT_EQ(bytes, send(fd, data, bytes, MSG_NOSIGNAL));
    ASSERT_EQ(sizeof(theirs), recv(fd, theirs, sizeof(theirs), MSG_WAITALL));
    for (int i = 0; i < PIPELINED; i++)
        assert_answer(fd, "later");
    close(fd);
}

TEST(of_a_connection_one_request_is_in_the_server_at_a_time)
{
    int port, fd = bind_free_port(&port);

    close(fd);
    memset(&one, 0, sizeof(one));
    run_bench(tcp_url(port), 1, hold_a_moment, talk_pipelined);
    ASSERT_EQ(PIPELINED, one.answered);
}

static void note_gone(void *arg, void *what)
{
    ASSERT(arg && what == &one.tied);
    __atomic_store_n(&one.gone, what, __ATOMIC_SEQ_CST);
}

/* Answers what is to be answered; ties all else and keeps it. */
static void keep_tied(void *arg, const struct token *from, void *body, size_t bytes)
{
    struct bench *b = arg;

    transport_on_gone(b->transport, note_gone);
    transport_tie(b->transport, from, &one.tied);
    if (bytes == 4) {
        b->tokens[0] = *from;
        b->bodies[0] = body;
        b->bytes[0] = bytes;
        answer_same(b, 0);
        return;
    }
    transport_release(body);
    __atomic_store_n(&one.under_way, 1, __ATOMIC_SEQ_CST);
}

static void talk_and_vanish(struct bench *b)
{
    uint8_t data[64];
    int s = connect_req(b->url), fd = connect_plain(b->url);
    size_t bytes = sizeof(greeting);

    memcpy(data, greeting, sizeof(greeting));
    bytes += wire_message("keep this", data + bytes);
    bytes += wire_message("unread", data + bytes);
    ASSERT_EQ(bytes, send(fd, data, bytes, MSG_NOSIGNAL));
    while (!__atomic_load_n(&one.under_way, __ATOMIC_SEQ_CST))
        usleep(1000); /* between two looks */
    assert_echo(s, "here", 4);
    ASSERT(!__atomic_load_n(&one.gone, __ATOMIC_SEQ_CST));
    close(fd);
    while (!__atomic_load_n(&one.gone, __ATOMIC_SEQ_CST))
        usleep(1000); /* between two looks */
    assert_echo(s, "here", 4);
    nn_close(s);
}

TEST(whoever_has_the_request_hears_that_its_peer_left)
{
    int port, fd = bind_free_port(&port);

    close(fd);
    memset(&one, 0, sizeof(one));
    run_bench(tcp_url(port), 1, keep_tied, talk_and_vanish);
}

/* The connection rests for longer the more often it asks. */
static void answer_and_rest(void *arg, const struct token *from, void *body, size_t bytes)
{
    struct bench *b = arg;

    ASSERT_STR("127.0.0.1", transport_address(b->transport, from));
    b->tokens[0] = *from;
    b->bodies[0] = body;
    b->bytes[0] = bytes;
    answer_same(b, 0);
    transport_rest(b->transport, from, 30);
    one.answered++;
}

static void talk_in_a_hurry(struct bench *b)
{
    int s = connect_req(b->url);

    for (int i = 0; i < 5; i++)
        assert_echo(s, &i, sizeof(i));
    nn_close(s);
}

TEST(a_connection_that_rests_is_read_again)
{
    int port, fd = bind_free_port(&port);

    close(fd);
    memset(&one, 0, sizeof(one));
    run_bench(tcp_url(port), 1, answer_and_rest, talk_in_a_hurry);
    ASSERT_EQ(5, one.answered);
}

/* --- replies that nobody takes --- */

#define REPLY_BYTES (8u << 20) /* more than the kernel holds between two ends */
#define OF_ANN 8
#define OF_ONE 4 /* replies that one owner may leave untaken */

/* A long reply to whom the message names. */
static void answer_at_length(void *arg, const struct token *from, void *body, size_t bytes)
{
    struct bench *b = arg;
    char owner[8] = "";
    void *reply = transport_alloc(REPLY_BYTES);

    ASSERT_EQ(3, bytes);
    memcpy(owner, body, bytes);
    transport_release(body);
    b->transport->leaving_max[false] = (size_t)2 * OF_ONE * REPLY_BYTES;
    ASSERT(transport_known(b->transport, from, owner, CONNECTIONS_MAX));
    memset(reply, 'x', REPLY_BYTES);
    transport_reply(b->transport, from, reply);
    ASSERT(b->transport->leaving[false] <= b->transport->leaving_max[false]);
    __atomic_add_fetch(&one.answered, 1, __ATOMIC_SEQ_CST);
}

/* Asks as this owner, and takes nothing. */
static int ask_and_leave_it(struct bench *b, const char *owner)
{
    const int answered = __atomic_load_n(&one.answered, __ATOMIC_SEQ_CST), small = 65536;
    uint8_t data[64];
    int fd = connect_plain(b->url);
    size_t bytes = sizeof(greeting);

    ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)));
    memcpy(data, greeting, sizeof(greeting));
    bytes += wire_message(owner, data + bytes);
    ASSERT_EQ(bytes, send(fd, data, bytes, MSG_NOSIGNAL));
    while (__atomic_load_n(&one.answered, __ATOMIC_SEQ_CST) == answered)
        usleep(1000); /* between two looks */
    return fd;
}

static bool comes_whole(int fd)
{
    static uint8_t data[1 << 16];
    size_t bytes = 0;
    ssize_t n;

    while (bytes < sizeof(greeting) + 12 + REPLY_BYTES && (n = recv(fd, data, sizeof(data), 0)) > 0)
        bytes += (size_t)n;
    close(fd);
    return bytes == sizeof(greeting) + 12 + REPLY_BYTES;
}

static void talk_and_take_nothing(struct bench *b)
{
    int ben = ask_and_leave_it(b, "ben"), ann[OF_ANN];

    for (int i = 0; i < OF_ANN; i++)
        ann[i] = ask_and_leave_it(b, "ann");
    for (int i = 0; i < OF_ANN; i++)
        ASSERT_EQ(i >= OF_ANN - OF_ONE, comes_whole(ann[i]));
    ASSERT(comes_whole(ben));
}

TEST(of_replies_that_one_owner_does_not_take_the_oldest_end_and_nobody_elses)
{
    int port, fd = bind_free_port(&port);

    close(fd);
    memset(&one, 0, sizeof(one));
    run_bench(tcp_url(port), 1, answer_at_length, talk_and_take_nothing);
    ASSERT_EQ(1 + OF_ANN, one.answered);
}
