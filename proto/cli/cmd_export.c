/* export: the scores of an epoch, or of all, for other programs. csv and jsonl are written row by
 * row, so that even a large job can be exported with all epochs; npy and safetensors hold one
 * epoch. */
#include "proto/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/file.h"
#include "common/safetensors.h"
#include "common/score.h"
#include "common/text.h"
#include "proto/cli/connection.h"
#include "proto/cli/import/npy.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/sample_row.h"

enum { FORMAT_CSV, FORMAT_JSONL, FORMAT_NPY, FORMAT_SAFETENSORS };
static const char *const format_names[] = {"csv", "jsonl", "npy", "safetensors", NULL};

const struct option export_options[] = {
    {"format", OPT_ENUM, ARG(format), .def = "csv", .arg = "FORMAT", .names = format_names,
     .help = "format of the output"},
    {"out", OPT_STR, ARG(out), .arg = "FILE",
     .help = "file to write (csv and jsonl default to standard output)"},
    EPOCH_OPTION,
    {"all", OPT_FLAG, ARG(all), .help = "export every scored epoch (csv and jsonl)"},
    CLASS_OPTION,
    {"limit", OPT_INT, ARG(limit), .def = "0", .arg = "N", .min = 0, .max = SAMPLES_MAX,
     .help = "only the first N samples of an epoch; 0: all"},
    {NULL},
};

/* Columns of a row, in order. An unknown class is -1. */
enum { INTS = 6, REALS = 6 };
static const char *const int_names[INTS] = {"epoch", "sample",    "label",
                                            "truth", "predicted", "flags"};
static const char *const real_names[REALS] = {"adm",       "loss", "adv_loss",
                                              "grad_norm", "el2n", "margin"};

struct scores {
    int32_t *ints[INTS];
    double *reals[REALS];
    size_t count, room;
    int64_t epoch;
    uint64_t total; /* rows of the epoch at the server */
};

static void scores_done(struct scores *s)
{
    for (int k = 0; k < INTS; k++)
        free(s->ints[k]);
    for (int k = 0; k < REALS; k++)
        free(s->reals[k]);
    *s = (struct scores){0};
}

static int make_room(struct scores *s, size_t more, struct errbuf *why)
{
    size_t room = s->count + more + 1;

    if (room <= s->room)
        return 0;
    room += s->room / 2;
    for (int k = 0; k < INTS + REALS; k++) {
        void **at = k < INTS ? (void **)&s->ints[k] : (void **)&s->reals[k - INTS];
        void *grown = realloc(*at, room * (k < INTS ? sizeof(int32_t) : sizeof(double)));
        if (!grown)
            return err_set(why, -ENOMEM, "out of memory for %zu rows", room);
        *at = grown;
    }
    s->room = room;
    return 0;
}

/* Appends the reply's rows of the class, up to the limit. */
static int add_piece(const struct cli *cli, struct scores *s, const struct message *reply,
                     uint64_t *ret_rows, struct errbuf *why)
{
    const struct tensor *ints[INTS] = {NULL}, *reals[REALS] = {NULL};
    int rc = message_tensor(reply, "sample", DTYPE_U32, 1, NULL, &ints[1], why);

    for (int k = 2; rc == 0 && k < INTS; k++)
        rc = message_tensor(reply, int_names[k], k == INTS - 1 ? DTYPE_U32 : DTYPE_I32, 1,
                            ints[1]->shape, &ints[k], why);
    for (int k = 0; rc == 0 && k < REALS - 1; k++)
        rc = message_tensor(reply, real_names[k], DTYPE_F64, 1, ints[1]->shape, &reals[k], why);
    if (rc == 0)
        rc = make_room(s, (size_t)ints[1]->shape[0], why);
    if (rc != 0)
        return rc;
    for (uint64_t i = 0; i < ints[1]->shape[0]; i++) {
        size_t at = s->count;
        for (int k = 1; k < INTS; k++)
            memcpy(&s->ints[k][at], (const char *)ints[k]->data + 4 * i, 4);
        for (int k = 0; k < REALS - 1; k++)
            memcpy(&s->reals[k][at], (const char *)reals[k]->data + 8 * i, 8);
        s->ints[0][at] = (int32_t)s->epoch;
        s->reals[REALS - 1][at] = score_margin(s->reals[1][at], s->reals[4][at]);
        if (cli->args->class_id == NOT_GIVEN || s->ints[2][at] == cli->args->class_id)
            s->count++;
        if (cli->args->limit > 0 && s->count == (size_t)cli->args->limit)
            break;
    }
    *ret_rows = ints[1]->shape[0];
    return 0;
}

/* epoch -1: the last scored one. */
static int fetch(struct cli *cli, int64_t job, int64_t epoch, struct scores *s, struct errbuf *why)
{
    uint64_t first = 0, rows;
    int rc;

    s->count = 0;
    s->epoch = epoch;
    do {
        struct message reply;
        int64_t total = 0;
        cJSON *request = cJSON_CreateObject();
        cJSON_AddNumberToObject(request, "job", (double)job);
        if (s->epoch >= 0)
            cJSON_AddNumberToObject(request, "epoch", (double)s->epoch);
        cJSON_AddNumberToObject(request, "first", (double)first);
        rc = connection_call(cli, MSG_SCORE_ROWS, request, &reply, why);
        if (rc != 0)
            return rc;
        if (!reply_i64(reply.json, "epoch", &s->epoch) || !reply_i64(reply.json, "count", &total))
            rc = err_set(why, -EBADMSG, "the server does not say how many rows there are");
        s->total = (uint64_t)total;
        rows = 0;
        if (rc == 0)
            rc = add_piece(cli, s, &reply, &rows, why);
        message_done(&reply);
        first += rows;
        if (rc == 0 && rows == 0 && first < s->total)
            rc = err_set(why, -EBADMSG, "the server sent %llu of %llu rows",
                         (unsigned long long)first, (unsigned long long)s->total);
    } while (rc == 0 && first < s->total &&
             !(cli->args->limit > 0 && s->count == (size_t)cli->args->limit));
    return rc;
}

static void print_row(const struct scores *s, size_t i, bool csv, FILE *out)
{
    char text[TEXT_F64_BYTES];

    for (int k = 0; k < INTS; k++)
        fprintf(out, csv ? "%s%s%d" : "%s\"%s\": %d",
                k     ? csv ? "," : ", "
                : csv ? ""
                      : "{",
                csv ? "" : int_names[k], s->ints[k][i]);
    for (int k = 0; k < REALS; k++)
        fprintf(out, csv ? ",%s%s" : ", \"%s\": %s", csv ? "" : real_names[k],
                text_of_f64(s->reals[k][i], text));
    fputs(csv ? "\n" : "}\n", out);
}

static void print_header(FILE *out)
{
    for (int k = 0; k < INTS; k++)
        fprintf(out, "%s%s", k ? "," : "", int_names[k]);
    for (int k = 0; k < REALS; k++)
        fprintf(out, ",%s", real_names[k]);
    fputc('\n', out);
}

/* The scored epochs of a job, ascending. */
static int list_epochs(struct cli *cli, int64_t job, int64_t **ret, size_t *ret_count,
                       struct errbuf *why)
{
    int64_t *list = NULL, next = 0, got;
    size_t n = 0;
    int rc;

    do {
        struct message reply;
        const cJSON *epochs = NULL, *entry;
        cJSON *request = cJSON_CreateObject();
        cJSON_AddNumberToObject(request, "job", (double)job);
        cJSON_AddNumberToObject(request, "epochs_from", (double)next);
        rc = connection_call(cli, MSG_JOB_SHOW, request, &reply, why);
        if (rc != 0)
            break;
        got = 0;
        rc = reply_array(reply.json, "epochs", &epochs, why);
        if (rc == 0)
            list = xrealloc(list, (n + (size_t)cJSON_GetArraySize(epochs) + 1) * sizeof(*list));
        cJSON_ArrayForEach(entry, epochs)
        {
            int64_t scored = 0;
            if (!reply_i64(entry, "epoch", &next) || !reply_i64(entry, "scored", &scored))
                continue;
            if (scored > 0)
                list[n++] = next;
            next++;
            got++;
        }
        message_done(&reply);
    } while (rc == 0 && got > 0);
    *ret = list;
    *ret_count = n;
    return rc;
}

/* For a file; main reports failures of stdout. */
static int refuse_output(const struct cli *cli, struct errbuf *why)
{
    int rc = errno ? -errno : -EIO;

    return cli->args->out ? err_set(why, rc, "cannot write %s: %s", cli->args->out, err_text(rc))
                          : err_set(why, rc, "%s", "");
}

static int write_text(struct cli *cli, int64_t job, FILE *out, struct errbuf *why)
{
    bool csv = cli->args->format == FORMAT_CSV && !cli->args->json;
    struct scores s = {.count = 0};
    int64_t last = cli->args->epoch == NOT_GIVEN ? -1 : cli->args->epoch, *epochs = &last;
    size_t count = 1;
    int rc = cli->args->all ? list_epochs(cli, job, &epochs, &count, why) : 0;

    for (size_t e = 0; rc == 0 && e < count; e++) {
        rc = fetch(cli, job, epochs[e], &s, why);
        if (rc == 0 && csv && e == 0)
            print_header(out);
        for (size_t i = 0; rc == 0 && i < s.count; i++) {
            print_row(&s, i, csv, out);
            if (ferror(out))
                rc = refuse_output(cli, why);
        }
    }
    if (rc == 0 && count == 0)
        rc = err_set(why, -ENOENT, "job %lld has no scores yet; they come at the end of an epoch",
                     (long long)job);
    if (epochs != &last)
        free(epochs);
    scores_done(&s);
    return rc;
}

static int write_arrays(struct cli *cli, int64_t job, struct errbuf *why)
{
    const char *path = cli->args->out;
    struct tensor columns[INTS + REALS];
    struct scores s = {.count = 0};
    int rc = fetch(cli, job, cli->args->epoch == NOT_GIVEN ? -1 : cli->args->epoch, &s, why);

    if (rc != 0)
        goto out;
    for (int k = 0; k < INTS; k++)
        columns[k] = tensor_1d(int_names[k], DTYPE_I32, s.count, s.ints[k]);
    for (int k = 0; k < REALS; k++)
        columns[INTS + k] = tensor_1d(real_names[k], DTYPE_F64, s.count, s.reals[k]);
    if (cli->args->format == FORMAT_NPY) {
        rc = npy_write_table(path, columns, INTS + REALS, s.count, why);
    } else {
        char epoch[24];
        snprintf(epoch, sizeof(epoch), "%lld", (long long)s.epoch);
        const struct safetensors_meta meta[] = {{"job", cli->words[0]}, {"epoch", epoch}};
        rc = safetensors_write(path, columns, INTS + REALS, meta, 2, why);
    }
    if (rc == 0)
        print_note("%s: epoch %lld, %zu rows", path, (long long)s.epoch, s.count);
out:
    scores_done(&s);
    return rc;
}

static int write_text_file(struct cli *cli, int64_t job, struct errbuf *why)
{
    struct file_draft draft;

    if (!cli->args->out)
        return write_text(cli, job, stdout, why);
    int rc = file_draft_open(cli->args->out, 0644, &draft, why);
    if (rc != 0)
        return rc;
    return file_draft_close(&draft, write_text(cli, job, draft.out, why), why);
}

/* The rows come without their dataset's classes: the server says whether it has this one. */
static int check_class(struct cli *cli, int64_t job, struct errbuf *why)
{
    struct message reply;
    cJSON *request = cJSON_CreateObject();

    cJSON_AddNumberToObject(request, "job", (double)job);
    request_class(cli, request);
    int rc = connection_call(cli, MSG_SCORE_CLASSES, request, &reply, why);
    if (rc == 0)
        message_done(&reply);
    return rc;
}

int cmd_export(struct cli *cli, struct errbuf *why)
{
    const struct args *a = cli->args;
    bool text = a->format == FORMAT_CSV || a->format == FORMAT_JSONL;
    int64_t job;
    int rc = command_job(cli, &job, why);

    if (rc != 0)
        return rc;
    if (a->json && !text)
        return err_set(why, EXIT_USAGE, "--json is --format jsonl; it excludes --format %s",
                       format_names[a->format]);
    if (a->all && a->epoch != NOT_GIVEN)
        return err_set(why, EXIT_USAGE, "--all and --epoch exclude each other");
    if (a->all && !text)
        return err_set(why, EXIT_USAGE, "--all is for csv and jsonl; %s holds one epoch",
                       format_names[a->format]);
    if (!text && !a->out)
        return err_set(why, EXIT_USAGE, "--format %s needs --out FILE", format_names[a->format]);
    if (a->class_id != NOT_GIVEN)
        rc = check_class(cli, job, why);
    if (rc != 0)
        return rc;
    return text ? write_text_file(cli, job, why) : write_arrays(cli, job, why);
}
