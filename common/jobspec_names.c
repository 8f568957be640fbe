/* Lists of names in job files: domains of a dataset. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/jobspec_internal.h"

bool names_has(const struct names *n, const char *name)
{
    for (int i = 0; i < n->count; i++)
        if (strcmp(n->at[i], name) == 0)
            return true;
    return false;
}

static int read_item(const cJSON *item, const char *path, struct names *n, struct errbuf *why)
{
    const char *name = cJSON_IsString(item) ? item->valuestring : NULL;

    if (!name || !*name || strlen(name) >= CLASS_NAME_BYTES_MAX)
        return err_set(why, -EINVAL, "%s[%d] is %s, allowed is the name of a domain", path,
                       n->count,
                       !name   ? "no text"
                       : *name ? "longer than a name"
                               : "empty");
    if (names_has(n, name))
        return err_set(why, -EINVAL, "%s names \"%s\" twice", path, name);
    n->at[n->count++] = xstrdup(name);
    return 0;
}

int names_read(const cJSON *obj, const char *where, const char *path, struct names *ret,
               struct errbuf *why)
{
    const char *dot = strrchr(path, '.');
    const cJSON *list = NULL, *item;
    int rc = field_arr(obj, where, dot ? dot + 1 : path, false, DOMAINS_MAX, &list, why);

    if (rc || !list)
        return rc;
    if (cJSON_GetArraySize(list) == 0)
        return err_set(why, -EINVAL, "%s is an empty list, expected names of domains", path);
    ret->at = xcalloc((size_t)cJSON_GetArraySize(list), sizeof(*ret->at));
    cJSON_ArrayForEach(item, list)
    {
        rc = read_item(item, path, ret, why);
        if (rc < 0)
            break;
    }
    return rc;
}

cJSON *names_json(const struct names *n)
{
    cJSON *list = cJSON_CreateArray();

    for (int i = 0; list && i < n->count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(n->at[i]));
    return list;
}

void names_done(struct names *n)
{
    for (int i = 0; i < n->count; i++)
        free(n->at[i]);
    free(n->at);
    *n = (struct names){0};
}
