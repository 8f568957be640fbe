/* report: one self-contained page of HTML about a job or a study, to attach to a mail: no script,
 * no other file. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/file.h"
#include "common/text.h"
#include "proto/cli/command.h"
#include "proto/cli/connection.h"
#include "proto/cli/draw.h"
#include "proto/cli/gallery.h"
#include "proto/cli/heat.h"
#include "proto/cli/html.h"
#include "proto/cli/informative_report.h"
#include "proto/cli/pages.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/report_flatness.h"
#include "proto/cli/sample_row.h"
#include "proto/cli/study_report.h"
#include "proto/cli/worth.h"

#define SAMPLES 48
#define BINS 40
#define TILE_SIDE 84

const struct option report_options[] = {
    {"study", OPT_STR, ARG(study), .arg = "STUDY",
     .help = "a study instead of a job: report --study STUDY OUT.html"},
    {"informative", OPT_FLAG, ARG(informative),
     .help = "what each measure of difficulty tells, epoch by epoch, instead of the job"},
    {"beside", OPT_STR, ARG(beside), .arg = "JOB",
     .help = "with --informative: a second job beside it, as one of sgd beside one of sam"},
    {"hardness", OPT_STR, ARG(hardness), .arg = "FILE",
     .help = "with --informative: a number a sample, larger is harder, to compare the orders with"},
    {NULL},
};

/* Everything on the page. */
struct report {
    int64_t job;
    struct message show, classes, flatness;
    const cJSON *row, *spec, *epochs; /* in show */
    struct heat heat;
    struct gallery hardest, suspects;
    const char *by; /* which measure the hardest have */
    cJSON *names;   /* of the classes */
};

/* --- what the server says --- */

static cJSON *request_of(int64_t job, int64_t limit)
{
    cJSON *request = cJSON_CreateObject();

    cJSON_AddNumberToObject(request, "job", (double)job);
    if (limit)
        cJSON_AddNumberToObject(request, "limit", (double)limit);
    return request;
}

static int ask_show(struct cli *cli, struct report *r, struct errbuf *why)
{
    int rc = pages_call(cli, &epoch_pages, request_of(r->job, 0), &r->show, why);

    if (rc == 0)
        rc = reply_object(r->show.json, "job", &r->row, why);
    if (rc == 0)
        rc = reply_object(r->show.json, "spec", &r->spec, why);
    return rc == 0 ? reply_array(r->show.json, "epochs", &r->epochs, why) : rc;
}

/* A training program need not report every measure. */
static bool first_has(const struct gallery *g, const char *key)
{
    double value;

    return reply_f64(cJSON_GetArrayItem(g->rows, 0), key, &value);
}

static int ask_hardest(struct cli *cli, struct report *r, const char *by, struct errbuf *why)
{
    cJSON *request = request_of(r->job, SAMPLES);

    r->by = by;
    cJSON_AddStringToObject(request, "by", by);
    return gallery_open(cli, &r->hardest, r->job, MSG_SCORE_TOP, request, why);
}

static int ask(struct cli *cli, struct report *r, struct errbuf *why)
{
    int rc = ask_show(cli, r, why);

    if (rc == 0)
        rc = heat_ask(cli, &r->heat, r->job, "adm", BINS, why);
    if (rc == 0)
        rc = ask_hardest(cli, r, "adm", why);
    if (rc == 0 && !first_has(&r->hardest, "adm") && first_has(&r->hardest, "loss")) {
        gallery_close(&r->hardest);
        rc = ask_hardest(cli, r, "loss", why);
    }
    if (rc == 0)
        rc = gallery_open(cli, &r->suspects, r->job, MSG_SCORE_SUSPECTS,
                          request_of(r->job, SAMPLES), why);
    if (rc == 0)
        rc =
            connection_call(cli, MSG_SCORE_CLASSES, request_of(r->job, ROWS_MAX), &r->classes, why);
    if (rc == 0)
        rc = report_flatness_ask(cli, r->job, &r->flatness, why);
    if (rc == 0)
        r->names = gallery_class_names(cli, reply_text(r->row, "dataset"));
    return rc;
}

static void report_done(struct report *r)
{
    cJSON_Delete(r->names);
    message_done(&r->flatness);
    message_done(&r->classes);
    gallery_close(&r->suspects);
    gallery_close(&r->hardest);
    heat_done(&r->heat);
    message_done(&r->show);
}

/* --- the page --- */

static void tile(FILE *out, const char *name, double value)
{
    if (isfinite(value))
        fprintf(out, "<div><dt>%s</dt><dd>%.4g</dd></div>", name, value);
    else
        fprintf(out, "<div><dt>%s</dt><dd>&ndash;</dd></div>", name);
}

static void tile_share(FILE *out, const char *name, double value)
{
    char text[TEXT_F64_BYTES];

    if (isfinite(value))
        fprintf(out, "<div><dt>%s</dt><dd>%s</dd></div>", name, text_of_share(value, text));
    else
        tile(out, name, value);
}

/* Which epoch the validation chose; the tiles are those of the last one. */
static void print_best(FILE *out, const struct report *r)
{
    const cJSON *best = cJSON_GetObjectItemCaseSensitive(r->show.json, "best");
    const bool kept = strcmp(reply_text(r->spec, "keep"), "best") == 0;
    char text[TEXT_F64_BYTES];
    int64_t epoch;

    if (!best || !reply_i64(best, "epoch", &epoch))
        return;
    fprintf(out, "<p>Best validated: epoch %lld, validation accuracy %s", (long long)epoch + 1,
            text_of_share(reply_number(best, "validation_accuracy"), text));
    if (isfinite(reply_number(best, "test_accuracy")))
        fprintf(out, ", test accuracy %s",
                text_of_share(reply_number(best, "test_accuracy"), text));
    fputs(kept ? "; its model is kept. Below is the last epoch.</p>"
               : "; the model is that of the last epoch.</p>",
          out);
}

static void print_head(FILE *out, const struct report *r)
{
    const cJSON *last = NULL, *epoch;
    const char *hash = reply_text(r->show.json, "model_sha256");
    int64_t done = 0, epochs = 0;

    cJSON_ArrayForEach(epoch, r->epochs)
    {
        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(epoch, "committed")))
            last = epoch;
    }
    reply_i64(r->row, "epoch", &done);
    reply_i64(r->row, "epochs", &epochs);
    html_begin(out, reply_text(r->row, "name"));
    fprintf(out, "<p>Steppe job %lld, ", (long long)r->job);
    html_text(out, reply_text(r->row, "state"));
    fputs(": ", out);
    html_text(out, reply_model(r->row));
    fputs(" on ", out);
    html_text(out, reply_text(r->row, "dataset"));
    fputs("</p>", out);
    if (*hash) {
        fputs("<p>Model SHA-256 ", out);
        html_text(out, hash);
        fputs("</p>", out);
    }
    print_best(out, r);
    fprintf(out, "<dl class=\"tiles\"><div><dt>epochs</dt><dd>%lld / %lld</dd></div>",
            (long long)done, (long long)epochs);
    tile(out, "train loss", reply_number(last, "train_loss"));
    tile_share(out, "train accuracy", reply_number(last, "train_accuracy"));
    if (isfinite(reply_number(last, "validation_accuracy")))
        tile_share(out, "validation accuracy", reply_number(last, "validation_accuracy"));
    tile_share(out, "test accuracy", reply_number(last, "test_accuracy"));
    tile_share(out, "adversarial accuracy", reply_number(last, "adv_accuracy"));
    tile(out, "sharpness", reply_number(last, "sharpness"));
    fputs("</dl>\n", out);
}

static int print_curves(FILE *out, const struct report *r)
{
    static const char *const keys[] = {"epoch",          "train_loss",    "test_loss",
                                       "train_accuracy", "test_accuracy", "adv_accuracy",
                                       "share",          "sharpness",     "validation_accuracy"};
    enum { EPOCH, TRAIN_LOSS, TEST_LOSS, TRAIN, TEST, ADVERSARIAL, SHARE, SHARPNESS, VALID, KEYS };
    size_t room = (size_t)cJSON_GetArraySize(r->epochs) + 1, n = 0;
    double *all = alloc_bytes(room * KEYS, sizeof(*all)), *column[KEYS];
    const cJSON *epoch;
    int64_t epochs = 1;

    if (!all)
        return -ENOMEM;
    for (int k = 0; k < KEYS; k++)
        column[k] = all + (size_t)k * room;
    cJSON_ArrayForEach(epoch, r->epochs)
    {
        for (int k = 0; k < KEYS; k++)
            column[k][n] = reply_number(epoch, keys[k]);
        column[EPOCH][n]++; /* people count from 1 */
        n += isfinite(column[EPOCH][n]);
    }
    reply_i64(r->row, "epochs", &epochs);
    const struct html_line loss[] = {{.name = "train", .y = column[TRAIN_LOSS]},
                                     {.name = "test", .y = column[TEST_LOSS], .dashed = true}};
    const struct html_line accuracy[] = {{.name = "train", .y = column[TRAIN]},
                                         {.name = "test", .y = column[TEST], .dashed = true},
                                         {.name = "adversarial", .y = column[ADVERSARIAL]},
                                         {.name = "validation", .y = column[VALID]}};
    const struct html_line sharpness[] = {
        {.name = "loss after the ascent - before", .y = column[SHARPNESS]}};
    const struct html_line share[] = {{.name = "of the training set", .y = column[SHARE]}};
    double x_max = (double)epochs;
    bool validated = false;
    for (size_t i = 0; i < n; i++)
        validated = validated || isfinite(column[VALID][i]);
    fputs("<div class=\"charts\">", out);
    html_chart(out, "Loss", column[EPOCH], n, x_max, loss, 2, HTML_FROM_ZERO);
    html_chart(out, "Accuracy", column[EPOCH], n, x_max, accuracy, validated ? 4 : 3, HTML_SHARE);
    html_chart(out, "Pacing share", column[EPOCH], n, x_max, share, 1, HTML_SHARE);
    html_chart(out, "Sharpness", column[EPOCH], n, x_max, sharpness, 1, HTML_FROM_ZERO);
    fputs("</div>\n", out);
    free(all);
    return 0;
}

static void print_class(FILE *out, const cJSON *row, const cJSON *names)
{
    static const struct {
        const char *key, *fmt; /* NULL: a share */
    } cells[] = {{"samples", "%.0f"}, {"accuracy", NULL}, {"loss_mean", "%.4g"},
                 {"p50", "%.4g"},     {"p90", "%.4g"},    {"adm_mean", "%.4f"}};
    char name[128], text[TEXT_F64_BYTES];
    int64_t class_id = -1, other = -1;

    reply_i64(row, "class", &class_id);
    fputs("<tr><th scope=\"row\">", out);
    html_text(out, gallery_class_name(names, class_id, name, sizeof(name)));
    fputs("</th>", out);
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        fputs("<td>", out);
        const double value = reply_number(row, cells[i].key);
        if (isfinite(value) && cells[i].fmt)
            fprintf(out, cells[i].fmt, value);
        else if (isfinite(value))
            fputs(text_of_share(value, text), out);
        fputs("</td>", out);
    }
    fputs("<td>", out);
    if (reply_i64(row, "mistaken_for", &other)) {
        html_text(out, gallery_class_name(names, other, name, sizeof(name)));
        fprintf(out, " (%.0f)", reply_number(row, "mistaken"));
    }
    fputs("</td></tr>", out);
}

static void print_classes(FILE *out, const struct report *r)
{
    const cJSON *row;

    fputs("<h2>Classes, the lowest accuracy first</h2><div class=\"card scroll\"><table><thead><tr>"
          "<th>class</th><th>samples</th><th>right</th><th>mean loss</th><th>median loss</th>"
          "<th>90 % below</th><th>mean adm</th><th>most often taken for</th></tr></thead><tbody>",
          out);
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(r->classes.json, "rows"))
    {
        print_class(out, row, r->names);
    }
    fputs("</tbody></table></div>\n", out);
}

static int print_sample(FILE *out, const struct report *r, const struct gallery *g,
                        const cJSON *row, uint32_t index, const char *key)
{
    const char *planted = reply_text(row, "planted"), *uri = reply_text(row, "uri");
    int64_t sample = 0, label = -1, predicted = -1;
    char name[128], alt[32];

    reply_i64(row, "sample", &sample);
    reply_i64(row, "label", &label);
    reply_i64(row, "predicted", &predicted);
    snprintf(alt, sizeof(alt), "sample %lld", (long long)sample);
    fputs("<div>", out);
    int rc = 0;
    if (g->pixels)
        rc = html_image(out, gallery_image(g, index), g->w, g->h, g->c, TILE_SIDE, alt);
    else
        fputs("<small>no picture</small>", out);
    fputs("<b>", out);
    html_text(out, gallery_class_name(r->names, label, name, sizeof(name)));
    if (predicted >= 0 && predicted != label) {
        fputs(" <span class=\"wrong\">&rarr; ", out);
        html_text(out, gallery_class_name(r->names, predicted, name, sizeof(name)));
        fputs("</span>", out);
    }
    fprintf(out, "</b><small>%.4g &middot; #%lld", reply_number(row, key), (long long)sample);
    if (*planted) {
        fputs(" &middot; ", out);
        html_text(out, planted);
    }
    fputs("</small>", out);
    if (*uri) {
        fputs("<small class=\"uri\">", out);
        html_text(out, uri);
        fputs("</small>", out);
    }
    fputs("</div>", out);
    return rc;
}

/* What the reply says of its own worth, above its rows. */
static void print_worth(FILE *out, const cJSON *reply)
{
    char text[WORTH_BYTES];
    const cJSON *warning;

    if (!*worth_known(reply, text))
        return;
    fputs("<p>", out);
    html_text(out, text);
    fputs("; ", out);
    html_text(out, worth_expected(reply, text));
    fputs(".", out);
    if (*worth_held(reply, text)) {
        fputs(" Also ", out);
        html_text(out, text);
        fputs(".", out);
    }
    fputs("</p>", out);
    cJSON_ArrayForEach(warning, worth_warnings(reply))
    {
        if (!cJSON_IsString(warning))
            continue;
        fputs("<p class=\"wrong\">Warning: ", out);
        html_text(out, warning->valuestring);
        fputs(".</p>", out);
    }
}

static int print_samples(FILE *out, const struct report *r, const struct gallery *g,
                         const char *title, const char *note, const char *key)
{
    const cJSON *row;
    uint32_t index = 0;
    int rc = 0;

    fprintf(out, "<h2>%s</h2><p>%s</p>", title, note);
    print_worth(out, g->reply.json);
    fputs("<div class=\"samples\">", out);
    cJSON_ArrayForEach(row, g->rows)
    {
        if (rc == 0)
            rc = print_sample(out, r, g, row, index++, key);
    }
    fputs("</div>\n", out);
    return rc;
}

static int print_page(FILE *out, const struct report *r)
{
    print_head(out, r);
    int rc = print_curves(out, r);
    if (rc == 0)
        rc = heat_print(out, &r->heat);
    report_flatness_print(out, &r->flatness);
    print_classes(out, r);
    if (rc == 0)
        rc = print_samples(out, r, &r->hardest, "The hardest samples",
                           strcmp(r->by, "adm") == 0
                               ? "Largest adversarial difficulty (adm) in the last scored epoch; "
                                 "an arrow shows what the model predicts."
                               : "Largest loss in the last scored epoch; an arrow shows what the "
                                 "model predicts.",
                           r->by);
    if (rc == 0 && first_has(&r->suspects, "value"))
        rc = print_samples(
            out, r, &r->suspects, "The most suspicious labels",
            "Samples whose label is most likely wrong, judged by all scored epochs. For a sample "
            "without an arrow the model predicts its label; it is only next in rank.",
            "value");
    char *spec = cJSON_Print(r->spec);
    fputs("<h2>Job file</h2><details class=\"card\"><summary>Every default written "
          "out</summary><pre>",
          out);
    html_text(out, spec ? spec : "");
    fprintf(out, "</pre></details>");
    html_end(out);
    free(spec);
    return rc;
}

/* A job and a file, or --study and a file. */
static int check_words(const struct cli *cli, struct errbuf *why)
{
    const struct args *args = cli->args;
    const int wanted = args->study ? 1 : 2;

    if (cli->word_count != wanted)
        return err_set(why, EXIT_USAGE, "report takes %s, given %s %d; see steppe report --help",
                       args->study ? "OUT.html alone beside --study" : "JOB OUT.html",
                       cli->word_count == 1 ? "is" : "are", cli->word_count);
    if (args->study && (args->informative || args->beside || args->hardness))
        return err_set(why, EXIT_USAGE, "--study and --%s are two pages; choose one",
                       args->informative ? "informative"
                       : args->hardness  ? "hardness"
                                         : "beside");
    return 0;
}

int cmd_report(struct cli *cli, struct errbuf *why)
{
    struct report r = {.job = 0};
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = NULL;
    int rc = check_words(cli, why);

    if (rc != 0)
        return rc;
    if (cli->args->study)
        return study_report(cli, cli->args->study, cli->words[0], why);
    rc = command_job(cli, &r.job, why);
    if (rc != 0)
        return rc;
    if (cli->args->informative)
        return informative_report(cli, r.job, why);
    if (cli->args->beside || cli->args->hardness)
        return err_set(why, EXIT_USAGE, "--%s needs --informative",
                       cli->args->hardness ? "hardness" : "beside");
    rc = ask(cli, &r, why);
    if (rc != 0)
        goto out;
    out = open_memstream(&text, &bytes);
    rc = out ? print_page(out, &r) : -ENOMEM;
    if (out && fclose(out) != 0 && rc == 0)
        rc = -ENOMEM;
    if (rc < 0) {
        err_set(why, rc, "cannot make the report: %s", err_text(rc));
        goto out;
    }
    const struct file_part part = {text, bytes};
    rc = file_write_atomic(cli->words[1], 0644, &part, 1, why);
    if (rc == 0 && cli->args->json) {
        cJSON *said = cJSON_CreateObject();
        cJSON_AddStringToObject(said, "file", cli->words[1]);
        cJSON_AddNumberToObject(said, "bytes", (double)bytes);
        print_json(said);
        cJSON_Delete(said);
    } else if (rc == 0)
        print_text("%s: job %lld, %zu KiB", cli->words[1], (long long)r.job, bytes / 1024);
out:
    report_done(&r);
    free(text);
    return rc;
}
