#define _GNU_SOURCE
#include "proto/cli/html.h"

#include <stdlib.h>

#include "tests/harness.h"

static void check_html(const char *text, const char *want)
{
    char *got = NULL;
    size_t bytes;
    FILE *out = open_memstream(&got, &bytes);

    html_text(out, text);
    fclose(out);
    ASSERT_STR(want, got);
    free(got);
}

TEST(markup_is_text)
{
    check_html("<b a='\"'>&amp;", "&#60;b a=&#39;&#34;&#39;&#62;&#38;amp;");
    check_html("{\n\t\"name\": 1}", "{\n\t&#34;name&#34;: 1}");
    check_html("caf\xc3\xa9 \xd7\xa9", "caf\xc3\xa9 \xd7\xa9");
}

TEST(what_turns_a_line_does_not_reach_a_page)
{
    check_html("x\xe2\x80\xaegnp.exe", "x&#xfffd;gnp.exe");
    check_html("\xc2\x9b\x1b\x7f\xff", "&#xfffd;&#xfffd;&#xfffd;&#xfffd;");
}
