/* Who gives way when all places are taken. No descriptor: who came from where is set by hand. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/bounds.h"
#include "server/http/http_internal.h"
#include "server/net/peer.h"
#include "tests/harness.h"

static struct visitors all;

/* A connection that this one opened so long ago. */
static struct visitor *come(uint64_t whose, int64_t ago_ms)
{
    struct visitor *v = visitors_add(&all, -1);

    v->whose = whose;
    v->since_ms -= ago_ms;
    return v;
}

/* It has come by now, and others give way to it. */
static struct visitor *arrive(uint64_t whose)
{
    struct visitor *v = come(whose, 0);

    visitors_make_room(&all, v);
    return v;
}

static int count_ended(void)
{
    int count = 0;

    for (const struct visitor *v = all.first; v; v = v->next)
        count += v->ended;
    return count;
}

TEST(among_strangers_the_one_without_an_answer_for_longest_gives_way)
{
    struct visitor *oldest = come(7, 5000), *next = come(7, 4000);

    for (int i = 2; i < HTTP_STRANGERS_MAX; i++)
        come(7, 100);
    ASSERT_EQ(0, count_ended());
    visitors_add(&all, -1);
    ASSERT(oldest->ended);
    visitors_add(&all, -1);
    ASSERT(next->ended);
    ASSERT_EQ(2, count_ended());
}

TEST(a_flood_of_one_user_displaces_its_own)
{
    struct visitor *quiet = come(1, 60000);

    for (int i = 0; i < 10 * HTTP_STRANGERS_MAX; i++)
        arrive(7);
    ASSERT(!quiet->ended);
    ASSERT_EQ(9 * HTTP_STRANGERS_MAX + 1, count_ended());
}

TEST(strangers_leave_those_alone_who_have_shown_a_pass)
{
    struct visitor *known[HTTP_CONNECTIONS_MAX - HTTP_STRANGERS_MAX];

    for (int i = 0; i < HTTP_CONNECTIONS_MAX - HTTP_STRANGERS_MAX; i++) {
        known[i] = come(7, 20000);
        visitors_know(&all, known[i], 1);
    }
    for (int i = 0; i < 10 * HTTP_STRANGERS_MAX; i++)
        arrive(7);
    for (int i = 0; i < HTTP_CONNECTIONS_MAX - HTTP_STRANGERS_MAX; i++)
        ASSERT(!known[i]->ended);
}

TEST(among_those_the_key_that_has_most_gives_way)
{
    struct visitor *quiet = come(1, 20000);

    visitors_know(&all, quiet, 1);
    for (int i = 0; i < 3 * HTTP_CONNECTIONS_MAX; i++)
        visitors_know(&all, come(1, 0), 2);
    ASSERT(!quiet->ended);
    ASSERT_EQ(3 * HTTP_CONNECTIONS_MAX + 1 - (HTTP_CONNECTIONS_MAX - HTTP_STRANGERS_MAX),
              count_ended());
}

TEST(each_kind_has_its_time)
{
    struct visitor *idle = come(7, 11000), *asked = come(7, 11000), *known = come(7, 11000);
    const int64_t now_ms = idle->since_ms + 11000;

    asked->begun = true;
    visitors_know(&all, known, 1);
    visitors_tick(&all, now_ms);
    ASSERT(idle->ended);
    ASSERT(!asked->ended && !known->ended);
    visitors_tick(&all, now_ms + 20000);
    ASSERT(asked->ended && known->ended);
}

TEST(the_kernel_says_who_came_over_loopback)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    uint32_t uid = 12345;

    ASSERT_EQ(0, bind(listener, (struct sockaddr *)&at, sizeof(at)));
    ASSERT_EQ(0, listen(listener, 1));
    ASSERT_EQ(0, getsockname(listener, (struct sockaddr *)&at, &bytes));
    ASSERT_EQ(0, connect(client, (struct sockaddr *)&at, sizeof(at)));
    int fd = accept(listener, NULL, NULL);
    ASSERT(fd >= 0);
    int rc = peer_tcp_user(fd, &uid);
    if (rc < 0)
        SKIP("the kernel does not say here who is at the other end of a connection");
    ASSERT_EQ(getuid(), uid);
    close(client);
    ASSERT(peer_tcp_user(fd, &uid) < 0);
    close(fd);
    close(listener);
}
