#include "proto/cli/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/field.h"
#include "common/jobspec_paths.h"
#include "common/text.h"

#define SHOWN_MAX 80 /* bytes of a setting in a sentence */

/* The KEY of a setting, to be freed; NULL: it has no '='. */
static char *key_of(const char *setting)
{
    const char *equals = strchr(setting, '=');

    return equals ? xasprintf("%.*s", (int)(equals - setting), setting) : NULL;
}

/* Text that begins as JSON's objects, lists and strings do was meant to be JSON. */
static bool meant_as_json(const char *value)
{
    return *value && strchr("{[\"", *value);
}

static int value_of(const char *setting, const char *value, cJSON **ret, struct errbuf *why)
{
    struct errbuf sentence = {""};
    char *text = xasprintf("{\"value\":%s\n}", value);
    cJSON *json = NULL;

    int rc = field_parse(text, strlen(text), JSON_REQUEST_BYTES_MAX, "it", &json, &sentence);
    free(text);
    /* "1, "x": 2" is no value, though the object around it is one. */
    if (rc == 0 && cJSON_GetArraySize(json) == 1)
        *ret = cJSON_DetachItemFromObjectCaseSensitive(json, "value");
    else if (meant_as_json(value))
        rc = err_set(why, -EINVAL, "--set %.*s: %s is no JSON", SHOWN_MAX, setting,
                     *value == '{'   ? "the object"
                     : *value == '[' ? "the list"
                                     : "the text in quotes");
    else if (text_utf8_bytes(value, strlen(value)) != strlen(value))
        rc = err_set(why, -EINVAL, "--set %.*s is not UTF-8", SHOWN_MAX, setting);
    else
        rc = (*ret = cJSON_CreateString(value)) ? 0 : err_set(why, -ENOMEM, "out of memory");
    cJSON_Delete(json);
    return rc;
}

static int apply(const char *setting, cJSON *json, struct errbuf *why)
{
    char *key = key_of(setting);
    cJSON *value = NULL;
    int rc = 0;

    if (!key)
        rc = err_set(why, -EINVAL, "--set is \"%.*s\", allowed is KEY=VALUE, such as sam.rho=0.1",
                     SHOWN_MAX, setting);
    else if (jobspec_path(key) == PATH_UNKNOWN)
        rc = jobspec_path_refuse("--set", key, why);
    else if (jobspec_path(key) == PATH_SECTION)
        rc = err_set(why, -EINVAL, "--set %s has several keys; name one, such as \"sam.rho\"", key);
    if (rc == 0)
        rc = value_of(setting, strchr(setting, '=') + 1, &value, why);
    if (rc == 0)
        jobspec_path_set(json, key, value);
    free(key);
    return rc;
}

int settings_apply(const struct option_values *set, const char *name, cJSON *json,
                   struct errbuf *why)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < set->count; i++)
        rc = apply(set->at[i], json, why);
    if (rc == 0 && name)
        jobspec_path_set(json, "name", cJSON_CreateString(name));
    return rc;
}

/* Does the sentence name the key? Not so "rho" in "sam.rho", nor "sam.rho" in "sam.rhombus". */
static bool names_key(const char *sentence, const char *key)
{
    size_t bytes = strlen(key);

    for (const char *at = strstr(sentence, key); at; at = strstr(at + 1, key)) {
        char before = at > sentence ? at[-1] : ' ', behind = at[bytes];
        if (before == ' ' && !isalnum((unsigned char)behind) && behind != '_' && behind != '.')
            return true;
    }
    return false;
}

int settings_blame(const struct option_values *set, const char *name, const char *file, int rc,
                   struct errbuf *why)
{
    if (name && strncmp(why->text, "name is ", 8) == 0)
        return err_prefix(why, rc, "--name");
    for (int i = set->count; i-- > 0;) {
        char *key = key_of(set->at[i]);
        bool named = key && names_key(why->text, key);
        free(key);
        if (named)
            return err_prefix(why, rc, "--set %.*s", SHOWN_MAX, set->at[i]);
    }
    return err_prefix(why, rc, "%s", file);
}
