/* The line on how many labels are expected to be wrong. */
#include <cjson/cJSON.h>

#include "proto/cli/worth.h"
#include "tests/harness.h"

TEST(the_share_is_that_of_the_count_beside_it)
{
    static const struct {
        const char *worth, *text;
    } cases[] = {
        {"{\"expected\":37.6,\"samples\":2000}",
         "expected to be wrong: about 38 of 2000 labels, 1.90%"},
        {"{\"expected\":393.9,\"samples\":2000,\"least\":24,\"most\":393.9}",
         "expected to be wrong: 24 to 394 of 2000 labels, 1.20% to 19.70%"},
        {"{\"expected\":398,\"samples\":400}",
         "expected to be wrong: about 398 of 400 labels, 99.50%"},
        {"{\"expected\":3,\"samples\":3,\"least\":0,\"most\":3}",
         "expected to be wrong: 0 to 3 of 3 labels, 0.00% to 100.00%"},
        {"{\"expected\":0,\"samples\":0}", ""},
    };
    char text[WORTH_BYTES];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cJSON *reply = cJSON_CreateObject();
        cJSON_AddItemToObject(reply, "worth", cJSON_Parse(cases[i].worth));
        ASSERT_STR(cases[i].text, worth_expected(reply, text));
        cJSON_Delete(reply);
    }
}
