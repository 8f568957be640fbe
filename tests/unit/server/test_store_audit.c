#include "server/store/store_internal.h"
#include "tests/unit/server/store_fixture.h"

#include <errno.h>

static struct audit_record row(const char *key, const char *command)
{
    struct audit_record r = {.unix_ms = 5, .role = "submit", .command = command, .result = "ok"};

    snprintf(r.key, sizeof(r.key), "%s", key);
    snprintf(r.address, sizeof(r.address), "tcp 10.0.0.1:4000");
    snprintf(r.about, sizeof(r.about), "job 1");
    return r;
}

static void assert_state(const char *want, const char *sql)
{
    char *got = fixture_select("state.db", sql);

    ASSERT_STR(want, got);
    free(got);
}

TEST(rows_are_numbered_and_kept)
{
    struct store *s = fixture_open();
    const struct audit_record rows[] = {row("ann", "job.pause"), row("", "job.cancel")};
    struct errbuf why;

    ASSERT_OK(store_audit_add(s, rows, 2, &why), why);
    store_close(s);
    s = fixture_open();
    assert_state("1|ann|submit|tcp 10.0.0.1:4000|job.pause|job 1|ok\n2||submit|"
                 "tcp 10.0.0.1:4000|job.cancel|job 1|ok\n",
                 "SELECT number, key, role, address, command, about, result FROM audit");
    store_close(s);
}

/* Not even this program can change it by mistake. */
TEST(a_row_is_neither_changed_nor_removed)
{
    struct store *s = fixture_open();
    const struct audit_record r = row("ann", "job.pause");
    struct errbuf why;

    ASSERT_OK(store_audit_add(s, &r, 1, &why), why);
    ASSERT(db_exec(&s->state, "UPDATE audit SET key = 'bob'", &why) < 0);
    ASSERT_HAS("never changes", why.text);
    ASSERT(db_exec(&s->state, "DELETE FROM audit", &why) < 0);
    ASSERT_HAS("stays", why.text);
    ASSERT(db_exec(&s->state, "REPLACE INTO audit SELECT 1, 5, '', '', '', '', '', '', ''", &why) <
           0);
    assert_state("ann\n", "SELECT key FROM audit");
    store_close(s);
}

/* Whoever sends without end loses rows of its own. */
TEST(the_oldest_rows_of_the_busiest_key_go)
{
    static const char fill[] =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 199999)"
        " INSERT INTO audit(unix_ms, key, role, address, command, about, result, text)"
        " SELECT i, 'eve', '', '', '', '', '', '' FROM n";
    struct store *s = fixture_open();
    const struct audit_record ann = row("ann", "job.pause"), eve = row("eve", "job.pause");
    struct errbuf why;

    ASSERT_OK(store_audit_add(s, &ann, 1, &why), why);
    ASSERT_OK(db_exec(&s->state, fill, &why), why);
    assert_state("200000\n", "SELECT rows FROM audit_count");
    ASSERT_OK(store_audit_add(s, &eve, 1, &why), why);
    assert_state("198001\n", "SELECT rows FROM audit_count");
    assert_state("1|198001|1\n", "SELECT min(number), count(*), sum(key = 'ann') FROM audit");
    ASSERT_OK(db_exec(&s->state, "SELECT 1", &why), why);
    store_close(s);
}

TEST(an_older_database_gets_the_log)
{
    struct store *s = fixture_open();
    const struct audit_record r = row("ann", "job.pause");
    struct errbuf why;

    store_close(s);
    fixture_older(8);
    s = fixture_open();
    ASSERT_OK(store_audit_add(s, &r, 1, &why), why);
    assert_state("1\n", "SELECT count(*) FROM audit");
    store_close(s);
}
