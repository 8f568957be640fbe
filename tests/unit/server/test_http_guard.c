#include "server/http/http_internal.h"
#include "tests/harness.h"

#define TOKEN "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

TEST(a_host_is_loopback_by_number_or_name)
{
    static const char *const good[] = {"127.0.0.1", "127.0.0.1:7580",  "127.255.0.9:1",
                                       "localhost", "localhost:65535", "[::1]",
                                       "[::1]:80"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!http_host_ok(good[i]))
            FAIL("%s is refused", good[i]);
}

TEST(any_other_host_is_refused)
{
    static const char *const bad[] = {"",
                                      "evil.example",
                                      "127.0.0.1.evil.example",
                                      "localhost.evil.example",
                                      "localhos",
                                      "localhostx",
                                      "127.0.0.1:",
                                      "127.0.0.1:0",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:80:80",
                                      "127.0.0.1 ",
                                      "128.0.0.1",
                                      "127.0.0",
                                      "127.0.0.1.1",
                                      "127.a.0.1",
                                      "[::1",
                                      "[::1]x",
                                      "[::2]",
                                      "[",
                                      "::1",
                                      "1270.0.0.1"};

    ASSERT(!http_host_ok(NULL));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (http_host_ok(bad[i]))
            FAIL("\"%s\" is let in", bad[i]);
}

TEST(an_origin_is_this_server_or_absent)
{
    ASSERT(http_origin_ok(NULL, "127.0.0.1:7580"));
    ASSERT(http_origin_ok("http://127.0.0.1:7580", "127.0.0.1:7580"));
    ASSERT(!http_origin_ok("http://127.0.0.1:7581", "127.0.0.1:7580"));
    ASSERT(!http_origin_ok("https://127.0.0.1:7580", "127.0.0.1:7580"));
    ASSERT(!http_origin_ok("http://127.0.0.1:7580/", "127.0.0.1:7580"));
    ASSERT(!http_origin_ok("null", "127.0.0.1:7580"));
    ASSERT(!http_origin_ok("", "127.0.0.1:7580"));
    ASSERT(!http_origin_ok("http://127.0.0.1:7580", NULL));
}

TEST(a_question_is_of_this_page_or_of_no_page)
{
    ASSERT(http_site_ok(NULL));
    ASSERT(http_site_ok("same-origin"));
    ASSERT(http_site_ok("none"));
    ASSERT(!http_site_ok("same-site"));
    ASSERT(!http_site_ok("cross-site"));
    ASSERT(!http_site_ok(""));
}

TEST(a_token_comes_behind_its_word)
{
    ASSERT_STR(TOKEN, http_bearer("Bearer " TOKEN));
    ASSERT_STR("", http_bearer("Bearer "));
    ASSERT(!http_bearer(NULL));
    ASSERT(!http_bearer(""));
    ASSERT(!http_bearer(TOKEN));
    ASSERT(!http_bearer("bearer " TOKEN));
    ASSERT(!http_bearer("Basic " TOKEN));
}

TEST(servers_on_several_ports_have_cookies_of_their_own)
{
    char name[HTTP_COOKIE_NAME_BYTES];

    http_cookie_name("127.0.0.1:7580", name);
    ASSERT_STR("steppe-7580", name);
    http_cookie_name("[::1]:65535", name);
    ASSERT_STR("steppe-65535", name);
    http_cookie_name("[::1]", name);
    ASSERT_STR("steppe", name);
    http_cookie_name("localhost", name);
    ASSERT_STR("steppe", name);
}

TEST(a_file_of_the_page_is_found_by_its_whole_path)
{
    const struct http_file *page = http_file("/");

    ASSERT(page && page->end > page->data);
    ASSERT(strncmp(page->data, "<!doctype html>", 15) == 0);
    ASSERT_EQ(0, *page->end);
    ASSERT(http_file("/app.js"));
    ASSERT(!http_file("/app"));
    ASSERT(!http_file(""));
    ASSERT(!http_file("/../app.js"));
}
