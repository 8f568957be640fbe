/* What a job file names outside itself. */
#include <stdlib.h>

#include "tests/unit/common/jobspec_made.h"

#define SHA "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define MEASURE(x) "\"curriculum\": {\"measure\": " x "}"

static char *written(const struct jobspec *spec)
{
    cJSON *json = jobspec_json(spec);
    char *text = cJSON_PrintUnformatted(json);

    cJSON_Delete(json);
    return text;
}

/* Writing and reading it gives the same again. */
static void assert_lasts(const struct jobspec *spec)
{
    char *text = written(spec), *again;
    struct errbuf why = {0};
    struct jobspec back;

    ASSERT_OK(parse(text, &back, &why), why);
    again = written(&back);
    ASSERT_STR(text, again);
    free(text);
    free(again);
    jobspec_done(&back);
}

TEST(a_measure_may_be_the_scores_of_another_job)
{
    struct jobspec s = made(MEASURE("{\"job\": 3}"));

    ASSERT_EQ(MEASURE_GIVEN, s.curriculum.measure);
    ASSERT_EQ(GIVEN_JOB, s.curriculum.given.kind);
    ASSERT_EQ(3, s.curriculum.given.job);
    ASSERT_EQ(-1, s.curriculum.given.epoch);
    ASSERT_EQ(MEASURE_ADM, s.curriculum.given.measure);
    ASSERT_STR("", s.curriculum.given.sha256);
    assert_lasts(&s);
    jobspec_done(&s);
    s = made(
        MEASURE("{\"job\": 3, \"epoch\": 0, \"measure\": \"margin\", \"sha256\": \"" SHA "\"}"));
    ASSERT_EQ(0, s.curriculum.given.epoch);
    ASSERT_EQ(MEASURE_MARGIN, s.curriculum.given.measure);
    ASSERT_STR(SHA, s.curriculum.given.sha256);
    assert_lasts(&s);
    jobspec_done(&s);
    assert_refused(MEASURE("{}"), "curriculum.measure names neither a file nor a job");
    assert_refused(MEASURE("{\"job\": 3, \"file\": \"x\"}"),
                   "curriculum.measure names a file and a job; it takes one of them");
    assert_refused(MEASURE("{\"job\": 0}"), "curriculum.measure.job is 0, allowed is 1 to");
    assert_refused(
        MEASURE("{\"job\": 3, \"measure\": \"random\"}"),
        "curriculum.measure.measure is \"random\", allowed is adm, loss, grad_norm, el2n "
        "or margin");
    assert_refused(MEASURE("{\"job\": 3, \"epochs\": 1}"), "did you mean \"epoch\"?");
    assert_refused(MEASURE("3"), "curriculum.measure is 3, allowed is adm, loss");
    assert_refused(MEASURE("\"file\""), "random or none, {\"file\": ...} or {\"job\": ...}");
}

TEST(a_measure_may_be_a_file)
{
    struct jobspec s = made(MEASURE("{\"file\": \"a b/\\u00e4.npy\", \"sha256\": \"" SHA "\"}"));

    ASSERT_EQ(GIVEN_FILE, s.curriculum.given.kind);
    ASSERT_STR("a b/\u00e4.npy", s.curriculum.given.file);
    assert_lasts(&s);
    jobspec_done(&s);
    s = made(MEASURE("{\"file\": \"a.txt\", \"sha256\": \"" SHA "\", \"count\": 300}"));
    ASSERT_EQ(300, s.curriculum.given.count);
    assert_lasts(&s);
    jobspec_done(&s);
    assert_refused(MEASURE("{\"job\": 3, \"count\": 300}"),
                   "curriculum.measure names a job; count is of a file");
    assert_refused(MEASURE("{\"file\": \"x\", \"count\": 0}"),
                   "curriculum.measure.count is 0, allowed is 1 to");
    assert_refused(MEASURE("{\"file\": \"\"}"), "curriculum.measure.file is empty");
    assert_refused(MEASURE("{\"file\": \"x\", \"epoch\": 2}"),
                   "curriculum.measure names a file; epoch and measure are of a job");
    assert_refused(MEASURE("{\"file\": \"x\", \"sha256\": \"12\"}"),
                   "curriculum.measure.sha256 is \"12\", allowed is 64 hexadecimal digits");
}

TEST(excluded_samples_are_a_list_in_any_order)
{
    struct jobspec s = made("\"exclude\": [17, 3, 99], \"batch\": 64");

    ASSERT_EQ(3, s.exclude.count);
    ASSERT_EQ(3, s.exclude.ids[0]);
    ASSERT_EQ(17, s.exclude.ids[1]);
    ASSERT_EQ(99, s.exclude.ids[2]);
    s.exclude.held = 1; /* one of the three is held out anyway */
    ASSERT_EQ(1, jobspec_epoch_steps(&s, 129));
    s.exclude.held = 0;
    ASSERT_EQ(1, jobspec_epoch_steps(&s, 130));
    ASSERT_EQ(2, jobspec_epoch_steps(&s, 131));
    assert_lasts(&s);
    jobspec_done(&s);
    s = made("\"exclude\": []");
    char *text = written(&s);
    ASSERT(!strstr(text, "exclude"));
    free(text);
    jobspec_done(&s);
    s = made("\"exclude\": {\"file\": \"ids.txt\", \"sha256\": \"" SHA "\", \"count\": 5}");
    ASSERT_EQ(5, s.exclude.count);
    ASSERT(!s.exclude.ids);
    assert_lasts(&s);
    jobspec_done(&s);
    assert_refused("\"exclude\": [3, -1]", "exclude[1] is -1, allowed is the number of a sample");
    assert_refused("\"exclude\": [0.5]", "exclude[0] is 0.5, allowed is");
    assert_refused("\"exclude\": [\"a\"]", "exclude[0] is no number");
    assert_refused("\"exclude\": [3, 1, 3]", "exclude names sample 3 twice");
    assert_refused("\"exclude\": 3", "exclude is 3, allowed is a list");
    assert_refused("\"exclude\": \"ex.txt\"",
                   "exclude is \"ex.txt\", allowed is a list in [] or {\"file\": ...}");
    assert_refused("\"exclude\": {}", "exclude names no file; expected {\"file\": ...}");
    assert_refused("\"exclude\": {\"job\": 3}", "exclude has no key \"job\"");
}

TEST(a_job_without_epochs_measures_given_weights)
{
    struct jobspec s = made("\"epochs\": 0, \"weights\": {\"job\": 2}");

    ASSERT_EQ(GIVEN_JOB, s.weights.kind);
    ASSERT_EQ(2, s.weights.job);
    ASSERT_EQ(0, jobspec_epoch_steps(&s, 1000));
    ASSERT_EQ(1, jobspec_epochs(&s));
    assert_lasts(&s);
    jobspec_done(&s);
    s = made("\"weights\": {\"file\": \"m.safetensors\"}, \"epochs\": 3");
    ASSERT_EQ(GIVEN_FILE, s.weights.kind);
    ASSERT_EQ(3, jobspec_epochs(&s));
    jobspec_done(&s);
    assert_refused("\"epochs\": 0", "epochs is 0 and weights is not given; a job that trains "
                                    "nothing measures given weights");
    assert_refused("\"epochs\": 0, \"weights\": {\"job\": 2}, \"score\": {\"source\": \"train\"}",
                   "epochs is 0 and score.source is train");
    assert_refused("\"weights\": {\"job\": 2, \"epoch\": 1}", "weights has no key \"epoch\"");
    assert_refused(
        "\"weights\": \"x\"",
        "weights is \"x\", allowed is an object in {}, as {\"file\": ...} or {\"job\": ...}");
}

TEST(a_domain_has_one_use)
{
    static const struct {
        const char *keys, *sentence;
    } cases[] = {
        {"\"test_domains\": []", "test_domains is an empty list"},
        {"\"test_domains\": \"sketch\"", "test_domains is \"sketch\", allowed is"},
        {"\"test_domains\": [3]", "test_domains[0] is no text"},
        {"\"test_domains\": [\"a\", \"\"]", "test_domains[1] is empty"},
        {"\"train_domains\": [\"a\", \"b\", \"a\"]", "train_domains names \"a\" twice"},
        {"\"validation\": {\"domains\": [\"a\", null]}", "validation.domains[1] is no text"},
        {"\"test_domains\": [\"a\", \"b\"], \"validation\": {\"domains\": [\"b\"]}",
         "validation.domains and test_domains both name \"b\"; what the test is about chooses "
         "nothing"},
        {"\"test_domains\": [\"a\"], \"train_domains\": [\"c\", \"a\"]",
         "train_domains and test_domains both name \"a\""},
        {"\"train_domains\": [\"c\"], \"validation\": {\"domains\": [\"c\"]}",
         "train_domains and validation.domains both name \"c\""},
        {"\"validation\": {\"domains\": [\"c\"], \"share\": 0.5}",
         "validation has domains and a share of 0.5; it takes one of them"},
        {"\"keep\": \"best\"", "keep is best, but nothing validates"},
        {"\"validation\": {\"domain\": [\"c\"]}", "did you mean \"domains\"?"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(cases[i].keys, cases[i].sentence);
}

TEST(mean_and_std_of_the_pixels_may_be_written)
{
    struct jobspec s = made("\"input\": {\"mean\": [0.5, 0.25, 0], \"std\": [0.5, 1, 2]}");

    ASSERT_EQ(3, s.input.mean.count);
    ASSERT_NEAR(0.25, s.input.mean.at[1], 0);
    ASSERT_NEAR(2, s.input.std.at[2], 0);
    ASSERT_EQ(0, s.weights_input.mean.count);
    assert_lasts(&s);
    jobspec_done(&s);
    s = made("\"input\": {\"std\": [0.1]}");
    ASSERT_EQ(0, s.input.mean.count);
    assert_lasts(&s);
    jobspec_done(&s);
    s = made("\"input\": {}");
    char *text = written(&s);
    ASSERT(!strstr(text, "input")); /* a job without it is as it always was */
    free(text);
    jobspec_done(&s);
    s = made("\"weights\": {\"job\": 2, \"sha256\": \"" SHA
             "\", \"mean\": [0.130660474], \"std\": [0.30810779]}");
    ASSERT_NEAR(0.130660474, s.weights_input.mean.at[0], 0);
    assert_lasts(&s);
    jobspec_done(&s);
    assert_refused("\"input\": {\"mean\": [123.68]}",
                   "input.mean[0] is 123.68, allowed is a number from -10 to 10; it is of pixels "
                   "from 0 to 1, not to 255");
    assert_refused("\"input\": {\"std\": [0.5, 0]}", "input.std[1] is 0, allowed is a number from");
    assert_refused("\"input\": {\"mean\": [\"x\"]}", "input.mean[0] is no number");
    assert_refused("\"input\": {\"mean\": []}", "input.mean is an empty list");
    assert_refused("\"input\": {\"mean\": 0.5}", "input.mean is 0.5, allowed is a list");
    assert_refused("\"input\": {\"means\": []}", "did you mean \"mean\"?");
    assert_refused("\"weights\": {\"job\": 2, \"std\": [-1]}", "weights.std[0] is -1, allowed is");
}

TEST(a_dataset_may_be_a_revision)
{
    struct jobspec s = made("\"revisions\": [[0, \"glyphs@1\"], [3, \"glyphs@2\", \"" SHA "\"]]");

    ASSERT_STR("glyphs", s.dataset);
    ASSERT_EQ(2, s.revisions.count);
    ASSERT_EQ(3, s.revisions.at[1].epoch);
    ASSERT_EQ(2, s.revisions.at[1].number);
    ASSERT_STR(SHA, s.revisions.at[1].sha256);
    ASSERT_EQ(1, revisions_of_epoch(&s.revisions, 2));
    ASSERT_EQ(2, revisions_of_epoch(&s.revisions, 3));
    char *text = written(&s);
    ASSERT(strstr(text, "[[0,\"glyphs@1\"],[3,\"glyphs@2\",\"" SHA "\"]]"));
    free(text);
    jobspec_done(&s);
    s = made("\"revisions\": [[0, \"glyphs@0\"], [2, \"glyphs@latest\"]]");
    ASSERT_EQ(1, s.revisions.count); /* without an entry it is as imported */
    ASSERT_EQ(0, revisions_of_epoch(&s.revisions, 1));
    ASSERT_EQ(REVISION_LATEST, s.revisions.at[0].number);
    jobspec_done(&s);
    assert_refused("\"revisions\": [[0]]", "revisions[0] is not [epoch, \"glyphs@NUMBER\"]");
    assert_refused("\"revisions\": [[-1, \"glyphs@1\"]]", "begins at epoch -1");
    assert_refused("\"revisions\": [[0.5, \"glyphs@1\"]]", "begins at epoch 0.5");
    assert_refused("\"revisions\": [[0, \"other@1\"]]", "is of dataset other, the job trains on");
    assert_refused("\"revisions\": [[0, \"glyphs\"]]", "allowed is glyphs@NUMBER");
    assert_refused("\"revisions\": [[2, \"glyphs@1\"], [2, \"glyphs@2\"]]",
                   "must be above the one");
    assert_refused("\"revisions\": [[10, \"glyphs@1\"]]", "the job has epochs 0 to 9");
    assert_refused("\"revisions\": [[0, \"glyphs@1\", \"ab\"]]", "allowed are 64 hex digits");
}

TEST(the_name_of_a_dataset_may_have_a_revision)
{
    char name[NAME_MAX_BYTES];
    int64_t number;

    ASSERT_EQ(0, revision_split("photos", name, &number));
    ASSERT_EQ(0, number);
    ASSERT_EQ(1, revision_split("photos@12", name, &number));
    ASSERT_STR("photos", name);
    ASSERT_EQ(12, number);
    ASSERT_EQ(1, revision_split("photos@latest", name, &number));
    ASSERT_EQ(REVISION_LATEST, number);
    static const char *const bad[] = {"",         "@1",    "photos@", "photos@-1",
                                      "photos@x", "a@1@2", "p q@1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ASSERT_EQ(-EINVAL, revision_split(bad[i], name, &number));
}
