#include "proto/cli/cells.h"

#include <math.h>
#include <string.h>

#include "common/clock.h"
#include "common/text.h"
#include "proto/cli/draw.h"
#include "proto/cli/reply.h"

void cell_text(struct table *t, const cJSON *obj, const char *name)
{
    table_add(t, "%s", reply_text(obj, name));
}

void cell_i64(struct table *t, const cJSON *obj, const char *name)
{
    int64_t value;

    if (reply_i64(obj, name, &value))
        table_add(t, "%lld", (long long)value);
    else
        table_add(t, TABLE_NONE);
}

void cell_epoch(struct table *t, const cJSON *obj, const char *name)
{
    const int64_t epoch = reply_epoch(obj, name);

    if (epoch > 0)
        table_add(t, "%lld", (long long)epoch);
    else
        table_add(t, TABLE_NONE);
}

void cell_number(struct table *t, double value)
{
    if (isnan(value))
        table_add(t, TABLE_NONE);
    else
        table_add(t, "%.4g", value);
}

void cell_f64(struct table *t, const cJSON *obj, const char *name)
{
    double value = NAN;

    reply_f64(obj, name, &value);
    cell_number(t, value);
}

void cell_share(struct table *t, const cJSON *obj, const char *name)
{
    char text[TEXT_F64_BYTES];
    double value;

    if (reply_f64(obj, name, &value))
        table_add(t, "%s", text_of_share(value, text));
    else
        table_add(t, TABLE_NONE);
}

void cell_age(struct table *t, const cJSON *obj, const char *name)
{
    char text[DRAW_TEXT_BYTES];
    int64_t unix_ms;

    if (reply_i64(obj, name, &unix_ms))
        table_add(t, "%s", draw_age(clock_unix_ms() - unix_ms, text));
    else
        table_add(t, TABLE_NONE);
}

enum paint cell_state_paint(const char *state)
{
    static const struct {
        const char *name;
        enum paint paint;
    } paints[] = {
        {"running", PAINT_GOOD},   {"done", PAINT_BOLD},    {"failed", PAINT_BAD},
        {"cancelled", PAINT_DIM},  {"paused", PAINT_WAIT},  {"queued", PAINT_WAIT},
        {"computing", PAINT_GOOD}, {"waiting", PAINT_WAIT}, {"silent", PAINT_BAD},
        {"set aside", PAINT_BAD},
    };

    for (size_t i = 0; i < sizeof(paints) / sizeof(paints[0]); i++)
        if (strcmp(paints[i].name, state) == 0)
            return paints[i].paint;
    return PAINT_NONE;
}

void cell_state(struct table *t, const cJSON *obj, const char *name)
{
    const char *state = reply_text(obj, name);

    table_add(t, "%s", state);
    table_paint(t, cell_state_paint(state));
}
