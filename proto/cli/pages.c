#include "proto/cli/pages.h"

#include <errno.h>

#include "common/bounds.h"
#include "proto/cli/connection.h"
#include "proto/cli/reply.h"

const struct pages epoch_pages = {MSG_JOB_SHOW, "epochs", "epochs_from", "epoch", 1, 0};

static bool has_more(const cJSON *json)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "more"));
}

/* One page that begins at `from` (below 0: where the request says), after `have` rows. */
static int call_page(struct cli *cli, const struct pages *p, const cJSON *request, int64_t from,
                     int64_t have, struct message *ret, struct errbuf *why)
{
    cJSON *page = cJSON_Duplicate(request, true);

    if (page && from >= 0) {
        cJSON_DeleteItemFromObjectCaseSensitive(page, p->next);
        cJSON_AddNumberToObject(page, p->next, (double)from);
    }
    if (page && p->most > 0)
        cJSON_AddNumberToObject(page, "limit",
                                (double)(p->most - have < ROWS_MAX ? p->most - have : ROWS_MAX));
    return page ? connection_call(cli, p->type, page, ret, why)
                : err_set(why, -ENOMEM, "out of memory");
}

/* Appends the rows of a page to those read so far; returns their number, or -EBADMSG. */
static int take_rows(const struct pages *p, cJSON *to, const cJSON *json, int64_t *io_last,
                     struct errbuf *why)
{
    const cJSON *list;
    int count = 0, rc = reply_array(json, p->list, &list, why);
    cJSON *rows = (cJSON *)list, *row;

    while (rc == 0 && (row = rows->child) != NULL) {
        int64_t number;
        if (!reply_i64(row, p->number, &number) || number == *io_last)
            return err_set(why, -EBADMSG, "the server's pages do not follow one another");
        *io_last = number;
        cJSON_AddItemToArray(to, cJSON_DetachItemViaPointer(rows, row));
        count++;
    }
    return rc == 0 ? count : rc;
}

int pages_call(struct cli *cli, const struct pages *p, cJSON *request, struct message *ret,
               struct errbuf *why)
{
    cJSON *rows = cJSON_CreateArray();
    int64_t last = -1, have = 0;
    struct message first = {0};
    bool more = true;
    int rc = 0;

    while (rc == 0 && more && (p->most == 0 || have < p->most)) {
        struct message page = {0};
        rc = call_page(cli, p, request, have ? last + p->step : -1, have, &page, why);
        if (rc != 0)
            break;
        int count = take_rows(p, rows, page.json, &last, why);
        more = has_more(page.json);
        rc = count < 0 ? count : 0;
        if (rc == 0 && more && count == 0)
            rc = err_set(why, -EBADMSG, "the server says that there are more rows, but sends none");
        if (have == 0 && rc == 0)
            first = page;
        else
            message_done(&page);
        have += count > 0 ? count : 0;
    }
    cJSON_Delete(request);
    if (rc != 0) {
        cJSON_Delete(rows);
        message_done(&first);
        return rc;
    }
    cJSON_ReplaceItemInObjectCaseSensitive(first.json, p->list, rows);
    cJSON_ReplaceItemInObjectCaseSensitive(first.json, "more", cJSON_CreateBool(more));
    *ret = first;
    return 0;
}
