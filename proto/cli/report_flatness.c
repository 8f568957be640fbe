#include "proto/cli/report_flatness.h"

#include <math.h>

#include "proto/cli/connection.h"
#include "proto/cli/html.h"
#include "proto/cli/reply.h"

#define SIDE_MAX 51 /* points of a line on each side of the weights, these included */
#define LINES_MAX 3

int report_flatness_ask(struct cli *cli, int64_t job, struct message *ret, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();

    cJSON_AddNumberToObject(request, "job", (double)job);
    return connection_call(cli, MSG_JOB_FLATNESS, request, ret, why);
}

static void cell(FILE *out, const cJSON *value)
{
    if (cJSON_IsNumber(value))
        fprintf(out, "<td>%.4g</td>", value->valuedouble);
    else
        fputs("<td>&ndash;</td>", out);
}

static void print_table(FILE *out, const cJSON *rows)
{
    static const char *const keys[] = {"loss", "trace", "trace_error", "sharpness", "samples"};
    const cJSON *row;

    fputs(
        "<div class=\"card scroll\"><table><tr><th>epoch<th>loss<th>trace<th>&plusmn;<th>sharpness"
        "<th>samples<th>&lambda;1<th>&lambda;2<th>&lambda;3<th>&lambda;4<th>&lambda;5</tr>\n",
        out);
    cJSON_ArrayForEach(row, rows)
    {
        fprintf(out, "<tr><td>%lld</td>", (long long)reply_epoch(row, "epoch"));
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            cell(out, cJSON_GetObjectItemCaseSensitive(row, keys[i]));
        for (int i = 0; i < 5; i++)
            cell(out, cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(row, "values"), i));
        fputs("</tr>\n", out);
    }
    fputs("</table></div>\n", out);
}

/* Number i of a list; NAN: it is not there. */
static double at(const cJSON *line, const char *name, int i)
{
    const cJSON *item = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(line, name), i);

    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

/* Both sides of each line over |t|. */
static void print_lines(FILE *out, const cJSON *lines)
{
    double x[SIDE_MAX] = {0}, y[2 * LINES_MAX][SIDE_MAX];
    struct html_line drawn[2 * LINES_MAX];
    const cJSON *line;
    size_t count = 0, points = 0;

    cJSON_ArrayForEach(line, lines)
    {
        const int middle = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(line, "loss")) / 2;
        if (count == 2 * LINES_MAX || middle < 1 || middle >= SIDE_MAX)
            break;
        points = (size_t)middle + 1;
        for (int side = 0; side < 2; side++, count++) {
            for (int i = 0; i <= middle; i++) {
                x[i] = at(line, "t", middle + i);
                y[count][i] = at(line, "loss", side ? middle - i : middle + i);
            }
            drawn[count] = (struct html_line){.name = reply_text(line, "name"),
                                              .y = y[count],
                                              .dashed = side == 1,
                                              .colour = (int)count / 2 + 1};
        }
    }
    if (points < 2)
        return;
    html_chart(out, "Loss along the first eigenvector", x, points, 1, drawn, 2, HTML_FROM_ZERO);
    html_chart(out, "Loss along random directions", x, points, 1, drawn + 2, count - 2,
               HTML_FROM_ZERO);
}

void report_flatness_print(FILE *out, const struct message *m)
{
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(m->json, "rows");
    const int count = cJSON_GetArraySize(rows);

    if (count == 0)
        return;
    fputs("<h2>Flatness</h2>\n<p>Of the training loss around the weights: the largest eigenvalues "
          "of its Hessian, its trace with the standard error, and its rise close by. The lines run "
          "through the last weights that were measured, along the first eigenvector (to distance "
          "1) and along two random directions (to the length of the weights); dashed: the other "
          "way.</p>\n",
          out);
    print_table(out, rows);
    fputs("<div class=\"charts\">", out);
    print_lines(out,
                cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(rows, count - 1), "lines"));
    fputs("</div>\n", out);
}
