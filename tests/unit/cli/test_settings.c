#include "proto/cli/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/field.h"
#include "common/jobspec.h"
#include "tests/harness.h"

#define FILE_TEXT                                                                                  \
    "{\"dataset\": \"g\", \"model\": \"mlp\", \"seed\": 5, \"sam\": {\"interval\": 2}}"

static struct errbuf why;

/* Applies one setting (NULL: none) and the name to FILE_TEXT. */
static int applied(const char *setting, const char *name, cJSON **ret)
{
    struct option_values set = {.count = setting != NULL, .at = {setting}};
    cJSON *json;

    ASSERT_OK(field_parse(FILE_TEXT, strlen(FILE_TEXT), 1000, "job file", &json, &why), why);
    int rc = settings_apply(&set, name, json, &why);
    if (rc == 0 && ret)
        *ret = json;
    else
        cJSON_Delete(json);
    return rc;
}

static void assert_value(const char *setting, const char *section, const char *key,
                         const char *want)
{
    cJSON *json;

    ASSERT_OK(applied(setting, NULL, &json), why);
    cJSON *obj = section ? cJSON_GetObjectItemCaseSensitive(json, section) : json;
    char *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(obj, key));
    ASSERT_STR(want, text);
    free(text);
    cJSON_Delete(json);
}

TEST(a_value_is_json_where_it_is_json_else_text)
{
    assert_value("seed=2", NULL, "seed", "2");
    assert_value("sam.rho=0.1", "sam", "rho", "0.1");
    assert_value("sam.rho=0.1", "sam", "interval", "2"); /* the rest of the section stays */
    assert_value("optimizer.name=adamw", "optimizer", "name", "\"adamw\"");
    assert_value("attack.epsilon=4/255", "attack", "epsilon", "\"4/255\"");
    assert_value("augment.flip=true", "augment", "flip", "true");
    assert_value("name=\"2\"", NULL, "name", "\"2\"");
    assert_value("exclude=[1, 2]", NULL, "exclude", "[1,2]");
    assert_value("weights={\"job\": 3}", NULL, "weights", "{\"job\":3}");
    assert_value("name=a=b", NULL, "name", "\"a=b\"");
    assert_value("name=", NULL, "name", "\"\"");
    assert_value("name=1, \"seed\": 7", NULL, "name", "\"1, \\\"seed\\\": 7\"");
    assert_value("name=1, \"seed\": 7", NULL, "seed", "5");
}

TEST(the_last_of_the_same_key_counts_and_the_name_after_all)
{
    struct option_values set = {.count = 3, .at = {"seed=2", "seed=3", "name=a"}};
    cJSON *json = cJSON_Parse(FILE_TEXT);

    ASSERT_OK(settings_apply(&set, "7", json, &why), why);
    ASSERT_EQ(3, cJSON_GetObjectItemCaseSensitive(json, "seed")->valueint);
    ASSERT_STR("7", cJSON_GetObjectItemCaseSensitive(json, "name")->valuestring);
    cJSON_Delete(json);
}

static void assert_refused(const char *setting, const char *sentence)
{
    ASSERT_EQ(-EINVAL, applied(setting, NULL, NULL));
    ASSERT_HAS(sentence, why.text);
}

TEST(what_is_no_setting_is_refused)
{
    assert_refused("seed", "--set is \"seed\", allowed is KEY=VALUE, such as sam.rho=0.1");
    assert_refused("sam.roh=1", "--set has no key \"sam.roh\"; did you mean \"sam.rho\"?");
    assert_refused("sam=1", "--set sam has several keys; name one, such as \"sam.rho\"");
    assert_refused("=1", "--set has no key \"\"");
    assert_refused("exclude=[1, 2", "--set exclude=[1, 2: the list is no JSON");
    assert_refused("weights={job: 3}", "--set weights={job: 3}: the object is no JSON");
    assert_refused("name=\xff", "is not UTF-8");
}

static void assert_blamed(const char *sentence, const char *want)
{
    struct option_values set = {.count = 2, .at = {"sam.rho=200", "seed=x"}};

    snprintf(why.text, sizeof(why.text), "%s", sentence);
    ASSERT_EQ(-EINVAL, settings_blame(&set, "a b", "job.json", -EINVAL, &why));
    ASSERT_STR(want, why.text);
}

TEST(a_refused_value_names_the_option_that_gave_it)
{
    assert_blamed("sam.rho is 200, allowed is 0 to 100",
                  "--set sam.rho=200: sam.rho is 200, allowed is 0 to 100");
    assert_blamed("seed is \"x\"", "--set seed=x: seed is \"x\"");
    assert_blamed("name is \"a b\"", "--name: name is \"a b\"");
    assert_blamed("flatness.rho is 0", "job.json: flatness.rho is 0");
    assert_blamed("batch is 3", "job.json: batch is 3");
}
