#include "proto/cli/confusion.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/decimal.h"
#include "proto/cli/import/csv.h"
#include "proto/cli/table.h"

#define MATRIX_MAX 16 /* classes of a matrix that fits a screen */
#define PAIRS_MAX 20

uint64_t confusion_all(const struct confusion *c)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < (size_t)c->classes * c->classes; i++)
        sum += c->counts[i];
    return sum;
}

uint64_t confusion_right(const struct confusion *c)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < c->classes; i++)
        sum += c->counts[i * c->classes + i];
    return sum;
}

static void print_matrix(const struct confusion *c, bool colour, FILE *out)
{
    struct column columns[MATRIX_MAX + 2] = {{.title = c->title}};

    for (uint32_t j = 0; j < c->classes; j++)
        columns[j + 1] = (struct column){c->names[j], .right = true};
    columns[c->classes + 1] = (struct column){NULL};
    struct table *t = table_create(columns);
    for (uint32_t i = 0; i < c->classes; i++) {
        table_add(t, "%s", c->names[i]);
        for (uint32_t j = 0; j < c->classes; j++) {
            table_add(t, "%u", c->counts[(size_t)i * c->classes + j]);
            if (i == j)
                table_paint(t, PAINT_GOOD);
        }
    }
    table_print(t, colour, out);
    table_free(t);
}

static void print_pairs(const struct confusion *c, bool colour, FILE *out)
{
    const struct column columns[] = {
        {.title = c->title}, {.title = "taken for"}, {"pictures", .right = true}, {NULL}};
    const size_t all = (size_t)c->classes * c->classes;
    uint32_t *left = xcalloc(all, sizeof(*left));
    struct table *t = table_create(columns);

    memcpy(left, c->counts, all * sizeof(*left));
    for (uint32_t n = 0; n < PAIRS_MAX; n++) {
        size_t best = 0;
        uint32_t most = 0;
        for (size_t i = 0; i < all; i++)
            if (i / c->classes != i % c->classes && left[i] > most)
                most = left[best = i];
        if (most == 0)
            break;
        left[best] = 0;
        table_add(t, "%s", c->names[best / c->classes]);
        table_add(t, "%s", c->names[best % c->classes]);
        table_add(t, "%u", most);
    }
    table_print(t, colour, out);
    table_free(t);
    free(left);
}

void confusion_print(const struct confusion *c, bool colour, FILE *out)
{
    if (c->classes <= MATRIX_MAX)
        print_matrix(c, colour, out);
    else if (confusion_right(c) < confusion_all(c))
        print_pairs(c, colour, out);
}

void confusion_print_csv(const struct confusion *c, FILE *out)
{
    csv_write(c->title, out);
    for (uint32_t j = 0; j < c->classes; j++) {
        fputc(',', out);
        csv_write(c->names[j], out);
    }
    fputc('\n', out);
    for (uint32_t i = 0; i < c->classes; i++) {
        csv_write(c->names[i], out);
        for (uint32_t j = 0; j < c->classes; j++)
            fprintf(out, ",%u", c->counts[(size_t)i * c->classes + j]);
        fputc('\n', out);
    }
}

void confusion_add_json(const struct confusion *c, cJSON *out)
{
    const uint64_t all = confusion_all(c), right = confusion_right(c);

    cJSON_AddNumberToObject(out, "right", (double)right);
    if (all)
        cJSON_AddNumberToObject(out, "accuracy", (double)right / (double)all);
    cJSON *matrix = cJSON_AddArrayToObject(out, "confusion");
    /* As text: of thousands of classes a node for each number would take gigabytes. */
    char *text = xmalloc((size_t)c->classes * (DECIMAL_BYTES + 1) + 3);
    for (uint32_t i = 0; i < c->classes; i++) {
        char *end = text;
        for (uint32_t j = 0; j < c->classes; j++) {
            *end++ = j ? ',' : '[';
            end += decimal_of_i64(c->counts[(size_t)i * c->classes + j], end);
        }
        *end++ = ']';
        *end = 0;
        cJSON_AddItemToArray(matrix, cJSON_CreateRaw(text));
    }
    free(text);
}
