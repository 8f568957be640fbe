/* What the tests of the job description share. */
#ifndef STEPPE_TESTS_UNIT_COMMON_JOBSPEC_MADE_H
#define STEPPE_TESTS_UNIT_COMMON_JOBSPEC_MADE_H

#include <cjson/cJSON.h>
#include <errno.h>

#include "common/field.h"
#include "common/jobspec.h"
#include "tests/harness.h"

#define BASE "\"dataset\": \"glyphs\", \"model\": \"lenet\""

static inline int parse(const char *text, struct jobspec *ret, struct errbuf *why)
{
    cJSON *json;
    int rc = field_parse(text, strlen(text), JSON_REQUEST_BYTES_MAX, "job file", &json, why);

    if (rc)
        return rc;
    rc = jobspec_parse(json, ret, why);
    cJSON_Delete(json);
    return rc;
}

/* A job file with these keys besides dataset and model. */
static inline int parse_keys(const char *keys, struct jobspec *ret, struct errbuf *why)
{
    char text[1024];

    snprintf(text, sizeof(text), "{" BASE "%s%s}", *keys ? ", " : "", keys);
    return parse(text, ret, why);
}

static inline struct jobspec made(const char *keys)
{
    struct errbuf why = {0};
    struct jobspec spec;

    ASSERT_OK(parse_keys(keys, &spec, &why), why);
    return spec;
}

static inline void assert_refused(const char *keys, const char *sentence)
{
    struct errbuf why = {0};
    struct jobspec spec = {.epochs = 77};

    ASSERT_EQ(-EINVAL, parse_keys(keys, &spec, &why));
    ASSERT_HAS(sentence, why.text);
    ASSERT_EQ(77, spec.epochs);
}

#endif
