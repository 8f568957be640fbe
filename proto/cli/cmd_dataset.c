/* dataset list, dataset show, dataset rm. */
#include "proto/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/dataset.h"
#include "proto/cli/draw.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/table.h"

#define HASH_SHOWN 12 /* digits of a hash in a list */
#define COUNT_CELLS 30

static bool is_manifest(const cJSON *row)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "manifest"));
}

static bool is_unlabelled(const cJSON *row)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "unlabelled"));
}

/* "28x28x1", of the pictures or of the thumbnails. */
static void input_text(const cJSON *row, char buf[DRAW_TEXT_BYTES])
{
    const char *key = is_manifest(row) ? "thumbnails" : "input";
    const cJSON *input = cJSON_GetObjectItemCaseSensitive(row, key), *entry;
    size_t used = 0;

    snprintf(buf, DRAW_TEXT_BYTES, TABLE_NONE);
    cJSON_ArrayForEach(entry, input)
    {
        if (!cJSON_IsNumber(entry) || used >= DRAW_TEXT_BYTES)
            return;
        int n = snprintf(buf + used, DRAW_TEXT_BYTES - used, "%s%.0f", used ? "x" : "",
                         entry->valuedouble);
        used += n < 0 ? 0 : (size_t)n;
    }
}

static void print_datasets(const struct cli *cli, const cJSON *datasets)
{
    static const struct column columns[] = {
        {.title = "name"},
        {"train", .right = true},
        {"test", .right = true},
        {.title = "input"},
        {"kind", .optional = true},
        {"classes", .right = true},
        {"size", .right = true},
        {.title = "sha256"},
        {"revision", .right = true, .optional = true},
        {"key", .optional = true},
        {"source", .optional = true},
        {NULL},
    };
    struct table *t = table_create(columns);
    char text[DRAW_TEXT_BYTES];
    const cJSON *row;
    int64_t bytes;

    cJSON_ArrayForEach(row, datasets)
    {
        bool has_bytes = reply_i64(row, "bytes", &bytes) && bytes >= 0;
        cell_text(t, row, "name");
        cell_i64(t, row, "samples");
        cell_i64(t, row, "test_samples");
        input_text(row, text);
        table_add(t, "%s", text);
        table_add(t, "%s", is_manifest(row) ? "manifest" : "");
        if (is_unlabelled(row))
            table_add(t, TABLE_NONE);
        else
            cell_i64(t, row, "classes");
        table_add(t, "%s", has_bytes ? draw_bytes((uint64_t)bytes, text) : "");
        table_add(t, "%.*s", HASH_SHOWN, reply_text(row, "sha256"));
        cell_i64(t, row, "revision");
        cell_text(t, row, "key");
        cell_text(t, row, "source");
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
    cJSON_ArrayForEach(row, datasets) if (*reply_text(row, "damaged"))
        print_text("%s", reply_text(row, "damaged"));
}

int cmd_dataset_list(struct cli *cli, struct errbuf *why)
{
    const cJSON *datasets;
    struct message reply;
    int rc = connection_call(cli, MSG_DATASET_LIST, NULL, &reply, why);

    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "datasets", &datasets, why);
    if (rc == 0 && cli->args->json)
        print_json(datasets);
    else if (rc == 0 && cJSON_GetArraySize(datasets) == 0)
        printf("there are no datasets; add one with steppe dataset import NAME PATH|glyphs\n");
    else if (rc == 0)
        print_datasets(cli, datasets);
    message_done(&reply);
    return rc;
}

/* "3 classes"; "no labels" of a manifest without. */
static void classes_text(const cJSON *row, char buf[DRAW_TEXT_BYTES])
{
    int64_t classes = 0;

    reply_i64(row, "classes", &classes);
    if (is_unlabelled(row))
        snprintf(buf, DRAW_TEXT_BYTES, "no labels");
    else
        snprintf(buf, DRAW_TEXT_BYTES, "%lld class%s", (long long)classes,
                 classes == 1 ? "" : "es");
}

void dataset_print_row(const cJSON *row)
{
    int64_t samples = 0, test_samples = 0;
    char input[DRAW_TEXT_BYTES], classes[DRAW_TEXT_BYTES], tests[40] = "";

    reply_i64(row, "samples", &samples);
    reply_i64(row, "test_samples", &test_samples);
    input_text(row, input);
    classes_text(row, classes);
    if (test_samples > 0)
        snprintf(tests, sizeof(tests), " + %lld", (long long)test_samples);
    const char *name = reply_text(row, "name"), *s = text_s((double)(samples + test_samples));
    const char *no_tests = test_samples > 0 ? "" : "no test set, ";
    if (!is_manifest(row))
        print_text("%s: %lld%s image%s %s, %s, %ssha256 %s", name, (long long)samples, tests, s,
                   input, classes, no_tests, reply_text(row, "sha256"));
    else
        print_text("%s: a manifest of %lld%s sample%s, %s, %s%s, %ssha256 %s", name,
                   (long long)samples, tests, s, classes,
                   cJSON_HasObjectItem(row, "thumbnails") ? "thumbnails " : "no thumbnails",
                   cJSON_HasObjectItem(row, "thumbnails") ? input : "", no_tests,
                   reply_text(row, "sha256"));
}

/* How many samples each class or domain has; `word` says which of the two. */
static void print_counts(const struct cli *cli, const cJSON *json, const char *word)
{
    const struct column columns[] = {
        {word, .right = true},
        {.title = "name"},
        {"samples", .right = true},
        {.title = "share"},
        {NULL},
    };
    char key[32], bar[DRAW_LINE_BYTES];
    snprintf(key, sizeof(key), "%s_names", word);
    const cJSON *names = cJSON_GetObjectItemCaseSensitive(json, key);
    snprintf(key, sizeof(key), "%s_counts", word);
    const cJSON *counts = cJSON_GetObjectItemCaseSensitive(json, key), *entry;
    const cJSON *name = names ? names->child : NULL;
    struct table *t = table_create(columns);
    double largest = 1;
    int number = 0;

    cJSON_ArrayForEach(entry, counts)
    {
        largest =
            cJSON_IsNumber(entry) && entry->valuedouble > largest ? entry->valuedouble : largest;
    }
    cJSON_ArrayForEach(entry, counts)
    {
        double count = cJSON_IsNumber(entry) ? entry->valuedouble : 0;
        table_add(t, "%d", number++);
        table_add(t, "%s", cJSON_IsString(name) ? name->valuestring : "");
        table_add(t, "%.0f", count);
        table_add(t, "%s", draw_bar(count / largest, COUNT_CELLS, bar));
        name = name ? name->next : NULL;
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

static void print_revisions(const struct cli *cli, const cJSON *json, const cJSON *row)
{
    static const struct column columns[] = {
        {.title = "revision"},
        {"relabelled", .right = true},
        {"left out", .right = true},
        {"made", .right = true},
        {"by", .optional = true},
        {.title = "sha256"},
        {NULL},
    };
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "revisions"), *r;
    int64_t number = 0;

    if (!cJSON_IsArray(list))
        return;
    struct table *t = table_create(columns);
    cJSON_ArrayForEach(r, list)
    {
        reply_i64(r, "revision", &number);
        table_add(t, "%s@%lld", reply_text(row, "name"), (long long)number);
        cell_i64(t, r, "relabelled");
        cell_i64(t, r, "excluded");
        cell_age(t, r, "created_unix_ms");
        cell_text(t, r, "who");
        table_add(t, "%.*s", HASH_SHOWN, reply_text(r, "sha256"));
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

static void print_dataset(const struct cli *cli, const cJSON *json, const cJSON *row)
{
    int64_t flipped = 0, hard = 0, bytes = 0;
    char text[DRAW_TEXT_BYTES];

    dataset_print_row(row);
    if (*reply_text(row, "source"))
        print_text("  source   %s", reply_text(row, "source"));
    if (reply_i64(row, "bytes", &bytes) && bytes >= 0)
        printf("  size     %s\n", draw_bytes((uint64_t)bytes, text));
    if (*reply_text(row, "key"))
        print_text("  key      %s", reply_text(row, "key"));
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "named")))
        printf("  names    every sample has that of its file\n");
    if (*reply_text(row, "damaged"))
        print_text("  %s", reply_text(row, "damaged"));
    reply_i64(json, "flipped", &flipped);
    reply_i64(json, "hard", &hard);
    if (flipped > 0 || hard > 0)
        printf("  planted  %lld flipped labels, %lld hard samples\n", (long long)flipped,
               (long long)hard);
    print_revisions(cli, json, row);
    if (!is_unlabelled(row))
        print_counts(cli, json, "class");
    if (cJSON_GetObjectItemCaseSensitive(json, "domain_counts"))
        print_counts(cli, json, "domain");
}

int cmd_dataset_show(struct cli *cli, struct errbuf *why)
{
    struct message reply;
    const cJSON *row;
    int rc = dataset_ask(cli, cli->words[0], &reply, &row, why);

    if (rc != 0)
        return rc;
    if (cli->args->json)
        print_reply(&reply, NULL);
    else
        print_dataset(cli, reply.json, row);
    message_done(&reply);
    return 0;
}

int cmd_dataset_rm(struct cli *cli, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;

    cJSON_AddStringToObject(request, "name", cli->words[0]);
    int rc = connection_call(cli, MSG_DATASET_RM, request, &reply, why);
    if (rc != 0)
        return rc;
    if (cli->args->json)
        print_reply(&reply, NULL);
    else
        print_text("dataset %s is removed", cli->words[0]);
    message_done(&reply);
    return 0;
}
