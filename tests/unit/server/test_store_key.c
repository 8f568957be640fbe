/* Holders of keys and revoked names, as state.db keeps them. */
#include "tests/unit/server/store_fixture.h"

struct loaded {
    struct holder *holders;
    int count;
    char revoked[200];
};

static void keep_holder(void *arg, const struct holder *h)
{
    struct loaded *l = arg;

    l->holders = realloc(l->holders, (size_t)(l->count + 1) * sizeof(*h));
    ASSERT(l->holders);
    l->holders[l->count++] = *h;
}

static void keep_revoked(void *arg, const struct revoked *r)
{
    struct loaded *l = arg;
    size_t at = strlen(l->revoked);

    snprintf(l->revoked + at, sizeof(l->revoked) - at, "%s %lld\n", r->name, (long long)r->unix_ms);
}

/* As a server finds it at its start. */
static struct loaded load(void)
{
    struct store *s = fixture_open();
    struct loaded l = {.count = 0};
    struct errbuf why;

    ASSERT_OK(store_keys_load(s, keep_holder, keep_revoked, &l, &why), why);
    store_close(s);
    return l;
}

static void put(const struct holder *rows, size_t count)
{
    struct store *s = fixture_open();
    struct errbuf why;

    ASSERT_OK(store_holders_put(s, rows, count, &why), why);
    store_close(s);
}

static void assert_holder(const struct holder *want, const struct holder *got)
{
    ASSERT_STR(want->name, got->name);
    ASSERT_STR(want->role, got->role);
    ASSERT_STR(want->address, got->address);
    ASSERT(want->id == got->id);
    ASSERT_EQ(want->issued_ms, got->issued_ms);
    ASSERT_EQ(want->expires_ms, got->expires_ms);
    ASSERT_EQ(want->first_ms, got->first_ms);
    ASSERT_EQ(want->last_ms, got->last_ms);
}

static const struct holder ann = {"ann", "submit", UINT64_MAX - 1, 1, 2, 3, 4, "tcp 10.0.0.1:5"};

TEST(holders_are_read_as_they_were_put)
{
    const struct holder rows[] = {{"bob", "worker", 6, 10, 20, 30, 40, "ipc"},
                                  ann,
                                  {"ann", "read", 5, 11, 21, 31, 41, "tcp [::1]:7"}};

    put(rows, 3);
    struct loaded l = load();
    ASSERT_EQ(3, l.count);
    assert_holder(&rows[2], &l.holders[0]);
    assert_holder(&rows[1], &l.holders[1]);
    assert_holder(&rows[0], &l.holders[2]);
    ASSERT_STR("", l.revoked);
    free(l.holders);
}

TEST(a_holder_that_came_again_was_first_seen_when_it_was)
{
    struct holder again = {"ann", "submit", 9, 100, 200, 300, 400, "tcp 10.0.0.2:6"};

    put(&ann, 1);
    put(&again, 1);
    struct loaded l = load();
    ASSERT_EQ(1, l.count);
    again.first_ms = ann.first_ms;
    assert_holder(&again, &l.holders[0]);
    free(l.holders);
}

TEST(of_too_many_holders_those_away_longest_go)
{
    struct holder *rows = calloc(KEYS_KNOWN_MAX + 2, sizeof(*rows));

    ASSERT(rows);
    for (int i = 0; i < KEYS_KNOWN_MAX + 2; i++) {
        rows[i] = (struct holder){.role = "worker", .last_ms = i == 7 || i == 9 ? 1 : 100 + i};
        snprintf(rows[i].name, sizeof(rows[i].name), "host-%04d", i);
    }
    put(rows, KEYS_KNOWN_MAX + 2);
    struct loaded l = load();
    ASSERT_EQ(KEYS_KNOWN_MAX, l.count);
    ASSERT_STR("host-0006", l.holders[6].name);
    ASSERT_STR("host-0008", l.holders[7].name);
    ASSERT_STR("host-0010", l.holders[8].name);
    free(l.holders);
    free(rows);
}

TEST(a_revocation_is_kept_and_never_moves_back)
{
    struct store *s = fixture_open();
    struct errbuf why;

    ASSERT_OK(store_key_revoke(s, "bob", 500, &why), why);
    ASSERT_OK(store_key_revoke(s, "ann", 300, &why), why);
    ASSERT_OK(store_key_revoke(s, "ann", 700, &why), why);
    ASSERT_OK(store_key_revoke(s, "bob", 400, &why), why);
    store_close(s);
    struct loaded l = load();
    ASSERT_EQ(0, l.count);
    ASSERT_STR("ann 700\nbob 500\n", l.revoked);
}
