/* Draws the digits of the glyphs dataset.
 *
 * A digit is a set of strokes in a box of 100 x 100 units. A sample bends that box (a random
 * displacement on a 3 x 3 lattice, so strokes that meet stay joined), places it in the image
 * (scale, shear, rotation, shift) and inks every pixel by its distance to the nearest stroke. The
 * ranges of all of it are one table: a row for the usual sample, one for each kind of planted hard
 * sample.
 *
 * The promise is that the bytes follow from the parameters alone, on every machine: no library
 * function but sqrt and floor, which are exact, and every draw is keyed (seed, sample, split). The
 * split of work is therefore free, and a longer dataset does not begin with the shorter one,
 * because classes are dealt over all samples. Rotations come from t = tan(angle / 2), which needs
 * no sine. Any change of a number here changes the golden hash in the test, and with it the
 * identity of every glyphs dataset. */
#include "common/glyphs.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"

#define SIDE 28
#define PIXELS (SIDE * SIDE)
#define DIGITS 10
#define DIGIT_PIXELS 20.0 /* height of a digit of scale 1 */
#define STROKE_POINTS_MAX 11
#define STROKES_MAX 2
#define STYLES_MAX 3
#define SPAN_STEPS 6 /* straight pieces between two points of a curve */
#define LATTICE 3
#define FAR 1e9

/* What is drawn from RNG_GLYPH, as its second key. */
enum draw { DRAW_TRAIN, DRAW_TEST, DEAL_TRAIN, DEAL_TEST, CHOOSE_HARD };

/* A curve passes smoothly through its points, a curve that ends where it begins is closed. */
enum stroke_kind { LINE, CURVE };

struct stroke {
    enum stroke_kind kind;
    int count;
    uint8_t at[STROKE_POINTS_MAX][2]; /* x to the right, y down */
};

struct style {
    struct stroke strokes[STROKES_MAX]; /* unused ones have no points */
};

/* clang-format off */
static const struct style styles[DIGITS][STYLES_MAX] = {
    [0] = {
        {{{CURVE, 9, {{50, 4}, {28, 16}, {20, 50}, {28, 84}, {50, 96}, {72, 84}, {80, 50},
                      {72, 16}, {50, 4}}}}},
        {{{CURVE, 9, {{58, 4}, {42, 16}, {30, 50}, {32, 84}, {44, 96}, {60, 84}, {71, 50},
                      {69, 16}, {58, 4}}}}},
    },
    [1] = {
        {{{LINE, 2, {{50, 4}, {50, 96}}}}},
        {{{LINE, 3, {{26, 30}, {54, 4}, {54, 96}}}}},
        {{{LINE, 3, {{30, 24}, {52, 4}, {52, 96}}}, {LINE, 2, {{28, 96}, {76, 96}}}}},
    },
    [2] = {
        {{{CURVE, 7, {{22, 28}, {30, 10}, {52, 4}, {74, 15}, {75, 38}, {54, 66}, {20, 95}}},
          {LINE, 2, {{20, 95}, {82, 95}}}}},
        {{{CURVE, 11, {{22, 22}, {44, 5}, {70, 14}, {70, 42}, {46, 74}, {24, 92}, {18, 80},
                       {32, 74}, {52, 86}, {68, 94}, {86, 84}}}}},
    },
    [3] = {
        {{{CURVE, 5, {{22, 18}, {44, 4}, {72, 14}, {70, 38}, {44, 48}}},
          {CURVE, 5, {{44, 48}, {74, 56}, {78, 80}, {50, 96}, {20, 84}}}}},
        {{{LINE, 3, {{24, 6}, {76, 6}, {46, 42}}},
          {CURVE, 5, {{46, 42}, {72, 50}, {78, 74}, {54, 96}, {20, 84}}}}},
    },
    [4] = {
        {{{LINE, 3, {{32, 6}, {22, 58}, {82, 58}}}, {LINE, 2, {{66, 28}, {66, 96}}}}},
        {{{LINE, 4, {{64, 96}, {64, 4}, {16, 68}, {86, 68}}}}},
        {{{CURVE, 4, {{30, 6}, {24, 36}, {40, 52}, {70, 44}}}, {LINE, 2, {{74, 6}, {68, 96}}}}},
    },
    [5] = {
        {{{LINE, 3, {{76, 6}, {32, 6}, {28, 44}}},
          {CURVE, 6, {{28, 44}, {50, 36}, {74, 48}, {76, 78}, {52, 96}, {20, 86}}}}},
        {{{CURVE, 8, {{36, 8}, {32, 34}, {40, 42}, {62, 46}, {74, 64}, {68, 86}, {46, 96},
                      {22, 86}}},
          {LINE, 2, {{36, 8}, {78, 4}}}}},
    },
    [6] = {
        {{{CURVE, 9, {{70, 8}, {42, 20}, {25, 50}, {24, 78}, {48, 96}, {74, 84}, {74, 62},
                      {52, 50}, {27, 64}}}}},
        {{{CURVE, 4, {{58, 4}, {38, 30}, {28, 56}, {28, 74}}},
          {CURVE, 7, {{28, 74}, {38, 56}, {58, 54}, {70, 72}, {60, 92}, {38, 94}, {28, 74}}}}},
    },
    [7] = {
        {{{LINE, 3, {{18, 7}, {80, 7}, {42, 96}}}}},
        {{{LINE, 3, {{18, 7}, {80, 7}, {42, 96}}}, {LINE, 2, {{36, 52}, {76, 52}}}}},
        {{{LINE, 3, {{20, 22}, {20, 7}, {82, 7}}},
          {CURVE, 4, {{82, 7}, {60, 38}, {50, 66}, {46, 96}}}}},
    },
    [8] = {
        {{{CURVE, 7, {{50, 46}, {30, 36}, {32, 12}, {50, 4}, {68, 12}, {70, 36}, {50, 46}}},
          {CURVE, 7, {{50, 46}, {24, 60}, {26, 86}, {50, 96}, {74, 86}, {76, 60}, {50, 46}}}}},
        {{{CURVE, 11, {{72, 16}, {50, 4}, {30, 16}, {36, 38}, {66, 58}, {74, 80}, {50, 96},
                       {26, 80}, {34, 58}, {64, 38}, {72, 16}}}}},
    },
    [9] = {
        {{{CURVE, 7, {{74, 28}, {64, 8}, {40, 5}, {26, 24}, {34, 46}, {58, 48}, {74, 28}}},
          {LINE, 2, {{74, 28}, {66, 96}}}}},
        {{{CURVE, 10, {{74, 32}, {62, 48}, {38, 48}, {26, 28}, {40, 6}, {64, 8}, {76, 32},
                       {74, 62}, {60, 86}, {32, 94}}}}},
    },
};
/* clang-format on */

struct range {
    double lo, hi;
};

/* Every property of a sample is uniform in its range; shift, shear, turn and bend go both ways. */
struct variation {
    double turn;             /* tan of half the angle */
    struct range scale;      /* of DIGIT_PIXELS, each axis by itself */
    double shear, shift;     /* units per unit; pixels */
    double bend;             /* of the box, by lattice point */
    struct range half_width; /* of a stroke, pixels */
    struct range edge;       /* pixels over which the ink fades out: the blur */
    struct range ink, noise; /* in [0, 1]; noise is the standard deviation of a pixel */
    double second_ink;       /* share of the ink with which another digit is drawn over it */
    struct range bar;        /* width of a bar across the middle, pixels */
};

/* clang-format off */
#define USUAL_PLACE \
    .turn = 0.2, .scale = {0.64, 1.08}, .shear = 0.3, .shift = 2.5, .bend = 0.13
#define USUAL_PEN .half_width = {0.5, 1.7}, .edge = {0.9, 2}

static const struct variation usual = {
    USUAL_PLACE, USUAL_PEN, .ink = {0.45, 1}, .noise = {0.02, 0.15}
};

static const struct variation hard[] = {
    /* turned, squeezed and bent */
    {.turn = 0.5, .scale = {0.4, 0.8}, .shear = 0.7, .shift = 5, .bend = 0.22,
     USUAL_PEN, .ink = {0.5, 1}, .noise = {0.02, 0.12}},
    /* faint in strong noise */
    {USUAL_PLACE, .half_width = {0.5, 1.3}, .edge = {0.9, 1.8},
     .ink = {0.25, 0.4}, .noise = {0.15, 0.22}},
    /* another digit over it */
    {USUAL_PLACE, USUAL_PEN, .ink = {0.7, 1}, .noise = {0.02, 0.1}, .second_ink = 0.8},
    /* a bar hides its middle */
    {USUAL_PLACE, USUAL_PEN, .ink = {0.5, 1}, .noise = {0.02, 0.1}, .bar = {6, 9}},
};
/* clang-format on */
#define HARD_KINDS (sizeof(hard) / sizeof(hard[0]))

struct point {
    double x, y;
};

/* From the box (0 to 1 on both axes) into the image. */
struct placement {
    struct point bend[LATTICE][LATTICE];
    double xx, xy, yx, yy; /* image x = xx * box x + xy * box y + ..., around both middles */
    struct point middle;
};

struct canvas {
    double nearest[PIXELS]; /* squared distance to the strokes drawn so far, pixels */
    double ink[PIXELS];
};

static double range_draw(struct rng *r, struct range range)
{
    return rng_range(r, range.lo, range.hi);
}

static double both_ways(struct rng *r, double most)
{
    return rng_range(r, -most, most);
}

static struct placement placement_draw(struct rng *r, const struct variation *v)
{
    struct placement p;

    for (int row = 0; row < LATTICE; row++)
        for (int column = 0; column < LATTICE; column++) {
            p.bend[row][column].x = both_ways(r, v->bend);
            p.bend[row][column].y = both_ways(r, v->bend);
        }
    double wide = DIGIT_PIXELS * range_draw(r, v->scale);
    double high = DIGIT_PIXELS * range_draw(r, v->scale);
    double shear = both_ways(r, v->shear), t = both_ways(r, v->turn);
    double cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);

    p.xx = cosine * wide;
    p.xy = cosine * shear * high - sine * high;
    p.yx = sine * wide;
    p.yy = sine * shear * high + cosine * high;
    p.middle.x = SIDE / 2.0 + both_ways(r, v->shift);
    p.middle.y = SIDE / 2.0 + both_ways(r, v->shift);
    return p;
}

/* The lattice's displacement at a point of the box, bilinear. */
static struct point placement_bend(const struct placement *p, struct point at)
{
    double u = at.x * (LATTICE - 1), v = at.y * (LATTICE - 1);
    int column = u < 1 ? 0 : 1, row = v < 1 ? 0 : 1;
    const struct point *above = &p->bend[row][column], *below = &p->bend[row + 1][column];

    u -= column;
    v -= row;
    return (struct point){
        (above[0].x * (1 - u) + above[1].x * u) * (1 - v) +
            (below[0].x * (1 - u) + below[1].x * u) * v,
        (above[0].y * (1 - u) + above[1].y * u) * (1 - v) +
            (below[0].y * (1 - u) + below[1].y * u) * v,
    };
}

static struct point placement_map(const struct placement *p, const uint8_t at[2])
{
    struct point box = {at[0] / 100.0, at[1] / 100.0};
    struct point bend = placement_bend(p, box);
    double x = box.x + bend.x - 0.5, y = box.y + bend.y - 0.5;

    return (struct point){p->middle.x + p->xx * x + p->xy * y, p->middle.y + p->yx * x + p->yy * y};
}

/* First and one past the last pixel whose middle lies in [lo, hi]. */
static void pixel_range(double lo, double hi, int *ret_first, int *ret_end)
{
    lo = floor(lo - 0.5) + 1;
    hi = floor(hi - 0.5) + 1;
    *ret_first = lo < 0 ? 0 : lo > SIDE ? SIDE : (int)lo;
    *ret_end = hi < 0 ? 0 : hi > SIDE ? SIDE : (int)hi;
}

/* Lowers the distance of the pixels within reach of the straight piece from a to b. */
static void canvas_line(struct canvas *c, struct point a, struct point b, double reach)
{
    double dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
    int left, right, top, bottom;

    pixel_range((dx < 0 ? b.x : a.x) - reach, (dx < 0 ? a.x : b.x) + reach, &left, &right);
    pixel_range((dy < 0 ? b.y : a.y) - reach, (dy < 0 ? a.y : b.y) + reach, &top, &bottom);
    for (int row = top; row < bottom; row++)
        for (int column = left; column < right; column++) {
            double x = column + 0.5 - a.x, y = row + 0.5 - a.y;
            double along = length2 > 0 ? (x * dx + y * dy) / length2 : 0;
            along = along < 0 ? 0 : along > 1 ? 1 : along;
            x -= along * dx;
            y -= along * dy;
            double *nearest = &c->nearest[row * SIDE + column];
            if (x * x + y * y < *nearest)
                *nearest = x * x + y * y;
        }
}

/* Uniform Catmull-Rom between q[1] and q[2]. */
static struct point curve_at(const struct point q[4], double t)
{
    double t2 = t * t, t3 = t2 * t;
    double w0 = -t3 + 2 * t2 - t, w1 = 3 * t3 - 5 * t2 + 2, w2 = -3 * t3 + 4 * t2 + t, w3 = t3 - t2;

    return (struct point){0.5 * (w0 * q[0].x + w1 * q[1].x + w2 * q[2].x + w3 * q[3].x),
                          0.5 * (w0 * q[0].y + w1 * q[1].y + w2 * q[2].y + w3 * q[3].y)};
}

static void canvas_stroke(struct canvas *c, const struct stroke *s, const struct placement *p,
                          double reach)
{
    /* One point before and one after, for the tangents at the ends. */
    struct point q[STROKE_POINTS_MAX + 2];
    int n = s->count;
    bool closed = s->at[0][0] == s->at[n - 1][0] && s->at[0][1] == s->at[n - 1][1];

    assert(n >= 2);
    for (int i = 0; i < n; i++)
        q[i + 1] = placement_map(p, s->at[i]);
    q[0] = closed ? q[n - 1] : q[1];
    q[n + 1] = closed ? q[2] : q[n];
    for (int i = 1; i < n; i++) {
        struct point from = q[i];
        for (int step = 1; s->kind == CURVE && step < SPAN_STEPS; step++) {
            struct point to = curve_at(&q[i - 1], (double)step / SPAN_STEPS);
            canvas_line(c, from, to, reach);
            from = to;
        }
        canvas_line(c, from, q[i + 1], reach);
    }
}

/* Draws a digit in one of its styles; ink covers what is there by its own darkness. */
static void canvas_digit(struct canvas *c, struct rng *r, int digit, const struct variation *v,
                         double ink)
{
    int count = 0;

    while (count < STYLES_MAX && styles[digit][count].strokes[0].count)
        count++;
    const struct style *style = &styles[digit][rng_below(r, (uint64_t)count)];
    struct placement p = placement_draw(r, v);
    double half_width = range_draw(r, v->half_width), edge = range_draw(r, v->edge);
    double reach = half_width + edge / 2;

    for (int i = 0; i < PIXELS; i++)
        c->nearest[i] = FAR;
    for (int i = 0; i < STROKES_MAX && style->strokes[i].count; i++)
        canvas_stroke(c, &style->strokes[i], &p, reach);
    for (int i = 0; i < PIXELS; i++) {
        if (c->nearest[i] >= reach * reach)
            continue;
        double depth = (reach - sqrt(c->nearest[i])) / edge;
        depth = depth > 1 ? 1 : depth;
        double cover = ink * depth * depth * (3 - 2 * depth);
        if (cover > c->ink[i])
            c->ink[i] = cover;
    }
}

/* A grey bar across the middle of the image, in any direction. */
static void canvas_bar(struct canvas *c, struct rng *r, double width)
{
    double t = both_ways(r, 1), grey = rng_range(r, 0.3, 0.8);
    double cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);

    for (int i = 0; i < PIXELS; i++) {
        double x = i % SIDE + 0.5 - SIDE / 2.0, y = i / SIDE + 0.5 - SIDE / 2.0;
        double across = fabs(sine * x - cosine * y);
        if (across < width / 2)
            c->ink[i] = grey;
    }
}

/* Adds noise (a sum of four uniform bytes: bell-shaped, mean 510, deviation 147.8) and rounds. */
static void canvas_develop(const struct canvas *c, struct rng *r, double noise, uint8_t *image)
{
    for (int i = 0; i < PIXELS; i++) {
        uint32_t u = rng_u32(r);
        double sum = (double)((u & 255) + (u >> 8 & 255) + (u >> 16 & 255) + (u >> 24));
        double value = c->ink[i] + noise * ((sum - 510) / 147.8);
        value = value < 0 ? 0 : value > 1 ? 1 : value;
        image[i] = (uint8_t)floor(value * 255 + 0.5);
    }
}

static void image_draw(struct rng *r, int digit, const struct variation *v, uint8_t *image)
{
    struct canvas c = {.ink = {0}};
    double ink = range_draw(r, v->ink), noise = range_draw(r, v->noise);

    canvas_digit(&c, r, digit, v, ink);
    if (v->second_ink > 0) {
        int other = (digit + 1 + (int)rng_below(r, DIGITS - 1)) % DIGITS;
        canvas_digit(&c, r, other, v, ink * v->second_ink);
    }
    if (v->bar.hi > 0)
        canvas_bar(&c, r, range_draw(r, v->bar));
    canvas_develop(&c, r, noise, image);
}

/* Classes of equal size (to one sample), dealt in random order. */
static void classes_deal(uint64_t seed, enum draw deal, uint32_t n, uint32_t *ids, uint16_t *labels)
{
    struct rng r = rng_at(seed, RNG_GLYPH, 0, deal);

    for (uint32_t i = 0; i < n; i++)
        ids[i] = i;
    rng_shuffle(&r, ids, n);
    for (uint32_t i = 0; i < n; i++)
        labels[ids[i]] = (uint16_t)(i % DIGITS);
}

/* Marks floor(share * samples + 0.5) samples that are not flipped. */
static void hard_choose(uint64_t seed, double share, struct dataset_draft *d, uint32_t *ids)
{
    struct rng r = rng_at(seed, RNG_GLYPH, 0, CHOOSE_HARD);
    uint32_t wanted = (uint32_t)(share * d->samples + 0.5);

    for (uint32_t i = 0; i < d->samples; i++)
        ids[i] = i;
    rng_shuffle(&r, ids, d->samples);
    for (uint32_t i = 0; i < d->samples && wanted; i++)
        if (d->planted[ids[i]] == PLANTED_NONE) {
            d->planted[ids[i]] = PLANTED_HARD;
            wanted--;
        }
}

static void split_draw(uint64_t seed, enum draw split, uint32_t n, const uint16_t *classes,
                       const uint8_t *planted, uint8_t *images)
{
    for (uint32_t i = 0; i < n; i++) {
        struct rng r = rng_at(seed, RNG_GLYPH, i, split);
        const struct variation *v = &usual;
        if (planted && planted[i] == PLANTED_HARD)
            v = &hard[rng_below(&r, HARD_KINDS)];
        image_draw(&r, classes[i], v, images + (size_t)i * PIXELS);
    }
}

struct glyphs_spec glyphs_defaults(void)
{
    return (struct glyphs_spec){
        .seed = 1, .samples = 12000, .test_samples = 2000, .flip = 0.05, .hard = 0.02};
}

static int spec_check(const struct glyphs_spec *s, struct errbuf *why)
{
    if (s->samples < DIGITS || s->samples > SAMPLES_MAX)
        return err_set(why, -EINVAL, "glyphs: samples is %u, allowed is %d to %u", s->samples,
                       DIGITS, SAMPLES_MAX);
    if (s->test_samples < DIGITS || s->test_samples > SAMPLES_MAX)
        return err_set(why, -EINVAL, "glyphs: test samples is %u, allowed is %d to %u",
                       s->test_samples, DIGITS, SAMPLES_MAX);
    if (!(s->flip >= 0 && s->flip <= 1))
        return err_set(why, -EINVAL, "glyphs: flip is %g, allowed is 0 to 1", s->flip);
    if (!(s->hard >= 0 && s->hard <= 1))
        return err_set(why, -EINVAL, "glyphs: hard is %g, allowed is 0 to 1", s->hard);
    /* 0.7 + 0.3 may come out above 1 by a rounding. */
    if (s->flip + s->hard > 1 + 1e-9)
        return err_set(why, -EINVAL,
                       "glyphs: flip %g and hard %g are %g together, allowed is 0 to 1", s->flip,
                       s->hard, s->flip + s->hard);
    return 0;
}

int glyphs_draw(const struct glyphs_spec *spec, struct dataset_draft *ret, struct errbuf *why)
{
    struct dataset_draft d = {.samples = spec->samples,
                              .test_samples = spec->test_samples,
                              .classes = DIGITS,
                              .dims = {SIDE, SIDE, 1}};
    size_t n = spec->samples, m = spec->test_samples;
    uint32_t *ids = NULL;
    int rc = spec_check(spec, why);

    if (rc)
        return rc;
    d.images = malloc(n * PIXELS);
    d.labels = malloc(n * sizeof(*d.labels));
    d.truth = malloc(n * sizeof(*d.truth));
    d.planted = calloc(n, 1);
    d.test_images = malloc(m * PIXELS);
    d.test_labels = malloc(m * sizeof(*d.test_labels));
    ids = malloc((n > m ? n : m) * sizeof(*ids));
    if (!d.images || !d.labels || !d.truth || !d.planted || !d.test_images || !d.test_labels ||
        !ids) {
        rc = err_set(why, -ENOMEM, "glyphs: no memory for %zu samples", n + m);
        goto out;
    }
    classes_deal(spec->seed, DEAL_TRAIN, d.samples, ids, d.labels);
    classes_deal(spec->seed, DEAL_TEST, d.test_samples, ids, d.test_labels);
    memcpy(d.truth, d.labels, n * sizeof(*d.truth));
    rc = dataset_flip(&d, spec->flip, spec->seed, why);
    if (rc)
        goto out;
    hard_choose(spec->seed, spec->hard, &d, ids);
    split_draw(spec->seed, DRAW_TRAIN, d.samples, d.truth, d.planted, d.images);
    split_draw(spec->seed, DRAW_TEST, d.test_samples, d.test_labels, NULL, d.test_images);
    snprintf(d.source, sizeof(d.source), "glyphs, drawn with seed %llu: %g flipped, %g hard",
             (unsigned long long)spec->seed, spec->flip, spec->hard);
    *ret = d;
    d = (struct dataset_draft){0};
out:
    free(ids);
    dataset_draft_done(&d);
    return rc;
}
