#include "proto/address.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/harness.h"

static const char path_107[] =
    "/a123456789b123456789c123456789d123456789e123456789f123456789g12345678"
    "9h123456789i123456789j123456789k12345";

static void assert_taken(int (*check)(const char *, struct errbuf *), const char *url)
{
    struct errbuf why = {""};

    if (check(url, &why) != 0)
        FAIL("%s is refused: %s", url, why.text);
}

/* The sentence holds part. */
static void assert_code(int code, int (*check)(const char *, struct errbuf *), const char *url,
                        const char *part)
{
    struct errbuf why = {""};
    int rc = check(url, &why);

    if (rc != code)
        FAIL("%s gives %d", url, rc);
    if (!strstr(why.text, part))
        FAIL("\"%s\" lacks \"%s\"", why.text, part);
}

static void assert_refused(int (*check)(const char *, struct errbuf *), const char *url,
                           const char *part)
{
    assert_code(-EINVAL, check, url, part);
}

static int bind_plain(const char *url, struct errbuf *why)
{
    return address_check_bind(url, ADDRESS_LOOPBACK, why);
}

static int bind_ipc(const char *url, struct errbuf *why)
{
    return address_check_bind(url, ADDRESS_NO_TCP, why);
}

static int bind_sealed(const char *url, struct errbuf *why)
{
    return address_check_bind(url, ADDRESS_SEALED, why);
}

static const char *ipc(const char *path)
{
    static char url[256];

    snprintf(url, sizeof(url), "ipc://%s", path);
    return url;
}

TEST(a_client_takes_hosts_addresses_and_paths)
{
    static const char *const urls[] = {
        "tcp://127.0.0.1:7500", "tcp://localhost:7500",   "tcp://gpu-1.lab_2.example:65535",
        "tcp://10.0.0.7:1",     "ipc:///run/steppe.sock", "ipc://relative.sock",
    };

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        assert_taken(address_check, urls[i]);
    assert_taken(address_check, ipc(path_107));
}

TEST(what_is_no_address_is_refused_with_its_fault)
{
    static const struct {
        const char *url, *part;
    } cases[] = {
        {"", "write tcp://HOST:PORT or ipc://PATH"},
        {"127.0.0.1:7500", "\"127.0.0.1:7500\" is not an address"},
        {"ws://127.0.0.1:7500", "is not an address"},
        {"inproc://x", "is not an address"},
        {"TCP://127.0.0.1:7500", "is not an address"},
        {"tcp://127.0.0.1", "has no port"},
        {"tcp://:7500", "has no host"},
        {"tcp://", "has no port"},
        {"tcp://127.0.0.1:", "the port is \"\", allowed is 1 to 65535"},
        {"tcp://127.0.0.1:0", "the port is \"0\""},
        {"tcp://127.0.0.1:65536", "the port is \"65536\""},
        {"tcp://127.0.0.1:-1", "the port is \"-1\""},
        {"tcp://127.0.0.1:75x", "the port is \"75x\""},
        {"tcp://127.0.0.1:7500/", "the port is \"7500/\""},
        {"tcp://eth0;127.0.0.1:7500", "the host is \"eth0;127.0.0.1\""},
        {"tcp://a b:7500", "the host is \"a b\""},
        {"tcp://*:7500", "the host is \"*\""},
        {"tcp://[::1]:7500", "IPv6"},
        {"tcp://::1:7500", "the host is \"::1\""},
        {"tcp://127.0.0.256:7500", "\"127.0.0.256\" is not an IPv4 address"},
        {"tcp://127.1:7500", "\"127.1\" is not an IPv4 address"},
        {"ipc://", "has no path"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(address_check, cases[i].url, cases[i].part);
}

TEST(long_addresses_are_refused)
{
    char path[120], url[4096];

    snprintf(path, sizeof(path), "%s6", path_107);
    assert_refused(address_check, ipc(path), "the path is 108 bytes long, allowed are 107");
    memset(url, 'a', sizeof(url) - 1);
    url[sizeof(url) - 1] = '\0';
    memcpy(url, "tcp://", 6);
    assert_refused(address_check, url, "is 4095 bytes long, allowed are 127");
    assert_refused(bind_plain, url, "is 4095 bytes long, allowed are 127");
}

TEST(a_server_takes_loopback_and_ipc)
{
    assert_taken(bind_plain, "tcp://127.0.0.1:7500");
    assert_taken(bind_plain, "tcp://127.255.0.3:7501");
    assert_taken(bind_plain, "ipc:///run/steppe/steppe.sock");
}

TEST(a_server_without_a_key_serves_ipc_unless_loopback_is_asked_for)
{
    assert_taken(bind_ipc, "ipc:///run/steppe/steppe.sock");
    assert_code(-EPERM, bind_ipc, "tcp://127.0.0.1:7500", "every user of this machine");
    assert_code(-EPERM, bind_ipc, "tcp://127.0.0.1:7500", "--insecure-loopback");
    assert_code(-EPERM, bind_ipc, "tcp://127.0.0.1:7500", "--key FILE");
    assert_code(-EPERM, bind_ipc, "tcp://10.0.0.1:7500", "beyond loopback");
}

TEST(the_default_address_is_the_socket_of_a_server_of_ones_own)
{
    char *url;

    setenv("XDG_STATE_HOME", "/var/lib/anna", 1);
    ASSERT_STR("ipc:///var/lib/anna/steppe/steppe.sock", url = address_default());
    free(url);
    unsetenv("XDG_STATE_HOME");
    setenv("HOME", "/srv/anna", 1);
    ASSERT_STR("ipc:///srv/anna/.local/state/steppe/steppe.sock", url = address_default());
    free(url);
    unsetenv("HOME");
    ASSERT(address_default() == NULL);
}

TEST(a_server_is_told_why_it_may_not_serve_a_network)
{
    static const char *const urls[] = {"tcp://0.0.0.0:7500", "tcp://*:7500", "tcp://eth0:7500",
                                       "tcp://192.168.1.4:7500", "tcp://128.0.0.1:7500"};

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        assert_code(-EPERM, bind_plain, urls[i], urls[i]);
        assert_code(-EPERM, bind_plain, urls[i], "is not allowed without a key: beyond loopback");
        assert_code(-EPERM, bind_plain, urls[i], "steppe key new FILE");
        assert_taken(bind_sealed, urls[i]);
    }
    assert_taken(bind_sealed, "tcp://127.0.0.1:7500");
    assert_code(-EPERM, bind_sealed, "tcp://localhost:7500", "write tcp://127.0.0.1:7500");
    assert_code(-EPERM, bind_plain, "tcp://localhost:7500", "write tcp://127.0.0.1:7500");
}

TEST(a_server_refuses_what_is_no_address)
{
    assert_refused(bind_plain, "tcp://*", "has no port");
    assert_refused(bind_plain, "tcp://127.0.0.1:0", "the port is \"0\"");
    assert_refused(bind_plain, "ipc://", "has no path");
    assert_refused(bind_plain, "ws://127.0.0.1:80", "is not an address");
    assert_refused(bind_sealed, "tcp://*:0", "the port is \"0\"");
    assert_refused(bind_sealed, "tcp://10.0.0.256:1", "is not an IPv4 address");
}
