#include "proto/cli/heat.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "proto/cli/connection.h"
#include "proto/cli/html.h"
#include "proto/cli/reply.h"

/* From none to many, as on the dashboard. */
static const uint8_t ramp[][3] = {
    {0xf1, 0xf0, 0xea}, {0xc9, 0xdc, 0xc0}, {0x6f, 0xae, 0x86},
    {0x22, 0x76, 0x4f}, {0x0c, 0x2e, 0x20},
};
#define RAMP_STEPS (sizeof(ramp) / sizeof(ramp[0]) - 1)

static int add_row(struct heat *h, const cJSON *row, struct errbuf *why)
{
    const cJSON *counts, *value;
    int64_t epoch;
    int n = 0;

    if (!reply_i64(row, "epoch", &epoch) || reply_array(row, "counts", &counts, why) != 0 ||
        cJSON_GetArraySize(counts) != h->bins)
        return err_set(why, -EBADMSG, "the server's reply holds a row that is not an epoch");
    h->epochs = xrealloc(h->epochs, (h->count + 1) * sizeof(*h->epochs));
    h->counts = xrealloc(h->counts, (h->count + 1) * (size_t)h->bins * sizeof(*h->counts));
    cJSON_ArrayForEach(value, counts)
    {
        h->counts[h->count * (size_t)h->bins + (size_t)n++] =
            cJSON_IsNumber(value) ? value->valuedouble : 0;
    }
    h->epochs[h->count++] = epoch;
    return 0;
}

int heat_ask(struct cli *cli, struct heat *h, int64_t job, const char *by, int bins,
             struct errbuf *why)
{
    bool more = true;
    int rc = 0;

    *h = (struct heat){.bins = bins};
    while (rc == 0 && more) {
        cJSON *request = cJSON_CreateObject();
        struct message reply;
        const cJSON *rows = NULL, *row;
        size_t before = h->count;

        cJSON_AddNumberToObject(request, "job", (double)job);
        cJSON_AddStringToObject(request, "by", by);
        cJSON_AddNumberToObject(request, "bins", bins);
        cJSON_AddNumberToObject(request, "epochs_from",
                                h->count ? (double)h->epochs[h->count - 1] + 1 : 0);
        rc = connection_call(cli, MSG_SCORE_HEATMAP, request, &reply, why);
        if (rc != 0)
            break;
        rc = reply_array(reply.json, "rows", &rows, why);
        cJSON_ArrayForEach(row, rows)
        {
            if (rc == 0)
                rc = add_row(h, row, why);
        }
        more =
            cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply.json, "more")) && h->count > before;
        message_done(&reply);
    }
    return rc;
}

void heat_done(struct heat *h)
{
    free(h->epochs);
    free(h->counts);
    *h = (struct heat){0};
}

static void colour_of(double share, uint8_t out[3])
{
    double at = share > 0 ? 0.06 + 0.94 * fmin(1, sqrt(4 * share)) : 0;
    size_t i = (size_t)fmin(at * RAMP_STEPS, RAMP_STEPS - 1);
    double part = at * RAMP_STEPS - (double)i;

    for (int c = 0; c < 3; c++)
        out[c] = (uint8_t)(ramp[i][c] + (ramp[i + 1][c] - ramp[i][c]) * part + 0.5);
}

int heat_print(FILE *out, const struct heat *h)
{
    if (!h->count)
        return 0;
    size_t bins = (size_t)h->bins;
    uint32_t w = (uint32_t)h->count;
    uint8_t *pixels = alloc_bytes(h->count * bins, 3);
    if (!pixels)
        return -ENOMEM;
    for (size_t x = 0; x < h->count; x++) {
        double sum = 0;
        for (size_t b = 0; b < bins; b++)
            sum += h->counts[x * bins + b];
        for (size_t b = 0; b < bins; b++)
            colour_of(sum > 0 ? h->counts[x * bins + b] / sum : 0,
                      pixels + ((bins - 1 - b) * h->count + x) * 3);
    }
    fprintf(out,
            "<h2>Difficulty over the epochs</h2><p>Share of all samples by adversarial difficulty "
            "(adm, 0 to 1 from below), a column for each of %u scored epochs, from %lld to "
            "%lld.</p><div class=\"card\"><div class=\"heat\"><span style=\"top:0\">1</span><span "
            "style=\"bottom:0\">0</span>",
            w, (long long)h->epochs[0] + 1, (long long)h->epochs[h->count - 1] + 1);
    int rc =
        html_image(out, pixels, w, (uint32_t)bins, 3, 1000, "share of samples by adm and epoch");
    fputs("</div></div>\n", out);
    free(pixels);
    return rc;
}
