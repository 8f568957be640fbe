/* export: the scores of an epoch, or of all, for other programs. csv and jsonl are written page by
 * page, so that even a large job can be exported with all epochs; npy and safetensors hold one
 * epoch; tensorboard holds the course of all of them. */
#include "proto/cli/command.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/file.h"
#include "common/safetensors.h"
#include "common/text.h"
#include "proto/cli/connection.h"
#include "proto/cli/import/npy.h"
#include "proto/cli/pred_probs.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/sample_names.h"
#include "proto/cli/sample_row.h"
#include "proto/cli/score_columns.h"
#include "proto/cli/score_pages.h"
#include "proto/cli/score_text.h"
#include "proto/cli/tensorboard.h"

enum { FORMAT_CSV, FORMAT_JSONL, FORMAT_NPY, FORMAT_SAFETENSORS, FORMAT_TENSORBOARD };
static const char *const format_names[] = {"csv",         "jsonl",       "npy",
                                           "safetensors", "tensorboard", NULL};

const struct option export_options[] = {
    {"format", OPT_ENUM, ARG(format), .def = "csv", .arg = "FORMAT", .names = format_names,
     .help = "format of the output"},
    {"out", OPT_STR, ARG(out), .arg = "FILE",
     .help = "file to write (csv and jsonl default to standard output); of tensorboard a folder"},
    {"pred-probs", OPT_STR, ARG(pred_probs), .arg = "FILE.npy",
     .help = "write the probabilities of the classes instead, [samples, classes] as cleanlab takes "
             "them, of a job with score.probabilities"},
    EPOCH_OPTION,
    {"all", OPT_FLAG, ARG(all), .help = "export every scored epoch (csv and jsonl)"},
    CLASS_OPTION,
    {"limit", OPT_INT, ARG(limit), .def = "0", .arg = "N", .min = 0, .max = SAMPLES_MAX,
     .help = "only the first N samples of an epoch; 0: all"},
    {NULL},
};

/* For a file; main reports failures of stdout. */
static int refuse_output(const struct cli *cli, struct errbuf *why)
{
    int rc = errno ? -errno : -EIO;

    return cli->args->out ? err_set(why, rc, "cannot write %s: %s", cli->args->out, err_text(rc))
                          : err_set(why, rc, "%s", "");
}

static int write_epoch(struct cli *cli, int64_t job, int64_t epoch,
                       const struct score_columns_want *want, const struct sample_names *names,
                       bool header, FILE *out, struct errbuf *why)
{
    const bool csv = cli->args->format == FORMAT_CSV && !cli->args->json;
    const struct score_columns *page;
    struct score_pages pages;
    int rc;

    score_pages_begin(&pages, cli, job, epoch, want);
    while ((rc = score_pages_next(&pages, &page, why)) == 0 && page) {
        if (csv && header)
            score_text_header(out);
        header = false;
        score_text_rows(page, names, csv, out);
        if (ferror(out)) {
            rc = refuse_output(cli, why);
            break;
        }
    }
    score_pages_end(&pages);
    return rc;
}

static int write_text(struct cli *cli, int64_t job, const struct score_columns_want *want,
                      FILE *out, struct errbuf *why)
{
    struct sample_names names = {0};
    int64_t last = cli->args->epoch == NOT_GIVEN ? -1 : cli->args->epoch - 1, *epochs = &last;
    size_t count = 1;
    int rc = cli->args->all ? score_columns_epochs(cli, job, &epochs, &count, why) : 0;

    if (rc == 0)
        rc = sample_names_fetch(cli, job, &names, why);
    for (size_t e = 0; rc == 0 && e < count; e++)
        rc = write_epoch(cli, job, epochs[e], want, &names, e == 0, out, why);
    if (epochs != &last)
        free(epochs);
    sample_names_done(&names);
    return rc;
}

static int write_arrays(struct cli *cli, int64_t job, const struct score_columns_want *want,
                        struct errbuf *why)
{
    const char *path = cli->args->out;
    struct tensor columns[SCORE_INTS + SCORE_REALS];
    struct score_columns s = {.count = 0};
    int rc = score_columns_fetch(
        cli, job, cli->args->epoch == NOT_GIVEN ? -1 : cli->args->epoch - 1, want, &s, why);

    if (rc != 0)
        goto out;
    for (int k = 0; k < SCORE_INTS; k++)
        columns[k] = tensor_1d(score_int_names[k], DTYPE_I32, s.count, s.ints[k]);
    for (int k = 0; k < SCORE_REALS; k++)
        columns[SCORE_INTS + k] = tensor_1d(score_real_names[k], DTYPE_F64, s.count, s.reals[k]);
    if (cli->args->format == FORMAT_NPY) {
        rc = npy_write_table(path, columns, SCORE_INTS + SCORE_REALS, s.count, why);
    } else {
        char epoch[24];
        snprintf(epoch, sizeof(epoch), "%lld", (long long)s.epoch);
        const struct safetensors_meta meta[] = {{"job", cli->words[0]}, {"epoch", epoch}};
        rc = safetensors_write(path, columns, SCORE_INTS + SCORE_REALS, meta, 2, why);
    }
    if (rc == 0)
        print_note("%s: epoch %lld, %zu row%s", path, (long long)s.epoch + 1, s.count,
                   text_s((double)s.count));
out:
    score_columns_done(&s);
    return rc;
}

static int write_text_file(struct cli *cli, int64_t job, const struct score_columns_want *want,
                           struct errbuf *why)
{
    struct file_draft draft;

    if (!cli->args->out)
        return write_text(cli, job, want, stdout, why);
    int rc = file_draft_open(cli->args->out, 0644, &draft, why);
    if (rc != 0)
        return rc;
    return file_draft_close(&draft, write_text(cli, job, want, draft.out, why), why);
}

/* The rows come without their dataset's classes: the server says whether it has this one. */
static int find_class(struct cli *cli, int64_t job, int64_t *ret, struct errbuf *why)
{
    struct message reply;
    cJSON *request = cJSON_CreateObject();

    cJSON_AddNumberToObject(request, "job", (double)job);
    int rc = request_class(cli, request, why);
    if (rc != 0) {
        cJSON_Delete(request);
        return rc;
    }
    reply_i64(request, "class", ret);
    rc = connection_call(cli, MSG_SCORE_CLASSES, request, &reply, why);
    if (rc == 0)
        message_done(&reply);
    return rc;
}

int cmd_export(struct cli *cli, struct errbuf *why)
{
    const struct args *a = cli->args;
    bool text = a->format == FORMAT_CSV || a->format == FORMAT_JSONL;
    struct score_columns_want want = {NOT_GIVEN, a->limit};
    int64_t job;
    int rc = command_job(cli, &job, why);

    if (rc != 0)
        return rc;
    if (a->pred_probs && (a->json || !text || a->out || a->all || a->epoch != NOT_GIVEN ||
                          a->class_word || a->limit))
        return err_set(why, EXIT_USAGE,
                       "--pred-probs has all samples of the newest sweep; it excludes --format, "
                       "--json, --out, --epoch, --all, --class and --limit");
    if (a->pred_probs)
        return pred_probs_export(cli, job, a->pred_probs, why);
    if (a->json && !text)
        return err_set(why, EXIT_USAGE, "--json is --format jsonl; it excludes --format %s",
                       format_names[a->format]);
    if (a->all && a->epoch != NOT_GIVEN)
        return err_set(why, EXIT_USAGE, "--all and --epoch exclude each other");
    if (a->all && !text)
        return err_set(why, EXIT_USAGE, "--all is for csv and jsonl; %s holds one epoch",
                       format_names[a->format]);
    if (!text && !a->out)
        return err_set(why, EXIT_USAGE, "--format %s needs --out %s", format_names[a->format],
                       a->format == FORMAT_TENSORBOARD ? "FOLDER" : "FILE");
    if (a->format == FORMAT_TENSORBOARD && (a->epoch != NOT_GIVEN || a->class_word || a->limit))
        return err_set(why, EXIT_USAGE,
                       "--format tensorboard has all samples of all epochs; it excludes --epoch, "
                       "--class and --limit");
    if (a->format == FORMAT_TENSORBOARD)
        return tensorboard_export(cli, job, a->out, why);
    if (a->class_word)
        rc = find_class(cli, job, &want.class_id, why);
    if (rc != 0)
        return rc;
    return text ? write_text_file(cli, job, &want, why) : write_arrays(cli, job, &want, why);
}
