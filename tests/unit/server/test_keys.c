/* Who has been here with a key: from the gate to state.db, and back at the next start. */
#include "server/jobs/keys.h"

#include "server/net/gate.h"
#include "server/net/holders.h"
#include "tests/unit/server/service_fixture.h"
#include "tests/unit/server/store_fixture.h"

#define MINUTE_MS 60000
#define ASSERT_HOLDERS(want, query)                                                                \
    do {                                                                                           \
        char *got_ = fixture_select("state.db", query);                                            \
        ASSERT_STR(want, got_);                                                                    \
        free(got_);                                                                                \
    } while (0)

static void begin(void)
{
    struct errbuf why;

    service_open(1, PLENTY);
    ASSERT_OK(gate_open(NULL, NULL, &net.gate, &why), why);
    ASSERT_OK(keys_open(&service, &service.keys, &why), why);
}

static void end(void)
{
    settle();
    keys_close(service.keys);
    gate_close(net.gate);
    service_close();
}

static void seen(const char *name, int64_t at_ms)
{
    struct cert cert = {.role = ROLE_WORKER, .id = 7};

    snprintf(cert.name, sizeof(cert.name), "%s", name);
    holders_seen(gate_holders(net.gate), &cert, "ipc", at_ms);
}

static void tick(int64_t at_ms)
{
    keys_tick(service.keys, at_ms);
    settle();
}

TEST(the_gate_knows_what_the_database_has)
{
    struct errbuf why;

    begin();
    seen("ann", 5);
    tick(5);
    ASSERT_OK(store_key_revoke(service.store, "bob", 400, &why), why);
    end();
    begin();
    const struct holders *h = gate_holders(net.gate);
    ASSERT_EQ(1, holders_count(h));
    ASSERT_STR("ann", holders_at(h, 0)->name);
    ASSERT_STR("worker", holders_at(h, 0)->role);
    ASSERT_EQ(5, holders_at(h, 0)->last_ms);
    ASSERT_EQ(400, holders_revoked(h, "bob"));
    ASSERT_EQ(0, holders_revoked(h, "ann"));
    end();
}

TEST(a_new_holder_is_written_at_once_and_one_that_is_known_within_a_minute)
{
    begin();
    tick(1);
    seen("ann", 100);
    tick(100);
    ASSERT_HOLDERS("ann|100\n", "SELECT name, last_ms FROM key_holder");
    seen("ann", 200);
    tick(200);
    ASSERT_HOLDERS("ann|100\n", "SELECT name, last_ms FROM key_holder");
    tick(MINUTE_MS + 1);
    ASSERT_HOLDERS("ann|200\n", "SELECT name, last_ms FROM key_holder");
    end();
}

TEST(while_some_are_written_others_wait)
{
    begin();
    seen("ann", 100);
    keys_tick(service.keys, 100);
    seen("bob", 101);
    tick(101);
    ASSERT_HOLDERS("ann\n", "SELECT name FROM key_holder");
    tick(102);
    ASSERT_HOLDERS("ann\nbob\n", "SELECT name FROM key_holder");
    end();
}

TEST(more_than_are_written_at_once_are_written_in_turns)
{
    char name[NAME_MAX_BYTES];

    begin();
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "host-%d", i);
        seen(name, 100);
    }
    tick(100);
    ASSERT_HOLDERS("256\n", "SELECT count(*) FROM key_holder");
    tick(101);
    ASSERT_HOLDERS("300\n", "SELECT count(*) FROM key_holder");
    end();
}

TEST(who_could_not_be_written_is_when_seen_again)
{
    begin();
    free(fixture_select("state.db", "ALTER TABLE key_holder RENAME TO away"));
    seen("ann", 100);
    tick(100);
    free(fixture_select("state.db", "ALTER TABLE away RENAME TO key_holder"));
    ASSERT_HOLDERS("0\n", "SELECT count(*) FROM key_holder");
    seen("ann", 200);
    tick(100 + MINUTE_MS);
    ASSERT_HOLDERS("ann|200\n", "SELECT name, last_ms FROM key_holder");
    end();
}
