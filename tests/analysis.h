/* What is said to analysers, which see one file at a time, of functions in others. Included before
 * each file of `make analysis`; what is told is what those functions do. */
#include <cjson/cJSON.h>

#include "common/err.h"

/* err_set and err_prefix return their code, and one that is computed is negative. */
#define CODE_OF(call, code)                                                                        \
    ({                                                                                             \
        const int code_ = (code);                                                                  \
        (call);                                                                                    \
        __builtin_constant_p(code) ? (code) : code_ < 0 ? code_ : -1;                              \
    })
#define err_set(why, code, ...) CODE_OF((err_set)(why, code_, __VA_ARGS__), code)
#define err_prefix(why, code, ...) CODE_OF((err_prefix)(why, code_, __VA_ARGS__), code)

/* Nothing is neither a list nor a number. */
#define IS_ONE(is, item)                                                                           \
    ({                                                                                             \
        const cJSON *item_ = (item);                                                               \
        item_ && (is)(item_);                                                                      \
    })
#define cJSON_IsArray(item) IS_ONE(cJSON_IsArray, item)
#define cJSON_IsBool(item) IS_ONE(cJSON_IsBool, item)
#define cJSON_IsNull(item) IS_ONE(cJSON_IsNull, item)
#define cJSON_IsNumber(item) IS_ONE(cJSON_IsNumber, item)
#define cJSON_IsObject(item) IS_ONE(cJSON_IsObject, item)
#define cJSON_IsString(item) IS_ONE(cJSON_IsString, item)
#define cJSON_IsTrue(item) IS_ONE(cJSON_IsTrue, item)
