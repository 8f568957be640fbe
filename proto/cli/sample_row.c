#include "proto/cli/sample_row.h"
#include "proto/cli/cells.h"
#include "proto/cli/reply.h"

#include <string.h>

const char *const measure_by_names[] = {"adm",       "loss", "adv_loss", "gap",
                                        "grad_norm", "el2n", "margin",   NULL};

char *label_text(const cJSON *row, const char *label, const char *label_name, char buf[LABEL_BYTES])
{
    const char *name = reply_text(row, label_name);
    int64_t number;

    if (!reply_i64(row, label, &number)) {
        snprintf(buf, LABEL_BYTES, TABLE_NONE);
        return buf;
    }
    snprintf(buf, LABEL_BYTES, "%lld", (long long)number);
    if (*name && strcmp(name, buf) != 0)
        snprintf(buf, LABEL_BYTES, "%lld (%s)", (long long)number, name);
    return buf;
}

bool truth_differs(const cJSON *row, int64_t *ret)
{
    int64_t label;

    return reply_i64(row, "truth", ret) && (!reply_i64(row, "label", &label) || *ret != label);
}

void cell_class(struct table *t, const cJSON *row, const char *label, const char *label_name)
{
    char text[LABEL_BYTES];

    table_add(t, "%s", label_text(row, label, label_name, text));
}

void cell_label(struct table *t, const cJSON *row)
{
    cell_class(t, row, "label", "label_name");
}

void cells_known(struct table *t, const cJSON *row)
{
    int64_t truth;

    cell_text(t, row, "planted");
    if (truth_differs(row, &truth))
        table_add(t, "%lld", (long long)truth);
    else
        table_add(t, TABLE_NONE);
}

char *places_text(const struct cli *cli, const cJSON *json, const cJSON *rows, const char *what,
                  char buf[PLACES_BYTES])
{
    long long first = cli->args->first, end = first + cJSON_GetArraySize(rows);
    int64_t total = end;

    reply_i64(json, "total", &total);
    if (end == first)
        snprintf(buf, PLACES_BYTES, "none of %lld %s come after the first %lld", (long long)total,
                 what, first);
    else if (end < total)
        snprintf(buf, PLACES_BYTES, "%lld to %lld of %lld %s (--first %lld goes on)", first + 1,
                 end, (long long)total, what, end);
    else
        snprintf(buf, PLACES_BYTES, "%lld to %lld of %lld %s", first + 1, end, (long long)total,
                 what);
    return buf;
}

void request_epoch(const struct cli *cli, cJSON *request)
{
    if (cli->args->epoch != NOT_GIVEN)
        cJSON_AddNumberToObject(request, "epoch", (double)cli->args->epoch);
}

void request_class(const struct cli *cli, cJSON *request)
{
    if (cli->args->class_id != NOT_GIVEN)
        cJSON_AddNumberToObject(request, "class", (double)cli->args->class_id);
}
