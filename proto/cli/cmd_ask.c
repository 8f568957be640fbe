/* classes, risers, suspects, compare, map: conclusions from the scores of a job. */
#include "proto/cli/command.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/bounds.h"
#include "common/text.h"
#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/resolve.h"
#include "proto/cli/sample_row.h"
#include "proto/cli/suspects.h"
#include "proto/cli/table.h"
#include "proto/cli/worth.h"

#define NORMALISER_BYTES 32

static const char *const map_names[] = {"ambiguous", "hard", "easy", "forgotten", NULL};

static const char *const group_names[] = {"adm",  "loss",   "adv_loss", "gap", "grad_norm",
                                          "el2n", "margin", "accuracy", NULL};

const struct option classes_options[] = {
    {"by", OPT_ENUM, ARG(by), .def = "accuracy", .arg = "MEASURE", .names = group_names,
     .help = "what puts them in order; the lowest accuracy or "
             "the hardest first"},
    {"split", OPT_ENUM, ARG(split), .def = "train", .arg = "SPLIT", .names = sample_split_names,
     .help = "which samples; of the test, the losses need a "
             "job with score.splits both, or a program that reports them"},
    EPOCH_OPTION,
    CLASS_OPTION,
    LIMIT_OPTION,
    FIRST_OPTION,
    {NULL}};

const struct option risers_options[] = {
    BY_OPTION,
    {"from", OPT_INT, ARG(from), .arg = "E", .min = 1, .max = EPOCHS_MAX,
     .help = "compare from this epoch (default: the first scored one)"},
    {"epoch", OPT_INT, ARG(epoch), .arg = "E", .min = 1, .max = EPOCHS_MAX,
     .help = "compare up to this epoch (default: the last scored one)"},
    {"fallers", OPT_FLAG, ARG(fallers), .help = "show the samples that became easier"},
    CLASS_OPTION,
    LIMIT_OPTION,
    FIRST_OPTION,
    PATHS_OPTIONS,
    {NULL},
};

const struct option suspects_options[] = {
    SUSPECTS_BY_OPTION, SUSPECTS_FOLDS_OPTIONS, EPOCH_OPTION,  CLASS_OPTION,
    LIMIT_OPTION,       FIRST_OPTION,           PATHS_OPTIONS, {NULL},
};

const struct option compare_options[] = {
    BY_OPTION,
    EPOCH_OPTION,
    {"other-epoch", OPT_INT, ARG(other_epoch), .arg = "E", .min = 1, .max = EPOCHS_MAX,
     .help = "epoch of the other job (default: the last scored one)"},
    CLASS_OPTION,
    LIMIT_OPTION,
    FIRST_OPTION,
    PATHS_OPTIONS,
    {NULL},
};

const struct option map_options[] = {
    {"by", OPT_ENUM, ARG(by), .def = "ambiguous", .arg = "END", .names = map_names,
     .help = "which samples to list"},
    {"epoch", OPT_INT, ARG(epoch), .arg = "E", .min = 1, .max = EPOCHS_MAX,
     .help = "use the epochs up to this one (default: all scored ones)"},
    CLASS_OPTION,
    LIMIT_OPTION,
    FIRST_OPTION,
    PATHS_OPTIONS,
    {NULL},
};

/* Sends the request (owned) and prints the reply as JSON or by `print`, which may judge it. */
static int tell(struct cli *cli, enum message_type type, cJSON *request,
                void (*print)(const struct cli *cli, const cJSON *json, const cJSON *rows),
                struct errbuf *why)
{
    struct message reply;
    const cJSON *rows;
    int rc = connection_call(cli, type, request, &reply, why);

    if (rc != 0)
        return rc;
    rc = reply_array(reply.json, "rows", &rows, why);
    if (rc == 0 && type == MSG_SCORE_SUSPECTS && !cli->args->json)
        rc = rows_measured(cli, rows, "value", reply_text(reply.json, "by"), why);
    if (rc == 0 && paths_wanted(cli))
        rc = paths_print(cli, rows, why);
    else if (rc == 0 && cli->args->json)
        print_reply(&reply, NULL);
    else if (rc == 0)
        print(cli, reply.json, rows);
    message_done(&reply);
    return rc;
}

/* The same for a request that lacks epoch, class and place. */
static int ask(struct cli *cli, enum message_type type, cJSON *request,
               void (*print)(const struct cli *cli, const cJSON *json, const cJSON *rows),
               struct errbuf *why)
{
    request_epoch(cli, request);
    int rc = request_class(cli, request, why);
    if (rc != 0) {
        cJSON_Delete(request);
        return rc;
    }
    cJSON_AddNumberToObject(request, "first", (double)cli->args->first);
    cJSON_AddNumberToObject(request, "limit", (double)cli->args->limit);
    return tell(cli, type, request, print, why);
}

static int64_t number_of(const cJSON *json, const char *name)
{
    int64_t value = 0;

    reply_i64(json, name, &value);
    return value;
}

/* what: class or domain. */
static void print_groups(const struct cli *cli, const char *what, const cJSON *json,
                         const cJSON *rows)
{
    const char *by = reply_text(json, "by");
    const bool class = strcmp(what, "class") == 0, by_accuracy = strcmp(by, "accuracy") == 0;
    const bool own = !by_accuracy && strcmp(by, "loss") != 0 && strcmp(by, "adm") != 0;
    const struct column columns[] = {
        {.title = what},
        {"samples", .right = true},
        {"right", .right = true},
        {"under attack", .right = true, .optional = true},
        {"loss", .right = true, .optional = true},
        {"adm", .right = true, .optional = true},
        {own ? by : "", .right = true, .optional = true},
        {"p50", .right = true, .optional = true},
        {"p90", .right = true, .optional = true},
        {"taken for", .optional = true},
        {"times", .right = true, .optional = true},
        {NULL},
    };
    struct table *t = table_create(columns);
    char places[PLACES_BYTES];
    const cJSON *row;

    places_text(cli, json, rows, class ? "classes" : "domains", places);
    const char *samples = cli->args->split ? "test samples, " : "";
    const bool scored = cJSON_GetObjectItemCaseSensitive(rows->child, "loss_mean") != NULL;
    if (by_accuracy)
        print_text("job %s, epoch %lld, %s%s with the lowest accuracy first%s: %s", cli->words[0],
                   (long long)reply_epoch(json, "epoch"), samples, what,
                   scored ? " (p50, p90: of the loss)" : "", places);
    else
        print_text("job %s, epoch %lld, %shardest %s first by mean %s (p50, p90: of the %s): %s",
                   cli->words[0], (long long)reply_epoch(json, "epoch"), samples, what, by, by,
                   places);
    cJSON_ArrayForEach(row, rows)
    {
        cell_class(t, row, what, "name");
        cell_i64(t, row, "samples");
        cell_share(t, row, "accuracy");
        cell_share(t, row, "adv_accuracy");
        cell_f64(t, row, "loss_mean");
        cell_f64(t, row, "adm_mean");
        if (own)
            cell_f64(t, row, "mean");
        else
            table_add(t, TABLE_NONE);
        cell_f64(t, row, "p50");
        cell_f64(t, row, "p90");
        cell_class(t, row, "mistaken_for", "mistaken_name");
        if (number_of(row, "mistaken"))
            cell_i64(t, row, "mistaken");
        else
            table_add(t, TABLE_NONE);
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

static void print_classes(const struct cli *cli, const cJSON *json, const cJSON *rows)
{
    print_groups(cli, "class", json, rows);
}

static void print_domains(const struct cli *cli, const cJSON *json, const cJSON *rows)
{
    print_groups(cli, "domain", json, rows);
}

static int ask_groups(struct cli *cli, enum message_type type,
                      void (*print)(const struct cli *cli, const cJSON *json, const cJSON *rows),
                      struct errbuf *why)
{
    cJSON *request;
    int rc = command_job_request_by(cli, group_names, &request, why);

    if (rc != 0)
        return rc;
    cJSON_AddStringToObject(request, "split", sample_split_names[cli->args->split]);
    return ask(cli, type, request, print, why);
}

int cmd_classes(struct cli *cli, struct errbuf *why)
{
    return ask_groups(cli, MSG_SCORE_CLASSES, print_classes, why);
}

int cmd_domains(struct cli *cli, struct errbuf *why)
{
    return ask_groups(cli, MSG_SCORE_DOMAINS, print_domains, why);
}

static void print_risers(const struct cli *cli, const cJSON *json, const cJSON *rows)
{
    static const struct column columns[] = {
        {"rank", .right = true},   {"sample", .right = true},
        {.title = "label"},        {"predicted", .right = true},
        {"before", .right = true}, {"after", .right = true},
        {"rise", .right = true},   KNOWN_COLUMNS,
    };
    struct table *t = table_create(columns);
    const cJSON *row;
    int64_t rank = cli->args->first;
    char places[PLACES_BYTES];

    print_text("job %s, epoch %lld to %lld, %s of %lld sample%s, %s first: %s", cli->words[0],
               (long long)reply_epoch(json, "from"), (long long)reply_epoch(json, "epoch"),
               reply_text(json, "by"), (long long)number_of(json, "samples"),
               text_s((double)number_of(json, "samples")),
               cli->args->fallers ? "what became easier" : "what became harder",
               places_text(cli, json, rows, "samples", places));
    cJSON_ArrayForEach(row, rows)
    {
        int64_t before = number_of(row, "predicted_before"), after = number_of(row, "predicted");
        table_add(t, "%lld", (long long)++rank);
        cell_i64(t, row, "sample");
        cell_label(t, row);
        if (before == after)
            table_add(t, "%lld", (long long)after);
        else
            table_add(t, "%lld > %lld", (long long)before, (long long)after);
        cell_f64(t, row, "before");
        cell_f64(t, row, "after");
        cell_f64(t, row, "rise");
        cells_known(t, row);
    }
    table_end(cli, t);
}

int cmd_risers(struct cli *cli, struct errbuf *why)
{
    cJSON *request;
    int rc = command_job_request_by(cli, measure_by_names, &request, why);

    if (rc != 0)
        return rc;
    cJSON_AddStringToObject(request, "order", cli->args->fallers ? "fallers" : "risers");
    request_add_epoch(request, "from", cli->args->from);
    return ask(cli, MSG_SCORE_RISERS, request, print_risers, why);
}

static void print_suspects(const struct cli *cli, const cJSON *json, const cJSON *rows)
{
    const char *by = reply_text(json, "by");
    const struct column columns[] = {
        {"rank", .right = true},
        {"sample", .right = true},
        {.title = "label"},
        {.title = "taken for"},
        {by, .right = true},
        {"last loss", .right = true},
        {"mean loss", .right = true},
        {"mean margin", .right = true},
        {"right", .right = true},
        {"forgotten", .right = true},
        KNOWN_COLUMNS,
    };
    struct table *t = table_create(columns);
    const cJSON *row;
    int64_t rank = cli->args->first, as_labelled = 0, predicted;
    char places[PLACES_BYTES];

    worth_print(json);
    print_text("job %s, %sepoch %lld, most suspicious label first by %s: %s", cli->words[0],
               cli->args->out_of_sample == NOT_GIVEN ? "" : "out of sample, ",
               (long long)reply_epoch(json, "epoch"), by,
               places_text(cli, json, rows, "samples", places));
    cJSON_ArrayForEach(row, rows)
    {
        table_add(t, "%lld", (long long)++rank);
        cell_i64(t, row, "sample");
        cell_label(t, row);
        cell_class(t, row, "predicted", "predicted_name");
        cell_f64(t, row, "value");
        cell_f64(t, row, "loss");
        cell_f64(t, row, "loss_mean");
        cell_f64(t, row, "margin_mean");
        table_add(t, "%lld of %lld", (long long)number_of(row, "right"),
                  (long long)number_of(row, "seen"));
        cell_i64(t, row, "forgotten");
        cells_known(t, row);
        as_labelled +=
            reply_i64(row, "predicted", &predicted) && predicted == number_of(row, "label");
    }
    table_end(cli, t);
    if (as_labelled)
        print_text("for %lld of these %d the model predicts the label; %s only gives a high rank",
                   (long long)as_labelled, cJSON_GetArraySize(rows), by);
}

int cmd_suspects(struct cli *cli, struct errbuf *why)
{
    cJSON *request;
    bool done;
    int rc = suspects_request(cli, &request, &done, why);

    return rc == 0 && done ? tell(cli, MSG_SCORE_SUSPECTS, request, print_suspects, why) : rc;
}

static void print_comparison(const struct cli *cli, const cJSON *json)
{
    double rho, agree = 0, mean = 0, other = 0;
    char text[TEXT_F64_BYTES];

    print_text("job %s, epoch %lld, and job %s, epoch %lld: %s of %lld sample%s", cli->words[0],
               (long long)reply_epoch(json, "epoch"), cli->words[1],
               (long long)reply_epoch(json, "other_epoch"), reply_text(json, "by"),
               (long long)number_of(json, "samples"), text_s((double)number_of(json, "samples")));
    if (reply_f64(json, "spearman", &rho))
        printf("rank correlation %.4f   ", rho);
    if (reply_f64(json, "agree", &agree) && reply_f64(json, "mean", &mean) &&
        reply_f64(json, "other_mean", &other))
        printf("predicted alike %s   mean %.4g and %.4g", text_of_share(agree, text), mean, other);
    printf("\n");
}

static void print_compare(const struct cli *cli, const cJSON *json, const cJSON *rows)
{
    static const struct column columns[] = {
        {"sample", .right = true},
        {.title = "label"},
        {"value", .right = true},
        {"other", .right = true},
        {"place", .right = true},
        {"other place", .right = true},
        {"predicted", .right = true},
        {"other predicted", .right = true},
        KNOWN_COLUMNS,
    };
    struct table *t = table_create(columns);
    char places[PLACES_BYTES];
    const cJSON *row;

    print_comparison(cli, json);
    printf("place: share of samples that are easier; largest difference first: %s\n",
           places_text(cli, json, rows, "samples", places));
    cJSON_ArrayForEach(row, rows)
    {
        cell_i64(t, row, "sample");
        cell_label(t, row);
        cell_f64(t, row, "value");
        cell_f64(t, row, "other_value");
        cell_share(t, row, "rank");
        cell_share(t, row, "other_rank");
        cell_i64(t, row, "predicted");
        cell_i64(t, row, "other_predicted");
        cells_known(t, row);
    }
    table_end(cli, t);
}

/* "population" or "sample"; "" when the server does not say. */
static int normaliser_of(struct cli *cli, int64_t job, char ret[NORMALISER_BYTES],
                         struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;

    cJSON_AddNumberToObject(request, "job", (double)job);
    int rc = connection_call(cli, MSG_JOB_SHOW, request, &reply, why);
    if (rc != 0)
        return rc;
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(reply.json, "spec");
    snprintf(ret, NORMALISER_BYTES, "%s",
             reply_text(cJSON_GetObjectItemCaseSensitive(spec, "score"), "normaliser"));
    message_done(&reply);
    return 0;
}

/* ADM with another normaliser is another quantity. */
static int note_normalisers(struct cli *cli, int64_t job, int64_t other, struct errbuf *why)
{
    char first[NORMALISER_BYTES], second[NORMALISER_BYTES];
    int rc = normaliser_of(cli, job, first, why);

    if (rc == 0)
        rc = normaliser_of(cli, other, second, why);
    if (rc == 0 && strcmp(first, second) != 0)
        print_note("steppe: note: adm of job %lld has the normaliser %s, that of job %lld %s: "
                   "compare places, not values",
                   (long long)job, first, (long long)other, second);
    return rc;
}

int cmd_compare(struct cli *cli, struct errbuf *why)
{
    cJSON *request;
    int64_t job = 0, other;
    int rc = command_job_request_by(cli, measure_by_names, &request, why);

    if (rc != 0)
        return rc;
    reply_i64(request, "job", &job);
    rc = resolve_job(cli, cli->words[1], &other, why);
    if (rc == 0 && strcmp(measure_by_names[cli->args->by], "adm") == 0)
        rc = note_normalisers(cli, job, other, why);
    if (rc != 0) {
        cJSON_Delete(request);
        return rc;
    }
    cJSON_AddNumberToObject(request, "other", (double)other);
    request_add_epoch(request, "other_epoch", cli->args->other_epoch);
    return ask(cli, MSG_SCORE_COMPARE, request, print_compare, why);
}

/* The density of samples, sure ones on top, steady ones on the left; a step darker is about three
 * times as many. */
static void print_grid(const cJSON *json)
{
    static const char shades[] = " .:-=+*#%@";
    const cJSON *counts = cJSON_GetObjectItemCaseSensitive(json, "counts");
    int64_t rows = number_of(json, "confidence_bins"),
            columns = number_of(json, "variability_bins");
    double max = 0;

    reply_f64(json, "variability_max", &max);
    if (rows < 1 || columns < 1 || columns > DRAW_CELLS_MAX / 2 ||
        cJSON_GetArraySize(counts) != rows * columns)
        return;
    printf("confidence\n");
    for (int64_t r = rows - 1; r >= 0; r--) {
        char line[DRAW_CELLS_MAX + 1];
        int64_t n = 0;
        for (int64_t c = 0; c < columns; c++) {
            const cJSON *cell = cJSON_GetArrayItem(counts, (int)(r * columns + c));
            double count = cJSON_IsNumber(cell) ? cell->valuedouble : 0;
            int shade = count < 1 ? 0 : 1 + (int)(2 * log10(count));
            line[n] = line[n + 1] = shades[shade > 9 ? 9 : shade];
            n += 2;
        }
        printf("%4.2f |%.*s|\n", (double)r / (double)rows, (int)n, line);
    }
    printf("      0%*s%.2g variability\n", (int)(2 * columns - 1), "", max);
}

static void print_map(const struct cli *cli, const cJSON *json, const cJSON *rows)
{
    static const struct column columns[] = {
        {"rank", .right = true},
        {"sample", .right = true},
        {.title = "label"},
        {"confidence", .right = true},
        {"variability", .right = true},
        {"right", .right = true},
        {"forgotten", .right = true},
        KNOWN_COLUMNS,
    };
    struct table *t = table_create(columns);
    const cJSON *row;
    int64_t rank = cli->args->first;
    char places[PLACES_BYTES];

    printf("job %s, %lld scored epoch%s up to %lld, %lld sample%s\n", cli->words[0],
           (long long)number_of(json, "epochs"), text_s((double)number_of(json, "epochs")),
           (long long)reply_epoch(json, "epoch"), (long long)number_of(json, "samples"),
           text_s((double)number_of(json, "samples")));
    print_grid(json);
    print_text("%s first: %s", reply_text(json, "by"),
               places_text(cli, json, rows, "samples", places));
    cJSON_ArrayForEach(row, rows)
    {
        table_add(t, "%lld", (long long)++rank);
        cell_i64(t, row, "sample");
        cell_label(t, row);
        cell_f64(t, row, "confidence");
        cell_f64(t, row, "variability");
        cell_share(t, row, "correctness");
        cell_i64(t, row, "forgotten");
        cells_known(t, row);
    }
    table_end(cli, t);
}

int cmd_map(struct cli *cli, struct errbuf *why)
{
    cJSON *request;
    int rc = command_job_request_by(cli, map_names, &request, why);

    return rc == 0 ? ask(cli, MSG_SCORE_MAP, request, print_map, why) : rc;
}
