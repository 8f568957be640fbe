/* The client against small servers, each a process of its own that is forked before the client
 * opens a socket (nanomsg does not survive a fork). */
#include "proto/client.h"

#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/text.h"
#include "tests/harness.h"

#define LONG_MS 240000 /* a deadline that no test reaches */

static int ready_fd = -1; /* of a server's process: written when it is bound */

/* A request as a test server holds it. */
struct held {
    uint8_t control[256];
    void *body;
    size_t bytes;
};

static void say_ready(void)
{
    if (ready_fd >= 0 && write(ready_fd, "x", 1) != 1)
        _exit(2);
    ready_fd = -1;
}

static int serve_on(const char *url)
{
    int s = nn_socket(AF_SP_RAW, NN_REP), most = MESSAGE_BYTES_MAX + 64;

    if (s < 0 || nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVMAXSIZE, &most, sizeof(most)) < 0 ||
        nn_bind(s, url) < 0)
        _exit(3);
    say_ready();
    return s;
}

static struct held take(int s)
{
    struct held h = {.body = NULL};
    struct nn_iovec iov = {&h.body, NN_MSG};
    struct nn_msghdr header = {&iov, 1, h.control, sizeof(h.control)};
    int bytes = nn_recvmsg(s, &header, 0);

    if (bytes < 0)
        _exit(4);
    h.bytes = (size_t)bytes;
    return h;
}

static void answer_bytes(int s, struct held *h, void *body, size_t bytes)
{
    struct nn_iovec iov = {body, bytes};
    struct nn_msghdr header = {&iov, 1, h->control,
                               ((struct nn_cmsghdr *)(void *)h->control)->cmsg_len};

    if (nn_sendmsg(s, &header, 0) < 0)
        _exit(5);
    nn_freemsg(h->body);
}

static void answer_text(int s, struct held *h, const char *text)
{
    char copy[1024];

    snprintf(copy, sizeof(copy), "%s", text);
    answer_bytes(s, h, copy, strlen(copy));
}

/* Answers ok with the keys and tensors of the request, and the server's name. */
static void echo(int s, struct held *h, const char *server)
{
    struct message m;
    struct errbuf why;
    size_t bytes;
    void *body;

    if (message_decode(h->body, h->bytes, JSON_REQUEST_BYTES_MAX, &m, &why) < 0)
        _exit(6);
    cJSON_AddTrueToObject(m.json, "ok");
    cJSON_AddStringToObject(m.json, "server", server);
    if (message_encode(m.json, m.tensors, m.tensor_count, NULL, malloc, &body, &bytes, &why) < 0)
        _exit(7);
    answer_bytes(s, h, body, bytes);
    message_done(&m);
    free(body);
}

/* Forks a server; returns when it is bound. */
static void start(void (*serve)(const char *url), const char *url)
{
    char byte;
    int ready[2];

    ASSERT_EQ(0, pipe(ready));
    pid_t pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0) {
        ready_fd = ready[1];
        serve(url);
        _exit(0);
    }
    close(ready[1]);
    ASSERT_EQ(1, read(ready[0], &byte, 1));
    close(ready[0]);
}

static const char *socket_url(void)
{
    static char url[128];

    snprintf(url, sizeof(url), "ipc://%s", test_path("s"));
    return url;
}

static struct client *connect_to(const char *url)
{
    struct client *c = NULL;
    struct errbuf why;

    ASSERT_OK(client_open(url, NULL, NULL, &c, &why), why);
    return c;
}

static cJSON *number(double n)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "n", n);
    return json;
}

static double field(const struct message *m, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(m->json, name);

    ASSERT(cJSON_IsNumber(item));
    return item->valuedouble;
}

/* Calls with {"n": n}; the answer must be from server. */
static void assert_echo(struct client *c, double n, int64_t retry_ms, const char *server)
{
    cJSON *json = number(n);
    struct message m;
    struct errbuf why;

    ASSERT_OK(client_call(c, MSG_JOB_SHOW, json, NULL, 0, LONG_MS, retry_ms, &m, NULL, &why), why);
    ASSERT_NEAR(n, field(&m, "n"), 0);
    ASSERT_STR(server, cJSON_GetObjectItem(m.json, "server")->valuestring);
    ASSERT(cJSON_GetArraySize(json) == 1); /* as it was */
    message_done(&m);
    cJSON_Delete(json);
}

static int ping(struct client *c, int64_t deadline_ms, int64_t retry_ms, struct errbuf *why)
{
    struct message m;
    int rc = client_call(c, MSG_PING, NULL, NULL, 0, deadline_ms, retry_ms, &m, NULL, why);

    if (rc == 0)
        message_done(&m);
    return rc;
}

static void echo_one(int s, const char *server)
{
    struct held h = take(s);

    echo(s, &h, server);
}

static void echo_for_ever(const char *url)
{
    for (int s = serve_on(url);;)
        echo_one(s, "echo");
}

/* Answers what comes from now on. */
static void echo_last(int s)
{
    for (;;)
        echo_one(s, "last");
}

static void refuse_for_ever(const char *url)
{
    for (int s = serve_on(url);;) {
        struct held h = take(s);
        answer_text(s, &h,
                    "{\"type\":\"error\",\"id\":1,\"code\":\"not_found\",\"error\":\"no job 12\"}");
    }
}

static void refuse_in_new_words(const char *url)
{
    for (int s = serve_on(url);;) {
        struct held h = take(s);
        answer_text(s, &h, "{\"type\":\"error\",\"code\":\"tired\",\"error\":\"not today\"}");
    }
}

/* Answers the first request, so that the client is connected, and none after it. */
static void say_nothing_more(const char *url)
{
    int s = serve_on(url);

    for (echo_one(s, "echo");;)
        take(s);
}

TEST(a_request_carries_its_envelope)
{
    static const char sender[] = "6f1c0a52-93b7-4f0e-8a31-2d5e9c7b4410";
    struct client *c = NULL;
    struct message m;
    struct errbuf why;

    start(echo_for_ever, socket_url());
    ASSERT_OK(client_open(socket_url(), sender, NULL, &c, &why), why);
    ASSERT_STR(sender, client_sender(c));
    cJSON *json = cJSON_Parse("{\"name\":\"text\",\"spec\":{\"epochs\":3,\"list\":[1,\"two\"]}}");
    ASSERT(json);
    ASSERT_OK(client_call(c, MSG_JOB_LIST, json, NULL, 0, LONG_MS, 0, &m, NULL, &why), why);
    ASSERT_STR("job.list", cJSON_GetObjectItem(m.json, "type")->valuestring);
    ASSERT_STR(sender, cJSON_GetObjectItem(m.json, "sender")->valuestring);
    ASSERT_EQ(PROTOCOL_VERSION, field(&m, "v"));
    ASSERT(
        cJSON_Compare(cJSON_GetObjectItem(json, "spec"), cJSON_GetObjectItem(m.json, "spec"), 1));
    ASSERT_STR("text", cJSON_GetObjectItem(m.json, "name")->valuestring);
    ASSERT(m.release);
    message_done(&m);
    cJSON_Delete(json);
    client_close(c);
}

TEST(requests_follow_one_another_on_two_clients)
{
    start(echo_for_ever, socket_url());
    struct client *a = connect_to(socket_url()), *b = connect_to(socket_url());

    ASSERT(strcmp(client_sender(a), client_sender(b)) != 0);
    ASSERT(text_is_uuid(client_sender(a)));
    for (int i = 0; i < 100; i++)
        assert_echo(i % 3 ? a : b, i, 0, "echo");
    client_close(a);
    client_close(b);
}

TEST(eight_mebibytes_travel_both_ways)
{
    uint8_t *piece = calloc(1, PIECE_BYTES_MAX);
    const struct tensor t = tensor_1d("piece", DTYPE_U8, PIECE_BYTES_MAX, piece), *back;
    struct message m;
    struct errbuf why;

    start(echo_for_ever, socket_url());
    struct client *c = connect_to(socket_url());
    ASSERT(piece);
    for (size_t i = 0; i < PIECE_BYTES_MAX; i++)
        piece[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int i = 0; i < 3; i++) {
        ASSERT_OK(client_call(c, MSG_DATASET_PUT, NULL, &t, 1, LONG_MS, 0, &m, NULL, &why), why);
        ASSERT_OK(message_tensor(&m, "piece", DTYPE_U8, 1, t.shape, &back, &why), why);
        ASSERT_MEM(piece, back->data, PIECE_BYTES_MAX);
        message_done(&m);
    }
    client_close(c);
    free(piece);
}

TEST(a_request_too_long_is_refused_and_the_next_one_goes)
{
    static const uint8_t none[1] = {0};
    const struct tensor t = tensor_1d("piece", DTYPE_U8, MESSAGE_BYTES_MAX, none);
    struct message m;
    struct errbuf why;

    start(echo_for_ever, socket_url());
    struct client *c = connect_to(socket_url());
    ASSERT_EQ(-EMSGSIZE, client_call(c, MSG_DATASET_PUT, NULL, &t, 1, LONG_MS, 0, &m, NULL, &why));
    ASSERT_HAS("allowed are 8912896", why.text);
    assert_echo(c, 1, 0, "echo");
    client_close(c);
}

TEST(a_refusal_brings_its_code_and_sentence)
{
    enum error_code code = ERR_COUNT;
    struct message m;
    struct errbuf why;

    start(refuse_for_ever, socket_url());
    struct client *c = connect_to(socket_url());
    ASSERT_EQ(-EREMOTEIO, client_call(c, MSG_JOB_SHOW, NULL, NULL, 0, LONG_MS, 0, &m, &code, &why));
    ASSERT_EQ(ERR_NOT_FOUND, code);
    ASSERT_STR("no job 12", why.text);
    ASSERT_EQ(-EREMOTEIO, ping(c, LONG_MS, 0, &why));
    client_close(c);
}

static void answer_badly(const char *url)
{
    static const char *const answers[] = {
        "",
        "nothing",
        "{}",
        "[]",
        "{\"type\":\"ping\"}",
        "{\"type\":\"ping\",\"id\":0,\"ok\":true}", /* of another request */
        "{\"type\":\"error\"}",
        "{\"type\":\"error\",\"code\":\"gone\",\"error\":1}",
        "\xF5SP\x01",
    };
    int s = serve_on(url);

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct held h = take(s);
        answer_text(s, &h, answers[i]);
    }
    echo_last(s);
}

TEST(an_answer_that_is_none_is_refused_and_the_next_one_taken)
{
    struct errbuf why;

    start(answer_badly, socket_url());
    struct client *c = connect_to(socket_url());
    for (int i = 0; i < 9; i++) {
        ASSERT_EQ(-EBADMSG, ping(c, LONG_MS, 0, &why));
        ASSERT_HAS("bad answer from ipc://", why.text);
    }
    assert_echo(c, 1, 0, "last");
    client_close(c);
}

TEST(a_code_that_is_not_known_here_is_still_a_refusal)
{
    enum error_code code = ERR_COUNT;
    struct message m;
    struct errbuf why;

    start(refuse_in_new_words, socket_url());
    struct client *c = connect_to(socket_url());
    ASSERT_EQ(-EREMOTEIO, client_call(c, MSG_PING, NULL, NULL, 0, LONG_MS, 0, &m, &code, &why));
    ASSERT_EQ(ERR_INTERNAL, code);
    ASSERT_STR("not today", why.text);
    client_close(c);
}

TEST(a_server_that_is_not_there_is_named)
{
    struct client *c = connect_to(socket_url());
    struct errbuf why;
    char want[256];

    ASSERT_EQ(-ETIMEDOUT, ping(c, 300, 0, &why));
    snprintf(want, sizeof(want), "no answer from %s within 300 ms; is steppe-server running there?",
             socket_url());
    ASSERT_STR(want, why.text);
    ASSERT_EQ(-ETIMEDOUT, ping(c, 1000, 0, &why));
    ASSERT_HAS("within 1 s;", why.text);
    client_close(c);
}

TEST(a_server_that_comes_later_is_found)
{
    int go[2];
    struct errbuf why;

    ASSERT_EQ(0, pipe(go));
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        if (read(go[0], &byte, 1) != 1)
            _exit(8);
        echo_for_ever(socket_url());
    }
    struct client *c = connect_to(socket_url());
    ASSERT_EQ(-ETIMEDOUT, ping(c, 300, 0, &why));
    ASSERT_EQ(1, write(go[1], "x", 1));
    assert_echo(c, 5, 0, "echo");
    client_close(c);
}

TEST(a_connected_server_that_is_silent_is_named)
{
    struct errbuf why;

    start(say_nothing_more, socket_url());
    struct client *c = connect_to(socket_url());
    assert_echo(c, 1, 0, "echo");
    ASSERT_EQ(-ETIMEDOUT, ping(c, 2000, 0, &why));
    ASSERT_HAS("is connected but did not answer ping within 2 s", why.text);
    client_close(c);
}

static void die_at_the_request(const char *url)
{
    take(serve_on(url));
    kill(getpid(), SIGKILL);
}

static void die_at_the_second_request(const char *url)
{
    int s = serve_on(url);

    echo_one(s, "echo");
    take(s);
    kill(getpid(), SIGKILL);
}

/* On a busy machine it may die later than a short deadline: then a longer one is tried. */
TEST(a_lost_connection_is_named)
{
    static const int64_t deadlines_ms[] = {1000, 8000, 64000};
    struct errbuf why = {.text = ""};
    char urls[3][128];

    for (size_t i = 0; i < 3; i++) { /* all of them before a client has a socket */
        snprintf(urls[i], sizeof(urls[i]), "ipc://%s%zu", test_path("s"), i);
        start(die_at_the_second_request, urls[i]);
    }
    for (size_t i = 0; i < 3 && !strstr(why.text, "lost the connection to ipc://"); i++) {
        struct client *c = connect_to(urls[i]);
        assert_echo(c, 1, 0, "echo");
        ASSERT_EQ(-ETIMEDOUT, ping(c, deadlines_ms[i], 0, &why));
        client_close(c);
    }
    ASSERT_HAS("lost the connection to ipc://", why.text);
}

/* The first server dies with the request in its hands; the second starts when it is dead. */
TEST(a_restart_of_the_server_is_survived)
{
    int alive[2];

    ASSERT_EQ(0, pipe(alive));
    pid_t second = fork();
    ASSERT(second >= 0);
    if (second == 0) {
        char byte;
        close(alive[1]);
        if (read(alive[0], &byte, 1) != 0) /* the end: nobody holds the other side */
            _exit(8);
        int s = serve_on(socket_url());
        echo_last(s);
    }
    start(die_at_the_request, socket_url());
    close(alive[1]);
    struct client *c = connect_to(socket_url());
    assert_echo(c, 17, 0, "last");
    client_close(c);
}

/* Once the client is connected: answers a request only after the one behind it has come. */
static void answer_late(const char *url)
{
    int s = serve_on(url);

    echo_one(s, "early");
    struct held first = take(s), second = take(s);

    echo(s, &first, "late");
    echo(s, &second, "right");
    echo_last(s);
}

TEST(a_late_answer_is_dropped)
{
    cJSON *json = number(1);
    struct message m;
    struct errbuf why;

    start(answer_late, socket_url());
    struct client *c = connect_to(socket_url());
    assert_echo(c, 0, 0, "early");
    ASSERT_EQ(-ETIMEDOUT, client_call(c, MSG_JOB_SHOW, json, NULL, 0, 2000, 0, &m, NULL, &why));
    assert_echo(c, 2, 0, "right");
    assert_echo(c, 3, 0, "last");
    cJSON_Delete(json);
    client_close(c);
}

/* Drops the first request; those that an impatient client sends after it must be the same bytes. */
static void answer_the_second_time(const char *url)
{
    int s = serve_on(url);
    struct held first = take(s);

    for (;;) {
        struct held again = take(s);
        bool same = first.bytes == again.bytes && memcmp(first.body, again.body, first.bytes) == 0;
        echo(s, &again, same ? "same" : "other");
    }
}

TEST(an_unanswered_request_is_sent_again_as_it_was)
{
    static const double values[3] = {1, 2, 3};
    const struct tensor t = tensor_1d("grad", DTYPE_F64, 3, values), *back;
    struct message m;
    struct errbuf why;

    start(answer_the_second_time, socket_url());
    struct client *c = connect_to(socket_url());
    ASSERT_OK(client_call(c, MSG_TASK_RESULT, NULL, &t, 1, LONG_MS, 500, &m, NULL, &why), why);
    ASSERT_STR("same", cJSON_GetObjectItem(m.json, "server")->valuestring);
    ASSERT_OK(message_tensor(&m, "grad", DTYPE_F64, 1, t.shape, &back, &why), why);
    ASSERT_MEM(values, back->data, sizeof(values));
    message_done(&m);
    client_close(c);
}

static void listen_and_hang_up(const char *path)
{
    static const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, NN_REP, 0, 0};
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    uint8_t theirs[8];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(at.sun_path, sizeof(at.sun_path), "%.*s", (int)sizeof(at.sun_path) - 1, path);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0)
        _exit(8);
    say_ready();
    int peer = accept(fd, NULL, NULL);
    if (read(peer, theirs, 8) != 8 || write(peer, greeting, 8) != 8)
        _exit(9);
    close(peer);
    close(fd);
}

/* A peer that closes right after the greeting leaves nanomsg's endpoint stuck for ever. */
static void hang_up_then_echo(const char *url)
{
    listen_and_hang_up(url + strlen("ipc://"));
    echo_for_ever(url);
}

TEST(a_stuck_connection_is_replaced)
{
    start(hang_up_then_echo, socket_url());
    struct client *c = connect_to(socket_url());

    assert_echo(c, 4, 300, "echo");
    client_close(c);
}

static _Atomic sig_atomic_t stop;

static void on_signal(int signal)
{
    stop = signal;
}

/* Every request is answered with a signal to the client's process. */
static void signal_the_client(const char *url)
{
    for (int s = serve_on(url);;) {
        take(s);
        kill(getppid(), SIGUSR1);
    }
}

TEST(a_stop_ends_the_waiting)
{
    struct client *c = NULL;
    struct errbuf why;

    start(signal_the_client, socket_url());
    signal(SIGUSR1, on_signal);
    ASSERT_OK(client_open(socket_url(), NULL, &stop, &c, &why), why);
    ASSERT_EQ(-EINTR, ping(c, LONG_MS, 0, &why));
    ASSERT_HAS("stopped while waiting for ipc://", why.text);
    ASSERT_EQ(-EINTR, ping(c, LONG_MS, 0, &why));
    client_close(c);
}

TEST(a_bad_address_or_sender_is_refused)
{
    struct client *c = NULL;
    struct errbuf why;

    ASSERT_EQ(-EINVAL, client_open("tcp://127.0.0.1", NULL, NULL, &c, &why));
    ASSERT_HAS("has no port", why.text);
    ASSERT_EQ(-EINVAL, client_open(socket_url(), "me", NULL, &c, &why));
    ASSERT_HAS("the sender is \"me\", allowed is a UUID", why.text);
    ASSERT(c == NULL);
    client_close(NULL);
}
