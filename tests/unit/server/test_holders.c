/* Holders of keys and revoked names, as the gate has them in memory. */
#include "server/net/holders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "tests/harness.h"

#define MOST 8

static void seen(struct holders *h, const char *name, enum role role, uint64_t id, int64_t now_ms)
{
    struct cert cert = {.role = role, .id = id, .issued_ms = 100, .expires_ms = 900};
    char address[PEER_BYTES];

    snprintf(cert.name, sizeof(cert.name), "%s", name);
    snprintf(address, sizeof(address), "tcp 10.0.0.1:%lld", (long long)now_ms);
    holders_seen(h, &cert, address, now_ms);
}

static void restore(struct holders *h, int number, int64_t last_ms)
{
    struct holder one = {.role = "worker", .id = (uint64_t)number, .last_ms = last_ms};

    snprintf(one.name, sizeof(one.name), "host-%d", number);
    holders_restore(h, &one);
}

/* The names of those that changed, "a b". */
static const char *taken(struct holders *h, bool all, size_t most)
{
    static char names[MOST * NAME_MAX_BYTES];
    struct holder rows[MOST];
    size_t count = holders_take(h, all, rows, most), at = 0;

    names[0] = 0;
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", i ? " " : "", rows[i].name);
    return names;
}

TEST(a_holder_is_new_once)
{
    struct holders *h = holders_open();
    struct holder one;

    ASSERT_STR("", taken(h, true, MOST));
    seen(h, "ann", ROLE_SUBMIT, 7, 200);
    ASSERT_EQ(1, holders_take(h, false, &one, 1));
    ASSERT_STR("ann", one.name);
    ASSERT_STR("submit", one.role);
    ASSERT_STR("tcp 10.0.0.1:200", one.address);
    ASSERT_EQ(7, one.id);
    ASSERT_EQ(100, one.issued_ms);
    ASSERT_EQ(900, one.expires_ms);
    ASSERT_EQ(200, one.first_ms);
    ASSERT_EQ(200, one.last_ms);
    ASSERT_STR("", taken(h, false, MOST));
    ASSERT_STR("", taken(h, true, MOST));
    holders_close(h);
}

TEST(one_that_comes_again_is_told_with_all_only)
{
    struct holders *h = holders_open();
    struct holder one;

    seen(h, "ann", ROLE_SUBMIT, 7, 200);
    ASSERT_STR("ann", taken(h, false, MOST));
    seen(h, "ann", ROLE_SUBMIT, 7, 300);
    ASSERT_STR("", taken(h, false, MOST));
    ASSERT_EQ(1, holders_take(h, true, &one, 1));
    ASSERT_EQ(200, one.first_ms);
    ASSERT_EQ(300, one.last_ms);
    ASSERT_STR("tcp 10.0.0.1:300", one.address);
    ASSERT_EQ(1, holders_count(h));
    holders_close(h);
}

TEST(one_in_use_wants_renewal_in_the_last_quarter_of_its_span)
{
    const int64_t week_ms = INT64_C(7) * 86400000;
    struct holders *h = holders_open();
    struct holder long_ago = {
        .name = "old", .role = "read", .issued_ms = 1, .expires_ms = 901, .last_ms = 700 - week_ms};
    struct errbuf why;

    seen(h, "ann", ROLE_SUBMIT, 7, 200); /* its span ends 900 */
    seen(h, "bob", ROLE_WORKER, 8, 200);
    holders_restore(h, &long_ago);
    ASSERT_EQ(1, holders_to_renew(h, 690)); /* the old one */
    ASSERT_EQ(0, holders_to_renew(h, 700)); /* which was away for a week */
    ASSERT_EQ(2, holders_to_renew(h, 701));
    ASSERT_EQ(0, holders_revoke(h, "bob", 750, &why));
    ASSERT_EQ(1, holders_to_renew(h, 899));
    ASSERT_EQ(0, holders_to_renew(h, 900));
    holders_close(h);
}

TEST(a_new_one_stays_new_until_it_is_told)
{
    struct holders *h = holders_open();

    seen(h, "ann", ROLE_SUBMIT, 7, 200);
    seen(h, "ann", ROLE_SUBMIT, 7, 300);
    ASSERT_STR("ann", taken(h, false, MOST));
    holders_close(h);
}

TEST(another_key_of_a_holder_is_new)
{
    struct holders *h = holders_open();
    struct holder one;

    seen(h, "ann", ROLE_SUBMIT, 7, 200);
    ASSERT_STR("ann", taken(h, false, MOST));
    seen(h, "ann", ROLE_SUBMIT, 8, 300);
    ASSERT_EQ(1, holders_take(h, false, &one, 1));
    ASSERT_EQ(8, one.id);
    ASSERT_EQ(200, one.first_ms);
    ASSERT_EQ(1, holders_count(h));
    holders_close(h);
}

TEST(a_name_with_two_roles_is_two_holders)
{
    struct holders *h = holders_open();

    seen(h, "ann", ROLE_SUBMIT, 7, 200);
    seen(h, "ann", ROLE_READ, 8, 300);
    ASSERT_EQ(2, holders_count(h));
    ASSERT_STR("submit", holders_at(h, 0)->role);
    ASSERT_STR("read", holders_at(h, 1)->role);
    holders_close(h);
}

TEST(what_there_is_no_room_for_is_told_next)
{
    struct holders *h = holders_open();

    seen(h, "ann", ROLE_SUBMIT, 7, 200);
    seen(h, "bob", ROLE_SUBMIT, 8, 200);
    seen(h, "eve", ROLE_SUBMIT, 9, 200);
    ASSERT_STR("ann bob", taken(h, false, 2));
    ASSERT_STR("eve", taken(h, false, 2));
    ASSERT_STR("", taken(h, false, 2));
    holders_close(h);
}

TEST(what_is_restored_is_known_already)
{
    struct holders *h = holders_open();
    struct holder one = {.name = "ann", .role = "submit", .id = 7, .first_ms = 50, .last_ms = 60};

    holders_restore(h, &one);
    ASSERT_STR("", taken(h, true, MOST));
    seen(h, "ann", ROLE_SUBMIT, 7, 200);
    ASSERT_STR("", taken(h, false, MOST));
    ASSERT_EQ(50, holders_at(h, 0)->first_ms);
    ASSERT_EQ(200, holders_at(h, 0)->last_ms);
    ASSERT_STR("ann", taken(h, true, MOST));
    one.last_ms = 70;
    holders_restore(h, &one);
    ASSERT_EQ(1, holders_count(h));
    ASSERT_EQ(70, holders_at(h, 0)->last_ms);
    holders_close(h);
}

TEST(who_was_away_longest_makes_room)
{
    struct holders *h = holders_open();

    for (int i = 0; i < KEYS_KNOWN_MAX; i++)
        restore(h, i, i == 5 ? 10 : 1000 - i % 7);
    seen(h, "ann", ROLE_SUBMIT, 7, 2000);
    ASSERT_EQ(KEYS_KNOWN_MAX, holders_count(h));
    ASSERT_STR("ann", holders_at(h, 5)->name);
    ASSERT_STR("host-4", holders_at(h, 4)->name);
    ASSERT_STR("host-6", holders_at(h, 6)->name);
    ASSERT_STR("ann", taken(h, false, MOST));
    holders_close(h);
}

TEST(a_name_is_revoked_up_to_a_time)
{
    struct holders *h = holders_open();
    struct errbuf why;

    ASSERT_EQ(0, holders_revoked(h, "ann"));
    ASSERT_OK(holders_revoke(h, "ann", 300, &why), why);
    ASSERT_EQ(300, holders_revoked(h, "ann"));
    ASSERT_EQ(0, holders_revoked(h, "an"));
    ASSERT_OK(holders_revoke(h, "ann", 500, &why), why);
    ASSERT_EQ(500, holders_revoked(h, "ann"));
    ASSERT_EQ(1, holders_revoked_count(h));
    ASSERT_STR("ann", holders_revoked_at(h, 0)->name);
    holders_close(h);
}

TEST(a_full_list_of_revoked_names_takes_only_those_in_it)
{
    struct holders *h = holders_open();
    struct errbuf why;
    char name[NAME_MAX_BYTES];

    for (int i = 0; i < KEYS_KNOWN_MAX; i++) {
        snprintf(name, sizeof(name), "host-%d", i);
        ASSERT_OK(holders_revoke(h, name, 300, &why), why);
    }
    ASSERT_EQ(-ERANGE, holders_may_revoke(h, "ann", &why));
    ASSERT_HAS("4096 names are revoked", why.text);
    ASSERT_EQ(-ERANGE, holders_revoke(h, "ann", 400, &why));
    ASSERT_EQ(0, holders_revoked(h, "ann"));
    ASSERT_OK(holders_revoke(h, "host-9", 400, &why), why);
    ASSERT_EQ(400, holders_revoked(h, "host-9"));
    ASSERT_EQ(KEYS_KNOWN_MAX, holders_revoked_count(h));
    holders_close(h);
}

TEST(what_was_looked_up_by_names_holds_until_one_comes_or_is_revoked)
{
    struct holders *h = holders_open();
    struct errbuf why;

    seen(h, "ann", ROLE_READ, 1, 200);
    uint64_t before = holders_changes(h);
    seen(h, "ann", ROLE_READ, 1, 300);
    ASSERT_EQ(before, holders_changes(h));
    seen(h, "ben", ROLE_READ, 2, 300);
    ASSERT(holders_changes(h) > before);
    before = holders_changes(h);
    ASSERT_OK(holders_revoke(h, "ann", 400, &why), why);
    ASSERT(holders_changes(h) > before);
    before = holders_changes(h);
    ASSERT_OK(holders_revoke(h, "ann", 500, &why), why);
    ASSERT(holders_changes(h) > before);
    before = holders_changes(h);
    restore(h, 3, 100);
    ASSERT(holders_changes(h) > before);
    holders_close(h);
}
