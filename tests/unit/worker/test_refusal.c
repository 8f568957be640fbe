#include "worker/refusal.h"

#include <errno.h>
#include <string.h>

#include "common/bounds.h"
#include "common/text.h"
#include "tests/harness.h"

TEST(what_lies_between_us_and_the_server_is_no_jobs_fault)
{
    const int none[] = {0, -EINTR, -ENOTCONN, -ESTALE, -ERESTART, -ETIMEDOUT, -EBADMSG};

    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        ASSERT(!refusal_is(none[i]));
    ASSERT(refusal_is(-ENOMEM) && refusal_is(-EREMOTEIO));
}

TEST(an_error_has_a_cause)
{
    ASSERT_EQ(REFUSAL_MEMORY, refusal_cause(-ENOMEM));
    ASSERT_EQ(REFUSAL_DISK, refusal_cause(-ENOSPC));
    ASSERT_EQ(REFUSAL_DISK, refusal_cause(-EROFS));
    ASSERT_EQ(REFUSAL_DATASET, refusal_cause(-EUCLEAN));
    ASSERT_EQ(REFUSAL_UNSUPPORTED, refusal_cause(-EINVAL));
    ASSERT_EQ(REFUSAL_OTHER, refusal_cause(-EREMOTEIO));
}

TEST(a_long_sentence_is_cut_between_characters)
{
    struct errbuf why = {""};

    for (size_t lead = 0; lead < 3; lead++) {
        memset(why.text, 'x', lead);
        for (size_t i = lead; i + 2 < sizeof(why.text); i += 2)
            memcpy(why.text + i, "\xc3\xa4", 3);
        cJSON *json = refusal_make(7, -ENOMEM, &why);
        const char *reason = cJSON_GetObjectItem(json, "reason")->valuestring;
        size_t bytes = strlen(reason);
        ASSERT(bytes < REFUSAL_BYTES_MAX && bytes > REFUSAL_BYTES_MAX - 4);
        ASSERT_EQ(bytes, text_utf8_bytes(reason, bytes));
        ASSERT_STR("memory", cJSON_GetObjectItem(json, "cause")->valuestring);
        cJSON_Delete(json);
    }
}
