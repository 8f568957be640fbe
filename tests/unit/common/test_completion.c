#include "common/completion.h"

#include <stdlib.h>

#include "tests/harness.h"

static const char *const levels[] = {"error", "warn", "info", NULL};
static const struct option table[] = {
    {"listen", OPT_STR, 0, .arg = "URL", .help = "address to serve"},
    {"log-level", OPT_ENUM, 0, .arg = "LEVEL", .names = levels, .help = "what to log"},
    {"key", OPT_STR, 0, .arg = "FILE", .help = "file of keys"},
    {"state", OPT_STR, 0, .arg = "DIR", .help = "folder"},
    {"watch", OPT_FLAG, 0, .help = "show progress"},
    {0},
};

#define WORDS_MAX 8

/* completion_look at the words of a line; a last blank begins an empty word. They stay valid until
 * the next call. */
static struct completion look(const char *line)
{
    static char text[256];
    char *words[WORDS_MAX];
    struct completion c;
    int count = 0;

    snprintf(text, sizeof(text), "%s", line);
    words[count++] = text;
    for (char *p = text; *p; p++) {
        if (*p == ' ') {
            *p = '\0';
            ASSERT(count < WORDS_MAX);
            words[count++] = p + 1;
        }
    }
    completion_look(table, count, words, &c);
    return c;
}

/* What a daemon answers; to be freed. */
static char *answer(char *first, char *second)
{
    char *argv[] = {"prog", COMPLETION_ARG, first, second}, *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    ASSERT(completion_asked(table, second ? 4 : first ? 3 : 2, argv, out));
    fclose(out);
    return text;
}

static void assert_answer(const char *want, char *first, char *second)
{
    char *got = answer(first, second);

    ASSERT_STR(want, got);
    free(got);
}

TEST(words_and_values_are_told_apart)
{
    struct completion c = look("show --listen here 3 --watch ");

    ASSERT_EQ(2, c.before);
    ASSERT_EQ(0, c.first);
    ASSERT(!c.option && !c.dashed);
    c = look("--listen here --watch show ");
    ASSERT_EQ(1, c.before);
    ASSERT_EQ(3, c.first);
    c = look("--listen=here ");
    ASSERT_EQ(0, c.before);
    c = look("--nobody knows ");
    ASSERT_EQ(1, c.before);
    c = look("- ");
    ASSERT_EQ(1, c.before);
}

TEST(a_value_is_behind_its_option_or_its_sign)
{
    struct completion c = look("show --log-level wa");

    ASSERT(c.option == &table[1] && c.lead == 0);
    c = look("show --log-level=wa");
    ASSERT(c.option == &table[1] && c.lead == strlen("--log-level="));
    c = look("show --watch wa");
    ASSERT(!c.option && c.before == 1);
    c = look("show --watch=wa");
    ASSERT(!c.option && c.dashed);
    c = look("--log-level warn ");
    ASSERT(!c.option && c.before == 0);
}

TEST(behind_two_dashes_are_words_only)
{
    struct completion c = look("-- --listen a --log-");

    ASSERT_EQ(2, c.before);
    ASSERT(!c.option && !c.dashed);
    c = look("--listen -- --wat");
    ASSERT(c.dashed && c.before == 0);
}

TEST(a_daemon_offers_its_options_and_their_values)
{
    assert_answer("--log-level\twhat to log\n", "--lo", NULL);
    assert_answer("--watch\tshow progress\n", "--w", NULL);
    assert_answer("warn\t\n", "--log-level", "w");
    assert_answer("--log-level=warn\t\n", "--log-level=w", NULL);
    assert_answer(":files\n", "--key", "");
    assert_answer(":folders\n", "--state=", NULL);
    assert_answer("", "--listen", "");
    assert_answer("", "--zzz", NULL);
    assert_answer("", NULL, NULL);
}

TEST(nobody_else_is_answered)
{
    char *argv[] = {"prog", "--watch", COMPLETION_ARG};

    ASSERT(!completion_asked(table, 3, argv, stdout));
    ASSERT(!completion_asked(table, 1, argv, stdout));
}

TEST(what_could_steer_a_terminal_is_not_offered)
{
    struct completion c = look("");
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    completion_offer(&c, "two\nlines", "a", out);
    completion_offer(&c, "red\033[31m", "a", out);
    completion_offer(&c, "hot dog", "tab\there", out);
    fclose(out);
    ASSERT_STR("hot dog\ttab?here\n", text);
    free(text);
}
