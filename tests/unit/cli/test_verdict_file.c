/* Verdicts from CSV files: what each kind of file says, and that every bad line is told. */
#include "proto/cli/import/verdict_file.h"

#include <errno.h>

#include "proto/cli/import/csv.h"
#include "tests/unit/cli/files.h"

static struct errbuf why;
static char told[2000];

static void tell(void *arg, size_t line, const char *text)
{
    size_t used = strlen(told);

    (void)arg;
    snprintf(told + used, sizeof(told) - used, "%zu: %s\n", line, text);
}

static int asked; /* how often */

static void find(void *arg, struct verdict_path *paths, int count)
{
    (void)arg;
    asked++;
    for (int i = 0; i < count; i++) {
        if (strcmp(paths[i].path, "cat/a b.png") != 0)
            paths[i].rc =
                err_set(&paths[i].why, -ENOENT, "no sample is called \"%s\"", paths[i].path);
        paths[i].sample = 12;
    }
}

static int read_text(const char *text, bool labels_only, enum verdict_kind issues,
                     struct verdict_file *ret)
{
    static const char *const classes[] = {"cat", "dog", "7", NULL};
    const struct verdict_ask ask = {classes, 3, "pets", issues, labels_only, find, tell, NULL};

    file_put("v.csv", text, strlen(text));
    told[0] = why.text[0] = 0;
    return verdict_file_read(test_path("v.csv"), &ask, ret, &why);
}

static void assert_line(const struct verdict_file *f, size_t i, uint32_t sample,
                        enum verdict_kind kind, int32_t label, const char *note)
{
    ASSERT(i < f->count);
    ASSERT_EQ(sample, f->lines[i].verdict.sample);
    ASSERT_EQ(kind, f->lines[i].verdict.kind);
    ASSERT_EQ(label, f->lines[i].verdict.label);
    ASSERT_STR(note, f->lines[i].verdict.note);
}

TEST(a_spreadsheet_says_what_stands_in_it)
{
    struct verdict_file f;

    ASSERT_OK(read_text("\xef\xbb\xbfVerdict,Sample,label,note\r\n"
                        "wrong,5,dog,\"a \"\"dog\"\", clearly\"\r\n"
                        "right,1,,\n"
                        "\n"
                        "exclude,9,,blurred\n"
                        "wrong,2,7,\n" /* the class named 7, not number 7 */
                        "wrong,3,0,\n",
                        false, VERDICT_WRONG, &f),
              why);
    ASSERT_STR("", told);
    ASSERT_EQ(5, f.count);
    assert_line(&f, 0, 1, VERDICT_RIGHT, -1, "");
    assert_line(&f, 1, 2, VERDICT_WRONG, 2, "");
    assert_line(&f, 2, 3, VERDICT_WRONG, 0, "");
    assert_line(&f, 3, 5, VERDICT_WRONG, 1, "a \"dog\", clearly");
    ASSERT_EQ(2, f.lines[3].line);
    assert_line(&f, 4, 9, VERDICT_EXCLUDE, -1, "blurred");
    ASSERT_EQ(5, f.lines[4].line);
    verdict_file_done(&f);
}

TEST(a_list_of_labels_says_which_is_right)
{
    struct verdict_file f;

    ASSERT_OK(read_text("index,label\n4,cat\n5,\n", true, VERDICT_WRONG, &f), why);
    ASSERT_EQ(1, f.count);
    assert_line(&f, 0, 4, VERDICT_RIGHT, 0, "");
    verdict_file_done(&f);
    ASSERT_OK(read_text("sample,verdict\n4,exclude\n", true, VERDICT_WRONG, &f), why);
    ASSERT_EQ(1, f.bad);
    ASSERT_HAS("2: the verdict is exclude, this command takes labels only", told);
    verdict_file_done(&f);
}

/* As DataFrame.to_csv writes what find_label_issues gives. */
TEST(label_issues_of_cleanlab_become_verdicts)
{
    static const char issues[] = ",is_label_issue,label_quality,given_label,predicted_label\n"
                                 "0,False,0.9,0,0\n"
                                 "1,True,0.01,0,1\n"
                                 "2,True,0.2,dog,cat\n";
    struct verdict_file f;

    ASSERT_OK(read_text(issues, false, VERDICT_WRONG, &f), why);
    ASSERT_STR("", told);
    ASSERT_EQ(2, f.count);
    assert_line(&f, 0, 1, VERDICT_WRONG, 1, "cleanlab, label quality 0.01");
    ASSERT_EQ(0, f.lines[0].given);
    assert_line(&f, 1, 2, VERDICT_WRONG, 0, "cleanlab, label quality 0.2");
    ASSERT_EQ(1, f.lines[1].given);
    verdict_file_done(&f);
    ASSERT_OK(read_text(issues, false, VERDICT_UNSURE, &f), why);
    assert_line(&f, 0, 1, VERDICT_UNSURE, -1, "cleanlab, label quality 0.01");
    verdict_file_done(&f);
}

/* Where the comma is the decimal point, spreadsheets write semicolons. */
TEST(columns_may_have_semicolons_or_tabs_between_them)
{
    struct verdict_file f;

    ASSERT_OK(read_text("sample;verdict;label;note\r\n5;wrong;dog;\"a; b, c\"\r\n1;right;;a, b\r\n",
                        false, VERDICT_WRONG, &f),
              why);
    ASSERT_STR("", told);
    ASSERT_EQ(2, f.count);
    assert_line(&f, 0, 1, VERDICT_RIGHT, -1, "a, b");
    assert_line(&f, 1, 5, VERDICT_WRONG, 1, "a; b, c");
    verdict_file_done(&f);
    ASSERT_OK(read_text("sample\tverdict\n5\tright\n", false, VERDICT_WRONG, &f), why);
    assert_line(&f, 0, 5, VERDICT_RIGHT, -1, "");
    verdict_file_done(&f);
    ASSERT_OK(read_text("sample,verdict,note\n5,right,a;b\n", false, VERDICT_WRONG, &f), why);
    assert_line(&f, 0, 5, VERDICT_RIGHT, -1, "a;b");
    verdict_file_done(&f);
}

/* Whoever reads "1 of 3 lines" counts them. */
TEST(lines_are_counted_as_they_stand)
{
    struct verdict_file f;

    ASSERT_OK(read_text("sample,verdict\n5,right\n\n5,unsure\n9\n", false, VERDICT_WRONG, &f), why);
    ASSERT_EQ(3, f.all);
    ASSERT_EQ(2, f.bad);
    ASSERT_HAS("5: it has 1 column, the first line names 2\n", told);
    verdict_file_done(&f);
    ASSERT_OK(read_text("sample,label\n5,dog\n6,\n", false, VERDICT_WRONG, &f), why);
    ASSERT_EQ(2, f.all);
    ASSERT_EQ(1, f.count);
    verdict_file_done(&f);
}

TEST(every_bad_line_is_told)
{
    struct verdict_file f;

    ASSERT_OK(read_text("sample,verdict,label,colour\n"
                        "1,wrnog,dog,\n"
                        "-1,right,,\n"
                        "x,right,,\n"
                        "2,right\n"
                        "3,wrong,dgo,\n"
                        "3,wrong,zebra,\n"
                        "4,right,,red\n"
                        "4,unsure,,\n"
                        "5,right,\"x\"y,\n"
                        "6,exclude,,\n"
                        "7,right,\"open\n",
                        false, VERDICT_WRONG, &f),
              why);
    ASSERT_STR("0: column \"colour\" is not read\n"
               "2: the verdict is \"wrnog\", allowed is none, right, wrong, exclude or unsure\n"
               "3: the sample is \"-1\", allowed is its number, 0 and up\n"
               "4: the sample is \"x\", allowed is its number, 0 and up\n"
               "5: it has 2 columns, the first line names 4\n"
               "6: dataset pets has no class \"dgo\"; did you mean \"dog\"?\n"
               "7: dataset pets has no class \"zebra\"; its classes are cat, dog or 7\n"
               "10: column 3 goes on behind its closing quote\n"
               "12: a quote is opened and not closed\n"
               "9: sample 4 is in line 8 already\n",
               told);
    ASSERT_EQ(9, f.bad);
    verdict_file_done(&f);
}

TEST(blanks_around_names_of_columns_and_words_are_nothing)
{
    struct verdict_file f;

    ASSERT_OK(read_text("sample , path,\tverdict , label \n"
                        " 12, cat/a b.png,right ,dog\n"
                        "13 ,,\texclude,\n",
                        false, VERDICT_WRONG, &f),
              why);
    ASSERT_STR("", told);
    ASSERT_EQ(2, f.count);
    assert_line(&f, 0, 12, VERDICT_RIGHT, 1, "");
    assert_line(&f, 1, 13, VERDICT_EXCLUDE, -1, "");
    verdict_file_done(&f);
}

TEST(samples_of_paths_are_asked_for_by_the_hundred)
{
    struct verdict_file f;
    char text[256 * 24] = "sample,path,verdict\n";

    for (int i = 0; i < 250; i++) {
        const size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%d,%s,unsure\n", i,
                 i == 12 || i == 180 ? "cat/a b.png" : "old");
    }
    asked = 0;
    ASSERT_OK(read_text(text, false, VERDICT_WRONG, &f), why);
    ASSERT_EQ(3, asked);
    ASSERT_STR(
        "182: its sample is 180, but \"cat/a b.png\" is sample 12; one of the two is wrong\n",
        told);
    ASSERT_EQ(249, f.count);
    ASSERT_EQ(250, f.all);
    verdict_file_done(&f);
}

TEST(a_file_that_says_nothing_is_refused)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "is empty"},
        {"verdict,label\n", "has no column \"sample\""},
        {"sample,note\n1,x\n", "says nothing about its samples"},
        {"sample,id,verdict\n", "twice"},
        {"sample,verdict,is_label_issue,predicted_label\n", "keep one of them"},
        {"sample,is_label_issue\n", "no predicted_label"},
        {"sample\xff\n", "line 1 is not UTF-8"},
    };
    struct verdict_file f;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ASSERT_EQ(-EINVAL, read_text(cases[i].text, false, VERDICT_WRONG, &f));
        ASSERT_HAS(cases[i].part, why.text);
    }
}

TEST(what_is_written_as_csv_is_read_again)
{
    static const char *const fields[] = {"plain", "a,b", "\"quoted\"", "two\nlines", "", " blank"};
    struct csv c;
    struct csv_record r;
    FILE *out = fopen(test_path("w.csv"), "wb");

    for (int i = 0; i < 6; i++) {
        csv_write(fields[i], out);
        fputc(i < 5 ? ',' : '\n', out);
    }
    ASSERT_EQ(0, fclose(out));
    ASSERT_OK(csv_open(test_path("w.csv"), "csv", &c, &why), why);
    ASSERT_EQ(1, csv_next(&c, &r, &why));
    ASSERT_EQ(6, r.count);
    for (int i = 0; i < 6; i++)
        ASSERT_STR(fields[i], r.fields[i]);
    ASSERT_EQ(0, csv_next(&c, &r, &why));
    csv_close(&c);
}

TEST(number_and_path_agree)
{
    struct verdict_file f;

    ASSERT_OK(read_text("path,sample,verdict\ncat/a b.png,11,exclude\ncat/a b.png,12,right\n",
                        false, VERDICT_WRONG, &f),
              why);
    ASSERT_STR("2: its sample is 11, but \"cat/a b.png\" is sample 12; one of the two is wrong\n",
               told);
    assert_line(&f, 0, 12, VERDICT_RIGHT, -1, "");
    verdict_file_done(&f);
}

TEST(a_sample_may_be_named_by_its_path)
{
    struct verdict_file f;

    ASSERT_OK(read_text("path,sample,verdict\ncat/a b.png,,exclude\ncat/x.png,3,right\n"
                        "cat/y.png,,right\ncat/a b.png,12,unsure\n",
                        false, VERDICT_WRONG, &f),
              why);
    ASSERT_STR("4: no sample is called \"cat/y.png\"\n5: sample 12 is in line 2 already\n", told);
    assert_line(&f, 0, 3, VERDICT_RIGHT, -1, "");
    assert_line(&f, 1, 12, VERDICT_EXCLUDE, -1, "");
    verdict_file_done(&f);
}
