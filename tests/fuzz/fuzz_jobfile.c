/* A job file. What is accepted, written out with its defaults, is accepted as the same. */
#include <cjson/cJSON.h>
#include <string.h>

#include "common/field.h"
#include "common/jobspec.h"
#include "tests/fuzz/fuzz.h"

static char *written(const struct jobspec *spec)
{
    cJSON *json = jobspec_json(spec);

    FUZZ_ASSERT(json);
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    FUZZ_ASSERT(text);
    return text;
}

static char *parsed_again(const char *text)
{
    struct errbuf why = {""};
    struct jobspec spec;
    cJSON *json;

    FUZZ_ASSERT(field_parse(text, strlen(text), JSON_REPLY_BYTES_MAX, "job file", &json, &why) ==
                0);
    FUZZ_ASSERT(jobspec_parse(json, &spec, &why) == 0);
    char *again = written(&spec);
    jobspec_done(&spec);
    cJSON_Delete(json);
    return again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct errbuf why = {""};
    struct jobspec spec;
    cJSON *json;

    if (field_parse((const char *)data, bytes, JSON_REQUEST_BYTES_MAX, "job file", &json, &why) <
        0) {
        FUZZ_ASSERT(why.text[0]);
        return 0;
    }
    if (jobspec_parse(json, &spec, &why) < 0) {
        FUZZ_ASSERT(why.text[0]);
        cJSON_Delete(json);
        return 0;
    }
    char *text = written(&spec), *again = parsed_again(text);
    FUZZ_ASSERT(strcmp(text, again) == 0);
    cJSON_free(text);
    cJSON_free(again);
    jobspec_done(&spec);
    cJSON_Delete(json);
    return 0;
}
