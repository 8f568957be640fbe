/* Study files: what they expand to, and what is refused with which sentence. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/studyfile.h"
#include "tests/harness.h"

#define BASE "\"name\":\"s\",\"model\":\"mlp\",\"epochs\":4"
#define ON BASE ",\"dataset\":\"d\""
#define ARMS "\"arms\":{\"sgd\":{\"sam.rho\":0},\"sam\":{}},\"control\":\"sgd\""

static int parse(const char *text, struct studyfile *ret, struct errbuf *why)
{
    cJSON *json = cJSON_Parse(text);

    if (!json)
        FAIL("no JSON: %s", text);
    int rc = studyfile_parse(json, ret, why);
    cJSON_Delete(json);
    return rc;
}

static void read_good(const char *text, struct studyfile *ret)
{
    struct errbuf why = {""};

    ASSERT_OK(parse(text, ret, &why), why);
}

static void assert_refused(const char *text, int rc, const char *sentence)
{
    struct studyfile f;
    struct errbuf why = {""};
    int got = parse(text, &f, &why);

    if (got != rc || !strstr(why.text, sentence))
        FAIL("%s: %d \"%s\", wanted %d with \"%s\"", text, got, why.text, rc, sentence);
}

static const char *name_of(const struct studyfile_job *job)
{
    return cJSON_GetObjectItemCaseSensitive(job->spec, "name")->valuestring;
}

static double number_in(const struct studyfile_job *job, const char *section, const char *key)
{
    const cJSON *obj = *section ? cJSON_GetObjectItemCaseSensitive(job->spec, section) : job->spec;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(obj, key);

    return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

TEST(arms_datasets_and_seeds_are_all_combined)
{
    struct studyfile f;

    read_good("{" BASE "," ARMS ",\"seeds\":[5,6,7],\"grid\":{\"dataset\":[\"a\",\"b\"]}}", &f);
    ASSERT_EQ(2, f.arm_count);
    ASSERT_EQ(2, f.data_count);
    ASSERT_EQ(12, f.job_count);
    ASSERT_STR("sgd", f.arms[f.control]);
    ASSERT(f.control_given);
    ASSERT_STR("b", f.data[1]);
    /* All arms of a seed come before the next seed. */
    for (int i = 0; i < 12; i++) {
        ASSERT_EQ(i % 2, f.jobs[i].arm);
        ASSERT_EQ(i / 2 % 2, f.jobs[i].data);
        ASSERT_EQ(5 + i / 4, f.jobs[i].seed);
        ASSERT_NEAR((double)f.jobs[i].seed, number_in(&f.jobs[i], "", "seed"), 0);
    }
    ASSERT_NEAR(0, number_in(&f.jobs[0], "sam", "rho"), 0);
    ASSERT_STR("s.sam.5", name_of(&f.jobs[1]));
    studyfile_done(&f);
}

TEST(an_arm_that_sets_a_key_is_not_varied_in_it)
{
    struct studyfile f;

    read_good("{" ON ",\"arms\":{\"sgd\":{\"sam.rho\":0},\"sam\":{}},\"control\":\"sgd batch=64\","
              "\"grid\":{\"sam.rho\":[0.05,0.1],\"batch\":[64,128]}}",
              &f);
    ASSERT_EQ(6, f.arm_count);
    ASSERT_STR("sgd batch=64", f.arms[0]);
    ASSERT_STR("sgd batch=128", f.arms[1]);
    ASSERT_STR("sam rho=0.05 batch=64", f.arms[2]);
    ASSERT_STR("sam rho=0.1 batch=128", f.arms[5]);
    ASSERT_NEAR(0.1, number_in(&f.jobs[5], "sam", "rho"), 0);
    studyfile_done(&f);
    assert_refused("{" ON "," ARMS ",\"grid\":{\"batch\":[64,128]}}", -EINVAL,
                   "control is \"sgd\", which is no arm");
}

TEST(arms_of_the_same_letters_have_jobs_of_different_names)
{
    struct studyfile f;

    read_good("{" ON ",\"arms\":{\"a+b\":{},\"a b\":{\"sam.rho\":0},\"c\":{\"sam.rho\":0.1}},"
              "\"control\":\"c\"}",
              &f);
    ASSERT_STR("s.a-b.1", name_of(&f.jobs[0]));
    ASSERT_STR("s.a-b-2.1", name_of(&f.jobs[1]));
    ASSERT_STR("s.c.1", name_of(&f.jobs[2]));
    studyfile_done(&f);
}

TEST(keys_are_dotted_or_nested_and_keep_their_neighbours)
{
    struct studyfile f;

    read_good("{" ON ",\"sam\":{\"name\":\"asam\"},\"arms\":{\"a\":{\"sam\":{\"rho\":0.2}},\"b\":{"
              "\"optimizer.milestones\":[0.2,0.4],\"optimizer.schedule\":\"step\"}},\"control\":"
              "\"a\"}",
              &f);
    ASSERT_HAS("\"asam\"", f.jobs[0].described);
    ASSERT_NEAR(0.2, number_in(&f.jobs[0], "sam", "rho"), 0);
    ASSERT_HAS("\"milestones\":[0.2,0.4]", f.jobs[1].described);
    studyfile_done(&f);
}

TEST(values_may_be_objects_and_lists)
{
    struct studyfile f;

    read_good("{" ON ",\"control\":\"measure={\\\"job\\\":3}\",\"grid\":{\"curriculum.measure\":[{"
              "\"job\":3},\"loss\"]}}",
              &f);
    ASSERT_STR("measure={\"job\":3}", f.arms[0]);
    ASSERT_STR("measure=loss", f.arms[1]);
    studyfile_done(&f);
    read_good("{" ON ",\"optimizer\":{\"schedule\":\"step\"},\"control\":\"milestones=[0.5]\","
              "\"grid\":{\"optimizer.milestones\":[[0.5],[0.25,0.75]]}}",
              &f);
    ASSERT_STR("milestones=[0.25,0.75]", f.arms[1]);
    studyfile_done(&f);
    assert_refused("{" ON ",\"grid\":{\"optimizer.milestones\":[0.5,0.75]}}", -EINVAL,
                   "optimizer.milestones is a list by itself");
}

/* Leave one domain out: a column each, and the same arms in all. */
TEST(what_is_tested_on_is_a_column)
{
    struct studyfile f;

    read_good("{" ON "," ARMS ",\"grid\":{\"test_domains\":[[\"photo\"],[\"art\",\"sketch\"]]}}",
              &f);
    ASSERT_EQ(2, f.arm_count);
    ASSERT_EQ(2, f.data_count);
    ASSERT_STR("d test_domains=photo", f.data[0]);
    ASSERT_STR("d test_domains=art+sketch", f.data[1]);
    ASSERT_HAS("\"test_domains\":[\"art\",\"sketch\"]", f.jobs[3].described);
    studyfile_done(&f);
    assert_refused("{" ON ",\"arms\":{\"a\":{\"test_domains\":[\"x\"]}}}", -EINVAL,
                   "all arms are tested on the same samples");
}

/* The revisions of a job are a list by themselves: all jobs of the study have it. */
TEST(revisions_are_data)
{
    struct studyfile f;

    read_good("{" ON "," ARMS ",\"revisions\":[[0,\"d@1\"],[2,\"d@2\"]]}", &f);
    ASSERT_EQ(1, f.data_count);
    ASSERT_HAS("\"revisions\":[[0,\"d@1\"],[2,\"d@2\"]]", f.jobs[0].described);
    studyfile_done(&f);
    read_good("{" ON "," ARMS ",\"grid\":{\"revisions\":[[[0,\"d@1\"]],[[0,\"d@2\"]]]}}", &f);
    ASSERT_EQ(2, f.arm_count);
    ASSERT_EQ(2, f.data_count);
    ASSERT_STR("d revisions=[[0,\"d@1\"]]", f.data[0]);
    studyfile_done(&f);
    assert_refused("{" ON ",\"arms\":{\"a\":{\"revisions\":[[0,\"d@1\"]]}}}", -EINVAL,
                   "all arms train on the same data");
    assert_refused("{" ON "," ARMS ",\"revisions\":[[0,\"d@latest\"]]}", -EINVAL,
                   "d@latest would be another one when the study grows");
}

TEST(ranges_are_drawn_the_same_way_each_time_and_more_trials_keep_the_first)
{
    static const char *const four = "{" ON ",\"seed\":9,\"trials\":4,\"grid\":{\"optimizer.lr\":{"
                                    "\"log_uniform\":[0.001,1]},\"sam.interval\":{\"int_uniform\":"
                                    "[1,3]}},\"control\":\"%s\"}";
    struct studyfile f;
    struct errbuf why = {""};
    char text[512], *first, *end;

    snprintf(text, sizeof(text), four, "?");
    ASSERT_EQ(-EINVAL, parse(text, &f, &why));
    first = strstr(why.text, "the arms are ");
    ASSERT(first);
    first += strlen("the arms are ");
    end = strstr(first, ", ");
    ASSERT(end);
    *end = 0;
    snprintf(text, sizeof(text), four, first);
    read_good(text, &f);
    ASSERT_EQ(4, f.arm_count);
    for (int i = 0; i < 4; i++) {
        double lr = number_in(&f.jobs[i], "optimizer", "lr"),
               interval = number_in(&f.jobs[i], "sam", "interval");
        ASSERT(lr >= 0.001 && lr <= 1 && (interval == 1 || interval == 2 || interval == 3));
    }
    char kept[4][STUDY_ARM_BYTES];
    memcpy(kept, f.arms, sizeof(kept));
    studyfile_done(&f);
    char *more = strstr(text, "\"trials\":4");
    more[9] = '8';
    read_good(text, &f);
    ASSERT_EQ(8, f.arm_count);
    for (int i = 0; i < 4; i++)
        ASSERT_STR(kept[i], f.arms[i]);
    studyfile_done(&f);
}

TEST(what_is_wrong_is_named)
{
    static const struct {
        const char *text;
        int rc;
        const char *sentence;
    } bad[] = {
        {"{\"model\":\"mlp\",\"dataset\":\"d\"}", -EINVAL, "study file: name is missing"},
        {"{" ON ",\"arms\":{\"a\":{},\"b\":{\"sam.rho\":0}}}", -EINVAL,
         "control is missing; it names the arm with which the others are compared: a or b"},
        {"{" ON ",\"arms\":{\"sgd\":{},\"b\":{\"sam.rho\":0}},\"control\":\"sgdd\"}", -EINVAL,
         "control is \"sgdd\", which is no arm; did you mean \"sgd\"?"},
        {"{" ON ",\"arms\":{\"a\":{\"sam.rhoo\":0}}}", -EINVAL,
         "arms.a has no key \"sam.rhoo\"; did you mean \"sam.rho\"?"},
        {"{" ON ",\"arms\":{\"a\":{\"sam\":{\"rhoo\":0}}}}", -EINVAL, "did you mean \"sam.rho\"?"},
        {"{" ON ",\"grid\":{\"sam.rhoo\":[1]}}", -EINVAL,
         "grid has no key \"sam.rhoo\"; did you mean \"sam.rho\"?"},
        {"{" ON ",\"grid\":{\"sam\":[1]}}", -EINVAL, "grid.sam has several keys"},
        {"{" ON ",\"grid\":{\"sam.rho\":[]}}", -EINVAL, "grid.sam.rho is an empty list"},
        {"{" ON ",\"grid\":{\"sam.rho\":0.1}}", -EINVAL, "grid.sam.rho is a single value"},
        {"{" ON ",\"arms\":{\"a\":{\"sam.rho\":[0.1,0.2]}}}", -EINVAL,
         "arms.a: sam.rho is a list; values to try stand under \"grid\""},
        {"{" ON ",\"sam\":{\"rho\":[0.1,0.2]}}", -EINVAL, "sam.rho is a list; values to try"},
        {"{" ON ",\"arms\":{\"a\":{\"sam.rho\":0,\"sam\":{\"rho\":1}}}}", -EINVAL,
         "arms.a has sam.rho twice"},
        {"{" ON ",\"arms\":{}}", -EINVAL, "arms is empty"},
        {"{" ON ",\"arms\":{\"a\":{\"epochs\":9}}}", -EINVAL,
         "arms.a has the key epochs; all arms of a study train for the same epochs"},
        {"{" ON ",\"arms\":{\"a\":{\"dataset\":\"e\"}}}", -EINVAL, "put the datasets under"},
        {"{" ON ",\"grid\":{\"seed\":[1,2]}}", -EINVAL, "the seeds stand under \"seeds\""},
        {"{" ON ",\"seeds\":[]}", -EINVAL, "seeds is an empty list"},
        {"{" ON ",\"seeds\":[1,2,1]}", -EINVAL, "seeds has 1 twice"},
        {"{" ON ",\"seeds\":[1.5]}", -EINVAL, "seeds[0] is 1.5, allowed is a whole number from 0"},
        {"{" ON ",\"seeds\":[1,-1]}", -EINVAL, "seeds[1] is -1, allowed is a whole number"},
        {"{" ON ",\"seeds\":[9007199254740992]}", -EINVAL,
         "allowed is a whole number from 0 to 2^53"},
        {"{" ON ",\"seeds\":[\"1\"]}", -EINVAL, "seeds[0] is \"1\", allowed is"},
        {"{" ON ",\"armz\":{}}", -EINVAL, "study file has no key \"armz\"; did you mean \"arms\"?"},
        {"{" ON ",\"grid\":{\"sam.rho\":[0.1,0.2]},\"arms\":{\"a\":{\"sam.rho\":0},\"b\":{\"sam\":"
         "{\"rho\":1}}},\"control\":\"a\"}",
         -EINVAL, "grid.sam.rho has no effect: every arm sets sam.rho itself"},
        {"{" ON ",\"trials\":9,\"grid\":{\"batch\":{\"int_uniform\":[64,65]}}}", -EINVAL,
         "give fewer trials or wider ranges"},
        {"{" ON ",\"trials\":9,\"grid\":{\"batch\":{\"int_uniform\":[1e300,2e300]}}}", -EINVAL,
         "int_uniform is [1e+300, 2e+300], allowed are whole numbers up to 1e9"},
        {"{" ON ",\"grid\":{\"dataset\":[\"a\",\"a\"]}}", -EINVAL, "grid has \"a\" twice"},
        {"{" ON ",\"arms\":{\"a\":{},\"b\":{\"sam.rho\":0.05}},\"control\":\"a\"}", -EINVAL,
         "the arms \"a\" and \"b\" come to the same job"},
        {"{" ON ",\"arms\":{\"a\":{\"sam.rho\":-1},\"b\":{}},\"control\":\"b\"}", -EINVAL,
         "arm a: sam.rho is -1, allowed is 0 to 100"},
        {"{" ON ",\"grid\":{\"sam.rho\":{\"uniform\":[0,1]}}}", -EINVAL, "\"trials\" is missing"},
        {"{" ON ",\"halving\":true}", -EINVAL,
         "halving is true, but nothing validates; arms are ranked by validation accuracy"},
        {"{" ON ",\"trials\":3}", -EINVAL, "grid has no range to draw from"},
        {"{" ON ",\"trials\":3,\"grid\":{\"sam.rho\":{\"log_uniform\":[0,1]}}}", -EINVAL,
         "it must begin above 0"},
        {"{" ON ",\"trials\":3,\"grid\":{\"sam.rho\":{\"uniform\":[1,0]}}}", -EINVAL,
         "the first must be below the second"},
        {"{" ON ",\"trials\":3,\"grid\":{\"sam.rho\":{\"gauss\":[0,1]}}}", -EINVAL,
         "grid.sam.rho is an object, allowed is a list"},
        {"{" ON ",\"weights\":{\"file\":\"x.safetensors\"}}", -EINVAL,
         "weights names a file; the jobs of a study take {\"job\": N} only"},
        {"{" ON ",\"seeds\":[1,2,3,4,5,6,7,8,9,10,11],\"trials\":50,\"grid\":{\"sam.rho\":{"
         "\"uniform\":[0,1]}}}",
         -ERANGE, "50 arms x 1 dataset x 11 seeds are 550 jobs; a study has at most 500"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_refused(bad[i].text, bad[i].rc, bad[i].sentence);
}

TEST(a_description_is_compared_by_what_it_means)
{
    struct studyfile a, b;
    struct errbuf why = {""};

    read_good("{" ON "}", &a);
    read_good("{" ON ",\"sam\":{\"rho\":0.05}}", &b);
    ASSERT_OK(studyfile_compare(a.jobs[0].described, b.jobs[0].described, &why), why);
    /* As a Steppe wrote it that did not know all of today's keys. */
    ASSERT_OK(studyfile_compare("{\"dataset\":\"d\",\"model\":\"mlp\",\"epochs\":4}",
                                a.jobs[0].described, &why),
              why);
    studyfile_done(&b);
    read_good("{" ON ",\"sam\":{\"rho\":0.1}}", &b);
    ASSERT_EQ(-EEXIST, studyfile_compare(a.jobs[0].described, b.jobs[0].described, &why));
    ASSERT_STR("sam.rho was 0.05 and is 0.1 now", why.text);
    studyfile_done(&a);
    studyfile_done(&b);
}
