/* Models from JSON, for the tests of the model description and of its export. */
#ifndef STEPPE_TESTS_UNIT_COMMON_MODELS_H
#define STEPPE_TESTS_UNIT_COMMON_MODELS_H

#include <cjson/cJSON.h>

#include "common/model.h"
#include "tests/harness.h"

#define MNIST ((struct dims){28, 28, 1})

static const float means[CHANNELS_MAX] = {0.25f, 0.5f, 0.75f, 0.5f};
static const float stds[CHANNELS_MAX] = {0.5f, 0.25f, 0.125f, 1};

/* text is a JSON value: "\"lenet\"" or {"layers": ...}. */
static inline int parse(const char *text, struct dims in, uint32_t classes, struct model *ret,
                        struct errbuf *why)
{
    cJSON *desc = cJSON_Parse(text);

    ASSERT(desc);
    int rc = model_parse(desc, in, classes, means, stds, ret, why);
    cJSON_Delete(desc);
    return rc;
}

static inline struct model made(const char *text, struct dims in, uint32_t classes)
{
    struct errbuf why = {0};
    struct model m;

    ASSERT_OK(parse(text, in, classes, &m, &why), why);
    return m;
}

#define CONV "{\"type\": \"conv2d\", \"channels\": 4}"
#define FLAT "{\"type\": \"flatten\"}"
#define LAST "{\"type\": \"dense\"}"
#define LAYERS(list) "{\"layers\": [" list "]}"

#endif
