#include "common/err.h"

#include <errno.h>
#include <limits.h>

#include "common/text.h"
#include "tests/harness.h"

TEST(err_set_keeps_the_sentence_and_returns_the_code)
{
    struct errbuf why = {""};

    ASSERT_EQ(-EINVAL, err_set(&why, -EINVAL, "batch is %d, allowed is 1 to %d", 0, 65536));
    ASSERT_STR("batch is 0, allowed is 1 to 65536", why.text);
}

TEST(err_set_without_a_buffer_returns_the_code)
{
    ASSERT_EQ(-EIO, err_set(NULL, -EIO, "%s", "lost"));
    ASSERT_EQ(-EIO, err_prefix(NULL, -EIO, "%s", "lost"));
}

TEST(err_prefix_goes_before_the_sentence)
{
    struct errbuf why = {""};

    err_set(&why, -EINVAL, "epochs is missing");
    ASSERT_EQ(-EINVAL, err_prefix(&why, -EINVAL, "line %d", 3));
    ASSERT_STR("line 3: epochs is missing", why.text);
}

TEST(err_set_may_quote_the_sentence_it_replaces)
{
    struct errbuf why = {"first"};

    err_set(&why, -EINVAL, "after %s", why.text);
    ASSERT_STR("after first", why.text);
}

TEST(a_long_sentence_is_cut)
{
    struct errbuf why;
    char text[2000];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    err_set(&why, -EINVAL, "%s", text);
    ASSERT_EQ(sizeof(why.text) - 1, strlen(why.text));
    err_prefix(&why, -EINVAL, "%s", text);
    ASSERT_EQ(sizeof(why.text) - 1, strlen(why.text));
}

TEST(a_sentence_is_one_line_of_utf8)
{
    struct errbuf why;

    err_set(&why, -EINVAL, "a\nb\tc\x1b[0m \xc3\xa9 \xff \xc3");
    ASSERT_STR("a?b?c?[0m \xc3\xa9 ? ?", why.text);
}

TEST(a_cut_leaves_no_half_character)
{
    struct errbuf why;
    char text[600];

    for (size_t i = 0; i + 2 < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xa9", 3);
    for (int shift = 0; shift < 2; shift++) {
        err_set(&why, -EINVAL, "%s%s", shift ? "x" : "", text);
        ASSERT_EQ(strlen(why.text), text_utf8_bytes(why.text, strlen(why.text)));
    }
}

TEST(every_code_has_a_text)
{
    ASSERT_STR("no space left on the device", err_text(-ENOSPC));
    ASSERT_STR(err_text(-ENOENT), err_text(ENOENT));
    ASSERT_STR("unknown error", err_text(-99999));
    ASSERT_STR("unknown error", err_text(INT_MIN));
    for (int code = 1; code < 134; code++)
        ASSERT(err_text(-code)[0] != '\0');
}
