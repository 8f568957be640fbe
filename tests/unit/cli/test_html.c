#define _GNU_SOURCE
#include "proto/cli/html.h"

#include <stdlib.h>
#include <string.h>

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

TEST(an_axis_starts_at_0)
{
    const double x[] = {0, 1, 2}, y[] = {2.25, 1, 0.5}, below[] = {-1, 0.3, 1};
    const struct html_line lines[] = {{.name = "loss", .y = y}, {.name = "below", .y = below}};
    char *text = NULL;
    size_t bytes = 0;

    for (size_t i = 0; i < 2; i++) {
        FILE *out = open_memstream(&text, &bytes);
        ASSERT(out != NULL);
        html_chart(out, "Loss", x, 3, 3, &lines[i], 1, i == 1 ? HTML_SHARE : HTML_FROM_ZERO);
        fclose(out);
        ASSERT(strstr(text, i == 1 ? ">0%</text>" : ">0</text>") != NULL);
        ASSERT(strstr(text, ">-0") == NULL);
        free(text);
    }
}

TEST(what_turns_a_line_does_not_reach_a_page)
{
    check_html("x\xe2\x80\xaegnp.exe", "x&#xfffd;gnp.exe");
    check_html("\xc2\x9b\x1b\x7f\xff", "&#xfffd;&#xfffd;&#xfffd;&#xfffd;");
}

TEST(a_logarithmic_axis_leaves_out_what_has_no_logarithm)
{
    const double x[] = {0, 1, 2, 3}, y[] = {1e-6, 0, 1e-3, -1};
    const struct html_line line = {.name = "gap <1>", .y = y, .colour = 5};
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    ASSERT(out != NULL);
    html_chart(out, "Scale", x, 4, 3, &line, 1, HTML_LOG);
    fclose(out);
    ASSERT_HAS(">1e-6</text>", text);
    ASSERT_HAS(">1e-3</text>", text);
    ASSERT_HAS("gap &#60;1&#62;", text);
    ASSERT_HAS("class=\"line c5\" d=\"M46.0,194.0L379.3,10.0\"", text);
    free(text);
}
