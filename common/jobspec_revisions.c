/* Which revision of its dataset a job trains on, from which epoch on: "dataset": "photos@2", or
 * "revisions": [[0, "photos@1", SHA256], [3, "photos@2"]]. The server writes the second form. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/field.h"
#include "common/jobspec_internal.h"
#include "common/text.h"

int revision_split(const char *text, char name[NAME_MAX_BYTES], int64_t *ret_number)
{
    const char *at = strrchr(text, '@');
    const size_t bytes = at ? (size_t)(at - text) : strlen(text);
    int64_t number = 0;

    if (bytes == 0 || bytes >= NAME_MAX_BYTES)
        return -EINVAL;
    if (at && strcmp(at + 1, "latest") == 0)
        number = REVISION_LATEST;
    else if (at && !text_i64(at + 1, 0, REVISIONS_MAX, &number))
        return -EINVAL;
    memcpy(name, text, bytes);
    name[bytes] = '\0';
    *ret_number = number;
    return text_is_name(name) ? at != NULL : -EINVAL;
}

const char *revision_name(const char *dataset, int64_t number, char buf[REVISION_NAME_BYTES])
{
    if (number == REVISION_LATEST)
        snprintf(buf, REVISION_NAME_BYTES, "%s@latest", dataset);
    else
        snprintf(buf, REVISION_NAME_BYTES, "%s@%lld", dataset, (long long)number);
    return buf;
}

int revisions_read_dataset(const cJSON *root, struct jobspec *spec, struct errbuf *why)
{
    const char *text = NULL;
    int64_t number;
    int rc = field_str(root, "job file", "dataset", true, REVISION_NAME_BYTES, &text, why);

    if (rc < 0)
        return rc;
    rc = revision_split(text, spec->dataset, &number);
    if (rc < 0)
        return err_set(
            why, -EINVAL,
            "dataset is \"%s\", allowed are 1 to %d letters, digits, '.', '_' and '-', with no "
            "'.' or '-' in front, and behind them perhaps @ and the number of a revision, "
            "or @latest",
            text, NAME_MAX_BYTES - 1);
    if (rc > 0 && number != 0)
        spec->revisions = (struct revisions){.count = 1, .at = {{.number = number}}};
    return 0;
}

static int read_one(const cJSON *item, const struct jobspec *spec, int i, struct revision_at *ret,
                    struct errbuf *why)
{
    const cJSON *epoch = cJSON_GetArrayItem(item, 0), *name = cJSON_GetArrayItem(item, 1),
                *hash = cJSON_GetArrayItem(item, 2);
    char dataset[NAME_MAX_BYTES];
    uint8_t digest[SHA256_BYTES];
    const int parts = cJSON_GetArraySize(item);

    *ret = (struct revision_at){0};
    if (!cJSON_IsArray(item) || parts < 2 || parts > 3 || !cJSON_IsNumber(epoch) ||
        !cJSON_IsString(name) || (hash && !cJSON_IsString(hash)))
        return err_set(
            why, -EINVAL,
            "revisions[%d] is not [epoch, \"%s@NUMBER\"], perhaps with the sha256 of the "
            "revision behind it",
            i, spec->dataset);
    if (epoch->valuedouble < 0 || epoch->valuedouble >= EPOCHS_MAX ||
        epoch->valuedouble != (double)(int64_t)epoch->valuedouble)
        return err_set(why, -EINVAL, "revisions[%d] begins at epoch %g, allowed is 0 to %d", i,
                       epoch->valuedouble, EPOCHS_MAX - 1);
    if (revision_split(name->valuestring, dataset, &ret->number) != 1)
        return err_set(why, -EINVAL, "revisions[%d] is \"%.80s\", allowed is %s@NUMBER", i,
                       name->valuestring, spec->dataset);
    if (strcmp(dataset, spec->dataset) != 0)
        return err_set(why, -EINVAL, "revisions[%d] is of dataset %s, the job trains on %s", i,
                       dataset, spec->dataset);
    if (hash && !text_unhex(hash->valuestring, digest, sizeof(digest)))
        return err_set(why, -EINVAL,
                       "the sha256 of revisions[%d] is \"%.80s\", allowed are %d hex "
                       "digits",
                       i, hash->valuestring, 2 * SHA256_BYTES);
    ret->epoch = (int64_t)epoch->valuedouble;
    if (hash)
        text_hex(digest, sizeof(digest), ret->sha256);
    return 0;
}

int revisions_read(const cJSON *root, struct jobspec *spec, struct errbuf *why)
{
    struct revisions *r = &spec->revisions;
    const cJSON *list = NULL, *item;
    struct revision_at at;
    int i = 0;
    int rc = field_arr(root, "job file", "revisions", false, JOB_REVISIONS_MAX, &list, why);

    if (rc < 0 || !list)
        return rc;
    if (r->count > 0)
        return err_set(why, -EINVAL,
                       "dataset names a revision and revisions is given; write dataset \"%s\" and "
                       "name all of them in revisions",
                       spec->dataset);
    cJSON_ArrayForEach(item, list)
    {
        rc = read_one(item, spec, i++, &at, why);
        if (rc < 0)
            return rc;
        if (r->count > 0 && at.epoch <= r->at[r->count - 1].epoch)
            return err_set(why, -EINVAL,
                           "revisions[%d] begins at epoch %lld, it must be above the one before it",
                           i - 1, (long long)at.epoch);
        if (r->count > 0 || at.number != 0) /* without an entry it is as imported */
            r->at[r->count++] = at;
    }
    return 0;
}

cJSON *jobspec_revisions_json(const char *dataset, const struct revisions *r)
{
    cJSON *list = cJSON_CreateArray();
    char name[REVISION_NAME_BYTES];

    for (int i = 0; i < r->count; i++) {
        const struct revision_at *at = &r->at[i];
        cJSON *item = cJSON_CreateArray();
        cJSON_AddItemToArray(item, cJSON_CreateNumber((double)at->epoch));
        cJSON_AddItemToArray(item, cJSON_CreateString(revision_name(dataset, at->number, name)));
        if (at->sha256[0])
            cJSON_AddItemToArray(item, cJSON_CreateString(at->sha256));
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

int64_t revisions_of_epoch(const struct revisions *r, int64_t epoch)
{
    int64_t number = 0;

    for (int i = 0; i < r->count && r->at[i].epoch <= epoch; i++)
        number = r->at[i].number;
    return number;
}
