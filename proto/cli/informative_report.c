/* report --informative: how much each measure of difficulty still tells, epoch by epoch, for one
 * job or two side by side. The scores of an epoch are fetched, turned into a few figures a measure
 * and forgotten; only what samples are and how often each was forgotten is kept, so a first pass
 * over all epochs counts that. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/file.h"
#include "proto/cli/cells.h"
#include "proto/cli/connection.h"
#include "proto/cli/dataset.h"
#include "proto/cli/html.h"
#include "proto/cli/import/numbers.h"
#include "proto/cli/informative.h"
#include "proto/cli/informative_report.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/resolve.h"
#include "proto/cli/score_columns.h"
#include "proto/cli/table.h"

#define JOBS_MAX 2

/* What the figures of an epoch are, by number. */
enum figure {
    FIGURE_P10,
    FIGURE_MEDIAN,
    FIGURE_P90,
    FIGURE_SPREAD,
    FIGURE_TIED,
    FIGURE_BEFORE,
    FIGURE_FLIPS,
    FIGURE_FORGETTING,
    FIGURE_HARDNESS,
    FIGURES
};
static const char *const figure_keys[FIGURES] = {
    "p10", "median", "p90", "spread", "tied", "agreement", "flips", "forgotten", "hardness",
};

/* A job, and what is known of its samples; columns are indexed by sample. */
struct subject {
    int64_t job;
    char name[NAME_MAX_BYTES + 32]; /* "sam (job 3)" */
    int64_t *epochs;                /* scored ones, ascending */
    size_t epoch_count;
    double *figures[INFORMATIVE_MEASURES][FIGURES]; /* [epoch_count] */
    double *x;                                      /* [epoch_count] */
    size_t samples;                                 /* the largest number + 1 */
    double *forgotten; /* how often right, then wrong; never right: more than anybody */
    uint8_t *flipped;
    bool any_flipped;
    double *hardness; /* NULL: none were given */
};

static void subject_done(struct subject *s)
{
    for (int m = 0; m < INFORMATIVE_MEASURES; m++)
        for (int f = 0; f < FIGURES; f++)
            free(s->figures[m][f]);
    free(s->epochs);
    free(s->x);
    free(s->forgotten);
    free(s->flipped);
    free(s->hardness);
}

static int refuse_memory(struct errbuf *why)
{
    return err_set(why, -ENOMEM, "out of memory for the figures");
}

static const struct score_columns_want everything = {.class_id = NOT_GIVEN};

/* --- the first pass: what each sample is --- */

static int name_subject(struct cli *cli, struct subject *s, uint32_t *ret_samples,
                        char dataset[NAME_MAX_BYTES], struct errbuf *why)
{
    struct message show;
    const cJSON *row;
    cJSON *request = cJSON_CreateObject();

    cJSON_AddNumberToObject(request, "job", (double)s->job);
    int rc = connection_call(cli, MSG_JOB_SHOW, request, &show, why);
    if (rc != 0)
        return rc;
    rc = reply_object(show.json, "job", &row, why);
    if (rc == 0) {
        snprintf(s->name, sizeof(s->name), "%s (job %lld)", reply_text(row, "name"),
                 (long long)s->job);
        snprintf(dataset, NAME_MAX_BYTES, "%s", reply_text(row, "dataset"));
    }
    message_done(&show);
    return rc != 0 ? rc : dataset_samples(cli, dataset, ret_samples, why);
}

/* The scores of an epoch, each sample at most once. */
static int fetch(struct cli *cli, const struct subject *s, size_t e, struct score_columns *rows,
                 struct errbuf *why)
{
    int rc = score_columns_fetch(cli, s->job, s->epochs[e], &everything, rows, why);

    for (size_t i = 0; rc == 0 && i < rows->count; i++)
        if (rows->ints[ROW_SAMPLE][i] < 0 || (size_t)rows->ints[ROW_SAMPLE][i] >= s->samples)
            rc = err_set(why, -EBADMSG, "the server sent a score of sample %d; there are %zu",
                         rows->ints[ROW_SAMPLE][i], s->samples);
    return rc;
}

static int count_forgotten(struct cli *cli, struct subject *s, struct errbuf *why)
{
    enum { NEVER_SEEN = 0, WRONG = 1, RIGHT = 2, ONCE_RIGHT = 4 };
    uint8_t *last = alloc_bytes(s->samples, 1);
    struct score_columns rows = {.count = 0};
    int rc = last ? 0 : refuse_memory(why);

    for (size_t i = 0; rc == 0 && i < s->samples; i++) {
        s->forgotten[i] = NAN;
        last[i] = NEVER_SEEN;
    }
    for (size_t e = 0; rc == 0 && e < s->epoch_count; e++) {
        rc = fetch(cli, s, e, &rows, why);
        for (size_t i = 0; rc == 0 && i < rows.count; i++) {
            const size_t at = (size_t)rows.ints[ROW_SAMPLE][i];
            const int32_t label = rows.ints[ROW_LABEL][i], truth = rows.ints[ROW_TRUTH][i];
            const bool right = rows.ints[ROW_PREDICTED][i] == label;

            if (last[at] == NEVER_SEEN)
                s->forgotten[at] = 0;
            s->forgotten[at] += (last[at] & RIGHT) && !right;
            last[at] = (uint8_t)((last[at] & ONCE_RIGHT) | (right ? RIGHT | ONCE_RIGHT : WRONG));
            s->flipped[at] = truth >= 0 && truth != label;
            s->any_flipped |= s->flipped[at];
        }
    }
    for (size_t i = 0; rc == 0 && i < s->samples; i++)
        if (last[i] != NEVER_SEEN && !(last[i] & ONCE_RIGHT))
            s->forgotten[i] = (double)s->epoch_count + 1;
    free(last);
    score_columns_done(&rows);
    return rc;
}

static int read_hardness(struct cli *cli, struct subject *s, const char *dataset,
                         struct errbuf *why)
{
    const struct numbers_ask ask = {NUMBERS_SCORES, (uint32_t)s->samples, dataset};
    struct numbers given = {0};

    if (!cli->args->hardness)
        return 0;
    int rc = numbers_read(cli->args->hardness, &ask, &given, why);
    if (rc != 0)
        return rc;
    s->hardness = alloc_bytes(s->samples, sizeof(*s->hardness));
    for (size_t i = 0; s->hardness && i < s->samples; i++)
        s->hardness[i] = NAN;
    for (uint32_t i = 0; s->hardness && i < given.count; i++)
        s->hardness[given.sample[i]] = given.value[i];
    numbers_done(&given);
    return s->hardness ? 0 : refuse_memory(why);
}

static int subject_open(struct cli *cli, int64_t job, struct subject *s, struct errbuf *why)
{
    char dataset[NAME_MAX_BYTES], words[NAME_MAX_BYTES + 16];
    uint32_t samples = 0;
    bool room = true;

    s->job = job;
    int rc = name_subject(cli, s, &samples, dataset, why);
    if (rc == 0)
        rc = score_columns_epochs(cli, job, &s->epochs, &s->epoch_count, why);
    if (rc != 0)
        return rc;
    s->samples = samples;
    s->forgotten = alloc_bytes(s->samples, sizeof(*s->forgotten));
    s->flipped = calloc(s->samples, 1);
    s->x = alloc_bytes(s->epoch_count, sizeof(*s->x));
    for (int m = 0; m < INFORMATIVE_MEASURES; m++)
        for (int f = 0; f < FIGURES; f++) {
            s->figures[m][f] = alloc_bytes(s->epoch_count, sizeof(double));
            room &= s->figures[m][f] != NULL;
        }
    if (!room || !s->forgotten || !s->flipped || !s->x)
        return refuse_memory(why);
    snprintf(words, sizeof(words), "dataset %s", dataset);
    rc = read_hardness(cli, s, words, why);
    return rc == 0 ? count_forgotten(cli, s, why) : rc;
}

/* --- the second pass: the figures --- */

/* All measures of an epoch, by sample: [INFORMATIVE_MEASURES][samples]. */
static int measures_of(const struct subject *s, const struct score_columns *rows, double *columns)
{
    double *adm = alloc_bytes(rows->count * 2 + 1, sizeof(*adm));

    if (!adm)
        return -ENOMEM;
    const double *source[INFORMATIVE_MEASURES] = {
        rows->reals[ROW_LOSS], rows->reals[ROW_GRAD_NORM], rows->reals[ROW_EL2N], adm,
        adm + rows->count,
    };
    informative_adm(rows->reals[ROW_LOSS], rows->reals[ROW_ADV_LOSS], rows->ints[ROW_FLAGS],
                    rows->count, adm, adm + rows->count);
    for (size_t i = 0; i < INFORMATIVE_MEASURES * s->samples; i++)
        columns[i] = NAN;
    for (size_t i = 0; i < rows->count; i++)
        for (size_t m = 0; m < INFORMATIVE_MEASURES; m++)
            columns[m * s->samples + (size_t)rows->ints[ROW_SAMPLE][i]] = source[m][i];
    free(adm);
    return 0;
}

/* before: the column of the scored epoch before, or NULL. */
static int figures_of(const struct subject *s, const double *column, const double *before,
                      double figure[FIGURES])
{
    struct informative_scale scale;
    int rc = informative_scale(column, s->samples, &scale);

    for (int f = 0; f < FIGURES; f++)
        figure[f] = NAN;
    if (rc == 0 && before)
        rc = informative_agreement(column, before, s->samples, &figure[FIGURE_BEFORE]);
    if (rc == 0 && s->any_flipped)
        rc = informative_auroc(column, s->flipped, s->samples, &figure[FIGURE_FLIPS]);
    if (rc == 0)
        rc = informative_agreement(column, s->forgotten, s->samples, &figure[FIGURE_FORGETTING]);
    if (rc == 0 && s->hardness)
        rc = informative_agreement(column, s->hardness, s->samples, &figure[FIGURE_HARDNESS]);
    if (rc != 0)
        return rc;
    figure[FIGURE_P10] = scale.p10;
    figure[FIGURE_MEDIAN] = scale.median;
    figure[FIGURE_P90] = scale.p90;
    figure[FIGURE_SPREAD] = scale.spread;
    figure[FIGURE_TIED] = scale.tied;
    return 0;
}

static int measure_epochs(struct cli *cli, struct subject *s, struct errbuf *why)
{
    const size_t all = INFORMATIVE_MEASURES * s->samples;
    double *now = alloc_bytes(all, sizeof(*now)), *before = alloc_bytes(all, sizeof(*before));
    struct score_columns rows = {.count = 0};
    int rc = now && before ? 0 : refuse_memory(why);

    for (size_t e = 0; rc == 0 && e < s->epoch_count; e++) {
        rc = fetch(cli, s, e, &rows, why);
        if (rc == 0 && measures_of(s, &rows, now) != 0)
            rc = refuse_memory(why);
        s->x[e] = (double)s->epochs[e] + 1; /* people count from 1 */
        for (size_t m = 0; rc == 0 && m < INFORMATIVE_MEASURES; m++) {
            double figure[FIGURES];
            if (figures_of(s, now + m * s->samples, e ? before + m * s->samples : NULL, figure))
                rc = refuse_memory(why);
            for (int f = 0; rc == 0 && f < FIGURES; f++)
                s->figures[m][f][e] = figure[f];
        }
        double *swap = before;
        before = now;
        now = swap;
    }
    free(now);
    free(before);
    score_columns_done(&rows);
    return rc;
}

/* --- the page --- */

static void print_scales(FILE *out, const struct subject *subjects, int count)
{
    fputs("<h2>Scale</h2><p>Median of the samples, and dashed the values that 10 % and 90 % of "
          "them lie below, in powers of ten. A measure whose median falls by many powers becomes "
          "small; what counts is whether its order still tells something, below.</p><div "
          "class=\"charts\">",
          out);
    for (int m = 0; m < INFORMATIVE_MEASURES; m++)
        for (int j = 0; j < count; j++) {
            const struct subject *s = &subjects[j];
            char title[160];
            const struct html_line lines[] = {
                {.name = "median", .y = s->figures[m][FIGURE_MEDIAN], .colour = m + 1},
                {"10 % below", s->figures[m][FIGURE_P10], true, m + 1, NULL},
                {"90 % below", s->figures[m][FIGURE_P90], true, m + 1, NULL},
            };
            snprintf(title, sizeof(title), "%s: %s", informative_measure_names[m], s->name);
            html_chart(out, title, s->x, s->epoch_count, s->x[s->epoch_count - 1], lines, 3,
                       HTML_LOG);
        }
    fputs("</div>\n", out);
}

static bool any_finite(const struct subject *s, enum figure f)
{
    for (int m = 0; m < INFORMATIVE_MEASURES; m++)
        for (size_t e = 0; e < s->epoch_count; e++)
            if (isfinite(s->figures[m][f][e]))
                return true;
    return false;
}

static void print_figure(FILE *out, const struct subject *subjects, int count, enum figure f,
                         enum html_axis axis, const char *title, const char *text)
{
    bool any = false;

    for (int j = 0; j < count; j++)
        any |= any_finite(&subjects[j], f);
    if (!any)
        return;
    fprintf(out, "<h2>%s</h2><p>%s</p><div class=\"charts\">", title, text);
    for (int j = 0; j < count; j++) {
        const struct subject *s = &subjects[j];
        struct html_line lines[INFORMATIVE_MEASURES];
        for (int m = 0; m < INFORMATIVE_MEASURES; m++)
            lines[m] =
                (struct html_line){.name = informative_measure_names[m], .y = s->figures[m][f]};
        html_chart(out, s->name, s->x, s->epoch_count, s->x[s->epoch_count - 1], lines,
                   INFORMATIVE_MEASURES, axis);
    }
    fputs("</div>\n", out);
}

static void print_page(FILE *out, const struct subject *subjects, int count)
{
    static const struct {
        enum figure figure;
        enum html_axis axis;
        const char *title, *text;
    } parts[] = {
        {FIGURE_SPREAD, HTML_LOG, "Spread relative to the median",
         "(90 % - 10 %) / median: how far apart samples lie, in units of the measure's own scale."},
        {FIGURE_TIED, HTML_SHARE, "Samples that cannot be told apart",
         "Share of samples whose value, in float32, another sample has as well."},
        {FIGURE_BEFORE, HTML_FROM_ZERO, "Agreement with the scored epoch before",
         "Rank correlation (Spearman): 1 is the same order, 0 is none. A low one is noise or "
         "change."},
        {FIGURE_FLIPS, HTML_SHARE, "Finding flipped labels",
         "Area under the ROC curve: the chance that a flipped sample looks harder than another."},
        {FIGURE_FORGETTING, HTML_FROM_ZERO, "Agreement with forgetting",
         "Rank correlation with how often a sample was forgotten in the whole run: right at one "
         "scored epoch and wrong at the next. A sample that was never right counts as the most "
         "forgotten."},
        {FIGURE_HARDNESS, HTML_FROM_ZERO, "Agreement with the hardness that was given",
         "Rank correlation with the numbers of --hardness; larger is harder."},
    };

    html_begin(out, "What the measures of difficulty tell");
    fputs("<p>", out);
    for (int j = 0; j < count; j++) {
        html_text(out, j ? " beside " : "");
        html_text(out, subjects[j].name);
    }
    fputs("</p>\n", out);
    print_scales(out, subjects, count);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        print_figure(out, subjects, count, parts[i].figure, parts[i].axis, parts[i].title,
                     parts[i].text);
    html_end(out);
}

/* --- the terminal --- */

static cJSON *number_or_null(double v)
{
    return isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateNull();
}

static cJSON *subject_json(const struct subject *s)
{
    cJSON *json = cJSON_CreateObject(), *epochs = cJSON_AddArrayToObject(json, "epochs");

    cJSON_AddNumberToObject(json, "job", (double)s->job);
    cJSON_AddStringToObject(json, "name", s->name);
    for (size_t e = 0; e < s->epoch_count; e++) {
        cJSON *epoch = cJSON_CreateObject();
        cJSON_AddNumberToObject(epoch, "epoch", (double)s->epochs[e]);
        for (int m = 0; m < INFORMATIVE_MEASURES; m++) {
            cJSON *of = cJSON_AddObjectToObject(epoch, informative_measure_names[m]);
            for (int f = 0; f < FIGURES; f++)
                cJSON_AddItemToObject(of, figure_keys[f], number_or_null(s->figures[m][f][e]));
        }
        cJSON_AddItemToArray(epochs, epoch);
    }
    return json;
}

static void add_number(struct table *t, double v)
{
    cell_number(t, isfinite(v) ? v : NAN);
}

static void print_table(const struct cli *cli, const struct subject *subjects, int count)
{
    static const struct column columns[] = {
        {.title = "job"},
        {.title = "measure"},
        {.title = "first median", .right = true},
        {.title = "last median", .right = true},
        {.title = "spread", .right = true},
        {.title = "tied", .right = true},
        {.title = "as before", .right = true, .optional = true},
        {.title = "flips", .right = true, .optional = true},
        {.title = "forgetting", .right = true, .optional = true},
        {.title = "hardness", .right = true, .optional = true},
        {.title = NULL},
    };
    static const enum figure shown[] = {FIGURE_SPREAD, FIGURE_TIED,       FIGURE_BEFORE,
                                        FIGURE_FLIPS,  FIGURE_FORGETTING, FIGURE_HARDNESS};
    struct table *t = table_create(columns);

    for (int j = 0; j < count; j++)
        for (int m = 0; m < INFORMATIVE_MEASURES; m++) {
            const struct subject *s = &subjects[j];
            const size_t last = s->epoch_count - 1;
            table_add(t, "%s", s->name);
            table_add(t, "%s", informative_measure_names[m]);
            add_number(t, s->figures[m][FIGURE_MEDIAN][0]);
            add_number(t, s->figures[m][FIGURE_MEDIAN][last]);
            for (size_t f = 0; f < sizeof(shown) / sizeof(shown[0]); f++)
                add_number(t, s->figures[m][shown[f]][last]);
        }
    table_print(t, cli->colour, stdout);
    table_free(t);
    print_text(
        "All but the first median are of the last scored epoch. spread: (p90 - p10) / median; "
        "tied: share of samples whose value another has too;");
    print_text(
        "as before, forgetting, hardness: rank correlations; flips: AUROC. The page explains "
        "them.");
}

static void say(const struct cli *cli, const struct subject *subjects, int count, size_t bytes)
{
    if (!cli->args->json) {
        print_table(cli, subjects, count);
        print_text("%s: %zu KiB", cli->words[1], bytes / 1024);
        return;
    }
    cJSON *said = cJSON_CreateObject(), *list;
    cJSON_AddStringToObject(said, "file", cli->words[1]);
    cJSON_AddNumberToObject(said, "bytes", (double)bytes);
    list = cJSON_AddArrayToObject(said, "jobs");
    for (int j = 0; j < count; j++)
        cJSON_AddItemToArray(list, subject_json(&subjects[j]));
    print_json(said);
    cJSON_Delete(said);
}

int informative_report(struct cli *cli, int64_t job, struct errbuf *why)
{
    const int count = cli->args->beside ? JOBS_MAX : 1;
    int64_t jobs[JOBS_MAX] = {job};
    struct subject subjects[JOBS_MAX] = {0};
    char *text = NULL;
    size_t bytes = 0;
    int rc = cli->args->beside ? resolve_job(cli, cli->args->beside, &jobs[1], why) : 0;

    for (int j = 0; rc == 0 && j < count; j++)
        rc = subject_open(cli, jobs[j], &subjects[j], why);
    for (int j = 0; rc == 0 && j < count; j++)
        rc = measure_epochs(cli, &subjects[j], why);
    if (rc != 0)
        goto out;
    FILE *out = open_memstream(&text, &bytes);
    if (out)
        print_page(out, subjects, count);
    if (!out || fclose(out) != 0) {
        rc = refuse_memory(why);
        goto out;
    }
    const struct file_part part = {text, bytes};
    rc = file_write_atomic(cli->words[1], 0644, &part, 1, why);
    if (rc == 0)
        say(cli, subjects, count, bytes);
out:
    free(text);
    for (int j = 0; j < count; j++)
        subject_done(&subjects[j]);
    return rc;
}
