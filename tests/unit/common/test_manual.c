#include "common/manual.h"

#include <stdlib.h>

#include "tests/harness.h"

static const char *const levels[] = {"error", "warn", NULL};
static const struct option table[] = {
    {"listen", OPT_STR, 0, .arg = "URL", .help = ".hidden ~ or -x"},
    {"log-level", OPT_ENUM, 0, .def = "warn", .arg = "LEVEL", .names = levels, .help = "what"},
    {"zero", OPT_FLAG, 0, .letter = '0', .help = "a zero byte"},
    {"config", OPT_STR, 0, .arg = "FILE", .typed = true, .help = "read a file"},
    {"help", OPT_FLAG, 0, .typed = true, .help = "show this help"},
    {0},
};

static void assert_asked(const char *want, char *what)
{
    char *argv[] = {"prog", MANUAL_ARG, what}, *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    ASSERT(manual_asked(table, 3, argv, out));
    fclose(out);
    ASSERT_STR(want, text);
    free(text);
}

TEST(an_option_is_an_entry)
{
    assert_asked(".TP\n\\fB\\-\\-listen\\fR \\fIURL\\fR\n\\&.hidden \\(ti or \\-x\n"
                 ".TP\n\\fB\\-\\-log\\-level\\fR \\fILEVEL\\fR\nwhat\n"
                 "(error or warn; default warn)\n"
                 ".TP\n\\fB\\-0\\fR, \\fB\\-\\-zero\\fR\na zero byte\n"
                 ".TP\n\\fB\\-\\-config\\fR \\fIFILE\\fR\nread a file\n"
                 ".TP\n\\fB\\-\\-help\\fR\nshow this help\n",
                 "options");
}

TEST(a_setting_is_an_option_that_a_file_may_have)
{
    assert_asked(".TP\n\\fBlisten\\fR = \\fIURL\\fR\n\\&.hidden \\(ti or \\-x\n"
                 ".TP\n\\fBlog\\-level\\fR = \\fILEVEL\\fR\nwhat\n(error or warn; default warn)\n"
                 ".TP\n\\fBzero\\fR = \\fItrue|false\\fR\na zero byte\n",
                 "settings");
}

TEST(nothing_else_is_answered)
{
    char *argv[] = {"prog", MANUAL_ARG, "nothing"};

    ASSERT(!manual_asked(table, 3, argv, stdout));
    ASSERT(!manual_asked(table, 2, argv, stdout));
}
