#include "common/jobspec_paths.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/jobspec_internal.h"
#include "common/jobspec_synonyms.h"
#include "common/text.h"

#define PATHS_MAX 160
#define PATH_BYTES 64

enum jobspec_path jobspec_path(const char *path)
{
    for (const struct row *row = jobspec_rows; row->path; row++) {
        if (strcmp(row->path, path) != 0)
            continue;
        switch (row->type) {
        case ROW_SECTION:
            return PATH_SECTION;
        case ROW_SHARES:
        case ROW_CHANNELS:
        case ROW_EXCLUDE:
        case ROW_NAMES:
        case ROW_REVISIONS:
            return PATH_LIST;
        default:
            return PATH_VALUE;
        }
    }
    return PATH_UNKNOWN;
}

static void replace(cJSON *obj, const char *key, cJSON *value)
{
    if (cJSON_GetObjectItemCaseSensitive(obj, key))
        cJSON_ReplaceItemInObjectCaseSensitive(obj, key, value);
    else
        cJSON_AddItemToObject(obj, key, value);
}

void jobspec_path_set(struct cJSON *json, const char *path, struct cJSON *value)
{
    const char *dot = strchr(path, '.');
    char section[PATH_BYTES];

    if (!dot) {
        replace(json, path, value);
        return;
    }
    snprintf(section, sizeof(section), "%.*s", (int)(dot - path), path);
    cJSON *obj = cJSON_GetObjectItemCaseSensitive(json, section);
    if (!obj)
        obj = cJSON_AddObjectToObject(json, section);
    if (cJSON_IsObject(obj))
        replace(obj, dot + 1, value);
    else
        cJSON_Delete(value);
}

int jobspec_path_refuse(const char *where, const char *path, struct errbuf *why)
{
    const char *paths[PATHS_MAX];
    int count = 0;

    for (const struct row *row = jobspec_rows; row->path && count < PATHS_MAX - 1; row++)
        if (row->type != ROW_SECTION)
            paths[count++] = row->path;
    paths[count] = NULL;
    const char *near = jobspec_meant(path);
    if (!near)
        near = text_nearest(path, paths);
    return err_set(why, -EINVAL, "%s has no key \"%.60s\"%s%s%s", where, path,
                   near ? "; did you mean \"" : "; steppe submit --help-job lists them",
                   near ? near : "", near ? "\"?" : "");
}
