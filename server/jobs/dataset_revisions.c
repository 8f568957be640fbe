/* The revisions of datasets, in memory: which there are, by number. Their content stays in the
 * store. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/jobs/datasets_internal.h"

static struct revised *revised_of(const struct datasets *d, const char *sha256)
{
    struct revised *r = d->revised;

    while (r && strcmp(r->sha256, sha256) != 0)
        r = r->next;
    return r;
}

void datasets_revised(struct datasets *d, const char *sha256, const struct revision_record *rec)
{
    struct revised *r = revised_of(d, sha256);

    if (!r) {
        r = xcalloc(1, sizeof(*r));
        memcpy(r->sha256, sha256, sizeof(r->sha256));
        r->next = d->revised;
        d->revised = r;
    }
    if (r->count > 0 && r->at[r->count - 1].number >= rec->number)
        return;
    r->at = xrealloc(r->at, (size_t)(r->count + 1) * sizeof(*r->at));
    r->at[r->count++] = *rec;
}

void revisions_add_one(void *datasets, const char *sha256, const struct revision_record *rec)
{
    datasets_revised(datasets, sha256, rec);
}

void revisions_free(struct datasets *d)
{
    while (d->revised) {
        struct revised *r = d->revised;
        d->revised = r->next;
        free(r->at);
        free(r);
    }
}

const struct revision_record *datasets_newest(const struct datasets *d, const char *sha256)
{
    const struct revised *r = revised_of(d, sha256);

    return r ? &r->at[r->count - 1] : NULL;
}

cJSON *datasets_revisions(const struct datasets *d, const char *sha256)
{
    const struct revised *r = revised_of(d, sha256);
    cJSON *rows = cJSON_CreateArray();

    for (int i = 0; r && i < r->count; i++) {
        const struct revision_record *rec = &r->at[i];
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "revision", (double)rec->number);
        cJSON_AddStringToObject(row, "sha256", rec->sha256);
        cJSON_AddNumberToObject(row, "relabelled", (double)rec->relabelled);
        cJSON_AddNumberToObject(row, "excluded", (double)rec->excluded);
        cJSON_AddNumberToObject(row, "created_unix_ms", (double)rec->created_unix_ms);
        if (rec->who[0])
            cJSON_AddStringToObject(row, "who", rec->who);
        cJSON_AddItemToArray(rows, row);
    }
    return rows;
}

static const struct revision_record *by_number(const struct revised *r, int64_t number)
{
    for (int i = 0; r && i < r->count; i++)
        if (r->at[i].number == number)
            return &r->at[i];
    return NULL;
}

static int no_such(const struct revised *r, const char *name, int64_t number, struct errbuf *why)
{
    char text[REVISION_NAME_BYTES];

    revision_name(name, number, text);
    if (!r)
        return err_set(why, -ENOENT,
                       "there is no %s: dataset %s has no revisions (steppe dataset revise makes "
                       "one of its verdicts)",
                       text, name);
    return err_set(why, -ENOENT, "there is no %s; the revisions of dataset %s are 1 to %lld", text,
                   name, (long long)r->at[r->count - 1].number);
}

int datasets_pin(const struct datasets *d, const char *name, const char *sha256,
                 struct revisions *revisions, bool *ret_pinned, struct errbuf *why)
{
    const struct revised *r = revised_of(d, sha256);

    *ret_pinned = false;
    for (int i = 0; i < revisions->count; i++) {
        struct revision_at *at = &revisions->at[i];
        const bool latest = at->number == REVISION_LATEST;
        const struct revision_record *rec =
            latest && r ? &r->at[r->count - 1] : by_number(r, at->number);
        if (at->number == 0) { /* as imported again */
            at->sha256[0] = '\0';
            continue;
        }
        if (!rec)
            return no_such(r, name, at->number, why);
        if (at->sha256[0] && strcmp(at->sha256, rec->sha256) != 0)
            return err_set(why, -EINVAL,
                           "%s@%lld is said to have the sha256 %.16s..., here it is %.16s...: they "
                           "are not the same",
                           name, (long long)rec->number, at->sha256, rec->sha256);
        *ret_pinned = *ret_pinned || latest;
        at->number = rec->number;
        memcpy(at->sha256, rec->sha256, sizeof(at->sha256));
    }
    return 0;
}
