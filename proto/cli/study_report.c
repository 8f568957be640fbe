#include "proto/cli/study_report.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "proto/cli/connection.h"
#include "proto/cli/forest.h"
#include "proto/cli/html.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/study_table.h"

#define LINES 5 /* of one chart: the control, and others beside it, by colour */

/* What curves are asked for. */
static const char *const curve_names[] = {"test_accuracy", "adv_accuracy", "validation_accuracy",
                                          "sharpness",     "lambda1",      "trace",
                                          "test_loss",     "train_loss"};
#define CURVES (sizeof(curve_names) / sizeof(curve_names[0]))

/* Everything on the page. */
struct page {
    struct message show, curves[CURVES];
    const cJSON *study, *metrics, *rows; /* in show */
};

/* --- what the server says --- */

static int ask(struct cli *cli, const char *study, struct page *p, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    const cJSON *curves;

    cJSON_AddStringToObject(request, "study", study);
    int rc = connection_call(cli, MSG_STUDY_SHOW, request, &p->show, why);
    if (rc == 0)
        rc = reply_object(p->show.json, "study", &p->study, why);
    if (rc == 0)
        rc = reply_array(p->show.json, "metrics", &p->metrics, why);
    if (rc == 0)
        rc = reply_array(p->show.json, "rows", &p->rows, why);
    for (size_t i = 0; rc == 0 && i < CURVES; i++) {
        request = cJSON_CreateObject();
        cJSON_AddStringToObject(request, "study", study);
        cJSON_AddStringToObject(request, "by", curve_names[i]);
        rc = connection_call(cli, MSG_STUDY_CURVES, request, &p->curves[i], why);
        if (rc == 0)
            rc = reply_array(p->curves[i].json, "curves", &curves, why);
    }
    return rc;
}

static void page_done(struct page *p)
{
    for (size_t i = 0; i < CURVES; i++)
        message_done(&p->curves[i]);
    message_done(&p->show);
}

static const cJSON *curves_of(const struct page *p, size_t figure)
{
    return cJSON_GetObjectItemCaseSensitive(p->curves[figure].json, "curves");
}

static bool is_control(const cJSON *row)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "control"));
}

static bool has_text(const cJSON *row, const char *key, const char *text)
{
    return strcmp(reply_text(row, key), text) == 0;
}

/* Is this the first of the rows (or curves) with its dataset? */
static bool opens_dataset(const cJSON *rows, const cJSON *row)
{
    const cJSON *other;

    cJSON_ArrayForEach(other, rows)
    {
        if (has_text(other, "dataset", reply_text(row, "dataset")))
            return other == row;
    }
    return false;
}

/* --- the head --- */

static void tile(FILE *out, const char *name, int64_t value)
{
    fprintf(out, "<div><dt>%s</dt><dd>%lld</dd></div>", name, (long long)value);
}

static void print_head(FILE *out, const struct page *p)
{
    const cJSON *states = cJSON_GetObjectItemCaseSensitive(p->study, "states");
    int64_t jobs = 0, done = 0, arms = 0, datasets = 0;

    reply_i64(p->study, "jobs", &jobs);
    reply_i64(states, "done", &done);
    reply_i64(p->study, "arms", &arms);
    reply_i64(p->study, "datasets", &datasets);
    html_begin(out, reply_text(p->study, "study"));
    fputs("<p>Steppe study, ", out);
    html_text(out, reply_text(p->study, "state"));
    fputs("; control ", out);
    html_text(out, reply_text(p->study, "control"));
    fputs("</p><dl class=\"tiles\">", out);
    tile(out, "jobs", jobs);
    tile(out, "of these done", done);
    tile(out, "arms", arms);
    tile(out, "datasets", datasets);
    fputs("</dl><p>Means and deviations are over the seeds of the jobs that are done. A difference "
          "is paired: the arm's value less the control's with the same seed on the same dataset; "
          "its 95 % interval is Student's t.</p>\n",
          out);
}

/* --- the differences --- */

/* The value of the job with that seed that is done; NAN: there is none. */
static double of_job(const cJSON *row, int64_t seed, const char *metric)
{
    const cJSON *job;
    int64_t s;

    cJSON_ArrayForEach(job, cJSON_GetObjectItemCaseSensitive(row, "jobs"))
    {
        if (reply_i64(job, "seed", &s) && s == seed && has_text(job, "state", "done"))
            return reply_number(job, metric);
    }
    return NAN;
}

/* The row of the arm of `mean` on one of its datasets. */
static const cJSON *find_row(const cJSON *rows, const cJSON *mean, const cJSON *dataset)
{
    const cJSON *row;

    cJSON_ArrayForEach(row, rows)
    {
        if (has_text(row, "arm", reply_text(mean, "arm")) && cJSON_IsString(dataset) &&
            has_text(row, "dataset", dataset->valuestring))
            return row;
    }
    return NULL;
}

/* NULL: the row is no mean over datasets. */
static const cJSON *datasets_of(const cJSON *row)
{
    return cJSON_GetObjectItemCaseSensitive(row, "datasets");
}

/* As of_job(); of a mean over datasets, the mean of that seed. */
static double of_seed(const cJSON *rows, const cJSON *row, int64_t seed, const char *metric)
{
    const cJSON *dataset;
    double sum = 0;

    if (!datasets_of(row))
        return of_job(row, seed, metric);
    cJSON_ArrayForEach(dataset, datasets_of(row))
    {
        sum += of_job(find_row(rows, row, dataset), seed, metric);
    }
    return sum / cJSON_GetArraySize(datasets_of(row));
}

/* The jobs whose seeds the row has; those of a mean are those of its first dataset. */
static const cJSON *jobs_of(const cJSON *rows, const cJSON *row)
{
    const cJSON *first = cJSON_GetArrayItem(datasets_of(row), 0);

    if (first)
        row = find_row(rows, row, first);
    return cJSON_GetObjectItemCaseSensitive(row, "jobs");
}

/* Fills in a row and appends its dots at dots[*used]. */
static void make_row(const cJSON *rows, const cJSON *row, const cJSON *control,
                     const struct study_shown *as, const char *better, struct forest_dot *dots,
                     size_t *used, struct forest_row *ret)
{
    const cJSON *figure = study_figure(row, as->name), *job;
    const char *words = study_words(row, as->name);
    const double times = as->share ? 100 : 1;

    *ret = (struct forest_row){
        .name = reply_text(row, "arm"),
        .tone = study_tones[study_tone(words, better)],
        .mean = times * reply_number(figure, "difference"),
        .low = times * reply_number(figure, "low"),
        .high = times * reply_number(figure, "high"),
        .dots = dots + *used,
    };
    if (isfinite(ret->mean))
        snprintf(ret->said, sizeof(ret->said), as->share ? "%+.2f, %.60s" : "%+.3g, %.60s",
                 ret->mean, words);
    else
        snprintf(ret->said, sizeof(ret->said), "%.60s", words);
    cJSON_ArrayForEach(job, jobs_of(rows, row))
    {
        int64_t seed;
        if (!reply_i64(job, "seed", &seed))
            continue;
        double d =
            times * (of_seed(rows, row, seed, as->name) - of_seed(rows, control, seed, as->name));
        if (isfinite(d))
            dots[(*used)++] = (struct forest_dot){d, seed};
    }
    ret->dot_count = (size_t)(dots + *used - ret->dots);
}

static const cJSON *control_of(const cJSON *rows, const char *dataset)
{
    const cJSON *row;

    cJSON_ArrayForEach(row, rows)
    {
        if (is_control(row) && has_text(row, "dataset", dataset))
            return row;
    }
    return NULL;
}

/* Appends to of[] the rows that are compared, dataset by dataset, so that those of one stand
 * together; their control beside each, in controls[]. Returns how many there are then. */
static size_t gather(const cJSON *rows, const cJSON **of, const cJSON **controls, size_t count)
{
    const cJSON *first, *row;

    cJSON_ArrayForEach(first, rows)
    {
        const char *dataset = reply_text(first, "dataset");
        if (!opens_dataset(rows, first))
            continue;
        cJSON_ArrayForEach(row, rows)
        {
            if (!has_text(row, "dataset", dataset) || is_control(row))
                continue;
            controls[count] = control_of(rows, dataset);
            of[count++] = row;
        }
    }
    return count;
}

static void print_forests(FILE *out, const cJSON *const *of, const struct forest_row *rows,
                          size_t count, const struct study_shown *as)
{
    const struct forest_axis axis = forest_axis(rows, count);

    fprintf(out,
            "<p>Differences to the control%s: a dot for each seed, the diamond their mean, the "
            "bar its interval, with an arrow where it leaves the picture.</p>"
            "<div class=\"charts\">",
            as->share ? ", in percentage points" : "");
    for (size_t i = 0, n; i < count; i += n) {
        const char *dataset = reply_text(of[i], "dataset");
        for (n = 1; i + n < count && has_text(of[i + n], "dataset", dataset);)
            n++;
        forest_print(out, dataset, rows + i, n, axis);
    }
    fputs("</div>\n", out);
}

/* A picture for each dataset, and for each mean over datasets, on one axis. */
static void print_differences(FILE *out, const struct page *p, const struct study_shown *as,
                              const char *better)
{
    const cJSON *means = study_means(p->show.json);
    const size_t room = (size_t)cJSON_GetArraySize(p->rows) + (size_t)cJSON_GetArraySize(means) + 1;
    struct forest_row *rows = xcalloc(room, sizeof(*rows));
    const cJSON **of = xcalloc(room, sizeof(const cJSON *)),
                **controls = xcalloc(room, sizeof(const cJSON *));
    size_t jobs = 0, used = 0;

    const size_t count = gather(means, of, controls, gather(p->rows, of, controls, 0));
    for (size_t i = 0; i < count; i++)
        jobs += (size_t)cJSON_GetArraySize(jobs_of(p->rows, of[i]));
    struct forest_dot *dots = xcalloc(jobs + 1, sizeof(*dots));
    for (size_t i = 0; i < count; i++)
        make_row(p->rows, of[i], controls[i], as, better, dots, &used, &rows[i]);
    if (used > 0)
        print_forests(out, of, rows, count, as);
    free(controls);
    free(of);
    free(dots);
    free(rows);
}

/* --- the curves --- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static size_t append_epochs(const cJSON *curve, double *x, size_t count)
{
    const cJSON *v;

    cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(curve, "epoch"))
    {
        x[count++] = cJSON_IsNumber(v) ? v->valuedouble : 0;
    }
    return count;
}

/* Spreads a curve over the epochs x[count] of its chart; NAN where it has none. */
static void place_curve(const cJSON *curve, const double *x, size_t count, double *y, double *sd)
{
    const cJSON *epoch = cJSON_GetObjectItemCaseSensitive(curve, "epoch"), *mean, *spread;
    size_t i = 0;

    for (size_t k = 0; k < count; k++)
        y[k] = sd[k] = NAN;
    epoch = epoch ? epoch->child : NULL;
    mean = cJSON_GetObjectItemCaseSensitive(curve, "mean");
    mean = mean ? mean->child : NULL;
    spread = cJSON_GetObjectItemCaseSensitive(curve, "sd");
    spread = spread ? spread->child : NULL;
    for (; epoch && mean && spread; epoch = epoch->next, mean = mean->next, spread = spread->next) {
        while (i < count && x[i] < epoch->valuedouble)
            i++;
        if (i < count && cJSON_IsNumber(mean))
            y[i] = mean->valuedouble;
        if (i < count && cJSON_IsNumber(spread))
            sd[i] = spread->valuedouble;
    }
}

/* One chart of at most LINES curves, which have the same dataset. */
static void print_chart(FILE *out, const cJSON *const *curves, size_t n,
                        const struct study_shown *as)
{
    struct html_line lines[LINES];
    size_t room = 1, count = 0, all = 0;

    for (size_t c = 0; c < n; c++)
        room += (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(curves[c], "epoch"));
    double *x = xcalloc(room * (1 + 2 * n), sizeof(*x));
    for (size_t c = 0; c < n; c++)
        all = append_epochs(curves[c], x, all);
    qsort(x, all, sizeof(*x), compare_doubles);
    for (size_t i = 0; i < all; i++)
        if (i == 0 || x[i] != x[count - 1])
            x[count++] = x[i];
    for (size_t c = 0; c < n; c++) {
        double *y = x + room * (1 + 2 * c), *sd = y + room;
        place_curve(curves[c], x, count, y, sd);
        lines[c] = (struct html_line){.name = reply_text(curves[c], "arm"), .y = y, .sd = sd};
    }
    for (size_t i = 0; i < count; i++)
        x[i]++; /* people count from 1 */
    if (count > 0)
        html_chart(out, reply_text(curves[0], "dataset"), x, count, x[count - 1], lines, n,
                   as->share ? HTML_PERCENT : HTML_FROM_ZERO);
    free(x);
}

/* The control and up to LINES - 1 others in one chart, and so on. */
static void print_dataset(FILE *out, const cJSON *all, const char *dataset,
                          const struct study_shown *as)
{
    const cJSON *control = control_of(all, dataset), *curve, *some[LINES];
    const size_t first = control ? 1 : 0;
    size_t n = first, charts = 0;

    some[0] = control;
    cJSON_ArrayForEach(curve, all)
    {
        if (curve == control || !has_text(curve, "dataset", dataset))
            continue;
        some[n++] = curve;
        if (n == LINES) {
            print_chart(out, some, n, as);
            n = first;
            charts++;
        }
    }
    if (n > first || (charts == 0 && n > 0))
        print_chart(out, some, n, as);
}

static bool has_points(const cJSON *curves)
{
    const cJSON *curve;

    cJSON_ArrayForEach(curve, curves)
    {
        if (cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(curve, "epoch")) > 0)
            return true;
    }
    return false;
}

static void print_curves(FILE *out, const struct page *p)
{
    const cJSON *curve;

    fputs(
        "<h2>Learning curves</h2><p>The mean over the seeds that have committed the epoch, done or "
        "not, and one deviation around it.</p>\n",
        out);
    for (size_t f = 0; f < CURVES; f++) {
        const struct study_shown as = study_shown_of(curve_names[f]);
        if (!has_points(curves_of(p, f)))
            continue;
        fprintf(out, "<h3>%s</h3><div class=\"charts\">", as.title);
        cJSON_ArrayForEach(curve, curves_of(p, f))
        {
            if (opens_dataset(curves_of(p, f), curve))
                print_dataset(out, curves_of(p, f), reply_text(curve, "dataset"), &as);
        }
        fputs("</div>\n", out);
    }
}

/* --- the page --- */

static void print_page(FILE *out, const struct page *p)
{
    const cJSON *metric;

    print_head(out, p);
    cJSON_ArrayForEach(metric, p->metrics)
    {
        const struct study_shown as = study_shown_of(reply_text(metric, "name"));
        const char *better = reply_text(metric, "better");
        if (!study_is_measured(p->rows, as.name))
            continue;
        fputs("<h2>", out);
        html_text(out, as.title);
        fprintf(out, "%s, ", as.share ? " (%)" : "");
        html_text(out, better);
        fputs(" is better</h2>", out);
        study_html(p->rows, study_means(p->show.json), &as, better, out);
        print_differences(out, p, &as, better);
    }
    print_curves(out, p);
    html_end(out);
}

static void say(const struct cli *cli, const struct page *p, const char *path, size_t bytes)
{
    if (!cli->args->json) {
        print_text("%s: study %s, %zu KiB", path, reply_text(p->study, "study"), bytes / 1024);
        return;
    }
    cJSON *said = cJSON_CreateObject();
    cJSON_AddStringToObject(said, "file", path);
    cJSON_AddNumberToObject(said, "bytes", (double)bytes);
    print_json(said);
    cJSON_Delete(said);
}

int study_report(struct cli *cli, const char *study, const char *path, struct errbuf *why)
{
    struct page p = {.study = NULL};
    char *text = NULL;
    size_t bytes = 0;
    FILE *out;
    int rc = ask(cli, study, &p, why);

    if (rc != 0)
        goto out;
    out = open_memstream(&text, &bytes);
    if (out)
        print_page(out, &p);
    if (!out || fclose(out) != 0) {
        rc = err_set(why, -ENOMEM, "cannot make the report: %s", err_text(-ENOMEM));
        goto out;
    }
    const struct file_part part = {text, bytes};
    rc = file_write_atomic(path, 0644, &part, 1, why);
    if (rc == 0)
        say(cli, &p, path, bytes);
out:
    page_done(&p);
    free(text);
    return rc;
}
