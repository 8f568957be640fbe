#include "common/text.h"

#include <stdlib.h>

#include "common/bounds.h"
#include "tests/harness.h"

TEST(text_i64_takes_whole_decimal_numbers_only)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x1",
                                      "1e3",
                                      "--1",
                                      "9223372036854775808",
                                      "1\n2",
                                      "a",
                                      "-9223372036854775809"};
    int64_t v = 77;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (text_i64(bad[i], INT64_MIN, INT64_MAX, &v))
            FAIL("took \"%s\"", bad[i]);
    ASSERT_EQ(77, v);
    ASSERT(text_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &v));
    ASSERT_EQ(INT64_MIN, v);
    ASSERT(text_i64("9223372036854775807", INT64_MIN, INT64_MAX, &v));
    ASSERT_EQ(INT64_MAX, v);
    ASSERT(text_i64("007", 0, 10, &v));
    ASSERT_EQ(7, v);
}

TEST(text_i64_keeps_to_its_range)
{
    int64_t v = 77;

    ASSERT(!text_i64("0", 1, 256, &v));
    ASSERT(!text_i64("257", 1, 256, &v));
    ASSERT_EQ(77, v);
    ASSERT(text_i64("256", 1, 256, &v));
    ASSERT_EQ(256, v);
}

TEST(text_f64_takes_finite_decimal_numbers_only)
{
    static const char *const bad[] = {"",      "nan", "inf", "-inf", "0x1p3", "1e999", " 1", "1 ",
                                      "1.2.3", "1e",  "+1",  "-",    ".",     "1,5",   "e5", "1-2"};
    double v = 77;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (text_f64(bad[i], -HUGE_VAL, HUGE_VAL, &v))
            FAIL("took \"%s\"", bad[i]);
    ASSERT(v == 77);
    ASSERT(text_f64("-1.5e-3", -1, 1, &v));
    ASSERT(v == -1.5e-3);
    ASSERT(text_f64(".5", 0, 1, &v));
    ASSERT(v == 0.5);
    ASSERT(!text_f64("1.0001", 0, 1, &v));
}

TEST(text_ratio_takes_numbers_and_fractions)
{
    static const char *const bad[] = {"8/",  "/8",  "8/0",   "8/2/2", "8 / 255",
                                      "a/b", "1/-", "-1/10", "11/10", "1e300/1e-300"};
    double v = 77;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (text_ratio(bad[i], 0, 1, &v))
            FAIL("took \"%s\"", bad[i]);
    ASSERT(v == 77);
    ASSERT(text_ratio("8/255", 0, 1, &v));
    ASSERT(v == 8.0 / 255.0);
    ASSERT(text_ratio("0.03", 0, 1, &v));
    ASSERT(v == 0.03);
}

TEST(text_bytes_takes_numbers_with_and_without_a_unit)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {{"0", 0},
                {"4096", 4096},
                {"512K", 512 << 10},
                {"300M", 300 << 20},
                {"4G", INT64_C(4) << 30},
                {"2T", INT64_C(2) << 40},
                {"9223372036854775807", INT64_MAX}};
    static const char *const bad[] = {"",
                                      "K",
                                      "4X",
                                      "4g",
                                      "4 G",
                                      "4GB",
                                      "-1K",
                                      "1.5G",
                                      "G4",
                                      "0x4K",
                                      "9223372036854775808",
                                      "8388608T",
                                      "00000000000000000000000000001K"};
    int64_t v = 7;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ASSERT(text_bytes(good[i].text, 0, INT64_MAX, &v));
        ASSERT_EQ(good[i].bytes, v);
    }
    v = 7;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (text_bytes(bad[i], 0, INT64_MAX, &v))
            FAIL("\"%s\" was taken", bad[i]);
    ASSERT(!text_bytes("1023", 1024, 2048, &v));
    ASSERT(!text_bytes("3K", 1024, 2048, &v));
    ASSERT_EQ(7, v);
}

TEST(text_of_bytes_rounds_up)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } cases[] = {{0, "0 bytes"},
                 {1023, "1023 bytes"},
                 {1024, "1 KiB"},
                 {1025, "1.1 KiB"},
                 {16 << 20, "16 MiB"},
                 {(99 << 20) + (1 << 19), "99.5 MiB"},
                 {(100 << 20) + 1, "101 MiB"},
                 {INT64_C(3) << 30, "3 GiB"},
                 {INT64_MAX, "8388608 TiB"}};
    char buf[TEXT_F64_BYTES];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ASSERT_STR(cases[i].text, text_of_bytes(cases[i].bytes, buf));
}

TEST(text_of_share_has_two_decimals)
{
    static const struct {
        double share;
        const char *text;
    } cases[] = {{0, "0.00%"},         {0.9132, "91.32%"},  {1, "100.00%"},
                 {0.99996, "100.00%"}, {0.00004, "0.00%"},  {0.00125, "0.12%"},
                 {0.00375, "0.38%"},   {-0.0025, "-0.25%"}, {NAN, "nan%"}};
    char buf[TEXT_F64_BYTES];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ASSERT_STR(cases[i].text, text_of_share(cases[i].share, buf));
    ASSERT(strlen(text_of_share(1e300, buf)) < sizeof(buf));
}

TEST(text_of_f64_is_short_and_reads_back)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {{0, "0"},           {0.1, "0.1"},
                 {100000, "100000"}, {-1.5, "-1.5"},
                 {1e-20, "1e-20"},   {1234.5, "1234.5"},
                 {1e300, "1e+300"},  {9007199254740991.0, "9007199254740991"}};
    char buf[TEXT_F64_BYTES];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ASSERT_STR(cases[i].text, text_of_f64(cases[i].v, buf));
    ASSERT(strtod(text_of_f64(8.0 / 255.0, buf), NULL) == 8.0 / 255.0);
    ASSERT(strtod(text_of_f64(-2.2250738585072014e-308, buf), NULL) == -2.2250738585072014e-308);
}

TEST(text_utf8_bytes_stops_at_what_is_no_character)
{
    static const struct {
        const char *text;
        size_t good;
    } cases[] = {
        {"", 0},
        {"abc", 3},
        {"\xc3\xa9", 2},
        {"\xe2\x82\xac", 3},
        {"\xf0\x9f\x99\x82", 4},
        {"a\xff", 1},
        {"a\xc3", 1},            /* cut short */
        {"\xc0\x80", 0},         /* overlong */
        {"\xe0\x9f\xbf", 0},     /* overlong */
        {"\xf0\x8f\xbf\xbf", 0}, /* overlong */
        {"\xed\xa0\x80", 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0}, /* beyond U+10FFFF */
        {"ok\x80", 2},           /* a continuation without a start */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ASSERT_EQ(cases[i].good, text_utf8_bytes(cases[i].text, strlen(cases[i].text)));
}

TEST(text_make_printable_leaves_what_is_readable)
{
    char text[] = "caf\xc3\xa9\n\xff\x7f\xe2\x82 \xc3";

    text_make_printable(text);
    ASSERT_STR("caf\xc3\xa9????? ?", text);
}

TEST(what_steers_a_terminal_or_turns_a_line_is_not_shown)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"\x1b[2J", "?[2J"},
        {"a\xc2\x9b"
         "31mb",
         "a?31mb"},                                  /* C1: CSI in one character */
        {"\xc2\x80\xc2\x9f\xc2\xa0", "??\xc2\xa0"},  /* the ends of C1 */
        {"\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f", "???"}, /* ALM, LRM, RLM */
        {"x\xe2\x80\xae"
         "gnp.exe",
         "x?gnp.exe"}, /* right-to-left override */
        {"\xe2\x80\xaa\xe2\x80\xad\xe2\x81\xa6\xe2\x81\xa9", "????"},
        {"a\xe2\x80\xa8"
         "b\xe2\x80\xa9",
         "a?b?"}, /* separators of lines */
        {"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xf0\x9f\x99\x82",
         "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xf0\x9f\x99\x82"},
        {"\xe2\x80\x90\xe2\x81\xb0", "\xe2\x80\x90\xe2\x81\xb0"}, /* what lies beside them */
        {"w\xe2\x80\x8b"
         "1\xc2\xad\xef\xbb\xbf\xe2\x81\xa0",
         "w?1???"}, /* of no width: ZWSP, SHY, BOM, WJ */
        {"\xe2\x80\x8d\xef\xb8\x8f\xe3\x85\xa4\xf3\xa0\x81\xa1",
         "????"}, /* ZWJ, a selector, a filler, a tag */
        {"\xef\xbf\xbd", "?"},
        {"\x9b"
         "31m",
         "?31m"}, /* C1 as a bare byte */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s", cases[i].text);
        text_make_printable(text);
        ASSERT_STR(cases[i].shown, text);
    }
}

TEST(text_nearest_finds_typing_errors)
{
    static const char *const names[] = {"linear", "quad", "root", "step", "exp", "log", NULL};

    ASSERT_STR("linear", text_nearest("linera", names));
    ASSERT_STR("linear", text_nearest("Linear", names));
    ASSERT_STR("quad", text_nearest("qad", names));
    ASSERT_STR("step", text_nearest("steps", names));
    ASSERT(text_nearest("cosine", names) == NULL);
    ASSERT(text_nearest("", names) == NULL);
    ASSERT(text_nearest("zz", names) == NULL);
}

TEST(text_nearest_takes_the_first_of_equals)
{
    static const char *const names[] = {"stop", "step", NULL};

    ASSERT_STR("stop", text_nearest("stip", names));
}

TEST(text_nearest_prefers_what_is_only_begun)
{
    static const char *const names[] = {"lenet", "resnet20", "resnet18", NULL};

    ASSERT_STR("resnet20", text_nearest("resnet", names));
    ASSERT_STR("lenet", text_nearest("renet", names));
    static const char *const classes[] = {"Rose", "Lilie ü", "LILIE", "Nelke", NULL};
    ASSERT_STR("Lilie ü", text_nearest("lili", classes));
    ASSERT_STR("LILIE", text_nearest("lilie", classes));
    ASSERT_STR("Lilie ü", text_nearest("lilei ü", classes));
    ASSERT_STR("Nelke", text_nearest("NELEK", classes));
}

TEST(text_nearest_allows_a_third_of_a_long_word)
{
    static const char *const names[] = {"weight_decay", NULL};

    ASSERT_STR("weight_decay", text_nearest("wieghtdecey", names));
    ASSERT(text_nearest("height_of_tree", names) == NULL);
}

TEST(text_nearest_gives_up_on_very_long_words)
{
    static const char *const names[] = {"linear", NULL};
    char word[1000];

    memset(word, 'l', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    ASSERT(text_nearest(word, names) == NULL);
    word[63] = '\0';
    ASSERT(text_nearest(word, names) == NULL);
}

TEST(text_list_joins_with_or)
{
    static const char *const three[] = {"a", "b", "c", NULL};
    static const char *const none[] = {NULL};
    char buf[32], small[8];

    ASSERT_STR("a, b or c", text_list(three, buf, sizeof(buf)));
    ASSERT_STR("b or c", text_list(three + 1, buf, sizeof(buf)));
    ASSERT_STR("c", text_list(three + 2, buf, sizeof(buf)));
    ASSERT_STR("", text_list(none, buf, sizeof(buf)));
    ASSERT_STR("a, b...", text_list(three, small, sizeof(small)));
    ASSERT_EQ(1, text_index("b", three));
    ASSERT_EQ(-1, text_index("B", three));
}

TEST(hex_goes_there_and_back)
{
    const uint8_t bytes[] = {0x00, 0x7f, 0xab, 0xff};
    uint8_t back[4] = {1, 2, 3, 4};
    char hex[9];

    text_hex(bytes, sizeof(bytes), hex);
    ASSERT_STR("007fabff", hex);
    ASSERT(text_unhex("007FabFF", back, sizeof(back)));
    ASSERT_MEM(bytes, back, sizeof(back));
    ASSERT(!text_unhex("007fabf", back, sizeof(back)));
    ASSERT(!text_unhex("007fabff0", back, sizeof(back)));
    ASSERT(!text_unhex("007fabfg", back, sizeof(back)));
    ASSERT_MEM(bytes, back, sizeof(back));
}

TEST(text_is_name_keeps_names_safe_in_paths)
{
    static const char *const good[] = {"a", "fashion-mnist", "run_1.2", "7", "_x"};
    static const char *const bad[] = {"",    ".",   "..",       ".hidden", "-rf",
                                      "a/b", "a b", "\xc3\xa9", "a\n"};
    char name[NAME_MAX_BYTES + 1];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ASSERT(text_is_name(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ASSERT(!text_is_name(bad[i]));
    memset(name, 'a', sizeof(name));
    name[NAME_MAX_BYTES] = '\0';
    ASSERT(!text_is_name(name));
    name[NAME_MAX_BYTES - 1] = '\0';
    ASSERT(text_is_name(name));
}

TEST(text_uuid_makes_version_4_and_never_twice_the_same)
{
    char a[UUID_BYTES], b[UUID_BYTES];

    text_uuid(a);
    text_uuid(b);
    ASSERT(text_is_uuid(a) && text_is_uuid(b));
    ASSERT_EQ('4', a[14]);
    ASSERT(strchr("89ab", a[19]) != NULL);
    ASSERT(strcmp(a, b) != 0);
}

TEST(text_is_uuid_wants_the_whole_form)
{
    ASSERT(text_is_uuid("01234567-89ab-4def-8123-456789ABCDEF"));
    ASSERT(!text_is_uuid(""));
    ASSERT(!text_is_uuid("01234567-89ab-4def-8123-456789abcde"));
    ASSERT(!text_is_uuid("01234567-89ab-4def-8123-456789abcdef0"));
    ASSERT(!text_is_uuid("01234567+89ab-4def-8123-456789abcdef"));
    ASSERT(!text_is_uuid("0123456g-89ab-4def-8123-456789abcdef"));
}

static void assert_shell(const char *word, const char *want)
{
    char *got = text_shell(word);

    ASSERT_STR(want, got);
    free(got);
}

TEST(a_word_is_quoted_for_the_shell_where_it_needs_to_be)
{
    assert_shell("/srv/steppe/difficulty.db", "/srv/steppe/difficulty.db");
    assert_shell("/srv/my data/x.db", "'/srv/my data/x.db'");
    assert_shell("it's", "'it'\\''s'");
    assert_shell("'", "''\\'''");
    assert_shell("", "''");
    assert_shell("$(rm)", "'$(rm)'");
    assert_shell("~", "'~'");
    assert_shell("a\\b", "'a\\b'");
}
