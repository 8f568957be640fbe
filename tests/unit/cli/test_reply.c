#include "proto/cli/reply.h"

#include <errno.h>

#include "tests/harness.h"

TEST(values_of_another_type_count_as_absent)
{
    cJSON *json =
        cJSON_Parse("{\"i\": 7, \"half\": 0.5, \"big\": 1e300, \"s\": \"x\", \"n\": null}");
    int64_t i = -1;
    double d = -1;

    ASSERT(reply_i64(json, "i", &i) && i == 7);
    ASSERT(!reply_i64(json, "half", &i));
    ASSERT(!reply_i64(json, "big", &i));
    ASSERT(!reply_i64(json, "s", &i));
    ASSERT(!reply_i64(json, "none", &i));
    ASSERT_EQ(7, i);
    ASSERT(reply_f64(json, "half", &d) && d == 0.5);
    ASSERT(!reply_f64(json, "n", &d));
    ASSERT_STR("x", reply_text(json, "s"));
    ASSERT_STR("", reply_text(json, "i"));
    ASSERT_STR("", reply_text(NULL, "i"));
    cJSON_Delete(json);
}

TEST(a_reply_without_its_list_is_refused)
{
    cJSON *json = cJSON_Parse("{\"jobs\": {}, \"job\": []}");
    const cJSON *value;
    struct errbuf why;

    ASSERT_EQ(-EBADMSG, reply_array(json, "jobs", &value, &why));
    ASSERT_HAS("\"jobs\"", why.text);
    ASSERT_EQ(-EBADMSG, reply_object(json, "job", &value, &why));
    ASSERT_HAS("\"job\"", why.text);
    cJSON_Delete(json);
}
