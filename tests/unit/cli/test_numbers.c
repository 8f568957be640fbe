/* Lists that come beside images or a job file: what each format gives, and that nothing shifts. */
#include "proto/cli/import/numbers.h"

#include <errno.h>

#include "proto/cli/import/npy.h"
#include "tests/unit/cli/files.h"

static struct errbuf why;

static int read_as(enum numbers_kind kind, uint32_t samples, struct numbers *ret)
{
    const struct numbers_ask ask = {kind, samples, "dataset g"};

    why.text[0] = 0;
    return numbers_read(test_path("list"), &ask, ret, &why);
}

static void put_text(const char *text)
{
    file_put("list", text, strlen(text));
}

/* Three scores 0.5, -2 and 1e3, whether named or not. */
static void assert_three(bool named)
{
    static const double wanted[] = {0.5, -2, 1e3};
    struct numbers n;

    ASSERT_OK(read_as(NUMBERS_SCORES, 3, &n), why);
    ASSERT_EQ(3, n.count);
    ASSERT_EQ(named, n.named);
    for (uint32_t i = 0; i < 3; i++) {
        ASSERT_EQ(i, n.sample[i]);
        ASSERT(n.value[i] == wanted[i]);
    }
    numbers_done(&n);
}

static void assert_refused(enum numbers_kind kind, const char *text, const char *part)
{
    struct numbers n;

    put_text(text);
    ASSERT_EQ(-EINVAL, read_as(kind, 3, &n));
    ASSERT_HAS(test_path("list"), why.text);
    ASSERT_HAS(part, why.text);
}

TEST(one_column_of_scores_in_every_dress)
{
    static const char *const texts[] = {
        "0.5\n-2\n1e3\n",
        "0.5\r\n-2\r\n1e3",
        "\xef\xbb\xbf"
        "0.5\n-2\n1e3\n\n\r\n",
        "# by hand\n#\n0.5\n -2\t\n1e3\n",
        "loss\n0.5\n-2\n1e3\n",
        "\"my loss\"\r\n0.5\r\n-2\r\n1e3\r\n",
        "\xef\xbb\xbfloss\n0.5\n-2\n1e3\n",
        "[0.5, -2, 1e3]",
        " \n[\n0.5,\n-2,\n1e3\n]\n",
        "\xef\xbb\xbf[0.5,-2,1e3]",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put_text(texts[i]);
        assert_three(false);
    }
}

TEST(two_columns_of_scores_in_any_order)
{
    static const char *const texts[] = {
        "2,1e3\n0,0.5\n1,-2\n",
        "sample,score\r\n0,0.5\r\n1,-2\r\n2,1e3\r\n",
        ",loss\n0,0.5\n1,-2\n2,1e3\n", /* what pandas calls an index */
        "\xef\xbb\xbf\"id\",\"loss\"\n0,0.5\n1,-2\n2,1e3\n",
        "# two\n0 , 0.5\n1 , -2\n2 , 1e3\n",
    };
    struct numbers n;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put_text(texts[i]);
        assert_three(true);
    }
    put_text("2,7\n");
    ASSERT_OK(read_as(NUMBERS_SCORES, 3, &n), why);
    ASSERT_EQ(1, n.count);
    ASSERT_EQ(2, n.sample[0]);
    ASSERT(n.named);
    numbers_done(&n);
}

/* Each of these was once another list, shorter or shifted. */
TEST(what_would_shift_the_scores_is_refused_with_its_line)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"NA\n1\n2\n3\n", "line 1 has \"NA\", expected a number"},
        {"nan\n1\n2\n3\n", "line 1 has \"nan\""},
        {"inf\n1\n2\n3\n", "line 1 has \"inf\""},
        {"#N/A\n1\n2\n3\n", "line 1 has \"#N/A\""},
        {"NA,NA\n1,1\n2,2\n", "line 1 has \"NA\", expected the number of a sample"},
        {"#N/A,0.5\n1,1\n2,2\n", "line 1 has \"#N/A\""},
        {"l7,0.5\n1,1\n2,2\n", "line 1 has \"l7\", expected the number of a sample, 0 to 2"},
        {"1\nNA\n3\n", "line 2 has \"NA\""},
        {"1\nx\n3\n", "line 2 has \"x\", expected a number"},
        {"1\n1e999\n3\n", "line 2 has \"1e999\""},
        {"1\n0x10\n3\n", "line 2 has \"0x10\""},
        {"1\n\n2\n3\n", "line 2 is empty, expected a number"},
        {"\n1\n2\n3\n", "line 1 is empty"},
        {"# a\n\n1\n2\n3\n", "line 2 is empty"},
        {"score\n\n1\n2\n3\n", "line 2 is empty"},
        {"1\n#2\n3\n", "line 2 has \"#2\""},
        {"1\n2\n3\n# end\n", "line 4 has \"# end\""},
        {"1\nscore\n2\n3\n", "line 2 has \"score\""},
        {"a\nb\n1\n2\n3\n", "line 2 has \"b\""},
        {"1 2\n3\n", "line 1 has \"1 2\""},
        {"1\t2\n", "line 1 has \"1"},
        {"0,5\n1\n2\n", "line 2 has 1 column, the lines before it 2"},
        {"1\n2,3\n", "line 2 has 2 columns, the lines before it 1"},
        {"sample,score\n1\n", "line 2 has 1 column, the lines before it 2"},
        {"0,1,2\n", "line 1 has 3 columns"},
        {"score,sample\n3,0\n", "line 1 has \"score,sample\", expected the sample first"},
        {"0,1\n1,\n2,3\n", "line 2 is empty"},
        {"1\r2\r3", "line 1 has"},
        {"0,1\n2,5\n0,2\n", "lines 1 and 3 both name sample 0"},
        {"3,1\n", "line 1 has \"3\", expected the number of a sample, 0 to 2 (dataset g)"},
        {"-1,1\n", "line 1 has \"-1\""},
        {"1.0,1\n", "line 1 has \"1.0\""},
        {"1\n2\n", "has 2 scores, but dataset g has 3 samples; expected one for each"},
        {"1\n2\n3\n4\n", "has 4 scores, but dataset g has 3 samples"},
        {"loss\n1\n2\n", "has 2 scores below the name \"loss\", but dataset g has 3"},
        {"", "holds no numbers"},
        {"# nothing\n", "holds no numbers"},
        {"score\n", "holds no numbers"},
        {"{\"scores\": [1, 2, 3]}", "is a JSON object, expected text with a number or"},
        {"[1, null, 3]", "entry 1 has \"null\", expected a number"},
        {"[1, NaN, 3]", "entry 1 has \"NaN\""},
        {"[1, true, 3]", "entry 1 has \"true\""},
        {"[1, \"2\", 3]", "entry 1 has \"\"2\"\""},
        {"[1, [2, 3]]", "entry 1 has \"[2\""},
        {"[[1, 2, 3]]", "entry 0 has \"[1\""},
        {"[1, , 3]", "entry 1 is empty"},
        {"[1, 2, 3,]", "entry 3 is empty"},
        {"[1, 2]", "has 2 scores, but dataset g has 3 samples"},
        {"[1, 2, 3", "is not a JSON list of numbers"},
        {"[1, 2, 3] [4]", "goes on after the ]"},
        {"[]", "holds no numbers"},
        {"\xff\xfe"
         "1\n",
         "is text in UTF-16, expected UTF-8"},
        {"\xfe\xff", "is text in UTF-16"},
        {"\x89PNG\r\n\x1a\n", "is a PNG image, expected text"},
        {"PK\3\4", "is a zip archive"},
        {"\x80\4\x95", "is a Python pickle, expected text"},
        {"\x10\1\1\1\1\1\1\1{\"loss\"", "is a safetensors file"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(NUMBERS_SCORES, cases[i].text, cases[i].part);
    struct numbers n;
    file_put("list", "1\n2\0\n3\n", 8);
    ASSERT_EQ(-EINVAL, read_as(NUMBERS_SCORES, 3, &n));
    ASSERT_HAS("line 2 has a zero byte", why.text);
    file_remove("list");
    ASSERT_EQ(-ENOENT, read_as(NUMBERS_SCORES, 3, &n));
    ASSERT_HAS("cannot open", why.text);
}

TEST(samples_are_whole_numbers_each_once)
{
    static const char *const texts[] = {"2\n0\n", "sample\n0\n2\n", "[2, 0]",
                                        "\xef\xbb\xbf"
                                        "2\r\n0"};
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"1.5\n", "line 1 has \"1.5\", expected the number of a sample, 0 to 2 (dataset g)"},
        {"1e0\n", "line 1 has \"1e0\""},
        {"1.000e+00\n", "line 1 has \"1.000e+00\""},
        {"-1\n", "line 1 has \"-1\""},
        {"0\n3\n", "line 2 has \"3\""},
        {"l1\n2\n", "line 1 has \"l1\""},
        {"loss\n2\n", "line 1 has \"loss\""},
        {"NA\n2\n", "line 1 has \"NA\""},
        {"0\n\n2\n", "line 2 is empty"},
        {"0\n#1\n2\n", "line 2 has \"#1\""},
        {"2\n0\n2\n", "lines 1 and 3 both name sample 2"},
        {"[2, 2]", "entries 0 and 1 both name sample 2"},
        {"[true, false, true]", "entry 0 has \"true\""},
        {"0,1\n", "line 1 has 2 columns, expected text with a sample a line"},
        {"", "names no sample"},
    };
    struct numbers n;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put_text(texts[i]);
        ASSERT_OK(read_as(NUMBERS_SAMPLES, 3, &n), why);
        ASSERT_EQ(2, n.count);
        ASSERT_EQ(0, n.sample[0]);
        ASSERT_EQ(2, n.sample[1]);
        numbers_done(&n);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(NUMBERS_SAMPLES, cases[i].text, cases[i].part);
}

TEST(labels_are_one_for_each_image)
{
    static const char *const texts[] = {"7\n0\n65534\n", "label\n7\n0\n65534\n", "[7,0,65534]",
                                        "\xef\xbb\xbf"
                                        "7\r\n0\r\n65534\r\n\r\n"};
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"1\n65535\n1\n", "line 2 has \"65535\", expected a label, 0 to 65534"},
        {"1\n1.0\n1\n", "line 2 has \"1.0\""},
        {"1\n\n1\n1\n", "line 2 is empty"},
        {"NA\n1\n1\n1\n", "line 1 has \"NA\""},
        {"0,1\n1,1\n2,1\n", "line 1 has 2 columns"},
        {"1\n1\n", "has 2 labels, but dataset g has 3 images"},
        {"", "has 0 labels, but dataset g has 3 images"},
    };
    struct numbers n;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put_text(texts[i]);
        ASSERT_OK(read_as(NUMBERS_LABELS, 3, &n), why);
        ASSERT(n.value[0] == 7 && n.value[1] == 0 && n.value[2] == 65534);
        numbers_done(&n);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(NUMBERS_LABELS, cases[i].text, cases[i].part);
}

/* --- numpy --- */

static void put_npy(const char *descr, const char *fortran, const char *shape, const void *data,
                    size_t bytes)
{
    uint8_t file[512] = "\x93NUMPY\1";
    int n =
        snprintf((char *)file + 10, sizeof(file) - 10,
                 "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }\n", descr, fortran, shape);

    file[8] = (uint8_t)n;
    memcpy(file + 10 + n, data, bytes);
    file_put("list", file, 10 + (size_t)n + bytes);
}

TEST(every_type_and_byte_order_of_numpy_gives_the_same_scores)
{
    static const struct {
        const char *descr, *data;
        size_t bytes;
    } types[] = {
        {"|i1", "\1\376\7", 3},
        {"<i2", "\1\0\376\377\7\0", 6},
        {">i2", "\0\1\377\376\0\7", 6},
        {"<i4", "\1\0\0\0\376\377\377\377\7\0\0\0", 12},
        {">i8", "\0\0\0\0\0\0\0\1\377\377\377\377\377\377\377\376\0\0\0\0\0\0\0\7", 24},
        {"<f2", "\0\x3c\0\xc0\0\x47", 6},
        {">f2", "\x3c\0\xc0\0\x47\0", 6},
        {"<f4", "\0\0\x80\x3f\0\0\0\xc0\0\0\xe0\x40", 12},
        {">f4", "\x3f\x80\0\0\xc0\0\0\0\x40\xe0\0\0", 12},
        {">f8", "\x3f\xf0\0\0\0\0\0\0\xc0\0\0\0\0\0\0\0\x40\x1c\0\0\0\0\0\0", 24},
    };
    static const char *const shapes[] = {"(3,)", "(3, 1)"}, *const orders[] = {"False", "True"};
    struct numbers n;

    for (size_t i = 0; i < 4 * sizeof(types) / sizeof(types[0]); i++) {
        put_npy(types[i / 4].descr, orders[i / 2 % 2], shapes[i % 2], types[i / 4].data,
                types[i / 4].bytes);
        ASSERT_OK(read_as(NUMBERS_SCORES, 3, &n), why);
        ASSERT(n.value[0] == 1 && n.value[1] == -2 && n.value[2] == 7);
        ASSERT(!n.named);
        numbers_done(&n);
    }
}

static void assert_npy_refused(enum numbers_kind kind, const char *descr, const char *shape,
                               const void *data, size_t bytes, const char *part)
{
    struct numbers n;

    put_npy(descr, "False", shape, data, bytes);
    ASSERT_EQ(-EINVAL, read_as(kind, 3, &n));
    ASSERT_HAS("list", why.text);
    ASSERT_HAS(part, why.text);
}

TEST(other_types_and_shapes_of_numpy_are_refused_by_name)
{
    static const uint8_t zeros[64];
    static const struct {
        enum numbers_kind kind;
        const char *descr, *shape;
        size_t bytes;
        const char *part;
    } cases[] = {
        {NUMBERS_SCORES, "|b1", "(3,)", 3, "of type |b1, allowed for scores are floats and"},
        {NUMBERS_SCORES, "<c8", "(3,)", 24, "of type <c8"},
        {NUMBERS_SCORES, "<f16", "(3,)", 48, "of type <f16"},
        {NUMBERS_SCORES, "|O", "(3,)", 24, "of type |O"},
        {NUMBERS_SCORES, "<U3", "(3,)", 36, "of type <U3"},
        {NUMBERS_SCORES, "<f4", "()", 4, "has shape [], but scores need [N] or [N,1]"},
        {NUMBERS_SCORES, "<f4", "(1, 3)", 12, "has shape [1,3], but scores need"},
        {NUMBERS_SCORES, "<f4", "(3, 2)", 24, "has shape [3,2]"},
        {NUMBERS_SCORES, "<f4", "(2,)", 8, "has 2 scores, but dataset g has 3 samples"},
        {NUMBERS_SCORES, "<f4", "(0,)", 0, "has 0 entries"},
        {NUMBERS_SAMPLES, "<f8", "(3,)", 24, "of type <f8, allowed for samples are integers, or"},
        {NUMBERS_SAMPLES, "|u1", "(3,)", 3, "entries 0 and 1 both name sample 0"},
        {NUMBERS_SAMPLES, "|b1", "(4,)", 4, "is a mask of 4 entries, but dataset g has 3 samples"},
        {NUMBERS_SAMPLES, "|b1", "(3,)", 3, "names no sample"},
        {NUMBERS_LABELS, "<f4", "(3,)", 12, "of type <f4, allowed for labels are integers"},
        {NUMBERS_LABELS, "|u1", "(2,)", 2, "has 2 labels, but dataset g has 3 images"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_npy_refused(cases[i].kind, cases[i].descr, cases[i].shape, zeros, cases[i].bytes,
                           cases[i].part);
    assert_npy_refused(NUMBERS_SCORES, "<f4", "(3,)", "\0\0\0\0\0\0\xc0\x7f\0\0\0\0", 12,
                       "entry 1 is NaN, expected a finite number");
    assert_npy_refused(NUMBERS_SCORES, "<f2", "(3,)", "\0\0\0\x7c\0\0", 6, "entry 1 is infinite");
    assert_npy_refused(NUMBERS_SCORES, "<u8", "(3,)",
                       "\377\377\377\377\377\377\377\377................", 24, "up to 2^53");
    assert_npy_refused(NUMBERS_SAMPLES, "|i1", "(2,)", "\0\377", 2, "entry 1 has \"-1\"");
    assert_npy_refused(NUMBERS_SAMPLES, "|i1", "(2,)", "\0\3", 2, "entry 1 has \"3\"");
    assert_npy_refused(NUMBERS_LABELS, "<u2", "(3,)", "\0\0\377\377\0\0", 6,
                       "entry 1 has \"65535\"");
}

TEST(a_mask_names_the_samples_where_it_is_true)
{
    struct numbers n;

    put_npy("|b1", "False", "(3,)", "\1\0\1", 3);
    ASSERT_OK(read_as(NUMBERS_SAMPLES, 3, &n), why);
    ASSERT_EQ(2, n.count);
    ASSERT_EQ(0, n.sample[0]);
    ASSERT_EQ(2, n.sample[1]);
    numbers_done(&n);
}
