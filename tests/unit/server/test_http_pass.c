#include "server/http/http_internal.h"
#include "tests/harness.h"

#define NOW 1800000000

static const uint8_t secret[HTTP_SECRET_BYTES] = {1, 2, 3};

static struct http_pass read_back(const struct http_pass *pass, int64_t now_s)
{
    struct http_pass got = {.role = ROLE_NONE};
    char text[HTTP_PASS_HEX];

    http_pass_print(pass, secret, text);
    ASSERT_EQ(HTTP_PASS_HEX - 1, strlen(text));
    if (!http_pass_read(text, pass->use, secret, now_s, &got))
        FAIL("%s is refused", text);
    return got;
}

TEST(a_pass_says_what_was_put_into_it)
{
    for (enum role role = ROLE_SUBMIT; role <= ROLE_READ; role++) {
        const struct http_pass link = http_pass_link(role, 0, 0, NOW);
        const struct http_pass got = read_back(&link, NOW);
        ASSERT_EQ(role, got.role);
        ASSERT_EQ(HTTP_LINK, got.use);
        ASSERT_EQ(NOW, got.begin_s);
        ASSERT_EQ(NOW + HTTP_LINK_S, got.end_s);
    }
}

TEST(it_says_whose_it_is_and_so_does_the_session_that_it_opens)
{
    const uint32_t ann = http_pass_who("ann", secret), ben = http_pass_who("ben", secret);
    const struct http_pass link = http_pass_link(ROLE_READ, ann, 0, NOW);
    const struct http_pass got = read_back(&link, NOW);
    const struct http_pass session = http_pass_session(&got, NOW);
    const struct http_pass renewed = http_pass_session(&session, NOW + 5);

    ASSERT_EQ(0, http_pass_who("", secret));
    ASSERT(ann != 0 && ben != 0 && ann != ben);
    ASSERT_EQ(ann, got.who);
    ASSERT_EQ(ann, read_back(&renewed, NOW + 5).who);
}

TEST(it_is_refused_when_any_bit_of_it_or_the_secret_is_another)
{
    const struct http_pass link = http_pass_link(ROLE_READ, 0, 0, NOW);
    uint8_t other[HTTP_SECRET_BYTES];
    char text[HTTP_PASS_HEX], changed[HTTP_PASS_HEX];
    struct http_pass got;

    http_pass_print(&link, secret, text);
    for (size_t i = 0; i < HTTP_PASS_HEX - 1; i++) {
        memcpy(changed, text, sizeof(text));
        changed[i] = text[i] == '0' ? '1' : '0';
        ASSERT(!http_pass_read(changed, HTTP_LINK, secret, NOW, &got));
    }
    memcpy(changed, text, sizeof(text));
    changed[HTTP_PASS_HEX - 2] = '\0';
    ASSERT(!http_pass_read(changed, HTTP_LINK, secret, NOW, &got));
    ASSERT(!http_pass_read("", HTTP_LINK, secret, NOW, &got));
    ASSERT(!http_pass_read(NULL, HTTP_LINK, secret, NOW, &got));
    memcpy(other, secret, sizeof(other));
    other[31] ^= 1;
    ASSERT(!http_pass_read(text, HTTP_LINK, other, NOW, &got));
    ASSERT(http_pass_read(text, HTTP_LINK, secret, NOW, &got));
}

TEST(a_link_is_no_session_and_a_session_no_link)
{
    const struct http_pass link = http_pass_link(ROLE_READ, 0, 0, NOW);
    const struct http_pass session = http_pass_session(&link, NOW);
    char text[HTTP_PASS_HEX];
    struct http_pass got;

    http_pass_print(&link, secret, text);
    ASSERT(!http_pass_read(text, HTTP_SESSION, secret, NOW, &got));
    http_pass_print(&session, secret, text);
    ASSERT(!http_pass_read(text, HTTP_LINK, secret, NOW, &got));
}

TEST(it_ends)
{
    const struct http_pass link = http_pass_link(ROLE_READ, 0, 0, NOW);
    char text[HTTP_PASS_HEX];
    struct http_pass got;

    http_pass_print(&link, secret, text);
    ASSERT(http_pass_read(text, HTTP_LINK, secret, NOW + HTTP_LINK_S - 1, &got));
    ASSERT(!http_pass_read(text, HTTP_LINK, secret, NOW + HTTP_LINK_S, &got));
}

TEST(a_session_that_is_used_goes_on_but_not_for_ever)
{
    const struct http_pass link = http_pass_link(ROLE_SUBMIT, 0, 0, NOW);
    struct http_pass session = http_pass_session(&link, NOW + 5);
    int64_t now = NOW + 5;
    int renewed = 0;

    ASSERT_EQ(NOW + 5, session.begin_s);
    ASSERT_EQ(NOW + 5 + HTTP_SESSION_S, session.end_s);
    ASSERT(!http_pass_is_old(&session, now));
    for (; now < session.end_s; now += 3600) {
        ASSERT(session.end_s - now >= HTTP_SESSION_S / 2 - 3600 ||
               session.end_s == session.begin_s + HTTP_SESSION_MAX_S);
        if (!http_pass_is_old(&session, now))
            continue;
        session = http_pass_session(&session, now);
        ASSERT_EQ(ROLE_SUBMIT, session.role);
        renewed++;
    }
    ASSERT_EQ(NOW + 5 + HTTP_SESSION_MAX_S, session.end_s);
    ASSERT(renewed >= 7);
}

TEST(neither_a_link_nor_a_session_outlives_the_key_that_it_came_from)
{
    const struct http_pass soon = http_pass_link(ROLE_READ, 1, NOW + 100, NOW);
    const struct http_pass later = http_pass_link(ROLE_READ, 1, NOW + 3 * HTTP_SESSION_S, NOW);
    struct http_pass session = http_pass_session(&soon, NOW + 50), got;
    char text[HTTP_PASS_HEX];

    ASSERT_EQ(NOW + 100, soon.end_s);
    ASSERT_EQ(NOW + 100, session.end_s);
    ASSERT(!http_pass_is_old(&session, NOW + 99));
    http_pass_print(&session, secret, text);
    ASSERT(http_pass_read(text, HTTP_SESSION, secret, NOW + 99, &got));
    ASSERT(!http_pass_read(text, HTTP_SESSION, secret, NOW + 100, &got));
    ASSERT_EQ(NOW + HTTP_LINK_S, later.end_s);
    session = http_pass_session(&later, NOW);
    for (int64_t now = NOW; now < session.end_s; now += 3600)
        if (http_pass_is_old(&session, now))
            session = http_pass_session(&session, now);
    ASSERT_EQ(NOW + 3 * HTTP_SESSION_S, session.end_s);
}
