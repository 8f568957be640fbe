/* sheet: a contact sheet of samples, one PNG. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bounds.h"
#include "common/text.h"
#include "proto/cli/canvas.h"
#include "proto/cli/command.h"
#include "proto/cli/connection.h"
#include "proto/cli/gallery.h"
#include "proto/cli/print.h"
#include "proto/cli/reply.h"
#include "proto/cli/sample_row.h"

#define SHEET_MAX 400 /* samples on one sheet */
#define SHEET_DEFAULT 64
#define IMAGE_SIDE 132 /* a picture is scaled up to at most this, by a whole factor */
#define TEXT_SCALE 2
#define LINE (CANVAS_GLYPH_H * TEXT_SCALE)
#define PAD 10
#define TEXT_BYTES 160
#define HEAD (LINE + 2 * PAD)

#define PAPER 0xfaf9f5
#define INK 0x1c1e19
#define DIM 0x6b7065
#define WRONG 0xb5331d

const struct option sheet_options[] = {
    BY_OPTION,
    {"hardest", OPT_INT, ARG(hardest), .arg = "N", .min = 1, .max = SHEET_MAX,
     .help = "draw the N hardest (default 64)"},
    {"easiest", OPT_INT, ARG(easiest), .arg = "N", .min = 1, .max = SHEET_MAX,
     .help = "draw the N easiest"},
    EPOCH_OPTION,
    CLASS_OPTION,
    {NULL},
};

struct sheet {
    const struct gallery *g;
    const cJSON *names; /* of the classes */
    const char *by;
    uint32_t columns, rows, scale, tile_w, tile_h;
};

/* Wider than high, as screens and pages are. */
static struct sheet lay_out(const struct gallery *g)
{
    struct sheet s = {.g = g, .columns = 1};
    uint32_t side = g->w > g->h ? g->w : g->h;

    while (s.columns * s.columns * 5 < g->count * 8)
        s.columns++;
    s.rows = (g->count + s.columns - 1) / s.columns;
    s.scale = side < IMAGE_SIDE ? IMAGE_SIDE / side : 1;
    s.tile_w = (g->w * s.scale > IMAGE_SIDE ? g->w * s.scale : IMAGE_SIDE) + 2 * PAD;
    s.tile_h = g->h * s.scale + 4 * LINE + 2 * PAD;
    return s;
}

/* "#17 b/1.jpg": of a name its end, which tells the most. */
static const char *number_text(const cJSON *row, int64_t sample, uint32_t most,
                               char text[TEXT_BYTES])
{
    const char *uri = reply_text(row, "uri");
    size_t used = (size_t)snprintf(text, TEXT_BYTES, "#%lld", (long long)sample);
    size_t room = most > used + 1 ? most - used - 1 : 0, length = strlen(uri);

    if (room > 3 && length > 0)
        snprintf(text + used, TEXT_BYTES - used, " %s", uri + (length > room ? length - room : 0));
    return text;
}

static void draw_tile(struct canvas *c, const struct sheet *s, const cJSON *row, uint32_t index)
{
    uint32_t x = PAD + index % s->columns * s->tile_w + PAD;
    uint32_t y = HEAD + index / s->columns * s->tile_h;
    uint32_t most = (s->tile_w - 2 * PAD) / (CANVAS_GLYPH_W * TEXT_SCALE);
    char name[128], text[TEXT_BYTES];
    const char *planted = reply_text(row, "planted");
    int64_t sample = -1, label = -1, predicted = -1;
    double value = 0;

    reply_i64(row, "sample", &sample);
    reply_i64(row, "label", &label);
    reply_i64(row, "predicted", &predicted);
    canvas_image(c, x, y, gallery_image(s->g, index), s->g->w, s->g->h, s->g->c, s->scale);
    y += s->g->h * s->scale + 6;
    canvas_text(c, x, y, gallery_class_name(s->names, label, name, sizeof(name)), most, TEXT_SCALE,
                INK);
    y += LINE;
    if (predicted >= 0 && predicted != label) {
        snprintf(text, sizeof(text), "> %s",
                 gallery_class_name(s->names, predicted, name, sizeof(name)));
        canvas_text(c, x, y, text, most, TEXT_SCALE, WRONG);
    }
    y += LINE;
    if (reply_f64(row, s->by, &value)) {
        snprintf(text, sizeof(text), "%.3g %.4s", value, planted); /* "flip" or "hard" */
        canvas_text(c, x, y, text, most, TEXT_SCALE, INK);
    }
    y += LINE;
    canvas_text(c, x, y, number_text(row, sample, most, text), most, TEXT_SCALE, DIM);
}

static int draw_sheet(const struct sheet *s, const char *title, const char *path,
                      struct errbuf *why)
{
    struct canvas c = {0};
    uint32_t width = s->columns * s->tile_w + 2 * PAD, index = 0;
    const cJSON *row;
    int rc = canvas_open(&c, width, HEAD + s->rows * s->tile_h, PAPER, why);

    if (rc != 0)
        return rc;
    canvas_text(&c, 2 * PAD, PAD, title, (width - 3 * PAD) / (CANVAS_GLYPH_W * TEXT_SCALE),
                TEXT_SCALE, INK);
    cJSON_ArrayForEach(row, s->g->rows)
    {
        draw_tile(&c, s, row, index++);
    }
    rc = canvas_write(&c, path, why);
    canvas_close(&c);
    return rc;
}

/* Name of the job and of its dataset. */
static int ask_job(struct cli *cli, int64_t job, char *name, char *dataset, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply;
    const cJSON *row;

    cJSON_AddNumberToObject(request, "job", (double)job);
    int rc = connection_call(cli, MSG_JOB_SHOW, request, &reply, why);
    if (rc != 0)
        return rc;
    rc = reply_object(reply.json, "job", &row, why);
    if (rc == 0) {
        snprintf(name, NAME_MAX_BYTES, "%s", reply_text(row, "name"));
        snprintf(dataset, NAME_MAX_BYTES, "%s", reply_text(row, "dataset"));
    }
    message_done(&reply);
    return rc;
}

static int question(struct cli *cli, int64_t job, cJSON **ret, struct errbuf *why)
{
    const struct args *a = cli->args;
    bool easiest = a->easiest != NOT_GIVEN;
    int64_t limit = easiest ? a->easiest : a->hardest != NOT_GIVEN ? a->hardest : SHEET_DEFAULT;
    cJSON *request = cJSON_CreateObject();

    cJSON_AddNumberToObject(request, "job", (double)job);
    cJSON_AddStringToObject(request, "by", measure_by_names[a->by]);
    cJSON_AddStringToObject(request, "order", easiest ? "easiest" : "hardest");
    request_epoch(cli, request);
    cJSON_AddNumberToObject(request, "limit", (double)limit);
    int rc = request_class(cli, request, why);
    if (rc == 0)
        *ret = request;
    else
        cJSON_Delete(request);
    return rc;
}

int cmd_sheet(struct cli *cli, struct errbuf *why)
{
    const struct args *a = cli->args;
    const char *way = a->easiest != NOT_GIVEN ? "easiest" : "hardest";
    char job_name[NAME_MAX_BYTES], dataset[NAME_MAX_BYTES], title[256];
    struct gallery g = {0};
    int64_t job, epoch = 0;
    cJSON *request;

    if (a->easiest != NOT_GIVEN && a->hardest != NOT_GIVEN)
        return err_set(why, EXIT_USAGE, "--hardest and --easiest exclude each other");
    int rc = command_job(cli, &job, why);
    if (rc == 0)
        rc = ask_job(cli, job, job_name, dataset, why);
    if (rc == 0)
        rc = question(cli, job, &request, why);
    if (rc == 0)
        rc = gallery_open(cli, &g, job, MSG_SCORE_TOP, request, why);
    if (rc == 0)
        rc = rows_measured(cli, g.rows, measure_by_names[a->by], measure_by_names[a->by], why);
    if (rc == 0 && g.count && !g.pixels)
        rc = err_set(why, -ENOENT, "%s", g.none.text);
    if (rc != 0) {
        gallery_close(&g);
        return rc;
    }
    struct sheet s = lay_out(&g);
    s.by = measure_by_names[a->by];
    cJSON *names = gallery_class_names(cli, dataset);
    s.names = names;
    reply_i64(g.reply.json, "epoch", &epoch);
    snprintf(title, sizeof(title), "%s, job %lld, epoch %lld: the %u %s by %s", job_name,
             (long long)job, (long long)epoch + 1, g.count, way, s.by);
    rc = g.count ? draw_sheet(&s, title, cli->words[1], why)
                 : err_set(why, -ENOENT, "no sample of job %lld matches", (long long)job);
    if (rc == 0 && a->json) {
        cJSON *said = cJSON_CreateObject();
        cJSON_AddStringToObject(said, "file", cli->words[1]);
        cJSON_AddNumberToObject(said, "samples", g.count);
        cJSON_AddNumberToObject(said, "epoch", (double)epoch);
        print_json(said);
        cJSON_Delete(said);
    } else if (rc == 0)
        print_text("%s: %s", cli->words[1], title);
    cJSON_Delete(names);
    gallery_close(&g);
    return rc;
}
