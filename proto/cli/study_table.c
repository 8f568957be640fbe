#include "proto/cli/study_table.h"

#include <math.h>
#include <string.h>

#include "common/text.h"
#include "proto/cli/html.h"
#include "proto/cli/import/csv.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/table.h"

#define CELL_BYTES 200

/* What a figure is called, and whether it is a share, shown in percent. A figure that is not here
 * is shown as it comes. */
static const struct study_shown known[] = {
    {"test_accuracy", "test accuracy", true},
    {"adv_accuracy", "accuracy under attack", true},
    {"validation_accuracy", "validation accuracy", true},
    {"sharpness", "sharpness", false},
    {"lambda1", "largest eigenvalue of the Hessian", false},
    {"trace", "trace of the Hessian", false},
    {"test_loss", "test loss", false},
    {"train_loss", "train loss", false},
};

struct study_shown study_shown_of(const char *name)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i];
    return (struct study_shown){name, name, false};
}

const cJSON *study_figure(const cJSON *row, const char *metric)
{
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(row, "metrics"),
                                            metric);
}

/* A number of a figure; "+" in front where it is a difference. "": there is none. */
static void number(const cJSON *figure, const char *key, const struct study_shown *as, bool sign,
                   char out[CELL_BYTES])
{
    double v;

    out[0] = 0;
    if (!reply_f64(figure, key, &v))
        return;
    if (as->share)
        snprintf(out, CELL_BYTES, sign ? "%+.2f" : "%.2f", 100 * v);
    else
        snprintf(out, CELL_BYTES, sign ? "%+.3g" : "%.4g", v);
}

/* The cells of a line: arm, dataset, jobs, mean and sd, difference, interval, words. */
enum {
    CELL_ARM,
    CELL_DATA,
    CELL_JOBS,
    CELL_MEAN,
    CELL_DIFFERENCE,
    CELL_INTERVAL,
    CELL_WORDS,
    CELLS
};
typedef char line[CELLS][CELL_BYTES];

const cJSON *study_means(const cJSON *reply)
{
    return cJSON_GetObjectItemCaseSensitive(reply, "means");
}

static bool is_set(const cJSON *row, const char *flag)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, flag));
}

/* The rows, and behind them those of means over the domains that are left out. */
static const cJSON *next_row(const cJSON *row, const cJSON *means)
{
    if (row->next)
        return row->next;
    return !means || cJSON_GetObjectItemCaseSensitive(row, "columns") ? NULL : means->child;
}

/* Of a cell; of a mean, how many are wanted of each column. */
static int jobs_of(const cJSON *row)
{
    int64_t seeds = 0;

    return reply_i64(row, "seeds", &seeds)
               ? (int)seeds
               : cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(row, "jobs"));
}

const char *study_words(const cJSON *row, const char *metric)
{
    if (is_set(row, "control"))
        return "control";
    return is_set(row, "stopped") ? "stopped by halving"
                                  : reply_text(study_figure(row, metric), "verdict");
}

static void make_line(const cJSON *row, const struct study_shown *as, line out)
{
    const cJSON *figure = study_figure(row, as->name);
    char a[CELL_BYTES], b[CELL_BYTES] = "";
    int64_t count = 0;
    double sd;

    memset(out, 0, sizeof(line));
    snprintf(out[CELL_ARM], CELL_BYTES, "%s", reply_text(row, "arm"));
    snprintf(out[CELL_DATA], CELL_BYTES, "%s", reply_text(row, "dataset"));
    reply_i64(figure, "count", &count);
    snprintf(out[CELL_JOBS], CELL_BYTES, "%lld/%d", (long long)count, jobs_of(row));
    number(figure, "mean", as, false, a);
    if (reply_f64(figure, "sd", &sd))
        snprintf(b, sizeof(b), as->share ? "%.2f" : "%.2g", as->share ? 100 * sd : sd);
    snprintf(out[CELL_MEAN], CELL_BYTES, "%.90s%s%.90s", a, *b ? " ± " : "", b);
    snprintf(out[CELL_WORDS], CELL_BYTES, "%s", study_words(row, as->name));
    if (is_set(row, "control") || is_set(row, "stopped"))
        return;
    number(figure, "difference", as, true, out[CELL_DIFFERENCE]);
    number(figure, "low", as, true, a);
    number(figure, "high", as, true, b);
    snprintf(out[CELL_INTERVAL], CELL_BYTES, "%.90s%s%.90s", a, *b ? " to " : "", b);
}

bool study_is_measured(const cJSON *rows, const char *metric)
{
    const cJSON *row;
    double v;

    cJSON_ArrayForEach(row, rows)
    {
        if (reply_f64(study_figure(row, metric), "mean", &v))
            return true;
    }
    return false;
}

enum study_tone study_tone(const char *words, const char *better)
{
    bool higher = strcmp(better, "lower") != 0;

    if (strcmp(words, "above") == 0)
        return higher ? STUDY_GOOD : STUDY_BAD;
    if (strcmp(words, "below") == 0)
        return higher ? STUDY_BAD : STUDY_GOOD;
    return STUDY_UNSURE;
}

static enum paint paint_of(const char *words, const char *better)
{
    static const enum paint paints[] = {
        [STUDY_GOOD] = PAINT_GOOD, [STUDY_BAD] = PAINT_BAD, [STUDY_UNSURE] = PAINT_DIM};

    return paints[study_tone(words, better)];
}

static void print_block(const struct cli *cli, const cJSON *rows, const cJSON *means,
                        const struct study_shown *as, const char *better)
{
    static const struct column columns[] = {
        {.title = "arm"},
        {.title = "dataset"},
        {"seeds", .right = true},
        {"mean ± sd", .right = true},
        {"difference", .right = true, .optional = true},
        {"95 % interval", .right = true, .optional = true},
        {"in words", .optional = true},
        {NULL},
    };
    struct table *t = table_create(columns);
    line cells;

    print_text("%s%s, %s is better", as->title, as->share ? " (%)" : "", better);
    for (const cJSON *row = rows->child; row; row = next_row(row, means)) {
        make_line(row, as, cells);
        for (int c = 0; c < CELLS; c++)
            table_add(t, "%s", cells[c]);
        table_paint(t, paint_of(cells[CELL_WORDS], better));
    }
    table_print(t, cli->colour, stdout);
    table_free(t);
}

/* *ret_means: NULL when there are none. */
static int open_reply(const cJSON *reply, const cJSON **ret_metrics, const cJSON **ret_rows,
                      const cJSON **ret_means, struct errbuf *why)
{
    int rc = reply_array(reply, "metrics", ret_metrics, why);

    *ret_means = study_means(reply);
    return rc == 0 ? reply_array(reply, "rows", ret_rows, why) : rc;
}

/* "study first: 6 jobs, done; control sgd" */
static void print_head(const cJSON *reply)
{
    const cJSON *study = cJSON_GetObjectItemCaseSensitive(reply, "study"), *s;
    const cJSON *states = cJSON_GetObjectItemCaseSensitive(study, "states");
    char text[CELL_BYTES] = "";
    int64_t jobs = 0;

    reply_i64(study, "jobs", &jobs);
    cJSON_ArrayForEach(s, states)
    {
        size_t used = strlen(text);
        if (cJSON_IsNumber(s))
            snprintf(text + used, sizeof(text) - used, "%s%.0f %s", used ? ", " : "",
                     s->valuedouble, s->string);
    }
    print_text("study %s: %lld job%s (%s); control: %s", reply_text(study, "study"),
               (long long)jobs, jobs == 1 ? "" : "s", text, reply_text(study, "control"));
}

int study_print(const struct cli *cli, const cJSON *reply, struct errbuf *why)
{
    const cJSON *metrics, *rows, *means, *metric;
    int rc = open_reply(reply, &metrics, &rows, &means, why), blocks = 0;

    if (rc != 0)
        return rc;
    print_head(reply);
    cJSON_ArrayForEach(metric, metrics)
    {
        struct study_shown as = study_shown_of(reply_text(metric, "name"));
        if (!study_is_measured(rows, as.name))
            continue;
        fputc('\n', stdout);
        print_block(cli, rows, means, &as, reply_text(metric, "better"));
        blocks++;
    }
    if (blocks == 0)
        print_text("no job is done yet; steppe jobs shows how far they are");
    else
        fputc('\n', stdout);
    if (blocks > 0)
        print_text(
            "Of jobs that are done. Differences are paired by seed; intervals are Student's t "
            "over the seeds.");
    if (blocks > 0 && means)
        print_text("A mean is over the domains that are left out one after the other, of each seed "
                   "that has all of them.");
    return 0;
}

/* --- csv --- */

static void csv_number(const cJSON *figure, const char *key, FILE *out)
{
    char text[TEXT_F64_BYTES];
    double v;

    fputc(',', out);
    if (reply_f64(figure, key, &v))
        fputs(text_of_f64(v, text), out);
}

static void csv_line(const cJSON *row, const char *metric, FILE *out)
{
    static const char *const numbers[] = {"count",      "mean", "sd",  "pairs",
                                          "difference", "low",  "high"};
    const cJSON *figure = study_figure(row, metric);

    csv_write(reply_text(row, "dataset"), out);
    fputc(',', out);
    csv_write(reply_text(row, "arm"), out);
    fprintf(out, ",%d,%s,%d", is_set(row, "control") ? 1 : 0, metric, jobs_of(row));
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        csv_number(figure, numbers[i], out);
    fputc(',', out);
    csv_write(reply_text(figure, "verdict"), out);
    fputc('\n', out);
}

int study_csv(const cJSON *reply, FILE *out, struct errbuf *why)
{
    const cJSON *metrics, *rows, *means, *metric;
    int rc = open_reply(reply, &metrics, &rows, &means, why);

    if (rc != 0)
        return rc;
    fputs("dataset,arm,control,metric,jobs,count,mean,sd,pairs,difference,low,high,verdict\n", out);
    cJSON_ArrayForEach(metric, metrics)
    {
        for (const cJSON *row = rows->child; row; row = next_row(row, means))
            csv_line(row, reply_text(metric, "name"), out);
    }
    return 0;
}

/* --- markdown --- */

static void markdown_cell(char *text, FILE *out)
{
    text_make_printable(text);
    fputc(' ', out);
    for (const char *c = text; *c; c++) {
        if (strchr("|\\`*_<[", *c))
            fputc('\\', out);
        fputc(*c, out);
    }
    fputs(" |", out);
}

int study_markdown(const cJSON *reply, FILE *out, struct errbuf *why)
{
    const cJSON *metrics, *rows, *means, *metric;
    int rc = open_reply(reply, &metrics, &rows, &means, why);
    const char *between = "";
    line cells;

    if (rc != 0)
        return rc;
    cJSON_ArrayForEach(metric, metrics)
    {
        struct study_shown as = study_shown_of(reply_text(metric, "name"));
        if (!study_is_measured(rows, as.name))
            continue;
        fprintf(out,
                "%s| arm | dataset | seeds | %s%s | difference | 95 %% interval | in words |\n",
                between, as.title, as.share ? " (%)" : "");
        fputs("|---|---|---:|---:|---:|---:|---|\n", out);
        between = "\n";
        for (const cJSON *row = rows->child; row; row = next_row(row, means)) {
            make_line(row, &as, cells);
            fputc('|', out);
            for (int c = 0; c < CELLS; c++)
                markdown_cell(cells[c], out);
            fputc('\n', out);
        }
    }
    return 0;
}

/* --- html --- */

const char *const study_tones[] = {"good", "bad", "unsure"};

void study_html(const cJSON *rows, const cJSON *means, const struct study_shown *as,
                const char *better, FILE *out)
{
    line cells;

    fputs(
        "<div class=\"card scroll\"><table><thead><tr><th>arm</th><th>dataset</th><th>seeds</th>"
        "<th>mean ± sd</th><th>difference</th><th>95 % interval</th><th>in words</th></tr></thead>"
        "<tbody>",
        out);
    for (const cJSON *row = rows->child; row; row = next_row(row, means)) {
        make_line(row, as, cells);
        fputs("<tr>", out);
        for (int c = 0; c < CELLS; c++) {
            const char *tag = c == CELL_ARM ? "th" : "td";
            fprintf(out, "<%s%s", tag, c == CELL_ARM ? " scope=\"row\">" : "");
            if (c == CELL_WORDS)
                fprintf(out, " class=\"%s\"", study_tones[study_tone(cells[c], better)]);
            fputs(c == CELL_ARM ? "" : ">", out);
            html_text(out, cells[c]);
            fprintf(out, "</%s>", tag);
        }
        fputs("</tr>", out);
    }
    fputs("</tbody></table></div>\n", out);
}
