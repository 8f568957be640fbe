#include "worker/nn/profile.h"

#include <stdlib.h>

#include "common/clock.h"

struct cell {
    double s;
    uint64_t calls;
};

struct profile {
    const struct model *model;
    double last_s; /* when the clock was last read */
    enum profile_pass pass;
    struct cell (*layers)[PASSES][2]; /* [layers][passes][forward, backward] */
    struct cell parts[PARTS];
};

static const char *const pass_names[PASSES][2] = {
    [PASS_ASCENT] = {"ascent", "ascent b"},
    [PASS_TWIN] = {"twin", "twin b"},
    [PASS_DESCENT] = {"descent", "descent b"},
    [PASS_SWEEP] = {"sweep", "sweep b"},
};
static const char *const part_names[PARTS] = {
    [PART_LOAD] = "load",     [PART_HEAD] = "head",     [PART_ATTACK] = "attack",
    [PART_ASCEND] = "ascend", [PART_REDUCE] = "reduce", [PART_UPDATE] = "update",
    [PART_WAIT] = "wait",
};

struct profile *profile_create(const struct model *m)
{
    struct profile *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->model = m;
    p->layers = calloc((size_t)m->layer_count, sizeof(*p->layers));
    p->last_s = clock_mono_s();
    if (!p->layers) {
        free(p);
        return NULL;
    }
    return p;
}

void profile_free(struct profile *p)
{
    if (!p)
        return;
    free(p->layers);
    free(p);
}

static void book(struct profile *p, struct cell *cell)
{
    const double now_s = clock_mono_s();

    cell->s += now_s - p->last_s;
    cell->calls++;
    p->last_s = now_s;
}

void profile_pass(struct profile *p, enum profile_pass pass)
{
    if (p)
        p->pass = pass;
}

void profile_layer(struct profile *p, int layer, bool backward)
{
    if (p)
        book(p, &p->layers[layer][p->pass][backward]);
}

void profile_part(struct profile *p, enum profile_part part)
{
    if (p)
        book(p, &p->parts[part]);
}

/* One row of the table: the columns that any layer uses, then the row's sum and share. */
struct table {
    FILE *out;
    bool used[PASSES][2];
    double whole_s;
};

static struct cell layer_sum(struct profile *const *profiles, unsigned threads, int layer, int pass,
                             int backward)
{
    struct cell sum = {0};

    for (unsigned t = 0; t < threads; t++) {
        sum.s += profiles[t]->layers[layer][pass][backward].s;
        sum.calls += profiles[t]->layers[layer][pass][backward].calls;
    }
    return sum;
}

static struct cell part_sum(struct profile *const *profiles, unsigned threads, int part)
{
    struct cell sum = {0};

    for (unsigned t = 0; t < threads; t++) {
        sum.s += profiles[t]->parts[part].s;
        sum.calls += profiles[t]->parts[part].calls;
    }
    return sum;
}

static void measure_table(struct profile *const *profiles, unsigned threads, struct table *ret)
{
    for (int l = 0; l < profiles[0]->model->layer_count; l++)
        for (int pass = 0; pass < PASSES; pass++)
            for (int b = 0; b < 2; b++) {
                const struct cell c = layer_sum(profiles, threads, l, pass, b);
                ret->used[pass][b] |= c.calls > 0;
                ret->whole_s += c.s;
            }
    for (int part = 0; part < PARTS; part++)
        ret->whole_s += part_sum(profiles, threads, part).s;
}

static void print_head(const struct table *t)
{
    fprintf(t->out, "%-24s %-10s", "layer", "kind");
    for (int pass = 0; pass < PASSES; pass++)
        for (int b = 0; b < 2; b++)
            if (t->used[pass][b])
                fprintf(t->out, " %9s", pass_names[pass][b]);
    fprintf(t->out, " %9s %6s\n", "all", "share");
}

static void print_layer(const struct table *t, struct profile *const *profiles, unsigned threads,
                        int layer)
{
    const struct layer *l = &profiles[0]->model->layers[layer];
    double all_s = 0;
    uint64_t calls = 0;

    for (int pass = 0; pass < PASSES; pass++)
        for (int b = 0; b < 2; b++)
            calls += layer_sum(profiles, threads, layer, pass, b).calls;
    if (!calls) /* another layer does it */
        return;
    fprintf(t->out, "%-24s %-10s", l->name, layer_kind_names[l->kind]);
    for (int pass = 0; pass < PASSES; pass++)
        for (int b = 0; b < 2; b++) {
            const struct cell c = layer_sum(profiles, threads, layer, pass, b);
            all_s += c.s;
            if (t->used[pass][b])
                fprintf(t->out, " %9.1f", 1e3 * c.s);
        }
    fprintf(t->out, " %9.1f %5.1f%%\n", 1e3 * all_s, 100 * all_s / t->whole_s);
}

static void print_part(const struct table *t, const char *name, double s)
{
    int width = 0;

    for (int pass = 0; pass < PASSES; pass++)
        width += 10 * (t->used[pass][0] + t->used[pass][1]);
    fprintf(t->out, "%-35s%*s %9.1f %5.1f%%\n", name, width, "", 1e3 * s, 100 * s / t->whole_s);
}

void profile_print(struct profile *const *profiles, unsigned threads, FILE *out)
{
    struct table t = {.out = out};

    measure_table(profiles, threads, &t);
    if (!(t.whole_s > 0))
        return;
    fprintf(out, "profile of %s, ms summed over %u thread%s (b: backward)\n",
            profiles[0]->model->name, threads, threads == 1 ? "" : "s");
    print_head(&t);
    for (int l = 0; l < profiles[0]->model->layer_count; l++)
        print_layer(&t, profiles, threads, l);
    for (int part = 0; part < PARTS; part++)
        if (part_sum(profiles, threads, part).calls)
            print_part(&t, part_names[part], part_sum(profiles, threads, part).s);
    print_part(&t, "all", t.whole_s);
    for (unsigned i = 0; i < threads; i++)
        fprintf(out, "thread %u waited %.1f ms\n", i, 1e3 * profiles[i]->parts[PART_WAIT].s);
    fflush(out);
}
