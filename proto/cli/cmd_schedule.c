/* schedule: the scheduled samples of an epoch and their weights, for people, numpy and scripts. */
#include "proto/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/text.h"
#include "proto/cli/connection.h"
#include "proto/cli/import/npy.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/sample_row.h"

#define PIECE_ROWS 500000

enum { FORMAT_TABLE, FORMAT_NPY, FORMAT_JSONL };
static const char *const format_names[] = {"table", "npy", "jsonl", NULL};

const struct option schedule_options[] = {
    {"epoch", OPT_INT, offsetof(struct args, epoch), .arg = "E", .min = 1, .max = EPOCHS_MAX,
     .help = "the epoch, counted from 1 (required)"},
    {"format", OPT_ENUM, offsetof(struct args, format), .def = "table", .arg = "FORMAT",
     .names = format_names, .help = "format of the output"},
    {"out", OPT_STR, offsetof(struct args, out), .arg = "PREFIX",
     .help = "npy: write PREFIX-ids.npy and PREFIX-weights.npy, or -places.npy (default PREFIX: "
             "schedule-JOB-EPOCH)"},
    {NULL},
};

struct rows {
    uint32_t *ids; /* [expected] */
    float *weights;
    size_t count, expected; /* rows held, and of the whole schedule */
    float *places; /* [place_count], in place of the weights: of a curriculum in the step */
    size_t place_count;
    double share;
    int64_t steps;
};

static void rows_done(struct rows *r)
{
    free(r->ids);
    free(r->weights);
    free(r->places);
}

/* Takes the size from the first reply; later replies must agree. */
static int make_room(struct rows *r, const cJSON *json, struct errbuf *why)
{
    int64_t count;

    if (!reply_i64(json, "count", &count) || count < 0 || count > SAMPLES_MAX ||
        (r->ids && (size_t)count != r->expected))
        return err_set(why, -EBADMSG, "the server does not say how long the schedule is");
    if (r->ids)
        return 0;
    r->expected = (size_t)count;
    r->ids = alloc_bytes(r->expected + 1, sizeof(*r->ids));
    r->weights = alloc_bytes(r->expected + 1, sizeof(*r->weights));
    if (!r->ids || !r->weights)
        return err_set(why, -ENOMEM, "out of memory for %zu samples", r->expected);
    reply_f64(json, "share", &r->share);
    reply_i64(json, "steps", &r->steps);
    return 0;
}

/* The weights of the places in a shard, where no sample has one of its own. */
static int take_places(struct rows *r, const struct message *reply, struct errbuf *why)
{
    const struct tensor *places;
    int rc = message_tensor(reply, "places", DTYPE_F32, 1, NULL, &places, why);

    if (rc != 0 || r->places)
        return rc;
    r->place_count = (size_t)places->shape[0];
    r->places = alloc_bytes(r->place_count + 1, sizeof(*r->places));
    if (!r->places)
        return err_set(why, -ENOMEM, "out of memory for %zu places", r->place_count);
    memcpy(r->places, places->data, r->place_count * sizeof(*r->places));
    return 0;
}

/* Appends the tensors of one reply. */
static int add_piece(struct rows *r, const struct message *reply, struct errbuf *why)
{
    const struct tensor *ids, *weights = NULL;

    int rc = message_tensor(reply, "ids", DTYPE_U32, 1, NULL, &ids, why);
    if (rc == 0)
        rc = tensor_find(reply->tensors, reply->tensor_count, "places")
                 ? take_places(r, reply, why)
                 : message_tensor(reply, "weights", DTYPE_F32, 1, ids->shape, &weights, why);
    if (rc == 0)
        rc = make_room(r, reply->json, why);
    if (rc != 0)
        return rc;
    size_t n = (size_t)ids->shape[0];
    if (n > r->expected - r->count)
        return err_set(why, -EBADMSG, "the server sent more rows than the schedule has");
    memcpy(r->ids + r->count, ids->data, n * sizeof(*r->ids));
    if (weights)
        memcpy(r->weights + r->count, weights->data, n * sizeof(*r->weights));
    r->count += n;
    return 0;
}

static int fetch_rows(struct cli *cli, int64_t job, struct rows *r, struct errbuf *why)
{
    size_t before;
    int rc;

    do {
        struct message reply;
        cJSON *request = cJSON_CreateObject();
        before = r->count;
        cJSON_AddNumberToObject(request, "job", (double)job);
        request_epoch(cli, request);
        cJSON_AddNumberToObject(request, "first", (double)r->count);
        cJSON_AddNumberToObject(request, "limit", PIECE_ROWS);
        rc = connection_call(cli, MSG_JOB_SCHEDULE, request, &reply, why);
        if (rc != 0)
            return rc;
        rc = add_piece(r, &reply, why);
        message_done(&reply);
    } while (rc == 0 && r->count < r->expected && r->count > before);
    if (rc == 0 && r->count < r->expected)
        rc = err_set(why, -EBADMSG, "the server sent %zu of %zu rows", r->count, r->expected);
    return rc;
}

/* values: the second file, of weights or of places. */
static void tell_npy(const struct cli *cli, const struct rows *r, const char *ids,
                     const char *values)
{
    cJSON *json;

    if (!cli->args->json) {
        print_text("%s and %s: %zu sample%s%s", ids, values, r->count, text_s((double)r->count),
                   r->places ? ", and the weights of the places in a shard" : "");
        return;
    }
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "ids_file", ids);
    cJSON_AddStringToObject(json, r->places ? "places_file" : "weights_file", values);
    cJSON_AddNumberToObject(json, "count", (double)r->count);
    print_json(json);
    cJSON_Delete(json);
}

static int write_npy(struct cli *cli, const struct rows *r, struct errbuf *why)
{
    char *prefix = cli->args->out
                       ? xstrdup(cli->args->out)
                       : xasprintf("schedule-%s-%lld", cli->words[0], (long long)cli->args->epoch);
    char *ids = xasprintf("%s-ids.npy", prefix);
    char *values = xasprintf("%s-%s.npy", prefix, r->places ? "places" : "weights");

    int rc = npy_write(ids, DTYPE_U32, r->ids, r->count, why);
    if (rc == 0)
        rc = npy_write(values, DTYPE_F32, r->places ? r->places : r->weights,
                       r->places ? r->place_count : r->count, why);
    if (rc == 0)
        tell_npy(cli, r, ids, values);
    free(values);
    free(ids);
    free(prefix);
    return rc;
}

static void print_numbers(const float *values, size_t count, const char *between)
{
    for (size_t i = 0; i < count && !ferror(stdout); i++)
        printf("%s%.9g", i ? between : "", (double)values[i]);
}

static void print_rows_json(const struct cli *cli, const struct rows *r)
{
    printf("{\"epoch\": %lld, \"share\": %.17g, \"count\": %zu, \"steps\": %lld, \"ids\": [",
           (long long)cli->args->epoch - 1, r->share, r->count, (long long)r->steps);
    for (size_t i = 0; i < r->count && !ferror(stdout); i++)
        printf("%s%u", i ? ", " : "", r->ids[i]);
    printf(r->places ? "], \"weights\": null, \"places\": [" : "], \"weights\": [");
    print_numbers(r->places ? r->places : r->weights, r->places ? r->place_count : r->count, ", ");
    printf("]}\n");
}

static void print_head(const struct cli *cli, const struct rows *r)
{
    printf("# job %s, epoch %lld: %zu sample%s (share %.4g%s), %lld step%s\n", cli->words[0],
           (long long)cli->args->epoch, r->count, text_s((double)r->count), r->share,
           r->places ? " of each shard" : "", (long long)r->steps, text_s((double)r->steps));
    if (r->places) {
        printf("# no sample has a weight of its own: its place in the shard, by what the step "
               "measures, gives one\n# places: ");
        print_numbers(r->places, r->place_count, " ");
        printf("\n");
    }
    printf(r->places ? "# id\n" : "# id weight\n");
}

static void print_rows(const struct cli *cli, const struct rows *r)
{
    const bool lines = cli->args->format == FORMAT_JSONL;

    if (!lines)
        print_head(cli, r);
    for (size_t i = 0; i < r->count && !ferror(stdout); i++)
        if (r->places)
            printf(lines ? "{\"id\": %u, \"weight\": null}\n" : "%u\n", r->ids[i]);
        else
            printf(lines ? "{\"id\": %u, \"weight\": %.9g}\n" : "%u %.9g\n", r->ids[i],
                   (double)r->weights[i]);
}

int cmd_schedule(struct cli *cli, struct errbuf *why)
{
    struct rows r = {NULL};
    int64_t job;

    if (cli->args->epoch == NOT_GIVEN)
        return err_set(why, EXIT_USAGE, "schedule needs --epoch, the first is 1");
    if (cli->args->out && cli->args->format != FORMAT_NPY)
        return err_set(why, EXIT_USAGE, "--out is for --format npy; the others print");
    int rc = command_job(cli, &job, why);
    if (rc == 0)
        rc = fetch_rows(cli, job, &r, why);
    if (rc == 0 && cli->args->format == FORMAT_NPY)
        rc = write_npy(cli, &r, why);
    else if (rc == 0 && cli->args->json)
        print_rows_json(cli, &r);
    else if (rc == 0)
        print_rows(cli, &r);
    rows_done(&r);
    return rc;
}
