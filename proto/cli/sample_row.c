#include "proto/cli/sample_row.h"

#include <errno.h>
#include <string.h>

#include "common/uris.h"
#include "proto/cli/cells.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/resolve.h"

const char *const measure_by_names[] = {"adm",       "loss", "adv_loss", "gap",
                                        "grad_norm", "el2n", "margin",   NULL};
const char *const sample_split_names[] = {"train", "test", NULL};

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
    cell_text(t, row, "uri");
}

void table_end(const struct cli *cli, struct table *t)
{
    table_fit(t, cli->terminal ? cli->columns : 0);
    table_print(t, cli->colour, stdout);
    table_free(t);
}

bool paths_wanted(const struct cli *cli)
{
    return cli->args->paths || cli->args->zero;
}

/* All or none: a list with a gap is another list. */
int paths_print(const struct cli *cli, const cJSON *rows, struct errbuf *why)
{
    char path[URI_BYTES_MAX + 1];
    const cJSON *row;
    int64_t sample = 0;

    if (cli->args->json)
        return err_set(why, EXIT_USAGE, "--paths and --json exclude each other");
    cJSON_ArrayForEach(row, rows)
    {
        reply_i64(row, "sample", &sample);
        if (!*reply_text(row, "uri"))
            return err_set(why, -ENOENT,
                           "sample %lld has no name; steppe dataset name gives the samples of a "
                           "dataset those of the files that were imported",
                           (long long)sample);
    }
    cJSON_ArrayForEach(row, rows)
    {
        const char *uri = reply_text(row, "uri");
        size_t bytes = strlen(uri) > URI_BYTES_MAX ? URI_BYTES_MAX : strlen(uri);
        if (cli->terminal && !cli->args->zero) {
            print_text("%s", uri);
            continue;
        }
        bytes = uri_path(uri, bytes, path);
        fwrite(path, 1, bytes, stdout);
        putchar(cli->args->zero ? '\0' : '\n');
    }
    return 0;
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

int rows_measured(const struct cli *cli, const cJSON *rows, const char *key, const char *by,
                  struct errbuf *why)
{
    const cJSON *row = cJSON_GetArrayItem(rows, 0);
    double value;
    int i = 0;

    if (!row || cli->args->first > 0 || reply_f64(row, key, &value))
        return 0;
    while (measure_by_names[i] && !reply_f64(row, measure_by_names[i], &value))
        i++;
    return measure_by_names[i]
               ? err_set(why, -ENOENT,
                         "no sample has %s: what it takes was not reported; try --by %s", by,
                         measure_by_names[i])
               : err_set(why, -ENOENT, "no sample has %s: what it takes was not reported", by);
}

void request_add_epoch(cJSON *request, const char *name, int64_t epoch)
{
    if (epoch != NOT_GIVEN)
        cJSON_AddNumberToObject(request, name, (double)epoch - 1);
}

void request_epoch(const struct cli *cli, cJSON *request)
{
    request_add_epoch(request, "epoch", cli->args->epoch);
}

int request_class(struct cli *cli, cJSON *request, struct errbuf *why)
{
    int64_t job = 0, class_id;

    if (!cli->args->class_word)
        return 0;
    reply_i64(request, "job", &job);
    int rc = resolve_class(cli, job, cli->args->class_word, &class_id, why);
    if (rc == 0)
        cJSON_AddNumberToObject(request, "class", (double)class_id);
    return rc;
}
